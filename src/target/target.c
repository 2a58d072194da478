/* SPDX-License-Identifier: MIT */
#include "pspy/target/target.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pspy/base/cleanup.h"
#include "pspy/elf/debugfile.h"
#include "pspy/target/access.h"

/* The parent of the kernel's threads, where they are visible at all. */
#define KERNEL_THREADS 2

#define STAT_LIMIT   1024 /* bytes of a stat file */
#define OPENED_LATER (-2) /* in place of a descriptor */

static enum err code_of(int number)
{
    switch (number) {
    case ENOENT:
    case ESRCH:
        return ERR_GONE;
    case EPERM:
    case EACCES:
        return ERR_PERMISSION;
    default:
        return ERR_UNREADABLE;
    }
}

static enum err read_text(int fd, char *text, size_t size)
{
    ssize_t got = pread(fd, text, size - 1, 0);

    if (got < 0)
        return code_of(errno);
    text[got] = '\0';
    return got ? ERR_OK : ERR_GONE;
}

static enum err parse_stat(const char *text, struct procfs_stat *ret)
{
    struct procfs_stat found;

    if (!procfs_parse_stat(text, &found))
        return ERR_UNREADABLE;
    *ret = found;
    return ERR_OK;
}

static enum err read_stat(int fd, struct procfs_stat *ret)
{
    char text[STAT_LIMIT];
    enum err err = read_text(fd, text, sizeof(text));

    return err == ERR_OK ? parse_stat(text, ret) : err;
}

static bool is_in_our_namespace(const struct target *target, const char *name)
{
    char ours[64];
    struct stat mine, its;

    snprintf(ours, sizeof(ours), "/proc/self/%s", name);
    return stat(ours, &mine) != 0 || fstatat(target->proc_fd, name, &its, 0) != 0 ||
           (mine.st_ino == its.st_ino && mine.st_dev == its.st_dev);
}

static enum err refuse(pid_t pid, int number, struct error *why)
{
    if (number == EPERM || number == EACCES)
        return access_refuse(pid, why);
    return error_set(why, ERR_GONE, "there is no process %d: check the number with ps", pid);
}

/* Whether there is a program to look at. */
static enum err check_program(const struct target *target, struct error *why)
{
    cleanup(cleanup_close) int fd = openat(target->proc_fd, "exe", O_RDONLY | O_CLOEXEC);
    unsigned char head[EI_NIDENT] = {0};
    struct procfs_stat stat;

    if (read_stat(target->stat_fd, &stat) != ERR_OK)
        return refuse(target->pid, ESRCH, why);
    if (stat.state == 'Z' && stat.threads <= 1)
        return error_set(why, ERR_GONE,
                         "process %d has ended and is a zombie: only its parent can clear it away",
                         target->pid);
    if (target->pid == KERNEL_THREADS || stat.parent == KERNEL_THREADS)
        return error_set(
            why, ERR_UNSUPPORTED,
            "process %d is a thread of the kernel and runs no program: perf can show it",
            target->pid);
    if (fd >= 0 && pread(fd, head, sizeof(head), 0) == sizeof(head) && head[EI_CLASS] == ELFCLASS32)
        return error_set(why, ERR_UNSUPPORTED,
                         "process %d is a 32-bit program, and pspy reads 64-bit ones: use a 64-bit "
                         "build of it",
                         target->pid);
    return ERR_OK;
}

enum err target_open(pid_t pid, struct target *ret, struct error *why)
{
    struct target target = {.pid = pid, .proc_fd = -1, .stat_fd = -1, .root_fd = -1, .pidfd = -1};
    cleanup(strbuf_deinit) struct strbuf maps = STRBUF_INIT;
    struct procfs_stat stat_now;
    char path[64];
    enum err err;

    snprintf(path, sizeof(path), "/proc/%d", pid);
    target.proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (target.proc_fd < 0)
        return refuse(pid, errno, why);
    /* Not the process's: that costs more the more threads it has. */
    snprintf(path, sizeof(path), "task/%d/stat", pid);
    target.stat_fd = openat(target.proc_fd, path, O_RDONLY | O_CLOEXEC);
    if (target.stat_fd < 0 || target_stat(&target, &stat_now) != ERR_OK) {
        err = target.stat_fd < 0 ? ERR_OK : check_program(&target, why);
        target_close(&target);
        return err == ERR_OK ? refuse(pid, ESRCH, why) : err;
    }
    target.start_time = stat_now.start_time;
    if (target_proc_text(&target, "maps", &maps) != ERR_OK) {
        int number = errno;

        target_close(&target);
        return refuse(pid, number, why);
    }
    err = check_program(&target, why);
    if (err != ERR_OK) {
        target_close(&target);
        return err;
    }
    if (!is_in_our_namespace(&target, "ns/mnt") || !is_in_our_namespace(&target, "root"))
        target.root_fd = openat(target.proc_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
    target.pidfd = target_open_pidfd(pid);
    target.has_own_pids = !is_in_our_namespace(&target, "ns/pid");
    *ret = target;
    return ERR_OK;
}

void target_close(struct target *target)
{
    cleanup_close(&target->proc_fd);
    cleanup_close(&target->stat_fd);
    cleanup_close(&target->root_fd);
    cleanup_close(&target->pidfd);
    target->proc_fd = target->stat_fd = target->root_fd = target->pidfd = -1;
}

enum err target_stat(const struct target *target, struct procfs_stat *ret)
{
    struct procfs_stat found;
    enum err err = read_stat(target->stat_fd, &found);

    if (err != ERR_OK)
        return err;
    /* A leader that ended while its threads go on is a zombie as well. */
    if (found.state == 'X' || (found.state == 'Z' && found.threads <= 1))
        return ERR_GONE;
    *ret = found;
    return ERR_OK;
}

/* Appends the text of a file of /proc. */
static enum err read_whole(int folder, const char *name, struct strbuf *ret)
{
    cleanup(cleanup_close) int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    ssize_t got;

    if (fd < 0)
        return code_of(errno);
    do {
        strbuf_reserve(ret, 65536);
        got = read(fd, ret->text + ret->length, 65536);
        if (got > 0) {
            ret->length += (size_t)got;
            ret->text[ret->length] = '\0';
        }
    } while (got > 0 || (got < 0 && errno == EINTR));
    return got < 0 ? code_of(errno) : ERR_OK;
}

enum err target_proc_text(const struct target *target, const char *name, struct strbuf *ret)
{
    return read_whole(target->proc_fd, name, ret);
}

void target_command(const struct target *target, struct strbuf *ret)
{
    size_t start = ret->length;

    if (target_proc_text(target, "cmdline", ret) == ERR_OK && ret->length > start) {
        while (ret->length > start && ret->text[ret->length - 1] == '\0')
            strbuf_truncate(ret, ret->length - 1);
        for (size_t i = start; i < ret->length; i++)
            if (ret->text[i] == '\0')
                ret->text[i] = ' ';
        return;
    }
    strbuf_add_char(ret, '[');
    target_thread_comm(target, target->pid, ret);
    strbuf_add_char(ret, ']');
}

void target_executable(const struct target *target, struct strbuf *ret)
{
    char path[4096];
    ssize_t length = readlinkat(target->proc_fd, "exe", path, sizeof(path));

    if (length > 0)
        strbuf_add(ret, path, (size_t)length);
}

int target_open_file(const struct target *target, const char *path)
{
    return rooted_open(target->root_fd, path);
}

size_t target_read_scattered(const struct target *target, const struct iovec *local,
                             size_t local_count, const struct iovec *remote, size_t remote_count)
{
    ssize_t got = process_vm_readv(target->pid, local, local_count, remote, remote_count, 0);

    return got < 0 ? 0 : (size_t)got;
}

size_t target_read_vector(const struct target *target, const struct iovec *local,
                          const struct iovec *remote, size_t count)
{
    return target_read_scattered(target, local, count, remote, count);
}

size_t target_read_some(const struct target *target, uint64_t address, void *ret, size_t size)
{
    struct iovec local = {ret, size};
    /* An address of another process: never dereferenced here. */
    struct iovec remote = {(void *)(uintptr_t)address, size};

    return target_read_vector(target, &local, &remote, 1);
}

enum err target_read(const struct target *target, uint64_t address, void *ret, size_t size)
{
    errno = 0;
    if (target_read_some(target, address, ret, size) == size)
        return ERR_OK;
    return errno == ESRCH || errno == EPERM ? code_of(errno) : ERR_UNREADABLE;
}

enum err target_read_text(const struct target *target, uint64_t address, size_t limit,
                          struct strbuf *ret)
{
    char chunk[256];

    while (limit > 0) {
        /* Not across a page's end: the next page may be missing. */
        size_t want = 4096 - (size_t)(address & 4095);
        enum err err;
        size_t length;

        if (want > sizeof(chunk))
            want = sizeof(chunk);
        if (want > limit)
            want = limit;
        err = target_read(target, address, chunk, want);
        if (err != ERR_OK)
            return err;
        length = strnlen(chunk, want);
        strbuf_add(ret, chunk, length);
        if (length < want)
            return ERR_OK;
        address += want;
        limit -= want;
    }
    return ERR_UNREADABLE;
}

void tid_list_deinit(struct tid_list *list)
{
    vec_deinit(&list->tids);
}

enum err target_threads(const struct target *target, struct tid_list *ret)
{
    int fd = openat(target->proc_fd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct dirent *entry;
    DIR *directory;

    if (fd < 0)
        return code_of(errno);
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
    enum err err = read_whole(folder, name, &text);

    if (err == ERR_OK)
        add_pids(text.text, ret);
    return err;
}

enum err target_children(const struct target *target, pid_t tid, struct tid_list *ret)
{
    char name[64];

    snprintf(name, sizeof(name), "task/%d/children", (int)tid);
    return read_children(target->proc_fd, name, ret);
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
    return openat(target->proc_fd, path, O_RDONLY | O_CLOEXEC);
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
        return code_of(errno);
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
    return fd < 0 ? code_of(errno) : read_text(fd, text, size);
}

enum err thread_files_stat(const struct thread_files *files, struct procfs_stat *ret)
{
    char text[STAT_LIMIT];
    enum err err = read_thread_text(files, files->stat_fd, "stat", text, sizeof(text));

    return err == ERR_OK ? parse_stat(text, ret) : err;
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

pid_t target_namespace_tid(const struct target *target, pid_t tid)
{
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;
    const char *field;
    long innermost = tid;

    if (!target->has_own_pids || !thread_status(target, tid, &text))
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

void target_thread_comm(const struct target *target, pid_t tid, struct strbuf *ret)
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
