/* SPDX-License-Identifier: MIT */
/* The symbols of one ELF file, as they stand there. Private to elf/. */
#ifndef PSPY_ELF_SYMBOLS_H
#define PSPY_ELF_SYMBOLS_H

#include <gelf.h>

#include "pspy/elf/image.h"

/* Calls `each` for the defined symbols of the tables of a type: SHT_DYNSYM, SHT_SYMTAB. */
void symbols_each(Elf *elf, GElf_Word type, image_symbol_fn *each, void *context);

/* The value of the first symbol of that name, in .dynsym, else in .symtab. */
bool symbols_find(Elf *elf, const char *name, uint64_t *ret_vaddr);

#endif
