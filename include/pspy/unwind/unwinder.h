/* SPDX-License-Identifier: MIT */
/*
 * Native stacks: from registers and a copy of the stack to frames, by the unwind tables in the ELF
 * files. Runs after the thread was let go, or by what is prepared while it stands still; touches
 * the target only to read code bytes that no file holds. Knows nothing of Python.
 */
#ifndef PSPY_UNWIND_UNWINDER_H
#define PSPY_UNWIND_UNWINDER_H

#include <stdbool.h>
#include <stdint.h>

#include "pspy/base/vec.h"
#include "pspy/target/module.h"
#include "pspy/target/regs.h"
#include "pspy/target/snapshot.h"

/* Why a walk ended. */
enum walk_end {
    WALK_ROOT,        /* the unwind table says: no caller */
    WALK_TRUNCATED,   /* more frames than the limit */
    WALK_UNREADABLE,  /* stack memory was not copied or cannot be read */
    WALK_NO_INFO,     /* code without unwind information, and no caller to be found */
    WALK_NO_REGISTER, /* a register is needed that a blocked thread does not show */
    WALK_UNMAPPED,    /* a pc in no known mapping: the mappings are older than the stack */
};

struct native_frame {
    uint64_t pc;     /* run-time address */
    uint64_t sp;     /* its stack memory is [sp, cfa) */
    uint64_t cfa;    /* UINT64_MAX for the outermost frame */
    uint64_t offset; /* pc as a vaddr in the module's file; 0 without a file */
    uint32_t module; /* in the module_list; MODULE_NONE */
    bool is_return;  /* pc is a return address: the call is before it */
    bool is_guessed; /* found by scanning, not by the table */
};

struct native_stack {
    VEC(struct native_frame) frames; /* innermost first */
    enum walk_end end;
    bool is_guessed; /* one of the frames is */
};

struct unwinder;

/* Frames of one target; both arguments must outlive the unwinder. */
struct unwinder *unwinder_create(struct address_space *space, const struct target *target);
void unwinder_destroy(struct unwinder *unwinder);

/*
 * Fills `ret`, whose old frames are dropped. Never fails: the end says what is missing. At most
 * `limit` frames.
 */
void unwinder_walk(struct unwinder *unwinder, const struct regs *regs, const struct snapshot *stack,
                   size_t limit, struct native_stack *ret);

/*
 * Opens the images of all executable mappings. To be called whenever the mappings were read anew.
 * Tables are compiled by the first unwinder_walk() that leads into a file, never while a thread is
 * stopped: most files' never are.
 */
void unwinder_prepare(struct unwinder *unwinder);

/*
 * The same walk for a thread that stands still: without an allocation, a file, or a system call
 * but those of a `live` snapshot. `ret` must have room for `limit` frames (vec_reserve). True if
 * the walk is as good as unwinder_walk() would make it. False where that needs what is not at hand
 * (a table that no walk has used yet, libunwind, a guess, newer mappings, more frames than
 * `limit`): leave it to unwinder_walk(), and copies of the stacks. Which ones are needed tell the
 * frames that `ret` holds then: the walk came as far as the `cfa` of the last, or its `sp`.
 */
bool unwinder_walk_prepared(struct unwinder *unwinder, const struct regs *regs,
                            const struct snapshot *stack, size_t limit, struct native_stack *ret);

void native_stack_deinit(struct native_stack *stack);

#endif
