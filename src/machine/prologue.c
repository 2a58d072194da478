/* SPDX-License-Identifier: MIT */
/*
 * Hand-written kernels set their frame up once and leave it alone until they return. Theirs is as
 * this one's, of OpenBLAS:
 *
 *   48 83 ec 60                 sub  $0x60,%rsp            CFA is rsp + 0x68
 *   48 89 1c 24                 mov  %rbx,(%rsp)           rbx saved at CFA - 0x68
 *   48 89 6c 24 08              mov  %rbp,0x8(%rsp)        rbp saved at CFA - 0x60
 *   c5 f8 77                    vzeroupper
 *   48 89 e3                    mov  %rsp,%rbx             CFA is rbx + 0x68
 *   48 81 ec 80 70 00 00        sub  $0x7080,%rsp
 *   48 81 e4 00 f0 ff ff        and  $-4096,%rsp           no more of rsp
 *
 * Instructions are followed up to the first branch, call, or other change of rsp; what was found
 * until then is taken to hold for the rest. It does not hold in the epilogue, so that whoever asks
 * must verify what he finds at the CFA. (codeframes.c follows all paths, and refuses code that
 * aligns its stack.)
 */
#include "pspy/machine/prologue.h"

#include "x86.h"

#define X86_RBX 3
#define RSP     7
/* By x86's own numbers: ax cx dx bx sp bp si di. */
static const uint8_t dwarf_numbers[] = {0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15};

struct frame {
    int64_t sp; /* rsp is the CFA plus this */
    bool has_sp;
    struct prologue found;
};

/* What instructions of one byte do to rsp, besides those that prologues are made of. */
static bool may_go_on(const struct x86_instruction *instruction)
{
    unsigned opcode = instruction->opcode;
    bool is_arithmetic = opcode < 0x40 && (opcode & 7) < 4;

    if (opcode == 0x90 || (opcode >= 0xb8 && opcode <= 0xbf))
        return opcode != 0xb8 + X86_RSP;
    if (opcode == 0x39 || opcode == 0x3b || opcode == 0x85) /* cmp and test */
        return true;
    if (opcode == 0x8b || opcode == 0x8d || opcode == 0x63 || (is_arithmetic && opcode & 2))
        return instruction->reg != X86_RSP;
    if (is_arithmetic || opcode == 0x89 || opcode == 0x81 || opcode == 0x83 || opcode == 0xc1 ||
        opcode == 0xc7 || opcode == 0xd1)
        return instruction->mod != 3 || instruction->rm != X86_RSP;
    return false;
}

static void note_saved(struct frame *frame, unsigned reg, int64_t at)
{
    if (!frame->has_sp)
        return;
    if (reg == X86_RBP && !frame->found.saved_fp)
        frame->found.saved_fp = at;
    if (reg == X86_RBX && !frame->found.saved_base)
        frame->found.saved_base = at;
}

static void copy_sp(struct frame *frame, unsigned reg)
{
    if (frame->has_sp && frame->found.reg == RSP) {
        frame->found.reg = dwarf_numbers[reg];
        frame->found.offset = -frame->sp;
    }
}

/* Adding to rsp, or aligning it. False: something else. */
static bool follow_immediate(struct frame *frame, const struct x86_instruction *instruction)
{
    switch (instruction->reg & 7) {
    case 0:
        frame->sp += instruction->immediate;
        return true;
    case 5:
        frame->sp -= instruction->immediate;
        return true;
    case 4:
        frame->has_sp = false;
        return true;
    default:
        return (instruction->reg & 7) == 7; /* cmp */
    }
}

/* False where the prologue ends. */
static bool follow(struct frame *frame, const struct x86_instruction *instruction)
{
    unsigned opcode = instruction->opcode;
    bool is_rsp = instruction->has_modrm && instruction->mod == 3 && instruction->rm == X86_RSP;

    if (instruction->map == X86_0F)
        return (opcode & 0xf0) != 0x80 && opcode > 0x0b &&
               ((opcode & 0xf0) != 0x40 || instruction->reg != X86_RSP);
    if (instruction->map != X86_ONE_BYTE)
        return true;
    if ((opcode & 0xf8) == 0x50) {
        frame->sp -= 8;
        note_saved(frame, instruction->opcode_register, frame->sp);
        return true;
    }
    if ((opcode == 0x83 || opcode == 0x81) && is_rsp)
        return follow_immediate(frame, instruction);
    if (opcode == 0x89 && instruction->mod == 3 && instruction->reg == X86_RSP && !is_rsp)
        copy_sp(frame, instruction->rm);
    else if (opcode == 0x89 && instruction->mod != 3 && instruction->base == X86_RSP)
        note_saved(frame, instruction->reg, frame->sp + instruction->displacement);
    return may_go_on(instruction);
}

bool prologue_decode(const unsigned char *code, size_t size, uint64_t pc, struct prologue *ret)
{
    struct frame frame = {.sp = -8, .has_sp = true, .found.reg = RSP};
    size_t at = 0;

    while (at < pc && at < size) {
        struct x86_instruction instruction;

        if (!x86_decode(code + at, size - at, &instruction) || !follow(&frame, &instruction))
            break;
        at += instruction.length;
    }
    if (frame.has_sp) {
        frame.found.reg = RSP;
        frame.found.offset = -frame.sp;
    }
    *ret = frame.found;
    return at <= pc && (frame.has_sp || frame.found.reg != RSP);
}
