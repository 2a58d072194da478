/* SPDX-License-Identifier: MIT */
#include "schedule.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "pspy/base/cleanup.h"

#define LONGEST_SLEEP    (200 * NS_PER_MS) /* for signals just missed and for the process\'s end */
#define SHORTEST_SLEEP   (30 * NS_PER_US)  /* waking up takes longer */
#define ADAPT_PAUSE      (NS_PER_SECOND / 2)
#define LONGEST_INTERVAL NS_PER_SECOND /* that it makes of a shorter one */
#define ADAPT_TICKS      4             /* fewer say little of what one costs */

static uint64_t jittered(struct schedule *schedule)
{
    return schedule->interval / 2 + rng_next(&schedule->rng) % (schedule->interval + 1);
}

static uint64_t cpu_time(void)
{
    struct timespec time;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * NS_PER_SECOND + (uint64_t)time.tv_nsec;
}

void schedule_init(struct schedule *schedule, const struct sampler_options *options)
{
    uint64_t now = clock_now();
    uint64_t interval = (uint64_t)((double)NS_PER_SECOND / options->rate);

    *schedule = (struct schedule){.rng = {now},
                                  .interval = interval,
                                  .wanted = interval,
                                  .start = now,
                                  .last = now,
                                  .max_overhead = options->max_overhead,
                                  .adapted = now,
                                  .adapted_cpu = cpu_time()};
    schedule->end =
        options->duration < UINT64_MAX - now ? now + options->duration : SAMPLER_FOREVER;
    schedule->due = now + jittered(schedule);
}

/* Ticks that come close upon each other show the same. */
uint64_t schedule_next(const struct schedule *schedule)
{
    uint64_t soonest = schedule->last + schedule->interval / 2;

    return schedule->due > soonest ? schedule->due : soonest;
}

static void child_signal(sigset_t *ret)
{
    sigemptyset(ret);
    sigaddset(ret, SIGCHLD);
}

void wakers_init(struct wakers *wakers, int watch)
{
    sigset_t child;

    child_signal(&child);
    wakers->watch = watch;
    wakers->child = watch < 0 ? -1 : signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC);
}

void wakers_deinit(struct wakers *wakers)
{
    cleanup_close(&wakers->child);
}

bool wakers_is_ready(const struct wakers *wakers)
{
    struct pollfd watch = {.fd = wakers->watch, .events = POLLIN};

    return wakers->watch >= 0 && poll(&watch, 1, 0) > 0;
}

/* The kernel lets this one be late by a thousandth of the time, which sigtimedwait is not. */
static void sleep_watching(const struct wakers *wakers, const struct timespec *left)
{
    struct pollfd both[] = {{.fd = wakers->watch, .events = POLLIN},
                            {.fd = wakers->child, .events = POLLIN}};
    struct signalfd_siginfo info;

    if (ppoll(both, 2, left, NULL) > 0 && both[1].revents)
        while (read(wakers->child, &info, sizeof(info)) > 0)
            continue;
}

void schedule_sleep_until(const struct wakers *wakers, uint64_t when)
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
    left = clock_timespec(when - now < LONGEST_SLEEP ? when - now : LONGEST_SLEEP);
    child_signal(&child);
    if (wakers->watch >= 0)
        sleep_watching(wakers, &left);
    else
        sigtimedwait(&child, NULL, &left);
}

bool schedule_sleep(const struct schedule *schedule, const struct wakers *wakers, uint64_t now,
                    uint64_t deadline)
{
    uint64_t next = schedule_next(schedule), when = next < schedule->end ? next : schedule->end;

    schedule_sleep_until(wakers, when < deadline ? when : deadline);
    return when > now + LONGEST_SLEEP;
}

void schedule_count_missed(struct schedule *schedule, struct profile *profile, uint64_t until)
{
    while (schedule->due < until) {
        profile->facts.losses[LOSS_TICK_MISSED]++;
        schedule->due += jittered(schedule);
    }
}

void schedule_advance(struct schedule *schedule, struct profile *profile, uint64_t now)
{
    schedule->due += jittered(schedule);
    schedule_count_missed(schedule, profile, now - schedule->interval);
}

/* While pspy looks at a thread that stands still, it uses the CPU itself: its CPU time bounds how
 * long the program is held up, too. */
void schedule_adapt(struct schedule *schedule, uint64_t now)
{
    uint64_t pause = ADAPT_PAUSE, used;
    double overhead;

    if (schedule->max_overhead <= 0)
        return;
    if (pause < ADAPT_TICKS * schedule->interval)
        pause = ADAPT_TICKS * schedule->interval;
    if (now < schedule->adapted + pause)
        return;
    used = cpu_time();
    overhead = 100.0 * (double)(used - schedule->adapted_cpu) / (double)(now - schedule->adapted);
    schedule->adapted = now;
    schedule->adapted_cpu = used;
    schedule->interval = (uint64_t)((double)schedule->interval * overhead / schedule->max_overhead);
    if (schedule->interval > LONGEST_INTERVAL)
        schedule->interval = LONGEST_INTERVAL;
    if (schedule->interval < schedule->wanted)
        schedule->interval = schedule->wanted;
}
