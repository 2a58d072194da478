/* SPDX-License-Identifier: MIT */
#include "pspy/output/report.h"

#include <string.h>
#include <unistd.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/clock.h"
#include "pspy/base/syscalls.h"
#include "report_internal.h"

#define TOP             10
#define CALLED          5 /* functions whose callers are shown */
#define PARTS           3
#define DEPTH           24
#define LEAST_BRANCH    0.02
#define BYTES_PER_TOKEN 4

/* ---- names -------------------------------------------------------------------------------------
 */

const char *report_kind(enum frame_kind kind)
{
    static const char *const names[FRAME_KINDS] = {
        [FRAME_PYTHON] = "python",           [FRAME_STDLIB] = "stdlib",
        [FRAME_SITE] = "site-packages",      [FRAME_NATIVE] = "native",
        [FRAME_INTERPRETER] = "interpreter", [FRAME_MARKER] = "marker",
        [FRAME_SYSTEM] = "system",           [FRAME_WAITING] = "waiting",
    };

    return names[kind];
}

const char *report_whole(const struct report *report)
{
    if (!report->breakdown.base.by_time)
        return "samples";
    return report->view->profile->facts.has_no_states ? "time" : "CPU time";
}

/* As the user would open it, else as labels show it. */
static const char *shown_file(const struct report *report, const struct view_frame *frame)
{
    const char *folder = report->options->folder, *path = view_text(report->view, frame->file);
    const char *short_file = view_text(report->view, frame->short_file);
    size_t length = folder ? strlen(folder) : 0;

    if (length > 1 && !strncmp(path, folder, length) && path[length] == '/' && path[length + 1])
        return path + length + 1;
    return *short_file ? short_file : path;
}

static struct report_place place_of(const struct report *report, frame_id id)
{
    const struct view_frame *frame = view_frame(report->view, id);

    return (struct report_place){.name = view_text(report->view, frame->name),
                                 .file = shown_file(report, frame),
                                 .path = view_text(report->view, frame->file),
                                 .line = frame->line,
                                 .kind = frame->kind};
}

struct report_place report_function(const struct report *report, uint32_t function)
{
    return place_of(report, report->breakdown.functions.items[function].frame);
}

struct report_place report_line(const struct report *report, uint32_t line)
{
    return place_of(report, report->breakdown.lines.items[line].frame);
}

void report_add_wait(const struct breakdown_wait *wait, struct strbuf *ret)
{
    const char *call = wait->call ? syscall_name(wait->call - 1) : NULL;

    if (wait->state == STATE_READY)
        strbuf_add_text(ret, "for a CPU");
    else if (wait->state == STATE_GIL)
        strbuf_add_text(ret, "for the GIL");
    else if (call)
        strbuf_addf(ret, "in %s", call);
    else
        strbuf_add_text(ret, "blocked");
}

void report_add_thread(const struct report *report, const struct breakdown_wait *wait,
                       struct strbuf *ret)
{
    const struct profile *profile = report->view->profile;
    const struct profile_thread *thread = &profile->threads.items[wait->thread];
    const char *name = profile_text(profile, thread->name);

    if (*name)
        report_add_clean(ret, name);
    else
        strbuf_addf(ret, "thread %d", thread->tid);
}

/* ---- shares ------------------------------------------------------------------------------------
 */

struct share report_share(const struct report *report, const struct amount *amount)
{
    return share_of(&report->breakdown.base, amount);
}

void report_add_share(const struct report *report, const struct amount *amount, struct strbuf *ret)
{
    struct share share = report_share(report, amount);

    strbuf_addf(ret, "%.1f %% (%.1f-%.1f)", 100 * share.value, 100 * share.low, 100 * share.high);
}

static void rest_add(struct report_rest *rest, size_t rows, const struct amount *amount)
{
    rest->rows += rows;
    rest->amount.samples += amount->samples;
    rest->amount.ns += amount->ns;
}

struct report_rest report_rest_of_lines(const struct report *report)
{
    const struct breakdown *breakdown = &report->breakdown;
    struct report_rest rest = {.rows = 0};

    for (size_t i = report->shape.lines; i < breakdown->hot_lines.length; i++)
        rest_add(&rest, 1, &breakdown->lines.items[breakdown->hot_lines.items[i]].self);
    return rest;
}

struct report_rest report_rest_of_functions(const struct report *report)
{
    const struct breakdown *breakdown = &report->breakdown;
    struct report_rest rest = {.rows = 0};

    for (size_t i = report->shape.functions; i < breakdown->hot_functions.length; i++) {
        const struct amount *self =
            &breakdown->functions.items[breakdown->hot_functions.items[i]].self;

        if (self->samples)
            rest_add(&rest, 1, self);
    }
    return rest;
}

struct report_rest report_rest_of_tree(const struct report *report)
{
    struct report_rest rest = {.rows = 0};

    vec_each (node, &report->breakdown.tree) {
        if (node->depth == report->shape.depth + 1)
            rest_add(&rest, 1, &node->total);
        else if (node->depth <= report->shape.depth)
            rest_add(&rest, node->omitted_branches, &node->omitted);
    }
    return rest;
}

uint32_t report_parts(const struct report *report, const breakdown_parts *parts, uint32_t first,
                      uint32_t count)
{
    if (count == 1 && parts->items[first].by == BREAKDOWN_NONE)
        return 0;
    /* One more is no longer than the line that says that there is one more. */
    return count <= report->shape.parts + 1 ? count : (uint32_t)report->shape.parts;
}

struct report_rest report_rest_of_parts(const struct report *report, const breakdown_parts *parts,
                                        uint32_t first, uint32_t count)
{
    uint32_t shown = report_parts(report, parts, first, count);
    struct report_rest rest = {.rows = 0};

    for (uint32_t i = shown; shown && i < count; i++)
        rest_add(&rest, 1, &parts->items[first + i].amount);
    return rest;
}

size_t report_next_called(const struct report *report, size_t at)
{
    const struct breakdown *breakdown = &report->breakdown;

    for (; at < breakdown->hot_functions.length; at++) {
        const struct breakdown_function *function =
            &breakdown->functions.items[breakdown->hot_functions.items[at]];

        if (!function->self.samples)
            return breakdown->hot_functions.length;
        if (view_frame(report->view, function->frame)->kind != FRAME_PYTHON)
            break;
    }
    return at;
}

/* ---- writing -----------------------------------------------------------------------------------
 */

/* The next smaller shape; false: there is none. The tree, the longest part, goes first. */
static bool shrink(struct report_shape *shape)
{
    if (shape->depth > 4)
        shape->depth -= 2;
    else if (shape->callers > 2)
        shape->callers--;
    else if (shape->parts > 2)
        shape->parts--;
    else if (shape->lines > 5 || shape->functions > 5 || shape->waits > 5) {
        shape->lines -= shape->lines > 5;
        shape->functions -= shape->functions > 5;
        shape->waits -= shape->waits > 5;
    } else if (shape->depth > 1)
        shape->depth--;
    else if (shape->callers)
        shape->callers--;
    else if (shape->functions > 1 || shape->waits > 1) {
        shape->functions -= shape->functions > 1;
        shape->waits -= shape->waits > 1;
    } else if (shape->lines > 1)
        shape->lines--;
    else if (shape->parts)
        shape->parts--;
    else
        return false;
    return true;
}

static void render(struct report *report, struct strbuf *text)
{
    strbuf_reset(text);
    if (report->options->format == REPORT_JSON)
        report_json(report, text);
    else if (report->options->format == REPORT_MARKDOWN)
        report_markdown(report, text);
    else
        report_text(report, text);
}

enum err report_write(const struct view *view, const struct report_options *options,
                      struct sink *sink, struct error *why)
{
    const struct recording_facts *facts = &view->profile->facts;
    size_t top = options->top ? options->top : TOP, budget = options->budget;
    const char *focus = options->focus && *options->focus ? options->focus : NULL;
    struct breakdown_options asked = {focus, LEAST_BRANCH, DEPTH};
    struct report report = {.view = view, .options = options};
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;
    enum err err = breakdown_init(&report.breakdown, view, &asked, why);

    if (err == ERR_OK) {
        report.sources.recorded_until = facts->start_wall ? facts->start_wall + facts->duration : 0;
        report.shape =
            (struct report_shape){top, top, top < CALLED ? top : CALLED, top, PARTS, DEPTH};
        do
            render(&report, &text);
        while (budget && text.length / BYTES_PER_TOKEN > budget && shrink(&report.shape));
        sink_write(sink, text.text, text.length);
    }
    sources_deinit(&report.sources);
    breakdown_deinit(&report.breakdown);
    return err;
}

enum err report_markdown_write(const struct view *view, const struct output_options *options,
                               struct sink *sink, struct error *why)
{
    cleanup(cleanup_free) char *folder = getcwd(NULL, 0);
    struct report_options asked = {.format = REPORT_MARKDOWN, .folder = folder};

    (void)options;
    return report_write(view, &asked, sink, why);
}
