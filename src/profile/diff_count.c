/* SPDX-License-Identifier: MIT */
/*
 * The weight of each function in each piece of a recording, by one walk over the tree of its
 * stacks: a stack's samples are its innermost function's own, and on the way back they are handed
 * to the caller. A function that calls itself has its total from the outermost call.
 */
#include <string.h>

#include "diff_internal.h"

#define NONE UINT32_MAX

struct walk {
    struct diff_counts *counts;
    enum diff_side side;
    const struct view *view;
    uint32_t *function_of;                /* by frame; NONE: no function */
    uint32_t *first_child, *next_sibling; /* by stack */
    uint32_t *first, *order;              /* samples of stack s: order[first[s] .. first[s + 1]) */
    uint8_t *block;                       /* by sample */
    VEC(uint32_t) active;                 /* by function: calls on the path */
    VEC(uint32_t) path;                   /* stacks, outermost first */
    VEC(struct diff_tally) sums;          /* of each of them */
};

static double weight_of(const struct walk *walk, const struct sample *sample)
{
    return (double)(walk->counts->by_time ? view_time(walk->view, sample)
                                          : view_count(walk->view, sample));
}

double diff_weight(const struct diff_tally *tally)
{
    double sum = 0;

    for (int i = 0; i < DIFF_BLOCKS; i++)
        sum += tally->blocks[i];
    return sum;
}

static void add(struct diff_tally *to, const struct diff_tally *more)
{
    to->samples += more->samples;
    to->ns += more->ns;
    for (int i = 0; i < DIFF_BLOCKS; i++)
        to->blocks[i] += more->blocks[i];
}

/* ---- functions ---- */

static bool function_equal(const void *context, uint32_t index, const void *key)
{
    const struct diff_counts *counts = context;
    const struct diff_counted *a = &counts->functions.items[index], *b = key;

    return a->name.v == b->name.v && a->file.v == b->file.v && a->kind == b->kind;
}

static uint32_t find_function(struct diff_counts *counts, const struct view *view,
                              const struct view_frame *frame)
{
    struct diff_counted function = {
        .name = strings_add(counts->texts, view_text(view, frame->name)),
        .file = strings_add(counts->texts, view_text(view, frame->short_file)),
        .kind = frame->kind};
    uint64_t hash = hash_mix((uint64_t)function.name.v << 32 | function.file.v, function.kind);
    uint32_t index = table_find(&counts->index, hash, function_equal, counts, &function);

    if (index == TABLE_NONE) {
        index = (uint32_t)counts->functions.length;
        vec_push(&counts->functions, function);
        table_add(&counts->index, hash, index);
    }
    return index;
}

/* Markers name threads and processes by numbers that no other run has. */
static void find_functions(struct walk *walk)
{
    const struct view *view = walk->view;

    walk->function_of = xreallocarray(NULL, view->frames.length + 1, sizeof(uint32_t));
    for (size_t i = 0; i < view->frames.length; i++) {
        const struct view_frame *frame = &view->frames.items[i];

        walk->function_of[i] =
            frame->kind == FRAME_MARKER ? NONE : find_function(walk->counts, view, frame);
    }
    for (size_t i = 0; i < walk->counts->functions.length; i++)
        vec_push(&walk->active, 0);
}

/* ---- samples ---- */

static void place_samples(struct walk *walk)
{
    const struct view *view = walk->view;
    double sum = 0, before = 0;
    size_t i = 0;

    walk->block = xreallocarray(NULL, view->samples.length + 1, 1);
    vec_each (sample, &view->samples)
        sum += weight_of(walk, sample);
    vec_each (sample, &view->samples) {
        double weight = weight_of(walk, sample);
        double middle = sum > 0 ? (before + weight / 2) / sum : 0;
        int block = (int)(middle * DIFF_BLOCKS);

        walk->block[i++] = (uint8_t)(block < DIFF_BLOCKS ? block : DIFF_BLOCKS - 1);
        before += weight;
    }
}

/* A counting sort by stack. */
static void sort_samples(struct walk *walk)
{
    const struct view *view = walk->view;
    size_t stacks = view->stacks.length;
    uint32_t *next;

    walk->first = xcalloc(stacks + 1, sizeof(uint32_t));
    walk->order = xreallocarray(NULL, view->samples.length + 1, sizeof(uint32_t));
    vec_each (sample, &view->samples)
        walk->first[sample->stack.v + 1]++;
    for (size_t i = 0; i < stacks; i++)
        walk->first[i + 1] += walk->first[i];
    next = xreallocarray(NULL, stacks, sizeof(uint32_t));
    memcpy(next, walk->first, stacks * sizeof(uint32_t));
    for (uint32_t i = 0; i < view->samples.length; i++)
        walk->order[next[view->samples.items[i].stack.v]++] = i;
    free(next);
}

static struct diff_tally samples_of(struct walk *walk, uint32_t stack)
{
    struct diff_tally sum = {.samples = 0};

    for (uint32_t i = walk->first[stack]; i < walk->first[stack + 1]; i++) {
        const struct sample *sample = &walk->view->samples.items[walk->order[i]];
        double weight = weight_of(walk, sample);

        sum.samples += view_count(walk->view, sample);
        sum.ns += view_time(walk->view, sample);
        sum.blocks[walk->block[walk->order[i]]] += weight;
        walk->counts->squares[walk->side] += weight * weight;
    }
    return sum;
}

/* ---- the walk ---- */

static void link_children(struct walk *walk)
{
    const struct view *view = walk->view;
    size_t count = view->stacks.length;

    walk->first_child = xreallocarray(NULL, count, sizeof(uint32_t));
    walk->next_sibling = xreallocarray(NULL, count, sizeof(uint32_t));
    memset(walk->first_child, 0xff, count * sizeof(uint32_t));
    walk->next_sibling[0] = NONE;
    for (uint32_t i = 1; i < count; i++) {
        uint32_t parent = view->stacks.items[i].parent.v;

        walk->next_sibling[i] = walk->first_child[parent];
        walk->first_child[parent] = i;
    }
}

static uint32_t function_at(const struct walk *walk, uint32_t stack)
{
    return stack ? walk->function_of[walk->view->stacks.items[stack].frame.v] : NONE;
}

static void enter(struct walk *walk, uint32_t stack)
{
    uint32_t function = function_at(walk, stack);
    struct diff_tally own = samples_of(walk, stack);

    if (function != NONE) {
        add(&walk->counts->functions.items[function].self[walk->side], &own);
        walk->active.items[function]++;
    }
    vec_push(&walk->path, stack);
    vec_push(&walk->sums, own);
}

static void leave(struct walk *walk)
{
    uint32_t function = function_at(walk, walk->path.items[--walk->path.length]);
    struct diff_tally sum = walk->sums.items[--walk->sums.length];

    if (function != NONE && --walk->active.items[function] == 0)
        add(&walk->counts->functions.items[function].total[walk->side], &sum);
    add(walk->sums.length ? &walk->sums.items[walk->sums.length - 1]
                          : &walk->counts->whole[walk->side],
        &sum);
}

static void walk_stacks(struct walk *walk)
{
    uint32_t at = 0;

    while (at != NONE) {
        enter(walk, at);
        if (walk->first_child[at] != NONE) {
            at = walk->first_child[at];
            continue;
        }
        leave(walk);
        while (walk->path.length && walk->next_sibling[at] == NONE) {
            at = walk->path.items[walk->path.length - 1];
            leave(walk);
        }
        at = walk->next_sibling[at];
    }
}

void diff_count(struct diff_counts *counts, enum diff_side side, const struct view *view)
{
    struct walk walk = {.counts = counts, .side = side, .view = view};

    find_functions(&walk);
    place_samples(&walk);
    sort_samples(&walk);
    link_children(&walk);
    walk_stacks(&walk);
    free(walk.function_of);
    free(walk.first_child);
    free(walk.next_sibling);
    free(walk.first);
    free(walk.order);
    free(walk.block);
    vec_deinit(&walk.active);
    vec_deinit(&walk.path);
    vec_deinit(&walk.sums);
}
