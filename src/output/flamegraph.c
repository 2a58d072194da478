/* SPDX-License-Identifier: MIT */
/*
 * A flame graph as one SVG file: complete as a picture (fixed width, labels cut to fit),
 * interactive where scripts run (viewer/flamegraph.js is embedded). Width is samples, depth is the
 * call stack, siblings stand in the order of their names; there is no time axis.
 *
 *   svg > title, style, #background, #title, #subtitle, #legend, .note, #hint, #frames, script
 *   #frames > g.f[data-s][data-n] > title, rect, text     in pre-order, x and width in percent
 *
 * Browsers become slow with the number of elements, so that frames are left out by share until at
 * most FRAMES_MAX remain, and below DEPTH_MAX; the page says how many samples that concerns.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "assets.h"
#include "flamegraph.h"
#include "pspy/base/clock.h"
#include "writers.h"
#include "xml.h"

#define FRAMES_MAX 4900 /* with the legend and the background fewer than 5,000 rectangles */
#define DEPTH_MAX                                                                                  \
    1000 /* rows below the root; a Python recursion to its limit still shows its end */
#define MIN_PERCENT 0.01

/* Pixels. viewer/flamegraph.js takes what it needs from the page's data- attributes. */
#define PAGE_WIDTH    1200
#define MARGIN        10
#define FRAMES_WIDTH  (PAGE_WIDTH - 2 * MARGIN)
#define ROW           18
#define COLUMN        7.3 /* of the labels' font; real fonts of 12 px take 7.2 to 7.23 */
#define TITLE_COLUMN  9
#define LEGEND_COLUMN 6.3
#define TEXT_INDENT   4
#define THIN          3 /* narrower frames have no border, it would cover them */
#define NOTE_HEIGHT   17
#define EMPTY_HEIGHT  100

#define SHADES 6

struct flamegraph {
    const struct view *view;
    const struct flame_changes *changes; /* NULL: colours are kinds of code */
    struct sink *sink;
    struct call_tree tree;
    bool root_below;
    uint64_t total;             /* samples */
    uint64_t min_samples;       /* of a frame to be drawn */
    uint32_t rows;              /* drawn, the root's included */
    uint64_t narrow;            /* samples that end in a frame too narrow to be drawn */
    uint64_t deep;              /* samples that go on below the last row */
    uint64_t self[FRAME_KINDS]; /* samples that end in a frame of each kind */
    bool occurs[FRAME_KINDS];   /* a frame of this kind is drawn */
};

static const struct {
    char class; /* in flamegraph.css */
    const char *legend;
} kinds[FRAME_KINDS] = {
    [FRAME_PYTHON] = {'p', "Python"},           [FRAME_STDLIB] = {'s', "standard library"},
    [FRAME_SITE] = {'k', "site-packages"},      [FRAME_NATIVE] = {'n', "native"},
    [FRAME_INTERPRETER] = {'i', "interpreter"}, [FRAME_MARKER] = {'m', "no code"},
    [FRAME_SYSTEM] = {'y', "system"},           [FRAME_WAITING] = {'w', "waiting"},
};

/* ---- numbers -----------------------------------------------------------------------------------
 */

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

/* 1234567 as "1,234,567". */
static const char *grouped(uint64_t number, char room[32])
{
    char digits[24];
    int length = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)number), at = 0;

    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0)
            room[at++] = ',';
        room[at++] = digits[i];
    }
    room[at] = '\0';
    return room;
}

/* ---- what is drawn -----------------------------------------------------------------------------
 */

static int compare_counts(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

    return (a < b) - (a > b);
}

/* The least count that keeps the page under FRAMES_MAX: callers count at least what their callees
 * do, so no frame loses its caller by it. */
static uint64_t choose_min_samples(const struct flamegraph *graph)
{
    VEC(uint64_t) counts = VEC_INIT;
    uint64_t ret = 1;

    vec_each (node, &graph->tree.nodes)
        if (node->depth <= DEPTH_MAX)
            vec_push(&counts, node->total_samples);
    if (counts.length > FRAMES_MAX) {
        vec_sort(&counts, compare_counts);
        ret = counts.items[FRAMES_MAX] + 1;
    }
    vec_deinit(&counts);
    return ret;
}

static void note_drawn(struct flamegraph *graph, const struct call_node *node)
{
    if (node->depth >= graph->rows)
        graph->rows = node->depth + 1;
    if (node->depth > 0) /* the root is no frame */
        graph->occurs[call_tree_kind(&graph->tree, node)] = true;
}

static void set_limits(struct flamegraph *graph, double min_percent)
{
    double least = (min_percent > 0 ? min_percent : MIN_PERCENT) / 100 * (double)graph->total;

    graph->min_samples = min_percent > 0 ? 1 : choose_min_samples(graph);
    if ((double)graph->min_samples < least)
        graph->min_samples = (uint64_t)least + ((double)(uint64_t)least < least);
    vec_each (node, &graph->tree.nodes) {
        graph->self[call_tree_kind(&graph->tree, node)] += node->self_samples;
        if (node->total_samples < graph->min_samples)
            graph->narrow += node->self_samples;
        else if (node->depth > DEPTH_MAX)
            graph->deep += node->self_samples;
        else
            note_drawn(graph, node);
    }
}

/* ---- frames ------------------------------------------------------------------------------------
 */

/* Classes by change. */
static const struct {
    double least; /* percent points */
    const char *more, *less;
} steps[] = {{10, "u3", "d3"}, {5, "u2", "d2"}, {2, "u1", "d1"}, {0, "u0", "d0"}};

static double share_before(const struct flamegraph *graph, const struct call_node *node)
{
    return graph->changes->before[node - graph->tree.nodes.items];
}

static const char *change_class(const struct flamegraph *graph, const struct call_node *node)
{
    double before = share_before(graph, node);
    double after = percent(node->total_samples, graph->total) / 100;
    size_t step = 0;

    if (!diff_is_beyond(graph->changes->diff, before, after))
        return "e0";
    while (100 * fabs(after - before) < steps[step].least)
        step++;
    return after > before ? steps[step].more : steps[step].less;
}

/* The same function has the same shade in every profile, whatever its line. */
static void open_group(const struct flamegraph *graph, const struct call_node *node)
{
    const char *label = call_tree_label(&graph->tree, node);
    enum frame_kind kind = call_tree_kind(&graph->tree, node);
    size_t name = strcspn(label, " (");

    if (node->depth == 0)
        sink_text(graph->sink, "<g class=\"f all");
    else if (graph->changes)
        sink_addf(graph->sink, "<g class=\"f %s", change_class(graph, node));
    else
        sink_addf(graph->sink, "<g class=\"f %c%u", kinds[kind].class,
                  (unsigned)(hash_bytes(label, name) % SHADES));
}

static void write_title(const struct flamegraph *graph, const struct call_node *node)
{
    char room[32];

    sink_text(graph->sink, "<title>");
    xml_text(graph->sink, call_tree_label(&graph->tree, node));
    sink_addf(graph->sink, " (%s samples, ", grouped(node->total_samples, room));
    if (node->depth == 0)
        sink_text(graph->sink, "100%)</title>");
    else if (graph->changes)
        sink_addf(graph->sink, "%.2f%%, before %.2f%%)</title>",
                  percent(node->total_samples, graph->total), 100 * share_before(graph, node));
    else
        sink_addf(graph->sink, "%.2f%%)</title>", percent(node->total_samples, graph->total));
}

static void write_frame(const struct flamegraph *graph, const struct call_node *node,
                        uint64_t start)
{
    uint32_t row = graph->root_below ? graph->rows - 1 - node->depth : node->depth;
    double left = percent(start, graph->total), wide = percent(node->total_samples, graph->total);
    double pixels = wide / 100 * FRAMES_WIDTH, columns = (pixels - 2 * TEXT_INDENT) / COLUMN;

    open_group(graph, node);
    sink_addf(graph->sink, "%s\" data-s=\"%llu\" data-n=\"%llu\">", pixels < THIN ? " thin" : "",
              (unsigned long long)start, (unsigned long long)node->total_samples);
    write_title(graph, node);
    sink_addf(graph->sink, "<rect x=\"%.4f%%\" y=\"%u\" width=\"%.4f%%\" height=\"%d\"/>", left,
              row * ROW, wide, ROW - 1);
    if (columns >= 2) {
        sink_addf(graph->sink, "<text x=\"%.4f%%\" y=\"%.1f\" dx=\"%d\">", left,
                  row * ROW + ROW - 5.5, TEXT_INDENT);
        xml_text_fit(graph->sink, call_tree_label(&graph->tree, node), (size_t)columns);
        sink_text(graph->sink, "</text>");
    }
    sink_text(graph->sink, "</g>\n");
}

/* A node starts where its elder siblings end; its first child starts where it does itself. */
static void write_frames(const struct flamegraph *graph)
{
    uint64_t *next = xcalloc(DEPTH_MAX + 2, sizeof(next[0])); /* by depth: the next one's start */
    size_t i = 0;

    while (i < graph->tree.nodes.length) {
        const struct call_node *node = &graph->tree.nodes.items[i];
        uint64_t start;

        if (node->depth > DEPTH_MAX) {
            i = node->end;
            continue;
        }
        start = next[node->depth];
        next[node->depth] += node->total_samples;
        next[node->depth + 1] = start;
        if (node->total_samples >= graph->min_samples) {
            write_frame(graph, node, start);
            i++;
        } else {
            i = node->end;
        }
    }
    free(next);
}

/* ---- the head ----------------------------------------------------------------------------------
 */

static void write_subtitle(const struct flamegraph *graph, int y)
{
    const struct profile *profile = graph->view->profile;
    const struct recording_facts *facts = &profile->facts;
    uint64_t lost = profile_lost(profile);
    char room[32];

    sink_addf(graph->sink, "<text id=\"subtitle\" x=\"%d\" y=\"%d\">%s samples", MARGIN, y,
              grouped(graph->total, room));
    if (!facts->is_counted)
        sink_addf(graph->sink, " in %.1f s", (double)facts->duration / (double)NS_PER_SECOND);
    if (facts->rate > 0)
        sink_addf(graph->sink, ", %g times a second", facts->rate);
    if (profile->processes.length > 1)
        sink_addf(graph->sink, ", %zu processes", profile->processes.length);
    if (profile->threads.length > 1)
        sink_addf(graph->sink, ", %zu threads", profile->threads.length);
    if (lost)
        sink_addf(graph->sink, "; %s lost", grouped(lost, room));
    sink_text(graph->sink, "</text>\n");
}

static double legend_entry(const struct flamegraph *graph, const char *class, const char *text,
                           double x, int y)
{
    sink_addf(graph->sink,
              "<rect class=\"%s\" x=\"%.0f\" y=\"%d\" width=\"12\" height=\"12\"/><text "
              "x=\"%.0f\" y=\"%d\">%s</text>",
              class, x, y - 10, x + 17, y, text);
    return x + 17 + (double)strlen(text) * LEGEND_COLUMN + 18;
}

static void write_legend_of_changes(const struct flamegraph *graph, int y)
{
    char gone[96];
    double x = MARGIN;

    sink_text(graph->sink, "<g id=\"legend\"><title>How much larger or smaller a frame's share is "
                           "than in the earlier recording</title>");
    x = legend_entry(graph, "u2", "more than before", x, y);
    x = legend_entry(graph, "d2", "less than before", x, y);
    x = legend_entry(graph, "e0", "no difference beyond the noise", x, y);
    snprintf(gone, sizeof(gone), "%.1f%% of the earlier samples are in stacks that are gone",
             100 * graph->changes->gone);
    sink_addf(graph->sink, "<text x=\"%.0f\" y=\"%d\">%s</text></g>\n", x, y, gone);
}

/* Each kind that is drawn, with the share of samples that ends in it. */
static void write_legend(const struct flamegraph *graph, int y)
{
    double x = MARGIN;

    sink_text(graph->sink, "<g id=\"legend\"><title>The share of samples whose innermost frame is "
                           "of each kind</title>");
    for (int kind = 0; kind < FRAME_KINDS; kind++) {
        char text[64], class[3] = {kinds[kind].class, '0', '\0'};

        if (!graph->occurs[kind])
            continue;
        snprintf(text, sizeof(text), "%s %.1f%%", kinds[kind].legend,
                 percent(graph->self[kind], graph->total));
        x = legend_entry(graph, class, text, x, y);
    }
    sink_text(graph->sink, "</g>\n");
}

static int count_notes(const struct flamegraph *graph)
{
    return (graph->narrow > 0) + (graph->deep > 0);
}

static void write_notes(const struct flamegraph *graph, int y)
{
    if (graph->narrow) {
        sink_addf(
            graph->sink,
            "<text class=\"note\" x=\"%d\" y=\"%d\">Frames under %.3g%% are not drawn: %.2f%% "
            "of the samples end in one.</text>\n",
            MARGIN, y, percent(graph->min_samples, graph->total),
            percent(graph->narrow, graph->total));
        y += NOTE_HEIGHT;
    }
    if (graph->deep)
        sink_addf(
            graph->sink,
            "<text class=\"note\" x=\"%d\" y=\"%d\">Stacks are cut below %d frames: %.2f%% of "
            "the samples go deeper.</text>\n",
            MARGIN, y, DEPTH_MAX, percent(graph->deep, graph->total));
}

/* ---- the file ----------------------------------------------------------------------------------
 */

struct page {
    int bar;    /* upper edge of the controls */
    int frames; /* upper edge of the frames */
    int area;   /* height of the frames */
    int height;
};

static struct page lay_out(const struct flamegraph *graph)
{
    struct page page;

    page.bar = 74 + count_notes(graph) * NOTE_HEIGHT;
    page.frames = page.bar + 36;
    page.area = graph->total ? (int)graph->rows * ROW : EMPTY_HEIGHT;
    page.height = page.frames + page.area + MARGIN;
    return page;
}

static void write_open(const struct flamegraph *graph, const struct page *page)
{
    struct sink *sink = graph->sink;
    const char *title = graph->changes ? graph->changes->title
                                       : view_text(graph->view, graph->view->profile->facts.title);

    sink_addf(
        sink,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d "
        "%d\" data-row=\"%d\" data-root=\"%s\" data-bar=\"%d\">\n<title>",
        PAGE_WIDTH, page->height, PAGE_WIDTH, page->height, ROW,
        graph->root_below ? "bottom" : "top", page->bar);
    xml_text(sink, title);
    sink_text(sink, "</title>\n<style><![CDATA[\n");
    sink_text(sink, asset_flamegraph_css);
    sink_addf(sink,
              "]]></style>\n<rect id=\"background\" width=\"100%%\" height=\"100%%\"/>\n"
              "<text id=\"title\" x=\"%d\" y=\"25\">",
              MARGIN);
    xml_text_middle(sink, title, FRAMES_WIDTH / TITLE_COLUMN);
    sink_text(sink, "</text>\n");
}

static void write_file(const struct flamegraph *graph)
{
    struct page page = lay_out(graph);
    struct sink *sink = graph->sink;

    write_open(graph, &page);
    write_subtitle(graph, 44);
    if (graph->changes)
        write_legend_of_changes(graph, 65);
    else
        write_legend(graph, 65);
    write_notes(graph, 65 + NOTE_HEIGHT + 2);
    if (!graph->total) {
        sink_addf(sink, "<text id=\"empty\" x=\"50%%\" y=\"%d\">no samples</text>\n</svg>\n",
                  page.frames + page.area / 2);
        return;
    }
    sink_addf(sink,
              "<text id=\"hint\" x=\"%d\" y=\"%d\">Open this file in a web browser to zoom and to "
              "search.</text>\n<svg id=\"frames\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\">\n",
              MARGIN, page.bar + 18, MARGIN, page.frames, FRAMES_WIDTH, page.area);
    write_frames(graph);
    sink_text(sink, "</svg>\n<script><![CDATA[\n");
    sink_text(sink, asset_flamegraph_js);
    sink_text(sink, "]]></script>\n</svg>\n");
}

static void draw(struct flamegraph *graph, const struct output_options *options)
{
    graph->root_below = options->flame;
    graph->rows = 1;
    graph->total = graph->tree.nodes.items[0].total_samples;
    set_limits(graph, options->min_width_percent);
    write_file(graph);
}

enum err flamegraph_write(const struct view *view, const struct output_options *options,
                          struct sink *sink, struct error *why)
{
    struct flamegraph graph = {.view = view, .sink = sink};

    (void)why;
    call_tree_init(&graph.tree);
    call_tree_build(&graph.tree, view, GROUP_LABEL);
    draw(&graph, options);
    call_tree_deinit(&graph.tree);
    return ERR_OK;
}

void flamegraph_write_changes(const struct view *view, const struct flame_changes *changes,
                              const struct output_options *options, struct sink *sink)
{
    struct flamegraph graph = {
        .view = view, .sink = sink, .changes = changes, .tree = *changes->tree};

    draw(&graph, options);
}
