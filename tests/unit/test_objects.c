/* SPDX-License-Identifier: MIT */
/* object.h on our own memory: shapes of texts that no interpreter here has, and garbage. What
 * interpreters have is tests/live/test_objects.py's. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pspy/python/object.h"
#include "pspy/target/live.h"
#include "unit/tap.h"

#define ROOM    (1u << 20)
#define LOOKS   100
#define OBJECTS 100

static struct target self;
static unsigned char *memory;

/* A made-up build: the text's length at 8, its state at 16, an ASCII text's data at 24, others' at
 * 40. */
static struct layout layout_of_texts(enum text_shape shape)
{
    return (struct layout){.texts = shape,
                           .text_length = 8,
                           .text_state = 16,
                           .text_ascii_data = 24,
                           .text_compact_data = 40,
                           .object_type = 0,
                           .type_flags = 48};
}

static void make_text(uint64_t length, uint32_t state, size_t data_at, const void *data,
                      size_t size)
{
    memset(memory, 0xee, 256);
    memcpy(memory + 8, &length, 8);
    memcpy(memory + 16, &state, 4);
    memcpy(memory + data_at, data, size);
}

static void is_text(const struct layout *layout, const char *wanted, const char *what)
{
    struct strbuf text = STRBUF_INIT;
    enum err err = object_text(layout, &self, (uintptr_t)memory, 100, &text);

    tap_is_str(err == ERR_OK ? text.text : "unreadable", wanted, what);
    strbuf_deinit(&text);
}

/* Free-threaded 3.14: eight bits say how the text is interned, then kind:3 compact:1 ascii:1. */
static void test_eight_bits(void)
{
    static const uint16_t two[] = {0x65e5, 0x672c};
    static const uint32_t four[] = {0x1f40d, 'a'};
    struct layout layout = layout_of_texts(TEXT_UNICODE8);

    make_text(5, 1u << 8 | 1u << 11 | 1u << 12, 24, "ascii", 5);
    is_text(&layout, "ascii", "eight bits: ASCII");
    make_text(5, 3u | 1u << 8 | 1u << 11 | 1u << 12, 24, "ascii", 5);
    is_text(&layout, "ascii", "eight bits: interned");
    make_text(2, 1u << 8 | 1u << 11, 40, "\xf6\xdf", 2);
    is_text(&layout, "\u00f6\u00df", "eight bits: one byte a character");
    make_text(2, 2u << 8 | 1u << 11, 40, two, sizeof(two));
    is_text(&layout, "\u65e5\u672c", "eight bits: two");
    make_text(2, 4u << 8 | 1u << 11, 40, four, sizeof(four));
    is_text(&layout, "\U0001f40da", "eight bits: four");
    make_text(2, 0, 40, four, sizeof(four));
    is_text(&layout, "unreadable", "eight bits: no kind");
}

/* 2.7's unicode objects: length, pointer, hash; a class says that it is one. */
static void test_old_unicode(void)
{
    static const uint16_t units[] = {'a', 0xd83d, 0xdc0d, 0xd800, 'b'};
    static const uint32_t points[] = {'a', 0x1f40d, 'b'};
    struct layout layout = layout_of_texts(TEXT_BYTES);
    uint64_t type = (uintptr_t)memory + 512, flags = 1u << 28, data = (uintptr_t)units;

    memcpy(memory + 512 + 48, &flags, 8);
    make_text(5, 0, 16, &data, 8);
    memcpy(memory, &type, 8);
    is_text(&layout, "unreadable", "2.7: a unicode object of unknown width");
    layout.text_width = 2;
    is_text(&layout, "a\U0001f40d\ufffdb", "2.7: UTF-16");
    data = (uintptr_t)points;
    make_text(3, 0, 16, &data, 8);
    memcpy(memory, &type, 8);
    layout.text_width = 4;
    is_text(&layout, "a\U0001f40db", "2.7: UTF-32");
    flags = 0;
    memcpy(memory + 512 + 48, &flags, 8);
    is_text(&layout, "unreadable", "2.7: neither str nor unicode");
}

/* Words that look like what CPython's memory has: pointers near and far, small numbers, noise. */
static void fill_with_garbage(unsigned seed)
{
    srandom(seed);
    for (size_t at = 0; at < ROOM; at += 8) {
        uint64_t noise = (uint64_t)random() << 31 ^ (uint64_t)random(), word = noise;

        switch (random() % 6) {
        case 0:
        case 1:
        case 2:
            word = (uintptr_t)memory + noise % ROOM / 8 * 8;
            break;
        case 3:
            word = noise % 300;
            break;
        case 4:
            word = noise & 0x1f1f1f1f1f1f1f1f;
            break;
        }
        memcpy(memory + at, &word, 8);
    }
}

static void look_at_garbage(const struct layout *layout)
{
    static const char *const names[] = {"_name", "_native_id"};
    struct dict_entries entries = {VEC_INIT};
    struct strbuf text = STRBUF_INIT;
    uint64_t objects[OBJECTS], values[2 * OBJECTS], longs[OBJECTS];
    char *texts[OBJECTS];

    for (size_t i = 0; i < OBJECTS; i++)
        objects[i] = (uintptr_t)memory + (uint64_t)random() % ROOM / 8 * 8;
    object_text(layout, &self, objects[0], 1000, &text);
    object_bytes(layout, &self, objects[0], 1000, &text);
    object_long(layout, &self, objects[0], &values[0]);
    object_dict_entries(layout, &self, objects[0], &entries);
    object_dict_get(layout, &self, objects[0], "threading", &values[0]);
    object_attributes(layout, &self, objects, OBJECTS, names, 2, values);
    object_longs(layout, &self, objects, OBJECTS, longs);
    object_texts(layout, &self, objects, OBJECTS, 1000, texts);
    for (size_t i = 0; i < OBJECTS; i++)
        free(texts[i]);
    dict_entries_deinit(&entries);
    strbuf_deinit(&text);
}

static void test_garbage(void)
{
    static const enum attribute_shape attributes[] = {
        ATTRIBUTES_DICT, ATTRIBUTES_3_11, ATTRIBUTES_3_12, ATTRIBUTES_3_13, ATTRIBUTES_FREE};

    for (uint32_t version = 0; version <= 12; version++) {
        struct layout layout;

        if (layout_select(version ? PYTHON_VERSION(3, version) : PYTHON_VERSION(2, 7),
                          (struct build){0}, &layout, NULL) != ERR_OK)
            continue;
        fill_with_garbage(version);
        for (unsigned look = 0; look < LOOKS; look++) {
            layout.attributes = attributes[look % 5];
            look_at_garbage(&layout);
        }
        tap_ok(true, "garbage is survived with the layout of %u", layout.version);
    }
}

int main(void)
{
    struct error why = ERROR_INIT;

    memory = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || target_open(getpid(), &self, &why) != ERR_OK)
        return 1;
    test_eight_bits();
    test_old_unicode();
    test_garbage();
    target_close(&self);
    munmap(memory, ROOM);
    return tap_done();
}
