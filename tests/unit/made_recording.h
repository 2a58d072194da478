/* SPDX-License-Identifier: MIT */
/* What tests of recordings share: a profile with rows of every kind, made in steps; files in
 * memory; and a comparison that knows nothing of how recordings are written. */
#ifndef TESTS_UNIT_MADE_RECORDING_H
#define TESTS_UNIT_MADE_RECORDING_H

#include <errno.h>
#include <stdlib.h>

#include "pspy/base/clock.h"
#include "pspy/base/strbuf.h"
#include "pspy/profile/recording.h"
#include "unit/tap.h"

#define MADE_STEPS 4

/* ---- files in memory ---------------------------------------------------------------------------
 */

__attribute__((unused)) static bool to_memory(void *context, const void *bytes, size_t length)
{
    strbuf_add(context, bytes, length);
    return true;
}

struct memory_file {
    const char *bytes;
    size_t length, at;
    size_t most;   /* bytes that one read gives */
    bool is_torn;  /* each second read is interrupted by a signal */
    bool is_wrong; /* behind its last byte is an error */
    bool was_interrupted;
};

__attribute__((unused)) static ssize_t from_memory(void *context, void *room, size_t size)
{
    struct memory_file *file = context;
    size_t left = file->length - file->at, length = size < left ? size : left;

    file->was_interrupted = file->is_torn && !file->was_interrupted;
    if (file->was_interrupted || (!left && file->is_wrong)) {
        errno = file->was_interrupted ? EINTR : EIO;
        return -1;
    }
    if (file->most && length > file->most)
        length = file->most;
    memcpy(room, file->bytes + file->at, length);
    file->at += length;
    return (ssize_t)length;
}

/* A read recording. */
struct made_read {
    struct profile profile;
    struct strbuf warning;
    struct error why;
    enum err err;
};

__attribute__((unused)) static void read_from(struct made_read *ret, struct memory_file *file)
{
    struct recording_input input = {from_memory, file};

    profile_init(&ret->profile);
    strbuf_init(&ret->warning);
    ret->why = (struct error)ERROR_INIT;
    ret->err = recording_read(&input, &ret->profile, &ret->warning, &ret->why);
}

__attribute__((unused)) static void read_bytes(struct made_read *ret, const char *bytes,
                                               size_t length)
{
    struct memory_file file = {.bytes = bytes, .length = length};

    read_from(ret, &file);
}

__attribute__((unused)) static void made_read_deinit(struct made_read *read)
{
    profile_deinit(&read->profile);
    strbuf_deinit(&read->warning);
}

/* ---- a profile ---------------------------------------------------------------------------------
 */

__attribute__((unused)) static frame_id made_info(struct profile *profile, unsigned number)
{
    char text[64];
    struct frame_info info = {.kind = number % FRAME_KINDS,
                              .fold = (uint8_t)(number % FOLD_CLASSES),
                              .flags = (uint8_t)(number * 7)};

    snprintf(text, sizeof(text), "f\xc3\xbcnction_%u", number);
    info.name = profile_string(profile, text);
    info.python_name = profile_string(profile, number % 3 ? "" : "numpy.dot");
    snprintf(text, sizeof(text), "/srv/app/file %u.py", number % 5);
    info.file = profile_string(profile, text);
    info.short_file = profile_string(profile, strrchr(text, '/') + 1);
    info.module = profile_string(profile, number % 2 ? "/usr/lib/libx.so" : "");
    info.line = number % 4 ? number * 1000003u : 0;
    info.first_line = number;
    info.column = number % 7;
    return profile_frame(profile, &info);
}

__attribute__((unused)) static frame_id made_address(struct profile *profile, uint32_t module,
                                                     uint64_t offset)
{
    struct native_ref ref = {.module = module, .is_return = offset % 2, .offset = offset};

    return profile_frame_native(profile, &ref);
}

__attribute__((unused)) static void made_module(struct profile *profile, const char *path,
                                                const char *build_id, uint8_t flags)
{
    struct profile_module module = {profile_string(profile, path),
                                    profile_string(profile, build_id), flags};

    profile_add_module(profile, &module);
}

/* Unlike each other, and some of them beyond 32 bits. */
static inline void make_facts(struct profile *profile, unsigned step)
{
    struct recording_facts *facts = &profile->facts;

    facts->title = profile_string(profile, step ? "python app.py --all" : "pid 4711");
    facts->host = profile_string(profile, "node17");
    facts->exporter = profile_string(profile, "pspy 0.6.0");
    facts->python = profile_string(profile, step > 1 ? "3.12.1" : "");
    facts->python_why = profile_string(profile, step == 1 ? "no such interpreter" : "");
    facts->start_wall = 1790000000123456789ull;
    facts->duration = 3000000001ull * step;
    facts->rate = 99.5;
    facts->lowest_rate = step > 2 ? 12.25 : 0;
    facts->max_overhead = 5;
    facts->delay = 2500000000ull;
    facts->ticks = 300 * step;
    facts->without_native = step;
    for (unsigned i = 0; i < LOSS_CAUSES; i++)
        facts->losses[i] = step * (i + 1);
    facts->end = step + 1 == MADE_STEPS ? RECORDING_EXITED : RECORDING_CUT_OFF;
    facts->native = facts->gil = facts->saw_python = true;
    facts->subprocesses = step % 2;
    facts->idle = step > 1;
    facts->nonblocking = facts->python_is_guessed = step == 3;
}

static inline void make_processes(struct profile *profile, unsigned step)
{
    uint32_t process = profile_add_process(profile, 1000 + (int)step);
    struct profile_program program = {
        .process = process,
        .parent = step ? step - 1 : PROFILE_NONE,
        .command = profile_string(profile, step % 2 ? "sh -c x" : "python app.py"),
        .since = 1000000000ull * step};
    struct profile_process *row = &profile->processes.items[process];

    profile_add_program(profile, &program);
    row->rank = step % 2 ? -1 : (int)step;
    row->host = profile_string(profile, step == 2 ? "node18" : "");
    if (step == 3) /* another command than its program's */
        row->command = profile_string(profile, "renamed");
    profile->processes.items[0].has_status = step > 1;
    profile->processes.items[0].status = step > 2 ? 9 : 256;
    for (uint32_t i = 0; i <= process; i++) {
        uint32_t thread = profile_add_thread(profile, i, 1000 + (int)(10 * step + i));

        profile->threads.items[thread].name = profile_string(profile, i ? "worker" : "MainThread");
    }
    vec_each (thread, &profile->threads) {
        thread->user += 1234567890ull;
        thread->system += 10000000;
        thread->ready += step;
    }
}

static inline void make_samples(struct profile *profile, struct rng *rng, unsigned step)
{
    size_t before = profile->samples.length;
    uint64_t time = before ? profile->samples.items[before - 1].time : 0, last;

    for (unsigned tick = 0; tick < 12; tick++) {
        last = time;
        /* Ticks close upon each other, at one time, and farther apart than 40 bits say. */
        time += tick == 7 ? 0 : tick == 9 ? 1ull << (38 + step) : rng_next(rng) % 20000000;
        for (uint32_t thread = 0; thread < profile->threads.length; thread += 1 + tick % 3) {
            struct sample sample = {
                .time = time,
                .weight = rng_next(rng) % 4 ? time - last : rng_next(rng) % 1000,
                .thread = thread,
                .stack = {(uint32_t)(rng_next(rng) % profile->stacks.length)},
                .end = (uint8_t)(rng_next(rng) % STACK_ENDS),
                .state = (uint8_t)(rng_next(rng) % SAMPLE_STATES),
                .flags = (uint8_t)(rng_next(rng) % 4),
                .call = (uint16_t)(rng_next(rng) % 3 ? 0 : rng_next(rng) % 500)};

            profile_add_sample(profile, &sample);
        }
    }
    /* The last ones may still change: but for the last step. */
    profile->settled = profile->samples.length - (step + 1 < MADE_STEPS ? 5 : 0);
}

/* Steps 0 to MADE_STEPS - 1, one after the other. */
__attribute__((unused)) static void make_step(struct profile *profile, unsigned step)
{
    struct rng rng = {step + 1};
    frame_id names[3];
    char text[32];

    make_facts(profile, step);
    snprintf(text, sizeof(text), "/usr/lib/lib%u.so", step);
    made_module(profile, text, step % 2 ? "" : "0123456789abcdef", 0);
    if (step == 2)
        profile->modules.items[0].flags = MODULE_INTERPRETER;
    for (unsigned i = 0; i < 10; i++) {
        frame_id address = made_address(profile, step, 0x7f0000001000ull + 17ull * i);
        stack_id stack = {(uint32_t)(rng_next(&rng) % profile->stacks.length)};

        for (unsigned j = 0; j < 3; j++)
            names[j] = made_info(profile, 10 * step + i + j);
        if (i % 4)
            profile_name_frame(profile, address, names, i % 4);
        stack = profile_stack(profile, stack, names[0]);
        profile_stack(profile, stack, address);
    }
    if (step) /* what is said anew, of an address of before */
        profile_name_frame(profile, made_address(profile, 0, 0x7f0000001000ull + 17), names, 2);
    make_processes(profile, step);
    make_samples(profile, &rng, step);
}

/* All steps, and the recording of them. */
__attribute__((unused)) static void make_whole(struct profile *profile, struct strbuf *bytes)
{
    struct recording_writer *writer = recording_writer_create(to_memory, bytes);

    profile_init(profile);
    for (unsigned step = 0; step < MADE_STEPS; step++) {
        make_step(profile, step);
        recording_write(writer, profile);
    }
    recording_finish(writer, profile);
    recording_writer_destroy(writer);
}

/* ---- comparing: the first difference, or NULL --------------------------------------------------
 */

#define DIFFERS(condition, what)                                                                   \
    do {                                                                                           \
        if (condition)                                                                             \
            return (what);                                                                         \
    } while (0)

struct made_pair {
    const struct profile *a, *b;
};

static inline bool text_differs(struct made_pair of, string_id a, string_id b)
{
    return strcmp(profile_text(of.a, a), profile_text(of.b, b)) != 0;
}

static inline bool info_differs(struct made_pair of, frame_id x, frame_id y)
{
    const struct frame_info *a = profile_frame_info(of.a, x), *b = profile_frame_info(of.b, y);

    return a->kind != b->kind || a->fold != b->fold || a->flags != b->flags ||
           text_differs(of, a->name, b->name) || text_differs(of, a->python_name, b->python_name) ||
           text_differs(of, a->file, b->file) || text_differs(of, a->short_file, b->short_file) ||
           text_differs(of, a->module, b->module) || a->line != b->line ||
           a->first_line != b->first_line || a->column != b->column;
}

static inline const char *frames_difference(struct made_pair of)
{
    DIFFERS(of.a->frames.length != of.b->frames.length, "number of frames");
    for (uint32_t i = 0; i < of.a->frames.length; i++) {
        frame_id frame = {i};
        const struct native_ref *a = profile_frame_ref(of.a, frame);
        const struct native_ref *b = profile_frame_ref(of.b, frame);
        const struct frame_names *x = profile_frame_names(of.a, frame);
        const struct frame_names *y = profile_frame_names(of.b, frame);

        DIFFERS(!a != !b || !x != !y, "kind of frame");
        DIFFERS(
            a && (a->module != b->module || a->is_return != b->is_return || a->offset != b->offset),
            "address");
        DIFFERS(!a && info_differs(of, frame, frame), "frame");
        DIFFERS(x && x->count != y->count, "number of names");
        for (uint32_t name = 0; x && name < x->count; name++)
            DIFFERS(info_differs(of, of.a->named.items[x->first + name],
                                 of.b->named.items[y->first + name]),
                    "name");
    }
    return NULL;
}

static inline const char *tables_difference(struct made_pair of)
{
    DIFFERS(of.a->modules.length != of.b->modules.length, "number of modules");
    for (size_t i = 0; i < of.a->modules.length; i++) {
        const struct profile_module *a = &of.a->modules.items[i], *b = &of.b->modules.items[i];

        DIFFERS(text_differs(of, a->path, b->path) || text_differs(of, a->build_id, b->build_id) ||
                    a->flags != b->flags,
                "module");
    }
    DIFFERS(of.a->stacks.length != of.b->stacks.length, "number of stacks");
    for (size_t i = 1; i < of.a->stacks.length; i++) {
        const struct stack_node *a = &of.a->stacks.items[i], *b = &of.b->stacks.items[i];

        DIFFERS(a->parent.v != b->parent.v || a->frame.v != b->frame.v || a->depth != b->depth,
                "stack");
    }
    DIFFERS(of.a->names.length != of.b->names.length, "number of sets of names");
    for (size_t i = 0; i < of.a->names.length; i++)
        DIFFERS(of.a->names.items[i].frame.v != of.b->names.items[i].frame.v, "set of names");
    return NULL;
}

static inline const char *processes_difference(struct made_pair of)
{
    DIFFERS(of.a->processes.length != of.b->processes.length, "number of processes");
    for (size_t i = 0; i < of.a->processes.length; i++) {
        const struct profile_process *a = &of.a->processes.items[i];
        const struct profile_process *b = &of.b->processes.items[i];

        DIFFERS(a->pid != b->pid || a->rank != b->rank || text_differs(of, a->host, b->host) ||
                    text_differs(of, a->command, b->command) || a->has_status != b->has_status ||
                    a->status != b->status,
                "process");
    }
    DIFFERS(of.a->programs.length != of.b->programs.length, "number of programs");
    for (size_t i = 0; i < of.a->programs.length; i++) {
        const struct profile_program *a = &of.a->programs.items[i], *b = &of.b->programs.items[i];

        DIFFERS(a->process != b->process || a->parent != b->parent || a->since != b->since ||
                    text_differs(of, a->command, b->command),
                "program");
    }
    DIFFERS(of.a->threads.length != of.b->threads.length, "number of threads");
    for (size_t i = 0; i < of.a->threads.length; i++) {
        const struct profile_thread *a = &of.a->threads.items[i], *b = &of.b->threads.items[i];

        DIFFERS(a->process != b->process || a->tid != b->tid ||
                    text_differs(of, a->name, b->name) || a->user != b->user ||
                    a->system != b->system || a->ready != b->ready,
                "thread");
    }
    return NULL;
}

static inline const char *facts_difference(struct made_pair of)
{
    const struct recording_facts *a = &of.a->facts, *b = &of.b->facts;

    DIFFERS(text_differs(of, a->title, b->title) || text_differs(of, a->host, b->host) ||
                text_differs(of, a->exporter, b->exporter) ||
                text_differs(of, a->python, b->python) ||
                text_differs(of, a->python_why, b->python_why),
            "text of the facts");
    DIFFERS(a->start_wall != b->start_wall || a->duration != b->duration || a->rate != b->rate ||
                a->lowest_rate != b->lowest_rate || a->max_overhead != b->max_overhead ||
                a->delay != b->delay || a->ticks != b->ticks ||
                a->without_native != b->without_native || a->end != b->end,
            "number of the facts");
    DIFFERS(memcmp(a->losses, b->losses, sizeof(a->losses)) != 0, "losses");
    DIFFERS(a->native != b->native || a->subprocesses != b->subprocesses || a->idle != b->idle ||
                a->gil != b->gil || a->nonblocking != b->nonblocking ||
                a->saw_python != b->saw_python || a->python_is_guessed != b->python_is_guessed ||
                a->is_counted != b->is_counted || a->has_no_states != b->has_no_states,
            "switch of the facts");
    return NULL;
}

/* Whether b's samples are the first ones of a. Of a prefix the stacks' numbers may be compared:
 * they are given in the order in which they stand in the file. */
__attribute__((unused)) static const char *prefix_difference(const struct profile *whole,
                                                             const struct profile *prefix)
{
    DIFFERS(prefix->samples.length > whole->samples.length, "too many samples");
    DIFFERS(prefix->settled != prefix->samples.length, "samples that are not settled");
    for (size_t i = 0; i < prefix->samples.length; i++) {
        const struct sample *a = &whole->samples.items[i], *b = &prefix->samples.items[i];
        const struct stack_node *x = &whole->stacks.items[a->stack.v];
        const struct stack_node *y = &prefix->stacks.items[b->stack.v];

        DIFFERS(a->time != b->time || a->weight != b->weight || a->thread != b->thread ||
                    a->end != b->end || a->state != b->state || a->flags != b->flags ||
                    a->call != b->call,
                "sample");
        DIFFERS(x->depth != y->depth || (x->depth && x->frame.v != y->frame.v), "sample's stack");
    }
    return NULL;
}

__attribute__((unused)) static const char *difference(const struct profile *a,
                                                      const struct profile *b)
{
    struct made_pair of = {a, b};
    const char *what = facts_difference(of);

    what = what ? what : frames_difference(of);
    what = what ? what : tables_difference(of);
    what = what ? what : processes_difference(of);
    what = what ? what : prefix_difference(a, b);
    return what ? what : a->samples.length == b->samples.length ? NULL : "number of samples";
}

#endif
