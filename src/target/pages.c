/* SPDX-License-Identifier: MIT */
#include "pspy/target/pages.h"

#include <limits.h>
#include <stdlib.h>

#define PAGE_BITS  12
#define PAGE_BYTES (1u << PAGE_BITS)
#define PAGE_NONE  SIZE_MAX

#define MARGIN      768 /* bytes behind a wanted place that are copied with it: the next frame */
#define KEPT        64  /* readings that a page stays wanted without being looked at */
#define LATE_BYTES  (16u * 1024)
#define PAGES_LIMIT 32768 /* damaged links may lead everywhere */
#define NEAR_BYTES  1024  /* before pages->near */
#define LOST_RANGES 8     /* ranges that may vanish during one pages_read */

void pages_deinit(struct pages *pages)
{
    vec_deinit(&pages->pages);
    vec_deinit(&pages->wanted);
    vec_deinit(&pages->ranges);
    vec_deinit(&pages->remote);
    free(pages->bytes);
    *pages = (struct pages){0};
}

static void widen(struct page *page, const struct page *other)
{
    if (other->low < page->low)
        page->low = other->low;
    if (other->high > page->high)
        page->high = other->high;
    if (page->used < other->used)
        page->used = other->used;
}

void pages_want(struct pages *pages, uint64_t address, size_t size)
{
    while (size > 0) {
        uint32_t low = (uint32_t)(address & (PAGE_BYTES - 1));
        size_t here = PAGE_BYTES - low < size ? PAGE_BYTES - low : size;
        uint32_t high = low + (uint32_t)here;
        struct page page = {.number = address >> PAGE_BITS,
                            .low = low,
                            .high = high + MARGIN < PAGE_BYTES ? high + MARGIN : PAGE_BYTES,
                            .used = pages->reading};

        if (pages->wanted.length &&
            pages->wanted.items[pages->wanted.length - 1].number == page.number)
            widen(&pages->wanted.items[pages->wanted.length - 1], &page);
        else if (pages->pages.length + pages->wanted.length < PAGES_LIMIT)
            vec_push(&pages->wanted, page);
        else
            return;
        address += here;
        size -= here;
    }
}

static int compare_pages(const void *a, const void *b)
{
    const struct page *first = a, *second = b;

    return first->number < second->number ? -1 : first->number > second->number;
}

/* Joins what is wanted with the pages; forgets those that nobody has looked at for long. */
static void join_wanted(struct pages *pages)
{
    size_t kept = 0;

    vec_each (page, &pages->wanted)
        vec_push(&pages->pages, *page);
    vec_reset(&pages->wanted);
    vec_sort(&pages->pages, compare_pages);
    for (size_t i = 0; i < pages->pages.length; i++) {
        const struct page *page = &pages->pages.items[i];

        if (pages->reading - page->used > KEPT)
            continue;
        if (kept && pages->pages.items[kept - 1].number == page->number)
            widen(&pages->pages.items[kept - 1], page);
        else
            pages->pages.items[kept++] = *page;
    }
    pages->pages.length = kept;
}

/* Neighbouring pages are one range: whatever lies between is on pages that are wanted anyway. */
static void make_ranges(struct pages *pages)
{
    pages->copy_size = 0;
    vec_reset(&pages->ranges);
    for (size_t i = 0; i < pages->pages.length; i++) {
        const struct page *page = &pages->pages.items[i];
        struct page_range *last =
            pages->ranges.length ? &pages->ranges.items[pages->ranges.length - 1] : NULL;
        uint64_t start = (page->number << PAGE_BITS) + page->low;
        uint64_t end = (page->number << PAGE_BITS) + page->high;

        if (last && pages->pages.items[i - 1].number + 1 == page->number) {
            pages->copy_size += end - (last->start + last->size);
            last->size = end - last->start;
        } else {
            struct page_range range = {start, end - start, pages->copy_size, i};

            vec_push(&pages->ranges, range);
            pages->copy_size += range.size;
        }
    }
    pages->hint = 0;
    pages->fastest = 0;
}

static void reserve(struct pages *pages, size_t size)
{
    if (size <= pages->capacity)
        return;
    pages->capacity = size < 2 * pages->capacity ? 2 * pages->capacity : size;
    pages->bytes = xreallocarray(pages->bytes, pages->capacity, 1);
}

/* Forgets late ranges, and plans anew when something is wanted or may have become useless. */
static void plan(struct pages *pages)
{
    bool has_late = pages->length > pages->copy_size * pages->copies;

    pages->reading++;
    if (pages->wanted.length || has_late || pages->reading % KEPT == 0) {
        join_wanted(pages);
        make_ranges(pages);
    }
}

static void forget_range(struct pages *pages, size_t index)
{
    const struct page_range *range = &pages->ranges.items[index];
    size_t end = index + 1 < pages->ranges.length ? pages->ranges.items[index + 1].first_page
                                                  : pages->pages.length;

    for (size_t i = range->first_page; i < end; i++)
        pages->pages.items[i].used = pages->reading - KEPT - 1;
    join_wanted(pages);
    make_ranges(pages);
}

/* Copies the ranges to `at` in the buffer. The number of ranges that were copied whole. */
static size_t read_ranges(struct pages *pages, const struct target *target, size_t at)
{
    for (size_t done = 0; done < pages->ranges.length;) {
        const struct page_range *first = &pages->ranges.items[done];
        size_t count = pages->ranges.length - done, size, got;
        struct iovec local = {pages->bytes + at + first->at, 0};

        if (count > IOV_MAX)
            count = IOV_MAX;
        for (size_t i = 0; i < count; i++)
            local.iov_len += pages->ranges.items[done + i].size;
        size = local.iov_len;
        got = target_read_scattered(target, &local, 1, pages->remote.items + done, count);
        if (got < size) {
            while (got >= pages->ranges.items[done].size)
                got -= pages->ranges.items[done++].size;
            return done;
        }
        done += count;
    }
    return pages->ranges.length;
}

static size_t size_of(const struct iovec *places, size_t count)
{
    size_t size = 0;

    for (size_t i = 0; i < count; i++)
        size += places[i].iov_len;
    return size;
}

/* One system call. */
struct transfer {
    struct iovec local[IOV_MAX], remote[IOV_MAX];
    size_t count;
};

static bool follows(const struct iovec *place, const void *address)
{
    return (uintptr_t)place->iov_base + place->iov_len == (uintptr_t)address;
}

/* Each place costs the kernel a search of the mappings: one that goes on where the last ends is
 * made a part of it. */
static void add_place(struct transfer *transfer, unsigned char *local, uint64_t start, size_t size)
{
    struct iovec *next = transfer->local + transfer->count;
    struct iovec *next_remote = transfer->remote + transfer->count;
    void *remote = (void *)(uintptr_t)start;

    if (size == 0)
        return;
    if (transfer->count && follows(next - 1, local) && follows(next_remote - 1, remote)) {
        next[-1].iov_len += size;
        next_remote[-1].iov_len += size;
        return;
    }
    *next = (struct iovec){local, size};
    *next_remote = (struct iovec){remote, size};
    transfer->count++;
}

static void add_words(struct transfer *transfer, struct page_words words, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++)
        add_place(transfer, words.local[i].iov_base, (uintptr_t)words.remote[i].iov_base,
                  words.remote[i].iov_len);
}

/* The piece around pages->near. */
static struct page_range near_piece(const struct pages *pages)
{
    struct page_range piece = {.start = 0};

    for (size_t i = 0; i < pages->ranges.length; i++) {
        const struct page_range *range = &pages->ranges.items[i];
        uint64_t at = pages->near - range->start;

        if (pages->near < range->start || at >= range->size)
            continue;
        at = at > NEAR_BYTES ? at - NEAR_BYTES : 0;
        return (struct page_range){range->start + at, range->size - at, range->at + at, i};
    }
    return piece;
}

static void add_range(struct transfer *transfer, unsigned char *copy,
                      const struct page_range *range, size_t left_out)
{
    add_place(transfer, copy + range->at, range->start, range->size - left_out);
}

/* All ranges but the one with the near piece. */
static void add_others(struct transfer *transfer, const struct pages *pages, unsigned char *copy,
                       const struct page_range *near)
{
    for (size_t i = 0; i < pages->ranges.length; i++)
        if (!near->size || near->first_page != i)
            add_range(transfer, copy, &pages->ranges.items[i], 0);
}

/* Everything in one system call. The bytes read. */
static size_t read_at_once(struct pages *pages, const struct target *target,
                           struct page_words words)
{
    struct page_range near = near_piece(pages);
    struct transfer transfer;
    unsigned char *again = pages->bytes + pages->copy_size;

    transfer.count = 0;
    add_others(&transfer, pages, pages->bytes, &near);
    if (near.size)
        add_range(&transfer, pages->bytes, &pages->ranges.items[near.first_page], 0);
    add_words(&transfer, words, 0, words.between);
    if (pages->copies == 2) {
        add_place(&transfer, again + near.at, near.start, near.size);
        if (near.size)
            add_range(&transfer, again, &pages->ranges.items[near.first_page], near.size);
        add_others(&transfer, pages, again, &near);
    }
    add_words(&transfer, words, words.between, words.count);
    return target_read_scattered(target, transfer.local, transfer.count, transfer.remote,
                                 transfer.count);
}

/* Whether words [first, end) could all be read. */
static bool read_some_words(const struct target *target, struct page_words words, size_t first,
                            size_t end)
{
    const struct iovec *local = words.local + first, *remote = words.remote + first;
    size_t count = end - first;

    return count == 0 ||
           target_read_scattered(target, local, count, remote, count) == size_of(local, count);
}

/* More ranges than one call takes, or one of them is gone: in turn. The index of a range that
 * cannot be read in *ret_lost, or SIZE_MAX. */
static enum err read_in_turn(struct pages *pages, const struct target *target,
                             struct page_words words, size_t *ret_lost)
{
    size_t whole = read_ranges(pages, target, 0);

    *ret_lost = SIZE_MAX;
    if (whole == pages->ranges.length) {
        if (!read_some_words(target, words, 0, words.between))
            return ERR_UNREADABLE;
        if (pages->copies == 2)
            whole = read_ranges(pages, target, pages->copy_size);
    }
    if (whole == pages->ranges.length)
        return read_some_words(target, words, words.between, words.count) ? ERR_OK : ERR_UNREADABLE;
    *ret_lost = whole;
    return ERR_TORN;
}

static void list_places(struct pages *pages)
{
    vec_reset(&pages->remote);
    vec_each (range, &pages->ranges) {
        struct iovec place = {(void *)(uintptr_t)range->start, range->size};

        vec_push(&pages->remote, place);
    }
}

enum err pages_read(struct pages *pages, const struct target *target, unsigned copies,
                    struct page_words words)
{
    plan(pages);
    pages->copies = copies;
    for (unsigned lost = 0; lost <= LOST_RANGES; lost++) {
        size_t wanted = copies * pages->copy_size + size_of(words.local, words.count);
        size_t places = copies * (pages->ranges.length + 1) + words.count;
        size_t gone;

        list_places(pages);
        pages->length = copies * pages->copy_size;
        reserve(pages, pages->length);
        if (places <= IOV_MAX && read_at_once(pages, target, words) == wanted)
            return ERR_OK;
        switch (read_in_turn(pages, target, words, &gone)) {
        case ERR_OK:
            return ERR_OK;
        case ERR_TORN:
            forget_range(pages, gone);
            break;
        default:
            return ERR_UNREADABLE;
        }
    }
    return ERR_TORN;
}

static bool holds(const struct page_range *range, uint64_t address, size_t size)
{
    uint64_t at = address - range->start;

    return address >= range->start && at < range->size && size <= range->size - at;
}

/* The number of ranges that start at or below the address. */
static size_t ranges_below(const struct pages *pages, uint64_t address)
{
    size_t low = 0, high = pages->ranges.length;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (pages->ranges.items[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const unsigned char *pages_find(struct pages *pages, uint64_t address, size_t size)
{
    const struct page_range *range;

    if (pages->hint >= pages->ranges.length ||
        !holds(&pages->ranges.items[pages->hint], address, size)) {
        size_t below = ranges_below(pages, address);

        if (below == 0 || !holds(&pages->ranges.items[below - 1], address, size))
            return NULL;
        pages->hint = below - 1;
    }
    range = &pages->ranges.items[pages->hint];
    if (range->first_page != PAGE_NONE) {
        size_t first = range->first_page - (range->start >> PAGE_BITS);

        pages->pages.items[first + (address >> PAGE_BITS)].used = pages->reading;
        pages->pages.items[first + ((address + size - 1) >> PAGE_BITS)].used = pages->reading;
    } else {
        pages_want(pages, address, size);
    }
    return pages->bytes + range->at + (address - range->start);
}

const unsigned char *pages_read_late(struct pages *pages, const struct target *target,
                                     uint64_t address, size_t size)
{
    uint64_t start = address & ~(uint64_t)(LATE_BYTES - 1);
    struct page_range range = {.at = pages->length, .first_page = PAGE_NONE};
    size_t below;

    pages_want(pages, address, size);
    if (size > LATE_BYTES / 2)
        return NULL;
    reserve(pages, pages->length + 2 * LATE_BYTES);
    for (unsigned try = 0; try < 2; try++) {
        range.start = try ? address : start;
        range.size = target_read_some(target, range.start, pages->bytes + range.at,
                                      try                                   ? size
                                      : address + size > start + LATE_BYTES ? 2 * LATE_BYTES
                                                                            : LATE_BYTES);
        if (holds(&range, address, size))
            break;
    }
    if (!holds(&range, address, size))
        return NULL;
    below = ranges_below(pages, range.start);
    vec_push(&pages->ranges, range);
    for (size_t i = pages->ranges.length - 1; i > below; i--)
        pages->ranges.items[i] = pages->ranges.items[i - 1];
    pages->ranges.items[below] = range;
    pages->length += range.size;
    pages->hint = below;
    return pages->bytes + range.at + (address - range.start);
}
