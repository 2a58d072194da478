/* SPDX-License-Identifier: MIT */
/*
 * The clock. Ticks follow each other at intervals that vary by half an interval either way, so that
 * a program with a rhythm of its own is not always met at the same place. A sample stands for the
 * time since the tick before it. A tick may be late by an interval, if that leaves it far enough
 * from the one before; those that pspy came too late for are counted, not made up for.
 */
#include "pspy/sampler/sampler.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>

#include "internal.h"
#include "pspy/base/clock.h"
#include "pspy/sampler/symbolize.h"

#define PROGRESS_PAUSE    (NS_PER_SECOND / 2)
#define NAMES_PAUSE       NS_PER_SECOND
#define FIRST_NAMES_PAUSE (50 * NS_PER_MS)
#define NAMES_SHARE       50 /* reading names takes at most one part of so many of the time */
#define SETTLE_TIME       (5 * NS_PER_SECOND)
#define DEAD_TIME         (10 * NS_PER_MS)
#define LONGEST_SLEEP     (200 * NS_PER_MS) /* for signals just missed and for the process\'s end */
#define SHORTEST_SLEEP    (30 * NS_PER_US)  /* waking up takes longer */
#define SHORT_INTERVAL    (4 * NS_PER_MS)
#define ROUND             (10 * NS_PER_MS)
#define LONGEST_WEIGHT    10 /* intervals: what happened while pspy stood still is not known */

struct schedule {
    struct rng rng;
    uint64_t interval; /* ns, on average */
    uint64_t start, end;
    uint64_t due;  /* the next tick */
    uint64_t last; /* when the last tick was */
    uint64_t next_progress;
};

static uint64_t jittered(struct schedule *schedule)
{
    return schedule->interval / 2 + rng_next(&schedule->rng) % (schedule->interval + 1);
}

static void schedule_init(struct schedule *schedule, const struct sampler_options *options)
{
    uint64_t now = clock_now();

    *schedule = (struct schedule){.rng = {now},
                                  .interval = (uint64_t)((double)NS_PER_SECOND / options->rate),
                                  .start = now,
                                  .last = now};
    schedule->end =
        options->duration < UINT64_MAX - now ? now + options->duration : SAMPLER_FOREVER;
    schedule->due = now + jittered(schedule);
    schedule->next_progress = now + PROGRESS_PAUSE;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Ticks that come close upon each other show the same. */
static uint64_t next_tick(const struct schedule *schedule)
{
    return later(schedule->due, schedule->last + schedule->interval / 2);
}

/* Returns early when a signal handler ran or our child ended. */
static void sleep_until(uint64_t when)
{
    uint64_t now = clock_now();
    struct timespec left;
    sigset_t child;

    if (when <= now)
        return;
    if (when - now < SHORTEST_SLEEP) {
        while (clock_now() < when)
            continue;
        return;
    }
    left = clock_timespec(when - now);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigtimedwait(&child, NULL, &left);
}

/* Sleeps towards the next tick. True if that is still some time away. */
static bool sleep_a_while(const struct schedule *schedule, uint64_t now)
{
    uint64_t next = next_tick(schedule), when = next < schedule->end ? next : schedule->end;
    bool is_far = when > now + LONGEST_SLEEP;

    sleep_until(is_far ? now + LONGEST_SLEEP : when);
    return is_far;
}

/* Counts the ticks that were due before `until` and did not come. */
static void count_missed(struct profile *profile, struct schedule *schedule, uint64_t until)
{
    while (schedule->due < until) {
        profile->losses[LOSS_TICK_MISSED]++;
        schedule->due += jittered(schedule);
    }
}

/* Sets the next tick. One that is late by less than an interval will yet be taken. */
static void advance(struct profile *profile, struct schedule *schedule, uint64_t now)
{
    schedule->due += jittered(schedule);
    count_missed(profile, schedule, now - schedule->interval);
}

static void name_threads(struct process *process, uint64_t now)
{
    uint64_t soon = later(now + FIRST_NAMES_PAUSE, process->earliest_names), start, end;

    if (process->names_wanted && process->next_names > soon)
        process->next_names = soon;
    if (now < process->next_names)
        return;
    start = clock_now();
    process_name_threads(process);
    end = clock_now();
    process->earliest_names = end + NAMES_SHARE * (end - start);
    process->next_names = later(start + NAMES_PAUSE, process->earliest_names);
}

static enum err begin_round(struct process *process, uint64_t now)
{
    enum err err;

    if (process->sampler->has_rounds && now < process->next_round && now >= process->churn_end)
        return ERR_OK;
    process->next_round = now + ROUND;
    err = process_update(process, now);
    if (err == ERR_OK)
        err = process_list_threads(process, process->run->profile->ticks, now);
    if (err == ERR_OK && process->run->options.subprocesses)
        children_find(process);
    return err;
}

/* What can be read of a process while it runs. */
static void look(struct process *process, uint64_t now)
{
    process->captures_used = 0;
    stops_settle(process, 0);
    switch (begin_round(process, now)) {
    case ERR_OK:
        capture_all(process);
        break;
    case ERR_GONE:
        process->has_ended = true;
        break;
    default:
        break;
    }
}

static void add_samples(struct process *process, const struct schedule *schedule, uint64_t now,
                        uint64_t weight)
{
    jitlist_advance(&process->space, process->target);
    for (size_t i = 0; i < process->captures_used; i++)
        if (process->captures.items[i].is_taken)
            stacks_add_sample(process, &process->captures.items[i], now - schedule->start, weight);
    if (!process->sampler->has_rounds)
        process_confirm(process);
    name_threads(process, now);
    process_read_loops(process, now);
}

/* What is still to be learnt of a process, which may have ended. */
static void end_process(struct process *process, uint64_t patience)
{
    if (process->has_python && !process->has_ended)
        process_begin_codes(process, clock_now());
    process_confirm(process);
    stops_settle(process, clock_now() + patience);
    process_name_threads(process);
    if (!process->has_ended)
        process_read_loops(process, UINT64_MAX);
    process_destroy(process);
}

static void sweep_ended(struct sampler *sampler)
{
    size_t kept = 0;

    vec_each (process, &sampler->processes) {
        if ((*process)->has_ended)
            end_process(*process, DEAD_TIME);
        else
            sampler->processes.items[kept++] = *process;
    }
    if (kept < sampler->processes.length)
        table_clear(&sampler->process_index);
    sampler->processes.length = kept;
}

/* One look at all processes; those that are found on the way are looked at as well. */
static void tick(struct sampler *sampler, struct schedule *schedule, uint64_t now)
{
    uint64_t weight = now - schedule->last;

    if (weight > LONGEST_WEIGHT * schedule->interval)
        weight = LONGEST_WEIGHT * schedule->interval;
    sampler->run->profile->ticks++;
    if (sampler->run->options.subprocesses)
        children_adopt(sampler);
    for (size_t i = 0; i < sampler->processes.length; i++)
        look(sampler->processes.items[i], now);
    sweep_ended(sampler);
    stops_take(sampler);
    vec_each (process, &sampler->processes)
        add_samples(*process, schedule, now, weight);
    schedule->last = now;
}

static uint64_t lost_samples(const struct profile *profile)
{
    uint64_t lost = 0;

    for (size_t i = 0; i < LOSS_CAUSES; i++)
        lost += profile->losses[i];
    return lost;
}

static void tell_progress(const struct sampler_run *run, struct schedule *schedule, uint64_t now)
{
    struct sampler_progress progress = {.elapsed = now - schedule->start,
                                        .samples = run->profile->samples.length,
                                        .ticks = run->profile->ticks,
                                        .lost = lost_samples(run->profile)};

    if (!run->progress || now < schedule->next_progress)
        return;
    run->progress(run->progress_context, &progress);
    schedule->next_progress = now + PROGRESS_PAUSE;
}

static bool is_any_alive(const struct sampler *sampler)
{
    struct procfs_stat state;

    vec_each (process, &sampler->processes) {
        if (target_stat((*process)->target, &state) != ERR_GONE)
            return true;
    }
    return false;
}

/* Whether nothing is left to be sampled: without subprocesses the program has ended, with them also
 * all that it left behind. */
static bool all_ended(struct sampler *sampler)
{
    if (!sampler->run->options.subprocesses)
        return sampler->run->waiter->has_ended || !is_any_alive(sampler);
    if (is_any_alive(sampler))
        return false;
    children_adopt(sampler);
    return !is_any_alive(sampler);
}

static enum sampler_end sample(struct sampler *sampler, struct schedule *schedule)
{
    struct sampler_run *run = sampler->run;

    for (;;) {
        uint64_t now = clock_now();

        if (*run->stop)
            return SAMPLER_STOPPED;
        waiter_poll(run->waiter);
        if (run->waiter->has_ended && all_ended(sampler))
            return SAMPLER_EXITED;
        if (now >= schedule->end) {
            count_missed(run->profile, schedule, schedule->end);
            return SAMPLER_DURATION;
        }
        tell_progress(run, schedule, now);
        if (now < next_tick(schedule)) {
            if (sleep_a_while(schedule, now) && all_ended(sampler))
                return SAMPLER_EXITED;
            continue;
        }
        tick(sampler, schedule, now);
        if (sampler->processes.length == 0 && all_ended(sampler))
            return SAMPLER_EXITED;
        advance(run->profile, schedule, clock_now());
    }
}

static void end_all(struct sampler *sampler)
{
    vec_each (process, &sampler->processes) {
        struct procfs_stat state;

        (*process)->has_ended = target_stat((*process)->target, &state) == ERR_GONE;
        end_process(*process, SETTLE_TIME);
    }
    vec_deinit(&sampler->processes);
    table_deinit(&sampler->process_index);
}

void sampler_run(struct sampler_run *run)
{
    struct symbolize_options names = {.function_lines = run->options.function_lines,
                                      .no_lines = run->options.no_lines,
                                      .full_filenames = run->options.full_filenames};
    struct sampler sampler = {.run = run};
    struct schedule schedule;

    prctl(PR_SET_TIMERSLACK, 1);
    target_raise_descriptors();
    run->profile->with_subprocesses = run->options.subprocesses;
    vec_push(&sampler.processes, process_create(&sampler, run->target, NULL));
    schedule_init(&schedule, &run->options);
    sampler.has_rounds = schedule.interval < SHORT_INTERVAL;
    sampler.end = schedule.end;
    run->profile->rate = run->options.rate;
    run->profile->start_wall = clock_wall();
    run->end = sample(&sampler, &schedule);
    run->profile->duration = clock_now() - schedule.start;
    end_all(&sampler);
    names.fold = run->saw_python && !run->options.native_all;
    symbolize(run->profile, &sampler.modules, run->target->root_fd, &sampler.loops, &names);
    ufunc_loops_deinit(&sampler.loops);
    module_list_deinit(&sampler.modules);
}
