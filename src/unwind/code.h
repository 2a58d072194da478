/* SPDX-License-Identifier: MIT */
/* What unwinding reads in an architecture's instructions, where tables do not say it. */
#ifndef PSPY_UNWIND_CODE_H
#define PSPY_UNWIND_CODE_H

#include "internal.h"

enum call_kind { CALL_NONE, CALL_INDIRECT, CALL_DIRECT };

struct code_arch {
    unsigned machine;
    /* What call ends at `address`; with CALL_DIRECT also where it goes. */
    enum call_kind (*call_before)(struct unwinder *unwinder, uint64_t address,
                                  uint64_t *ret_target);
    /* Whether a signal handler returns to this pc. */
    bool (*is_restorer)(struct unwinder *unwinder, uint64_t pc);
    /* From a pc in a PLT stub that its linker did not describe to the stub's caller. False, and
     * *regs are as before, if it is none. */
    bool (*leave_stub)(struct unwinder *unwinder, struct regs *regs);
    /* Where the PLT stub at an address leads: through a slot that the linker filled. */
    bool (*follow_stub)(struct unwinder *unwinder, uint64_t stub, uint64_t *ret);
    /* Whether an instruction in [start, end) changes the stack pointer, or cannot be read. Where a
     * call leaves the return address in a register; else NULL. */
    bool (*moves_sp)(struct unwinder *unwinder, uint64_t start, uint64_t end);
};

extern const struct code_arch code_x86_64, code_aarch64;

/* The row for an architecture: each that has rows has one. */
const struct code_arch *code_arch_find(const struct cfi_arch *arch);

#endif
