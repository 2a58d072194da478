/* SPDX-License-Identifier: MIT */
#include "pspy/base/table.h"

#include <stdlib.h>
#include <string.h>

#include "pspy/base/xmalloc.h"

void table_deinit(struct table *table)
{
    free(table->slots);
    *table = (struct table)TABLE_INIT;
}

void table_clear(struct table *table)
{
    if (table->slots)
        memset(table->slots, 0, (table->mask + 1) * sizeof(table->slots[0]));
    table->used = 0;
}

uint32_t table_find(const struct table *table, uint64_t hash, table_equal_fn *equal,
                    const void *context, const void *key)
{
    if (!table->slots)
        return TABLE_NONE;
    for (size_t at = hash & table->mask;; at = (at + 1) & table->mask) {
        const struct table_slot *slot = &table->slots[at];

        if (!slot->index_plus_1)
            return TABLE_NONE;
        if (slot->hash == hash && equal(context, slot->index_plus_1 - 1, key))
            return slot->index_plus_1 - 1;
    }
}

static void place(struct table *table, struct table_slot slot)
{
    size_t at = slot.hash & table->mask;

    while (table->slots[at].index_plus_1)
        at = (at + 1) & table->mask;
    table->slots[at] = slot;
}

static void grow(struct table *table)
{
    struct table bigger = {NULL, table->slots ? table->mask * 2 + 1 : 63, table->used};

    bigger.slots = xcalloc(bigger.mask + 1, sizeof(bigger.slots[0]));
    for (size_t at = 0; table->slots && at <= table->mask; at++)
        if (table->slots[at].index_plus_1)
            place(&bigger, table->slots[at]);
    free(table->slots);
    *table = bigger;
}

void table_add(struct table *table, uint64_t hash, uint32_t index)
{
    if (!table->slots || table->used * 4 >= (table->mask + 1) * 3)
        grow(table);
    place(table, (struct table_slot){hash, index + 1});
    table->used++;
}

/* FNV-1a, then a finalizer, because the table uses the low bits. */
uint64_t hash_bytes(const void *bytes, size_t length)
{
    const unsigned char *at = bytes;
    uint64_t hash = 0xcbf29ce484222325u;

    for (size_t i = 0; i < length; i++)
        hash = (hash ^ at[i]) * 0x100000001b3u;
    return hash_mix(hash, length);
}

/* The finalizer of splitmix64 over both halves. */
uint64_t hash_mix(uint64_t a, uint64_t b)
{
    uint64_t hash = a ^ (b * 0x9e3779b97f4a7c15u);

    hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9u;
    hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebu;
    return hash ^ (hash >> 31);
}
