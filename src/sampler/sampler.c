/* SPDX-License-Identifier: MIT */
/* One look after the other. A sample stands for the time since the tick before it. */
#include "pspy/sampler/sampler.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "internal.h"
#include "pspy/base/clock.h"
#include "pspy/sampler/symbolize.h"
#include "schedule.h"

#define PROGRESS_PAUSE    (NS_PER_SECOND / 2)
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

/* The threads' times as of now. */
static void update_times(struct process *process)
{
    struct procfs_stat stat;

    vec_each (thread, &process->threads) {
        if (thread_files_stat(&thread->files, &stat) == ERR_OK)
            times_note_stat(thread, &stat);
        times_tell(process->run->profile, thread);
    }
}

/* Our own child's status is what waiting for it says. */
static void note_status(struct process *process)
{
    struct profile_process *told =
        &process->run->profile->processes.items[process->profile_process];
    const struct waiter *waiter = process->run->waiter;

    waiter_poll(process->run->waiter);
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
    sampler->now = now;
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

static void tell_progress(struct sampler *sampler, const struct schedule *schedule, uint64_t now)
{
    const struct sampler_run *run = sampler->run;
    struct sampler_progress progress = {.elapsed = now - schedule->start,
                                        .samples = run->profile->samples.length,
                                        .ticks = run->profile->ticks,
                                        .lost = lost_samples(run->profile)};

    if (!run->progress || now < sampler->next_progress)
        return;
    run->progress(run->context, &progress);
    sampler->next_progress = now + PROGRESS_PAUSE;
}

static void adapt(struct sampler_run *run, struct schedule *schedule, uint64_t now)
{
    double rate;

    schedule_adapt(schedule, now);
    rate = (double)NS_PER_SECOND / (double)schedule->interval;
    if (schedule->interval > schedule->wanted && (!run->lowest_rate || rate < run->lowest_rate))
        run->lowest_rate = rate;
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

/* Names all frames. */
static void finish_profile(struct sampler *sampler)
{
    struct sampler_run *run = sampler->run;
    struct symbolize_options names = {.function_lines = run->options.function_lines,
                                      .no_lines = run->options.no_lines,
                                      .full_filenames = run->options.full_filenames,
                                      .fold = run->saw_python && !run->options.native_all};

    symbolize(run->profile, &sampler->modules, run->target->root_fd, &sampler->loops, &names);
    if (run->options.states)
        states_show(run->profile);
}

/* A copy of pspy finishes its copy of the profile, while this one goes on. One at a time. */
static void take_snapshot(struct sampler *sampler, const struct schedule *schedule, uint64_t now)
{
    struct sampler_run *run = sampler->run;

    if (sampler->snapshot && waitpid(sampler->snapshot, NULL, WNOHANG) == sampler->snapshot)
        sampler->snapshot = 0;
    if (sampler->snapshot || !*run->snapshot_wanted)
        return;
    *run->snapshot_wanted = 0;
    sampler->snapshots++;
    vec_each (process, &sampler->processes) {
        update_times(*process);
        process_name_threads(*process);
    }
    sampler->snapshot = fork();
    if (sampler->snapshot < 0)
        sampler->snapshot = 0;
    else if (sampler->snapshot == 0) {
        if (!samples_detach(&run->profile->samples))
            _exit(1);
        run->profile->duration = now - schedule->start;
        finish_profile(sampler);
        run->snapshot(run->context, sampler->snapshots);
        _exit(0);
    }
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
            schedule_count_missed(schedule, run->profile, schedule->end);
            return SAMPLER_DURATION;
        }
        tell_progress(sampler, schedule, now);
        take_snapshot(sampler, schedule, now);
        if (now < schedule_next(schedule)) {
            if (schedule_sleep(schedule, now) && all_ended(sampler))
                return SAMPLER_EXITED;
            continue;
        }
        adapt(run, schedule, now);
        tick(sampler, schedule, now);
        if (sampler->processes.length == 0 && all_ended(sampler))
            return SAMPLER_EXITED;
        schedule_advance(schedule, run->profile, clock_now());
    }
}

/* Nothing is looked at before the first tick. True: there is still something to be sampled. */
static bool wait_for_start(struct sampler_run *run)
{
    uint64_t start = clock_now() + run->options.delay;
    struct procfs_stat state;

    while (clock_now() < start && !*run->stop) {
        waiter_poll(run->waiter);
        if (run->waiter->has_ended && !run->options.subprocesses)
            break;
        if (!run->waiter->child && target_stat(run->target, &state) == ERR_GONE)
            break;
        schedule_sleep_until(start);
    }
    return clock_now() >= start;
}

static void end_all(struct sampler *sampler)
{
    vec_each (process, &sampler->processes) {
        struct procfs_stat state;

        (*process)->has_ended = target_stat((*process)->target, &state) == ERR_GONE;
        end_process(*process, SETTLE_TIME);
    }
    vec_deinit(&sampler->processes);
    if (sampler->snapshot)
        waitpid(sampler->snapshot, NULL, 0);
    table_deinit(&sampler->process_index);
}

static void run_sampler(struct sampler *sampler)
{
    struct sampler_run *run = sampler->run;
    struct schedule schedule;

    vec_push(&sampler->processes, process_create(sampler, run->target, NULL));
    schedule_init(&schedule, &run->options);
    sampler->has_rounds = schedule.interval < SHORT_INTERVAL;
    sampler->end = schedule.end;
    sampler->start_ticks = times_now();
    sampler->next_progress = schedule.start + PROGRESS_PAUSE;
    run->profile->start_wall = clock_wall();
    run->end = sample(sampler, &schedule);
    run->profile->duration = clock_now() - schedule.start;
    end_all(sampler);
    finish_profile(sampler);
    ufunc_loops_deinit(&sampler->loops);
    module_list_deinit(&sampler->modules);
}

void sampler_run(struct sampler_run *run)
{
    struct sampler sampler = {.run = run};

    prctl(PR_SET_TIMERSLACK, 1);
    target_raise_descriptors();
    run->profile->with_subprocesses = run->options.subprocesses;
    run->profile->rate = run->options.rate;
    if (!run->options.delay || wait_for_start(run))
        run_sampler(&sampler);
    else
        run->end = *run->stop ? SAMPLER_STOPPED : SAMPLER_EXITED;
}
