/* SPDX-License-Identifier: MIT */
/* view.h on a child whose memory is known: each byte of `area` follows from its place, `aliases`
 * are all the same page, where the child counts up, and the child unmaps what it is told to. */
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pspy/target/live.h"
#include "pspy/target/view.h"
#include "unit/tap.h"

#define PAGE         4096
#define PATTERNED    6000  /* pages of the area that are filled; the others are zero */
#define AREA_PAGES   80000 /* of address space */
#define ALIASES      700   /* on every second page */
#define KEPT         64    /* readings that a page stays wanted */
#define PAGES_LIMIT  32768
#define LOST_AT_ONCE 9 /* ranges that one reading gives up */

static unsigned char *area, *aliases;
static struct target target;
static pid_t child;
static int orders[2], answers[2];
static const struct view_words no_words;

struct order {
    unsigned char *start; /* NULL: end */
    size_t size;
};

static unsigned char byte_at(size_t at)
{
    return (unsigned char)((at * 2654435761u) >> 11);
}

static uint64_t address_of(size_t at)
{
    return (uintptr_t)area + at;
}

static uint64_t page_at(size_t page)
{
    return address_of(page * PAGE);
}

/* ---- The child ---- */

static void obey(void)
{
    struct order order;

    while (read(orders[0], &order, sizeof(order)) == sizeof(order)) {
        char done = 1;

        munmap(order.start, order.size);
        if (write(answers[1], &done, 1) != 1)
            break;
    }
    _exit(0);
}

/* A descendant that shares the page of the aliases. */
static pid_t start_counting(void)
{
    pid_t pid = fork();
    _Atomic uint64_t *counter = (_Atomic uint64_t *)(void *)aliases;

    while (pid == 0)
        atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
    return pid;
}

static void stop_child(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void unmap(size_t page, size_t count)
{
    struct order order = {area + page * PAGE, count * PAGE};
    char done = 0;

    if (write(orders[1], &order, sizeof(order)) != sizeof(order) || read(answers[0], &done, 1) != 1)
        tap_ok(false, "the child unmaps");
}

static bool start_child(void)
{
    if (pipe(orders) != 0 || pipe(answers) != 0)
        return false;
    child = fork();
    if (child == 0) {
        close(orders[1]);
        obey();
    }
    return target_open(child, &target, NULL) == ERR_OK;
}

static void end_child(void)
{
    stop_child(child);
    target_close(&target);
    for (int i = 0; i < 2; i++) {
        close(orders[i]);
        close(answers[i]);
    }
}

/* ---- What a view holds ---- */

static bool is_right(const unsigned char *bytes, uint64_t address, size_t size)
{
    size_t at = address - address_of(0);

    for (size_t i = 0; i < size; i++)
        if (bytes[i] != (at + i < (size_t)PATTERNED * PAGE ? byte_at(at + i) : 0))
            return false;
    return true;
}

/* Both copies, if there are two. */
static bool holds(struct view *view, uint64_t address, size_t size)
{
    const unsigned char *found = view_find(view, address, size);

    return found && is_right(found, address, size) &&
           (view->copies < 2 || is_right(view_again(view, found), address, size));
}

static bool lacks(struct view *view, uint64_t address, size_t size)
{
    return view_find(view, address, size) == NULL;
}

static enum err read_twice(struct view *view)
{
    return view_read(view, &target, 2, no_words);
}

/* ---- Ranges ---- */

static void test_empty(void)
{
    struct view view = {0};
    unsigned char bytes[8] = {0};
    struct iovec local = {bytes, 8}, remote = {area + 100, 8};
    struct view_words words = {&local, &remote, 1, 1};

    tap_ok(lacks(&view, page_at(0), 8), "a new view holds nothing");
    tap_is_num(read_twice(&view), ERR_OK, "nothing is wanted");
    tap_ok(lacks(&view, page_at(0), 8), "and nothing found");
    tap_is_num(view_read(&view, &target, 2, words), ERR_OK, "only words are wanted");
    tap_ok(is_right(bytes, address_of(100), 8), "and read");
    view_want(&view, page_at(0), 0);
    tap_is_num(read_twice(&view), ERR_OK, "no bytes are wanted");
    tap_is_num((long long)view.pages.length, 0, "of no page");
    for (int i = 0; i < 200; i++)
        view_read(&view, &target, 2, (struct view_words){0});
    tap_is_num((long long)view.pages.length, 0, "nor when it looks for what has become useless");
    view_deinit(&view);
}

static void test_places(unsigned copies)
{
    struct view view = {0};
    uint64_t place = page_at(10) + 1000;

    view_want(&view, place, 50);
    view_want(&view, page_at(20), 16);
    tap_ok(lacks(&view, place, 1), "copies %u: nothing is there before it is read", copies);
    tap_is_num(view_read(&view, &target, copies, no_words), ERR_OK, "two places");
    tap_ok(holds(&view, place, 50) && holds(&view, place + 49, 1), "the first");
    tap_ok(holds(&view, page_at(20), 16), "the second");
    tap_ok(lacks(&view, place - 1, 1) && lacks(&view, place - 1, 10), "nothing before it");
    tap_ok(lacks(&view, page_at(20) - 1, 2) && lacks(&view, page_at(11), 1) &&
               lacks(&view, place, PAGE) && lacks(&view, place, SIZE_MAX),
           "nothing on other pages");
    tap_ok(lacks(&view, 0, 8) && lacks(&view, UINT64_MAX, 1) && lacks(&view, UINT64_MAX - 7, 16),
           "nothing at the ends of all addresses");
    tap_ok(holds(&view, place + 50, 700), "the next frame's place behind it");
    tap_is_num(view_read(&view, &target, copies, no_words), ERR_OK, "once more");
    tap_ok(holds(&view, place, 50) && holds(&view, page_at(20), 16), "the same");
    view_want(&view, page_at(10) + 8, 8);
    tap_is_num(view_read(&view, &target, copies, no_words), ERR_OK, "more of a page");
    tap_ok(holds(&view, page_at(10) + 8, 1042) && holds(&view, page_at(20), 16),
           "one stretch with what was wanted before");
    tap_is_num((long long)view.pages.length, 2, "on two pages");
    view_deinit(&view);
}

static void test_borders(void)
{
    struct view view = {0};

    view_want(&view, page_at(31) - 8, 16);
    view_want(&view, page_at(41) + 2000, 8);
    view_want(&view, page_at(40) + 4000, 8);
    view_want(&view, page_at(50), 3 * PAGE);
    view_want(&view, page_at(54) + 8, 8);
    read_twice(&view);
    tap_ok(holds(&view, page_at(31) - 8, 16), "a place on two pages");
    tap_ok(holds(&view, page_at(40) + 4000, 96 + 2008), "two places on neighbouring pages");
    tap_ok(holds(&view, page_at(50), 3 * PAGE), "three whole pages");
    tap_ok(lacks(&view, page_at(53) - 1, 2) && lacks(&view, page_at(54), 8) &&
               holds(&view, page_at(54) + 8, 8),
           "a page between is not bridged");
    tap_is_num((long long)view.ranges.length, 4, "four ranges");
    view_want(&view, page_at(53) + 100, 8);
    read_twice(&view);
    tap_ok(holds(&view, page_at(50), 4 * PAGE + 16), "until it is wanted too");
    tap_is_num((long long)view.ranges.length, 3, "then it joins two ranges");
    view_deinit(&view);
}

static void test_many_ranges(void)
{
    struct view view = {0};
    size_t wrong = 0, count = 0;
    unsigned char bytes[2][8];
    struct iovec local[] = {{bytes[0], 8}, {bytes[1], 8}};
    struct iovec remote[] = {{area + 8, 8}, {area + 16, 8}};
    struct view_words words = {local, remote, 2, 1};

    for (size_t page = 2000; page > 1000; page /= 2, count++)
        view_want(&view, page_at(page), 8);
    for (size_t page = 0; page < PATTERNED; page += 2, count++)
        view_want(&view, page_at(page) + page % 3000, 24);
    tap_is_num(view_read(&view, &target, 2, words), ERR_OK, "more ranges than a call takes");
    for (size_t page = 0; page < PATTERNED; page += 2)
        wrong += !holds(&view, page_at(page) + page % 3000, 24);
    tap_is_num((long long)wrong, 0, "both copies of all");
    tap_is_num((long long)view.ranges.length, PATTERNED / 2, "one range a page");
    tap_ok(is_right(bytes[0], address_of(8), 8) && is_right(bytes[1], address_of(16), 8),
           "and the words");
    for (size_t page = 1; page < PATTERNED; page += 2)
        view_want(&view, page_at(page), PAGE);
    tap_is_num(read_twice(&view), ERR_OK, "all pages");
    tap_is_num((long long)view.ranges.length, 1, "are one range");
    tap_ok(holds(&view, page_at(0), (size_t)PATTERNED * PAGE), "of thousands of pages");
    view_deinit(&view);
}

static void test_limit(void)
{
    struct view view = {0};
    size_t found = 0, wrong = 0;

    for (size_t i = 0; i < AREA_PAGES / 2; i++)
        view_want(&view, page_at(2 * i), 8);
    tap_is_num(read_twice(&view), ERR_OK, "more pages than a view takes");
    for (size_t i = 0; i < AREA_PAGES / 2; i++) {
        const unsigned char *bytes = view_find(&view, page_at(2 * i), 8);

        found += bytes != NULL;
        wrong += bytes && !is_right(view_again(&view, bytes), page_at(2 * i), 8);
    }
    tap_is_num((long long)found, PAGES_LIMIT, "the first are found");
    tap_is_num((long long)wrong, 0, "and right");
    view_want(&view, page_at(1), SIZE_MAX);
    tap_is_num(read_twice(&view), ERR_OK, "a size that cannot be ends there");
    view_deinit(&view);
}

/* ---- What is not mapped ---- */

static void test_unmapped(void)
{
    struct view view = {0};
    unsigned readings = 0;

    for (size_t page = 100; page < 200; page += 2)
        view_want(&view, page_at(page), 8);
    view_want(&view, page_at(300) - 8, 16);
    read_twice(&view);
    tap_ok(holds(&view, page_at(150), 8), "mapped");
    unmap(150, 1);
    tap_is_num(read_twice(&view), ERR_OK, "a page is unmapped");
    tap_ok(lacks(&view, page_at(150), 8), "it is not found");
    tap_ok(holds(&view, page_at(148), 8) && holds(&view, page_at(152), 8), "its neighbours are");
    unmap(300, 1);
    tap_is_num(read_twice(&view), ERR_OK, "the second page of a range");
    tap_ok(lacks(&view, page_at(300) - 8, 16), "the range is given up");
    view_want(&view, page_at(300) - 8, 8);
    view_want(&view, page_at(150), 8);
    tap_is_num(read_twice(&view), ERR_OK, "both are wanted again");
    tap_ok(holds(&view, page_at(300) - 8, 8) && lacks(&view, page_at(150), 8),
           "what is mapped is there");
    unmap(110, 80);
    while (readings++ < 10 && read_twice(&view) == ERR_TORN)
        continue;
    tap_is_num(readings, 39 / LOST_AT_ONCE + 1, "many are given up in turn");
    tap_ok(holds(&view, page_at(108), 8) && lacks(&view, page_at(110), 8) &&
               lacks(&view, page_at(188), 8) && holds(&view, page_at(190), 8),
           "exactly those");
    tap_is_num((long long)view.pages.length, 11, "no other");
    view_deinit(&view);
}

static void test_many_unmapped(void)
{
    struct view view = {0};
    size_t wrong = 0;

    for (size_t page = 2000; page < PATTERNED; page += 2)
        view_want(&view, page_at(page), 8);
    read_twice(&view);
    unmap(5000, 1);
    tap_is_num(read_twice(&view), ERR_OK, "one page of thousands is unmapped");
    for (size_t page = 2000; page < PATTERNED; page += 2)
        wrong += page == 5000 ? !lacks(&view, page_at(page), 8) : !holds(&view, page_at(page), 8);
    tap_is_num((long long)wrong, 0, "all others are found");
    view_deinit(&view);
}

static void test_unmapped_words(size_t ranges)
{
    struct view view = {0};
    unsigned char bytes[2][8];
    struct iovec local[] = {{bytes[0], 8}, {bytes[1], 8}};

    for (size_t i = 0; i < ranges; i++)
        view_want(&view, page_at(2 * i), 8);
    for (size_t between = 0; between <= 2; between++)
        for (int gone = 0; gone < 2; gone++) {
            struct iovec remote[] = {{area + 8, 8}, {area + 16, 8}};
            struct view_words words = {local, remote, 2, between};

            remote[gone].iov_base = area + (size_t)150 * PAGE;
            tap_is_num(view_read(&view, &target, 2, words), ERR_UNREADABLE, "unmapped word");
        }
    tap_is_num((long long)view.ranges.length, (long long)ranges, "no range is given up for it");
    tap_is_num(read_twice(&view), ERR_OK, "without it");
    tap_ok(holds(&view, page_at(2 * ranges - 2), 8), "all is well");
    view_deinit(&view);
}

/* ---- Late readings ---- */

static bool reads_late(struct view *view, uint64_t address, size_t size)
{
    const unsigned char *bytes = view_read_late(view, &target, address, size);

    return bytes && is_right(bytes, address, size);
}

static bool finds_late(struct view *view, uint64_t address, size_t size)
{
    const unsigned char *bytes = view_find(view, address, size);

    return bytes && is_right(bytes, address, size);
}

static void test_late(void)
{
    struct view view = {0};
    uint64_t place = page_at(400) + 500, border = (page_at(420) & ~UINT64_C(0x3fff)) - 8;

    view_want(&view, page_at(402), 8);
    read_twice(&view);
    tap_ok(reads_late(&view, place, 100), "a late reading");
    tap_ok(finds_late(&view, place, 100) && finds_late(&view, place + 100, 100) &&
               finds_late(&view, place - 100, 50),
           "is found, with what lies around it");
    tap_ok(finds_late(&view, page_at(402), 8), "as is what was copied");
    tap_ok(reads_late(&view, page_at(390), 8) && reads_late(&view, border, 16), "two others");
    tap_ok(finds_late(&view, page_at(390), 8) && finds_late(&view, border, 16) &&
               finds_late(&view, place, 100) && finds_late(&view, page_at(402), 8),
           "all are found");
    tap_is_num(read_twice(&view), ERR_OK, "the next reading");
    tap_ok(holds(&view, place, 100) && holds(&view, page_at(390), 8) && holds(&view, border, 16) &&
               holds(&view, page_at(402), 8),
           "copies them twice");
    tap_ok(lacks(&view, page_at(405), 8), "but not what lay around");
    view_deinit(&view);
}

static void test_late_used(void)
{
    struct view view = {0};

    read_twice(&view);
    reads_late(&view, page_at(400), 8);
    tap_ok(finds_late(&view, page_at(400) + 2000, 8), "what lies around a late reading is found");
    read_twice(&view);
    tap_ok(holds(&view, page_at(400) + 2000, 8), "and wanted for it");
    view_deinit(&view);
}

static void test_late_unmapped(void)
{
    struct view view = {0};

    /* 150 and 110 ... 189 are unmapped, the areas around them not. */
    tap_ok(!view_read_late(&view, &target, page_at(150), 8), "late: an unmapped page");
    tap_ok(!view_read_late(&view, &target, page_at(110) - 4, 8), "late: half of it unmapped");
    tap_ok(reads_late(&view, page_at(110) - 8, 8), "late: up to the last mapped byte");
    tap_ok(reads_late(&view, page_at(190), 8), "late: from the first mapped byte on");
    tap_ok(!view_read_late(&view, &target, UINT64_MAX - 3, 4) &&
               !view_read_late(&view, &target, UINT64_MAX - 3, 8) &&
               !view_read_late(&view, &target, 0, 8),
           "late: no addresses");
    tap_ok(!view_read_late(&view, &target, page_at(500), 3 * PAGE), "late: too much");
    while (read_twice(&view) == ERR_TORN)
        continue;
    tap_ok(holds(&view, page_at(500), 3 * PAGE), "the next reading has it");
    tap_ok(lacks(&view, page_at(150), 8) && lacks(&view, page_at(110) - 4, 8), "but not the rest");
    view_deinit(&view);
}

/* ---- Aging ---- */

static void test_aging(void)
{
    struct view view = {0};

    view_want(&view, page_at(600), 8);
    view_want(&view, page_at(700), 8);
    view_want(&view, page_at(800) - 8, 16);
    read_twice(&view);
    for (int i = 0; i < 5; i++) {
        for (int j = 0; j < KEPT; j++) {
            read_twice(&view);
            if (!holds(&view, page_at(600), 8))
                tap_ok(false, "lost in reading %d", i * KEPT + j);
        }
        if (!i)
            tap_ok(holds(&view, page_at(700), 8), "after so many readings it is still there");
        if (i < 3 && !holds(&view, page_at(800) - 8, 16))
            tap_ok(false, "the place on two pages is lost");
    }
    tap_ok(holds(&view, page_at(600), 8), "what is looked at stays");
    tap_ok(lacks(&view, page_at(700), 8), "what nobody looks at is forgotten");
    tap_is_num((long long)view.pages.length, 1 + 2 * !lacks(&view, page_at(800) - 8, 16), "pages");
    view_want(&view, page_at(700), 8);
    read_twice(&view);
    tap_ok(holds(&view, page_at(700), 8), "until it is wanted again");
    view.reading = UINT32_MAX - 10;
    for (int i = 0; i < 4 * KEPT; i++) {
        view_want(&view, page_at(600), 8);
        read_twice(&view);
    }
    tap_ok(holds(&view, page_at(600), 8), "the count of readings may start again");
    view_deinit(&view);
}

/* ---- Order ---- */

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
static size_t read_stamps(struct view *view, const struct target *counter, unsigned copies,
                          const size_t *places, size_t count, uint64_t *ret)
{
    uint64_t words[4];
    struct iovec local[4], remote[4];
    struct view_words all = {local, remote, 4, 2};
    size_t stamps = 0;

    for (size_t i = 0; i < 4; i++) {
        local[i] = (struct iovec){&words[i], 8};
        remote[i] = (struct iovec){(void *)(uintptr_t)alias(i), 8};
    }
    if (view_read(view, counter, copies, all) != ERR_OK)
        return 0;
    for (size_t i = 0; i < count; i++)
        ret[stamps++] = stamp_of(view_find(view, alias(places[i]), 8));
    ret[stamps++] = words[0];
    ret[stamps++] = words[1];
    for (size_t i = 0; copies == 2 && i < count; i++) {
        size_t place = places[i == 0 ? count - 1 : i - 1]; /* the near piece comes first here */

        if (!view->near)
            place = places[i];
        ret[stamps++] = stamp_of(view_again(view, view_find(view, alias(place), 8)));
    }
    ret[stamps++] = words[2];
    ret[stamps++] = words[3];
    return stamps;
}

/* No stamp is before the one before; and of each two one was later at least once. */
static void check_order(unsigned copies, size_t ranges, const size_t *places, size_t count,
                        uint64_t near, const char *what)
{
    struct view view = {.near = near};
    struct target counter;
    pid_t pid = start_counting();
    bool apart[STAMPS] = {false};
    size_t wrong = 0, stamps = 0, left = 1;

    if (target_open(pid, &counter, NULL) != ERR_OK)
        return;
    for (size_t i = 0; i < ranges; i++)
        view_want(&view, alias(i), 8);
    for (unsigned tries = 0; tries < 500000 && left && !wrong; tries++) {
        uint64_t found[STAMPS];

        stamps = read_stamps(&view, &counter, copies, places, count, found);
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
    view_deinit(&view);
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
static void test_near(void)
{
    struct view view = {0};

    view_want(&view, page_at(900), 3 * PAGE);
    view_want(&view, page_at(910), 8);
    view.near = page_at(901) + 100;
    read_twice(&view);
    tap_ok(holds(&view, page_at(900), 3 * PAGE) && holds(&view, page_at(910), 8),
           "near: in the middle of a range");
    view.near = page_at(900);
    tap_is_num(read_twice(&view), ERR_OK, "near: its start");
    tap_ok(holds(&view, page_at(900), 3 * PAGE) && holds(&view, page_at(910), 8), "all is right");
    view.near = page_at(903) - 1;
    tap_is_num(read_twice(&view), ERR_OK, "near: its last byte");
    tap_ok(holds(&view, page_at(900), 3 * PAGE) && holds(&view, page_at(910), 8), "all is right");
    view.near = page_at(903);
    tap_is_num(read_twice(&view), ERR_OK, "near: no range");
    tap_ok(holds(&view, page_at(900), 3 * PAGE) && holds(&view, page_at(910), 8), "all is right");
    view_deinit(&view);
}

/* ---- All of it ---- */

static uint64_t next_random(void)
{
    static uint64_t state = 88172645463325252u;

    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

/* Random places, wanted, looked at and read late: whatever is found is right, and what was wanted
 * is found. */
static void test_random(void)
{
    struct view view = {0};
    size_t wrong = 0, lost = 0, found = 0;

    for (int i = 0; i < 600; i++) {
        uint64_t wanted[20];

        for (int j = 0; j < 20; j++) {
            wanted[j] = page_at(1000 + next_random() % 100) + next_random() % 6000;
            view_want(&view, wanted[j], 200);
        }
        view.near = next_random() % 2 ? wanted[0] : 0;
        lost += view_read(&view, &target, 1 + next_random() % 2, no_words) != ERR_OK;
        for (int j = 0; j < 20; j++)
            lost += !holds(&view, wanted[j], 200);
        for (int j = 0; j < 40; j++) {
            size_t size = 1 + next_random() % 4000;
            uint64_t place = page_at(1000 + next_random() % 120) + next_random() % 6000;

            if (view_find(&view, place, size)) {
                found++;
                wrong += !finds_late(&view, place, size);
            } else if (next_random() % 16 == 0) {
                lost += !reads_late(&view, place, size) || !finds_late(&view, place, size);
            }
        }
    }
    tap_is_num((long long)lost, 0, "random places: what is wanted is found");
    tap_is_num((long long)wrong, 0, "what is found is right");
    tap_ok(found > 1000, "much is found");
    view_deinit(&view);
}

static void test_gone(void)
{
    struct view view = {0};
    unsigned char bytes[8];
    struct iovec local = {bytes, 8}, remote = {area, 8};
    struct view_words words = {&local, &remote, 1, 1};

    for (size_t page = 0; page < 100; page += 2)
        view_want(&view, page_at(page), 8);
    read_twice(&view);
    stop_child(child);
    tap_ok(view_read(&view, &target, 2, words) != ERR_OK, "the child is gone");
    tap_ok(!view_read_late(&view, &target, page_at(0), 8), "nothing can be read late");
    for (int i = 0; i < 50; i++)
        view_read(&view, &target, 2, words);
    tap_is_num(view_read(&view, &target, 2, words), ERR_UNREADABLE,
               "in the end only words are left");
    tap_ok(lacks(&view, page_at(0), 8), "nothing is found");
    view_deinit(&view);
}

static bool make_memory(void)
{
    int page = memfd_create("test_view", MFD_CLOEXEC);

    area = mmap(NULL, (size_t)AREA_PAGES * PAGE, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    aliases = mmap(NULL, (size_t)ALIASES * 2 * PAGE, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (page < 0 || area == MAP_FAILED || aliases == MAP_FAILED || ftruncate(page, PAGE) != 0)
        return false;
    for (size_t at = 0; at < (size_t)PATTERNED * PAGE; at++)
        area[at] = byte_at(at);
    for (size_t i = 0; i < ALIASES; i++)
        if (mmap(aliases + 2 * PAGE * i, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, page,
                 0) == MAP_FAILED)
            return false;
    close(page);
    return true;
}

int main(void)
{
    if (!make_memory() || !start_child())
        return 1;
    test_empty();
    test_places(1);
    test_places(2);
    test_borders();
    test_many_ranges();
    test_limit();
    test_late();
    test_late_used();
    test_near();
    test_aging();
    test_random();
    test_unmapped();
    test_late_unmapped();
    test_many_unmapped();
    test_unmapped_words(3);
    test_gone();
    end_child();
    test_order();
    return tap_done();
}
