/* SPDX-License-Identifier: MIT */
/* What Python calls the C functions of an ELF file, from the tables by which CPython itself finds
 * them. Strip leaves these alone. */
#ifndef PSPY_ELF_PYNAMES_H
#define PSPY_ELF_PYNAMES_H

#include <libelf.h>
#include <stdbool.h>
#include <stdint.h>

#include "pspy/base/strbuf.h"

struct pynames;

/* Reads the tables of an ELF file; nothing of it is borrowed. Never NULL: without tables it knows
 * no name. */
struct pynames *pynames_create(Elf *elf);
/* Takes NULL. */
void pynames_destroy(struct pynames *names);

/*
 * Appends the name of the function that begins at `start`, as a Python programmer knows it:
 * "list.sort", "sorted", "math.sin", "dict.__getitem__", "list()", "str comparison",
 * "tuple deallocation". False, and nothing, where there is none or where tables disagree.
 */
bool pynames_find(const struct pynames *names, uint64_t start, struct strbuf *ret);

#endif
