/* SPDX-License-Identifier: MIT */
#include "pspy/target/target.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proctext.h"
#include "pspy/base/cleanup.h"
#include "pspy/elf/debugfile.h"
#include "pspy/target/access.h"

/* The parent of the kernel's threads, where they are visible at all. */
#define KERNEL_THREADS 2

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

    if (proc_read_stat(target->stat_fd, &stat) != ERR_OK)
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
    target.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
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
    enum err err = proc_read_stat(target->stat_fd, &found);

    if (err != ERR_OK)
        return err;
    /* A leader that ended while its threads go on is a zombie as well. */
    if (found.state == 'X' || (found.state == 'Z' && found.threads <= 1))
        return ERR_GONE;
    *ret = found;
    return ERR_OK;
}

enum err target_proc_text(const struct target *target, const char *name, struct strbuf *ret)
{
    return proc_read_whole(target->proc_fd, name, ret);
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
    return errno == ESRCH || errno == EPERM ? proc_error(errno) : ERR_UNREADABLE;
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
