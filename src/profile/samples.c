/* SPDX-License-Identifier: MIT */
/*
 * One array of two mappings: the file's part in front, ordinary memory behind it. When the memory
 * is full its samples are written to the file, and both are mapped anew at another place: nothing
 * of the new mapping is resident until someone looks at it. Written, not stored into a mapping of
 * the file: a disk that is full is an error then, and no SIGBUS. What is changed in the file's part
 * later is there already.
 */
#include "pspy/profile/samples.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/xmalloc.h"
#include "pspy/profile/profile.h"

/* In samples; powers of two, so that both parts end with a page. */
#define FIRST_ROOM  ((size_t)(64 << 10) / sizeof(struct sample))
#define MEMORY_ROOM ((size_t)(4 << 20) / sizeof(struct sample))
#define LATER_ROOM  ((size_t)(1 << 20) / sizeof(struct sample)) /* written in less than a tick */

void samples_init(struct samples *samples)
{
    *samples = (struct samples){.fd = -1};
}

static void unmap(const struct samples *samples)
{
    if (samples->items)
        munmap(samples->items, samples->capacity * sizeof(samples->items[0]));
}

void samples_deinit(struct samples *samples)
{
    unmap(samples);
    cleanup_close(&samples->fd);
    samples_init(samples);
}

static int make_unlinked(const char *folder)
{
    cleanup(cleanup_free) char *path = NULL;
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd >= 0)
        return fd;
    /* Not every file system knows files without a name. */
    path = xasprintf("%s/pspy-XXXXXX", folder);
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

static int make_file(void)
{
    const char *folder = getenv("TMPDIR");
    /* Where each change is written to another place, one may fail for want of room. */
    int fd = make_unlinked(folder && *folder ? folder : "/var/tmp"), flags = FS_NOCOW_FL;

    if (fd >= 0)
        ioctl(fd, FS_IOC_SETFLAGS, &flags);
    return fd;
}

/* Beyond this limit a write ends the program. */
static bool may_reach(size_t size)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_FSIZE, &limit) == 0 && size <= limit.rlim_cur;
}

static bool write_at(int fd, const char *bytes, size_t size, size_t at)
{
    while (size > 0) {
        ssize_t written = pwrite(fd, bytes, size, (off_t)at);

        if (written <= 0)
            return false;
        bytes += written;
        size -= (size_t)written;
        at += (size_t)written;
    }
    return true;
}

/* Whether the whole array is in the file. */
static bool write_out(struct samples *samples)
{
    size_t at = samples->filed * sizeof(samples->items[0]);
    size_t end = samples->capacity * sizeof(samples->items[0]);

    if (!may_reach(end))
        return false;
    if (samples->fd < 0)
        samples->fd = make_file();
    return samples->fd >= 0 &&
           write_at(samples->fd, (const char *)samples->items + at, end - at, at);
}

/* An array whose first `filed` samples are the file's; the others are new memory. */
static struct sample *map(int fd, size_t filed, size_t capacity)
{
    size_t file_size = filed * sizeof(struct sample), size = capacity * sizeof(struct sample);
    char *place = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (place == MAP_FAILED)
        return NULL;
    if (mprotect(place + file_size, size - file_size, PROT_READ | PROT_WRITE) == 0 &&
        (!filed || mmap(place, file_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) !=
                       MAP_FAILED))
        return (struct sample *)(void *)place;
    munmap(place, size);
    return NULL;
}

static bool move(struct samples *samples, size_t filed, size_t room)
{
    struct sample *items = map(samples->fd, filed, filed + room);

    if (!items)
        return false;
    if (filed < samples->length)
        memcpy(items + filed, samples->items + filed, (samples->length - filed) * sizeof(items[0]));
    unmap(samples);
    samples->items = items;
    samples->filed = filed;
    samples->capacity = filed + room;
    return true;
}

static void grow(struct samples *samples)
{
    size_t room = samples->capacity - samples->filed;

    if (room >= (samples->filed ? LATER_ROOM : MEMORY_ROOM) && write_out(samples) &&
        move(samples, samples->capacity, LATER_ROOM))
        return;
    if (!move(samples, samples->filed, room ? 2 * room : FIRST_ROOM))
        xmalloc_fail();
}

void samples_push(struct samples *samples, const struct sample *sample)
{
    if (samples->length == samples->capacity)
        grow(samples);
    samples->items[samples->length++] = *sample;
}
