/* SPDX-License-Identifier: MIT */
/*
 * Sampling a process, and its descendants: when to look, at which threads, and what to put into the
 * profile. Facts only: nothing here decides how they are shown.
 *
 * Between two calls no thread is stopped, and nothing is sampled: ticks that come due meanwhile are
 * counted as missed.
 */
#ifndef PSPY_SAMPLER_SAMPLER_H
#define PSPY_SAMPLER_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

#include "pspy/profile/profile.h"
#include "pspy/python/ufuncs.h"
#include "pspy/target/live.h"
#include "pspy/target/module.h"
#include "pspy/target/ptrace.h"

#define SAMPLER_FOREVER UINT64_MAX

struct sampler_options {
    double rate;         /* ticks a second, jittered by half an interval either way */
    uint64_t delay;      /* ns of wall-clock time before the first tick */
    uint64_t duration;   /* ns of wall-clock time from then on; SAMPLER_FOREVER */
    double max_overhead; /* percent of one CPU that pspy may use, by a lower rate; 0: no limit */
    bool native;         /* merge native frames into Python stacks */
    bool idle;           /* threads that are not on a CPU as well */
    bool gil;            /* only the thread that holds the GIL */
    bool nonblocking;    /* never stop a thread */
    bool subprocesses;   /* all descendants too */
};

/* All pointers are borrowed for the sampler's life. */
struct sampler_setup {
    struct sampler_options options;
    struct target *target;            /* opened */
    struct waiter *waiter;            /* the child that pspy started, or one without a child */
    const struct tid_list *strangers; /* children that pspy had before that one */
    struct profile *profile;          /* filled; its facts too, but for the title */
    /* Set by signal handlers. */
    const volatile int *stop;
    const volatile int *wake; /* the caller wants to do something: SAMPLER_READY; NULL: none */
    int watch_fd;             /* SAMPLER_READY when it can be read; -1: none */
};

/* Why sampler_next came back. */
enum sampler_event {
    SAMPLER_DEADLINE, /* the time that it was given is up */
    SAMPLER_READY,    /* *wake is set, or watch_fd can be read */
    SAMPLER_ENDED,    /* profile.facts.end says why */
};

/* What a progress line shows. */
struct sampler_progress {
    bool has_begun;   /* the delay is over */
    uint64_t elapsed; /* ns since then */
    uint64_t samples;
    uint64_t ticks;
    uint64_t lost;
};

struct sampler;

/* Says in the profile's facts what was asked for, who records, and where. sampler_create does so,
 * too: for a recording that ends before there is something to sample. */
void sampler_note_options(struct profile *profile, const struct sampler_options *options);

/* SIGCHLD must be blocked. The recording starts now, or when the delay is over. */
struct sampler *sampler_create(const struct sampler_setup *setup);
/* Takes NULL. Also finishes what was not. */
void sampler_destroy(struct sampler *sampler);

/* Samples until there is an event, at most until `deadline` (ns of clock_now). Errors are counted
 * in the profile, never returned. */
enum sampler_event sampler_next(struct sampler *sampler, uint64_t deadline);

/* Brings up to date what the profile says of threads' times and names, modules and the duration:
 * before it is shown or written while sampling goes on. */
void sampler_tell(struct sampler *sampler);
void sampler_progress(const struct sampler *sampler, struct sampler_progress *ret);

/* Ends the sampling: learns the rest, lets go of all processes, which run on undisturbed. All
 * samples are settled then, and all addresses can be named for good. */
void sampler_finish(struct sampler *sampler);

/* For naming addresses, as long as the sampler lives: its modules are the profile's. */
struct module_list *sampler_modules(struct sampler *sampler);
const struct ufunc_loops *sampler_loops(const struct sampler *sampler);

/* For after the sampling with subprocesses: sends a signal to the program and its descendants,
 * orphans included. Returns how many were signalled. */
size_t sampler_signal_descendants(const struct waiter *waiter, const struct tid_list *strangers,
                                  int number);
/* The same: collects children that have ended, but not the one that pspy started. */
void sampler_collect_orphans(const struct waiter *waiter);

#endif
