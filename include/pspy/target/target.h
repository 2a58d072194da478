/* SPDX-License-Identifier: MIT */
/*
 * The observed process: what it is, which threads it has, and its memory. Everything above asks
 * only these questions. Reading never stops anything; stopping is in ptrace.h.
 */
#ifndef PSPY_TARGET_TARGET_H
#define PSPY_TARGET_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "pspy/base/error.h"
#include "pspy/base/strbuf.h"
#include "pspy/base/vec.h"
#include "pspy/target/procfs.h"

struct target {
    pid_t pid;   /* in our namespace */
    int proc_fd; /* O_PATH of /proc/PID: stays with this process, whatever the pid names later */
    int stat_fd; /* /proc/PID/task/PID/stat */
    int root_fd; /* its root directory, for files of its mount namespace; -1: ours */
    int pidfd;   /* -1: the kernel has none */
    bool has_own_pids; /* lives in another pid namespace: its tids differ from ours */
    uint64_t start_time;
};

/* A live process. Checks that it can be observed at all, and says what to do where it cannot. */
enum err target_open(pid_t pid, struct target *ret, struct error *why);
void target_close(struct target *target);

/* Its first thread's state as it is now. ERR_GONE when the process ended (or is a zombie). */
enum err target_stat(const struct target *target, struct procfs_stat *ret);

/* How a process ended, as waitpid tells its parent. False: it has not, or the kernel does not say
 * (before Linux 6.15 only until the parent has collected it, and to who may trace it). */
bool target_exit_status(const struct target *target, int *ret);

/* Appends the text of /proc/PID/NAME. ERR_GONE or ERR_PERMISSION. */
enum err target_proc_text(const struct target *target, const char *name, struct strbuf *ret);

/* Appends the command line, words separated by spaces; the name in brackets if it has none. */
void target_command(const struct target *target, struct strbuf *ret);
/* The path of the executable in the target's own view. Empty if unknown. */
void target_executable(const struct target *target, struct strbuf *ret);

/* Opens a file as the target sees it. A descriptor or -1 with errno. */
int target_open_file(const struct target *target, const char *path);

/* Reads `size` bytes. ERR_UNREADABLE unless all of them were read; ERR_GONE, ERR_PERMISSION. */
enum err target_read(const struct target *target, uint64_t address, void *ret, size_t size);

/* Reads as much as can be read; the number of bytes, 0 on failure. */
size_t target_read_some(const struct target *target, uint64_t address, void *ret, size_t size);

/* Reads several places in one system call, in order; the total of bytes read. A place that cannot
 * be read whole ends it. `count` is at most IOV_MAX (1024). */
size_t target_read_vector(const struct target *target, const struct iovec *local,
                          const struct iovec *remote, size_t count);

/* The same with other places on our side than on the target's: the bytes fill ours in order. Both
 * counts are at most IOV_MAX. */
size_t target_read_scattered(const struct target *target, const struct iovec *local,
                             size_t local_count, const struct iovec *remote, size_t remote_count);

/* A NUL-terminated string of at most `limit` bytes. */
enum err target_read_text(const struct target *target, uint64_t address, size_t limit,
                          struct strbuf *ret);

struct tid_list {
    VEC(pid_t) tids;
};

void tid_list_deinit(struct tid_list *list);

/* All threads now, in the kernel's order. */
enum err target_threads(const struct target *target, struct tid_list *ret);

/* Appends the ids of the children that a thread started, zombies too. */
enum err target_children(const struct target *target, pid_t tid, struct tid_list *ret);
/* The same of this process. ERR_UNSUPPORTED: the kernel was built without CONFIG_PROC_CHILDREN. */
enum err target_own_children(struct tid_list *ret);

/* Lets this process have as many descriptors as it may. */
void target_raise_descriptors(void);

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

/* The thread's id inside its own pid namespace. */
pid_t target_namespace_tid(const struct target *target, pid_t tid);
/* The thread's name as the kernel knows it; "" if it is gone. */
void target_thread_comm(const struct target *target, pid_t tid, struct strbuf *ret);
/* Whether a signal that the thread does not block waits to be delivered to it. */
bool target_signal_pending(const struct target *target, pid_t tid);

#endif
