/* SPDX-License-Identifier: MIT */
/*
 * https://github.com/jlfwong/speedscope/blob/main/src/lib/file-format-spec.ts: shared frames, then
 * one "sampled" profile a thread, each with an array of stacks (root first) and one of weights.
 *
 * The viewer lays samples end to end and knows no times, so that a thread which was not sampled for
 * a while gets an empty stack of that weight: this keeps the threads' time axes in step. Its
 * importer recurses: in Chromium 156 it failed at 10,000 different frames, and once in a while at
 * 5,000, so that stacks over 2,000 are cut in their middle. Absent values are left out: the
 * format's schema allows no null.
 */
#include <stdlib.h>

#include "json_stream.h"
#include "pspy/base/clock.h"
#include "pspy/profile/query.h"
#include "writers.h"

#define SCHEMA    "https://www.speedscope.app/file-format-schema.json"
#define DEPTH_MAX 2000
#define ELIDED    "[frames left out: speedscope cannot show stacks over 2,000 frames]"

/* One element of a thread's samples and weights. */
struct entry {
    stack_id stack;
    uint64_t weight; /* ns */
};

struct speedscope {
    const struct view *view;
    struct json json;
    struct sample_index samples;
    uint32_t *number;          /* by frame_id: index in the file's frames */
    uint32_t frames;           /* in the file */
    uint32_t elided;           /* number of the marker for left out frames */
    VEC(uint32_t) path;        /* one stack's frame numbers, leaf first */
    VEC(struct entry) entries; /* of one thread */
    uint64_t end;              /* ns, of the same thread */
};

/* ---- frames ------------------------------------------------------------------------------------
 */

/* The viewer takes two entries for two functions: what shows alike must be one. */
static bool alike(const void *context, uint32_t index, const void *key)
{
    const struct view *view = context;
    const struct view_frame *a = &view->frames.items[index], *b = key;

    return a->name.v && a->name.v == b->name.v && a->file.v == b->file.v && a->line == b->line &&
           a->column == b->column;
}

static void write_frame(struct speedscope *out, uint32_t frame)
{
    const struct view *view = out->view;
    const struct view_frame *info = &view->frames.items[frame];
    struct strbuf label = STRBUF_INIT;

    if (info->name.v)
        strbuf_add_text(&label, view_text(view, info->name));
    else
        view_label(view, (frame_id){frame}, &label);
    json_newline(&out->json);
    json_open(&out->json, '{');
    json_key_string(&out->json, "name", label.text);
    if (info->file.v)
        json_key_string(&out->json, "file", view_text(view, info->file));
    if (info->line)
        json_key_uint(&out->json, "line", info->line);
    if (info->column)
        json_key_uint(&out->json, "col", info->column);
    json_close(&out->json, '}');
    strbuf_deinit(&label);
}

static uint64_t frame_hash(const struct view_frame *info)
{
    return hash_mix((uint64_t)info->name.v << 32 | info->file.v,
                    (uint64_t)info->column << 32 | info->line);
}

static void write_frames(struct speedscope *out)
{
    const struct view *view = out->view;
    struct table index = TABLE_INIT;

    for (uint32_t frame = 0; frame < view->frames.length; frame++) {
        const struct view_frame *info = &view->frames.items[frame];
        uint32_t same = table_find(&index, frame_hash(info), alike, view, info);

        if (same == TABLE_NONE) {
            table_add(&index, frame_hash(info), frame);
            out->number[frame] = out->frames++;
            write_frame(out, frame);
        } else {
            out->number[frame] = out->number[same];
        }
    }
    table_deinit(&index);
}

static bool any_too_deep(const struct view *view)
{
    vec_each (sample, &view->samples)
        if (view->stacks.items[sample->stack.v].depth > DEPTH_MAX)
            return true;
    return false;
}

static void write_shared(struct speedscope *out)
{
    json_key(&out->json, "shared");
    json_open(&out->json, '{');
    json_key(&out->json, "frames");
    json_open(&out->json, '[');
    write_frames(out);
    if (any_too_deep(out->view)) {
        out->elided = out->frames++;
        json_newline(&out->json);
        json_open(&out->json, '{');
        json_key_string(&out->json, "name", ELIDED);
        json_close(&out->json, '}');
    }
    json_close(&out->json, ']');
    json_close(&out->json, '}');
}

/* ---- one thread --------------------------------------------------------------------------------
 */

/*
 * Lays the thread's samples end to end, as the viewer will. The layout may lag behind the real time
 * by half a tick before an empty stack closes the gap: the jitter between two ticks must not cut
 * every box in two.
 */
static void lay_out(struct speedscope *out, uint32_t thread)
{
    const struct view *view = out->view;
    const struct recording_facts *facts = &view->profile->facts;
    double half_tick = facts->rate > 0 ? 0.5 * (double)NS_PER_SECOND / facts->rate : 0;
    uint64_t tolerance = (uint64_t)half_tick, at = 0;

    vec_reset(&out->entries);
    for (uint32_t i = out->samples.first[thread]; i < out->samples.first[thread + 1]; i++) {
        const struct sample *sample = &view->samples.items[out->samples.order[i]];
        uint64_t start = sample->time > sample->weight ? sample->time - sample->weight : 0;

        if (!facts->is_counted && start > at + tolerance) {
            vec_push(&out->entries, ((struct entry){STACK_EMPTY, start - at}));
            at = start;
        }
        vec_push(&out->entries, ((struct entry){sample->stack, sample->weight}));
        at += sample->weight;
    }
    if (!facts->is_counted && at < facts->duration)
        vec_push(&out->entries, ((struct entry){STACK_EMPTY, facts->duration - at}));
    out->end = at > facts->duration ? at : facts->duration;
}

static void write_stack(struct speedscope *out, stack_id stack)
{
    const struct view *view = out->view;
    size_t half = DEPTH_MAX / 2;

    vec_reset(&out->path);
    while (stack.v) {
        const struct stack_node *node = &view->stacks.items[stack.v];

        vec_push(&out->path, out->number[node->frame.v]);
        stack = node->parent;
    }
    json_open(&out->json, '[');
    for (size_t i = out->path.length; i-- > 0;) {
        json_uint(&out->json, out->path.items[i]);
        if (out->path.length > DEPTH_MAX && i == out->path.length - half) {
            json_uint(&out->json, out->elided);
            i = half - 1; /* DEPTH_MAX in all, the marker included */
        }
    }
    json_close(&out->json, ']');
}

static void write_profile(struct speedscope *out, const char *name)
{
    struct json *json = &out->json;

    json_newline(json);
    json_open(json, '{');
    json_key_string(json, "type", "sampled");
    json_key_string(json, "name", name);
    json_key_string(json, "unit", out->view->profile->facts.is_counted ? "none" : "nanoseconds");
    json_key_uint(json, "startValue", 0);
    json_key_uint(json, "endValue", out->end);
    json_newline(json);
    json_key(json, "samples");
    json_open(json, '[');
    vec_each (entry, &out->entries)
        write_stack(out, entry->stack);
    json_close(json, ']');
    json_newline(json);
    json_key(json, "weights");
    json_open(json, '[');
    vec_each (entry, &out->entries)
        json_uint(json, entry->weight);
    json_close(json, ']');
    json_close(json, '}');
}

static void add_thread_name(const struct view *view, const struct profile_thread *thread,
                            struct strbuf *name)
{
    const char *own = view_text(view, thread->name);

    if (view->profile->facts.subprocesses)
        strbuf_addf(name, "Process %d ", view->profile->processes.items[thread->process].pid);
    strbuf_addf(name, "Thread %d", thread->tid);
    if (*own)
        strbuf_addf(name, " \"%s\"", own);
}

static void write_thread(struct speedscope *out, uint32_t thread)
{
    struct strbuf name = STRBUF_INIT;

    lay_out(out, thread);
    add_thread_name(out->view, &out->view->profile->threads.items[thread], &name);
    write_profile(out, name.text);
    strbuf_deinit(&name);
}

/* ---- the file ----------------------------------------------------------------------------------
 */

/* The importer refuses a file without profiles: one that says nothing happened. */
static void write_nothing(struct speedscope *out)
{
    vec_push(&out->entries, ((struct entry){STACK_EMPTY, out->view->profile->facts.duration}));
    out->end = out->view->profile->facts.duration;
    write_profile(out, "no samples");
}

/* Threads without a sample are left out; returns the place of the one with most time. */
static uint64_t write_threads(struct speedscope *out)
{
    const struct view *view = out->view;
    struct thread_total *totals = xcalloc(view->profile->threads.length, sizeof(totals[0]));
    uint64_t written = 0, best = 0, best_ns = 0;

    view_thread_totals(view, totals);
    json_key(&out->json, "profiles");
    json_open(&out->json, '[');
    for (uint32_t thread = 0; thread < view->profile->threads.length; thread++) {
        if (!totals[thread].samples)
            continue;
        if (totals[thread].ns > best_ns) {
            best = written;
            best_ns = totals[thread].ns;
        }
        write_thread(out, thread);
        written++;
    }
    if (!written)
        write_nothing(out);
    json_close(&out->json, ']');
    free(totals);
    return best;
}

static void write_file(struct speedscope *out)
{
    struct json *json = &out->json;
    uint64_t active;

    json_open(json, '{');
    json_key_string(json, "$schema", SCHEMA);
    json_key_string(json, "name", view_text(out->view, out->view->profile->facts.title));
    json_key_string(json, "exporter", "pspy@" PSPY_VERSION);
    write_shared(out);
    active = write_threads(out);
    json_key_uint(json, "activeProfileIndex", active);
    json_close(json, '}');
    json->comma = false;
    json_newline(json);
}

enum err speedscope_write(const struct view *view, const struct output_options *options,
                          struct sink *sink, struct error *why)
{
    struct speedscope out = {.view = view};

    (void)options;
    (void)why;
    json_init(&out.json, sink);
    sample_index_init(&out.samples, view);
    out.number = xcalloc(view->frames.length, sizeof(out.number[0]));
    write_file(&out);
    free(out.number);
    sample_index_deinit(&out.samples);
    vec_deinit(&out.entries);
    vec_deinit(&out.path);
    return ERR_OK;
}
