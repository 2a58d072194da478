/* SPDX-License-Identifier: MIT */
/* Cython: what its compiler made of names and lines. */
#ifndef PSPY_NAMING_CYTHON_H
#define PSPY_NAMING_CYTHON_H

#include <stdbool.h>
#include <stdint.h>

#include "pspy/base/strbuf.h"

struct symtab;

/*
 * Appends the name of a function that Cython wrote: "pkg.mod.Point.length" of
 * __pyx_pw_3pkg_3mod_5Point_3length. False, and nothing, for any other symbol. `symtab` (NULL: none
 * at hand) is that of its file, which settles what the symbol alone leaves open.
 */
bool cython_name(const char *symbol, const struct symtab *symtab, struct strbuf *ret);

/* Whether it only passes a call on, and stands for nothing in the source. */
bool cython_is_helper(const char *symbol);

/* The .pyx lines of generated C files, each of which is read once. */
struct cython_sources;

struct cython_sources *cython_sources_create(void);
/* Takes NULL. */
void cython_sources_destroy(struct cython_sources *sources);

/*
 * The line of the .pyx file that Cython made the given line of a C file from; the C file is looked
 * for in `root_fd` (-1: our own root). False where it is not there, or not Cython's. `*ret_file` is
 * as the C file writes it, or its path where it lies where that says; it lives as long as
 * `sources`.
 */
bool cython_line(struct cython_sources *sources, int root_fd, const char *c_file, uint32_t c_line,
                 const char **ret_file, uint32_t *ret_line);

#endif
