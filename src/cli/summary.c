/* SPDX-License-Identifier: MIT */
#include "pspy/cli/summary.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/clock.h"
#include "pspy/profile/query.h"

#define HOTTEST 5

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

static void print_counts(const struct profile *profile)
{
    cleanup(strbuf_deinit) struct strbuf losses = STRBUF_INIT;
    cleanup(strbuf_deinit) struct strbuf ends = STRBUF_INIT;
    size_t samples = profile->samples.length;

    add_counts(&losses, profile->losses, LOSS_CAUSES, loss_name);
    fprintf(stderr, "pspy: %zu sample%s in %.2f s; %.1f ticks a second of %g wanted%s\n", samples,
            plural(samples), seconds(profile->duration),
            rate_reached(profile->ticks, profile->duration), profile->rate,
            losses.length ? "" : "; lost: none");
    if (losses.length)
        fprintf(stderr, "pspy: lost: %s\n", losses.text);
    add_counts(&ends, profile->ends, STACK_ENDS, end_name);
    if (samples && profile->ends[END_ROOT] != samples)
        fprintf(stderr, "pspy: stacks: %s\n", ends.text);
}

/* Also where it is none: an expression that never matches may be misspelt. */
static void print_left_out(const struct record_options *options, const struct profile *profile)
{
    if (options->filter.rules.length)
        fprintf(stderr,
                "pspy: left out by --include and --exclude: %" PRIu64 " of %" PRIu64 " samples\n",
                profile->left_out, profile->samples.length + profile->left_out);
}

/* What the threads did, where it is not just running. */
static void print_states(const struct profile *profile)
{
    size_t running = 0, holding = 0, waiting = 0, collecting = 0, all = profile->samples.length;

    vec_each (sample, &profile->samples) {
        running += !!(sample->flags & SAMPLE_ON_CPU);
        holding += (sample->flags & SAMPLE_ON_CPU) && (sample->flags & SAMPLE_HOLDS_GIL);
        waiting += !!(sample->flags & SAMPLE_WAITS_FOR_GIL);
        collecting += !!(sample->flags & SAMPLE_COLLECTS);
    }
    if (running < all)
        fprintf(
            stderr,
            "pspy: threads: %zu running (%zu with the GIL), %zu waiting for the GIL, %zu idle\n",
            running, holding, waiting, all - running - waiting);
    if (collecting)
        fprintf(stderr, "pspy: garbage collection: %zu of %zu samples\n", collecting, all);
}

static void print_hottest(const struct profile *profile)
{
    function_totals totals = VEC_INIT;
    size_t samples = profile->samples.length;

    profile_hottest(profile, &totals);
    if (totals.length)
        fputs("pspy: hottest functions, by samples in the function itself:\n", stderr);
    for (size_t i = 0; i < totals.length && i < HOTTEST; i++) {
        const struct function_total *total = &totals.items[i];
        const struct frame_info *info = profile_frame_info(profile, total->frame);
        const char *file = profile_text(profile, info->short_file);

        if (total->self_samples == 0)
            break;
        fprintf(stderr, "  %5.1f %%  %s%s%s%s\n",
                100.0 * (double)total->self_samples / (double)samples,
                profile_text(profile, info->name), *file ? " (" : "", file, *file ? ")" : "");
    }
    vec_deinit(&totals);
}

static void print_guess(const struct sampler_run *run)
{
    if (run->python_is_guessed)
        fprintf(stderr,
                "pspy: CPython %s is newer than this pspy knows; it was read by what it says of "
                "itself: see whether the stacks make sense, or look for a newer pspy\n",
                run->python_version);
}

static void print_python_notice(const struct record_options *options, const struct sampler_run *run)
{
    if (run->python_why.code != ERR_OK)
        fprintf(stderr, "pspy: %s: only native frames were recorded\n", run->python_why.message);
    else if (!run->saw_python && !options->native)
        fputs("pspy: no Python ran in this program: its native stacks were recorded, as with -n\n",
              stderr);
}

static void print_why_empty(const struct record_options *options, const struct sampler_run *run,
                            const struct profile *profile)
{
    if (profile->left_out)
        fputs("pspy: no sample fits --include and --exclude: the profile is empty; one without "
              "them shows which names there are\n",
              stderr);
    else if (run->end == SAMPLER_EXITED && profile->ticks < 3)
        fputs("pspy: the program ended before it could be sampled: the profile is empty; a higher "
              "rate (-r 1000) sees shorter ones\n",
              stderr);
    else if (profile->losses[LOSS_TRACED])
        fputs(
            "pspy: a debugger or tracer, such as gdb or strace, holds the program: the profile is "
            "empty; end that first\n",
            stderr);
    else if (options->nonblocking && !run->saw_python)
        fputs(
            "pspy: no Python ran in this program, and --nonblocking shows Python only: the profile "
            "is empty; leave it out to see native stacks\n",
            stderr);
    else if (options->gil)
        fputs("pspy: no thread was met holding the GIL: the profile is empty; leave out -g to see "
              "all threads\n",
              stderr);
    else if (!options->idle)
        fputs("pspy: no thread was met running: the profile is empty; -i shows waiting threads "
              "too\n",
              stderr);
}

void summary_print(const char *path, const struct record_options *options,
                   const struct sampler_run *run, const struct profile *profile)
{
    const struct output_format *format = options->format;
    bool to_stdout = strcmp(path, "-") == 0;

    if (profile->samples.length == 0)
        print_why_empty(options, run, profile);
    else
        print_python_notice(options, run);
    print_guess(run);
    fprintf(stderr, "pspy: wrote %s to %s\n", format->what, to_stdout ? "standard output" : path);
    if (!to_stdout)
        fprintf(stderr, "  %s\n", format->hint);
    print_counts(profile);
    print_left_out(options, profile);
    print_states(profile);
    print_hottest(profile);
}

void summary_waiting(pid_t pid)
{
    fprintf(stderr, "pspy: the program (process %d) runs on; waiting for its end\n", (int)pid);
}
