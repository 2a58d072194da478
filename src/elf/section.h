/* SPDX-License-Identifier: MIT */
/* Sections of an ELF file. Private to elf/. */
#ifndef PSPY_ELF_SECTION_H
#define PSPY_ELF_SECTION_H

#include <gelf.h>
#include <stdbool.h>

/* A section by name. */
bool section_find(Elf *elf, const char *name, Elf_Scn **ret, GElf_Shdr *ret_header);

/* The section's bytes, unpacked where it is compressed (zlib; zstd where libelf can); NULL if there
 * are none. `ret_header` is how it is then. */
Elf_Data *section_data(Elf_Scn *section, GElf_Shdr *ret_header);

#endif
