/* SPDX-License-Identifier: MIT */
/* What .eh_frame says about where functions begin and end. */
#ifndef PSPY_ELF_EHFRAME_H
#define PSPY_ELF_EHFRAME_H

#include "pspy/elf/image.h"

/* The binary search table of .eh_frame_hdr, in the file's addresses. */
struct ehframe_table {
    uint64_t header;  /* .eh_frame_hdr: the entries are relative to it */
    uint64_t entries; /* the first one: pairs of s32 {code, FDE}, sorted by code */
    uint32_t count;
};

/* False if there is no table, or one in a form that today's linkers do not write. */
bool ehframe_table(const struct image *image, struct ehframe_table *ret);

/*
 * The start of the range of code that holds `vaddr`, by the file's unwind table: a function's
 * start, or that of one of its parts, even where no symbol is left. False where the table has no
 * range there.
 */
bool ehframe_range_start(const struct image *image, uint64_t vaddr, uint64_t *ret);

#endif
