/* SPDX-License-Identifier: MIT */
/* "MiniDebugInfo": a small ELF file with a stripped file's own function symbols, in the section
 * .gnu_debugdata, packed by xz. Fedora and its kin ship all programs so. Private to elf/. */
#ifndef PSPY_ELF_MINIDEBUG_H
#define PSPY_ELF_MINIDEBUG_H

#include <libelf.h>
#include <stdbool.h>

#include "pspy/base/strbuf.h"

/* Unpacks it. False if there is none, it is damaged, or it is larger than any real one. */
bool minidebug_unpack(Elf *elf, struct strbuf *ret);

#endif
