/* SPDX-License-Identifier: MIT */
/*
 * Several recordings into one profile: ranks of MPI, hosts, repeated runs.
 *
 *     struct join *join = join_create(&profile);
 *     err = join_add(join, &first, &source, &why);
 *     err = join_add(join, &second, &source, &why);
 *     join_finish(join);
 *
 * Samples are aligned by the wall clock of their hosts. Each recording's processes and threads stay
 * processes and threads of their own. Strings, frames and stacks are stored once; so is a module
 * that has a build id.
 *
 * Facts of the whole: the duration is the span from the earliest start to the latest end; the rate
 * is the largest; ticks, losses and samples without native frames are summed; RECORDING_CUT_OFF if
 * any recording is cut off, else the first one's end. What was asked for and what was seen is true
 * if it is true of any, but `gil`, which is true if it is true of all. The recording's host is
 * empty where there are several.
 */
#ifndef PSPY_PROFILE_JOIN_H
#define PSPY_PROFILE_JOIN_H

#include "pspy/base/error.h"
#include "pspy/profile/profile.h"

/* What is known of a recording beside its facts. */
struct join_source {
    const char *path; /* for error messages */
    int rank;         /* of MPI, for processes that have none; -1: none */
};

struct join;

/* `into` is an empty profile, and not to be used before join_finish. */
struct join *join_create(struct profile *into);
/* Without having called join_finish. Takes NULL. */
void join_destroy(struct join *join);

/*
 * Takes in a whole recording; `from` is not needed any more afterwards. Refused, and nothing is
 * changed, where this recording cannot stand beside those before it: it is one of them, only one
 * side knows its start by the wall clock, or only one side knows times at all.
 */
enum err join_add(struct join *join, const struct profile *from, const struct join_source *source,
                  struct error *why);

/* Puts all samples in the order of time, and frees the join. */
void join_finish(struct join *join);

#endif
