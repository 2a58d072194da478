/* SPDX-License-Identifier: MIT */
/*
 * Sampling a process, and its descendants: when to look, at which threads, and what to put into the
 * profile. In steps, so that the caller can do something between ticks:
 *
 *     sampler = sampler_create(&setup);
 *     while (sampler_next(sampler, clock_now() + NS_PER_SECOND) != SAMPLER_ENDED)
 *         ... look at the profile ...
 *     sampler_finish(sampler);
 *     ... name what lies in sampler_modules(sampler) ...
 *     sampler_destroy(sampler);
 */
#ifndef PSPY_SAMPLER_SAMPLER_H
#define PSPY_SAMPLER_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

#include "pspy/profile/profile.h"
#include "pspy/python/ufuncs.h"
#include "pspy/target/module.h"
#include "pspy/target/ptrace.h"
#include "pspy/target/target.h"

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

/* Set up once; all is borrowed. */
struct sampler_setup {
    struct sampler_options options;
    struct target *target;            /* opened */
    struct waiter *waiter;            /* the child that pspy started, or one without a child */
    const struct tid_list *strangers; /* children that pspy had before that one */
    struct profile *profile;          /* filled: its facts, threads, processes and programs, too */
    const volatile int *stop;         /* set by a signal handler */
    int watch; /* a descriptor that ends a step when it can be read; -1: none */
};

/* Why a step has ended. */
enum sampler_event {
    SAMPLER_DEADLINE, /* its time was over */
    SAMPLER_WATCHED,  /* `watch` can be read */
    SAMPLER_ENDED,    /* so has the sampling: see facts.end of the profile */
};

/* What a progress line shows. */
struct sampler_progress {
    uint64_t elapsed; /* ns; 0 before the first tick */
    uint64_t samples;
    uint64_t ticks;
    uint64_t lost;
};

struct sampler;

struct sampler *sampler_create(const struct sampler_setup *setup);
void sampler_destroy(struct sampler *sampler);

/*
 * Samples until `deadline` (ns of clock_now), or until the duration is over, all processes have
 * ended or *stop is set. Errors are counted in the profile, never returned.
 */
enum sampler_event sampler_next(struct sampler *sampler, uint64_t deadline);
/* Brings the profile's duration, modules, and its threads' times and names up to date. */
void sampler_tell(struct sampler *sampler);
/* Learns what is still to be learnt of the processes, which run on undisturbed. */
void sampler_finish(struct sampler *sampler);

struct sampler_progress sampler_progress(const struct sampler *sampler);
/* What native frames lie in, and NumPy's loops there; until sampler_destroy. */
struct module_list *sampler_modules(struct sampler *sampler);
const struct ufunc_loops *sampler_loops(const struct sampler *sampler);

/* For after the sampling with subprocesses: sends a signal to the program and its descendants,
 * orphans included. Returns how many were signalled. */
size_t sampler_signal_descendants(const struct waiter *waiter, const struct tid_list *strangers,
                                  int number);
/* The same: collects children that have ended, but not the one that pspy started. */
void sampler_collect_orphans(const struct waiter *waiter);

#endif
