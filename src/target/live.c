/* SPDX-License-Identifier: MIT */
/* A live process: /proc and process_vm_readv answer. */
#include "pspy/target/live.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process.h"
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
    return stat(ours, &mine) != 0 || fstatat(live_of(target)->proc_fd, name, &its, 0) != 0 ||
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
    cleanup(cleanup_close) int fd = openat(live_of(target)->proc_fd, "exe", O_RDONLY | O_CLOEXEC);
    unsigned char head[EI_NIDENT] = {0};
    struct procfs_stat stat;

    if (proc_read_stat(live_of(target)->stat_fd, &stat) != ERR_OK)
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

/* Opens its folder and its first thread's state, and looks whether it may be observed. */
static enum err open_process(struct target *target, struct live *live, struct error *why)
{
    cleanup(strbuf_deinit) struct strbuf maps = STRBUF_INIT;
    struct procfs_stat stat_now;
    char path[64];
    enum err err;

    snprintf(path, sizeof(path), "/proc/%d", target->pid);
    live->proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (live->proc_fd < 0)
        return refuse(target->pid, errno, why);
    /* Not the process's: that costs more the more threads it has. */
    snprintf(path, sizeof(path), "task/%d/stat", target->pid);
    live->stat_fd = openat(live->proc_fd, path, O_RDONLY | O_CLOEXEC);
    if (live->stat_fd < 0 || target_stat(target, &stat_now) != ERR_OK) {
        err = live->stat_fd < 0 ? ERR_OK : check_program(target, why);
        return err == ERR_OK ? refuse(target->pid, ESRCH, why) : err;
    }
    if (target_proc_text(target, "maps", &maps) != ERR_OK)
        return refuse(target->pid, errno, why);
    return check_program(target, why);
}

enum err target_open(pid_t pid, struct target *ret, struct error *why)
{
    struct live *live = xcalloc(1, sizeof(*live));
    struct target target = {.ops = &live_ops, .state = live, .pid = pid, .root_fd = -1};
    enum err err;

    *live = (struct live){.proc_fd = -1, .stat_fd = -1, .pidfd = -1};
    err = open_process(&target, live, why);
    if (err != ERR_OK) {
        target_close(&target);
        return err;
    }
    if (!is_in_our_namespace(&target, "ns/mnt") || !is_in_our_namespace(&target, "root"))
        target.root_fd = openat(live->proc_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
    live->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    live->has_own_pids = !is_in_our_namespace(&target, "ns/pid");
    *ret = target;
    return ERR_OK;
}

static void live_close(struct target *target)
{
    struct live *live = target->state;

    cleanup_close(&live->proc_fd);
    cleanup_close(&live->stat_fd);
    cleanup_close(&live->pidfd);
    cleanup_close(&target->root_fd);
    free(live);
}

static enum err live_stat(const struct target *target, struct procfs_stat *ret)
{
    struct procfs_stat found;
    enum err err = proc_read_stat(live_of(target)->stat_fd, &found);

    if (err != ERR_OK)
        return err;
    /* A leader that ended while its threads go on is a zombie as well. */
    if (found.state == 'X' || (found.state == 'Z' && found.threads <= 1))
        return ERR_GONE;
    *ret = found;
    return ERR_OK;
}

static enum err live_owner(const struct target *target, uid_t *ret)
{
    struct stat folder;

    if (fstat(live_of(target)->proc_fd, &folder) != 0)
        return proc_error(errno);
    *ret = folder.st_uid;
    return ERR_OK;
}

enum err target_proc_text(const struct target *target, const char *name, struct strbuf *ret)
{
    return proc_read_whole(live_of(target)->proc_fd, name, ret);
}

static void live_command(const struct target *target, struct strbuf *ret)
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

static void live_executable(const struct target *target, struct strbuf *ret)
{
    char path[4096];
    ssize_t length = readlinkat(live_of(target)->proc_fd, "exe", path, sizeof(path));

    if (length > 0)
        strbuf_add(ret, path, (size_t)length);
}

static int live_open_file(const struct target *target, const char *path)
{
    return rooted_open(target->root_fd, path);
}

/* The mapped file itself, whatever now stands under its name. Needs CAP_CHECKPOINT_RESTORE. */
static int open_mapped_file(const struct target *target, const struct mapping *mapping)
{
    char path[80];

    snprintf(path, sizeof(path), "map_files/%" PRIx64 "-%" PRIx64, mapping->start, mapping->end);
    return openat(live_of(target)->proc_fd, path, O_RDONLY | O_CLOEXEC);
}

/* The device number of a mapping on overlayfs and btrfs is another than stat's. */
static int keep_if_same(int fd, const struct mapping *mapping)
{
    struct stat status;

    if (fd >= 0 && (fstat(fd, &status) != 0 || status.st_ino != mapping->inode)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Paths are seen from our root after a mere chroot, from its own in another mount namespace. The
 * executable is to be had even when it was deleted. */
static int open_unmapped_file(const struct target *target, const struct mapping *mapping)
{
    int fd = keep_if_same(target_open_file(target, mapping->path), mapping);

    if (fd < 0 && target->root_fd >= 0)
        fd = keep_if_same(rooted_open(-1, mapping->path), mapping);
    if (fd < 0)
        fd = keep_if_same(openat(live_of(target)->proc_fd, "exe", O_RDONLY | O_CLOEXEC), mapping);
    return fd;
}

static int live_open_mapping(const struct target *target, const struct mapping *mapping)
{
    int fd = open_mapped_file(target, mapping);

    return fd < 0 ? open_unmapped_file(target, mapping) : fd;
}

static enum err live_mappings(const struct target *target, mapping_visitor *visit, void *context)
{
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;
    enum err err = target_proc_text(target, "maps", &text);
    char *line, *next;

    if (err != ERR_OK)
        return err;
    if (text.length == 0) /* a zombie */
        return ERR_GONE;
    for (line = text.text; *line; line = next) {
        struct mapping mapping;

        next = line + strcspn(line, "\n");
        if (*next)
            *next++ = '\0';
        if (procfs_parse_mapping(line, &mapping))
            visit(context, &mapping);
    }
    return ERR_OK;
}

static size_t live_read(const struct target *target, const struct iovec *local, size_t local_count,
                        const struct iovec *remote, size_t remote_count)
{
    ssize_t got = process_vm_readv(target->pid, local, local_count, remote, remote_count, 0);

    return got < 0 ? 0 : (size_t)got;
}

const struct target_ops live_ops = {
    .close = live_close,
    .read = live_read,
    .mappings = live_mappings,
    .threads = live_threads,
    .namespace_tid = live_namespace_tid,
    .thread_comm = live_thread_comm,
    .registers = live_registers,
    .open_file = live_open_file,
    .open_mapping = live_open_mapping,
    .stat = live_stat,
    .owner = live_owner,
    .command = live_command,
    .executable = live_executable,
};
