/* SPDX-License-Identifier: MIT */
#include "pspy/profile/share.h"

#include <math.h>

#define Z95 1.959963984540054 /* the normal distribution's 97.5 % quantile */

void share_interval(double value, double draws, double *low, double *high)
{
    double z2 = Z95 * Z95, scale, middle, half;

    if (draws <= 0) {
        *low = 0;
        *high = 1;
        return;
    }
    scale = 1 + z2 / draws;
    middle = (value + z2 / (2 * draws)) / scale;
    half = Z95 * sqrt(value * (1 - value) / draws + z2 / (4 * draws * draws)) / scale;
    *low = value <= 0 ? 0 : fmax(0, middle - half);
    *high = value >= 1 ? 1 : fmin(1, middle + half);
}

uint64_t share_weight(const struct share_base *base, const struct amount *part)
{
    return base->by_time ? part->ns : part->samples;
}

struct share share_of(const struct share_base *base, const struct amount *part)
{
    uint64_t all = share_weight(base, &base->all);
    struct share ret = {0, 0, 1};

    if (all)
        ret.value = (double)share_weight(base, part) / (double)all;
    share_interval(ret.value, all ? base->draws : 0, &ret.low, &ret.high);
    return ret;
}
