/* SPDX-License-Identifier: MIT */
#include "pspy/target/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "pspy/base/xmalloc.h"

void snapshot_deinit(struct snapshot *snapshot)
{
    for (size_t i = 0; i < SNAPSHOT_WINDOWS; i++)
        free(snapshot->windows[i].bytes);
    *snapshot = (struct snapshot){0};
}

void snapshot_reset(struct snapshot *snapshot)
{
    snapshot->count = 0;
    snapshot->live = NULL;
}

void snapshot_reserve(struct snapshot *snapshot, size_t window, size_t size)
{
    struct window *room = &snapshot->windows[window];

    if (size <= room->capacity)
        return;
    room->bytes = xreallocarray(room->bytes, size, 1);
    room->capacity = size;
}

bool snapshot_plan(struct snapshot *snapshot, uint64_t start, size_t size, struct iovec *ret_local,
                   struct iovec *ret_remote)
{
    if (snapshot->count == SNAPSHOT_WINDOWS || size == 0)
        return false;
    snapshot_reserve(snapshot, snapshot->count, size);
    *ret_local = (struct iovec){snapshot->windows[snapshot->count].bytes, size};
    *ret_remote = (struct iovec){(void *)(uintptr_t)start, size};
    return true;
}

void snapshot_add(struct snapshot *snapshot, const struct iovec *remote, size_t got)
{
    struct window *window = &snapshot->windows[snapshot->count];

    window->start = (uintptr_t)remote->iov_base;
    window->size = got;
    if (got)
        snapshot->count++;
}

size_t snapshot_take(struct snapshot *snapshot, const struct target *target, uint64_t start,
                     size_t size)
{
    struct iovec local, remote;
    size_t got;

    if (!snapshot_plan(snapshot, start, size, &local, &remote))
        return 0;
    got = target_read_some(target, start, local.iov_base, size);
    snapshot_add(snapshot, &remote, got);
    return got;
}

bool snapshot_holds(const struct snapshot *snapshot, uint64_t address)
{
    for (size_t i = 0; i < snapshot->count; i++)
        if (address - snapshot->windows[i].start < snapshot->windows[i].size)
            return true;
    return false;
}

enum err snapshot_read(const struct snapshot *snapshot, uint64_t address, void *ret, size_t size)
{
    for (size_t i = 0; i < snapshot->count; i++) {
        const struct window *window = &snapshot->windows[i];
        uint64_t at = address - window->start;

        if (address >= window->start && at < window->size && size <= window->size - at) {
            memcpy(ret, window->bytes + at, size);
            return ERR_OK;
        }
    }
    return snapshot->live ? target_read(snapshot->live, address, ret, size) : ERR_UNREADABLE;
}
