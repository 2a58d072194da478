/* SPDX-License-Identifier: MIT */
/* Names for the stubs through which a file calls the functions of others. Private to elf/. */
#ifndef PSPY_ELF_PLT_H
#define PSPY_ELF_PLT_H

#include "pspy/elf/symtab.h"

/* Adds "malloc@plt" and the like for the slots of .plt, .plt.sec, .plt.bnd and .plt.got. */
void plt_add(struct symtab *symtab, Elf *elf);

#endif
