/* SPDX-License-Identifier: MIT */
/* What the files of sampler/ share. */
#ifndef PSPY_SAMPLER_INTERNAL_H
#define PSPY_SAMPLER_INTERNAL_H

#include <signal.h>

#include "merge.h"
#include "pspy/python/ufuncs.h"
#include "pspy/sampler/sampler.h"
#include "schedule.h"

#define FRAME_LIMIT 1000000 /* that are read of a stack; it bounds circles of torn links too */

/* A stack on the way to another one. */
struct path_step {
    frame_id frame;
    stack_id stack; /* that ends with it */
};

/* ns since a thread began. */
struct thread_times {
    uint64_t user, system, running, ready; /* running: both, counted more finely; 0: not known */
};

/* A thread of the process, found again by its tid in each tick. */
struct thread {
    pid_t tid;
    pid_t inner_tid;     /* in the target's pid namespace */
    uint64_t start_time; /* tells a reused tid */
    uint64_t seen;       /* the last tick in which it was listed */
    char state;          /* as of that tick: R, S, D, ... */
    struct thread_files files;
    uint64_t timeslices,
        looked;                 /* how often it was put on a CPU, as of tick `looked`; 0: unknown */
    struct thread_times before; /* the recording */
    struct thread_times times;  /* as of the last look */
    uint64_t last_run;          /* when a look found that it had run, ns of clock_now */
    bool is_asleep;             /* blocked for so long that it is not looked at more closely */
    uint64_t unseen_ready;      /* ns that it waited for a CPU while taken for asleep */
    uint64_t runnable_weight, ready_weight; /* ns of its samples: on a CPU or ready; ready */
    uint64_t blocked_timeslices;            /* with as many it was found blocked; 0: never */
    uint64_t asked_timeslices; /* with as many it was asked for children while blocked */
    uint32_t profile_thread;   /* TABLE_NONE until its first sample */
    uint64_t traced_until;     /* by another tracer, it is taken so; ns of clock_now */
    bool walk_stopped;         /* its stack is spread over places that only live reading reaches */
    unsigned whole_readings;   /* in a row, without a torn one */
    struct python_view view;
    VEC(struct path_step) path; /* of its last stack, root first */
    /* Of a thread that has not run since its stack was taken. */
    uint64_t cached_timeslices; /* 0: nothing cached */
    struct sample cached;       /* its stack, end, state, flags and call */
};

/* One thread's state at one moment. Buffers are kept from tick to tick. */
struct capture {
    size_t thread; /* index in process.threads */
    struct hold hold;
    const struct python_thread *states; /* its Python thread states, in process.python.threads */
    size_t state_count;
    bool is_due;         /* its thread is to be stopped for it */
    bool is_taken;       /* holds a sample */
    bool has_python;     /* `python` was read */
    bool has_native;     /* `regs` and the stack copy were taken */
    bool is_cached;      /* the thread's cached stack still holds */
    uint8_t state;       /* enum sample_state; STATE_RUNNING may yet be STATE_READY */
    uint32_t call;       /* as struct sample's */
    uint64_t timeslices; /* of a blocked thread, before it was read; 0: unknown */
    struct regs regs;
    struct snapshot snapshot; /* window 0: the stack */
    struct python_stack python;
    struct native_stack native; /* filled at once only for threads with walk_stopped */
    bool is_walked;             /* `native` is filled */
    unsigned stops;             /* of its thread, for this sample */
};

/* Frames of a code object in the profile. */
struct code_frame {
    string_id name, file, short_file;
    enum frame_kind kind;
    uint32_t first_line;
    bool is_ready;
};

/* Which frame of the profile an instruction of a code object is. */
struct known_frame {
    uint64_t instruction;
    uint32_t code; /* index of `python`, plus 1; 0: nothing known */
    frame_id frame;
};
#define KNOWN_FRAMES 4096

struct process;

/* What the processes of a recording share. */
struct sampler {
    struct sampler_setup setup;
    struct wakers wakers;
    struct module_list modules;
    VEC(bool) told_images;    /* by module: the profile has its build-id */
    struct ufunc_loops loops; /* NumPy's, to name native frames */
    VEC(struct process *) processes;
    struct table process_index; /* by pid; of the first so many as it has */
    unsigned asking;            /* processes that have threads which were asked to stop */
    sigset_t old_mask;          /* ours, before the first of them was */
    bool has_begun;             /* the delay is over */
    bool has_finished;
    bool has_rounds;      /* several ticks share one look at what seldom changes */
    uint64_t delay_end;   /* ns of clock_now */
    uint64_t now;         /* of this tick, likewise */
    uint64_t start_ticks; /* of the recording, as procfs_stat.start_time */
    struct schedule schedule;
};

struct process {
    struct sampler *sampler;
    const struct sampler_setup *setup;
    struct target *target; /* the setup's, or its own */
    bool has_ended;
    struct address_space space;
    struct unwinder *unwinder;
    struct python python;
    bool has_python;
    bool met_python_thread;      /* one was found among the Python thread states, and read */
    bool gave_up_python;         /* a Python we cannot read: do not ask again until the next exec */
    uint64_t next_detection;     /* ns of clock_now */
    uint64_t detection_pause;    /* ns; grows while there is no Python */
    uint64_t next_refresh;       /* of the mappings */
    uint64_t earliest_refresh;   /* likewise */
    uint64_t next_names;         /* of the threads' names */
    uint64_t earliest_names;     /* not before, as they cost so much */
    bool names_wanted;           /* a thread came since */
    uint64_t next_loops;         /* when NumPy's loops are read again */
    uint64_t loops_pause;        /* ns; grows until there are some; 0: not tried yet */
    struct procfs_stat identity; /* start_code and start_stack change with each exec */
    VEC(struct thread) threads;
    struct table thread_index; /* by tid, as of the last listing */
    bool has_threads;          /* they were listed */
    size_t thread_count;       /* as of the last update */
    VEC(struct capture) captures;
    size_t captures_used;
    VEC(struct hold) unanswered; /* interrupted, not stopped in time; released when they do */
    bool is_asking;              /* counted in sampler.asking */
    VEC(struct code_frame) code_frames;            /* by code index of `python` */
    struct known_frame known_frames[KNOWN_FRAMES]; /* by hash */
    size_t confirmed;    /* samples of the profile before it were taken of one program, for sure */
    bool is_trusting;    /* this round may: its code objects are checked at its end */
    uint64_t next_round; /* ns of clock_now */
    uint64_t churn_end;  /* until then threads or code objects come and go: no rounds */
    struct merged_stack merged;
    uint32_t profile_process;
    uint32_t program;        /* that it runs: index in profile.programs */
    uint32_t parent_program; /* that its parent ran when it was met; PROFILE_NONE: no parent */
};

/* process.c: what stays the same from tick to tick. */
/* `target` is the setup's, or is taken over: process_destroy closes and frees it. Only the first
 * process has no parent. */
struct process *process_create(struct sampler *sampler, struct target *target,
                               const struct process *parent);
void process_destroy(struct process *process);
/* Brings the view up to date before a tick: exec, mappings, interpreter. ERR_GONE: it ended. */
enum err process_update(struct process *process, uint64_t now);
/* Takes back the samples since the last confirmation if the process has replaced its program
 * meanwhile: they may be of both. */
void process_confirm(struct process *process);
/* Confirms the code objects that the last round has met, or doubts them. */
void process_begin_codes(struct process *process, uint64_t now);
/* Reads the mappings anew. */
void process_refresh(struct process *process, uint64_t now);
/* The same before its time, because they are known to be old. False: that was done just before. */
bool process_refresh_early(struct process *process);
/* Looks how often the thread was put on a CPU, once a tick. False: it ended. */
bool process_look(struct process *process, struct thread *thread);
/* The process's threads as of now. */
enum err process_list_threads(struct process *process, uint64_t tick, uint64_t now);

/* children.c: processes that join. */
void children_find(struct process *process);
/* Orphans, which became our own children (PR_SET_CHILD_SUBREAPER). Collects those that ended. */
void children_adopt(struct sampler *sampler);

/* modules.c: the profile's modules, module i of which is module i of the list. */
/* Brings the profile up to date with all that is known of them. */
void modules_tell(struct sampler *sampler);
/* The same with what must be known before an address in the module is added. */
void modules_tell_one(struct sampler *sampler, uint32_t module);

/* names.c */
void process_name_threads(struct process *process);
/* Reads which loops NumPy has, if that is due at `now`. */
void process_read_loops(struct process *process, uint64_t now);

/* Counts a sample that does not exist. */
void process_lose(struct process *process, enum loss_cause cause);

/* times.c: where threads' time goes. */
/* As procfs_stat.start_time. */
uint64_t times_now(void);
/* What a new thread has used before the recording. */
void times_begin(const struct sampler *sampler, struct thread *thread,
                 const struct procfs_stat *stat);
void times_note_stat(struct thread *thread, const struct procfs_stat *stat);
void times_note_sched(struct thread *thread, const struct procfs_schedstat *sched, uint64_t now);
/* The state of a sample that is STATE_RUNNING or, for sure, STATE_READY. */
enum sample_state times_choose(struct thread *thread, enum sample_state state, uint64_t weight);
/* Brings the profile up to date. */
void times_tell(struct profile *profile, const struct thread *thread);

/* capture.c: taking the state of the threads; fills process->captures. What is due then is left to
 * stops_take: all are looked at before the first is asked to stop, and none waits for what the
 * others cost. */
void capture_all(struct process *process);
void capture_deinit(struct capture *capture);
/* Frames of the capture's thread by registers and copied stack. */
void capture_walk(struct process *process, struct capture *capture);
/* The same while the thread stands still. Loads nothing: where something is missing, the stacks
 * that the walk has met are copied, for capture_walk() later. capture_make_room() is due before the
 * thread is asked to stop. */
void capture_walk_stopped(struct process *process, struct capture *capture);
void capture_make_room(struct capture *capture);
/* Copies what the sample of a thread that stands still needs. More can be read until snapshot.live
 * is taken away: do that before it goes on. */
void capture_copy_state(struct process *process, struct capture *capture);

/* Whether the thread stands where its Python frames cannot be told: between two of its states. */
bool capture_is_torn(const struct capture *capture);
/* Of a thread that was stopped: the system call that it is in. */
void capture_note_call(const struct process *process, struct capture *capture);

/* stops.c: stops the threads of all captures that are due, of all processes, copies their state,
 * lets them go. */
void stops_take(struct sampler *sampler);
/* Whether the thread was asked to stop before, and has not been seen to do so. */
bool stops_is_unanswered(const struct process *process, pid_t tid);
/* Between ticks: releases threads that stopped too late, waiting for them until `deadline`. */
void stops_settle(struct process *process, uint64_t deadline);

/* Replaces what samples from `first` on say of the doubted code objects. */
void stacks_doubt(struct process *process, size_t first);

/* stacks.c: from captures to samples. */
void stacks_add_sample(struct process *process, struct capture *capture, uint64_t time,
                       uint64_t weight);

#endif
