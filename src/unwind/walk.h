/* SPDX-License-Identifier: MIT */
/* The walk over rows. Makes no system call and allocates nothing, but for what it is told to load.
 */
#ifndef PSPY_UNWIND_WALK_H
#define PSPY_UNWIND_WALK_H

#include "pspy/cfi/cfi.h"
#include "pspy/unwind/unwinder.h"

/* Why there is no caller. */
enum step {
    STEP_DONE,
    STEP_STOP,        /* the outermost frame */
    STEP_GAP,         /* no information here */
    STEP_EXOTIC,      /* no rule, or one that needs a register that is not followed */
    STEP_UNREADABLE,  /* memory that the copy lacks */
    STEP_NO_REGISTER, /* one that is followed, and that the thread never showed */
};

/* From a frame's registers to its caller's, by the rule at its pc. Changes them only if done. */
enum step walk_step(const struct cfi_rule *rule, const struct snapshot *stack, struct regs *regs);

#define WALK_SLOTS 4096

/* What is known of a place in code. */
struct walk_slot {
    uint64_t key; /* pc and whether it is a return address */
    uint64_t bias;
    const struct cfi_rule *rule;
    uint32_t module;
    bool has_bias;
};

struct walk_cache {
    struct walk_slot *slots; /* WALK_SLOTS */
};

void walk_cache_init(struct walk_cache *cache);
void walk_cache_deinit(struct walk_cache *cache);
void walk_cache_flush(struct walk_cache *cache);

/*
 * Walks from *regs on and appends to `ret`; at the end *regs are the last frame's. False where the
 * walk cannot go on by rows: what was appended is right then.
 */
bool walk_rows(struct unwinder *unwinder, struct regs *regs, bool first_is_return, size_t limit,
               struct native_stack *ret, enum walk_end *ret_end);

#endif
