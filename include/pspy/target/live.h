/* SPDX-License-Identifier: MIT */
/*
 * A live process as a target, and what can be asked of nothing else: how it ended, its children,
 * what its threads do just now. Its threads are stopped by ptrace.h. Neither unwind/ nor python/
 * knows this header.
 */
#ifndef PSPY_TARGET_LIVE_H
#define PSPY_TARGET_LIVE_H

#include "pspy/target/procfs.h"
#include "pspy/target/target.h"

/* Checks that the process can be observed at all, and says what to do where it cannot. */
enum err target_open(pid_t pid, struct target *ret, struct error *why);

/* How a process ended, as waitpid tells its parent. False: it has not, or the kernel does not say
 * (before Linux 6.15 only until the parent has collected it, and to who may trace it). */
bool target_exit_status(const struct target *target, int *ret);

/* Appends the text of /proc/PID/NAME. ERR_GONE or ERR_PERMISSION. */
enum err target_proc_text(const struct target *target, const char *name, struct strbuf *ret);

/* Appends the ids of the children that a thread started, zombies too. */
enum err target_children(const struct target *target, pid_t tid, struct tid_list *ret);
/* The same of this process. ERR_UNSUPPORTED: the kernel was built without CONFIG_PROC_CHILDREN. */
enum err target_own_children(struct tid_list *ret);

/* Lets this process have as many descriptors as it may. */
void target_raise_descriptors(void);

/* Whether a signal that the thread does not block waits to be delivered to it. */
bool target_signal_pending(const struct target *target, pid_t tid);

/* /proc/PID/task/TID/stat, /syscall and /schedstat, read through descriptors that stay open; where
 * that would take too many, they are opened for each reading. The target is borrowed. */
struct thread_files {
    const struct target *target;
    pid_t tid;
    int stat_fd;
    int syscall_fd;
    int schedstat_fd;
};
#define THREAD_FILES_INIT                                                                          \
    {                                                                                              \
        NULL, 0, -1, -1, -1                                                                        \
    }

enum err thread_files_open(const struct target *target, pid_t tid, struct thread_files *ret);
void thread_files_close(struct thread_files *files);
enum err thread_files_stat(const struct thread_files *files, struct procfs_stat *ret);
enum err thread_files_syscall(const struct thread_files *files, struct procfs_syscall *ret);
/* All 0, also on failure, if the kernel does not count. ERR_GONE. */
enum err thread_files_schedstat(const struct thread_files *files, struct procfs_schedstat *ret);

#endif
