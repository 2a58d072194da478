/* SPDX-License-Identifier: MIT */
/* The instructions of call frame information, executed. Pure. */
#ifndef PSPY_CFI_CFI_PROGRAM_H
#define PSPY_CFI_CFI_PROGRAM_H

#include "cfi_reader.h"
#include "pspy/cfi/cfi.h"

/* Why a state is not what its `rule` says. */
enum {
    CFI_ODD_SLOT = 1, /* shifted by a slot: a tracked register's rule is exotic */
    CFI_ODD_CFA = 1 << CFI_TRACKED,
    CFI_ODD_SP = 2 << CFI_TRACKED,  /* the stack pointer has a rule of its own */
    CFI_ODD_END = 4 << CFI_TRACKED, /* the return address is undefined */
    CFI_ODD_SIGNAL = 8 << CFI_TRACKED,
    CFI_ODD_LOW = 16 << CFI_TRACKED, /* the CFA is below what was saved in the frame */
};

/* What the instructions change. */
struct cfi_state {
    struct cfi_rule rule;
    unsigned odd;
    bool is_expression; /* the CFA's rule is one, and leaves these for later: */
    uint64_t cfa_reg;
    int64_t cfa_offset;
};

struct cfi_program {
    const struct cfi_arch *arch;
    uint64_t code_alignment;
    int64_t data_alignment;
    unsigned encoding; /* of addresses: DW_EH_PE_* */
    bool is_signal;
    struct cfi_state initial; /* as the CIE leaves it */
};

/* Called where a new row begins, with the state of the one that ends there. */
typedef void cfi_row_fn(void *context, const struct cfi_state *state, uint64_t next_pc);

/*
 * Executes instructions from `state` and address `pc` on. `vaddr` is where they lie. False if they
 * make no sense: `state` counts up to the last row's beginning then. `each` may be NULL (a CIE's).
 */
bool cfi_execute(const struct cfi_program *program, struct cfi_reader code, uint64_t vaddr,
                 uint64_t pc, struct cfi_state *state, cfi_row_fn *each, void *context);

/* The state before a CIE's instructions. */
struct cfi_state cfi_state_begin(const struct cfi_program *program);

/* The rule for a state that is odd; else it is state->rule. */
struct cfi_rule cfi_odd_rule(const struct cfi_program *program, const struct cfi_state *state);

#endif
