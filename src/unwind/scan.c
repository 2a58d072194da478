/* SPDX-License-Identifier: MIT */
/*
 * Callers of code without unwind information: hand-written assembler (OpenBLAS's kernels, crypto),
 * and code made at run time.
 *
 * Where a symbol says where the function begins, its first instructions tell where the return
 * address lies (machine/prologue.h), but in its last ones. Else it lies somewhere above the stack
 * pointer. Either way a word of the stack is believed to be it only when all of this holds: it
 * points into code that has unwind information; the instruction before it is a call; a direct call
 * there goes into the very stretch of unknown code we stand in, perhaps by way of a PLT stub (where
 * the first instructions told the place, it may go anywhere); and from there the tables lead to
 * code that they say has no caller. The first word that passes wins.
 * The frames found so are marked as guessed. Limits: 8 KiB of stack per starting point, and a
 * bounded number of tries; a stale return address that an earlier call left behind in the frame can
 * pass.
 */
#include "code.h"
#include "internal.h"
#include "pspy/elf/symtab.h"
#include "pspy/machine/prologue.h"

#define SCAN_BYTES  8192
#define GAP_BYTES   (64 * 1024)
#define FRAME_BYTES (64 * 1024)
#define SAVED_WORDS 7   /* callee-saved registers, and one for alignment */
#define WALKS       100 /* at most: an honest stack needs few */

/* Whether code at `target` may have run on to `pc` without leaving the stretch of unknown code. */
static bool is_same_gap(struct unwinder *unwinder, uint64_t target, uint64_t pc)
{
    /* A function of the gap may call one that lies before it. */
    uint64_t distance = target <= pc ? pc - target : target - pc;

    return distance < GAP_BYTES && !unwinder_has_info(unwinder, target);
}

/* The call that the word stands behind, in code that has unwind information; *ret_target of a
 * direct one. */
static enum call_kind call_behind(struct unwinder *unwinder, uint64_t word, uint64_t *ret_target)
{
    const struct region *region = address_space_find(unwinder->space, word);

    if (!region || !region->is_executable || word == region->start ||
        !unwinder_has_info(unwinder, word - 1))
        return CALL_NONE;
    return unwinder->code->call_before(unwinder, word, ret_target);
}

static bool is_plausible(struct unwinder *unwinder, uint64_t pc, uint64_t word, bool is_direct)
{
    uint64_t target = 0, behind_stub;

    switch (call_behind(unwinder, word, &target)) {
    case CALL_INDIRECT:
        return !is_direct;
    case CALL_DIRECT:
        return is_same_gap(unwinder, target, pc) ||
               (unwinder->code->follow_stub(unwinder, target, &behind_stub) &&
                is_same_gap(unwinder, behind_stub, pc));
    default:
        return false;
    }
}

/* ---- candidates ------------------------------------------------------------------------------ */

struct search {
    struct unwinder *unwinder;
    const struct regs *regs; /* in the frame whose caller is searched */
    size_t limit;
    struct native_stack *stack;
    size_t kept;  /* frames of the stack that are certain */
    size_t walks; /* that may still be tried */
};

/* Whether the tables lead from a caller with these registers to the stack's root. */
static bool leads_to_root(struct search *search, struct regs caller)
{
    struct native_stack *stack = search->stack;

    if (search->walks == 0)
        return false;
    search->walks--;
    if (unwinder_walk_tables(search->unwinder, &caller, true, search->limit, stack) == WALK_ROOT &&
        search->unwinder->is_certain_root)
        return true;
    stack->frames.length = search->kept;
    return false;
}

/* Whether it does if the word at `at` is the caller's frame pointer. */
static bool try_frame_pointer(struct search *search, struct regs caller, uint64_t at)
{
    unsigned fp = caller.arch->tracked[CFI_FP];
    uint64_t *pointer = &caller.value[fp];
    uint64_t slot = regs_sp(&caller) - 8;

    caller.known |= 1ull << fp;
    return at >= regs_sp(search->regs) && at < slot &&
           snapshot_read(search->unwinder->stack, at, pointer, 8) == ERR_OK && *pointer > slot &&
           *pointer - slot < FRAME_BYTES && leads_to_root(search, caller);
}

/*
 * Registers as the caller sees them, if `slot` holds the return address. Code that uses the frame
 * pointer for other things has saved the caller's, by a push beside the return address, or at the
 * other end of its frame:
 *   sub $0x80,%rsp; mov %rbx,(%rsp); mov %rbp,8(%rsp)     (OpenBLAS)
 * If the tables need it and do not get on with the one that is there, these are tried.
 */
static bool try_slot(struct search *search, uint64_t slot, uint64_t word)
{
    struct regs caller = *search->regs;

    regs_set(&caller, caller.arch->pc, word);
    regs_set(&caller, caller.arch->sp, slot + 8);
    if (leads_to_root(search, caller))
        return true;
    for (uint64_t i = 0; i < SAVED_WORDS; i++)
        if (try_frame_pointer(search, caller, slot - 8 - 8 * i) ||
            try_frame_pointer(search, caller, regs_sp(search->regs) + 8 * i))
            return true;
    return false;
}

static void accept(struct search *search, uint64_t slot)
{
    search->stack->frames.items[search->kept - 1].cfa = slot + 8;
    search->stack->frames.items[search->kept].is_guessed = true;
}

/* Tries each word from `start` upwards. */
static bool scan_from(struct search *search, uint64_t start)
{
    uint64_t pc = regs_pc(search->regs);

    for (uint64_t slot = start; slot < start + SCAN_BYTES; slot += 8) {
        uint64_t word;

        if (snapshot_read(search->unwinder->stack, slot, &word, 8) != ERR_OK)
            return false;
        if (is_plausible(search->unwinder, pc, word, false) && try_slot(search, slot, word)) {
            accept(search, slot);
            return true;
        }
    }
    return false;
}

/* The frame pointer, if it is one, is right even where the frame holds old return addresses. But a
 * caller's own, which it may be as well, would leave that caller out: hence only by a direct call,
 * which that one's caller cannot have made to this code. */
static bool follow_frame_pointer(struct search *search)
{
    struct regs caller = *search->regs;
    unsigned fp = caller.arch->tracked[CFI_FP];
    uint64_t pointer = caller.value[fp], pair[2];

    if (!regs_has(&caller, fp) || pointer % 8 || pointer < regs_sp(&caller) ||
        pointer - regs_sp(&caller) > FRAME_BYTES ||
        snapshot_read(search->unwinder->stack, pointer, pair, sizeof(pair)) != ERR_OK ||
        !is_plausible(search->unwinder, regs_pc(&caller), pair[1], true))
        return false;
    regs_set(&caller, fp, pair[0]);
    regs_set(&caller, caller.arch->pc, pair[1]);
    regs_set(&caller, caller.arch->sp, pointer + sizeof(pair));
    if (!leads_to_root(search, caller))
        return false;
    accept(search, pointer + 8);
    return true;
}

/* ---- by the function's first instructions ---------------------------------------------------- */

/* The first bytes of the function that a symbol says covers `pc`; how far in pc is. 0: none. */
static size_t read_function(struct unwinder *unwinder, uint64_t pc, unsigned char *ret,
                            uint64_t *ret_pc)
{
    const struct symbol *symbol;
    struct code_place place;
    size_t size = PROLOGUE_BYTES;

    if (unwinder_find_code(unwinder, pc, &place) != CODE_FOUND || !place.image)
        return 0;
    symbol = symtab_find(image_symtab(place.image), pc - place.bias);
    if (!symbol)
        return 0;
    if (symbol->end - symbol->start < size)
        size = symbol->end - symbol->start;
    *ret_pc = pc - place.bias - symbol->start;
    return image_read(place.image, symbol->start, ret, size) ? size : 0;
}

static bool recover(const struct search *search, uint64_t cfa, int64_t offset, unsigned reg,
                    struct regs *caller)
{
    return offset == 0 || snapshot_read(search->unwinder->stack, cfa + (uint64_t)offset,
                                        &caller->value[reg], 8) == ERR_OK;
}

/* From regs in a function to those of its caller. */
static bool step_by_prologue(const struct search *search, const struct regs *regs, struct regs *ret)
{
    unsigned char code[PROLOGUE_BYTES];
    struct prologue prologue;
    uint64_t pc, cfa, word;
    size_t size = read_function(search->unwinder, regs_pc(regs), code, &pc);

    if (size == 0 || !prologue_decode(code, size, pc, &prologue) || !regs_has(regs, prologue.reg))
        return false;
    cfa = regs->value[prologue.reg] + (uint64_t)prologue.offset;
    if (cfa <= regs_sp(regs) || snapshot_read(search->unwinder->stack, cfa - 8, &word, 8) != ERR_OK)
        return false;
    *ret = *regs;
    regs_set(ret, ret->arch->sp, cfa);
    regs_set(ret, ret->arch->pc, word);
    return recover(search, cfa, prologue.saved_fp, ret->arch->tracked[CFI_FP], ret) &&
           recover(search, cfa, prologue.saved_base, ret->arch->tracked[CFI_BASE], ret);
}

/* Whatever is called there: it may have jumped here as its last act, as OpenBLAS's dcopy does to
 * the kernel of this processor. */
static bool follow_prologue(struct search *search)
{
    struct regs caller;
    uint64_t unused;

    if (!step_by_prologue(search, search->regs, &caller) ||
        call_behind(search->unwinder, regs_pc(&caller), &unused) == CALL_NONE ||
        !leads_to_root(search, caller))
        return false;
    accept(search, regs_sp(&caller) - 8);
    return true;
}

/* Whether the function up to here has left the stack pointer alone. */
static bool is_frameless(struct unwinder *unwinder, uint64_t pc)
{
    struct code_place place;
    const struct symbol *symbol;

    if (unwinder_find_code(unwinder, pc, &place) != CODE_FOUND || !place.image)
        return false;
    symbol = symtab_find(image_symtab(place.image), pc - place.bias);
    return symbol && pc - place.bias - symbol->start < GAP_BYTES &&
           !unwinder->code->moves_sp(unwinder, symbol->start + place.bias, pc);
}

/* Where calls leave the return address in a register it is still there in a function that calls
 * nobody, and the stack is as its caller left it unless the function moves it. */
static bool follow_link(struct search *search)
{
    struct regs caller = *search->regs;
    unsigned link = caller.arch->tracked[CFI_RA];
    uint64_t pc = caller.value[link] & ~caller.signature;

    if (!regs_has(&caller, link) || !is_plausible(search->unwinder, regs_pc(&caller), pc, false) ||
        !is_frameless(search->unwinder, regs_pc(&caller)))
        return false;
    regs_set(&caller, caller.arch->pc, pc);
    caller.known &= ~(1ull << link);
    if (!leads_to_root(search, caller))
        return false;
    accept(search, regs_sp(&caller) - 8);
    return true;
}

enum walk_end scan_for_caller(struct unwinder *unwinder, const struct regs *regs, size_t limit,
                              struct native_stack *ret)
{
    struct search search = {unwinder, regs, limit, ret, ret->frames.length, WALKS};
    uint64_t sp = regs_sp(regs) & ~(uint64_t)7;
    /* A kernel that aligns its stack keeps the old stack pointer in rbx or rbp. */
    const unsigned bases[] = {regs->arch->tracked[CFI_BASE], regs->arch->tracked[CFI_FP]};

    if (regs->arch->pc != regs->arch->tracked[CFI_RA]) {
        ret->is_guessed = follow_link(&search);
        return ret->is_guessed ? WALK_ROOT : WALK_NO_INFO;
    }
    ret->is_guessed =
        follow_prologue(&search) || follow_frame_pointer(&search) || scan_from(&search, sp);
    for (size_t i = 0; !ret->is_guessed && i < 2; i++) {
        uint64_t base = regs->value[bases[i]];

        if (regs_has(regs, bases[i]) && base > sp && base % 8 == 0)
            ret->is_guessed = scan_from(&search, base);
    }
    return ret->is_guessed ? WALK_ROOT : WALK_NO_INFO;
}
