/* SPDX-License-Identifier: MIT */
/* Line tables that no compiler writes. Good ones: tests/layout/test_lines.py. */
#include <stdlib.h>

#include "pspy/python/lines.h"
#include "tap.h"

#define FIRST_LINE 1000

static const enum line_shape shapes[] = {LINES_UNSIGNED, LINES_SIGNED, LINES_RANGES,
                                         LINES_LOCATIONS};

#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

static uint32_t seed = 1;

static uint32_t draw(uint32_t limit)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % limit;
}

/* From a copy without a byte to spare, so that a sanitizer sees one read too many. */
static void decode(enum line_shape shape, const unsigned char *bytes, size_t size,
                   uint32_t first_line, struct line_table *ret)
{
    unsigned char *copy = malloc(size ? size : 1);

    if (size)
        memcpy(copy, bytes, size);
    lines_decode(shape, copy, size, first_line, ret);
    free(copy);
}

/* In order, not more entries than bytes, and every byte of the code finds its own. */
static bool is_sound(const struct line_table *table, size_t size)
{
    if (table->entries.length == 0 || table->entries.length > size + 1 ||
        table->entries.items[0].start != 0)
        return false;
    for (size_t i = 0; i < table->entries.length; i++) {
        const struct line_entry *entry = &table->entries.items[i];

        if (entry->line > INT32_MAX || lines_find(table, entry->start) != entry ||
            (i &&
             (entry[-1].start >= entry->start || lines_find(table, entry->start - 1) != entry - 1)))
            return false;
    }
    return lines_find(table, UINT32_MAX) == &table->entries.items[table->entries.length - 1];
}

static void fill(unsigned char *bytes, size_t size)
{
    static const unsigned char extremes[] = {0, 127, 128, 129, 240, 255};
    uint32_t kind = draw(3);

    for (size_t i = 0; i < size; i++)
        bytes[i] =
            kind && draw(kind + 1) ? extremes[draw(sizeof(extremes))] : (unsigned char)draw(256);
}

static void test_random(void)
{
    static const uint32_t first_lines[] = {0, 1, FIRST_LINE, INT32_MAX, UINT32_MAX};
    struct line_table table = {VEC_INIT};
    unsigned char bytes[300];

    for (size_t shape = 0; shape < SHAPES; shape++) {
        bool sound = true;

        for (int round = 0; round < 20000 && sound; round++) {
            size_t size = draw(sizeof(bytes));

            fill(bytes, size);
            decode(shapes[shape], bytes, size, first_lines[draw(5)], &table);
            sound = is_sound(&table, size);
        }
        tap_ok(sound, "random bytes, shape %zu", shape);
    }
    vec_deinit(&table.entries);
}

/* What stands before the cut is as in the whole table. */
static void test_truncated(void)
{
    static const unsigned char ranges[] = {4, 1, 6, 0x80, 2, 100, 0, 127, 8, 0x81};
    static const unsigned char locations[] = {
        0x83, 0x21, 0xd1, 0x05, 0xf0, 0x47, 0x02, 0x4a, 0x01, 0x50, 0x02, 0xea, 0x42, 0xf8, 0xd8,
    };
    const unsigned char *whole[SHAPES] = {ranges, ranges, ranges, locations};
    size_t sizes[SHAPES] = {sizeof(ranges), sizeof(ranges), sizeof(ranges), sizeof(locations)};
    struct line_table table = {VEC_INIT}, cut = {VEC_INIT};

    for (size_t shape = 0; shape < SHAPES; shape++) {
        bool good = true;

        decode(shapes[shape], whole[shape], sizes[shape], FIRST_LINE, &table);
        for (size_t size = 0; size <= sizes[shape]; size++) {
            decode(shapes[shape], whole[shape], size, FIRST_LINE, &cut);
            good &= is_sound(&cut, size);
            for (size_t i = 0; i + 1 < cut.entries.length; i++)
                good &= i < table.entries.length &&
                        memcmp(&cut.entries.items[i], &table.entries.items[i],
                               sizeof(cut.entries.items[i])) == 0;
        }
        tap_ok(good, "truncated, shape %zu", shape);
    }
    vec_deinit(&table.entries);
    vec_deinit(&cut.entries);
}

static void test_limit(void)
{
    size_t size = LINES_BYTES_LIMIT + 100000;
    unsigned char *bytes = malloc(size);
    struct line_table table = {VEC_INIT};

    for (size_t shape = 0; shape < SHAPES; shape++) {
        memset(bytes, shapes[shape] == LINES_LOCATIONS ? 0x80 : 0x7f, size);
        lines_decode(shapes[shape], bytes, size, FIRST_LINE, &table);
        tap_ok(is_sound(&table, LINES_BYTES_LIMIT), "a table over the limit, shape %zu", shape);
    }
    free(bytes);
    vec_deinit(&table.entries);
}

static void test_extremes(void)
{
    /* Long forms whose deltas add up to more than 32 bits and come back; 0xff: no location. */
    static const unsigned char far[] = {0xe8, 0x7e, 0x7f, 0x7f, 0x7f, 0x7f, 0x03, 0xe8, 0x7e, 0x7f,
                                        0x7f, 0x7f, 0x7f, 0x03, 0xff, 0xe8, 0x7f, 0x7f, 0x7f, 0x7f,
                                        0x7f, 0x03, 0xe8, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x03};
    struct line_table table = {VEC_INIT};

    tap_ok(!lines_find(&table, 0), "a table that was never filled has no entry");
    decode(LINES_LOCATIONS, far, sizeof(far), FIRST_LINE, &table);
    tap_is_num(lines_find(&table, 0)->line, 0, "a line over 31 bits is none");
    tap_is_num(lines_find(&table, 22)->line, FIRST_LINE, "and the way back is found");
    for (size_t shape = 0; shape < SHAPES; shape++) {
        decode(shapes[shape], far, 0, FIRST_LINE, &table);
        tap_is_num(lines_find(&table, 7)->line, shape < LINES_RANGES ? FIRST_LINE : 0,
                   "an empty table");
    }
    vec_deinit(&table.entries);
}

int main(void)
{
    test_random();
    test_truncated();
    test_limit();
    test_extremes();
    return tap_done();
}
