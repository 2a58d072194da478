/* SPDX-License-Identifier: MIT */
/*
 * A part of a whole, and how sure that is. The interval is Wilson's for a binomial proportion:
 * unlike the one around the plain estimate it stays within 0 and 1 and holds for rare parts too.
 */
#ifndef PSPY_PROFILE_SHARE_H
#define PSPY_PROFILE_SHARE_H

#include <stdbool.h>
#include <stdint.h>

struct amount {
    uint64_t samples;
    uint64_t ns; /* 0 where nothing is known of time */
};

struct share_base {
    struct amount all;
    double draws; /* how many independent samples say as much */
    bool by_time; /* shares are of time, not of numbers of samples */
};

struct share {
    double value;     /* 0 to 1 */
    double low, high; /* where it lies with a confidence of 95 % */
};

/* The 95 % interval of a share `value` that `draws` independent samples showed. */
void share_interval(double value, double draws, double *low, double *high);
struct share share_of(const struct share_base *base, const struct amount *part);
/* What rows are ordered by: ns, or samples where nothing is known of time. */
uint64_t share_weight(const struct share_base *base, const struct amount *part);

#endif
