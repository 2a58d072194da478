/* SPDX-License-Identifier: MIT */
/* Starting the program to observe. */
#ifndef PSPY_TARGET_LAUNCH_H
#define PSPY_TARGET_LAUNCH_H

#include <signal.h>
#include <sys/types.h>

#include "pspy/base/error.h"
#include "pspy/base/sudo.h"

struct launch {
    char *const *argv;            /* ends with NULL; argv[0] is looked for in PATH */
    const struct sudo_user *user; /* NULL: run it as ourselves */
    const sigset_t *signal_mask;  /* what the program shall start with */
    const sigset_t *ignored;      /* those of SIGINT, SIGTERM, SIGHUP, SIGCHLD it shall ignore */
};

/* A process of ours that waits to become the program. */
struct launch_wait {
    pid_t pid;
    int line; /* our end of a socket: the word to go, and back the errno of an exec that failed */
};

/*
 * Starting has two steps, so that the program's id is known before it runs. launch_prepare makes
 * its process: files, signals, session and process group are our own's. ERR_IO: there is none.
 * launch_go or launch_cancel must follow; if we die, the process ends without having run anything.
 */
enum err launch_prepare(const struct launch *launch, struct launch_wait *ret, struct error *why);
/*
 * Lets the process become the program and returns once it has: from its first instruction on it can
 * be observed. ERR_NOT_FOUND: no such program; ERR_PERMISSION: it cannot be executed; else ERR_IO.
 * The caller waits for the process, unless there is an error: then it has ended and is reaped.
 */
enum err launch_go(const struct launch *launch, struct launch_wait *wait, struct error *why);
/* Ends and reaps the process. */
void launch_cancel(struct launch_wait *wait);

/* Becomes the program ourselves, with the signals we have. Returns only with launch_go's errors. */
enum err launch_replace(const struct launch *launch, struct error *why);

#endif
