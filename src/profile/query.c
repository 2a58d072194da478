/* SPDX-License-Identifier: MIT */
/*
 * From samples to a tree: (1) each frame gets the number of its group, groups numbered in the order
 * of their labels; (2) the stacks' prefix tree, whose frames differ by address or line, is folded
 * into one whose nodes differ by group; (3) samples are counted at their nodes and handed up to the
 * callers; (4) the nodes are laid out in pre-order. Every step is a loop over an array: a parent
 * comes before its children in each of them.
 */
#include "pspy/profile/query.h"

#include <stdlib.h>
#include <string.h>

#define ROOT_LABEL     "all"
#define NO_STACK_LABEL "[no stack]"
#define NONE           UINT32_MAX

void call_tree_init(struct call_tree *tree)
{
    vec_init(&tree->nodes);
    vec_init(&tree->groups);
    strbuf_init(&tree->labels);
}

void call_tree_deinit(struct call_tree *tree)
{
    vec_deinit(&tree->nodes);
    vec_deinit(&tree->groups);
    strbuf_deinit(&tree->labels);
}

static const struct call_group_info *group_of(const struct call_tree *tree,
                                              const struct call_node *node)
{
    return &tree->groups.items[node->group];
}

const char *call_tree_label(const struct call_tree *tree, const struct call_node *node)
{
    return tree->labels.text + group_of(tree, node)->label;
}

enum frame_kind call_tree_kind(const struct call_tree *tree, const struct call_node *node)
{
    return group_of(tree, node)->kind;
}

/* ---- groups ------------------------------------------------------------------------------------
 */

/* A frame, or one of the two groups without a frame, on its way into a group. */
struct member {
    const char *labels; /* the base of label */
    const char *file;   /* full path; "" where it does not tell groups apart */
    uint32_t label;
    uint32_t frame; /* index of the frame; NONE for "all", NONE - 1 for "[no stack]" */
    enum frame_kind kind;
};

typedef VEC(struct member) members;

static int compare_groups(const struct member *a, const struct member *b)
{
    int order = strcmp(a->labels + a->label, b->labels + b->label);

    if (!order)
        order = strcmp(a->file, b->file);
    return order ? order : (int)a->kind - (int)b->kind;
}

static int compare_members(const void *left, const void *right)
{
    const struct member *a = left, *b = right;
    int order = compare_groups(a, b);

    return order ? order : (a->frame > b->frame) - (a->frame < b->frame);
}

static void add_function_label(const struct view *view, const struct view_frame *info,
                               struct strbuf *labels)
{
    const char *file = view_text(view, info->short_file);

    strbuf_add_text(labels, view_text(view, info->name));
    if (*file)
        strbuf_addf(labels, " (%s)", file);
}

static void add_member(members *all, struct strbuf *labels, struct member member, const char *text)
{
    member.label = (uint32_t)labels->length;
    if (text)
        strbuf_add(labels, text, strlen(text) + 1);
    vec_push(all, member);
}

static void collect_members(const struct view *view, enum call_group group, members *all,
                            struct strbuf *labels)
{
    for (uint32_t frame = 0; frame < view->frames.length; frame++) {
        const struct view_frame *info = &view->frames.items[frame];
        const char *file = group == GROUP_FUNCTION ? view_text(view, info->file) : "";

        add_member(all, labels, (struct member){.file = file, .frame = frame, .kind = info->kind},
                   NULL);
        if (group == GROUP_FUNCTION && info->name.v)
            add_function_label(view, info, labels);
        else
            view_label(view, (frame_id){frame}, labels);
        strbuf_add_char(labels, '\0');
    }
    add_member(all, labels, (struct member){.file = "", .frame = NONE - 1, .kind = FRAME_MARKER},
               NO_STACK_LABEL);
    add_member(all, labels, (struct member){.file = "", .frame = NONE, .kind = FRAME_MARKER},
               ROOT_LABEL);
    vec_each (member, all)
        member->labels = labels->text; /* only now does the text stay where it is */
}

/* Where the folding finds a frame's group. */
struct grouping {
    uint32_t *of_frame; /* by frame index; the two last are "[no stack]" and "all" */
    uint32_t frames;
};

/* Numbers the groups in the order of their labels. */
static struct grouping group_frames(const struct view *view, enum call_group group,
                                    struct call_tree *tree)
{
    struct grouping ret = {NULL, (uint32_t)view->frames.length};
    members all = VEC_INIT;

    collect_members(view, group, &all, &tree->labels);
    vec_sort(&all, compare_members);
    ret.of_frame = xreallocarray(NULL, all.length, sizeof(ret.of_frame[0]));
    for (size_t i = 0; i < all.length; i++) {
        const struct member *member = &all.items[i];
        frame_id frame = {member->frame < ret.frames ? member->frame : FRAME_NONE.v};
        struct call_group_info info = {member->label, frame, member->kind};

        if (i == 0 || compare_groups(member - 1, member))
            vec_push(&tree->groups, info);
        ret.of_frame[member->frame < ret.frames ? member->frame
                                                : ret.frames + (member->frame == NONE)] =
            (uint32_t)tree->groups.length - 1;
    }
    vec_deinit(&all);
    return ret;
}

/* ---- folding -----------------------------------------------------------------------------------
 */

/* A node while the tree grows: parents before children, siblings in any order. */
struct fold_node {
    struct call_node node;
    uint32_t parent;
    uint32_t first_child; /* set by link_children */
    uint32_t next_sibling;
};

typedef VEC(struct fold_node) fold_nodes;

struct fold {
    const struct view *view;
    struct grouping grouping;
    fold_nodes nodes;
    struct table index;
};

static bool fold_equal(const void *context, uint32_t index, const void *key)
{
    const struct fold *fold = context;
    const struct fold_node *a = &fold->nodes.items[index], *b = key;

    return a->parent == b->parent && a->node.group == b->node.group;
}

static uint32_t fold_child(struct fold *fold, uint32_t parent, uint32_t group)
{
    struct fold_node node = {.node = {.group = group}, .parent = parent};
    uint64_t hash = hash_mix(parent, group);
    uint32_t index = table_find(&fold->index, hash, fold_equal, fold, &node);

    if (index == TABLE_NONE) {
        node.node.depth = fold->nodes.items[parent].node.depth + 1;
        node.first_child = node.next_sibling = NONE;
        index = (uint32_t)fold->nodes.length;
        vec_push(&fold->nodes, node);
        table_add(&fold->index, hash, index);
    }
    return index;
}

/* The node of every stack; the empty one's is "[no stack]", though other stacks grow from the root.
 */
static uint32_t *fold_stacks(struct fold *fold)
{
    const struct view *view = fold->view;
    uint32_t *node_of = xreallocarray(NULL, view->stacks.length, sizeof(node_of[0]));
    struct fold_node root = {.node = {.group = fold->grouping.of_frame[fold->grouping.frames + 1]},
                             .parent = NONE,
                             .first_child = NONE,
                             .next_sibling = NONE};

    vec_push(&fold->nodes, root);
    node_of[0] = 0;
    for (size_t i = 1; i < view->stacks.length; i++) {
        const struct stack_node *stack = &view->stacks.items[i];

        node_of[i] =
            fold_child(fold, node_of[stack->parent.v], fold->grouping.of_frame[stack->frame.v]);
    }
    node_of[0] = fold_child(fold, 0, fold->grouping.of_frame[fold->grouping.frames]);
    return node_of;
}

static void count_samples(struct fold *fold, const uint32_t *node_of)
{
    vec_each (sample, &fold->view->samples) {
        struct call_node *node = &fold->nodes.items[node_of[sample->stack.v]].node;

        node->self_samples += view_count(fold->view, sample);
        node->self_ns += view_time(fold->view, sample);
    }
    for (size_t i = fold->nodes.length; i-- > 0;) {
        struct fold_node *child = &fold->nodes.items[i];

        child->node.total_samples += child->node.self_samples;
        child->node.total_ns += child->node.self_ns;
        if (child->parent != NONE) {
            struct call_node *parent = &fold->nodes.items[child->parent].node;

            parent->total_samples += child->node.total_samples;
            parent->total_ns += child->node.total_ns;
        }
    }
}

/* ---- pre-order ---------------------------------------------------------------------------------
 */

static int compare_siblings(const void *left, const void *right, void *context)
{
    const fold_nodes *nodes = context;
    uint32_t a = nodes->items[*(const uint32_t *)left].node.group;
    uint32_t b = nodes->items[*(const uint32_t *)right].node.group;

    return (a > b) - (a < b);
}

/* Chains each node's children in the order of their groups: going through all nodes from the last
 * group to the first and putting each before its parent's chain needs no sorting per parent. */
static void link_children(fold_nodes *nodes)
{
    uint32_t *order = xreallocarray(NULL, nodes->length, sizeof(order[0]));

    for (uint32_t i = 0; i < nodes->length; i++)
        order[i] = i;
    qsort_r(order, nodes->length, sizeof(order[0]), compare_siblings, nodes);
    for (size_t i = nodes->length; i-- > 0;) {
        struct fold_node *node = &nodes->items[order[i]];

        if (node->parent == NONE || !node->node.total_samples)
            continue;
        node->next_sibling = nodes->items[node->parent].first_child;
        nodes->items[node->parent].first_child = order[i];
    }
    free(order);
}

/* Copies the nodes in pre-order; `end` is set when the walk leaves a node. */
static void lay_out(const fold_nodes *nodes, struct call_tree *tree)
{
    uint32_t *placed = xreallocarray(NULL, nodes->length, sizeof(placed[0]));
    uint32_t at = 0;

    while (at != NONE) {
        const struct fold_node *node = &nodes->items[at];

        placed[at] = (uint32_t)tree->nodes.length;
        vec_push(&tree->nodes, node->node);
        if (node->first_child != NONE) {
            at = node->first_child;
            continue;
        }
        while (at != NONE) {
            tree->nodes.items[placed[at]].end = (uint32_t)tree->nodes.length;
            if (nodes->items[at].next_sibling != NONE)
                break;
            at = nodes->items[at].parent;
        }
        if (at != NONE)
            at = nodes->items[at].next_sibling;
    }
    free(placed);
}

void call_tree_build(struct call_tree *tree, const struct view *view, enum call_group group)
{
    struct fold fold = {.view = view, .nodes = VEC_INIT, .index = TABLE_INIT};
    uint32_t *node_of;

    fold.grouping = group_frames(view, group, tree);
    node_of = fold_stacks(&fold);
    count_samples(&fold, node_of);
    link_children(&fold.nodes);
    lay_out(&fold.nodes, tree);
    free(node_of);
    free(fold.grouping.of_frame);
    vec_deinit(&fold.nodes);
    table_deinit(&fold.index);
}

/* ---- totals ------------------------------------------------------------------------------------
 */

static int compare_hottest(const void *left, const void *right)
{
    const struct function_total *a = left, *b = right;

    if (a->self_samples != b->self_samples)
        return a->self_samples < b->self_samples ? 1 : -1;
    if (a->total_samples != b->total_samples)
        return a->total_samples < b->total_samples ? 1 : -1;
    return (a->rank > b->rank) - (a->rank < b->rank);
}

/* Adds each node to its group; to the totals only where no caller is of the same group. */
static void add_nodes(const struct call_tree *tree, struct function_total *totals)
{
    uint32_t *active = xcalloc(tree->groups.length, sizeof(active[0]));
    VEC(uint32_t) path = VEC_INIT;

    vec_each (node, &tree->nodes) {
        struct function_total *total = &totals[node->group];

        while (path.length > node->depth)
            active[path.items[--path.length]]--;
        total->self_samples += node->self_samples;
        total->self_ns += node->self_ns;
        if (!active[node->group]++) {
            total->total_samples += node->total_samples;
            total->total_ns += node->total_ns;
        }
        vec_push(&path, node->group);
    }
    vec_deinit(&path);
    free(active);
}

void view_hottest(const struct view *view, function_totals *ret)
{
    struct call_tree tree;
    struct function_total *totals;

    call_tree_init(&tree);
    call_tree_build(&tree, view, GROUP_FUNCTION);
    totals = xcalloc(tree.groups.length, sizeof(totals[0]));
    add_nodes(&tree, totals);
    for (size_t i = 0; i < tree.groups.length; i++) {
        totals[i].frame = tree.groups.items[i].frame;
        totals[i].rank = (uint32_t)i;
        if (tree.groups.items[i].kind < FRAME_MARKER && totals[i].total_samples)
            vec_push(ret, totals[i]);
    }
    vec_sort(ret, compare_hottest);
    free(totals);
    call_tree_deinit(&tree);
}

void view_thread_totals(const struct view *view, struct thread_total *ret)
{
    memset(ret, 0, view->profile->threads.length * sizeof(ret[0]));
    vec_each (sample, &view->samples) {
        ret[sample->thread].samples += view_count(view, sample);
        ret[sample->thread].ns += view_time(view, sample);
    }
}

/* A counting sort: stable, so each thread keeps the order of time. */
void sample_index_init(struct sample_index *index, const struct view *view)
{
    size_t threads = view->profile->threads.length;
    uint32_t *next;

    index->first = xcalloc(threads + 1, sizeof(index->first[0]));
    index->order = xreallocarray(NULL, view->samples.length, sizeof(index->order[0]));
    vec_each (sample, &view->samples)
        index->first[sample->thread + 1]++;
    for (size_t i = 0; i < threads; i++)
        index->first[i + 1] += index->first[i];
    next = xcalloc(threads + 1, sizeof(next[0]));
    memcpy(next, index->first, threads * sizeof(next[0]));
    for (uint32_t i = 0; i < view->samples.length; i++)
        index->order[next[view->samples.items[i].thread]++] = i;
    free(next);
}

void sample_index_deinit(struct sample_index *index)
{
    free(index->order);
    free(index->first);
}
