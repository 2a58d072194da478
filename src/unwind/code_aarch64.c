/* SPDX-License-Identifier: MIT */
/* What unwinding reads in aarch64's instructions, which are words. */
#include <elf.h>

#include "code.h"

static bool read_word(struct unwinder *unwinder, uint64_t address, uint32_t *ret)
{
    return unwinder_read_code(unwinder, address, ret, sizeof(*ret));
}

/* ---- calls ----------------------------------------------------------------------------------- */

/*
 * 94000000 + imm26   bl     to there, words from here
 * d63f0000 + reg<<5  blr
 * d63f081f + reg<<5  blraaz, d63f0c1f blrabz; d73f08xx blraa, d73f0cxx blrab: of signed pointers
 */
static enum call_kind call_before(struct unwinder *unwinder, uint64_t address, uint64_t *ret_target)
{
    uint32_t word;

    if (!read_word(unwinder, address - 4, &word))
        return CALL_NONE;
    if ((word & 0xfc000000) == 0x94000000) {
        int64_t words = (int32_t)(word << 6) >> 6;

        *ret_target = address - 4 + (uint64_t)(4 * words);
        return CALL_DIRECT;
    }
    return (word & 0xfffffc1f) == 0xd63f0000 || (word & 0xfffff81f) == 0xd63f081f ||
                   (word & 0xfffff800) == 0xd73f0800
               ? CALL_INDIRECT
               : CALL_NONE;
}

/* What a signal handler returns to, at either instruction: mov x8,#139; svc #0 (rt_sigreturn). */
static bool is_restorer(struct unwinder *unwinder, uint64_t pc)
{
    const uint32_t move = 0xd2801168, call = 0xd4000001;
    uint32_t word, other;

    if (!read_word(unwinder, pc, &word) || (word != move && word != call))
        return false;
    return word == move ? read_word(unwinder, pc + 4, &other) && other == call
                        : read_word(unwinder, pc - 4, &other) && other == move;
}

/* ---- PLT stubs ------------------------------------------------------------------------------- */

/*
 * No linker describes them.
 *   [bti c]                     d503245f
 *   [stp x16,x30,[sp,#-16]!]    a9bf7bf0: the first stub only
 *   adrp x16,page               90000010 and bits of the page
 *   ldr x17,[x16,#at]           f9400211 and at / 8 << 10
 *   add x16,x16,#at             91000210 and at << 10
 *   [autia1716]                 d503219f
 *   br x17                      d61f0220
 */
static const struct {
    uint32_t mask, word;
    bool is_optional;
} stub_words[] = {
    {0xffffffff, 0xd503245f, true},  {0xffffffff, 0xa9bf7bf0, true},
    {0x9f00001f, 0x90000010, false}, {0xffc003ff, 0xf9400211, false},
    {0xffc003ff, 0x91000210, false}, {0xffffffff, 0xd503219f, true},
    {0xffffffff, 0xd61f0220, false},
};

#define STUB_WORDS (sizeof(stub_words) / sizeof(stub_words[0]))

enum { STUB_PUSH = 1, STUB_PAGE = 2, STUB_LOAD = 3 }; /* indices of stub_words[] */

struct stub {
    size_t count;              /* of words; 0: it is none */
    uint32_t word[STUB_WORDS]; /* by the index in stub_words[]; 0: left out */
    uint64_t at[STUB_WORDS];   /* their addresses */
};

static struct stub read_stub(struct unwinder *unwinder, uint64_t start)
{
    struct stub stub = {0};
    uint32_t word;

    for (size_t i = 0; i < STUB_WORDS; i++) {
        uint64_t at = start + 4 * stub.count;

        if (!read_word(unwinder, at, &word))
            return (struct stub){0};
        if ((word & stub_words[i].mask) == stub_words[i].word) {
            stub.word[i] = word;
            stub.at[i] = at;
            stub.count++;
        } else if (!stub_words[i].is_optional) {
            return (struct stub){0};
        }
    }
    return stub;
}

/* The return address is in x30; the first stub has saved it before it asks the loader. */
static bool leave_stub(struct unwinder *unwinder, struct regs *regs)
{
    const struct cfi_arch *arch = regs->arch;
    unsigned link = arch->tracked[CFI_RA];
    uint64_t pc = regs_pc(regs);

    if (!regs_has(regs, link))
        return false;
    for (uint64_t i = STUB_WORDS; i-- > 0;) {
        struct stub stub = read_stub(unwinder, pc - 4 * i);

        if (stub.count <= i)
            continue;
        if (stub.word[STUB_PUSH] && pc > stub.at[STUB_PUSH])
            regs_set(regs, arch->sp, regs_sp(regs) + 16);
        regs_set(regs, arch->pc, regs->value[link] & ~regs->signature);
        regs->known &= ~(1ull << link);
        return true;
    }
    return false;
}

static bool follow_stub(struct unwinder *unwinder, uint64_t start, uint64_t *ret)
{
    struct stub stub = read_stub(unwinder, start);
    uint32_t page = stub.word[STUB_PAGE];
    int64_t pages = (int32_t)((page >> 5 << 2 | (page >> 29 & 3)) << 11) >> 11;
    uint64_t slot = (stub.at[STUB_PAGE] & ~0xfffull) + ((uint64_t)pages << 12) +
                    (stub.word[STUB_LOAD] >> 10 & 0xfff) * 8;

    return stub.count && target_read(unwinder->target, slot, ret, sizeof(*ret)) == ERR_OK;
}

/* ---- the stack pointer ----------------------------------------------------------------------- */

static bool writes_sp(uint32_t word)
{
    const uint32_t sp = 31;
    static const struct {
        uint32_t mask, word;
        unsigned shift; /* of the register's number */
    } forms[] = {
        {0xbf800000, 0x91000000, 0}, /* add, sub: sp and a number */
        {0xbfe00000, 0x8b200000, 0}, /* and a register */
        {0xff800000, 0x92000000, 0}, /* and: to align it */
        {0x3a800000, 0x28800000, 5}, /* stp, ldp with write-back: [sp, #n]! and [sp], #n */
        {0x3b200400, 0x38000400, 5}, /* str, ldr */
    };

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
        if ((word & forms[i].mask) == forms[i].word && (word >> forms[i].shift & 31) == sp)
            return true;
    return false;
}

static bool moves_sp(struct unwinder *unwinder, uint64_t start, uint64_t end)
{
    uint32_t word;

    for (; start < end; start += 4)
        if (!read_word(unwinder, start, &word) || writes_sp(word))
            return true;
    return false;
}

const struct code_arch code_aarch64 = {
    .machine = EM_AARCH64,
    .call_before = call_before,
    .is_restorer = is_restorer,
    .leave_stub = leave_stub,
    .follow_stub = follow_stub,
    .moves_sp = moves_sp,
};
