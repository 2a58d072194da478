/* SPDX-License-Identifier: MIT */
/*
 * A flame graph of the later recording, each frame coloured by what the same stack of functions had
 * of the earlier one. Functions are the same by their labels without lines. Roots of processes and
 * threads have numbers that differ from run to run: they are paired in their order.
 */
#include <string.h>

#include "flamegraph.h"
#include "pspy/base/cleanup.h"
#include "pspy/output/diff.h"

struct pair {
    uint32_t of[DIFF_SIDES]; /* nodes */
};

struct pairing {
    struct call_tree trees[DIFF_SIDES];
    double *before; /* by later node */
    uint64_t gone;  /* earlier samples */
    VEC(struct pair) work;
};

static const struct call_node *node_of(const struct pairing *pairing, enum diff_side side,
                                       uint32_t node)
{
    return &pairing->trees[side].nodes.items[node];
}

static bool is_numbered(const struct call_tree *tree, const struct call_node *node)
{
    return call_tree_kind(tree, node) == FRAME_MARKER && call_tree_label(tree, node)[0] != '[';
}

/* The first of the siblings from `node` on that is numbered, or that is not; `end`: none. */
static uint32_t next_of(const struct pairing *pairing, enum diff_side side, uint32_t node,
                        uint32_t end, bool numbered)
{
    while (node < end &&
           is_numbered(&pairing->trees[side], node_of(pairing, side, node)) != numbered)
        node = node_of(pairing, side, node)->end;
    return node;
}

static int compare(const struct pairing *pairing, uint32_t before, uint32_t after)
{
    const struct call_tree *a = &pairing->trees[DIFF_BEFORE], *b = &pairing->trees[DIFF_AFTER];
    const struct call_node *left = node_of(pairing, DIFF_BEFORE, before);
    const struct call_node *right = node_of(pairing, DIFF_AFTER, after);
    int order = strcmp(call_tree_label(a, left), call_tree_label(b, right));

    return order ? order : (int)call_tree_kind(a, left) - (int)call_tree_kind(b, right);
}

/* Siblings stand in the order of their labels. */
static void pair_children(struct pairing *pairing, struct pair parents, bool numbered)
{
    uint32_t end[DIFF_SIDES], at[DIFF_SIDES];

    for (int side = 0; side < DIFF_SIDES; side++) {
        end[side] = node_of(pairing, side, parents.of[side])->end;
        at[side] = next_of(pairing, side, parents.of[side] + 1, end[side], numbered);
    }
    while (at[DIFF_BEFORE] < end[DIFF_BEFORE]) {
        bool is_last = at[DIFF_AFTER] >= end[DIFF_AFTER];
        int order = is_last ? -1 : numbered ? 0 : compare(pairing, at[DIFF_BEFORE], at[DIFF_AFTER]);

        if (order == 0)
            vec_push(&pairing->work, ((struct pair){{at[DIFF_BEFORE], at[DIFF_AFTER]}}));
        if (order < 0)
            pairing->gone += node_of(pairing, DIFF_BEFORE, at[DIFF_BEFORE])->total_samples;
        for (int side = 0; side < DIFF_SIDES; side++)
            if (side == DIFF_BEFORE ? order <= 0 : order >= 0)
                at[side] = next_of(pairing, side, node_of(pairing, side, at[side])->end, end[side],
                                   numbered);
    }
}

static void pair_nodes(struct pairing *pairing)
{
    double whole = (double)node_of(pairing, DIFF_BEFORE, 0)->total_samples;

    pairing->before = xcalloc(pairing->trees[DIFF_AFTER].nodes.length, sizeof(pairing->before[0]));
    vec_push(&pairing->work, ((struct pair){{0, 0}}));
    while (pairing->work.length) {
        struct pair pair = pairing->work.items[--pairing->work.length];
        double samples = (double)node_of(pairing, DIFF_BEFORE, pair.of[DIFF_BEFORE])->total_samples;

        pairing->before[pair.of[DIFF_AFTER]] = whole > 0 ? samples / whole : 0;
        pair_children(pairing, pair, true);
        pair_children(pairing, pair, false);
    }
}

void diff_write_flamegraph(const struct diff_output *output, const struct view *before,
                           const struct view *after, struct sink *sink)
{
    const struct view *const views[DIFF_SIDES] = {before, after};
    struct output_options options = {.flame = output->flame,
                                     .min_width_percent = output->min_width_percent};
    struct pairing pairing = {.gone = 0};
    struct flame_changes changes = {.diff = output->diff, .tree = &pairing.trees[DIFF_AFTER]};
    cleanup(strbuf_deinit) struct strbuf title = STRBUF_INIT;
    uint64_t whole;

    for (int side = 0; side < DIFF_SIDES; side++) {
        call_tree_init(&pairing.trees[side]);
        call_tree_build(&pairing.trees[side], views[side], GROUP_FUNCTION);
    }
    pair_nodes(&pairing);
    strbuf_addf(&title, "%s, compared with %s", output->names[DIFF_AFTER],
                output->names[DIFF_BEFORE]);
    whole = node_of(&pairing, DIFF_BEFORE, 0)->total_samples;
    changes.title = title.text;
    changes.before = pairing.before;
    changes.gone = whole ? (double)pairing.gone / (double)whole : 0;
    flamegraph_write_changes(after, &changes, &options, sink);
    for (int side = 0; side < DIFF_SIDES; side++)
        call_tree_deinit(&pairing.trees[side]);
    vec_deinit(&pairing.work);
    free(pairing.before);
}
