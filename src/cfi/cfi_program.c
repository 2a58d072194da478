/* SPDX-License-Identifier: MIT */
/*
 * DWARF 5, 6.4.2. An example as readelf -wF shows it, and the instructions behind it:
 *
 *   0000000000001139 rsp+8   c-8         def_cfa rsp 8; offset ra -8       (by the CIE)
 *   000000000000113a rsp+16  c-16  c-8   advance 1; def_cfa_offset 16; offset rbp -16
 *   000000000000113d rbp+16  c-16  c-8   advance 3; def_cfa_register rbp
 *   000000000000117f rsp+8   c-16  c-8   advance 66; def_cfa rsp 8
 *
 * Only the registers that are tracked are kept; of the others the rules are read over. A rule that
 * the stack pointer has of its own is exotic, but for signal frames, where it is the CFA.
 *
 * Expressions are followed as far as they stay of the form reg + a, or *(reg + a) + b: frames that
 * align their stack ("*(rbp - 8)") need no more. The lazy PLT's is compared byte by byte.
 */
#include "cfi_program.h"

#include <dwarf.h>
#include <string.h>

#define REMEMBERED 16
#define OPERATIONS 16
#define NO_SLOT    CFI_TRACKED

/* ---- expressions ----------------------------------------------------------------------------- */

/* reg + offset; or *(reg + offset) + offset2; or a number alone. */
struct term {
    enum { TERM_NUMBER, TERM_REG, TERM_DEREF } kind;
    uint64_t reg;
    int64_t offset, offset2;
};

static int64_t add(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

static struct term term_plus(struct term term, int64_t number)
{
    if (term.kind == TERM_DEREF)
        term.offset2 = add(term.offset2, number);
    else
        term.offset = add(term.offset, number);
    return term;
}

static int64_t read_constant(struct cfi_reader *code, unsigned operation)
{
    switch (operation) {
    case DW_OP_const1u:
        return (int64_t)cfi_read_number(code, 1);
    case DW_OP_const1s:
        return (int8_t)cfi_read_number(code, 1);
    case DW_OP_const2u:
        return (int64_t)cfi_read_number(code, 2);
    case DW_OP_const2s:
        return (int16_t)cfi_read_number(code, 2);
    case DW_OP_const4u:
        return (int64_t)cfi_read_number(code, 4);
    case DW_OP_const4s:
        return (int32_t)cfi_read_number(code, 4);
    case DW_OP_constu:
        return (int64_t)cfi_read_uleb(code);
    case DW_OP_consts:
        return cfi_read_sleb(code);
    default:
        code->is_bad = true;
        return 0;
    }
}

/* One operation on the stack of terms; its new depth. */
static size_t operate(struct cfi_reader *code, struct term *terms, size_t depth)
{
    unsigned operation = (unsigned)cfi_read_number(code, 1);
    struct term *top = depth ? &terms[depth - 1] : NULL;

    if (operation >= DW_OP_breg0 && operation <= DW_OP_breg31) {
        terms[depth] = (struct term){TERM_REG, operation - DW_OP_breg0, cfi_read_sleb(code), 0};
        return depth + 1;
    }
    if (operation >= DW_OP_lit0 && operation <= DW_OP_lit31) {
        terms[depth] = (struct term){.offset = operation - DW_OP_lit0};
        return depth + 1;
    }
    if (operation == DW_OP_plus_uconst && top) {
        *top = term_plus(*top, (int64_t)cfi_read_uleb(code));
    } else if (operation == DW_OP_deref && top && top->kind == TERM_REG) {
        top->kind = TERM_DEREF;
    } else if (operation == DW_OP_plus && depth > 1 && top->kind == TERM_NUMBER) {
        top[-1] = term_plus(top[-1], top->offset);
        depth--;
    } else if (operation != DW_OP_nop) {
        terms[depth] = (struct term){.offset = read_constant(code, operation)};
        depth++;
    }
    return depth;
}

/* False if the expression is of none of the forms. */
static bool evaluate(struct cfi_reader code, struct term *ret)
{
    struct term terms[OPERATIONS];
    size_t depth = 0;

    for (size_t count = 0; code.at < code.end && !code.is_bad; count++) {
        if (count == OPERATIONS)
            return false;
        depth = operate(&code, terms, depth);
    }
    if (code.is_bad || depth != 1 || terms[0].kind == TERM_NUMBER)
        return false;
    *ret = terms[0];
    return true;
}

static bool is_plt_expression(const struct cfi_arch *arch, const struct cfi_reader *code)
{
    if (!arch->plt_size || code->end - code->at != arch->plt_size)
        return false;
    for (size_t i = 0; i < arch->plt_size; i++)
        if (i != arch->plt_variable && code->at[i] != arch->plt_expression[i])
            return false;
    return (unsigned)(code->at[arch->plt_variable] - arch->plt_zero) < 16;
}

static bool fits16(int64_t value)
{
    return value == (int16_t)value;
}

static bool fits32(int64_t value)
{
    return value == (int32_t)value;
}

static void set_odd(struct cfi_state *state, unsigned bit, bool is_set)
{
    state->odd = is_set ? state->odd | bit : state->odd & ~bit;
}

static void set_cfa_expression(const struct cfi_program *program, struct cfi_reader code,
                               struct cfi_state *state)
{
    struct cfi_rule *rule = &state->rule;
    bool is_known = true;
    struct term term;

    state->is_expression = true;
    if (is_plt_expression(program->arch, &code)) {
        rule->kind = CFI_PLT;
        rule->reg = program->arch->sp;
        rule->offset = 8;
        rule->offset2 = code.at[program->arch->plt_variable] - program->arch->plt_zero;
    } else if (evaluate(code, &term) && fits32(term.offset) && fits16(term.offset2)) {
        rule->kind = term.kind == TERM_REG ? CFI_REG : CFI_DEREF;
        rule->reg = (uint8_t)term.reg;
        rule->offset = (int32_t)term.offset;
        rule->offset2 = (int16_t)term.offset2;
    } else {
        is_known = false;
    }
    set_odd(state, CFI_ODD_CFA, !is_known);
}

static void define_cfa(struct cfi_state *state, uint64_t reg, int64_t offset)
{
    state->cfa_reg = reg;
    state->cfa_offset = offset;
    state->is_expression = false;
    state->rule.kind = CFI_REG;
    state->rule.reg = (uint8_t)reg;
    state->rule.offset = (int32_t)offset;
    state->rule.offset2 = 0;
    set_odd(state, CFI_ODD_CFA, reg > UINT8_MAX || !fits32(offset));
}

/* The offset is kept for a later def_cfa_register, even while an expression counts. */
static void define_cfa_offset(struct cfi_state *state, int64_t offset)
{
    if (state->is_expression)
        state->cfa_offset = offset;
    else
        define_cfa(state, state->cfa_reg, offset);
}

/* ---- registers ------------------------------------------------------------------------------- */

static unsigned slot_of(const struct cfi_arch *arch, uint64_t reg)
{
    for (unsigned slot = 0; slot < CFI_TRACKED; slot++)
        if (arch->tracked[slot] == reg)
            return slot;
    return NO_SLOT;
}

static void set_slot(struct cfi_state *state, unsigned slot, enum cfi_how how, int64_t offset)
{
    state->rule.how[slot] = (uint8_t)how;
    state->rule.saved[slot] = (int16_t)offset;
    set_odd(state, CFI_ODD_SLOT << slot, !fits16(offset));
    if (slot == CFI_RA)
        set_odd(state, CFI_ODD_END, how == CFI_UNDEFINED);
}

static void set_saved(const struct cfi_program *program, struct cfi_state *state, uint64_t reg,
                      enum cfi_how how, int64_t offset)
{
    unsigned slot = slot_of(program->arch, reg);

    if (slot != NO_SLOT)
        set_slot(state, slot, how, offset);
    else if (reg == program->arch->sp && !program->is_signal)
        set_odd(state, CFI_ODD_SP, how != CFI_SAME);
    if (slot == CFI_RA && program->arch->pc != reg)
        set_odd(state, CFI_ODD_LOW, how == CFI_AT_CFA && offset >= 0);
}

/* By a rule that is none of ours. */
static void set_exotic(const struct cfi_program *program, struct cfi_state *state, uint64_t reg)
{
    set_saved(program, state, reg, CFI_AT_CFA, INT64_MAX);
}

/* The register was saved where the expression says. */
static void set_expression(const struct cfi_program *program, struct cfi_state *state, uint64_t reg,
                           struct cfi_reader code)
{
    const struct cfi_arch *arch = program->arch;
    struct term term;

    if (evaluate(code, &term) && term.kind == TERM_REG && term.reg == arch->sp)
        set_saved(program, state, reg, CFI_AT_SP, term.offset);
    else if (evaluate(code, &term) && term.kind == TERM_REG && term.reg == arch->tracked[CFI_FP])
        set_saved(program, state, reg, CFI_AT_FP, term.offset);
    else
        set_exotic(program, state, reg);
}

static void restore(const struct cfi_program *program, struct cfi_state *state, uint64_t reg)
{
    const struct cfi_state *initial = &program->initial;
    unsigned slot = slot_of(program->arch, reg), bits = 0;

    if (slot != NO_SLOT) {
        state->rule.how[slot] = initial->rule.how[slot];
        state->rule.saved[slot] = initial->rule.saved[slot];
        bits = CFI_ODD_SLOT << slot | (slot == CFI_RA ? CFI_ODD_END | CFI_ODD_LOW : 0);
    } else if (reg == program->arch->sp) {
        bits = CFI_ODD_SP;
    }
    state->odd = (state->odd & ~bits) | (initial->odd & bits);
}

struct cfi_state cfi_state_begin(const struct cfi_program *program)
{
    struct cfi_state state = {.cfa_reg = UINT64_MAX, .odd = CFI_ODD_CFA};

    if (program->is_signal) {
        state.rule.flags = CFI_IS_SIGNAL;
        state.odd |= CFI_ODD_SIGNAL;
    }
    return state;
}

/*
 * A return address that was saved lies in the frame, below the CFA. aarch64's _dl_runtime_resolve
 * (glibc) forgets that its PLT stub has pushed 16 bytes:
 *   LOC   CFA      x8    x9    ra
 *   106e4 sp+208   c-208 c-200 c+8
 */
static struct cfi_rule raise_cfa(const struct cfi_rule *rule)
{
    struct cfi_rule raised = *rule;
    int shift = (rule->saved[CFI_RA] + 8 + 15) / 16 * 16;
    int64_t offset = (int64_t)rule->offset + shift;

    if (rule->kind != CFI_REG || !fits32(offset))
        return (struct cfi_rule){.kind = CFI_EXOTIC};
    raised.offset = (int32_t)offset;
    for (int slot = 0; slot < CFI_TRACKED; slot++) {
        if (rule->how[slot] != CFI_AT_CFA && rule->how[slot] != CFI_IS_CFA)
            continue;
        if (!fits16(rule->saved[slot] - shift))
            return (struct cfi_rule){.kind = CFI_EXOTIC};
        raised.saved[slot] = (int16_t)(rule->saved[slot] - shift);
    }
    return raised;
}

struct cfi_rule cfi_odd_rule(const struct cfi_program *program, const struct cfi_state *state)
{
    const struct cfi_arch *arch = program->arch;
    const struct cfi_rule *rule = &state->rule;

    if (state->odd & CFI_ODD_END)
        return (struct cfi_rule){.kind = CFI_STOP};
    if (state->odd == CFI_ODD_LOW)
        return raise_cfa(rule);
    if (state->odd != CFI_ODD_SIGNAL)
        return (struct cfi_rule){.kind = CFI_EXOTIC};
    if (rule->kind == CFI_DEREF && rule->reg == arch->sp && rule->offset2 == 0 &&
        rule->offset == arch->signal_offset[arch->sp])
        return (struct cfi_rule){.kind = CFI_SIGNAL, .flags = CFI_IS_SIGNAL};
    return *rule;
}

/* ---- instructions ---------------------------------------------------------------------------- */

struct run {
    const struct cfi_program *program;
    struct cfi_reader code;
    uint64_t vaddr; /* of the code's end */
    uint64_t pc;
    struct cfi_state *state;
    cfi_row_fn *each;
    void *context;
    struct cfi_state remembered[REMEMBERED];
    size_t depth;
};

static void advance(struct run *run, uint64_t next)
{
    if (next != run->pc && run->each)
        run->each(run->context, run->state, next);
    run->pc = next;
}

static void advance_by(struct run *run, uint64_t units)
{
    advance(run, run->pc + units * run->program->code_alignment);
}

static int64_t factored(const struct run *run, uint64_t offset)
{
    return (int64_t)(offset * (uint64_t)run->program->data_alignment);
}

static void remember(struct run *run)
{
    if (run->depth == REMEMBERED)
        run->code.is_bad = true;
    else
        run->remembered[run->depth++] = *run->state;
}

static void recall(struct run *run)
{
    if (run->depth == 0)
        run->code.is_bad = true;
    else
        *run->state = run->remembered[--run->depth];
}

/* Instructions about one register. False if it is another one. */
static bool execute_register(struct run *run, unsigned operation)
{
    struct cfi_reader *code = &run->code;
    uint64_t reg, number;

    switch (operation) {
    case DW_CFA_offset_extended:
    case DW_CFA_offset_extended_sf:
    case DW_CFA_val_offset:
    case DW_CFA_val_offset_sf:
    case DW_CFA_GNU_negative_offset_extended:
    case DW_CFA_register:
        reg = cfi_read_uleb(code);
        number = operation == DW_CFA_offset_extended_sf || operation == DW_CFA_val_offset_sf
                     ? (uint64_t)cfi_read_sleb(code)
                     : cfi_read_uleb(code);
        if (operation == DW_CFA_register)
            set_saved(run->program, run->state, reg, CFI_IN_REG, (int64_t)(number & 0x7fff));
        else if (operation == DW_CFA_GNU_negative_offset_extended)
            set_saved(run->program, run->state, reg, CFI_AT_CFA, factored(run, 0 - number));
        else
            set_saved(run->program, run->state, reg,
                      operation == DW_CFA_val_offset || operation == DW_CFA_val_offset_sf
                          ? CFI_IS_CFA
                          : CFI_AT_CFA,
                      factored(run, number));
        return true;
    case DW_CFA_restore_extended:
        restore(run->program, run->state, cfi_read_uleb(code));
        return true;
    case DW_CFA_undefined:
        set_saved(run->program, run->state, cfi_read_uleb(code), CFI_UNDEFINED, 0);
        return true;
    case DW_CFA_same_value:
        set_saved(run->program, run->state, cfi_read_uleb(code), CFI_SAME, 0);
        return true;
    case DW_CFA_expression:
        reg = cfi_read_uleb(code);
        set_expression(run->program, run->state, reg, cfi_read_block(code));
        return true;
    case DW_CFA_val_expression:
        reg = cfi_read_uleb(code);
        cfi_read_block(code);
        set_exotic(run->program, run->state, reg);
        return true;
    default:
        return false;
    }
}

/* Instructions about the CFA. False if it is another one. */
static bool execute_cfa(struct run *run, unsigned operation)
{
    struct cfi_reader *code = &run->code;
    uint64_t reg;

    switch (operation) {
    case DW_CFA_def_cfa:
        reg = cfi_read_uleb(code);
        define_cfa(run->state, reg, (int64_t)cfi_read_uleb(code));
        return true;
    case DW_CFA_def_cfa_sf:
        reg = cfi_read_uleb(code);
        define_cfa(run->state, reg, factored(run, (uint64_t)cfi_read_sleb(code)));
        return true;
    case DW_CFA_def_cfa_register:
        define_cfa(run->state, cfi_read_uleb(code), run->state->cfa_offset);
        return true;
    case DW_CFA_def_cfa_offset:
        define_cfa_offset(run->state, (int64_t)cfi_read_uleb(code));
        return true;
    case DW_CFA_def_cfa_offset_sf:
        define_cfa_offset(run->state, factored(run, (uint64_t)cfi_read_sleb(code)));
        return true;
    case DW_CFA_def_cfa_expression:
        set_cfa_expression(run->program, cfi_read_block(code), run->state);
        return true;
    default:
        return false;
    }
}

static void execute_other(struct run *run, unsigned operation)
{
    struct cfi_reader *code = &run->code;

    switch (operation) {
    case DW_CFA_nop:
        break;
    case DW_CFA_set_loc:
        advance(run, cfi_read_pointer(code, run->program->encoding,
                                      run->vaddr - (uint64_t)(code->end - code->at)));
        break;
    case DW_CFA_advance_loc1:
        advance_by(run, cfi_read_number(code, 1));
        break;
    case DW_CFA_advance_loc2:
        advance_by(run, cfi_read_number(code, 2));
        break;
    case DW_CFA_advance_loc4:
        advance_by(run, cfi_read_number(code, 4));
        break;
    case DW_CFA_MIPS_advance_loc8:
        advance_by(run, cfi_read_number(code, 8));
        break;
    case DW_CFA_remember_state:
        remember(run);
        break;
    case DW_CFA_restore_state:
        recall(run);
        break;
    /* Return addresses are signed from here on, or no more: the signature is taken off anyway. */
    case DW_CFA_AARCH64_negate_ra_state:
        code->is_bad |= !run->program->arch->signs_returns;
        break;
    case DW_CFA_GNU_args_size:
        cfi_read_uleb(code);
        break;
    default:
        code->is_bad = true;
    }
}

static void execute(struct run *run)
{
    unsigned operation = (unsigned)cfi_read_number(&run->code, 1), low = operation & 0x3f;

    switch (operation & 0xc0) {
    case DW_CFA_advance_loc:
        advance_by(run, low);
        break;
    case DW_CFA_offset:
        set_saved(run->program, run->state, low, CFI_AT_CFA,
                  factored(run, cfi_read_uleb(&run->code)));
        break;
    case DW_CFA_restore:
        restore(run->program, run->state, low);
        break;
    default:
        if (!execute_cfa(run, operation) && !execute_register(run, operation))
            execute_other(run, operation);
    }
}

bool cfi_execute(const struct cfi_program *program, struct cfi_reader code, uint64_t vaddr,
                 uint64_t pc, struct cfi_state *state, cfi_row_fn *each, void *context)
{
    struct run run;

    /* Not by an initializer: most of it is room that few programs use. */
    run.program = program;
    run.code = code;
    run.vaddr = vaddr + (uint64_t)(code.end - code.at);
    run.pc = pc;
    run.state = state;
    run.each = each;
    run.context = context;
    run.depth = 0;
    while (run.code.at < run.code.end && !run.code.is_bad)
        execute(&run);
    return !run.code.is_bad;
}
