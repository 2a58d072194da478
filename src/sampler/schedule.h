/* SPDX-License-Identifier: MIT */
/*
 * When to look. Ticks follow each other at intervals that vary by half an interval either way, so
 * that a program with a rhythm of its own is not always met at the same place. A tick may be late
 * by an interval, if that leaves it far enough from the one before; those that pspy came too late
 * for are counted, not made up for. Times are ns of clock_now.
 */
#ifndef PSPY_SAMPLER_SCHEDULE_H
#define PSPY_SAMPLER_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "pspy/base/clock.h"
#include "pspy/sampler/sampler.h"

struct schedule {
    struct rng rng;
    uint64_t interval; /* ns, on average */
    uint64_t wanted;   /* what the options ask for */
    uint64_t start, end;
    uint64_t due;  /* the next tick */
    uint64_t last; /* when the last tick was */
    double max_overhead;
    uint64_t adapted, adapted_cpu; /* when that was last looked at, and our CPU time then */
};

/* What ends a sleep early, besides signal handlers. */
struct wakers {
    int watch; /* a descriptor, once it can be read; borrowed; -1: none */
    int child; /* with that one: reports SIGCHLD, which is blocked */
};

void wakers_init(struct wakers *wakers, int watch);
void wakers_deinit(struct wakers *wakers);
/* Whether the watched descriptor can be read. */
bool wakers_is_ready(const struct wakers *wakers);

/* It starts now. */
void schedule_init(struct schedule *schedule, const struct sampler_options *options);
/* Sleeps towards the next tick, or less long: to `deadline`, or where a waker woke, a signal
 * handler ran or our child ended. True if that tick is still some time away. */
bool schedule_sleep(const struct schedule *schedule, const struct wakers *wakers, uint64_t now,
                    uint64_t deadline);
/* The same until a moment that no schedule knows. */
void schedule_sleep_until(const struct wakers *wakers, uint64_t when);
uint64_t schedule_next(const struct schedule *schedule);
/* Counts the ticks that were due before `until` and did not come. */
void schedule_count_missed(struct schedule *schedule, struct profile *profile, uint64_t until);
/* After a tick. Sets the next one; one that is late by less than an interval will yet be taken. */
void schedule_advance(struct schedule *schedule, struct profile *profile, uint64_t now);
/* Lowers the rate where pspy uses more CPU time than it may, or raises it up to the wanted one. */
void schedule_adapt(struct schedule *schedule, uint64_t now);

#endif
