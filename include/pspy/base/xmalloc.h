/* SPDX-License-Identifier: MIT */
/* Allocation that ends the program when memory is exhausted: no caller could go on. */
#ifndef PSPY_BASE_XMALLOC_H
#define PSPY_BASE_XMALLOC_H

#include <stddef.h>

/* libiberty has functions of these names too, so the linker sees ours under others. */
#define xmalloc  base_xmalloc
#define xcalloc  base_xcalloc
#define xstrdup  base_xstrdup
#define xstrndup base_xstrndup

void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
/* Room for `count` elements of `size` bytes; the product is checked for overflow. */
void *xreallocarray(void *old, size_t count, size_t size) __attribute__((returns_nonnull));
char *xstrdup(const char *text) __attribute__((malloc, returns_nonnull));
char *xstrndup(const char *text, size_t length) __attribute__((malloc, returns_nonnull));
/* Ends the program, saying so: for memory that is had by other ways. */
_Noreturn void xmalloc_fail(void);
/* A formatted string the caller frees. */
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2), returns_nonnull));

#endif
