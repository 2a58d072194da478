/* SPDX-License-Identifier: MIT */
/*
 * An instruction: prefixes, REX (4x) or VEX (c5, c4) or EVEX (62), opcode of one of four maps,
 * ModRM, SIB, displacement, immediate. Whether the last four are there is all that the tables say.
 *
 *   48 81 ec 18 01 00 00        sub $0x118,%rsp         REX.W, opcode 81, ModRM ec, 4 bytes
 *   c5 fb 10 44 d1 08           vmovsd 8(%rcx,%rdx,8),%xmm0
 */
#include "x86.h"

#include <string.h>

/* A bit for each opcode. */
typedef uint16_t opcode_set[16];

/* Those that have a ModRM byte: row by row of the opcode map, lowest bit first. */
static const opcode_set one_byte_modrm = {
    0x0f0f, 0x0f0f, 0x0f0f, 0x0f0f, 0, 0, 0x0a08, 0, 0xffff, 0, 0, 0, 0x00c3, 0xff0f, 0, 0xc0c0};
static const opcode_set two_byte_modrm = {0x200f, 0xffff, 0xffff, 0x0000, 0xffff, 0xffff,
                                          0xffff, 0xff7f, 0x0000, 0xffff, 0xf838, 0xffff,
                                          0x00ff, 0xffff, 0xffff, 0xffff};
/* No instructions in 64-bit mode, besides those that are prefixes. */
static const opcode_set one_byte_invalid = {0x40c0, 0xc0c0, 0x8080, 0x8080, 0, 0,
                                            0x0007, 0,      0x0004, 0x0400, 0, 0,
                                            0x4000, 0x0070, 0x0400, 0};
/* An immediate of one byte. */
static const opcode_set one_byte_imm8 = {0x1010, 0x1010, 0x1010, 0x1010, 0,      0, 0x0c00, 0xffff,
                                         0x0009, 0,      0x0100, 0x00ff, 0x2043, 0, 0x08ff, 0};
static const opcode_set two_byte_imm8 = {0, 0, 0,      0,      0,      0, 0, 0x000f,
                                         0, 0, 0x1010, 0x0400, 0x0074, 0, 0, 0};
/* An immediate of four bytes, of two with the prefix 66. */
static const opcode_set one_byte_imm32 = {0x2020, 0x2020, 0x2020, 0x2020, 0,      0, 0x0300, 0,
                                          0x0002, 0,      0x0200, 0,      0x0080, 0, 0,      0};

static bool has(const opcode_set set, unsigned opcode)
{
    return set[opcode >> 4] >> (opcode & 15) & 1;
}

struct decoder {
    const unsigned char *code;
    size_t size, at;
    bool is_short;          /* the prefix 66 */
    bool has_short_address; /* 67 */
    unsigned rex;           /* the low four bits: W, R, X, B */
    unsigned vector_map;    /* 0: no VEX */
    struct x86_instruction *ret;
};

static bool is_prefix(unsigned byte)
{
    switch (byte) {
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
    case 0x64:
    case 0x65:
    case 0x66:
    case 0x67:
    case 0xf0:
    case 0xf2:
    case 0xf3:
        return true;
    default:
        return false;
    }
}

static bool next_byte(struct decoder *decoder, unsigned *ret)
{
    if (decoder->at >= decoder->size)
        return false;
    *ret = decoder->code[decoder->at++];
    return true;
}

static bool read_number(struct decoder *decoder, unsigned size, int64_t *ret)
{
    uint64_t value = 0;

    if (size > decoder->size - decoder->at)
        return false;
    memcpy(&value, decoder->code + decoder->at, size);
    decoder->at += size;
    if (size && size < 8 && value >> (8 * size - 1) & 1)
        value |= UINT64_MAX << (8 * size);
    *ret = (int64_t)value;
    return true;
}

/* c5 RvvvvLpp; c4 RXBmmmmm WvvvvLpp; 62 RXBR0mmm Wvvvv1pp zLLbVaaa. The bits R, X, B are inverted.
 */
static bool read_vector_prefix(struct decoder *decoder, unsigned first)
{
    unsigned bytes[3] = {0}, count = first == 0xc5 ? 1 : first == 0xc4 ? 2 : 3;

    for (unsigned i = 0; i < count; i++)
        if (!next_byte(decoder, &bytes[i]))
            return false;
    decoder->rex = (~bytes[0] >> 5 & 4);
    decoder->vector_map = 1;
    if (count > 1) {
        decoder->rex |= ~bytes[0] >> 5 & 3;
        decoder->rex |= bytes[1] >> 4 & 8;
        decoder->vector_map = bytes[0] & (count == 2 ? 0x1f : 7);
    }
    return decoder->vector_map != 0;
}

static bool read_opcode(struct decoder *decoder)
{
    struct x86_instruction *ret = decoder->ret;
    unsigned byte;

    do {
        if (!next_byte(decoder, &byte))
            return false;
        decoder->is_short |= byte == 0x66;
        decoder->has_short_address |= byte == 0x67;
    } while (is_prefix(byte));
    if (byte >> 4 == 4) {
        decoder->rex = byte & 15;
        if (!next_byte(decoder, &byte))
            return false;
    }
    if (byte == 0xc4 || byte == 0xc5 || byte == 0x62) {
        ret->map = X86_VECTOR;
        if (!read_vector_prefix(decoder, byte) || !next_byte(decoder, &byte))
            return false;
    } else if (byte == 0x0f) {
        ret->map = X86_0F;
        if (!next_byte(decoder, &byte))
            return false;
        if (byte == 0x38 || byte == 0x3a) {
            ret->map = byte == 0x38 ? X86_0F38 : X86_0F3A;
            if (!next_byte(decoder, &byte))
                return false;
        }
    } else if (has(one_byte_invalid, byte)) {
        return false;
    }
    ret->opcode = (uint8_t)byte;
    ret->opcode_register = (uint8_t)((byte & 7) | (decoder->rex & 1) << 3);
    ret->is_wide = decoder->rex & 8;
    return true;
}

static bool has_modrm(const struct decoder *decoder)
{
    switch (decoder->ret->map) {
    case X86_ONE_BYTE:
        return has(one_byte_modrm, decoder->ret->opcode);
    case X86_0F:
        return has(two_byte_modrm, decoder->ret->opcode);
    case X86_VECTOR:
        return decoder->vector_map != 1 || decoder->ret->opcode != 0x77;
    default:
        return true;
    }
}

static bool read_modrm(struct decoder *decoder)
{
    struct x86_instruction *ret = decoder->ret;
    unsigned modrm, sib = 0, displacement = 0;
    int64_t value = 0;

    if (!next_byte(decoder, &modrm))
        return false;
    ret->has_modrm = true;
    ret->mod = (uint8_t)(modrm >> 6);
    ret->reg = (uint8_t)((modrm >> 3 & 7) | (decoder->rex & 4) << 1);
    ret->rm = (uint8_t)((modrm & 7) | (decoder->rex & 1) << 3);
    if (ret->mod == 3)
        return true;
    ret->base = ret->rm;
    if ((modrm & 7) == 4) {
        if (!next_byte(decoder, &sib))
            return false;
        ret->base = (uint8_t)((sib & 7) | (decoder->rex & 1) << 3);
        if ((sib >> 3 & 7) != 4 || decoder->rex & 2)
            ret->base = X86_NO_BASE;
    }
    if (ret->mod == 0 && ((modrm & 7) == 5 || ((modrm & 7) == 4 && (sib & 7) == 5))) {
        ret->base = X86_NO_BASE;
        displacement = 4;
    } else if (ret->mod) {
        displacement = ret->mod == 1 ? 1 : 4;
    }
    if (!read_number(decoder, displacement, &value))
        return false;
    ret->displacement = (int32_t)value;
    return true;
}

static unsigned one_byte_immediate(const struct decoder *decoder)
{
    const struct x86_instruction *ret = decoder->ret;
    unsigned opcode = ret->opcode;

    if (opcode >= 0xa0 && opcode <= 0xa3)
        return decoder->has_short_address ? 4 : 8;
    if (opcode >= 0xb8 && opcode <= 0xbf)
        return ret->is_wide ? 8 : decoder->is_short ? 2 : 4;
    if (opcode == 0xc2)
        return 2;
    if (opcode == 0xc8)
        return 3;
    if (opcode == 0xe8 || opcode == 0xe9)
        return 4;
    if (opcode == 0xf6 || opcode == 0xf7) {
        if ((ret->reg & 7) > 1)
            return 0;
        return opcode == 0xf6 ? 1 : decoder->is_short && !ret->is_wide ? 2 : 4;
    }
    if (has(one_byte_imm8, opcode))
        return 1;
    if (has(one_byte_imm32, opcode))
        return decoder->is_short && !ret->is_wide ? 2 : 4;
    return 0;
}

static unsigned immediate_size(const struct decoder *decoder)
{
    unsigned opcode = decoder->ret->opcode;

    switch (decoder->ret->map) {
    case X86_ONE_BYTE:
        return one_byte_immediate(decoder);
    case X86_0F:
        return opcode >> 4 == 8 ? 4 : has(two_byte_imm8, opcode);
    case X86_0F3A:
        return 1;
    case X86_VECTOR:
        return decoder->vector_map == 3 || (decoder->vector_map == 1 && has(two_byte_imm8, opcode));
    default:
        return 0;
    }
}

bool x86_decode(const unsigned char *code, size_t size, struct x86_instruction *ret)
{
    struct x86_instruction found = {.base = X86_NO_BASE};
    struct decoder decoder = {.code = code, .size = size < 15 ? size : 15, .ret = &found};

    if (!read_opcode(&decoder) || (has_modrm(&decoder) && !read_modrm(&decoder)) ||
        !read_number(&decoder, immediate_size(&decoder), &found.immediate))
        return false;
    found.length = (uint8_t)decoder.at;
    *ret = found;
    return true;
}
