/* SPDX-License-Identifier: MIT */
/* What unwinding reads in x86-64's instructions. */
#include <elf.h>
#include <string.h>

#include "code.h"

/*
 * Calls, as the bytes before the return address: e8 rel32; ff /2 with the ModRM forms that
 * compilers write: reg (2 bytes), [reg] (2), [reg+disp8] (3), [rip+disp32] and [reg+disp32] (6),
 * and with a SIB byte (3, 4, 7), each also with a REX prefix before.
 */
static enum call_kind call_before(struct unwinder *unwinder, uint64_t address, uint64_t *ret_target)
{
    unsigned char code[7];
    static const struct {
        unsigned char length, mod, has_sib;
    } forms[] = {{2, 3, 0}, {2, 0, 0}, {3, 1, 0}, {6, 2, 0},
                 {6, 0, 0}, {3, 0, 1}, {4, 1, 1}, {7, 2, 1}};

    if (!unwinder_read_code(unwinder, address - sizeof(code), code, sizeof(code)))
        return CALL_NONE;
    if (code[2] == 0xe8) {
        int32_t distance;

        memcpy(&distance, code + 3, 4);
        *ret_target = address + (uint64_t)(int64_t)distance;
        return CALL_DIRECT;
    }
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        const unsigned char *at = code + sizeof(code) - forms[i].length;

        if (at[0] == 0xff && (at[1] >> 3 & 7) == 2 && at[1] >> 6 == forms[i].mod &&
            (forms[i].mod == 3 || ((at[1] & 7) == 4) == forms[i].has_sib))
            return CALL_INDIRECT;
    }
    return CALL_NONE;
}

static bool is_return_address(struct unwinder *unwinder, uint64_t word)
{
    const struct region *region = address_space_find(unwinder->space, word);
    uint64_t target;

    return region && region->is_executable && word != region->start &&
           call_before(unwinder, word, &target) != CALL_NONE;
}

/* What a signal handler returns to, at either instruction: mov $15,%rax; syscall (rt_sigreturn). */
static bool is_restorer(struct unwinder *unwinder, uint64_t pc)
{
    static const unsigned char restorer[9] = "\x48\xc7\xc0\x0f\0\0\0\x0f\x05";
    unsigned char code[9] = {0};

    return (unwinder_read_file(unwinder, pc, code, 9) && memcmp(code, restorer, 9) == 0) ||
           (code[0] == 0x0f && code[1] == 0x05 && unwinder_read_file(unwinder, pc - 7, code, 9) &&
            memcmp(code, restorer, 9) == 0);
}

/*
 * How many bytes a PLT stub has pushed at `pc`; -1 if it is none. Only GNU ld describes them.
 *   ff 25 disp32                 jmp *slot            nothing, in the first stub 16
 *   68 imm32, e9 rel32           push $index; jmp     nothing, then 8
 *   ff 35 disp32, ff 25 disp32   push; jmp *resolver  the first stub: 8, then 16
 * endbr64 may stand before them, bnd (f2) before a jump.
 */
static int plt_pushed(struct unwinder *unwinder, uint64_t pc)
{
    unsigned char bytes[6 + 16] = {0}, *code = bytes + 6;

    if (!unwinder_read_code(unwinder, pc, code, 16))
        return -1;
    if (memcmp(code, "\xf3\x0f\x1e\xfa", 4) == 0)
        code += 4;
    else if (!unwinder_read_code(unwinder, pc - 6, bytes, 6))
        memset(bytes, 0, 6);
    if (code[0] == 0x68)
        return code[5] == 0xe9 || (code[5] == 0xf2 && code[6] == 0xe9) ? 0 : -1;
    if (code[0] == 0xff && code[1] == 0x35)
        return 8;
    code += code[0] == 0xf2;
    if (code[0] == 0xe9)
        return bytes[1] == 0x68 ? 8 : -1;
    if (code[0] == 0xff && code[1] == 0x25)
        return bytes[0] == 0xff && bytes[1] == 0x35 ? 16 : 0;
    return -1;
}

static bool leave_stub(struct unwinder *unwinder, struct regs *regs)
{
    int pushed = plt_pushed(unwinder, regs_pc(regs));
    uint64_t slot = regs_sp(regs) + (uint64_t)pushed, word;

    if (pushed < 0 || snapshot_read(unwinder->stack, slot, &word, sizeof(word)) != ERR_OK ||
        !is_return_address(unwinder, word))
        return false;
    regs_set(regs, regs->arch->pc, word);
    regs_set(regs, regs->arch->sp, slot + sizeof(word));
    return true;
}

/* Where a PLT stub leads: [endbr64] [bnd] jmp *disp32(%rip), through a slot that the linker filled.
 */
static bool follow_stub(struct unwinder *unwinder, uint64_t stub, uint64_t *ret)
{
    static const unsigned char endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
    unsigned char code[16];
    int32_t distance;
    size_t at = 0;

    if (!unwinder_read_code(unwinder, stub, code, sizeof(code)))
        return false;
    if (memcmp(code, endbr64, sizeof(endbr64)) == 0)
        at = sizeof(endbr64);
    at += code[at] == 0xf2;
    if (code[at] != 0xff || code[at + 1] != 0x25)
        return false;
    memcpy(&distance, code + at + 2, 4);
    return target_read(unwinder->target, stub + at + 6 + (uint64_t)(int64_t)distance, ret, 8) ==
           ERR_OK;
}

const struct code_arch code_x86_64 = {
    .machine = EM_X86_64,
    .call_before = call_before,
    .is_restorer = is_restorer,
    .leave_stub = leave_stub,
    .follow_stub = follow_stub,
};
