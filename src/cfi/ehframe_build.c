/* SPDX-License-Identifier: MIT */
/*
 * .eh_frame is a row of records: u32 length, u32 id, then the body. Id 0 is a CIE; else the record
 * is an FDE and the id is the distance back to its CIE. A CIE's augmentation tells how its FDEs
 * write addresses (LSB, exception frames chapter): "zR" and then, behind the alignment factors and
 * the return register, one byte of encoding. Assemblers write 1b (s32, relative to its own place)
 * on x86-64; 1c, 03, 0b, 00, 04 and 0c are understood as well.
 */
#include "pspy/cfi/ehframe_build.h"

#include <dwarf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "pspy/base/vec.h"

struct section {
    const unsigned char *bytes;
    size_t size;
    uint64_t vaddr;
};

struct entry {
    int32_t code, description;
};

/* LEB128, signed or not: only its length matters. Past the end it stops there. */
static size_t skip_leb(const struct section *section, size_t at)
{
    while (at < section->size && section->bytes[at] & 0x80)
        at++;
    return at + 1;
}

static size_t encoded_size(unsigned encoding)
{
    switch (encoding & 0x0f) {
    case DW_EH_PE_absptr:
    case DW_EH_PE_udata8:
    case DW_EH_PE_sdata8:
        return 8;
    case DW_EH_PE_udata4:
    case DW_EH_PE_sdata4:
        return 4;
    case DW_EH_PE_udata2:
    case DW_EH_PE_sdata2:
        return 2;
    default:
        return 0;
    }
}

/* The encoding of addresses in the FDEs of the CIE whose body begins at `at`; DW_EH_PE_omit if it
 * cannot be told. */
static unsigned code_encoding(const struct section *section, size_t at, size_t end)
{
    unsigned version = at < end ? section->bytes[at] : 0;
    const char *augmentation = (const char *)section->bytes + at + 1;
    size_t length = at + 1 < end ? strnlen(augmentation, end - at - 1) : end;

    if (at + 1 + length >= end)
        return DW_EH_PE_omit;
    if (augmentation[0] != 'z')
        return DW_EH_PE_absptr;
    at = skip_leb(section, skip_leb(section, at + 1 + length + 1));
    at = version == 1 ? at + 1 : skip_leb(section, at);
    at = skip_leb(section, at);
    for (const char *letter = augmentation + 1; *letter && at < end; letter++) {
        if (*letter == 'R')
            return section->bytes[at];
        if (*letter == 'P')
            at += encoded_size(section->bytes[at]);
        at += *letter == 'P' || *letter == 'L';
    }
    return DW_EH_PE_absptr;
}

/* The address written at `at`. */
static bool decode(const struct section *section, size_t at, unsigned encoding, uint64_t *ret)
{
    size_t size = encoded_size(encoding);
    uint64_t value = 0;

    if (size < 4 || at + size > section->size)
        return false;
    memcpy(&value, section->bytes + at, size);
    if ((encoding & 0x0f) == DW_EH_PE_sdata4)
        value = (uint64_t)(int64_t)(int32_t)value;
    switch (encoding & 0xf0) {
    case DW_EH_PE_absptr:
        break;
    case DW_EH_PE_pcrel:
        value += section->vaddr + at;
        break;
    default:
        return false;
    }
    *ret = value;
    return true;
}

/* The start of the code that the FDE at `record` describes. */
static bool code_of(const struct section *section, size_t record, uint32_t distance, uint64_t *ret)
{
    size_t cie = record + 4 - distance;
    uint32_t length, id;

    if (distance > record + 4 || cie + 8 > section->size)
        return false;
    memcpy(&length, section->bytes + cie, 4);
    memcpy(&id, section->bytes + cie + 4, 4);
    if (id != 0 || length < 4 || length > section->size - cie - 4)
        return false;
    return decode(section, record + 8, code_encoding(section, cie + 8, cie + 4 + length), ret);
}

static int by_code(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;

    return (a->code > b->code) - (a->code < b->code);
}

static bool narrow(uint64_t value, uint64_t base, int32_t *ret)
{
    int64_t distance = (int64_t)(value - base);

    *ret = (int32_t)distance;
    return *ret == distance;
}

void ehframe_build(const unsigned char *bytes, size_t size, uint64_t vaddr, uint64_t at,
                   struct strbuf *ret)
{
    const struct section section = {bytes, size, vaddr};
    VEC(struct entry) entries = VEC_INIT;
    uint32_t length, id, count;
    int32_t frames;

    for (size_t record = 0; record + 8 <= size; record += 4 + (size_t)length) {
        struct entry entry;
        uint64_t code;

        memcpy(&length, bytes + record, 4);
        memcpy(&id, bytes + record + 4, 4);
        if (length < 4 || length > size - record - 4) /* the end, 64-bit records, or damage */
            break;
        if (id != 0 && code_of(&section, record, id, &code) && code != 0 &&
            narrow(code, at, &entry.code) && narrow(vaddr + record, at, &entry.description))
            vec_push(&entries, entry);
    }
    count = (uint32_t)entries.length;
    if (count && narrow(vaddr, at + 4, &frames)) {
        qsort(entries.items, count, sizeof(entries.items[0]), by_code);
        strbuf_add(ret, "\x01\x1b\x03\x3b", 4);
        strbuf_add(ret, &frames, 4);
        strbuf_add(ret, &count, 4);
        strbuf_add(ret, entries.items, count * sizeof(entries.items[0]));
    }
    vec_deinit(&entries);
}
