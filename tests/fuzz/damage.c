/* SPDX-License-Identifier: MIT */
#include "damage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>

#define PLACES     1024
#define PAGE_BITS  12
#define PLACES_MAX 1024 /* IOV_MAX */
#define SIZE_MOST  (1ul << 28)

ssize_t __real_process_vm_readv(pid_t pid, const struct iovec *local, unsigned long local_count,
                                const struct iovec *remote, unsigned long remote_count,
                                unsigned long flags);
ssize_t __wrap_process_vm_readv(pid_t pid, const struct iovec *local, unsigned long local_count,
                                const struct iovec *remote, unsigned long remote_count,
                                unsigned long flags);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);

static struct damage_plan plan;
static bool is_active, is_learning;
static size_t calls; /* since damage_begin */
static struct damage_counts counts;
static uint64_t places[PLACES]; /* that were read, or that looked like pointers */
static size_t place_count;

/* ---- Numbers ---- */

uint64_t damage_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dull;
}

/* Always the same for the same place in the same plan. */
static uint64_t hash(uint64_t place, uint64_t salt)
{
    uint64_t state = (plan.seed ^ place * 0x9e3779b97f4a7c15ull ^ salt << 56) | 1;

    damage_random(&state);
    damage_random(&state);
    return damage_random(&state);
}

static bool happens(uint64_t number, uint32_t chance)
{
    return chance && number >> 32 <= UINT32_MAX / chance;
}

/* ---- Words ---- */

static void learn(uint64_t place)
{
    if (place >> 16 && place >> 47 == 0)
        places[place_count++ % PLACES] = place;
}

static uint64_t learnt_place(uint64_t number)
{
    size_t known = place_count < PLACES ? place_count : PLACES;

    return known ? places[number % known] : number;
}

static uint64_t damaged(uint64_t word, uint64_t number)
{
    uint64_t other = number >> 8;

    if (plan.is_noise && number & 1)
        return number >> 17 & ~7ull;
    switch (number % 12) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX;
    case 2:
        return number;
    case 3: /* a small number */
        return other % 300;
    case 4: /* a large size */
        return other % (1ull << 40);
    case 5: /* one bit */
        return word ^ 1ull << other % 64;
    case 6: /* a little further */
        return word + other % 64 - 32;
    case 7: /* between objects */
        return learnt_place(other) + number % 4096;
    case 8: /* bytes of a text, a state, a kind */
        return word ^ other << 32;
    default: /* wrong links, among them circles */
        return learnt_place(other);
    }
}

/* A word at `place` of which the bytes [low, high) were read. */
static void change_word(unsigned char *bytes, uint64_t place, size_t low, size_t high, size_t at)
{
    uint64_t number = hash(place, plan.is_fickle ? calls * 4099 + at : 0), word = 0;
    unsigned char *part = (unsigned char *)&word + low;

    if (!happens(number, plan.word_chance))
        return;
    memcpy(part, bytes, high - low);
    word = damaged(word, hash(place ^ number, 1));
    memcpy(bytes, part, high - low);
}

typedef void change_fn(unsigned char *bytes, uint64_t place, size_t low, size_t high, size_t at);

/* Calls `each` for every word of the bytes that were read from `address`. */
static void change(unsigned char *bytes, uint64_t address, size_t size, size_t at, change_fn *each)
{
    while (size > 0) {
        size_t low = address & 7, high = low + size < 8 ? low + size : 8;

        each(bytes, address - low, low, high, at);
        bytes += high - low;
        address += high - low;
        at += high - low;
        size -= high - low;
    }
}

/* A word of memory that is not there: half or nearly all of them lead to more of it. */
static void make_word(unsigned char *bytes, uint64_t place, size_t low, size_t high, size_t at)
{
    uint64_t number = hash(place, 4), odd = plan.seed & 1 ? 2 : 1000, word;

    (void)at;
    word = number % odd ? number >> 17 & ~7ull : damaged(0, number >> 1);
    memcpy(bytes, (unsigned char *)&word + low, high - low);
}

/* ---- Calls ---- */

static size_t size_of(const struct iovec *vector, size_t count)
{
    size_t size = 0;

    for (size_t i = 0; i < count; i++)
        size += vector[i].iov_len;
    return size;
}

/* How much can be read until a page that is missing. */
static size_t readable(const struct iovec *remote, size_t count)
{
    size_t size = 0;

    for (size_t i = 0; i < count; i++) {
        uint64_t start = (uintptr_t)remote[i].iov_base, end = start + remote[i].iov_len;

        if (end < start || end >> 47)
            return size;
        for (uint64_t at = start; at < end; at = (at >> PAGE_BITS << PAGE_BITS) + 4096) {
            if (happens(hash(at >> PAGE_BITS, 2), plan.page_chance))
                return size;
            size += (at >> PAGE_BITS << PAGE_BITS) + 4096 < end
                        ? (at >> PAGE_BITS << PAGE_BITS) + 4096 - at
                        : end - at;
        }
    }
    return size;
}

static void scatter(const struct iovec *local, size_t count, const unsigned char *bytes,
                    size_t size)
{
    for (size_t i = 0; i < count; i++) {
        size_t here = local[i].iov_len < size ? local[i].iov_len : size;

        memcpy(local[i].iov_base, bytes, here);
        /* What was not read is not zero by chance. */
        memset((char *)local[i].iov_base + here, 0xdd, local[i].iov_len - here);
        bytes += here;
        size -= here;
    }
}

static void change_all(const struct iovec *remote, size_t count, unsigned char *bytes, size_t size)
{
    size_t at = 0;

    for (size_t i = 0; i < count && at < size; i++) {
        size_t here = remote[i].iov_len < size - at ? remote[i].iov_len : size - at;

        change(bytes + at, (uintptr_t)remote[i].iov_base, here, at, change_word);
        at += here;
    }
}

static void learn_all(const struct iovec *remote, size_t count, const unsigned char *bytes,
                      size_t size)
{
    for (size_t i = 0; i < count; i++)
        learn((uintptr_t)remote[i].iov_base);
    for (size_t at = 0; at + 8 <= size && at < 512; at += 8) {
        uint64_t word;

        memcpy(&word, bytes + at, sizeof(word));
        learn(word);
    }
}

/* The bytes that a call may return under the plan; -1 with errno. */
static ssize_t permitted(const struct iovec *remote, size_t count, size_t size)
{
    uint64_t number = hash(calls, 3);
    size_t most = readable(remote, count);

    if (plan.is_gone) {
        errno = ESRCH;
        return -1;
    }
    if (happens(number, plan.call_chance))
        most = number & 1 ? 0 : most * (number >> 1 & 7) / 8;
    if (most == 0 && size > 0) {
        errno = EFAULT;
        return -1;
    }
    return (ssize_t)most;
}

/* Reads all places; what is not mapped is made up. */
static size_t read_noise(pid_t pid, const struct iovec *remote, size_t count, unsigned char *bytes)
{
    size_t at = 0;

    for (size_t i = 0; i < count; i++) {
        size_t size = remote[i].iov_len;
        struct iovec local = {bytes + at, size};
        ssize_t got = size ? __real_process_vm_readv(pid, &local, 1, &remote[i], 1, 0) : 0;
        size_t read = got > 0 ? (size_t)got : 0;

        change(bytes + at + read, (uintptr_t)remote[i].iov_base + read, size - read, at, make_word);
        at += size;
    }
    return at;
}

static bool is_damaged_call(void)
{
    size_t call = calls++;

    return is_active && call >= plan.first_call && call - plan.first_call < plan.calls;
}

ssize_t __wrap_process_vm_readv(pid_t pid, const struct iovec *local, unsigned long local_count,
                                const struct iovec *remote, unsigned long remote_count,
                                unsigned long flags)
{
    size_t size = size_of(local, local_count);
    struct iovec whole = {NULL, size};
    ssize_t got, most = (ssize_t)size;
    bool is_damaged = is_damaged_call();

    counts.calls++;
    if (local_count > PLACES_MAX || remote_count > PLACES_MAX || size > SIZE_MOST) {
        errno = EINVAL;
        return -1;
    }
    if (is_damaged && (most = permitted(remote, remote_count, size)) < 0)
        return -1;
    whole.iov_base = __real_calloc(1, size + 1);
    got = is_damaged && plan.is_noise
              ? (ssize_t)read_noise(pid, remote, remote_count, whole.iov_base)
              : __real_process_vm_readv(pid, &whole, 1, remote, remote_count, flags);
    if (got > most)
        got = most;
    counts.bytes += got > 0 ? (size_t)got : 0;
    if (got > 0 && is_damaged)
        change_all(remote, remote_count, whole.iov_base, (size_t)got);
    else if (got > 0 && is_learning)
        learn_all(remote, remote_count, whole.iov_base, (size_t)got);
    scatter(local, local_count, whole.iov_base, got > 0 ? (size_t)got : 0);
    free(whole.iov_base);
    return got;
}

/* ---- Allocations ---- */

static void count_allocation(size_t size)
{
    counts.allocated += size;
    if (size > counts.largest)
        counts.largest = size;
}

void *__wrap_malloc(size_t size)
{
    count_allocation(size);
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    count_allocation(count * size);
    return __real_calloc(count, size);
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
    count_allocation(count * size);
    return __real_reallocarray(old, count, size);
}

/* ---- Plans ---- */

void damage_learn(void)
{
    is_learning = true;
    place_count = 0;
}

void damage_begin(const struct damage_plan *wanted)
{
    plan = *wanted;
    is_active = true;
    is_learning = false;
    calls = 0;
}

void damage_end(void)
{
    is_active = false;
}

struct damage_counts damage_take_counts(void)
{
    struct damage_counts taken = counts;

    counts = (struct damage_counts){0};
    return taken;
}
