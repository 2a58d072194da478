/* SPDX-License-Identifier: MIT */
/* A thread's registers, as far as unwinding needs them, by their DWARF numbers. */
#ifndef PSPY_TARGET_REGS_H
#define PSPY_TARGET_REGS_H

#include <stdbool.h>
#include <stdint.h>

#include "pspy/cfi/cfi.h"

#define REGS_LIMIT 33 /* of any architecture */

struct regs {
    const struct cfi_arch *arch; /* whose numbers these are */
    uint64_t known;     /* bit N: value[N] is known; a blocked thread shows only sp and pc */
    uint64_t signature; /* the bits of a return address that may hold a signature */
    uint32_t call; /* the system call that a stopped thread was in, plus 1; 0: none, or not known */
    uint64_t argument; /* of that call, the first */
    uint64_t value[REGS_LIMIT];
};

static inline uint64_t regs_pc(const struct regs *regs)
{
    return regs->value[regs->arch->pc];
}

static inline uint64_t regs_sp(const struct regs *regs)
{
    return regs->value[regs->arch->sp];
}

static inline bool regs_has(const struct regs *regs, unsigned number)
{
    return number < REGS_LIMIT && (regs->known >> number & 1);
}

static inline void regs_set(struct regs *regs, unsigned number, uint64_t value)
{
    regs->value[number] = value;
    regs->known |= 1ull << number;
}

/* `signature` on the machine that we run on. */
uint64_t regs_host_signature(void);

/* Of a thread that shows no more than where it stands. */
static inline struct regs regs_of_place(const struct cfi_arch *arch, uint64_t pc, uint64_t sp)
{
    struct regs regs = {.arch = arch};

    regs_set(&regs, arch->pc, pc);
    regs_set(&regs, arch->sp, sp);
    return regs;
}

#endif
