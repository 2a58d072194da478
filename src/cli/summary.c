/* SPDX-License-Identifier: MIT */
#include "pspy/cli/summary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/clock.h"
#include "pspy/base/syscalls.h"
#include "pspy/profile/query.h"

#define HOTTEST        5
#define CALLS          1024 /* more than there are */
#define SHOWN_CALLS    4
#define SHOWN_FAILURES 5

struct call_count {
    long number;
    size_t samples;
};

static double seconds(uint64_t ns)
{
    return (double)ns / (double)NS_PER_SECOND;
}

static double rate_reached(uint64_t ticks, uint64_t ns)
{
    return ns ? (double)ticks / seconds(ns) : 0;
}

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

/* "3 too late, 1 by thread end"; "none". */
static void add_counts(struct strbuf *text, const uint64_t *counts, size_t length,
                       const char *(*name)(size_t))
{
    for (size_t i = 0; i < length; i++)
        if (counts[i])
            strbuf_addf(text, "%s%" PRIu64 " %s", text->length ? ", " : "", counts[i], name(i));
}

static const char *loss_name(size_t cause)
{
    return loss_cause_name((enum loss_cause)cause);
}

static const char *end_name(size_t end)
{
    return stack_end_name((enum stack_end)end);
}

static void print_counts(const struct view *view)
{
    const struct recording_facts *facts = &view->profile->facts;
    cleanup(strbuf_deinit) struct strbuf losses = STRBUF_INIT;
    cleanup(strbuf_deinit) struct strbuf ends = STRBUF_INIT;
    size_t samples = view->samples.length;

    add_counts(&losses, facts->losses, LOSS_CAUSES, loss_name);
    fprintf(stderr, "pspy: %zu sample%s in %.2f s; %.1f ticks a second of %g wanted%s\n", samples,
            plural(samples), seconds(facts->duration), rate_reached(facts->ticks, facts->duration),
            facts->rate, losses.length ? "" : "; lost: none");
    if (losses.length)
        fprintf(stderr, "pspy: lost: %s\n", losses.text);
    add_counts(&ends, view->ends, STACK_ENDS, end_name);
    if (samples && view->ends[END_ROOT] != samples)
        fprintf(stderr, "pspy: stacks: %s\n", ends.text);
}

/* Also where it is none: an expression that never matches may be misspelt. */
static void print_left_out(const struct record_options *options, const struct view *view)
{
    if (options->view.filter.rules.length)
        fprintf(stderr,
                "pspy: left out by --include and --exclude: %" PRIu64 " of %" PRIu64 " samples\n",
                view->left_out, view->samples.length + view->left_out);
}

/* How many processes there were, and those that failed. */
static void print_processes(const struct profile *profile)
{
    size_t failed = 0;

    fprintf(stderr, "pspy: %zu process%s\n", profile->processes.length,
            profile->processes.length == 1 ? "" : "es");
    vec_each (process, &profile->processes) {
        cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;

        if (!process->has_status || process->status == 0 || ++failed > SHOWN_FAILURES)
            continue;
        profile_exit_text(process, &text);
        fprintf(stderr, "  process %d: %s: %s\n", process->pid, text.text,
                profile_text(profile, process->command));
    }
    if (failed > SHOWN_FAILURES)
        fprintf(stderr, "  and %zu more that failed\n", failed - SHOWN_FAILURES);
}

/* Where the time of the samples went, in ns. */
enum where { IN_PYTHON, IN_NATIVE, IN_SYSTEM, IN_WAITING, PLACES };

/* Without native frames what Python calls is Python's, and so is what it does in the kernel: that
 * is known of stopped threads only. */
static enum where place_of(const struct view *view, const struct sample *sample, bool native)
{
    stack_id stack = sample->stack;
    enum frame_kind kind = FRAME_MARKER;
    bool is_python;

    if (sample->state != STATE_RUNNING)
        return IN_WAITING;
    while (stack.v != STACK_EMPTY.v && kind >= FRAME_MARKER) {
        kind = view_frame(view, view->stacks.items[stack.v].frame)->kind;
        stack = view->stacks.items[stack.v].parent;
    }
    is_python = kind != FRAME_NATIVE && kind < FRAME_MARKER;
    if (sample->call && (native || !is_python))
        return IN_SYSTEM;
    return is_python ? IN_PYTHON : IN_NATIVE;
}

static void print_time(const struct view *view)
{
    const struct recording_facts *facts = &view->profile->facts;
    bool native = facts->native || !facts->saw_python;
    const char *const names[PLACES] = {native ? "Python" : "Python and what it calls", "native",
                                       "system calls", "waiting"};
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;
    uint64_t parts[PLACES] = {0}, all = 0;

    vec_each (sample, &view->samples) {
        parts[place_of(view, sample, native)] += sample->weight;
        all += sample->weight;
    }
    for (size_t i = 0; i < PLACES; i++)
        if (parts[i])
            strbuf_addf(&text, "%s%s %.1f %%", text.length ? ", " : "", names[i],
                        100.0 * (double)parts[i] / (double)all);
    if (all)
        fprintf(stderr, "pspy: time: %s\n", text.text);
}

/* As the kernel counts it. */
static void print_cpu_time(const struct profile *profile)
{
    uint64_t user = 0, system = 0, ready = 0;

    vec_each (thread, &profile->threads) {
        user += thread->user;
        system += thread->system;
        ready += thread->ready;
    }
    if (user + system)
        fprintf(stderr, "pspy: CPU time: %.2f s user, %.2f s system; %.2f s waiting for a CPU\n",
                seconds(user), seconds(system), seconds(ready));
}

static int compare_calls(const void *a, const void *b)
{
    const struct call_count *first = a, *second = b;

    return first->samples < second->samples ? 1 : first->samples > second->samples ? -1 : 0;
}

/* "futex 40, read 2" */
static void print_calls(const struct view *view)
{
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;
    struct call_count counts[CALLS] = {{0, 0}};

    vec_each (sample, &view->samples) {
        if (sample->state == STATE_BLOCKED && sample->call && sample->call <= CALLS) {
            counts[sample->call - 1].number = sample->call - 1;
            counts[sample->call - 1].samples++;
        }
    }
    qsort(counts, CALLS, sizeof(counts[0]), compare_calls);
    for (size_t i = 0; i < SHOWN_CALLS && counts[i].samples; i++) {
        const char *name = syscall_name(counts[i].number);

        strbuf_addf(&text, "%s%s %zu", text.length ? ", " : "", name ? name : "unknown",
                    counts[i].samples);
    }
    if (text.length)
        fprintf(stderr, "pspy: idle in: %s\n", text.text);
}

/* What the threads did, where it is not just running. */
static void print_states(const struct view *view)
{
    size_t counts[SAMPLE_STATES] = {0}, holding = 0, collecting = 0;
    size_t all = view->samples.length;
    bool saw_python = view->profile->facts.saw_python;

    vec_each (sample, &view->samples) {
        counts[sample->state]++;
        holding += sample->state <= STATE_READY && (sample->flags & SAMPLE_HOLDS_GIL);
        collecting += !!(sample->flags & SAMPLE_COLLECTS);
    }
    if (counts[STATE_RUNNING] < all && saw_python)
        fprintf(stderr,
                "pspy: threads: %zu running and %zu waiting for a CPU (%zu of them with the GIL), "
                "%zu waiting for the GIL, %zu idle\n",
                counts[STATE_RUNNING], counts[STATE_READY], holding, counts[STATE_GIL],
                counts[STATE_BLOCKED]);
    else if (counts[STATE_RUNNING] < all)
        fprintf(stderr, "pspy: threads: %zu running, %zu waiting for a CPU, %zu idle\n",
                counts[STATE_RUNNING], counts[STATE_READY], counts[STATE_BLOCKED]);
    print_calls(view);
    if (collecting)
        fprintf(stderr, "pspy: garbage collection: %zu of %zu samples\n", collecting, all);
}

static void print_hottest(const struct view *view)
{
    function_totals totals = VEC_INIT;
    size_t samples = view->samples.length;

    view_hottest(view, &totals);
    if (totals.length)
        fputs("pspy: hottest functions, by samples in the function itself:\n", stderr);
    for (size_t i = 0; i < totals.length && i < HOTTEST; i++) {
        const struct function_total *total = &totals.items[i];
        const struct view_frame *frame = view_frame(view, total->frame);
        const char *file = view_text(view, frame->short_file);

        if (total->self_samples == 0)
            break;
        fprintf(stderr, "  %5.1f %%  %s%s%s%s\n",
                100.0 * (double)total->self_samples / (double)samples, view_text(view, frame->name),
                *file ? " (" : "", file, *file ? ")" : "");
    }
    vec_deinit(&totals);
}

static void print_traced(const struct recording_facts *facts)
{
    if (facts->without_native)
        fprintf(stderr,
                "pspy: another tracer, such as strace or gdb, held a process: %" PRIu64
                " samples show its Python functions only\n",
                facts->without_native);
}

static void print_lowest_rate(const struct recording_facts *facts)
{
    if (facts->lowest_rate > 0)
        fprintf(stderr,
                "pspy: --max-overhead %g lowered the rate, at the lowest to %.3g ticks a second\n",
                facts->max_overhead, facts->lowest_rate);
}

static void print_guess(const struct profile *profile)
{
    if (profile->facts.python_is_guessed)
        fprintf(stderr,
                "pspy: CPython %s is newer than this pspy knows; it was read by what it says of "
                "itself: see whether the stacks make sense, or look for a newer pspy\n",
                profile_text(profile, profile->facts.python));
}

static void print_python_notice(const struct profile *profile)
{
    const struct recording_facts *facts = &profile->facts;

    if (facts->python_why.v)
        fprintf(stderr, "pspy: %s: only native frames were recorded\n",
                profile_text(profile, facts->python_why));
    else if (!facts->saw_python && !facts->native)
        fputs("pspy: no Python ran in this program: its native stacks were recorded, as with -n\n",
              stderr);
}

static void print_why_empty(const struct view *view)
{
    const struct recording_facts *facts = &view->profile->facts;

    if (facts->end == RECORDING_EXITED && facts->delay && !facts->ticks)
        fputs("pspy: the program ended before --delay-start was over: the profile is empty; give "
              "it fewer seconds\n",
              stderr);
    else if (view->left_out)
        fputs("pspy: no sample fits --include and --exclude: the profile is empty; one without "
              "them shows which names there are\n",
              stderr);
    else if (facts->end == RECORDING_EXITED && facts->ticks < 3)
        fputs("pspy: the program ended before it could be sampled: the profile is empty; a higher "
              "rate (-r 1000) sees shorter ones\n",
              stderr);
    else if (facts->losses[LOSS_TRACED])
        fputs(
            "pspy: a debugger or tracer, such as gdb or strace, holds the program: the profile is "
            "empty; end that first\n",
            stderr);
    else if (facts->nonblocking && !facts->saw_python)
        fputs(
            "pspy: no Python ran in this program, and --nonblocking shows Python only: the profile "
            "is empty; leave it out to see native stacks\n",
            stderr);
    else if (facts->gil)
        fputs("pspy: no thread was met holding the GIL: the profile is empty; leave out -g to see "
              "all threads\n",
              stderr);
    else if (view->profile->samples.length)
        fputs("pspy: no sample was taken between --from and --to: the profile is empty\n", stderr);
    else if (!facts->idle)
        fputs("pspy: no thread was met running: the profile is empty; -i shows waiting threads "
              "too\n",
              stderr);
}

/* Whether a file of the same format is told of before it. */
static bool is_repeated(const output_requests *outputs, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (outputs->items[i].format == outputs->items[index].format &&
            strcmp(outputs->items[i].path, "-") != 0)
            return true;
    return false;
}

/* Where the files are, and how to look at them: once for each format. */
static void print_outputs(const output_requests *outputs)
{
    for (size_t i = 0; i < outputs->length; i++) {
        const struct output_request *output = &outputs->items[i];
        bool to_stdout = strcmp(output->path, "-") == 0;

        fprintf(stderr, "pspy: wrote %s to %s\n", output->format->what,
                to_stdout ? "standard output" : output->path);
        if (!to_stdout && !is_repeated(outputs, i))
            fprintf(stderr, "  %s\n", output->format->hint);
    }
}

void summary_print(const output_requests *outputs, const struct record_options *options,
                   const struct view *view)
{
    const struct profile *profile = view->profile;

    if (view->samples.length == 0)
        print_why_empty(view);
    else
        print_python_notice(profile);
    print_guess(profile);
    print_outputs(outputs);
    print_counts(view);
    if (options->subprocesses)
        print_processes(profile);
    print_traced(&profile->facts);
    print_lowest_rate(&profile->facts);
    print_time(view);
    print_cpu_time(profile);
    print_states(view);
    print_left_out(options, view);
    print_hottest(view);
}

void summary_snapshot(const struct output_request *output, const struct profile *profile)
{
    fprintf(stderr, "pspy: wrote a %s of the first %.1f s to %s\n", output->format->what,
            seconds(profile->facts.duration), output->path);
}

void summary_waiting(pid_t pid)
{
    fprintf(stderr, "pspy: the program (process %d) runs on; waiting for its end\n", (int)pid);
}
