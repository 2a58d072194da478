/* SPDX-License-Identifier: MIT */
/* Names as their programmers wrote them. */
#ifndef PSPY_NAMING_DEMANGLE_H
#define PSPY_NAMING_DEMANGLE_H

#include "pspy/base/strbuf.h"

/*
 * Appends the readable form of a symbol: C++ (Itanium), Rust (legacy, v0) and gfortran's demangled,
 * the symbol version ("@@GLIBC_2.2.5"), the compiler's clone suffixes (".cold", ".part.0",
 * ".constprop.0",
 * ".isra.0", ".lto_priv.0", ".llvm.123") and Rust's hash cut off. "@plt" stays. Any other name is
 * appended as is.
 */
void demangle(const char *symbol, struct strbuf *ret);

#endif
