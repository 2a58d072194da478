/* SPDX-License-Identifier: MIT */
/* Texts, bytes and ints. */
#include "pspy/python/object.h"

#include <string.h>

#include "bulk.h"
#include "object_internal.h"
#include "pspy/base/cleanup.h"
#include "pspy/base/utf8.h"

#define FIRST_BYTES 256 /* most texts are whole within */
#define LONG_BYTES  12  /* three digits hold 64 bits */

static uint64_t word_at(const unsigned char *bytes, size_t at)
{
    uint64_t word;

    memcpy(&word, bytes + at, sizeof(word));
    return word;
}

/* ---- Texts ---- */

struct text {
    uint64_t length;   /* in characters */
    uint32_t width;    /* bytes a character; 0: a byte string, maybe UTF-8 */
    bool is_elsewhere; /* behind a pointer at `start` */
    bool is_ascii;
    size_t start; /* in the object */
};

/*
 * 2.7's PyStringObject: length, hash, then ob_sstate, which is 0 to 2, and the bytes. In a
 * PyUnicodeObject the hash lies where ob_sstate would: nearly never such a small number.
 */
static bool read_byte_text(const struct layout *layout, const unsigned char *head, struct text *ret)
{
    uint32_t state;

    memcpy(&state, head + layout->text_ascii_data - 4, 4);
    ret->start = layout->text_ascii_data;
    ret->is_ascii = true;
    return state <= 2;
}

/* PEP 393's PyASCIIObject.state: interned:2 (or 8), kind:3, compact:1, ascii:1. */
static bool read_unicode_text(const struct layout *layout, const unsigned char *head,
                              struct text *ret)
{
    uint32_t state;

    memcpy(&state, head + layout->text_state, 4);
    state >>= layout->texts == TEXT_UNICODE8 ? 8 : 2;
    ret->width = state & 7;
    ret->is_elsewhere = !(state >> 3 & 1); /* an instance of a subclass */
    ret->is_ascii = state >> 4 & 1;
    ret->start =
        ret->is_ascii && !ret->is_elsewhere ? layout->text_ascii_data : layout->text_compact_data;
    return ret->width == 1 || ret->width == 2 || ret->width == 4;
}

/* Reads the head of a text, its text_ascii_data bytes. */
static bool read_text_head(const struct layout *layout, const unsigned char *head, size_t limit,
                           struct text *ret)
{
    *ret = (struct text){.length = word_at(head, layout->text_length)};
    if (ret->length > limit)
        ret->length = limit;
    return layout->texts == TEXT_BYTES ? read_byte_text(layout, head, ret)
                                       : read_unicode_text(layout, head, ret);
}

static size_t text_bytes(const struct text *text)
{
    return text->length * (text->width ? text->width : 1);
}

static uint32_t character_at(const unsigned char *bytes, uint32_t width, size_t index)
{
    uint16_t two;
    uint32_t four;

    switch (width) {
    case 2:
        memcpy(&two, bytes + 2 * index, 2);
        return two;
    case 4:
        memcpy(&four, bytes + 4 * index, 4);
        return four;
    default:
        return bytes[index];
    }
}

static void add_point(struct strbuf *ret, uint32_t point)
{
    char encoded[4];

    if (point == 0 || (point >= 0xd800 && point < 0xe000) || point > 0x10ffff)
        point = UTF8_REPLACEMENT;
    strbuf_add(ret, encoded, utf8_encode(point, encoded));
}

/* Adds bytes that may be UTF-8, and forgets them. */
static void flush_raw(struct strbuf *raw, struct strbuf *ret)
{
    const char *at = raw->text, *end = raw->text + raw->length;

    while (at < end)
        if (*at)
            add_point(ret, utf8_next(&at));
        else
            add_point(ret, (uint32_t)*at++);
    strbuf_reset(raw);
}

static bool is_pair(uint32_t high, uint32_t low)
{
    return high >> 10 == 0xd800 >> 10 && low >> 10 == 0xdc00 >> 10;
}

static void add_characters(const struct layout *layout, const struct text *text,
                           const unsigned char *bytes, struct strbuf *ret)
{
    cleanup(strbuf_deinit) struct strbuf raw = STRBUF_INIT;

    for (size_t i = 0; i < text->length; i++) {
        uint32_t point = character_at(bytes, text->width, i);
        uint32_t next = i + 1 < text->length ? character_at(bytes, text->width, i + 1) : 0;

        /* 2.7 has UTF-16 where it was built so; elsewhere each surrogate is its own character. */
        if (layout->texts == TEXT_BYTES && text->width == 2 && is_pair(point, next)) {
            point = 0x10000 + ((point & 0x3ff) << 10 | (next & 0x3ff));
            i++;
        }
        if (text->width == 0 || (point >= 0xdc80 && point <= 0xdcff)) {
            strbuf_add_char(&raw, (char)(point & 0xff));
            continue;
        }
        flush_raw(&raw, ret);
        add_point(ret, point);
    }
    flush_raw(&raw, ret);
}

enum err object_text_copied(const struct layout *layout, const unsigned char *object, size_t size,
                            size_t limit, struct strbuf *ret)
{
    struct text text;

    if (size < layout->text_ascii_data || !read_text_head(layout, object, limit, &text) ||
        text.is_elsewhere || text.start > size || text_bytes(&text) > size - text.start)
        return ERR_UNREADABLE;
    add_characters(layout, &text, object + text.start, ret);
    return ERR_OK;
}

bool object_text_is(const struct layout *layout, const unsigned char *object, const char *wanted)
{
    size_t length = strlen(wanted);
    struct text text;

    return read_text_head(layout, object, SIZE_MAX, &text) && text.is_ascii && !text.is_elsewhere &&
           text.length == length && memcmp(object + text.start, wanted, length) == 0;
}

/* 2.7's unicode: length, pointer, hash. */
static enum err find_old_unicode(const struct layout *layout, const struct target *target,
                                 uint64_t address, struct text *ret)
{
    const uint64_t unicode_flag = 1u << 28; /* Py_TPFLAGS_UNICODE_SUBCLASS */
    uint64_t type, flags;

    if (target_read(target, address + layout->object_type, &type, 8) != ERR_OK ||
        target_read(target, type + layout->type_flags, &flags, 8) != ERR_OK ||
        !(flags & unicode_flag))
        return ERR_UNREADABLE;
    ret->width = layout->text_width;
    ret->is_elsewhere = true;
    ret->start = layout->text_length + 8;
    return ret->width ? ERR_OK : ERR_UNREADABLE;
}

static enum err find_text(const struct layout *layout, const struct target *target,
                          uint64_t address, const unsigned char *head, size_t limit,
                          struct text *ret)
{
    if (read_text_head(layout, head, limit, ret))
        return ERR_OK;
    return layout->texts == TEXT_BYTES ? find_old_unicode(layout, target, address, ret)
                                       : ERR_UNREADABLE;
}

enum err object_text(const struct layout *layout, const struct target *target, uint64_t address,
                     size_t limit, struct strbuf *ret)
{
    unsigned char first[FIRST_BYTES];
    size_t got = target_read_some(target, address, first, sizeof(first));
    cleanup(cleanup_free) unsigned char *bytes = NULL;
    struct text text;
    uint64_t start;

    if (object_text_copied(layout, first, got, limit, ret) == ERR_OK)
        return ERR_OK;
    if (got < layout->text_ascii_data ||
        find_text(layout, target, address, first, limit, &text) != ERR_OK)
        return ERR_UNREADABLE;
    start = address + text.start;
    if (text.is_elsewhere && target_read(target, start, &start, 8) != ERR_OK)
        return ERR_UNREADABLE;
    bytes = xmalloc(text_bytes(&text) + 1);
    if (target_read(target, start, bytes, text_bytes(&text)) != ERR_OK)
        return ERR_UNREADABLE;
    add_characters(layout, &text, bytes, ret);
    return ERR_OK;
}

void object_texts(const struct layout *layout, const struct target *target,
                  const uint64_t *addresses, size_t count, size_t limit, char **ret)
{
    cleanup(cleanup_free) unsigned char *heads = xcalloc(count, FIRST_BYTES);
    cleanup(cleanup_free) bool *were_read = xcalloc(count, sizeof(bool));

    memset(ret, 0, count * sizeof(*ret));
    if (!bulk_read(target, addresses, count, FIRST_BYTES, heads, were_read))
        return;
    for (size_t i = 0; i < count; i++) {
        cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;
        size_t got = were_read[i] ? FIRST_BYTES : 0;

        if (addresses[i] &&
            (object_text_copied(layout, heads + i * FIRST_BYTES, got, limit, &text) == ERR_OK ||
             object_text(layout, target, addresses[i], limit, &text) == ERR_OK))
            ret[i] = strbuf_detach(&text);
    }
}

/* ---- Bytes and ints ---- */

enum err object_bytes(const struct layout *layout, const struct target *target, uint64_t address,
                      size_t limit, struct strbuf *ret)
{
    uint64_t length;
    enum err err = target_read(target, address + layout->object_size, &length, 8);

    if (err != ERR_OK)
        return err;
    if (length > limit)
        return ERR_UNREADABLE;
    strbuf_reserve(ret, length);
    err = target_read(target, address + layout->bytes_data, ret->text + ret->length, length);
    if (err != ERR_OK)
        return err;
    ret->length += length;
    ret->text[ret->length] = '\0';
    return ERR_OK;
}

/* How many digits follow. ob_size is their number, negative for a negative int; from 3.12 on three
 * low bits hold sign (2: negative) and a flag. */
static bool count_digits(const struct layout *layout, uint64_t tag, uint64_t *ret)
{
    bool is_tagged = layout->longs == LONG_TAGGED;

    *ret = is_tagged ? tag >> 3 : tag;
    return *ret <= 3 && !(is_tagged && tag & 2);
}

static enum err join_digits(const uint32_t digits[3], uint64_t *ret)
{
    if (digits[2] > 15)
        return ERR_UNREADABLE;
    *ret = digits[0] | (uint64_t)digits[1] << 30 | (uint64_t)digits[2] << 60;
    return ERR_OK;
}

/* Bytes of the object that say its value; those that always exist. */
static size_t long_size(const struct layout *layout)
{
    return layout->long_digits + (layout->longs == LONG_WORD ? 8 : LONG_BYTES);
}

static size_t long_least(const struct layout *layout)
{
    return layout->long_digits + (layout->longs == LONG_WORD ? 8 : 0);
}

/* From a copy of the object's long_size bytes. */
static enum err copied_long(const struct layout *layout, const unsigned char *object, uint64_t *ret)
{
    uint32_t digits[3] = {0};
    uint64_t count, value;

    if (layout->longs == LONG_WORD) {
        value = word_at(object, layout->long_digits);
        if (value >> 63)
            return ERR_UNREADABLE;
        *ret = value;
        return ERR_OK;
    }
    if (!count_digits(layout, word_at(object, layout->long_tag), &count))
        return ERR_UNREADABLE;
    memcpy(digits, object + layout->long_digits, count * 4);
    return join_digits(digits, ret);
}

enum err object_long(const struct layout *layout, const struct target *target, uint64_t address,
                     uint64_t *ret)
{
    size_t size = long_size(layout);
    cleanup(cleanup_free) unsigned char *object = xcalloc(size, 1);

    /* The memory may end behind a small int. */
    if (target_read_some(target, address, object, size) < long_least(layout))
        return ERR_UNREADABLE;
    return copied_long(layout, object, ret);
}

void object_longs(const struct layout *layout, const struct target *target,
                  const uint64_t *addresses, size_t count, uint64_t *ret)
{
    size_t size = long_size(layout);
    cleanup(cleanup_free) unsigned char *objects = xcalloc(count, size);
    cleanup(cleanup_free) bool *were_read = xcalloc(count, sizeof(bool));

    memset(ret, 0, count * sizeof(*ret));
    if (!bulk_read(target, addresses, count, size, objects, were_read))
        return;
    for (size_t i = 0; i < count; i++) {
        enum err err = ERR_UNREADABLE;

        if (were_read[i])
            err = copied_long(layout, objects + i * size, &ret[i]);
        else if (addresses[i])
            err = object_long(layout, target, addresses[i], &ret[i]);
        if (err != ERR_OK)
            ret[i] = 0;
    }
}
