/* SPDX-License-Identifier: MIT */
/*
 * What a view of a profile says: its call tree, its hottest functions, its threads' shares. Results
 * are the same for the same samples in whatever order frames were interned. No walk recurses:
 * stacks can be 100,000 frames deep.
 */
#ifndef PSPY_PROFILE_QUERY_H
#define PSPY_PROFILE_QUERY_H

#include <stddef.h>
#include <stdint.h>

#include "pspy/base/strbuf.h"
#include "pspy/base/vec.h"
#include "pspy/profile/view.h"

/* Which frames count as the same. */
enum call_group {
    GROUP_LABEL,    /* those shown alike: equal label and kind */
    GROUP_FUNCTION, /* equal name, file and kind, whatever the line */
};

struct call_node {
    uint32_t
        group; /* index in call_tree.groups; groups are numbered in the order of their labels */
    uint32_t depth; /* 0: the root, "all" */
    uint32_t end;   /* index of the first node after this one's descendants */
    uint64_t self_samples;
    uint64_t total_samples; /* with all descendants */
    uint64_t self_ns;
    uint64_t total_ns;
};

struct call_group_info {
    uint32_t label; /* offset in call_tree.labels */
    frame_id frame; /* one of the frames; FRAME_NONE for "all" and "[no stack]" */
    enum frame_kind kind;
};

/*
 * The nodes in pre-order, siblings in the order of their labels: node 0 is the root, node i + 1 is
 * i's first child if its depth is greater, and nodes[i].end is i's next sibling (or its uncle).
 * Nodes without samples are left out. A sample with the empty stack counts as a marker "[no
 * stack]".
 */
struct call_tree {
    VEC(struct call_node) nodes;
    VEC(struct call_group_info) groups;
    struct strbuf labels;
};

void call_tree_init(struct call_tree *tree);
void call_tree_deinit(struct call_tree *tree);
/* Fills a tree that call_tree_init made. */
void call_tree_build(struct call_tree *tree, const struct view *view, enum call_group group);
/* GROUP_LABEL: as view_label; GROUP_FUNCTION: "name (short file)". Valid until deinit. */
const char *call_tree_label(const struct call_tree *tree, const struct call_node *node);
enum frame_kind call_tree_kind(const struct call_tree *tree, const struct call_node *node);

struct function_total {
    frame_id
        frame; /* one of the function's frames: its name, file and kind hold, its line does not */
    uint32_t rank; /* the place of the label among all labels */
    uint64_t self_samples;
    uint64_t total_samples; /* samples with the function anywhere in the stack, counted once each */
    uint64_t self_ns;
    uint64_t total_ns;
};

typedef VEC(struct function_total) function_totals;

/* Appends all functions that are code (no markers), most self samples first. */
void view_hottest(const struct view *view, function_totals *ret);

struct thread_total {
    uint64_t samples;
    uint64_t ns;
};

/* Fills ret[0 .. view->profile->threads.length - 1]. */
void view_thread_totals(const struct view *view, struct thread_total *ret);

/* The samples of each thread: sample_index.order[first[t] .. first[t + 1] - 1] are indices in
 * profile->samples, in the order of time. */
struct sample_index {
    uint32_t *order;
    uint32_t *first;
};

void sample_index_init(struct sample_index *index, const struct view *view);
void sample_index_deinit(struct sample_index *index);

#endif
