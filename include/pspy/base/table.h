/* SPDX-License-Identifier: MIT */
/*
 * A hash index: finds which element of the caller's own array equals a key. It stores hashes and
 * 32-bit indices only; the caller owns the elements and says when two are equal.
 */
#ifndef PSPY_BASE_TABLE_H
#define PSPY_BASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_slot {
    uint64_t hash;
    uint32_t index_plus_1; /* 0: empty */
};

struct table {
    struct table_slot *slots;
    size_t mask; /* slots - 1; slots is a power of two, or 0 before the first insert */
    size_t used;
};

#define TABLE_INIT                                                                                 \
    {                                                                                              \
        NULL, 0, 0                                                                                 \
    }
#define TABLE_NONE UINT32_MAX

/* Whether element `index` of the array behind `context` equals `key`. */
typedef bool table_equal_fn(const void *context, uint32_t index, const void *key);

void table_deinit(struct table *table);
/* Forgets all elements, keeps the room. */
void table_clear(struct table *table);
/* The element that equals `key`, or TABLE_NONE. */
uint32_t table_find(const struct table *table, uint64_t hash, table_equal_fn *equal,
                    const void *context, const void *key);
/* Adds element `index`, which must not be in the table yet. */
void table_add(struct table *table, uint64_t hash, uint32_t index);

uint64_t hash_bytes(const void *bytes, size_t length);
uint64_t hash_mix(uint64_t a, uint64_t b);

#endif
