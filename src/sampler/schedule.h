/* SPDX-License-Identifier: MIT */
/*
 * When to look. Ticks follow each other at intervals that vary by half an interval either way, so
 * that a program with a rhythm of its own is not always met at the same place. A tick may be late
 * by an interval, if that leaves it far enough from the one before; those that pspy came too late
 * for are counted, not made up for. Times are ns of clock_now.
 */
#ifndef PSPY_SAMPLER_SCHEDULE_H
#define PSPY_SAMPLER_SCHEDULE_H

#include <stdint.h>

#include "pspy/base/clock.h"
#include "pspy/sampler/sampler.h"

#define SCHEDULE_LONGEST_SLEEP (200 * NS_PER_MS) /* for signals just missed and a process's end */

struct schedule {
    struct rng rng;
    uint64_t interval; /* ns, on average */
    uint64_t wanted;   /* what the options ask for */
    uint64_t start, end;
    uint64_t due;  /* the next tick */
    uint64_t last; /* when the last tick was */
    double max_overhead;
    uint64_t adapted, adapted_cpu; /* when that was last looked at, and our CPU time then */
    int watch;                     /* a descriptor whose data end a sleep; -1: none */
    int child;                     /* with it: a signalfd of SIGCHLD */
};

/* It starts now. `watch`: a descriptor, or -1. */
void schedule_init(struct schedule *schedule, const struct sampler_options *options, int watch);
void schedule_deinit(struct schedule *schedule);
/* Sleeps towards `when`: less long where a signal handler ran, our child ended or `watch` can be
 * read, and never much longer than a moment's silence of all of them. */
void schedule_sleep_until(const struct schedule *schedule, uint64_t when);
/* Whether `watch` can be read. */
bool schedule_is_called(const struct schedule *schedule);
uint64_t schedule_next(const struct schedule *schedule);
/* Counts the ticks that were due before `until` and did not come. */
void schedule_count_missed(struct schedule *schedule, struct profile *profile, uint64_t until);
/* After a tick. Sets the next one; one that is late by less than an interval will yet be taken. */
void schedule_advance(struct schedule *schedule, struct profile *profile, uint64_t now);
/* Lowers the rate where pspy uses more CPU time than it may, or raises it up to the wanted one. */
void schedule_adapt(struct schedule *schedule, uint64_t now);

#endif
