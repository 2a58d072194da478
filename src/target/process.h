/* SPDX-License-Identifier: MIT */
/* What a live process is to the files of target/ that ask it. */
#ifndef PSPY_TARGET_PROCESS_H
#define PSPY_TARGET_PROCESS_H

#include <assert.h>

#include "pspy/target/live.h"

struct live {
    int proc_fd; /* O_PATH of /proc/PID: stays with this process, whatever the pid names later */
    int stat_fd; /* /proc/PID/task/PID/stat */
    int pidfd;   /* -1: the kernel has none */
    bool has_own_pids; /* lives in another pid namespace: its tids differ from ours */
};

extern const struct target_ops live_ops;

static inline const struct live *live_of(const struct target *target)
{
    assert(target->ops == &live_ops);
    return target->state;
}

/* threads.c: as the questions of target.h. */
enum err live_threads(const struct target *target, struct tid_list *ret);
pid_t live_namespace_tid(const struct target *target, pid_t tid);
void live_thread_comm(const struct target *target, pid_t tid, struct strbuf *ret);
/* ptrace.c */
enum err live_registers(const struct target *target, pid_t tid, struct regs *ret);

#endif
