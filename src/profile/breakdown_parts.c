/* SPDX-License-Identifier: MIT */
/* Amounts by pairs of numbers. */
#include "breakdown_internal.h"

void amount_add(struct amount *amount, const struct amount *more)
{
    amount->samples += more->samples;
    amount->ns += more->ns;
}

static bool pair_equal(const void *context, uint32_t index, const void *key)
{
    const breakdown_parts *parts = context;
    const struct breakdown_part *a = &parts->items[index], *b = key;

    return a->of == b->of && a->by == b->by;
}

void pairs_add(struct pairs *pairs, uint32_t of, uint32_t by, const struct amount *amount)
{
    struct breakdown_part part = {of, by, {0, 0}};
    uint64_t hash = hash_mix(of, by);
    uint32_t index = table_find(&pairs->index, hash, pair_equal, &pairs->parts, &part);

    if (index == TABLE_NONE) {
        index = (uint32_t)pairs->parts.length;
        vec_push(&pairs->parts, part);
        table_add(&pairs->index, hash, index);
    }
    amount_add(&pairs->parts.items[index].amount, amount);
}

static int compare_parts(const void *left, const void *right, void *context)
{
    const struct breakdown_part *a = left, *b = right;
    uint64_t more = share_weight(context, &a->amount), less = share_weight(context, &b->amount);

    if (a->of != b->of)
        return a->of < b->of ? -1 : 1;
    if (more != less)
        return more > less ? -1 : 1;
    return (a->by > b->by) - (a->by < b->by);
}

void pairs_finish(struct pairs *pairs, const struct share_base *base, breakdown_parts *ret)
{
    struct share_base copy = *base;

    if (pairs->parts.length)
        qsort_r(pairs->parts.items, pairs->parts.length, sizeof(pairs->parts.items[0]),
                compare_parts, &copy);
    *ret = pairs->parts;
    vec_init(&pairs->parts);
    table_deinit(&pairs->index);
}
