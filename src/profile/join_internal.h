/* SPDX-License-Identifier: MIT */
/* What the files of join share. */
#ifndef PSPY_PROFILE_JOIN_INTERNAL_H
#define PSPY_PROFILE_JOIN_INTERNAL_H

#include "pspy/profile/join.h"

/* A recording that was taken in. */
struct joined {
    string_id host;
    int pid; /* of its first process; 0: it has none */
    uint64_t start;
    size_t next, end; /* of its samples, those that are not yet in order */
};

struct join {
    struct profile *into;
    VEC(struct joined) runs;
    struct table modules; /* those with a build id */
    uint64_t start, end;  /* of all */
    bool has_other_titles;
};

/* ---- join_order.c: from times of the wall clock to times since the earliest start ---- */

void join_order_samples(struct join *join);
void join_order_programs(struct join *join);

#endif
