/* SPDX-License-Identifier: MIT */
/* Function symbols by address. A symbol never answers for an address beyond its own end. */
#ifndef PSPY_ELF_SYMTAB_H
#define PSPY_ELF_SYMTAB_H

#include <libelf.h>
#include <stdbool.h>
#include <stdint.h>

#include "pspy/base/vec.h"

struct symbol {
    uint64_t start;
    uint64_t end;     /* exclusive */
    const char *name; /* as in the file, mangled; owned by the Elf it was read from, or by us */
    uint64_t reach;   /* the largest end among this symbol and all before it */
    uint8_t rank;     /* lower is the better name among aliases */
};

struct symtab {
    VEC(struct symbol) symbols; /* by start, then rank */
    VEC(char *) names;          /* those that are in no file */
};

#define SYMTAB_INIT                                                                                \
    {                                                                                              \
        VEC_INIT, VEC_INIT                                                                         \
    }

void symtab_deinit(struct symtab *symtab);
/* Adds the function symbols of .symtab and .dynsym; `elf` must outlive the table. */
void symtab_add(struct symtab *symtab, Elf *elf);
/* Adds a function under a name that the table takes over; it is freed with the table. */
void symtab_add_named(struct symtab *symtab, uint64_t start, uint64_t end, char *name);
/*
 * Adds those of a file whose section headers are gone or not mapped, by its dynamic segment. The
 * loader adds `bias` to the segment's addresses in memory; 0 for a file's own bytes.
 */
void symtab_add_dynamic(struct symtab *symtab, Elf *elf, uint64_t bias);
/* Sorts and ends the adding; gives symbols without a size the room up to the next one. */
void symtab_finish(struct symtab *symtab);
/* The innermost symbol that covers `vaddr`, or NULL. */
const struct symbol *symtab_find(const struct symtab *symtab, uint64_t vaddr);

#endif
