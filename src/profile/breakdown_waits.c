/* SPDX-License-Identifier: MIT */
/* Where threads waited, and for what. */
#include <stdlib.h>
#include <string.h>

#include "breakdown_internal.h"

/* Threads of one name are one row; those without a name are one each. */
static bool wait_equal(const void *context, uint32_t index, const void *key)
{
    const struct making *making = context;
    const struct breakdown_wait *a = &making->breakdown->waits.items[index], *b = key;
    const struct profile_thread *threads = making->view->profile->threads.items;
    string_id name = threads[a->thread].name;

    return a->state == b->state && a->call == b->call && a->line == b->line &&
           (a->thread == b->thread || (name.v && name.v == threads[b->thread].name.v));
}

static void add_wait(struct making *making, const struct sample *sample, struct table *index)
{
    const struct view *view = making->view;
    const struct stack_places *places = &making->places[sample->stack.v];
    struct breakdown *breakdown = making->breakdown;
    struct amount amount = {view_count(view, sample), view_time(view, sample)};
    struct breakdown_wait wait = {.thread = sample->thread, .state = sample->state};
    string_id name = view->profile->threads.items[sample->thread].name;
    uint32_t at = places->program  ? places->program
                  : places->python ? places->python
                                   : places->code;
    uint64_t hash;
    uint32_t found;

    wait.call = sample->state == STATE_BLOCKED ? sample->call : 0;
    wait.line = at ? stack_line(making, at) : BREAKDOWN_NONE;
    hash = hash_mix(name.v ? name.v : (uint64_t)sample->thread << 32 | 1,
                    (uint64_t)wait.line << 32 | (uint64_t)wait.call << 8 | wait.state);
    found = table_find(index, hash, wait_equal, making, &wait);
    if (found == TABLE_NONE) {
        found = (uint32_t)breakdown->waits.length;
        vec_push(&breakdown->waits, wait);
        table_add(index, hash, found);
    }
    amount_add(&breakdown->waits.items[found].amount, &amount);
}

static int compare_waits(const void *left, const void *right, void *context)
{
    const struct breakdown_wait *a = left, *b = right;
    const struct making *making = context;
    const struct profile *profile = making->view->profile;
    const struct profile_thread *threads = profile->threads.items;
    int order = compare_weights(a->amount.ns, b->amount.ns);

    if (!order)
        order = compare_weights(a->amount.samples, b->amount.samples);
    if (!order)
        order = strcmp(profile_text(profile, threads[a->thread].name),
                       profile_text(profile, threads[b->thread].name));
    if (!order)
        order = threads[a->thread].tid - threads[b->thread].tid;
    if (!order)
        order = (int)a->state - (int)b->state;
    if (!order)
        order = (int)a->call - (int)b->call;
    return order ? order : (a->line > b->line) - (a->line < b->line);
}

void breakdown_add_waits(struct making *making)
{
    const struct view *view = making->view;
    struct breakdown *breakdown = making->breakdown;
    struct table index = TABLE_INIT;

    if (view->profile->facts.has_no_states)
        return;
    vec_each (sample, &view->samples)
        if (sample->state != STATE_RUNNING && view_count(view, sample) &&
            (!making->options->focus || making->places[sample->stack.v].focus))
            add_wait(making, sample, &index);
    table_deinit(&index);
    if (breakdown->waits.length)
        qsort_r(breakdown->waits.items, breakdown->waits.length, sizeof(breakdown->waits.items[0]),
                compare_waits, making);
}
