/* SPDX-License-Identifier: MIT */
/*
 * Four encodings of "which line does this byte of the code belong to".
 *
 * co_lnotab, up to 3.9: pairs {bytes, lines}, both relative to the pair before; a larger step takes
 * several pairs. `1a 00 06 01` with first line 7: bytes 0 to 31 line 7, from 32 on line 8. Up
 * to 2.7 lines only go up, later the second number is signed.
 *
 * co_linetable of 3.10: pairs too, but {length, lines}: the lines are added first and hold for this
 * length. -128 lines: no line here, and the next pair counts from the last one that there was.
 *
 * co_linetable of 3.11+: entries of one head byte and what its form asks for; see read_position.
 */
#include "pspy/python/lines.h"

#include <stdbool.h>

#define NO_LINE (-128) /* in a pair of 3.10 */

struct reader {
    const unsigned char *at, *end;
    bool is_short; /* the bytes ended inside an entry */
};

struct position {
    int64_t line; /* wide: no sum of deltas within the limit overflows it */
    uint32_t column;
};

/* Adds what holds from `start` on, and drops what held for no byte at all. */
static void add(struct line_table *table, uint32_t start, int64_t line, uint32_t column)
{
    struct line_entry entry = {start, line > 0 && line <= INT32_MAX ? (uint32_t)line : 0, column};
    size_t length = table->entries.length;

    if (length && table->entries.items[length - 1].start == start)
        table->entries.length = --length;
    vec_push(&table->entries, entry);
}

static void decode_lnotab(struct reader *reader, bool is_signed, int64_t line,
                          struct line_table *ret)
{
    uint32_t start = 0;

    add(ret, start, line, 0);
    for (; reader->end - reader->at >= 2; reader->at += 2) {
        start += reader->at[0];
        line += is_signed ? (signed char)reader->at[1] : reader->at[1];
        if (reader->at[1])
            add(ret, start, line, 0);
    }
}

/* The start of what lies behind the table. */
static uint32_t decode_ranges(struct reader *reader, int64_t line, struct line_table *ret)
{
    uint32_t start = 0;

    for (; reader->end - reader->at >= 2; reader->at += 2) {
        signed char delta = (signed char)reader->at[1];

        if (delta != NO_LINE)
            line += delta;
        add(ret, start, delta == NO_LINE ? 0 : line, 0);
        start += reader->at[0];
    }
    return start;
}

static unsigned char read_byte(struct reader *reader)
{
    if (reader->at < reader->end)
        return *reader->at++;
    reader->is_short = true;
    return 0;
}

/* Six bits a byte, low bits first; bit 6 says that another byte follows. */
static uint32_t read_varint(struct reader *reader)
{
    uint32_t value = 0;
    unsigned char byte;
    unsigned shift = 0;

    do {
        byte = read_byte(reader);
        if (shift < 32)
            value |= (uint32_t)(byte & 63) << shift;
        shift += 6;
    } while (byte & 64);
    return value;
}

/* The lowest bit is the sign. */
static int32_t read_signed_varint(struct reader *reader)
{
    uint32_t value = read_varint(reader);

    return value & 1 ? -(int32_t)(value >> 1) : (int32_t)(value >> 1);
}

/*
 * What follows a head byte 1cccclll, with c the form and l + 1 the number of code units. Moves
 * position->line as the form says; true if the units have a line at all.
 */
static bool read_position(struct reader *reader, unsigned form, struct position *position)
{
    position->column = 0;
    switch (form) {
    case 15: /* no location */
        return false;
    case 14: /* long: line delta, end line delta, column, end column; columns + 1, 0 for none */
        position->line += read_signed_varint(reader);
        read_varint(reader);
        position->column = read_varint(reader);
        read_varint(reader);
        return true;
    case 13: /* line delta only */
        position->line += read_signed_varint(reader);
        return true;
    case 12: /* line delta 0 to 2, column, end column */
    case 11:
    case 10:
        position->line += form - 10;
        position->column = read_byte(reader) + 1u;
        read_byte(reader);
        return true;
    default: /* same line, column 8 * form + c, and l bytes of it: 0ccc llll */
        position->column = (form << 3 | read_byte(reader) >> 4) + 1;
        return true;
    }
}

/* The start of what lies behind the table. */
static uint32_t decode_locations(struct reader *reader, int64_t line, struct line_table *ret)
{
    struct position position = {line, 0};
    uint32_t start = 0;

    while (reader->at < reader->end && *reader->at & 128) {
        unsigned char head = *reader->at++;
        bool has_line = read_position(reader, head >> 3 & 15, &position);

        if (reader->is_short)
            break;
        add(ret, start, has_line ? position.line : 0, position.column);
        start += 2 * ((head & 7u) + 1);
    }
    return start;
}

void lines_decode(enum line_shape shape, const unsigned char *bytes, size_t size,
                  uint32_t first_line, struct line_table *ret)
{
    struct reader reader = {bytes, bytes + (size < LINES_BYTES_LIMIT ? size : LINES_BYTES_LIMIT),
                            false};

    vec_reset(&ret->entries);
    switch (shape) {
    case LINES_UNSIGNED:
    case LINES_SIGNED:
        decode_lnotab(&reader, shape == LINES_SIGNED, first_line, ret);
        break;
    case LINES_RANGES:
        add(ret, decode_ranges(&reader, first_line, ret), 0, 0);
        break;
    case LINES_LOCATIONS:
        add(ret, decode_locations(&reader, first_line, ret), 0, 0);
        break;
    }
}

const struct line_entry *lines_find(const struct line_table *table, uint32_t offset)
{
    size_t low = 0, high = table->entries.length;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (table->entries.items[middle].start <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? &table->entries.items[low - 1] : NULL;
}
