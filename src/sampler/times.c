/* SPDX-License-Identifier: MIT */
/*
 * Where threads' time goes. The kernel counts each thread's CPU time, and how long it was ready to
 * run while others ran. Which of two ready threads is on the CPU just now it does not say; only one
 * that was woken and has not run since is ready for sure. Of the other samples as many are made
 * ready ones as the counts ask for: at most a time slice too late.
 */
#include "internal.h"

#include <time.h>
#include <unistd.h>

#include "pspy/base/clock.h"

#define SLEEP_TRUSTED NS_PER_SECOND

static uint64_t tick_ns(void)
{
    static uint64_t ns;

    if (!ns)
        ns = NS_PER_SECOND / (uint64_t)sysconf(_SC_CLK_TCK);
    return ns;
}

uint64_t times_now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_BOOTTIME, &time);
    return ((uint64_t)time.tv_sec * NS_PER_SECOND + (uint64_t)time.tv_nsec) / tick_ns();
}

void times_note_stat(struct thread *thread, const struct procfs_stat *stat)
{
    thread->times.user = stat->user * tick_ns();
    thread->times.system = stat->system * tick_ns();
}

void times_note_sched(struct thread *thread, const struct procfs_schedstat *sched, uint64_t now)
{
    if (sched->timeslices != thread->timeslices) {
        if (thread->is_asleep)
            thread->unseen_ready +=
                (sched->ready - thread->times.ready) / (sched->timeslices - thread->timeslices);
        thread->last_run = now;
    }
    thread->times.running = sched->running;
    thread->times.ready = sched->ready;
    thread->timeslices = sched->timeslices;
    thread->is_asleep = thread->timeslices && thread->timeslices == thread->blocked_timeslices &&
                        now - thread->last_run >= SLEEP_TRUSTED;
}

void times_begin(const struct sampler *sampler, struct thread *thread,
                 const struct procfs_stat *stat)
{
    struct procfs_schedstat sched;

    times_note_stat(thread, stat);
    if (thread_files_schedstat(&thread->files, &sched) == ERR_OK)
        times_note_sched(thread, &sched, sampler->now);
    if (stat->start_time < sampler->start_ticks)
        thread->before = thread->times;
}

static bool is_ready(const struct thread *thread, uint64_t weight)
{
    uint64_t running = thread->times.running - thread->before.running;
    uint64_t ready = thread->times.ready - thread->before.ready - thread->unseen_ready;
    double share = running + ready ? (double)ready / (double)(running + ready) : 0;

    return (double)(thread->ready_weight + weight / 2) < share * (double)thread->runnable_weight;
}

enum sample_state times_choose(struct thread *thread, enum sample_state state, uint64_t weight)
{
    thread->runnable_weight += weight;
    if (state == STATE_RUNNING && !is_ready(thread, weight))
        return STATE_RUNNING;
    thread->ready_weight += weight;
    return STATE_READY;
}

void times_tell(struct profile *profile, const struct thread *thread)
{
    const struct thread_times *before = &thread->before, *now = &thread->times;
    struct profile_thread *told;
    uint64_t running = now->running - before->running;

    if (thread->profile_thread == TABLE_NONE)
        return;
    told = &profile->threads.items[thread->profile_thread];
    told->system = now->system - before->system;
    told->user = running > told->system ? running - told->system : now->user - before->user;
    told->ready = now->ready - before->ready;
}
