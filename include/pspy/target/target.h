/* SPDX-License-Identifier: MIT */
/*
 * The observed process: what it is, which threads it has, and its memory. Everything above asks
 * only these questions, and cannot tell who answers: a live process (live.h) does so by the kernel,
 * a stored one by a file. Asking never stops anything.
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
#include "pspy/target/mapping.h"
#include "pspy/target/regs.h"

struct target_ops;
struct procfs_stat;

struct target {
    const struct target_ops *ops; /* NULL: not open */
    void *state;                  /* theirs */
    pid_t pid;                    /* in our namespace */
    int root_fd; /* its root directory, for files of its mount namespace; -1: ours */
};
#define TARGET_INIT                                                                                \
    {                                                                                              \
        NULL, NULL, 0, -1                                                                          \
    }

struct tid_list {
    VEC(pid_t) tids;
};

void tid_list_deinit(struct tid_list *list);

/* Is told of one mapping. */
typedef void mapping_visitor(void *context, const struct mapping *mapping);

/* Who answers: one such table for each kind of target, none of whose functions is missing. What
 * they return is described below, at the functions of the same names. */
struct target_ops {
    void (*close)(struct target *target);
    /* As target_read_scattered(). On failure errno tells why, where the target as a whole is not to
     * be read: ESRCH or EPERM. */
    size_t (*read)(const struct target *target, const struct iovec *local, size_t local_count,
                   const struct iovec *remote, size_t remote_count);
    enum err (*mappings)(const struct target *target, mapping_visitor *visit, void *context);
    enum err (*threads)(const struct target *target, struct tid_list *ret);
    pid_t (*namespace_tid)(const struct target *target, pid_t tid);
    void (*thread_comm)(const struct target *target, pid_t tid, struct strbuf *ret);
    enum err (*registers)(const struct target *target, pid_t tid, struct regs *ret);
    int (*open_file)(const struct target *target, const char *path);
    int (*open_mapping)(const struct target *target, const struct mapping *mapping);
    enum err (*stat)(const struct target *target, struct procfs_stat *ret);
    enum err (*owner)(const struct target *target, uid_t *ret);
    void (*command)(const struct target *target, struct strbuf *ret);
    void (*executable)(const struct target *target, struct strbuf *ret);
};

/* Nothing happens to one that is not open. */
void target_close(struct target *target);

/* ---- what it is ---- */

/* Its first thread's state as it is now. ERR_GONE when the process ended (or is a zombie). */
enum err target_stat(const struct target *target, struct procfs_stat *ret);

/* The user that it runs as. */
enum err target_owner(const struct target *target, uid_t *ret);

/* Appends the command line, words separated by spaces; the name in brackets if it has none. */
void target_command(const struct target *target, struct strbuf *ret);
/* Appends the path of the executable in the target's own view. Nothing if unknown. */
void target_executable(const struct target *target, struct strbuf *ret);

/* ---- files ---- */

/* Opens a file as the target sees it. A descriptor or -1 with errno. */
int target_open_file(const struct target *target, const char *path);

/* All mappings by address. ERR_GONE, ERR_PERMISSION, ERR_UNREADABLE: some may have been visited. */
enum err target_mappings(const struct target *target, mapping_visitor *visit, void *context);

/* Opens the file behind a mapping, never another one of that name. A descriptor or -1. */
int target_open_mapping(const struct target *target, const struct mapping *mapping);

/* ---- memory ---- */

/* Reads `size` bytes. ERR_UNREADABLE unless all of them were read; ERR_GONE, ERR_PERMISSION. */
enum err target_read(const struct target *target, uint64_t address, void *ret, size_t size);

/* Reads as much as can be read; the number of bytes, 0 on failure. */
size_t target_read_some(const struct target *target, uint64_t address, void *ret, size_t size);

/* Reads several places at one moment, in order; the total of bytes read. A place that cannot be
 * read whole ends it. `count` is at most IOV_MAX (1024). */
size_t target_read_vector(const struct target *target, const struct iovec *local,
                          const struct iovec *remote, size_t count);

/* The same with other places on our side than on the target's: the bytes fill ours in order. Both
 * counts are at most IOV_MAX. */
size_t target_read_scattered(const struct target *target, const struct iovec *local,
                             size_t local_count, const struct iovec *remote, size_t remote_count);

/* A NUL-terminated string of at most `limit` bytes. */
enum err target_read_text(const struct target *target, uint64_t address, size_t limit,
                          struct strbuf *ret);

/* ---- threads ---- */

/* All threads now. */
enum err target_threads(const struct target *target, struct tid_list *ret);

/* The thread's id inside its own pid namespace. */
pid_t target_namespace_tid(const struct target *target, pid_t tid);
/* Appends the thread's name as the kernel knows it; nothing if it is gone. */
void target_thread_comm(const struct target *target, pid_t tid, struct strbuf *ret);

/* The registers of a thread that stands still: of a live one while it is held (ptrace.h). ERR_GONE,
 * ERR_PERMISSION, ERR_UNSUPPORTED for a 32-bit program. */
enum err target_registers(const struct target *target, pid_t tid, struct regs *ret);

#endif
