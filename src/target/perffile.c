/* SPDX-License-Identifier: MIT */
/*
 * Anybody may write a file of any name to /tmp: one of another user's is not believed, as perf does
 * not. And pids come round again: a file that was last written before the target started is of
 * another process. A file that became shorter is read anew.
 */
#include "pspy/target/perffile.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "pspy/base/cleanup.h"
#include "pspy/target/procfs.h"

#define READ_BYTES  (1u << 20)
#define TOTAL_LIMIT (256 * READ_BYTES)

void perffile_deinit(struct perffile *file)
{
    if (file->fd >= 0)
        close(file->fd);
    perfmap_deinit(&file->map);
}

/* Seconds since 1970. */
static time_t start_of(const struct procfs_stat *stat)
{
    struct timespec wall, running;

    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_BOOTTIME, &running);
    return wall.tv_sec - running.tv_sec +
           (time_t)(stat->start_time / (uint64_t)sysconf(_SC_CLK_TCK));
}

static bool is_believed(const struct stat *file, const struct target *target)
{
    struct procfs_stat stat;
    uid_t owner;

    return S_ISREG(file->st_mode) && target_owner(target, &owner) == ERR_OK &&
           (file->st_uid == owner || file->st_uid == 0) && target_stat(target, &stat) == ERR_OK &&
           file->st_mtime >= start_of(&stat) - 1; /* both clocks are cut to seconds */
}

bool perffile_open(struct perffile *file, const struct target *target)
{
    struct stat found, known;
    char path[64];
    int fd;

    snprintf(path, sizeof(path), "/tmp/perf-%d.map", target_namespace_tid(target, target->pid));
    fd = target_open_file(target, path);
    if (fd < 0)
        return false;
    if (fstat(fd, &found) != 0 || !is_believed(&found, target) ||
        (file->fd >= 0 && fstat(file->fd, &known) == 0 && known.st_ino == found.st_ino &&
         known.st_dev == found.st_dev)) {
        close(fd);
        return false;
    }
    perffile_deinit(file);
    *file = (struct perffile)PERFFILE_INIT;
    file->fd = fd;
    return true;
}

/* Reads on. False at the end of what can be had. */
static bool read_more(struct perffile *file, char *buffer)
{
    ssize_t got = pread(file->fd, buffer, READ_BYTES, file->consumed);
    size_t taken = got > 0 ? perfmap_add(&file->map, buffer, (size_t)got) : 0;

    file->consumed += (off_t)taken;
    return taken && file->consumed < TOTAL_LIMIT;
}

bool perffile_update(struct perffile *file)
{
    cleanup(cleanup_free) char *buffer = NULL;
    off_t before = file->consumed;
    struct stat now;

    if (file->fd < 0 || fstat(file->fd, &now) != 0 || now.st_size == file->size)
        return false;
    if (now.st_size < file->size) {
        perfmap_deinit(&file->map);
        file->map = (struct perfmap)PERFMAP_INIT;
        file->consumed = before = 0;
    }
    file->size = now.st_size;
    buffer = xmalloc(READ_BYTES);
    while (read_more(file, buffer))
        continue;
    return file->consumed != before;
}
