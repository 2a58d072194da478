/* SPDX-License-Identifier: MIT */
/* pages.h on a child that counts up: in which order its places are read. */
#include "unit/pages_child.h"
#include "unit/tap.h"

#define STAMPS 16

static uint64_t stamp_of(const unsigned char *bytes)
{
    uint64_t stamp;

    memcpy(&stamp, bytes, sizeof(stamp));
    return stamp;
}

static uint64_t alias(size_t index)
{
    return (uintptr_t)aliases + 2 * PAGE * index;
}

/* When what was read, as the child counted, in the order that is promised. */
static size_t read_stamps(struct pages *pages, const struct target *counter, unsigned copies,
                          const size_t *places, size_t count, uint64_t *ret)
{
    uint64_t words[4];
    struct iovec local[4], remote[4];
    struct page_words all = {local, remote, 4, 2};
    size_t stamps = 0;

    for (size_t i = 0; i < 4; i++) {
        local[i] = (struct iovec){&words[i], 8};
        remote[i] = (struct iovec){(void *)(uintptr_t)alias(i), 8};
    }
    if (pages_read(pages, counter, copies, all) != ERR_OK)
        return 0;
    for (size_t i = 0; i < count; i++)
        ret[stamps++] = stamp_of(pages_find(pages, alias(places[i]), 8));
    ret[stamps++] = words[0];
    ret[stamps++] = words[1];
    for (size_t i = 0; copies == 2 && i < count; i++) {
        size_t place = places[i == 0 ? count - 1 : i - 1]; /* the near piece comes first here */

        if (!pages->near)
            place = places[i];
        ret[stamps++] = stamp_of(pages_again(pages, pages_find(pages, alias(place), 8)));
    }
    ret[stamps++] = words[2];
    ret[stamps++] = words[3];
    return stamps;
}

/* No stamp is before the one before; and of each two one was later at least once. */
static void check_order(unsigned copies, size_t ranges, const size_t *places, size_t count,
                        uint64_t near, const char *what)
{
    struct pages pages = {.near = near};
    struct target counter;
    pid_t pid = start_counting();
    bool apart[STAMPS] = {false};
    size_t wrong = 0, stamps = 0, left = 1;

    if (target_open(pid, &counter, NULL) != ERR_OK)
        return;
    for (size_t i = 0; i < ranges; i++)
        pages_want(&pages, alias(i), 8);
    for (unsigned tries = 0; tries < 500000 && left && !wrong; tries++) {
        uint64_t found[STAMPS];

        stamps = read_stamps(&pages, &counter, copies, places, count, found);
        left = stamps == 0;
        for (size_t i = 1; i < stamps; i++) {
            wrong += found[i] < found[i - 1];
            apart[i] |= found[i] > found[i - 1];
            left += !apart[i];
        }
    }
    tap_is_num((long long)stamps, (long long)(count * copies + 4), what);
    tap_is_num((long long)wrong, 0, "none is read before the one before");
    tap_is_num((long long)left, 0, "each later than the one before");
    stop_child(pid);
    target_close(&counter);
    pages_deinit(&pages);
}

static void test_order(void)
{
    const size_t few[] = {0, 1, 3, 4}, near[] = {0, 1, 3, 2}, many[] = {0, 300, ALIASES - 1};

    check_order(1, 5, few, 4, 0, "one copy, then the words");
    check_order(2, 5, few, 4, 0, "a copy, words, a copy, words");
    check_order(2, 5, near, 4, alias(2), "what is near stands next to the words");
    check_order(2, ALIASES, many, 3, 0, "more than one call");
}

/* Only what lies near is moved next to the words: the other bytes of its range stay right. */
int main(void)
{
    if (!make_memory())
        return 1;
    test_order();
    return tap_done();
}
