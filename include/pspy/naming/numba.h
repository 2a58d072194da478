/* SPDX-License-Identifier: MIT */
/* Names of the functions that Numba compiles. */
#ifndef PSPY_NAMING_NUMBA_H
#define PSPY_NAMING_NUMBA_H

#include <stdbool.h>

#include "pspy/base/strbuf.h"

/*
 * Appends the readable form of a symbol of Numba's: the function as Python calls it, the types of
 * its arguments as a Numba signature writes them, and in brackets what else the code is:
 * "pkg.mod.step(float64[:, ::1], int64)", "pkg.mod.step(float64) [Python wrapper]". False if it is
 * none, and nothing is appended.
 */
bool numba_name(const char *symbol, struct strbuf *ret);

/* For the kernel of a loop that runs in parallel, or its body: the symbol of the body's function,
 * which begins with _ZN and ends at the string's end; else NULL. Points into `symbol`. */
const char *numba_loop_body(const char *symbol);
/* Whether the symbol is such a kernel: what Numba's scheduler calls. */
bool numba_is_kernel(const char *symbol);

#endif
