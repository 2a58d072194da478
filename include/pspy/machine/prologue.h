/* SPDX-License-Identifier: MIT */
/* Where a function's caller is, by the x86-64 instructions it begins with. Pure. */
#ifndef PSPY_MACHINE_PROLOGUE_H
#define PSPY_MACHINE_PROLOGUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROLOGUE_BYTES 192 /* that are looked at, at most */

/* Registers are numbered as in DWARF: 3 is rbx, 6 rbp, 7 rsp. */
struct prologue {
    unsigned reg;       /* the CFA is this register */
    int64_t offset;     /* plus this */
    int64_t saved_fp;   /* rbp was saved at the CFA plus this; 0: it was not */
    int64_t saved_base; /* the same for rbx */
};

/* The frame of a function whose code begins with `code`, at the instruction that begins `pc` bytes
 * in, which may be further than `size`. False if the frame cannot be told. */
bool prologue_decode(const unsigned char *code, size_t size, uint64_t pc, struct prologue *ret);

#endif
