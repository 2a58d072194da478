/* SPDX-License-Identifier: MIT */
/*
 * Folded stacks, "root;caller;leaf COUNT", one distinct stack a line, in the bytewise order of the
 * stacks so that two profiles can be compared with diff. All lines are held in memory to sort them:
 *
 *   <module> (app.py:9);main (app.py:6);json.loads (json/__init__.py:346) 42
 */
#include <stdlib.h>
#include <string.h>

#include "pspy/base/utf8.h"
#include "pspy/profile/query.h"
#include "writers.h"

/* What separates frames and lines cannot be part of a name. */
static void add_clean(struct strbuf *line, const char *label)
{
    while (*label) {
        uint32_t code = utf8_next(&label);
        char bytes[4];

        if (code == ';')
            code = ':';
        else if (code < 0x20 || code == 0x7f)
            code = ' ';
        strbuf_add(line, bytes, utf8_encode(code, bytes));
    }
}

struct line {
    char *stack;
    uint64_t count;
};

typedef VEC(struct line) lines;

static int compare_stacks(const void *left, const void *right)
{
    const struct line *a = left, *b = right;

    return strcmp(a->stack, b->stack);
}

/* Samples, or microseconds. */
static uint64_t node_count(const struct view *view, const struct call_node *node)
{
    return view->options.by_time ? (node->self_ns + 500) / 1000 : node->self_samples;
}

/* One line a node with samples of its own; the path to the node grows and shrinks with its depth.
 */
static void collect_lines(const struct view *view, const struct call_tree *tree, lines *ret)
{
    struct strbuf path = STRBUF_INIT;
    VEC(size_t) lengths = VEC_INIT; /* of the path up to each depth */

    vec_each (node, &tree->nodes) {
        if (node->depth == 0)
            continue;
        lengths.length = node->depth - 1;
        strbuf_truncate(&path, lengths.length ? lengths.items[lengths.length - 1] : 0);
        if (lengths.length)
            strbuf_add_char(&path, ';');
        add_clean(&path, call_tree_label(tree, node));
        vec_push(&lengths, path.length);
        if (node_count(view, node))
            vec_push(ret, ((struct line){xstrdup(path.text), node_count(view, node)}));
    }
    vec_deinit(&lengths);
    strbuf_deinit(&path);
}

/* Stacks can be alike that were not: by kind only, or by a replaced character. */
static void write_merged(const lines *sorted, struct sink *sink)
{
    uint64_t count = 0;

    for (size_t i = 0; i < sorted->length; i++) {
        const struct line *line = &sorted->items[i];

        count += line->count;
        if (i + 1 < sorted->length && !strcmp(line->stack, line[1].stack))
            continue;
        sink_text(sink, line->stack);
        sink_addf(sink, " %llu\n", (unsigned long long)count);
        count = 0;
    }
}

enum err raw_write(const struct view *view, const struct output_options *options, struct sink *sink,
                   struct error *why)
{
    struct call_tree tree;
    lines all = VEC_INIT;

    (void)options;
    (void)why;
    call_tree_init(&tree);
    call_tree_build(&tree, view, GROUP_LABEL);
    collect_lines(view, &tree, &all);
    call_tree_deinit(&tree);
    vec_sort(&all, compare_stacks);
    write_merged(&all, sink);
    vec_each (line, &all)
        free(line->stack);
    vec_deinit(&all);
    return ERR_OK;
}
