/* SPDX-License-Identifier: MIT */
/*
 * Trace Event JSON, as ui.perfetto.dev reads it: for each (pid, tid) a function begins ("B") when
 * it first appears in the thread's samples and ends ("E") when it is gone; M events name processes
 * and threads. Times are those of the samples, in microseconds:
 *
 *   {"name":"main","cat":"python","ph":"B","ts":10000.5,"pid":7,"tid":7,"args":{"filename":"/x.py","line":3}}
 *
 * A function goes on while its line changes. Where a thread was not sampled, all its functions end.
 */
#include <stdlib.h>

#include "json_stream.h"
#include "pspy/base/cleanup.h"
#include "pspy/base/clock.h"
#include "pspy/profile/query.h"
#include "writers.h"

typedef VEC(uint32_t) frame_path; /* frame indices, root first */

struct trace {
    const struct view *view;
    struct json json;
    struct sample_index samples;
    const struct profile_thread *thread; /* the one being written */
    frame_path open;                     /* functions that have begun and not ended */
    frame_path next;
};

static const char *category(enum frame_kind kind)
{
    static const char *const names[FRAME_KINDS] = {
        [FRAME_PYTHON] = "python",           [FRAME_STDLIB] = "stdlib",
        [FRAME_SITE] = "site-packages",      [FRAME_NATIVE] = "native",
        [FRAME_INTERPRETER] = "interpreter", [FRAME_MARKER] = "marker",
        [FRAME_SYSTEM] = "system",           [FRAME_WAITING] = "waiting",
    };

    return names[kind];
}

static void begin_event(struct trace *trace, const char *name, const char *phase, int pid)
{
    json_newline(&trace->json);
    json_open(&trace->json, '{');
    json_key_string(&trace->json, "name", name);
    json_key_string(&trace->json, "ph", phase);
    json_key_uint(&trace->json, "pid", (uint64_t)pid);
}

static int thread_pid(const struct trace *trace)
{
    return trace->view->profile->processes.items[trace->thread->process].pid;
}

/* ---- names -------------------------------------------------------------------------------------
 */

static void end_with(struct trace *trace, const char *key, const char *text)
{
    json_key(&trace->json, "args");
    json_open(&trace->json, '{');
    json_key_string(&trace->json, key, text);
    json_close(&trace->json, '}');
    json_close(&trace->json, '}');
}

static void write_status(struct trace *trace, const struct profile_process *process)
{
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;

    profile_exit_text(process, &text);
    begin_event(trace, "process_labels", "M", process->pid);
    end_with(trace, "labels", text.text);
}

static void write_names(struct trace *trace)
{
    const struct view *view = trace->view;

    vec_each (process, &view->profile->processes) {
        begin_event(trace, "process_name", "M", process->pid);
        end_with(trace, "name", view_text(view, process->command));
        if (process->has_status)
            write_status(trace, process);
    }
    vec_each (thread, &view->profile->threads) {
        if (!thread->name.v)
            continue;
        begin_event(trace, "thread_name", "M", view->profile->processes.items[thread->process].pid);
        json_key_uint(&trace->json, "tid", (uint64_t)thread->tid);
        end_with(trace, "name", view_text(view, thread->name));
    }
}

/* ---- functions ---------------------------------------------------------------------------------
 */

static bool same_function(const struct view *view, uint32_t a, uint32_t b)
{
    const struct view_frame *left = &view->frames.items[a], *right = &view->frames.items[b];

    return a == b || (left->name.v && left->name.v == right->name.v &&
                      left->file.v == right->file.v && left->kind == right->kind);
}

static void write_args(struct trace *trace, const struct view_frame *info)
{
    if (!info->file.v)
        return;
    json_key(&trace->json, "args");
    json_open(&trace->json, '{');
    json_key_string(&trace->json, "filename", view_text(trace->view, info->file));
    if (info->line)
        json_key_uint(&trace->json, "line", info->line);
    json_close(&trace->json, '}');
}

static void write_event(struct trace *trace, uint32_t frame, bool begin, uint64_t time)
{
    const struct view *view = trace->view;
    const struct view_frame *info = &view->frames.items[frame];
    struct strbuf label = STRBUF_INIT;

    if (!info->name.v)
        view_label(view, (frame_id){frame}, &label);
    else
        strbuf_add_text(&label, view_text(view, info->name));
    begin_event(trace, label.text, begin ? "B" : "E", thread_pid(trace));
    json_key_uint(&trace->json, "tid", (uint64_t)trace->thread->tid);
    json_key(&trace->json, "ts");
    json_micros(&trace->json, time);
    if (begin) {
        json_key_string(&trace->json, "cat", category(info->kind));
        write_args(trace, info);
    }
    json_close(&trace->json, '}');
    strbuf_deinit(&label);
}

static void end_functions(struct trace *trace, size_t keep, uint64_t time)
{
    while (trace->open.length > keep)
        write_event(trace, trace->open.items[--trace->open.length], false, time);
}

static void load_path(const struct view *view, stack_id stack, frame_path *path)
{
    uint32_t depth = view->stacks.items[stack.v].depth;

    vec_reserve(path, depth);
    path->length = depth;
    for (uint32_t i = depth; i-- > 0;) {
        path->items[i] = view->stacks.items[stack.v].frame.v;
        stack = view->stacks.items[stack.v].parent;
    }
}

/* Ends and begins what differs between the open functions and the stack. */
static void change_to(struct trace *trace, stack_id stack, uint64_t time)
{
    size_t same = 0;

    load_path(trace->view, stack, &trace->next);
    while (same < trace->open.length && same < trace->next.length &&
           same_function(trace->view, trace->open.items[same], trace->next.items[same]))
        same++;
    end_functions(trace, same, time);
    for (; same < trace->next.length; same++) {
        vec_push(&trace->open, trace->next.items[same]);
        write_event(trace, trace->next.items[same], true, time);
    }
}

/* A hole shorter than half a tick is jitter, not absence. */
static void write_thread(struct trace *trace, uint32_t thread)
{
    const struct view *view = trace->view;
    double rate = view->profile->facts.rate;
    double half_tick = rate > 0 ? 0.5 * (double)NS_PER_SECOND / rate : 0;
    uint64_t tolerance = (uint64_t)half_tick, at = 0;

    trace->thread = &view->profile->threads.items[thread];
    for (uint32_t i = trace->samples.first[thread]; i < trace->samples.first[thread + 1]; i++) {
        const struct sample *sample = &view->samples.items[trace->samples.order[i]];
        uint64_t start = sample->time > sample->weight ? sample->time - sample->weight : 0;

        if (start > at + tolerance) {
            end_functions(trace, 0, at);
            at = start;
        }
        change_to(trace, sample->stack, at);
        at = sample->time > at ? sample->time : at;
    }
    end_functions(trace, 0, at);
}

/* ---- the file ----------------------------------------------------------------------------------
 */

static void write_file(struct trace *trace)
{
    struct json *json = &trace->json;

    json_open(json, '{');
    json_key_string(json, "displayTimeUnit", "ms");
    json_key(json, "otherData");
    json_open(json, '{');
    json_key_string(json, "command", view_text(trace->view, trace->view->profile->facts.title));
    json_key_string(json, "exporter", "pspy@" PSPY_VERSION);
    json_close(json, '}');
    json_newline(json);
    json_key(json, "traceEvents");
    json_open(json, '[');
    write_names(trace);
    for (uint32_t thread = 0; thread < trace->view->profile->threads.length; thread++)
        write_thread(trace, thread);
    json_close(json, ']');
    json_close(json, '}');
    json->comma = false;
    json_newline(json);
}

enum err chrometrace_write(const struct view *view, const struct output_options *options,
                           struct sink *sink, struct error *why)
{
    struct trace trace = {.view = view};

    (void)options;
    if (view->profile->facts.is_counted)
        return error_set(why, ERR_UNSUPPORTED,
                         "a Chrome trace shows when functions ran, and the input only counts "
                         "samples: choose another format, such as flamegraph");
    json_init(&trace.json, sink);
    sample_index_init(&trace.samples, view);
    write_file(&trace);
    sample_index_deinit(&trace.samples);
    vec_deinit(&trace.open);
    vec_deinit(&trace.next);
    return ERR_OK;
}
