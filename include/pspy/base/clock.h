/* SPDX-License-Identifier: MIT */
/* Time in nanoseconds. Never wall-clock time for intervals: that one jumps. */
#ifndef PSPY_BASE_CLOCK_H
#define PSPY_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_SECOND 1000000000ull
#define NS_PER_MS     1000000ull
#define NS_PER_US     1000ull

/* CLOCK_MONOTONIC. */
uint64_t clock_now(void);
/* CLOCK_REALTIME, since the epoch. */
uint64_t clock_wall(void);
struct timespec clock_timespec(uint64_t ns);

/* A small generator (splitmix64) for jitter; not for secrets. */
struct rng {
    uint64_t state;
};
uint64_t rng_next(struct rng *rng);

#endif
