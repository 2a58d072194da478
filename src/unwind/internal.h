/* SPDX-License-Identifier: MIT */
/* What the files of unwind/ share. */
#ifndef PSPY_UNWIND_INTERNAL_H
#define PSPY_UNWIND_INTERNAL_H

#include "pspy/cfi/cfi.h"
#include "pspy/unwind/unwinder.h"
#include "walk.h"

struct remote;
struct code_arch;

struct unwinder {
    struct address_space *space;
    const struct target *target;
    const struct cfi_arch *arch; /* of the registers that are walked from */
    const struct code_arch *code;
    uint32_t generation; /* of the address space that the cache belongs to */
    struct walk_cache cache;
    struct remote *remote; /* libunwind, for what rows cannot say */
    /* During a walk. */
    const struct snapshot *stack;
    bool may_load;        /* open files, compile rows, ask libunwind */
    bool is_certain_root; /* the walk ended where a row says so, not at a return address of 0 */
};

enum code_state {
    CODE_UNMAPPED,
    CODE_UNPREPARED, /* an image would have to be opened or compiled first, and may not now */
    CODE_FOUND,
};

/* What lies at an address: the only place of unwind/ that asks for it. */
enum code_state unwinder_find_code(struct unwinder *unwinder, uint64_t address,
                                   struct code_place *ret);

/* Its rows; NULL: none for this architecture. */
const struct cfi *unwinder_rows(const struct unwinder *unwinder, const struct code_place *place);

/* Whether the table describes the code at `ip`. */
bool unwinder_has_info(struct unwinder *unwinder, uint64_t ip);

/* Reads code or constants from the file behind them. */
bool unwinder_read_file(struct unwinder *unwinder, uint64_t address, void *ret, size_t size);
/* The same; where there is no file, from the target. */
bool unwinder_read_code(struct unwinder *unwinder, uint64_t address, void *ret, size_t size);

/*
 * Walks by tables from `regs` and appends to `ret`; the first frame is `first_is_return`. *regs
 * become those of the last frame, as far as they are known.
 */
enum walk_end unwinder_walk_tables(struct unwinder *unwinder, struct regs *regs,
                                   bool first_is_return, size_t limit, struct native_stack *ret);

/*
 * Finds the caller of code without unwind information, whose frame is the last of `ret`, in which
 * `regs` hold, and appends the rest of the stack. WALK_NO_INFO if nothing convincing is found;
 * `ret` is as before then.
 */
enum walk_end scan_for_caller(struct unwinder *unwinder, const struct regs *regs, size_t limit,
                              struct native_stack *ret);

/* ---- libunwind ---- */

struct remote *remote_create(struct unwinder *unwinder);
void remote_destroy(struct remote *remote);
/* Forgets what it knows of code that is no longer there. */
void remote_flush(struct remote *remote);
/* As unwinder_walk_tables(). */
enum walk_end remote_walk(struct remote *remote, struct regs *regs, bool first_is_return,
                          size_t limit, struct native_stack *ret);

#endif
