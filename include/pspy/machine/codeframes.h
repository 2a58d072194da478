/* SPDX-License-Identifier: MIT */
/* Unwind information for functions that come without it, from their code. */
#ifndef PSPY_MACHINE_CODEFRAMES_H
#define PSPY_MACHINE_CODEFRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pspy/base/strbuf.h"

/* The CIE that the descriptions below belong to, appended. */
void codeframes_add_cie(struct strbuf *ret);

/*
 * Follows the x86-64 code of one function, `size` bytes that begin at `vaddr` with its entry, and
 * appends FDEs for it; `ret` is .eh_frame, which begins at `section`, and its CIE lies at the
 * offset `cie`. False, and nothing is appended, where the code does what compilers do not do.
 */
bool codeframes_add(const unsigned char *code, size_t size, uint64_t vaddr, uint64_t section,
                    size_t cie, struct strbuf *ret);

#endif
