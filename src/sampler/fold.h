/* SPDX-License-Identifier: MIT */
/*
 * Stacks without the interpreter's own ways: what stands between a Python function and the C
 * function that it calls, and below the first Python function. Pure, over a profile's stacks.
 *
 *     _start; __libc_start_main; Py_BytesMain; ...; PyEval_EvalCode; <module> (x.py:9);
 * PyObject_Vectorcall; cfunction_vectorcall_FASTCALL; list_sort; list_sort_impl; binarysort
 *
 * becomes "<module> (x.py:9); list.sort". No sample is lost and none moves to another Python
 * function: the time of a frame that goes is its caller's.
 */
#ifndef PSPY_SAMPLER_FOLD_H
#define PSPY_SAMPLER_FOLD_H

#include "pspy/base/vec.h"
#include "pspy/profile/profile.h"

/* What becomes of a frame. */
enum fold_class {
    FOLD_STAYS, /* Python's functions, and code of all other modules */
    FOLD_NAMED, /* the interpreter's, known to Python's programmers: stays */
    FOLD_PART,  /* the same by a symbol: stays but below a frame of that very name, whose part it is
                 */
    FOLD_AWAY,  /* the interpreter's, nothing that Python's programmers know */
    FOLD_RUN,   /* the same: what main of the `python` command calls */
    FOLD_START, /* where the C library starts a program or a thread: goes if Python follows */
    FOLD_MAIN,  /* main outside of the interpreter's file: goes if it only runs Python */
};

/* A function of the interpreter's file. */
struct fold_function {
    const char *symbol;      /* readable; NULL: it has none */
    const char *python_name; /* by Python's tables; NULL: none */
    bool is_part;            /* that is the name of the function that this one does the work of */
    bool is_python;          /* the file holds Python and nothing else */
};

/* Its class, and in *ret what it is shown as, where that is not the name it has anyway. In a
 * program that has Python inside, only what has a name of CPython's goes. */
enum fold_class fold_interpreter(const struct fold_function *function, const char **ret);

/* The class of a function of another file, whose path ends with `file`. */
enum fold_class fold_other(const char *symbol, const char *file);

/* enum fold_class by frame of the profile; frames behind its end stay. */
typedef VEC(uint8_t) fold_classes;

/* Gives each sample its folded stack. One in which nothing would be left keeps the stack it has. */
void fold_stacks(struct profile *profile, const fold_classes *classes);

#endif
