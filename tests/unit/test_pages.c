/* SPDX-License-Identifier: MIT */
/* pages.h on a child whose memory is known: what is read, of what is mapped and what is not. */
#include "unit/pages_child.h"
#include "unit/tap.h"

static const struct page_words no_words;

/* ---- What a pages holds ---- */

static bool is_right(const unsigned char *bytes, uint64_t address, size_t size)
{
    size_t at = address - address_of(0);

    for (size_t i = 0; i < size; i++)
        if (bytes[i] != (at + i < (size_t)PATTERNED * PAGE ? byte_at(at + i) : 0))
            return false;
    return true;
}

/* Both copies, if there are two. */
static bool holds(struct pages *pages, uint64_t address, size_t size)
{
    const unsigned char *found = pages_find(pages, address, size);

    return found && is_right(found, address, size) &&
           (pages->copies < 2 || is_right(pages_again(pages, found), address, size));
}

static bool lacks(struct pages *pages, uint64_t address, size_t size)
{
    return pages_find(pages, address, size) == NULL;
}

static enum err read_twice(struct pages *pages)
{
    return pages_read(pages, &target, 2, no_words);
}
/* ---- Ranges ---- */

static void test_empty(void)
{
    struct pages pages = {0};
    unsigned char bytes[8] = {0};
    struct iovec local = {bytes, 8}, remote = {area + 100, 8};
    struct page_words words = {&local, &remote, 1, 1};

    tap_ok(lacks(&pages, page_at(0), 8), "a new pages holds nothing");
    tap_is_num(read_twice(&pages), ERR_OK, "nothing is wanted");
    tap_ok(lacks(&pages, page_at(0), 8), "and nothing found");
    tap_is_num(pages_read(&pages, &target, 2, words), ERR_OK, "only words are wanted");
    tap_ok(is_right(bytes, address_of(100), 8), "and read");
    pages_want(&pages, page_at(0), 0);
    tap_is_num(read_twice(&pages), ERR_OK, "no bytes are wanted");
    tap_is_num((long long)pages.pages.length, 0, "of no page");
    for (int i = 0; i < 200; i++)
        pages_read(&pages, &target, 2, (struct page_words){0});
    tap_is_num((long long)pages.pages.length, 0, "nor when it looks for what has become useless");
    pages_deinit(&pages);
}

static void test_places(unsigned copies)
{
    struct pages pages = {0};
    uint64_t place = page_at(10) + 1000;

    pages_want(&pages, place, 50);
    pages_want(&pages, page_at(20), 16);
    tap_ok(lacks(&pages, place, 1), "copies %u: nothing is there before it is read", copies);
    tap_is_num(pages_read(&pages, &target, copies, no_words), ERR_OK, "two places");
    tap_ok(holds(&pages, place, 50) && holds(&pages, place + 49, 1), "the first");
    tap_ok(holds(&pages, page_at(20), 16), "the second");
    tap_ok(lacks(&pages, place - 1, 1) && lacks(&pages, place - 1, 10), "nothing before it");
    tap_ok(lacks(&pages, page_at(20) - 1, 2) && lacks(&pages, page_at(11), 1) &&
               lacks(&pages, place, PAGE) && lacks(&pages, place, SIZE_MAX),
           "nothing on other pages");
    tap_ok(lacks(&pages, 0, 8) && lacks(&pages, UINT64_MAX, 1) && lacks(&pages, UINT64_MAX - 7, 16),
           "nothing at the ends of all addresses");
    tap_ok(holds(&pages, place + 50, 700), "the next frame's place behind it");
    tap_is_num(pages_read(&pages, &target, copies, no_words), ERR_OK, "once more");
    tap_ok(holds(&pages, place, 50) && holds(&pages, page_at(20), 16), "the same");
    pages_want(&pages, page_at(10) + 8, 8);
    tap_is_num(pages_read(&pages, &target, copies, no_words), ERR_OK, "more of a page");
    tap_ok(holds(&pages, page_at(10) + 8, 1042) && holds(&pages, page_at(20), 16),
           "one stretch with what was wanted before");
    tap_is_num((long long)pages.pages.length, 2, "on two pages");
    pages_deinit(&pages);
}

static void test_borders(void)
{
    struct pages pages = {0};

    pages_want(&pages, page_at(31) - 8, 16);
    pages_want(&pages, page_at(41) + 2000, 8);
    pages_want(&pages, page_at(40) + 4000, 8);
    pages_want(&pages, page_at(50), 3 * PAGE);
    pages_want(&pages, page_at(54) + 8, 8);
    read_twice(&pages);
    tap_ok(holds(&pages, page_at(31) - 8, 16), "a place on two pages");
    tap_ok(holds(&pages, page_at(40) + 4000, 96 + 2008), "two places on neighbouring pages");
    tap_ok(holds(&pages, page_at(50), 3 * PAGE), "three whole pages");
    tap_ok(lacks(&pages, page_at(53) - 1, 2) && lacks(&pages, page_at(54), 8) &&
               holds(&pages, page_at(54) + 8, 8),
           "a page between is not bridged");
    tap_is_num((long long)pages.ranges.length, 4, "four ranges");
    pages_want(&pages, page_at(53) + 100, 8);
    read_twice(&pages);
    tap_ok(holds(&pages, page_at(50), 4 * PAGE + 16), "until it is wanted too");
    tap_is_num((long long)pages.ranges.length, 3, "then it joins two ranges");
    pages_deinit(&pages);
}

static void test_many_ranges(void)
{
    struct pages pages = {0};
    size_t wrong = 0, count = 0;
    unsigned char bytes[2][8];
    struct iovec local[] = {{bytes[0], 8}, {bytes[1], 8}};
    struct iovec remote[] = {{area + 8, 8}, {area + 16, 8}};
    struct page_words words = {local, remote, 2, 1};

    for (size_t page = 2000; page > 1000; page /= 2, count++)
        pages_want(&pages, page_at(page), 8);
    for (size_t page = 0; page < PATTERNED; page += 2, count++)
        pages_want(&pages, page_at(page) + page % 3000, 24);
    tap_is_num(pages_read(&pages, &target, 2, words), ERR_OK, "more ranges than a call takes");
    for (size_t page = 0; page < PATTERNED; page += 2)
        wrong += !holds(&pages, page_at(page) + page % 3000, 24);
    tap_is_num((long long)wrong, 0, "both copies of all");
    tap_is_num((long long)pages.ranges.length, PATTERNED / 2, "one range a page");
    tap_ok(is_right(bytes[0], address_of(8), 8) && is_right(bytes[1], address_of(16), 8),
           "and the words");
    for (size_t page = 1; page < PATTERNED; page += 2)
        pages_want(&pages, page_at(page), PAGE);
    tap_is_num(read_twice(&pages), ERR_OK, "all pages");
    tap_is_num((long long)pages.ranges.length, 1, "are one range");
    tap_ok(holds(&pages, page_at(0), (size_t)PATTERNED * PAGE), "of thousands of pages");
    pages_deinit(&pages);
}

static void test_limit(void)
{
    struct pages pages = {0};
    size_t found = 0, wrong = 0;

    for (size_t i = 0; i < AREA_PAGES / 2; i++)
        pages_want(&pages, page_at(2 * i), 8);
    tap_is_num(read_twice(&pages), ERR_OK, "more pages than a pages takes");
    for (size_t i = 0; i < AREA_PAGES / 2; i++) {
        const unsigned char *bytes = pages_find(&pages, page_at(2 * i), 8);

        found += bytes != NULL;
        wrong += bytes && !is_right(pages_again(&pages, bytes), page_at(2 * i), 8);
    }
    tap_is_num((long long)found, PAGES_LIMIT, "the first are found");
    tap_is_num((long long)wrong, 0, "and right");
    pages_want(&pages, page_at(1), SIZE_MAX);
    tap_is_num(read_twice(&pages), ERR_OK, "a size that cannot be ends there");
    pages_deinit(&pages);
}

/* ---- What is not mapped ---- */

static void test_unmapped(void)
{
    struct pages pages = {0};
    unsigned readings = 0;

    for (size_t page = 100; page < 200; page += 2)
        pages_want(&pages, page_at(page), 8);
    pages_want(&pages, page_at(300) - 8, 16);
    read_twice(&pages);
    tap_ok(holds(&pages, page_at(150), 8), "mapped");
    unmap(150, 1);
    tap_is_num(read_twice(&pages), ERR_OK, "a page is unmapped");
    tap_ok(lacks(&pages, page_at(150), 8), "it is not found");
    tap_ok(holds(&pages, page_at(148), 8) && holds(&pages, page_at(152), 8), "its neighbours are");
    unmap(300, 1);
    tap_is_num(read_twice(&pages), ERR_OK, "the second page of a range");
    tap_ok(lacks(&pages, page_at(300) - 8, 16), "the range is given up");
    pages_want(&pages, page_at(300) - 8, 8);
    pages_want(&pages, page_at(150), 8);
    tap_is_num(read_twice(&pages), ERR_OK, "both are wanted again");
    tap_ok(holds(&pages, page_at(300) - 8, 8) && lacks(&pages, page_at(150), 8),
           "what is mapped is there");
    unmap(110, 80);
    while (readings++ < 10 && read_twice(&pages) == ERR_TORN)
        continue;
    tap_is_num(readings, 39 / LOST_AT_ONCE + 1, "many are given up in turn");
    tap_ok(holds(&pages, page_at(108), 8) && lacks(&pages, page_at(110), 8) &&
               lacks(&pages, page_at(188), 8) && holds(&pages, page_at(190), 8),
           "exactly those");
    tap_is_num((long long)pages.pages.length, 11, "no other");
    pages_deinit(&pages);
}

static void test_many_unmapped(void)
{
    struct pages pages = {0};
    size_t wrong = 0;

    for (size_t page = 2000; page < PATTERNED; page += 2)
        pages_want(&pages, page_at(page), 8);
    read_twice(&pages);
    unmap(5000, 1);
    tap_is_num(read_twice(&pages), ERR_OK, "one page of thousands is unmapped");
    for (size_t page = 2000; page < PATTERNED; page += 2)
        wrong += page == 5000 ? !lacks(&pages, page_at(page), 8) : !holds(&pages, page_at(page), 8);
    tap_is_num((long long)wrong, 0, "all others are found");
    pages_deinit(&pages);
}

static void test_unmapped_words(size_t ranges)
{
    struct pages pages = {0};
    unsigned char bytes[2][8];
    struct iovec local[] = {{bytes[0], 8}, {bytes[1], 8}};

    for (size_t i = 0; i < ranges; i++)
        pages_want(&pages, page_at(2 * i), 8);
    for (size_t between = 0; between <= 2; between++)
        for (int gone = 0; gone < 2; gone++) {
            struct iovec remote[] = {{area + 8, 8}, {area + 16, 8}};
            struct page_words words = {local, remote, 2, between};

            remote[gone].iov_base = area + (size_t)150 * PAGE;
            tap_is_num(pages_read(&pages, &target, 2, words), ERR_UNREADABLE, "unmapped word");
        }
    tap_is_num((long long)pages.ranges.length, (long long)ranges, "no range is given up for it");
    tap_is_num(read_twice(&pages), ERR_OK, "without it");
    tap_ok(holds(&pages, page_at(2 * ranges - 2), 8), "all is well");
    pages_deinit(&pages);
}

/* ---- Late readings ---- */

static bool reads_late(struct pages *pages, uint64_t address, size_t size)
{
    const unsigned char *bytes = pages_read_late(pages, &target, address, size);

    return bytes && is_right(bytes, address, size);
}

static bool finds_late(struct pages *pages, uint64_t address, size_t size)
{
    const unsigned char *bytes = pages_find(pages, address, size);

    return bytes && is_right(bytes, address, size);
}

static void test_late(void)
{
    struct pages pages = {0};
    uint64_t place = page_at(400) + 500, border = (page_at(420) & ~UINT64_C(0x3fff)) - 8;

    pages_want(&pages, page_at(402), 8);
    read_twice(&pages);
    tap_ok(reads_late(&pages, place, 100), "a late reading");
    tap_ok(finds_late(&pages, place, 100) && finds_late(&pages, place + 100, 100) &&
               finds_late(&pages, place - 100, 50),
           "is found, with what lies around it");
    tap_ok(finds_late(&pages, page_at(402), 8), "as is what was copied");
    tap_ok(reads_late(&pages, page_at(390), 8) && reads_late(&pages, border, 16), "two others");
    tap_ok(finds_late(&pages, page_at(390), 8) && finds_late(&pages, border, 16) &&
               finds_late(&pages, place, 100) && finds_late(&pages, page_at(402), 8),
           "all are found");
    tap_is_num(read_twice(&pages), ERR_OK, "the next reading");
    tap_ok(holds(&pages, place, 100) && holds(&pages, page_at(390), 8) &&
               holds(&pages, border, 16) && holds(&pages, page_at(402), 8),
           "copies them twice");
    tap_ok(lacks(&pages, page_at(405), 8), "but not what lay around");
    pages_deinit(&pages);
}

static void test_late_used(void)
{
    struct pages pages = {0};

    read_twice(&pages);
    reads_late(&pages, page_at(400), 8);
    tap_ok(finds_late(&pages, page_at(400) + 2000, 8), "what lies around a late reading is found");
    read_twice(&pages);
    tap_ok(holds(&pages, page_at(400) + 2000, 8), "and wanted for it");
    pages_deinit(&pages);
}

static void test_late_unmapped(void)
{
    struct pages pages = {0};

    /* 150 and 110 ... 189 are unmapped, the areas around them not. */
    tap_ok(!pages_read_late(&pages, &target, page_at(150), 8), "late: an unmapped page");
    tap_ok(!pages_read_late(&pages, &target, page_at(110) - 4, 8), "late: half of it unmapped");
    tap_ok(reads_late(&pages, page_at(110) - 8, 8), "late: up to the last mapped byte");
    tap_ok(reads_late(&pages, page_at(190), 8), "late: from the first mapped byte on");
    tap_ok(!pages_read_late(&pages, &target, UINT64_MAX - 3, 4) &&
               !pages_read_late(&pages, &target, UINT64_MAX - 3, 8) &&
               !pages_read_late(&pages, &target, 0, 8),
           "late: no addresses");
    tap_ok(!pages_read_late(&pages, &target, page_at(500), 3 * PAGE), "late: too much");
    while (read_twice(&pages) == ERR_TORN)
        continue;
    tap_ok(holds(&pages, page_at(500), 3 * PAGE), "the next reading has it");
    tap_ok(lacks(&pages, page_at(150), 8) && lacks(&pages, page_at(110) - 4, 8),
           "but not the rest");
    pages_deinit(&pages);
}

/* ---- Aging ---- */

static void test_aging(void)
{
    struct pages pages = {0};

    pages_want(&pages, page_at(600), 8);
    pages_want(&pages, page_at(700), 8);
    pages_want(&pages, page_at(800) - 8, 16);
    read_twice(&pages);
    for (int i = 0; i < 5; i++) {
        for (int j = 0; j < KEPT; j++) {
            read_twice(&pages);
            if (!holds(&pages, page_at(600), 8))
                tap_ok(false, "lost in reading %d", i * KEPT + j);
        }
        if (!i)
            tap_ok(holds(&pages, page_at(700), 8), "after so many readings it is still there");
        if (i < 3 && !holds(&pages, page_at(800) - 8, 16))
            tap_ok(false, "the place on two pages is lost");
    }
    tap_ok(holds(&pages, page_at(600), 8), "what is looked at stays");
    tap_ok(lacks(&pages, page_at(700), 8), "what nobody looks at is forgotten");
    tap_is_num((long long)pages.pages.length, 1 + 2 * !lacks(&pages, page_at(800) - 8, 16),
               "pages");
    pages_want(&pages, page_at(700), 8);
    read_twice(&pages);
    tap_ok(holds(&pages, page_at(700), 8), "until it is wanted again");
    pages.reading = UINT32_MAX - 10;
    for (int i = 0; i < 4 * KEPT; i++) {
        pages_want(&pages, page_at(600), 8);
        read_twice(&pages);
    }
    tap_ok(holds(&pages, page_at(600), 8), "the count of readings may start again");
    pages_deinit(&pages);
}

static void test_near(void)
{
    struct pages pages = {0};

    pages_want(&pages, page_at(900), 3 * PAGE);
    pages_want(&pages, page_at(910), 8);
    pages.near = page_at(901) + 100;
    read_twice(&pages);
    tap_ok(holds(&pages, page_at(900), 3 * PAGE) && holds(&pages, page_at(910), 8),
           "near: in the middle of a range");
    pages.near = page_at(900);
    tap_is_num(read_twice(&pages), ERR_OK, "near: its start");
    tap_ok(holds(&pages, page_at(900), 3 * PAGE) && holds(&pages, page_at(910), 8), "all is right");
    pages.near = page_at(903) - 1;
    tap_is_num(read_twice(&pages), ERR_OK, "near: its last byte");
    tap_ok(holds(&pages, page_at(900), 3 * PAGE) && holds(&pages, page_at(910), 8), "all is right");
    pages.near = page_at(903);
    tap_is_num(read_twice(&pages), ERR_OK, "near: no range");
    tap_ok(holds(&pages, page_at(900), 3 * PAGE) && holds(&pages, page_at(910), 8), "all is right");
    pages_deinit(&pages);
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
    struct pages pages = {0};
    size_t wrong = 0, lost = 0, found = 0;

    for (int i = 0; i < 600; i++) {
        uint64_t wanted[20];

        for (int j = 0; j < 20; j++) {
            wanted[j] = page_at(1000 + next_random() % 100) + next_random() % 6000;
            pages_want(&pages, wanted[j], 200);
        }
        pages.near = next_random() % 2 ? wanted[0] : 0;
        lost += pages_read(&pages, &target, 1 + next_random() % 2, no_words) != ERR_OK;
        for (int j = 0; j < 20; j++)
            lost += !holds(&pages, wanted[j], 200);
        for (int j = 0; j < 40; j++) {
            size_t size = 1 + next_random() % 4000;
            uint64_t place = page_at(1000 + next_random() % 120) + next_random() % 6000;

            if (pages_find(&pages, place, size)) {
                found++;
                wrong += !finds_late(&pages, place, size);
            } else if (next_random() % 16 == 0) {
                lost += !reads_late(&pages, place, size) || !finds_late(&pages, place, size);
            }
        }
    }
    tap_is_num((long long)lost, 0, "random places: what is wanted is found");
    tap_is_num((long long)wrong, 0, "what is found is right");
    tap_ok(found > 1000, "much is found");
    pages_deinit(&pages);
}

static void test_gone(void)
{
    struct pages pages = {0};
    unsigned char bytes[8];
    struct iovec local = {bytes, 8}, remote = {area, 8};
    struct page_words words = {&local, &remote, 1, 1};

    for (size_t page = 0; page < 100; page += 2)
        pages_want(&pages, page_at(page), 8);
    read_twice(&pages);
    stop_child(child);
    tap_ok(pages_read(&pages, &target, 2, words) != ERR_OK, "the child is gone");
    tap_ok(!pages_read_late(&pages, &target, page_at(0), 8), "nothing can be read late");
    for (int i = 0; i < 50; i++)
        pages_read(&pages, &target, 2, words);
    tap_is_num(pages_read(&pages, &target, 2, words), ERR_UNREADABLE,
               "in the end only words are left");
    tap_ok(lacks(&pages, page_at(0), 8), "nothing is found");
    pages_deinit(&pages);
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
    return tap_done();
}
