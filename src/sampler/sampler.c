/* SPDX-License-Identifier: MIT */
/* One look after the other. A sample stands for the time since the tick before it. */
#include "pspy/sampler/sampler.h"

#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "internal.h"
#include "pspy/base/clock.h"

#define NAMES_PAUSE       NS_PER_SECOND
#define FIRST_NAMES_PAUSE (50 * NS_PER_MS)
#define NAMES_SHARE       50 /* reading names takes at most one part of so many of the time */
#define SETTLE_TIME       (5 * NS_PER_SECOND)
#define DEAD_TIME         (10 * NS_PER_MS)
#define SHORT_INTERVAL    (4 * NS_PER_MS)
#define ROUND             (10 * NS_PER_MS)
#define LONGEST_WEIGHT    10 /* intervals: what happened while pspy stood still is not known */

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
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
        err = process_list_threads(process, process->setup->profile->facts.ticks, now);
    if (err == ERR_OK && process->setup->options.subprocesses)
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

static void add_samples(struct process *process, uint64_t now, uint64_t weight)
{
    uint64_t time = now - process->sampler->schedule.start;

    jitlist_advance(&process->space, process->target);
    for (size_t i = 0; i < process->captures_used; i++)
        if (process->captures.items[i].is_taken)
            stacks_add_sample(process, &process->captures.items[i], time, weight);
    if (!process->sampler->has_rounds)
        process_confirm(process);
    name_threads(process, now);
    process_read_loops(process, now);
}

/* The threads' times as of now. */
static void update_times(struct process *process)
{
    struct procfs_stat stat;

    vec_each (thread, &process->threads) {
        if (thread_files_stat(&thread->files, &stat) == ERR_OK)
            times_note_stat(thread, &stat);
        times_tell(process->setup->profile, thread);
    }
}

/* Our own child's status is what waiting for it says. */
static void note_status(struct process *process)
{
    struct profile_process *told =
        &process->setup->profile->processes.items[process->profile_process];
    const struct waiter *waiter = process->setup->waiter;

    waiter_poll(process->setup->waiter);
    told->status = waiter->status;
    told->has_status = waiter->child == process->target->pid
                           ? waiter->has_ended
                           : target_exit_status(process->target, &told->status);
}

/* What is still to be learnt of a process, which may have ended. */
static void end_process(struct process *process, uint64_t patience)
{
    if (process->has_python && !process->has_ended)
        process_begin_codes(process, clock_now());
    process_confirm(process);
    stops_settle(process, clock_now() + patience);
    process_name_threads(process);
    update_times(process);
    if (process->has_ended)
        note_status(process);
    else
        process_read_loops(process, UINT64_MAX);
}

static void sweep_ended(struct sampler *sampler)
{
    size_t kept = 0;

    /* What one of them has to take back concerns those that are still there. */
    vec_each (process, &sampler->processes)
        if ((*process)->has_ended)
            end_process(*process, DEAD_TIME);
    vec_each (process, &sampler->processes) {
        if ((*process)->has_ended)
            process_destroy(*process);
        else
            sampler->processes.items[kept++] = *process;
    }
    if (kept < sampler->processes.length)
        table_clear(&sampler->process_index);
    sampler->processes.length = kept;
}

/* No process will take back what all are sure of. */
static void settle_samples(struct sampler *sampler)
{
    struct profile *profile = sampler->setup.profile;
    size_t settled = profile->samples.length;

    vec_each (process, &sampler->processes)
        if ((*process)->confirmed < settled)
            settled = (*process)->confirmed;
    profile->settled = settled;
}

/* One look at all processes; those that are found on the way are looked at as well. */
static void tick(struct sampler *sampler, uint64_t now)
{
    struct schedule *schedule = &sampler->schedule;
    uint64_t weight = now - schedule->last;

    if (weight > LONGEST_WEIGHT * schedule->interval)
        weight = LONGEST_WEIGHT * schedule->interval;
    sampler->now = now;
    sampler->setup.profile->facts.ticks++;
    if (sampler->setup.options.subprocesses)
        children_adopt(sampler);
    for (size_t i = 0; i < sampler->processes.length; i++)
        look(sampler->processes.items[i], now);
    sweep_ended(sampler);
    stops_take(sampler);
    vec_each (process, &sampler->processes)
        add_samples(*process, now, weight);
    settle_samples(sampler);
    schedule->last = now;
}

static void adapt(struct sampler *sampler, uint64_t now)
{
    struct recording_facts *facts = &sampler->setup.profile->facts;
    const struct schedule *schedule = &sampler->schedule;
    double rate;

    schedule_adapt(&sampler->schedule, now);
    rate = (double)NS_PER_SECOND / (double)schedule->interval;
    if (schedule->interval > schedule->wanted && (!facts->lowest_rate || rate < facts->lowest_rate))
        facts->lowest_rate = rate;
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
    if (!sampler->setup.options.subprocesses)
        return sampler->setup.waiter->has_ended || !is_any_alive(sampler);
    if (is_any_alive(sampler))
        return false;
    children_adopt(sampler);
    return !is_any_alive(sampler);
}

static void note_duration(struct sampler *sampler)
{
    if (sampler->has_begun)
        sampler->setup.profile->facts.duration = clock_now() - sampler->schedule.start;
}

static void end(struct sampler *sampler, enum recording_end why)
{
    sampler->setup.profile->facts.end = (uint8_t)why;
    note_duration(sampler);
}

/* A sleep towards the next tick, or the tick. */
static void step(struct sampler *sampler, uint64_t now, uint64_t deadline)
{
    struct schedule *schedule = &sampler->schedule;
    struct profile *profile = sampler->setup.profile;
    bool is_over = false;

    waiter_poll(sampler->setup.waiter);
    if (sampler->setup.waiter->has_ended && all_ended(sampler)) {
        is_over = true;
    } else if (now >= schedule->end) {
        schedule_count_missed(schedule, profile, schedule->end);
        end(sampler, RECORDING_DURATION);
    } else if (now < schedule_next(schedule)) {
        is_over = schedule_sleep(schedule, &sampler->wakers, now, deadline) && all_ended(sampler);
    } else {
        adapt(sampler, now);
        tick(sampler, now);
        is_over = sampler->processes.length == 0 && all_ended(sampler);
        if (!is_over)
            schedule_advance(schedule, profile, clock_now());
    }
    if (is_over)
        end(sampler, RECORDING_EXITED);
}

static void begin(struct sampler *sampler)
{
    vec_push(&sampler->processes, process_create(sampler, sampler->setup.target, NULL));
    schedule_init(&sampler->schedule, &sampler->setup.options);
    sampler->has_rounds = sampler->schedule.interval < SHORT_INTERVAL;
    sampler->start_ticks = times_now();
    sampler->setup.profile->facts.start_wall = clock_wall();
    sampler->has_begun = true;
}

/* Nothing is looked at before the first tick. */
static void await_start(struct sampler *sampler, uint64_t now, uint64_t deadline)
{
    struct waiter *waiter = sampler->setup.waiter;
    struct procfs_stat state;

    if (now >= sampler->delay_end) {
        begin(sampler);
        return;
    }
    waiter_poll(waiter);
    if ((waiter->has_ended && !sampler->setup.options.subprocesses) ||
        (!waiter->child && target_stat(sampler->setup.target, &state) == ERR_GONE))
        end(sampler, RECORDING_EXITED);
    else
        schedule_sleep_until(&sampler->wakers,
                             sampler->delay_end < deadline ? sampler->delay_end : deadline);
}

void sampler_note_options(struct profile *profile, const struct sampler_options *options)
{
    struct recording_facts *facts = &profile->facts;
    char host[256] = "";

    gethostname(host, sizeof(host) - 1);
    facts->host = profile_string(profile, host);
    facts->exporter = profile_string(profile, "pspy " PSPY_VERSION);
    facts->rate = options->rate;
    facts->max_overhead = options->max_overhead;
    facts->delay = options->delay;
    facts->native = options->native;
    facts->subprocesses = options->subprocesses;
    facts->idle = options->idle;
    facts->gil = options->gil;
    facts->nonblocking = options->nonblocking;
}

struct sampler *sampler_create(const struct sampler_setup *setup)
{
    struct sampler *sampler = xcalloc(1, sizeof(*sampler));

    sampler->setup = *setup;
    sampler->delay_end = clock_now() + setup->options.delay;
    prctl(PR_SET_TIMERSLACK, 1);
    target_raise_descriptors();
    wakers_init(&sampler->wakers, setup->watch_fd);
    sampler_note_options(setup->profile, &setup->options);
    if (!setup->options.delay)
        begin(sampler);
    return sampler;
}

static bool is_woken(const struct sampler *sampler)
{
    return (sampler->setup.wake && *sampler->setup.wake) || wakers_is_ready(&sampler->wakers);
}

enum sampler_event sampler_next(struct sampler *sampler, uint64_t deadline)
{
    const struct recording_facts *facts = &sampler->setup.profile->facts;
    uint64_t now;

    do {
        now = clock_now();
        if (facts->end == RECORDING_CUT_OFF && *sampler->setup.stop)
            end(sampler, RECORDING_STOPPED);
        if (facts->end != RECORDING_CUT_OFF)
            return SAMPLER_ENDED;
        if (is_woken(sampler))
            return SAMPLER_READY;
        if (sampler->has_begun)
            step(sampler, now, deadline);
        else
            await_start(sampler, now, deadline);
    } while (now < deadline);
    return SAMPLER_DEADLINE;
}

void sampler_tell(struct sampler *sampler)
{
    vec_each (process, &sampler->processes) {
        update_times(*process);
        process_name_threads(*process);
    }
    modules_tell(sampler);
    if (sampler->setup.profile->facts.end == RECORDING_CUT_OFF)
        note_duration(sampler);
}

void sampler_progress(const struct sampler *sampler, struct sampler_progress *ret)
{
    const struct profile *profile = sampler->setup.profile;

    *ret = (struct sampler_progress){.has_begun = sampler->has_begun,
                                     .samples = profile->samples.length,
                                     .ticks = profile->facts.ticks,
                                     .lost = profile_lost(profile)};
    if (sampler->has_begun)
        ret->elapsed = clock_now() - sampler->schedule.start;
}

void sampler_finish(struct sampler *sampler)
{
    if (sampler->has_finished)
        return;
    sampler->has_finished = true;
    vec_each (process, &sampler->processes) {
        struct procfs_stat state;

        (*process)->has_ended = target_stat((*process)->target, &state) == ERR_GONE;
        end_process(*process, SETTLE_TIME);
    }
    modules_tell(sampler);
    vec_each (process, &sampler->processes)
        process_destroy(*process);
    vec_reset(&sampler->processes);
    settle_samples(sampler);
}

void sampler_destroy(struct sampler *sampler)
{
    if (!sampler)
        return;
    sampler_finish(sampler);
    vec_deinit(&sampler->processes);
    table_deinit(&sampler->process_index);
    ufunc_loops_deinit(&sampler->loops);
    module_list_deinit(&sampler->modules);
    vec_deinit(&sampler->told_images);
    wakers_deinit(&sampler->wakers);
    free(sampler);
}

struct module_list *sampler_modules(struct sampler *sampler)
{
    return &sampler->modules;
}

const struct ufunc_loops *sampler_loops(const struct sampler *sampler)
{
    return &sampler->loops;
}
