/* SPDX-License-Identifier: MIT */
#include "pspy/target/view.h"

#include <limits.h>
#include <stdlib.h>

#define PAGE_BITS  12
#define PAGE_BYTES (1u << PAGE_BITS)
#define PAGE_NONE  SIZE_MAX

#define MARGIN      768 /* bytes behind a wanted place that are copied with it: the next frame */
#define KEPT        64  /* readings that a page stays wanted without being looked at */
#define LATE_BYTES  (16u * 1024)
#define PAGES_LIMIT 32768 /* damaged links may lead everywhere */
#define NEAR_BYTES  1024  /* before view->near */
#define LOST_RANGES 8     /* ranges that may vanish during one view_read */

void view_deinit(struct view *view)
{
    vec_deinit(&view->pages);
    vec_deinit(&view->wanted);
    vec_deinit(&view->ranges);
    vec_deinit(&view->remote);
    free(view->bytes);
    *view = (struct view){0};
}

static void widen(struct view_page *page, const struct view_page *other)
{
    if (other->low < page->low)
        page->low = other->low;
    if (other->high > page->high)
        page->high = other->high;
    if (page->used < other->used)
        page->used = other->used;
}

void view_want(struct view *view, uint64_t address, size_t size)
{
    while (size > 0) {
        uint32_t low = (uint32_t)(address & (PAGE_BYTES - 1));
        size_t here = PAGE_BYTES - low < size ? PAGE_BYTES - low : size;
        uint32_t high = low + (uint32_t)here;
        struct view_page page = {.number = address >> PAGE_BITS,
                                 .low = low,
                                 .high = high + MARGIN < PAGE_BYTES ? high + MARGIN : PAGE_BYTES,
                                 .used = view->reading};

        if (view->wanted.length &&
            view->wanted.items[view->wanted.length - 1].number == page.number)
            widen(&view->wanted.items[view->wanted.length - 1], &page);
        else if (view->pages.length + view->wanted.length < PAGES_LIMIT)
            vec_push(&view->wanted, page);
        else
            return;
        address += here;
        size -= here;
    }
}

static int compare_pages(const void *a, const void *b)
{
    const struct view_page *first = a, *second = b;

    return first->number < second->number ? -1 : first->number > second->number;
}

/* Joins what is wanted with the pages; forgets those that nobody has looked at for long. */
static void join_wanted(struct view *view)
{
    size_t kept = 0;

    vec_each (page, &view->wanted)
        vec_push(&view->pages, *page);
    vec_reset(&view->wanted);
    vec_sort(&view->pages, compare_pages);
    for (size_t i = 0; i < view->pages.length; i++) {
        const struct view_page *page = &view->pages.items[i];

        if (view->reading - page->used > KEPT)
            continue;
        if (kept && view->pages.items[kept - 1].number == page->number)
            widen(&view->pages.items[kept - 1], page);
        else
            view->pages.items[kept++] = *page;
    }
    view->pages.length = kept;
}

/* Neighbouring pages are one range: whatever lies between is on pages that are wanted anyway. */
static void make_ranges(struct view *view)
{
    view->copy_size = 0;
    vec_reset(&view->ranges);
    for (size_t i = 0; i < view->pages.length; i++) {
        const struct view_page *page = &view->pages.items[i];
        struct view_range *last =
            view->ranges.length ? &view->ranges.items[view->ranges.length - 1] : NULL;
        uint64_t start = (page->number << PAGE_BITS) + page->low;
        uint64_t end = (page->number << PAGE_BITS) + page->high;

        if (last && view->pages.items[i - 1].number + 1 == page->number) {
            view->copy_size += end - (last->start + last->size);
            last->size = end - last->start;
        } else {
            struct view_range range = {start, end - start, view->copy_size, i};

            vec_push(&view->ranges, range);
            view->copy_size += range.size;
        }
    }
    view->hint = 0;
    view->fastest = 0;
}

static void reserve(struct view *view, size_t size)
{
    if (size <= view->capacity)
        return;
    view->capacity = size < 2 * view->capacity ? 2 * view->capacity : size;
    view->bytes = xreallocarray(view->bytes, view->capacity, 1);
}

/* Forgets late ranges, and plans anew when something is wanted or may have become useless. */
static void plan(struct view *view)
{
    bool has_late = view->length > view->copy_size * view->copies;

    view->reading++;
    if (view->wanted.length || has_late || view->reading % KEPT == 0) {
        join_wanted(view);
        make_ranges(view);
    }
}

static void forget_range(struct view *view, size_t index)
{
    const struct view_range *range = &view->ranges.items[index];
    size_t end = index + 1 < view->ranges.length ? view->ranges.items[index + 1].first_page
                                                 : view->pages.length;

    for (size_t i = range->first_page; i < end; i++)
        view->pages.items[i].used = view->reading - KEPT - 1;
    join_wanted(view);
    make_ranges(view);
}

/* Copies the ranges to `at` in the buffer. The number of ranges that were copied whole. */
static size_t read_ranges(struct view *view, const struct target *target, size_t at)
{
    for (size_t done = 0; done < view->ranges.length;) {
        const struct view_range *first = &view->ranges.items[done];
        size_t count = view->ranges.length - done, size, got;
        struct iovec local = {view->bytes + at + first->at, 0};

        if (count > IOV_MAX)
            count = IOV_MAX;
        for (size_t i = 0; i < count; i++)
            local.iov_len += view->ranges.items[done + i].size;
        size = local.iov_len;
        got = target_read_scattered(target, &local, 1, view->remote.items + done, count);
        if (got < size) {
            while (got >= view->ranges.items[done].size)
                got -= view->ranges.items[done++].size;
            return done;
        }
        done += count;
    }
    return view->ranges.length;
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

static void add_words(struct transfer *transfer, struct view_words words, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++)
        add_place(transfer, words.local[i].iov_base, (uintptr_t)words.remote[i].iov_base,
                  words.remote[i].iov_len);
}

/* The piece around view->near. */
static struct view_range near_piece(const struct view *view)
{
    struct view_range piece = {.start = 0};

    for (size_t i = 0; i < view->ranges.length; i++) {
        const struct view_range *range = &view->ranges.items[i];
        uint64_t at = view->near - range->start;

        if (view->near < range->start || at >= range->size)
            continue;
        at = at > NEAR_BYTES ? at - NEAR_BYTES : 0;
        return (struct view_range){range->start + at, range->size - at, range->at + at, i};
    }
    return piece;
}

static void add_range(struct transfer *transfer, unsigned char *copy,
                      const struct view_range *range, size_t left_out)
{
    add_place(transfer, copy + range->at, range->start, range->size - left_out);
}

/* All ranges but the one with the near piece. */
static void add_others(struct transfer *transfer, const struct view *view, unsigned char *copy,
                       const struct view_range *near)
{
    for (size_t i = 0; i < view->ranges.length; i++)
        if (!near->size || near->first_page != i)
            add_range(transfer, copy, &view->ranges.items[i], 0);
}

/* Everything in one system call. The bytes read. */
static size_t read_at_once(struct view *view, const struct target *target, struct view_words words)
{
    struct view_range near = near_piece(view);
    struct transfer transfer;
    unsigned char *again = view->bytes + view->copy_size;

    transfer.count = 0;
    add_others(&transfer, view, view->bytes, &near);
    if (near.size)
        add_range(&transfer, view->bytes, &view->ranges.items[near.first_page], 0);
    add_words(&transfer, words, 0, words.between);
    if (view->copies == 2) {
        add_place(&transfer, again + near.at, near.start, near.size);
        if (near.size)
            add_range(&transfer, again, &view->ranges.items[near.first_page], near.size);
        add_others(&transfer, view, again, &near);
    }
    add_words(&transfer, words, words.between, words.count);
    return target_read_scattered(target, transfer.local, transfer.count, transfer.remote,
                                 transfer.count);
}

/* Whether words [first, end) could all be read. */
static bool read_some_words(const struct target *target, struct view_words words, size_t first,
                            size_t end)
{
    const struct iovec *local = words.local + first, *remote = words.remote + first;
    size_t count = end - first;

    return count == 0 ||
           target_read_scattered(target, local, count, remote, count) == size_of(local, count);
}

/* More ranges than one call takes, or one of them is gone: in turn. The index of a range that
 * cannot be read in *ret_lost, or SIZE_MAX. */
static enum err read_in_turn(struct view *view, const struct target *target,
                             struct view_words words, size_t *ret_lost)
{
    size_t whole = read_ranges(view, target, 0);

    *ret_lost = SIZE_MAX;
    if (whole == view->ranges.length) {
        if (!read_some_words(target, words, 0, words.between))
            return ERR_UNREADABLE;
        if (view->copies == 2)
            whole = read_ranges(view, target, view->copy_size);
    }
    if (whole == view->ranges.length)
        return read_some_words(target, words, words.between, words.count) ? ERR_OK : ERR_UNREADABLE;
    *ret_lost = whole;
    return ERR_TORN;
}

static void list_places(struct view *view)
{
    vec_reset(&view->remote);
    vec_each (range, &view->ranges) {
        struct iovec place = {(void *)(uintptr_t)range->start, range->size};

        vec_push(&view->remote, place);
    }
}

enum err view_read(struct view *view, const struct target *target, unsigned copies,
                   struct view_words words)
{
    plan(view);
    view->copies = copies;
    for (unsigned lost = 0; lost <= LOST_RANGES; lost++) {
        size_t wanted = copies * view->copy_size + size_of(words.local, words.count);
        size_t places = copies * (view->ranges.length + 1) + words.count;
        size_t gone;

        list_places(view);
        view->length = copies * view->copy_size;
        reserve(view, view->length);
        if (places <= IOV_MAX && read_at_once(view, target, words) == wanted)
            return ERR_OK;
        switch (read_in_turn(view, target, words, &gone)) {
        case ERR_OK:
            return ERR_OK;
        case ERR_TORN:
            forget_range(view, gone);
            break;
        default:
            return ERR_UNREADABLE;
        }
    }
    return ERR_TORN;
}

static bool holds(const struct view_range *range, uint64_t address, size_t size)
{
    uint64_t at = address - range->start;

    return address >= range->start && at < range->size && size <= range->size - at;
}

/* The number of ranges that start at or below the address. */
static size_t ranges_below(const struct view *view, uint64_t address)
{
    size_t low = 0, high = view->ranges.length;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (view->ranges.items[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const unsigned char *view_find(struct view *view, uint64_t address, size_t size)
{
    const struct view_range *range;

    if (view->hint >= view->ranges.length ||
        !holds(&view->ranges.items[view->hint], address, size)) {
        size_t below = ranges_below(view, address);

        if (below == 0 || !holds(&view->ranges.items[below - 1], address, size))
            return NULL;
        view->hint = below - 1;
    }
    range = &view->ranges.items[view->hint];
    if (range->first_page != PAGE_NONE) {
        size_t first = range->first_page - (range->start >> PAGE_BITS);

        view->pages.items[first + (address >> PAGE_BITS)].used = view->reading;
        view->pages.items[first + ((address + size - 1) >> PAGE_BITS)].used = view->reading;
    } else {
        view_want(view, address, size);
    }
    return view->bytes + range->at + (address - range->start);
}

const unsigned char *view_read_late(struct view *view, const struct target *target,
                                    uint64_t address, size_t size)
{
    uint64_t start = address & ~(uint64_t)(LATE_BYTES - 1);
    struct view_range range = {.at = view->length, .first_page = PAGE_NONE};
    size_t below;

    view_want(view, address, size);
    if (size > LATE_BYTES / 2)
        return NULL;
    reserve(view, view->length + 2 * LATE_BYTES);
    for (unsigned try = 0; try < 2; try++) {
        range.start = try ? address : start;
        range.size = target_read_some(target, range.start, view->bytes + range.at,
                                      try                                   ? size
                                      : address + size > start + LATE_BYTES ? 2 * LATE_BYTES
                                                                            : LATE_BYTES);
        if (holds(&range, address, size))
            break;
    }
    if (!holds(&range, address, size))
        return NULL;
    below = ranges_below(view, range.start);
    vec_push(&view->ranges, range);
    for (size_t i = view->ranges.length - 1; i > below; i--)
        view->ranges.items[i] = view->ranges.items[i - 1];
    view->ranges.items[below] = range;
    view->length += range.size;
    view->hint = below;
    return view->bytes + range.at + (address - range.start);
}
