/* SPDX-License-Identifier: MIT */
/*
 * .eh_frame_hdr: version 1, the encodings 1b 03 3b, the offset of .eh_frame, the number of entries,
 * then entries {code, FDE} sorted by code, both relative to the header. An FDE: u32 length, u32
 * distance to its CIE, s32 code (relative to this field), u32 bytes of code. GNU ld, gold, lld and
 * mold write this form; another one gives no answer.
 */
#include "pspy/elf/ehframe.h"

#include <string.h>

struct entry {
    int32_t code, description;
};

bool ehframe_table(const struct image *image, struct ehframe_table *ret)
{
    unsigned char head[12];
    uint64_t header, size;
    uint32_t count;

    if (!image_eh_frame_hdr(image, &header, &size) || !image_read(image, header, head, 12) ||
        memcmp(head, "\x01\x1b\x03\x3b", 4) != 0)
        return false;
    memcpy(&count, head + 8, 4);
    if (count == 0 || size < 12 || (size - 12) / 8 < count)
        return false;
    *ret = (struct ehframe_table){header, header + 12, count};
    return true;
}

static bool entry_at(const struct image *image, const struct ehframe_table *table, uint32_t index,
                     struct entry *ret)
{
    return image_read(image, table->entries + 8 * (uint64_t)index, ret, sizeof(*ret));
}

/* The last entry at or below vaddr. */
static bool search(const struct image *image, const struct ehframe_table *table, uint64_t vaddr,
                   struct entry *ret)
{
    uint32_t low = 0, high = table->count;
    struct entry entry;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (!entry_at(image, table, middle, &entry))
            return false;
        if (table->header + (uint64_t)(int64_t)entry.code <= vaddr)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && entry_at(image, table, low - 1, ret);
}

bool ehframe_range_start(const struct image *image, uint64_t vaddr, uint64_t *ret)
{
    struct ehframe_table table;
    uint64_t start, description;
    struct entry entry;
    uint32_t range;
    int32_t code;

    if (!ehframe_table(image, &table) || !search(image, &table, vaddr, &entry))
        return false;
    start = table.header + (uint64_t)(int64_t)entry.code;
    description = table.header + (uint64_t)(int64_t)entry.description;
    if (!image_read(image, description + 8, &code, 4) ||
        !image_read(image, description + 12, &range, 4) ||
        description + 8 + (uint64_t)(int64_t)code != start || vaddr - start >= range)
        return false;
    *ret = start;
    return true;
}
