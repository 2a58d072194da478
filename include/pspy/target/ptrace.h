/* SPDX-License-Identifier: MIT */
/*
 * Stopping a thread for some microseconds: seize, interrupt, wait, (read), detach.
 *
 * The tracer may die at any point without leaving a trace: a seized thread is let go by the kernel.
 * A signal that arrives while a thread is held is delivered at its release. SIGCHLD must be blocked
 * in the caller: the wait for a stop is a wait for that signal with a deadline.
 *
 * The process that pspy itself started is also waited for here, because one waitpid serves both;
 * its exit status is kept in `struct waiter`.
 */
#ifndef PSPY_TARGET_PTRACE_H
#define PSPY_TARGET_PTRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "pspy/base/error.h"
#include "pspy/target/regs.h"

/* What became of our own child. */
struct waiter {
    pid_t child; /* 0: none */
    bool has_ended;
    int status; /* as of waitpid */
};

enum hold_state {
    HOLD_NONE,    /* not ours */
    HOLD_ASKED,   /* seized and interrupted; its stop has not been seen */
    HOLD_STOPPED, /* stands still */
};

struct hold {
    pid_t tid;
    enum hold_state state;
    int signal; /* to deliver at the release; 0: none */
};

/*
 * Seizes and interrupts without waiting. ERR_GONE, or ERR_PERMISSION (also: another tracer).
 */
enum err hold_ask(pid_t tid, struct waiter *waiter, struct hold *ret);

/*
 * After an exec the process's id names the thread that called it, which we still hold if we held it
 * under its old id: true then. The old one of that id is gone, and waitpid does not tell of our own
 * child: hold_check is false and the hold HOLD_NONE then. Both interrupt a thread that runs once
 * more.
 */
bool hold_adopt(pid_t tid, struct hold *ret);
bool hold_check(struct hold *hold);

/* Looks once, without blocking. ERR_TIMEOUT: it does not stand still yet; ERR_GONE: it ended. */
enum err hold_poll(struct hold *hold, struct waiter *waiter);

/*
 * Passes the time until a stop may have come, at most until `deadline` (ns of clock_now). `since`
 * is when the waiting began: at first it only spins.
 */
void hold_pause(uint64_t since, uint64_t deadline);

/* hold_poll and hold_pause until the thread stands still, ended, or the deadline has passed. A hold
 * that timed out stays HOLD_ASKED: poll it again later, until it can be released. */
enum err hold_wait(struct hold *hold, struct waiter *waiter, uint64_t deadline);

/* Lets a stopped thread run on, with its signal, as if nothing had been. One that was killed
 * meanwhile is HOLD_ASKED again: poll it until its end has been collected. */
void hold_release(struct hold *hold);

/*
 * A thread that entered a blocking system call after it was chosen may have been thrown out of it
 * with EINTR by our interrupt alone (epoll_wait, semop and others do not restart by themselves). If
 * that may be so, makes the thread enter the call again. True if it did.
 * Call it on a stopped thread only when no signal is due for it.
 */
bool hold_stands_interrupted(const struct hold *hold);
bool hold_restart_call(const struct hold *hold);

/* Collects our child's exit without blocking. */
void waiter_poll(struct waiter *waiter);
/* Blocks until our child may have ended, a signal handler ran, or `deadline` (ns of clock_now) or a
 * tenth of a second has passed; then polls. For after the sampling: lets go of late threads. */
void waiter_pause(struct waiter *waiter, uint64_t deadline);

#endif
