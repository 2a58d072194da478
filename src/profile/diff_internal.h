/* SPDX-License-Identifier: MIT */
/* What the files of diff share. */
#ifndef PSPY_PROFILE_DIFF_INTERNAL_H
#define PSPY_PROFILE_DIFF_INTERNAL_H

#include "pspy/profile/diff.h"

/* A recording is cut into so many pieces of equal weight, in the order of time. */
#define DIFF_BLOCKS 40

/* Weights are ns, or numbers of samples. */
struct diff_tally {
    uint64_t samples;
    uint64_t ns;
    double blocks[DIFF_BLOCKS]; /* weight in each piece */
};

struct diff_counted {
    string_id name, file;
    enum frame_kind kind;
    struct diff_tally self[DIFF_SIDES], total[DIFF_SIDES];
};

struct diff_counts {
    struct strings *texts;
    bool by_time;
    VEC(struct diff_counted) functions;
    struct table index;
    struct diff_tally whole[DIFF_SIDES];
    double squares[DIFF_SIDES]; /* of the samples' weights, summed */
};

/* ---- diff_count.c ---- */

void diff_count(struct diff_counts *counts, enum diff_side side, const struct view *view);
double diff_weight(const struct diff_tally *tally);

/* ---- diff_chance.c ---- */

/* Fills what diff_function says of shares and of chance; diff->functions are those of `counts`, in
 * their order. */
void diff_judge(struct diff *diff, const struct diff_counts *counts);

#endif
