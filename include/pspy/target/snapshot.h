/* SPDX-License-Identifier: MIT */
/*
 * Copies of parts of a target's memory, taken while a thread stood still, and answered from later.
 * A reader asks the copies first; with `live` set, what no copy holds is read from the target (only
 * while the thread still stands still).
 */
#ifndef PSPY_TARGET_SNAPSHOT_H
#define PSPY_TARGET_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "pspy/base/error.h"
#include "pspy/target/target.h"

#define SNAPSHOT_WINDOWS 8

struct window {
    uint64_t start;
    size_t size; /* bytes that were read */
    size_t capacity;
    unsigned char *bytes;
};

struct snapshot {
    struct window windows[SNAPSHOT_WINDOWS];
    size_t count;
    const struct target *live; /* NULL: only the copies */
};

void snapshot_deinit(struct snapshot *snapshot);
/* Forgets the copies, keeps their room: no allocation while a thread is stopped. */
void snapshot_reset(struct snapshot *snapshot);
/* Makes room for a copy of `size` bytes before any thread is stopped. */
void snapshot_reserve(struct snapshot *snapshot, size_t window, size_t size);
/* For a copy of [start, start + size) that somebody else makes, along with what he reads anyway:
 * where to, and from where. False: all windows are in use, or size is 0. Done is said by
 * snapshot_add, before any other window. */
bool snapshot_plan(struct snapshot *snapshot, uint64_t start, size_t size, struct iovec *ret_local,
                   struct iovec *ret_remote);
void snapshot_add(struct snapshot *snapshot, const struct iovec *remote, size_t got);
/* Copies [start, start + size) or as much of it as is mapped. The bytes read; 0 also when all
 * windows are in use. */
size_t snapshot_take(struct snapshot *snapshot, const struct target *target, uint64_t start,
                     size_t size);
/* Whether a copy holds the byte at the address. */
bool snapshot_holds(const struct snapshot *snapshot, uint64_t address);
enum err snapshot_read(const struct snapshot *snapshot, uint64_t address, void *ret, size_t size);

#endif
