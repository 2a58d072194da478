/* SPDX-License-Identifier: MIT */
/*
 * Sampling a process, and its descendants: when to look, at which threads, and what to put into the
 * profile.
 */
#ifndef PSPY_SAMPLER_SAMPLER_H
#define PSPY_SAMPLER_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

#include "pspy/base/error.h"
#include "pspy/profile/profile.h"
#include "pspy/target/live.h"
#include "pspy/target/ptrace.h"

#define SAMPLER_FOREVER UINT64_MAX

struct sampler_options {
    double rate;         /* ticks a second, jittered by half an interval either way */
    uint64_t delay;      /* ns of wall-clock time before the first tick */
    uint64_t duration;   /* ns of wall-clock time from then on; SAMPLER_FOREVER */
    double max_overhead; /* percent of one CPU that pspy may use, by a lower rate; 0: no limit */
    bool native;         /* merge native frames into Python stacks */
    bool native_all;     /* the interpreter's own functions too */
    bool idle;           /* threads that are not on a CPU as well */
    bool gil;            /* only the thread that holds the GIL */
    bool threads;        /* a root frame for each thread */
    bool nonblocking;    /* never stop a thread */
    bool function_lines; /* a function's first line instead of the current one */
    bool no_lines;
    bool columns;     /* of the instruction within the line */
    size_t max_depth; /* frames of a stack; the middle of a deeper one is left out */
    bool full_filenames;
    bool states;       /* an innermost frame for what a thread waits for or in */
    bool subprocesses; /* all descendants too, with a root frame for each process */
};

/* How the sampling ended. */
enum sampler_end {
    SAMPLER_DURATION, /* the time is up */
    SAMPLER_EXITED,   /* the process ended */
    SAMPLER_STOPPED,  /* by a signal */
};

/* What a progress line shows. */
struct sampler_progress {
    uint64_t elapsed; /* ns */
    uint64_t samples;
    uint64_t ticks;
    uint64_t lost;
};

typedef void sampler_progress_fn(void *context, const struct sampler_progress *progress);
/* Writes the profile as it is, the `number`th time; called in a process of its own, which ends
 * then. */
typedef void sampler_snapshot_fn(void *context, unsigned number);

struct sampler_run {
    struct sampler_options options;
    struct target *target;            /* opened; borrowed */
    struct waiter *waiter;            /* the child that pspy started, or one without a child */
    const struct tid_list *strangers; /* children that pspy had before that one */
    struct profile *profile;       /* filled; its threads, processes, counters and duration too */
    const volatile int *stop;      /* set by a signal handler */
    sampler_progress_fn *progress; /* called about every half second; may be NULL */
    volatile int *snapshot_wanted; /* likewise; cleared when a snapshot begins */
    sampler_snapshot_fn *snapshot; /* of this run */
    void *context;                 /* for both functions */
    /* Filled by the run. */
    enum sampler_end end;
    double lowest_rate;      /* ticks a second, to which max_overhead lowered it; 0: it did not */
    bool saw_python;         /* a Python interpreter that could be read ran in the process */
    struct error python_why; /* why a Python that is there cannot be read; code ERR_OK if none */
    char python_version[16]; /* "3.12.1" */
    bool python_is_guessed;  /* it is newer than this pspy knows */
};

/*
 * Samples until the duration is over, all processes ended or *stop is set, then names all frames.
 * They run on undisturbed afterwards. Errors are counted in the profile, never returned.
 */
void sampler_run(struct sampler_run *run);

/* For after the sampling with subprocesses: sends a signal to the program and its descendants,
 * those too whose parent has ended. How many there were. */
size_t sampler_signal_descendants(const struct waiter *waiter, const struct tid_list *strangers,
                                  int number);
/* The same: collects children that have ended, but not the one that pspy started. */
void sampler_collect_orphans(const struct waiter *waiter);

#endif
