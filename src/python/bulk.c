/* SPDX-License-Identifier: MIT */
#include "bulk.h"

#include <string.h>

#define BATCH         256
#define FAILURE_LIMIT 64

/* Reads the places in one system call. How many were read whole, in order. */
static size_t read_batch(const struct target *target, const uint64_t *addresses,
                         const size_t *places, size_t count, size_t size, unsigned char *ret)
{
    struct iovec local[BATCH], remote[BATCH];

    for (size_t i = 0; i < count; i++) {
        local[i] = (struct iovec){ret + places[i] * size, size};
        remote[i] = (struct iovec){(void *)(uintptr_t)addresses[places[i]], size};
    }
    return target_read_vector(target, local, remote, count) / size;
}

/* The next places to read, from *next on. */
static size_t pick_batch(const uint64_t *addresses, size_t count, size_t *next, size_t *places)
{
    size_t picked = 0;

    for (; *next < count && picked < BATCH; ++*next)
        if (addresses[*next])
            places[picked++] = *next;
    return picked;
}

bool bulk_read(const struct target *target, const uint64_t *addresses, size_t count, size_t size,
               void *ret, bool *ret_read)
{
    size_t places[BATCH], next = 0, failures = 0, picked;

    memset(ret_read, 0, count * sizeof(*ret_read));
    while (failures < FAILURE_LIMIT && (picked = pick_batch(addresses, count, &next, places)) > 0) {
        size_t whole = read_batch(target, addresses, places, picked, size, ret);

        for (size_t i = 0; i < whole; i++)
            ret_read[places[i]] = true;
        /* The first that failed ended the reading: go on behind it. */
        if (whole < picked) {
            next = places[whole] + 1;
            failures++;
        }
    }
    return failures < FAILURE_LIMIT;
}
