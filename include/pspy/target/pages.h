/* SPDX-License-Identifier: MIT */
/*
 * Places of a target's memory that are read again and again, as pages that one system call copies.
 * With two copies, what both agree on stood so from the first to the second: the target need not be
 * stopped. Which places are wanted is learnt: what a reader misses, the next reading copies.
 */
#ifndef PSPY_TARGET_PAGES_H
#define PSPY_TARGET_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pspy/base/error.h"
#include "pspy/base/vec.h"
#include "pspy/target/target.h"

struct page {
    uint64_t number;    /* address >> 12 */
    uint32_t low, high; /* the bytes wanted of it: [low, high) */
    uint32_t used;      /* the reading in which it was last looked at */
};

/* Consecutive bytes in a copy. */
struct page_range {
    uint64_t start;
    size_t size;
    size_t at;         /* in the buffer */
    size_t first_page; /* index in pages.pages; PAGE_NONE for what was read late, once only */
};

struct pages {
    VEC(struct page) pages;        /* by number */
    VEC(struct page) wanted;       /* to join them */
    VEC(struct page_range) ranges; /* by start */
    VEC(struct iovec) remote;
    unsigned char *bytes;
    size_t capacity;
    size_t copy_size; /* of one copy: the second begins there */
    size_t length;    /* bytes in use, late ones included */
    size_t hint;      /* the range of the last look */
    uint64_t near;    /* what lies before and at this address is copied next to the words */
    uint64_t
        fastest; /* ns that a reading of these ranges took at best, by the caller; 0: unknown */
    uint32_t reading;
    unsigned copies;
};

void pages_deinit(struct pages *pages);

/* A place for the next reading to copy. */
void pages_want(struct pages *pages, uint64_t address, size_t size);

/* Words that are read with the copies; `local` is the caller's. */
struct page_words {
    const struct iovec *local, *remote;
    size_t count;
    size_t between; /* the first of them, which are read between the two copies; the rest behind */
};

/*
 * Copies all wanted places: twice, with the words between, if `copies` is 2. Places that are not
 * mapped any more are given up. ERR_UNREADABLE: the words cannot be read; ERR_TORN: a place
 * vanished again and again.
 */
enum err pages_read(struct pages *pages, const struct target *target, unsigned copies,
                    struct page_words words);

/* The bytes in the first copy, or NULL. Valid until the next call. */
const unsigned char *pages_find(struct pages *pages, uint64_t address, size_t size);
/* The same bytes in the second copy, given what pages_find returned. */
static inline const unsigned char *pages_again(const struct pages *pages,
                                               const unsigned char *found)
{
    return found + pages->copy_size;
}

/* For what pages_find does not have: reads it now, with what lies around it, and wants it. NULL if
 * it cannot be read. There is no second copy of it. */
const unsigned char *pages_read_late(struct pages *pages, const struct target *target,
                                     uint64_t address, size_t size);

#endif
