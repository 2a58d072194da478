/* SPDX-License-Identifier: MIT */
#include "cfi_reader.h"

#include <dwarf.h>
#include <stddef.h>

uint64_t cfi_read_number(struct cfi_reader *reader, unsigned size)
{
    uint64_t value = 0;

    if ((size_t)(reader->end - reader->at) < size) {
        reader->is_bad = true;
        reader->at = reader->end;
        return 0;
    }
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)reader->at[i] << 8 * i;
    reader->at += size;
    return value;
}

static uint64_t read_leb(struct cfi_reader *reader, bool is_signed)
{
    uint64_t value = 0, byte;
    unsigned shift = 0;

    do {
        if (reader->at == reader->end) {
            reader->is_bad = true;
            return 0;
        }
        byte = *reader->at++;
        if (shift < 64)
            value |= (byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80);
    if (is_signed && shift < 64 && byte & 0x40)
        value |= ~(uint64_t)0 << shift;
    return value;
}

uint64_t cfi_read_uleb(struct cfi_reader *reader)
{
    return read_leb(reader, false);
}

int64_t cfi_read_sleb(struct cfi_reader *reader)
{
    return (int64_t)read_leb(reader, true);
}

uint64_t cfi_read_pointer(struct cfi_reader *reader, unsigned encoding, uint64_t vaddr)
{
    uint64_t value = 0;

    switch (encoding & 0x0f) {
    case DW_EH_PE_absptr:
    case DW_EH_PE_udata8:
    case DW_EH_PE_sdata8:
        value = cfi_read_number(reader, 8);
        break;
    case DW_EH_PE_udata2:
        value = cfi_read_number(reader, 2);
        break;
    case DW_EH_PE_sdata2:
        value = (uint64_t)(int64_t)(int16_t)cfi_read_number(reader, 2);
        break;
    case DW_EH_PE_udata4:
        value = cfi_read_number(reader, 4);
        break;
    case DW_EH_PE_sdata4:
        value = (uint64_t)(int64_t)(int32_t)cfi_read_number(reader, 4);
        break;
    case DW_EH_PE_uleb128:
        value = cfi_read_uleb(reader);
        break;
    case DW_EH_PE_sleb128:
        value = (uint64_t)cfi_read_sleb(reader);
        break;
    default:
        reader->is_bad = true;
    }
    if ((encoding & 0xf0) == DW_EH_PE_pcrel)
        return value + vaddr;
    reader->is_bad |= (encoding & 0xf0) != DW_EH_PE_absptr;
    return value;
}

struct cfi_reader cfi_read_block(struct cfi_reader *reader)
{
    uint64_t size = cfi_read_uleb(reader);
    struct cfi_reader block = {reader->at, reader->at, reader->is_bad};

    if (size > (uint64_t)(reader->end - reader->at)) {
        reader->is_bad = block.is_bad = true;
        return block;
    }
    reader->at += size;
    block.end = reader->at;
    return block;
}
