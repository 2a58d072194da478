/* SPDX-License-Identifier: MIT */
#include "schedule.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <time.h>

#include "pspy/base/cleanup.h"

#define SHORTEST_SLEEP   (30 * NS_PER_US) /* waking up takes longer */
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

static void child_set(sigset_t *ret)
{
    sigemptyset(ret);
    sigaddset(ret, SIGCHLD);
}

void schedule_init(struct schedule *schedule, const struct sampler_options *options, int watch)
{
    uint64_t now = clock_now();
    uint64_t interval = (uint64_t)((double)NS_PER_SECOND / options->rate);
    sigset_t child;

    child_set(&child);
    *schedule = (struct schedule){.rng = {now},
                                  .interval = interval,
                                  .wanted = interval,
                                  .start = now,
                                  .last = now,
                                  .max_overhead = options->max_overhead,
                                  .adapted = now,
                                  .adapted_cpu = cpu_time(),
                                  .watch = watch,
                                  .child = -1};
    schedule->end =
        options->duration < UINT64_MAX - now ? now + options->duration : SAMPLER_FOREVER;
    schedule->due = now + jittered(schedule);
    if (watch >= 0)
        schedule->child = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
}

void schedule_deinit(struct schedule *schedule)
{
    cleanup_close(&schedule->child);
}

/* Ticks that come close upon each other show the same. */
uint64_t schedule_next(const struct schedule *schedule)
{
    uint64_t soonest = schedule->last + schedule->interval / 2;

    return schedule->due > soonest ? schedule->due : soonest;
}

/* Whoever waits by poll must still take the signal. */
static void wait_watching(const struct schedule *schedule, const sigset_t *child,
                          const struct timespec *left)
{
    static const struct timespec now = {0, 0};
    struct pollfd polled[] = {{.fd = schedule->watch, .events = POLLIN},
                              {.fd = schedule->child, .events = POLLIN}};

    if (ppoll(polled, sizeof(polled) / sizeof(polled[0]), left, NULL) > 0 && polled[1].revents)
        sigtimedwait(child, NULL, &now);
}

void schedule_sleep_until(const struct schedule *schedule, uint64_t when)
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
    left =
        clock_timespec(when - now < SCHEDULE_LONGEST_SLEEP ? when - now : SCHEDULE_LONGEST_SLEEP);
    child_set(&child);
    if (schedule->watch >= 0)
        wait_watching(schedule, &child, &left);
    else
        sigtimedwait(&child, NULL, &left);
}

bool schedule_is_called(const struct schedule *schedule)
{
    struct pollfd polled = {.fd = schedule->watch, .events = POLLIN};

    return schedule->watch >= 0 && poll(&polled, 1, 0) > 0;
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
