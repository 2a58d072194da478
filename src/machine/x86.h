/* SPDX-License-Identifier: MIT */
/* x86-64 machine code, instruction by instruction: lengths, and what decides where the stack is. */
#ifndef PSPY_MACHINE_X86_H
#define PSPY_MACHINE_X86_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum x86_map { X86_ONE_BYTE, X86_0F, X86_0F38, X86_0F3A, X86_VECTOR };

#define X86_RSP     4
#define X86_RBP     5
#define X86_NO_BASE 0xff

struct x86_instruction {
    uint8_t length;
    uint8_t map; /* enum x86_map; X86_VECTOR: with a VEX or EVEX prefix */
    uint8_t opcode;
    bool has_modrm;
    uint8_t mod, reg, rm;    /* registers by their full numbers: 4 is rsp, 5 rbp */
    uint8_t base;            /* of a memory operand without an index; X86_NO_BASE */
    uint8_t opcode_register; /* of push and pop */
    bool is_wide;            /* REX.W */
    int32_t displacement;    /* of a memory operand */
    int64_t immediate;       /* or the distance of a jump, from the instruction's end */
};

/* False if the bytes are no instruction, or too few. */
bool x86_decode(const unsigned char *code, size_t size, struct x86_instruction *ret);

#endif
