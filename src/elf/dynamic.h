/* SPDX-License-Identifier: MIT */
/* The dynamic symbols of a file without section headers: as it lies in memory, or as a packer left
 * it. Private to elf/. */
#ifndef PSPY_ELF_DYNAMIC_H
#define PSPY_ELF_DYNAMIC_H

#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dynamic_symbols {
    const char *entries; /* `count` Elf64_Sym, not aligned; borrowed from the Elf */
    size_t count;
    const char *names; /* the string table, whose last byte is NUL */
    size_t names_size;
};

/* False if the file has section headers, or nothing that fits into it. */
bool dynamic_find_symbols(Elf *elf, uint64_t bias, struct dynamic_symbols *ret);

#endif
