/* SPDX-License-Identifier: MIT */
/* Names of code that was made at run time. */
#ifndef PSPY_NAMING_JITNAMES_H
#define PSPY_NAMING_JITNAMES_H

#include "pspy/base/strbuf.h"
#include "pspy/target/module.h"

/*
 * Appends the readable form of a JIT object's symbol. The loop over a Numba prange is called after
 * the function that it stands in: "pkg.mod.step(float64[::1]) [prange]", with a number where the
 * function has several, and its kernel so with "[gufunc]" behind it.
 */
void jit_name(const struct module_list *modules, const char *symbol, struct strbuf *ret);

#endif
