/* SPDX-License-Identifier: MIT */
/*
 * From frame to frame by the rows of cfi/cfi.h. What is followed is the stack pointer, the return
 * address, the frame pointer and one more register (rbx, x19): with these the callers' rows can be
 * used nearly everywhere. The innermost frame, and one that a signal interrupted, have all their
 * registers. A row that needs another one is left to libunwind, which follows them all.
 *
 * A return address is looked up one byte before, because its call may be its function's last
 * instruction; where code stands, or was interrupted, the pc counts as it is.
 */
#include "walk.h"

#include <stdlib.h>
#include <string.h>

#include "code.h"
#include "internal.h"
#include "pspy/base/xmalloc.h"

/* ---- one step -------------------------------------------------------------------------------- */

static inline bool load(const struct snapshot *stack, uint64_t address, uint64_t *ret)
{
    const struct window *window = &stack->windows[0];
    uint64_t at = address - window->start;

    if (stack->count && window->size >= sizeof(*ret) && at <= window->size - sizeof(*ret)) {
        memcpy(ret, window->bytes + at, sizeof(*ret));
        return true;
    }
    return snapshot_read(stack, address, ret, sizeof(*ret)) == ERR_OK;
}

/* What a register that is not there means. */
static enum step missing(const struct cfi_arch *arch, unsigned reg)
{
    for (int i = 0; i < CFI_TRACKED; i++)
        if (arch->tracked[i] == reg)
            return STEP_NO_REGISTER;
    return STEP_EXOTIC;
}

static enum step find_cfa(const struct cfi_arch *arch, const struct cfi_rule *rule,
                          const struct snapshot *stack, const struct regs *regs, uint64_t *ret)
{
    uint64_t value;

    if (!regs_has(regs, rule->reg))
        return missing(arch, rule->reg);
    value = regs->value[rule->reg] + (uint64_t)(int64_t)rule->offset;
    if (rule->kind == CFI_DEREF) {
        if (!load(stack, value, &value))
            return STEP_UNREADABLE;
        value += (uint64_t)(int64_t)rule->offset2;
    } else if (rule->kind == CFI_PLT) {
        value += (regs_pc(regs) & 15) >= (uint64_t)rule->offset2 ? sizeof(uint64_t) : 0;
    }
    *ret = value;
    return STEP_DONE;
}

/* The value of a tracked register in the caller, if *known says so afterwards. */
static inline enum step recover(const struct cfi_arch *arch, const struct cfi_rule *rule,
                                enum cfi_tracked slot, const struct snapshot *stack,
                                const struct regs *regs, uint64_t cfa, uint64_t *ret, bool *known)
{
    unsigned reg = arch->tracked[slot];
    uint64_t offset = (uint64_t)(int64_t)rule->saved[slot];

    switch (rule->how[slot]) {
    case CFI_IN_REG:
        reg = (unsigned)offset;
        /* fall through */
    case CFI_SAME:
        *known = regs_has(regs, reg);
        *ret = *known ? regs->value[reg] : 0;
        return STEP_DONE;
    case CFI_AT_CFA:
        *known = true;
        return load(stack, cfa + offset, ret) ? STEP_DONE : STEP_UNREADABLE;
    case CFI_AT_SP:
    case CFI_AT_FP:
        reg = rule->how[slot] == CFI_AT_SP ? arch->sp : arch->tracked[CFI_FP];
        *known = true;
        if (!regs_has(regs, reg))
            return missing(arch, reg);
        return load(stack, regs->value[reg] + offset, ret) ? STEP_DONE : STEP_UNREADABLE;
    case CFI_IS_CFA:
        *known = true;
        *ret = cfa + offset;
        return STEP_DONE;
    default:
        *known = false;
        return STEP_DONE;
    }
}

/* The kernel saved all registers. */
static enum step step_signal(const struct cfi_arch *arch, const struct snapshot *stack,
                             struct regs *regs)
{
    struct regs saved = {.arch = arch, .signature = regs->signature};
    uint64_t sp = regs->value[arch->sp];

    for (unsigned reg = 0; reg < arch->signal_count; reg++) {
        if (!load(stack, sp + (uint64_t)(int64_t)arch->signal_offset[reg], &saved.value[reg]))
            return STEP_UNREADABLE;
        saved.known |= 1ull << reg;
    }
    *regs = saved;
    return STEP_DONE;
}

/* A register that the return address is in has another call's once that was made. */
enum step walk_step(const struct cfi_rule *rule, const struct snapshot *stack, struct regs *regs)
{
    const struct cfi_arch *arch = regs->arch;
    uint64_t cfa, values[CFI_TRACKED];
    uint64_t known = 0;
    enum step step;

    switch (rule->kind) {
    case CFI_GAP:
        return STEP_GAP;
    case CFI_STOP:
        return STEP_STOP;
    case CFI_EXOTIC:
        return STEP_EXOTIC;
    case CFI_SIGNAL:
        return step_signal(arch, stack, regs);
    }
    step = find_cfa(arch, rule, stack, regs, &cfa);
    for (int slot = 0; slot < CFI_TRACKED && step == STEP_DONE; slot++) {
        bool is_known;

        step =
            recover(arch, rule, (enum cfi_tracked)slot, stack, regs, cfa, &values[slot], &is_known);
        known |= (uint64_t)is_known << arch->tracked[slot];
    }
    if (step != STEP_DONE)
        return step;
    if (!(known >> arch->tracked[CFI_RA] & 1))
        return STEP_NO_REGISTER;
    for (int slot = 0; slot < CFI_TRACKED; slot++)
        regs->value[arch->tracked[slot]] = values[slot];
    regs->known = known & ~(1ull << arch->tracked[CFI_RA]);
    regs_set(regs, arch->pc, values[CFI_RA] & ~regs->signature);
    regs_set(regs, arch->sp, cfa);
    return STEP_DONE;
}

/* ---- places ---------------------------------------------------------------------------------- */

void walk_cache_init(struct walk_cache *cache)
{
    cache->slots = xreallocarray(NULL, WALK_SLOTS, sizeof(cache->slots[0]));
    walk_cache_flush(cache);
}

void walk_cache_deinit(struct walk_cache *cache)
{
    free(cache->slots);
}

void walk_cache_flush(struct walk_cache *cache)
{
    memset(cache->slots, 0xff, WALK_SLOTS * sizeof(cache->slots[0]));
}

static const struct cfi_rule signal_rule = {.kind = CFI_SIGNAL, .flags = CFI_IS_SIGNAL};
static const struct cfi_rule no_rule = {.kind = CFI_GAP};
static const struct cfi_rule stop_rule = {.kind = CFI_STOP};

static enum code_state fill(struct unwinder *unwinder, uint64_t pc, bool is_return,
                            struct walk_slot *ret)
{
    struct code_place place;
    enum code_state state = unwinder_find_code(unwinder, pc - is_return, &place);
    const struct cfi *rows;

    if (state != CODE_FOUND)
        return state;
    rows = unwinder_rows(unwinder, &place);
    *ret = (struct walk_slot){.key = pc << 1 | is_return,
                              .bias = place.bias,
                              .rule = &no_rule,
                              .module = place.module,
                              .has_bias = place.image != NULL};
    if (rows)
        ret->rule = cfi_find(rows, pc - is_return - place.bias);
    /* The first instruction stands before the directive that says so, in aarch64's C library. */
    if (place.image && !is_return && image_entry(place.image) == pc - place.bias)
        ret->rule = &stop_rule;
    if (ret->rule->kind != CFI_SIGNAL && unwinder->code->is_restorer(unwinder, pc))
        ret->rule = &signal_rule;
    return CODE_FOUND;
}

#define NO_KEY UINT64_MAX /* as walk_cache_flush() leaves it; no code lies there */

static inline enum code_state find_slot(struct unwinder *unwinder, uint64_t pc, bool is_return,
                                        struct walk_slot **ret)
{
    uint64_t key = pc << 1 | is_return;

    *ret = &unwinder->cache.slots[(pc ^ pc >> 12) % WALK_SLOTS];
    if (key == NO_KEY)
        return CODE_UNMAPPED;
    return (*ret)->key == key ? CODE_FOUND : fill(unwinder, pc, is_return, *ret);
}

/* ---- the walk -------------------------------------------------------------------------------- */

static enum walk_end end_of(enum step step)
{
    switch (step) {
    case STEP_STOP:
        return WALK_ROOT;
    case STEP_GAP:
        return WALK_NO_INFO;
    case STEP_NO_REGISTER:
        return WALK_NO_REGISTER;
    default:
        return WALK_UNREADABLE;
    }
}

/* Whether the caller's registers may be those of a caller. */
static bool check_caller(const struct native_frame *inner, const struct regs *regs, bool is_signal,
                         enum walk_end *ret_end)
{
    uint64_t sp = regs_sp(regs);

    *ret_end = WALK_ROOT;
    if (regs_pc(regs) == 0 && !is_signal)
        return false;
    /* Only a signal handler's stack may be another one. Nothing may have been pushed yet where code
     * stands: vfork keeps its return address in a register. */
    *ret_end = WALK_UNREADABLE;
    return is_signal || sp > inner->sp || (sp == inner->sp && !inner->is_return);
}

static void push_frame(struct native_stack *stack, const struct walk_slot *slot, uint64_t pc,
                       uint64_t sp, bool is_return)
{
    vec_push(&stack->frames, ((struct native_frame){.pc = pc,
                                                    .sp = sp,
                                                    .cfa = UINT64_MAX,
                                                    .offset = slot->has_bias ? pc - slot->bias : 0,
                                                    .module = slot->module,
                                                    .is_return = is_return}));
}

bool walk_rows(struct unwinder *unwinder, struct regs *regs, bool first_is_return, size_t limit,
               struct native_stack *ret, enum walk_end *ret_end)
{
    bool is_return = first_is_return;

    for (bool is_first = true;; is_first = false) {
        uint64_t pc = regs_pc(regs), sp = regs_sp(regs);
        struct native_frame *frame;
        struct walk_slot *slot;
        enum step step;

        switch (find_slot(unwinder, pc, is_return, &slot)) {
        case CODE_UNPREPARED:
            if (!is_first)
                ret->frames.items[ret->frames.length - 1].cfa = sp;
            return false;
        case CODE_UNMAPPED:
            *ret_end = WALK_UNMAPPED;
            if (is_first)
                push_frame(ret, &(struct walk_slot){.module = MODULE_NONE}, pc, sp, is_return);
            return true;
        case CODE_FOUND:
            break;
        }
        if (!is_first)
            ret->frames.items[ret->frames.length - 1].cfa = sp;
        push_frame(ret, slot, pc, sp, is_return);
        *ret_end = WALK_TRUNCATED;
        if (ret->frames.length >= limit)
            return true;
        frame = &ret->frames.items[ret->frames.length - 1];
        step = walk_step(slot->rule, unwinder->stack, regs);
        if (step == STEP_GAP && !is_return && unwinder->code->leave_stub(unwinder, regs))
            step = STEP_DONE;
        if (step == STEP_EXOTIC)
            return false;
        unwinder->is_certain_root = step == STEP_STOP;
        *ret_end = end_of(step);
        if (step != STEP_DONE)
            return true;
        is_return = !(slot->rule->flags & CFI_IS_SIGNAL);
        if (!check_caller(frame, regs, !is_return, ret_end))
            return true;
    }
}
