/* SPDX-License-Identifier: MIT */
/* The threads of a live process, its children, and the files that tell of each thread. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "process.h"
#include "proctext.h"
#include "pspy/base/cleanup.h"

#define OPENED_LATER (-2) /* in place of a descriptor */

enum err live_threads(const struct target *target, struct tid_list *ret)
{
    int fd = openat(live_of(target)->proc_fd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct dirent *entry;
    DIR *directory;

    if (fd < 0)
        return proc_error(errno);
    directory = fdopendir(fd);
    if (!directory) {
        close(fd);
        return ERR_UNREADABLE;
    }
    vec_reset(&ret->tids);
    while ((entry = readdir(directory))) {
        long tid = strtol(entry->d_name, NULL, 10);

        if (tid > 0)
            vec_push(&ret->tids, (pid_t)tid);
    }
    closedir(directory);
    return ret->tids.length ? ERR_OK : ERR_GONE;
}

/* "123 124 " */
static void add_pids(const char *text, struct tid_list *ret)
{
    char *end;

    for (;; text = end) {
        long pid = strtol(text, &end, 10);

        if (end == text)
            return;
        vec_push(&ret->tids, (pid_t)pid);
    }
}

static enum err read_children(int folder, const char *name, struct tid_list *ret)
{
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;
    enum err err = proc_read_whole(folder, name, &text);

    if (err == ERR_OK)
        add_pids(text.text, ret);
    return err;
}

enum err target_children(const struct target *target, pid_t tid, struct tid_list *ret)
{
    char name[64];

    snprintf(name, sizeof(name), "task/%d/children", (int)tid);
    return read_children(live_of(target)->proc_fd, name, ret);
}

enum err target_own_children(struct tid_list *ret)
{
    enum err err = read_children(AT_FDCWD, "/proc/thread-self/children", ret);

    return err == ERR_OK ? ERR_OK : ERR_UNSUPPORTED;
}

static int open_thread_file(const struct target *target, pid_t tid, const char *name)
{
    char path[64];

    snprintf(path, sizeof(path), "task/%d/%s", tid, name);
    return openat(live_of(target)->proc_fd, path, O_RDONLY | O_CLOEXEC);
}

void target_raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* A quarter is left to other files. */
static bool may_keep(int fd)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_NOFILE, &limit) != 0 || (rlim_t)fd < limit.rlim_cur / 4 * 3;
}

/* The descriptor, OPENED_LATER, or -1. */
static int open_kept(const struct target *target, pid_t tid, const char *name)
{
    cleanup(cleanup_close) int fd = open_thread_file(target, tid, name);
    int kept = fd;

    if (fd < 0)
        return errno == EMFILE || errno == ENFILE ? OPENED_LATER : -1;
    if (!may_keep(fd))
        return OPENED_LATER;
    fd = -1;
    return kept;
}

enum err thread_files_open(const struct target *target, pid_t tid, struct thread_files *ret)
{
    int stat_fd = open_kept(target, tid, "stat");

    if (stat_fd == -1)
        return proc_error(errno);
    *ret = (struct thread_files){.target = target,
                                 .tid = tid,
                                 .stat_fd = stat_fd,
                                 .syscall_fd = open_kept(target, tid, "syscall"),
                                 .schedstat_fd = open_kept(target, tid, "schedstat")};
    return ERR_OK;
}

void thread_files_close(struct thread_files *files)
{
    cleanup_close(&files->stat_fd);
    cleanup_close(&files->syscall_fd);
    cleanup_close(&files->schedstat_fd);
    *files = (struct thread_files)THREAD_FILES_INIT;
}

static enum err read_thread_text(const struct thread_files *files, int fd, const char *name,
                                 char *text, size_t size)
{
    cleanup(cleanup_close) int opened = -1;

    if (fd == OPENED_LATER)
        fd = opened = open_thread_file(files->target, files->tid, name);
    return fd < 0 ? proc_error(errno) : proc_read(fd, text, size);
}

enum err thread_files_stat(const struct thread_files *files, struct procfs_stat *ret)
{
    char text[STAT_LIMIT];
    enum err err = read_thread_text(files, files->stat_fd, "stat", text, sizeof(text));

    return err == ERR_OK ? proc_parse_stat(text, ret) : err;
}

enum err thread_files_syscall(const struct thread_files *files, struct procfs_syscall *ret)
{
    char text[512];
    enum err err;

    if (files->syscall_fd == -1)
        return ERR_PERMISSION;
    err = read_thread_text(files, files->syscall_fd, "syscall", text, sizeof(text));
    if (err != ERR_OK)
        return err;
    return procfs_parse_syscall(text, ret) ? ERR_OK : ERR_UNREADABLE;
}

enum err thread_files_schedstat(const struct thread_files *files, struct procfs_schedstat *ret)
{
    char text[128];
    enum err err;

    *ret = (struct procfs_schedstat){0};
    if (files->schedstat_fd == -1)
        return ERR_OK;
    err = read_thread_text(files, files->schedstat_fd, "schedstat", text, sizeof(text));
    if (err != ERR_OK)
        return err;
    return procfs_parse_schedstat(text, ret) ? ERR_OK : ERR_UNREADABLE;
}

static bool thread_status(const struct target *target, pid_t tid, struct strbuf *ret)
{
    char name[64];

    snprintf(name, sizeof(name), "task/%d/status", tid);
    return target_proc_text(target, name, ret) == ERR_OK;
}

pid_t live_namespace_tid(const struct target *target, pid_t tid)
{
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;
    const char *field;
    long innermost = tid;

    if (!live_of(target)->has_own_pids || !thread_status(target, tid, &text))
        return tid;
    /* NSpid: 4711 12 -- from our namespace inwards. */
    field = procfs_status_field(text.text, "NSpid");
    while (field && *field >= '0' && *field <= '9') {
        char *end;

        innermost = strtol(field, &end, 10);
        field = end + strspn(end, "\t ");
    }
    return (pid_t)innermost;
}

void live_thread_comm(const struct target *target, pid_t tid, struct strbuf *ret)
{
    size_t start = ret->length;
    char name[64];

    snprintf(name, sizeof(name), "task/%d/comm", tid);
    if (target_proc_text(target, name, ret) == ERR_OK && ret->length > start &&
        ret->text[ret->length - 1] == '\n')
        strbuf_truncate(ret, ret->length - 1);
}

static uint64_t hex_field(const char *text, const char *name)
{
    const char *field = procfs_status_field(text, name);

    return field ? strtoull(field, NULL, 16) : 0;
}

bool target_signal_pending(const struct target *target, pid_t tid)
{
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;

    if (!thread_status(target, tid, &text))
        return true; /* unknown: act as if, and change nothing */
    return ((hex_field(text.text, "SigPnd") | hex_field(text.text, "ShdPnd")) &
            ~hex_field(text.text, "SigBlk")) != 0;
}
