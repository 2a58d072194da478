/* SPDX-License-Identifier: MIT */
/*
 * The tree of the program's own functions. What stands in a stack between them is folded:
 *
 *     threads and processes        nodes
 *     native code above Python     nodes: a program that holds Python
 *     library code above it        left out, as soon as the program's own code follows
 *     the program's functions      nodes; one that calls itself directly is one node
 *     library, native code below   parts of the node that calls it, by name
 *
 * A stack without the program's code keeps all it has. With a focus the tree begins at the
 * outermost function that it names.
 */
#include <stdlib.h>

#include "breakdown_internal.h"

/* A node while the tree grows: parents before children. */
struct growing {
    uint32_t parent, function;
    struct amount self, total;
    uint32_t first_child, next_sibling; /* 0: none */
    uint32_t depth;
};

/* Where a stack is in the tree. */
struct spot {
    uint32_t node;
    uint32_t base; /* the node below which the program's next function stands */
    bool has_program;
    bool has_library; /* Python code of a library above the program's */
};

struct tree {
    struct making *making;
    VEC(struct growing) nodes;
    struct table index;
    struct spot *spots; /* by stack */
    struct pairs folded;
};

static bool node_equal(const void *context, uint32_t index, const void *key)
{
    const struct tree *tree = context;
    const struct growing *a = &tree->nodes.items[index], *b = key;

    return a->parent == b->parent && a->function == b->function;
}

static uint32_t tree_child(struct tree *tree, uint32_t parent, uint32_t function)
{
    struct growing node = {.parent = parent, .function = function};
    uint64_t hash = hash_mix(parent, function);
    uint32_t index;

    if (parent && tree->nodes.items[parent].function == function)
        return parent;
    index = table_find(&tree->index, hash, node_equal, tree, &node);
    if (index == TABLE_NONE) {
        index = (uint32_t)tree->nodes.length;
        node.depth = tree->nodes.items[parent].depth + 1;
        vec_push(&tree->nodes, node);
        table_add(&tree->index, hash, index);
    }
    return index;
}

static struct spot spot_of(struct tree *tree, uint32_t stack)
{
    const struct making *making = tree->making;
    uint32_t parent = making->view->stacks.items[stack].parent.v;
    uint32_t function = stack_function(making, stack), focus = making->places[stack].focus;
    enum frame_kind kind = stack_frame(making, stack)->kind;
    struct spot spot = tree->spots[parent];

    if (making->options->focus && !focus)
        return (struct spot){0, 0, false, false};
    if (!is_code(kind)) {
        if (!making->places[stack].code)
            spot.node = spot.base = tree_child(tree, spot.node, function);
    } else if (kind == FRAME_PYTHON || focus == stack) {
        spot.node = spot.base =
            tree_child(tree, spot.has_program ? spot.node : spot.base, function);
        spot.has_program = kind == FRAME_PYTHON;
    } else if (!spot.has_program) {
        spot.node = tree_child(tree, spot.node, function);
        spot.has_library = spot.has_library || kind != FRAME_NATIVE;
        if (!spot.has_library)
            spot.base = spot.node;
    }
    return spot;
}

/* What the node calls, in which this stack ends; BREAKDOWN_NONE: it ends in the node itself. */
static uint32_t folded_function(const struct tree *tree, uint32_t stack)
{
    const struct stack_places *places = &tree->making->places[stack];
    uint32_t outermost = places->library ? places->library : places->code;

    if (!tree->spots[stack].has_program || places->code == places->program)
        return BREAKDOWN_NONE;
    return stack_function(tree->making, outermost);
}

static void grow(struct tree *tree)
{
    const struct making *making = tree->making;
    struct growing root = {.function = BREAKDOWN_NONE};

    vec_push(&tree->nodes, root);
    tree->spots = xcalloc(making->view->stacks.length, sizeof(tree->spots[0]));
    for (uint32_t i = 1; i < making->view->stacks.length; i++) {
        const struct amount *own = &making->own[i];
        uint32_t folded;

        if (!making->below[i].samples)
            continue;
        tree->spots[i] = spot_of(tree, i);
        if (!own->samples)
            continue;
        amount_add(&tree->nodes.items[tree->spots[i].node].self, own);
        folded = folded_function(tree, i);
        if (folded != BREAKDOWN_NONE)
            pairs_add(&tree->folded, tree->spots[i].node, folded, own);
    }
    amount_add(&tree->nodes.items[0].self, &making->own[0]);
    for (size_t i = tree->nodes.length; i-- > 0;) {
        struct growing *node = &tree->nodes.items[i];

        amount_add(&node->total, &node->self);
        if (i)
            amount_add(&tree->nodes.items[node->parent].total, &node->total);
    }
}

/* ---- the order of children, and which stay ---- */

static int compare_children(const void *left, const void *right, void *context)
{
    const struct tree *tree = context;
    const struct share_base *base = &tree->making->breakdown->base;
    const struct growing *a = &tree->nodes.items[*(const uint32_t *)left];
    const struct growing *b = &tree->nodes.items[*(const uint32_t *)right];
    uint64_t more = share_weight(base, &a->total), less = share_weight(base, &b->total);

    if (more != less)
        return more > less ? -1 : 1;
    return (a->function > b->function) - (a->function < b->function);
}

/* Putting each node before its parent's chain, from the last to the first, orders all chains. */
static void link_children(struct tree *tree)
{
    size_t count = tree->nodes.length;
    uint32_t *order = xcalloc(count, sizeof(order[0]));

    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    qsort_r(order, count, sizeof(order[0]), compare_children, tree);
    for (size_t i = count; i-- > 0;) {
        struct growing *node = &tree->nodes.items[order[i]];

        if (order[i] == 0 || !node->total.samples)
            continue;
        node->next_sibling = tree->nodes.items[node->parent].first_child;
        tree->nodes.items[node->parent].first_child = order[i];
    }
    free(order);
}

static bool is_shown(const struct tree *tree, const struct growing *node)
{
    const struct making *making = tree->making;

    return node->depth <= making->options->most_depth &&
           share_of(&making->breakdown->base, &node->total).value >= making->options->least_branch;
}

/* The next node of the chain that stays, from `at` on; those before it are counted. 0: none. */
static uint32_t skip_small(struct tree *tree, uint32_t at, struct breakdown_node *parent)
{
    for (; at; at = tree->nodes.items[at].next_sibling) {
        const struct growing *node = &tree->nodes.items[at];

        if (is_shown(tree, node))
            break;
        amount_add(&parent->omitted, &node->total);
        parent->omitted_branches++;
    }
    return at;
}

static uint32_t copy_node(struct tree *tree, uint32_t at)
{
    const struct growing *node = &tree->nodes.items[at];
    struct breakdown_node copy = {
        .function = node->function, .depth = node->depth, .self = node->self, .total = node->total};

    vec_push(&tree->making->breakdown->tree, copy);
    return (uint32_t)tree->making->breakdown->tree.length - 1;
}

static void lay_out(struct tree *tree, uint32_t *placed)
{
    struct breakdown *breakdown = tree->making->breakdown;
    uint32_t at = 0;

    for (;;) {
        uint32_t next;

        placed[at] = copy_node(tree, at);
        next =
            skip_small(tree, tree->nodes.items[at].first_child, &breakdown->tree.items[placed[at]]);
        while (!next) {
            uint32_t parent = tree->nodes.items[at].parent;

            breakdown->tree.items[placed[at]].end = (uint32_t)breakdown->tree.length;
            if (at == 0)
                return;
            next = skip_small(tree, tree->nodes.items[at].next_sibling,
                              &breakdown->tree.items[placed[parent]]);
            at = parent;
        }
        at = next;
    }
}

/* Parts of nodes that are not shown go with them. */
static void place_folded(struct tree *tree, const uint32_t *placed)
{
    struct breakdown *breakdown = tree->making->breakdown;

    pairs_finish(&tree->folded, &breakdown->base, &breakdown->folded);
    for (uint32_t i = 0; i < breakdown->folded.length; i++) {
        struct breakdown_part *part = &breakdown->folded.items[i];
        struct breakdown_node *node;

        part->of = placed[part->of];
        if (part->of == BREAKDOWN_NONE)
            continue;
        node = &breakdown->tree.items[part->of];
        node->first_part = node->parts++ ? node->first_part : i;
    }
}

void breakdown_add_tree(struct making *making)
{
    struct tree tree = {.making = making};
    uint32_t *placed;

    grow(&tree);
    link_children(&tree);
    placed = xreallocarray(NULL, tree.nodes.length, sizeof(placed[0]));
    for (size_t i = 0; i < tree.nodes.length; i++)
        placed[i] = BREAKDOWN_NONE;
    lay_out(&tree, placed);
    place_folded(&tree, placed);
    free(placed);
    free(tree.spots);
    vec_deinit(&tree.nodes);
    table_deinit(&tree.index);
}
