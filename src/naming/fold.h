/* SPDX-License-Identifier: MIT */
/*
 * What becomes of native functions where the interpreter's own ways are folded away: which of its
 * functions Python's programmers know, and by which name. The stacks are profile/view.h's.
 */
#ifndef PSPY_NAMING_FOLD_H
#define PSPY_NAMING_FOLD_H

#include <stdbool.h>

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
