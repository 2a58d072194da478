/* SPDX-License-Identifier: MIT */
/* The search table that a linker leaves out of statically linked programs. Pure. */
#ifndef PSPY_CFI_EHFRAME_BUILD_H
#define PSPY_CFI_EHFRAME_BUILD_H

#include <stddef.h>
#include <stdint.h>

#include "pspy/base/strbuf.h"

/*
 * Writes what .eh_frame_hdr would hold: the header 01 1b 03 3b, the distance to .eh_frame, the
 * number of entries, and the entries by code address, for a table that lies at vaddr `at`. `bytes`
 * is the section .eh_frame, which lies at `vaddr`. What is damaged or in an unusual encoding is
 * left out.
 */
void ehframe_build(const unsigned char *bytes, size_t size, uint64_t vaddr, uint64_t at,
                   struct strbuf *ret);

#endif
