/* SPDX-License-Identifier: MIT */
/*
 * The joined recordings' samples and programs in the order of time: runs of samples, each in order,
 * are merged by a heap of their heads.
 */
#include "join_internal.h"

/* Runs with samples left, a heap by the time of the next one; among equals the first run's. */
struct heads {
    struct join *join;
    uint32_t *items;
    size_t length;
};

static bool comes_before(const struct heads *heads, uint32_t a, uint32_t b)
{
    const struct join *join = heads->join;
    uint64_t left = join->into->samples.items[join->runs.items[a].next].time;
    uint64_t right = join->into->samples.items[join->runs.items[b].next].time;

    return left != right ? left < right : a < b;
}

static void sift_down(struct heads *heads, size_t at)
{
    for (;;) {
        size_t least = at, child = 2 * at + 1;
        uint32_t moved = heads->items[at];

        for (size_t i = child; i < child + 2 && i < heads->length; i++)
            if (comes_before(heads, heads->items[i], heads->items[least]))
                least = i;
        if (least == at)
            return;
        heads->items[at] = heads->items[least];
        heads->items[least] = moved;
        at = least;
    }
}

void join_order_samples(struct join *join)
{
    struct profile *into = join->into;
    struct heads heads = {.join = join};
    struct samples ordered;

    samples_init(&ordered);
    heads.items = xreallocarray(NULL, join->runs.length + 1, sizeof(heads.items[0]));
    for (uint32_t i = 0; i < join->runs.length; i++)
        if (join->runs.items[i].next < join->runs.items[i].end)
            heads.items[heads.length++] = i;
    for (size_t i = heads.length; i-- > 0;)
        sift_down(&heads, i);
    while (heads.length) {
        struct joined *run = &join->runs.items[heads.items[0]];
        struct sample sample = into->samples.items[run->next++];

        sample.time -= join->start;
        samples_push(&ordered, &sample);
        if (run->next == run->end)
            heads.items[0] = heads.items[--heads.length];
        sift_down(&heads, 0);
    }
    free(heads.items);
    samples_deinit(&into->samples);
    into->samples = ordered;
    into->settled = ordered.length;
}

struct placed_program {
    struct profile_program program;
    uint32_t was;
};

static int compare_programs(const void *left, const void *right)
{
    const struct placed_program *a = left, *b = right;

    if (a->program.since != b->program.since)
        return a->program.since < b->program.since ? -1 : 1;
    return (a->was > b->was) - (a->was < b->was);
}

/* A parent began no later than its children, and stays before them. */
void join_order_programs(struct join *join)
{
    struct profile *into = join->into;
    VEC(struct placed_program) placed = VEC_INIT;
    uint32_t *moved = xreallocarray(NULL, into->programs.length + 1, sizeof(moved[0]));

    for (uint32_t i = 0; i < into->programs.length; i++) {
        struct placed_program place = {into->programs.items[i], i};
        uint32_t parent = place.program.parent;

        if (parent != PROFILE_NONE && placed.items[parent].program.since > place.program.since)
            place.program.since = placed.items[parent].program.since;
        vec_push(&placed, place);
    }
    vec_sort(&placed, compare_programs);
    for (uint32_t i = 0; i < placed.length; i++)
        moved[placed.items[i].was] = i;
    for (uint32_t i = 0; i < placed.length; i++) {
        struct profile_program *program = &into->programs.items[i];

        *program = placed.items[i].program;
        program->since -= join->start;
        if (program->parent != PROFILE_NONE)
            program->parent = moved[program->parent];
    }
    vec_deinit(&placed);
    free(moved);
}
