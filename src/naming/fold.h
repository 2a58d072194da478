/* SPDX-License-Identifier: MIT */
/*
 * Which native functions are the interpreter's own ways: what stands between a Python function and
 * the C function that it calls, and below the first Python function. Views leave them out
 * (profile/view.h):
 *
 *     _start; __libc_start_main; Py_BytesMain; ...; PyEval_EvalCode; <module> (x.py:9);
 * PyObject_Vectorcall; cfunction_vectorcall_FASTCALL; list_sort; list_sort_impl; binarysort
 *
 * becomes "<module> (x.py:9); list.sort". Pure.
 */
#ifndef PSPY_NAMING_FOLD_H
#define PSPY_NAMING_FOLD_H

#include "pspy/profile/profile.h"

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

#endif
