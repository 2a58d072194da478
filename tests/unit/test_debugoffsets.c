/* SPDX-License-Identifier: MIT */
/* Tables of offsets as CPython 3.13.0, 3.14.10 (with and without a GIL) and 3.15.2 have them, and
 * what may be wrong with one. All fields of all builds: tests/layout/test_layout.py. */
#include <stdlib.h>

#include "pspy/python/debugoffsets.h"
#include "tap.h"

#define COOKIE    0x7970677562656478 /* "xdebugpy" */
#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))
#define WORDS_MAX (DEBUG_OFFSETS_BYTES / 8 + 1)

static const uint64_t table_3_13[] = {
    COOKIE, 0x30d00f0, 0,    283320, 608, 632, 194968, 7272, 7264, 7344, 7400, 7656, 7640, 7648, 16,
    7752,   0,         7768, 7760,   304, 0,   8,      16,   72,   152,  160,  232,  32,   80,   8,
    0,      56,        72,   70,     208, 112, 120,    128,  136,  68,   52,   96,   104,  200,  16,
    8,      416,       24,   88,     168, 32,  24,     16,   40,   24,   16,   48,   32,   40,   24,
    16,     32,        16,   24,     40,  16,  32,     64,   32,   16,   40,   240,  200};
static const uint64_t table_3_14[] = {
    COOKIE, 0x30e0af0, 0,    316616, 784,  808,  225864, 7280, 7272, 7344, 7360, 7408, 7688, 7672,
    7680,   16,        7784, 0,      7800, 7792, 7992,   0,    832,  0,    8,    16,   72,   152,
    160,    232,       32,   88,     8,    0,    56,     80,   74,   64,   0,    216,  112,  120,
    128,    136,       68,   52,     96,   104,  208,    0,    16,   8,    416,  24,   88,   168,
    40,     32,        16,   40,     24,   16,   200,    24,   40,   32,   48,   32,   40,   24,
    16,     32,        16,   24,     40,   16,   32,     64,   32,   16,   40,   264,  192,  160,
    24,     72,        67,   0,      8,    24,   304,    8076, 0,    4,    512};
static const uint64_t table_3_15[] = {
    COOKIE, 0x30f02f0, 0,    346560, 912,  936,  226232, 7272, 7264, 7336, 7352, 7400, 7592, 7576,
    7584,   16,        7736, 0,      7752, 7744, 7944,   0,    888,  0,    8,    16,   72,   80,
    88,     96,        176,  184,    256,  32,   36,     40,   136,  288,  0,    88,   8,    0,
    56,     80,        74,   64,     0,    216,  112,    120,  128,  136,  68,   52,   96,   104,
    208,    0,         16,   8,      424,  24,   88,     168,  32,   288,  944,  888,  40,   32,
    16,     40,        24,   16,     200,  24,   40,     32,   48,   32,   40,   24,   16,   32,
    16,     24,        40,   16,     32,   64,   32,     16,   40,   56,   176,  112,  120,  1120,
    104,    160,       24,   72,     67,   0,    8,      24,   344,  8028, 0,    4,    512};
static const uint64_t table_3_14t[] = {
    COOKIE, 0x30e0af0, 1,    365624, 784,  808,  249976, 7280,  7272, 7344, 7360, 7408, 7712, 7696,
    7704,   16,        7808, 0,      7832, 7824, 8024,   17300, 832,  0,    8,    16,   72,   152,
    160,    232,       32,   88,     8,    0,    56,     80,    78,   64,   72,   240,  128,  136,
    144,    152,       84,   68,     112,  120,  232,    224,   32,   24,   432,  40,   104,  184,
    56,     48,        32,   56,     40,   32,   216,    40,    56,   48,   64,   48,   56,   40,
    32,     48,        32,   40,     56,   32,   48,     80,    48,   32,   56,   288,  192,  176,
    40,     88,        83,   0,      8,    24,   304,    8108,  0,    4,    512};

enum { VERSION_WORD = 1, FREE_THREADED_WORD = 2, FIRST_SIZE_WORD = 3 };

struct table {
    const char *name;
    const uint64_t *words;
    size_t count;
    size_t needed; /* up to gc.collecting */
};

static const struct table tables[] = {
    {"3.13", table_3_13, LENGTH(table_3_13), 73},
    {"3.14", table_3_14, LENGTH(table_3_14), 83},
    {"3.15", table_3_15, LENGTH(table_3_15), 96},
    {"3.14t", table_3_14t, LENGTH(table_3_14t), 83},
};

static uint32_t seed = 1;

static uint32_t draw(uint32_t limit)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % limit;
}

static struct layout prepare(uint32_t version, bool is_free_threaded)
{
    struct layout layout = {0};
    struct error why = ERROR_INIT;

    if (layout_select(version, (struct build){.is_free_threaded = is_free_threaded}, &layout,
                      &why) != ERR_OK)
        tap_ok(false, "layout_select: %s", why.message);
    return layout;
}

/* From a copy without a byte to spare, so that a sanitizer sees one read too many. A refusal must
 * leave the layout as it was and say why. */
static enum err apply(const uint64_t *words, size_t size, struct layout *layout)
{
    unsigned char *copy = malloc(size ? size : 1);
    struct layout before = *layout;
    struct error why = ERROR_INIT;
    enum err err;

    memcpy(copy, words, size);
    err = debugoffsets_apply(copy, size, layout, &why);
    free(copy);
    if (err != ERR_OK && (memcmp(&before, layout, sizeof(before)) != 0 || !why.message[0]))
        tap_ok(false, "a refused table leaves the layout alone, and a sentence");
    return err;
}

static enum err apply_words(const uint64_t *words, size_t count, struct layout *layout)
{
    *layout = prepare((uint32_t)words[VERSION_WORD] >> 16, words[FREE_THREADED_WORD] == 1);
    return apply(words, count * 8, layout);
}

static bool is_within_limits(const struct layout *layout)
{
    return layout->thread_size <= LAYOUT_THREAD_LIMIT && layout->frame_size <= LAYOUT_FRAME_LIMIT &&
           layout->code_head_size <= LAYOUT_CODE_LIMIT &&
           layout->text_compact_data <= LAYOUT_TEXT_LIMIT &&
           layout->frame_owner < layout->frame_size &&
           layout->frame_instruction + 8 <= layout->frame_size &&
           layout->thread_chunk + 16 <= layout->thread_size &&
           layout->code_qualname + 8 <= layout->code_head_size &&
           layout->text_state + 4 <= layout->text_ascii_data;
}

static void test_good(void)
{
    struct layout layout;

    for (size_t i = 0; i < LENGTH(tables); i++)
        tap_ok(apply_words(tables[i].words, tables[i].count, &layout) == ERR_OK &&
                   is_within_limits(&layout),
               "%s is read", tables[i].name);
    apply_words(table_3_13, LENGTH(table_3_13), &layout);
    tap_is_num(layout.thread_chunk, 232, "3.13: datastack_chunk");
    tap_is_num(layout.gil_locked, 16, "3.13: locked, in the GIL");
    tap_is_num(layout.interpreter_collecting, 7600, "3.13: collecting, in the interpreter state");
    apply_words(table_3_14, LENGTH(table_3_14), &layout);
    tap_is_num(layout.interpreter_modules, 7688, "3.14: modules");
    tap_is_num(layout.frame_owner, 74, "3.14: owner");
    tap_is_num(layout.frame_stack_pointer, 64, "3.14: stackpointer");
    tap_is_num(layout.text_compact_data, 56, "3.14: data of str that is not ASCII");
    apply_words(table_3_15, LENGTH(table_3_15), &layout);
    tap_is_num(layout.thread_base, 80, "3.15: base_frame");
    tap_is_num(layout.type_cached_keys, 888, "3.15: ht_cached_keys");
    apply_words(table_3_14t, LENGTH(table_3_14t), &layout);
    tap_is_num(layout.frame_tlbc, 72, "3.14t: tlbc_index");
    tap_is_num(layout.code_tlbc, 224, "3.14t: co_tlbc");
    tap_is_num(layout.module_dict, 32, "3.14t: md_dict");
    tap_ok(layout.gil == GIL_NONE && layout.texts == TEXT_UNICODE8 &&
               layout.attributes == ATTRIBUTES_FREE,
           "3.14t: shapes");
}

static void test_cut(void)
{
    for (size_t i = 0; i < LENGTH(tables); i++) {
        const struct table *table = &tables[i];
        struct layout layout;
        bool good = apply_words(table->words, table->needed, &layout) == ERR_OK;

        for (size_t size = 0; size < table->needed * 8; size++) {
            layout = prepare((uint32_t)table->words[VERSION_WORD] >> 16,
                             table->words[FREE_THREADED_WORD]);
            good &= apply(table->words, size, &layout) ==
                    (size < FIRST_SIZE_WORD * 8 ? ERR_INVALID : ERR_UNSUPPORTED);
        }
        tap_ok(good, "%s cut short is refused", table->name);
    }
}

static void test_head(void)
{
    uint64_t words[LENGTH(table_3_13)];
    struct layout layout = prepare(PYTHON_VERSION(3, 14), false);

    tap_ok(apply(table_3_13, sizeof(table_3_13), &layout) == ERR_UNSUPPORTED, "another version");
    layout = prepare(PYTHON_VERSION(3, 13), true);
    tap_ok(apply(table_3_13, sizeof(table_3_13), &layout) == ERR_UNSUPPORTED,
           "not free-threaded, as was expected");
    memcpy(words, table_3_13, sizeof(words));
    words[0] ^= 1;
    tap_ok(apply_words(words, LENGTH(words), &layout) == ERR_INVALID, "wrong cookie");
    memset(words, 0, sizeof(words));
    layout = prepare(PYTHON_VERSION(3, 13), false);
    tap_ok(apply(words, sizeof(words), &layout) == ERR_INVALID, "zeroes");
    memcpy(words, table_3_13, sizeof(words));
    words[VERSION_WORD] |= 1ull << 40;
    tap_ok(apply_words(words, LENGTH(words), &layout) == ERR_UNSUPPORTED, "a version too large");
}

/* Each word in turn: refused, or of no account. */
static void test_wild(const struct table *table)
{
    static const uint64_t wild[] = {UINT64_MAX, 1ull << 32, 1 << 20, 0x7fff12345678, 5001};
    uint64_t words[WORDS_MAX];
    struct layout good, layout;
    size_t refused = 0;
    bool sound = true;

    apply_words(table->words, table->count, &good);
    for (size_t word = FIRST_SIZE_WORD; word < table->count; word++)
        for (size_t i = 0; i < LENGTH(wild); i++) {
            enum err err;

            memcpy(words, table->words, table->count * 8);
            words[word] = wild[i];
            err = apply_words(words, table->count, &layout);
            refused += err == ERR_UNSUPPORTED;
            sound &= err == ERR_UNSUPPORTED || memcmp(&layout, &good, sizeof(good)) == 0 ||
                     (wild[i] == 5001 && is_within_limits(&layout));
        }
    tap_ok(sound && refused > 150, "%s with one wild offset (%zu refused)", table->name, refused);
}

static void test_random(const struct table *table)
{
    uint64_t words[WORDS_MAX];
    struct layout layout;
    bool sound = true;

    for (unsigned round = 0; round < 20000; round++) {
        memcpy(words, table->words, table->count * 8);
        for (uint32_t changes = 1 + draw(6); changes; changes--)
            words[FIRST_SIZE_WORD + draw((uint32_t)table->count - FIRST_SIZE_WORD)] =
                draw(4) ? draw(512) : (uint64_t)draw(1u << 24) << draw(40);
        if (apply_words(words, table->count, &layout) == ERR_OK)
            sound &= is_within_limits(&layout);
    }
    tap_ok(sound, "%s changed at random never exceeds the limits", table->name);
}

/* The order of one version, said to be another's. */
static void test_order(void)
{
    static const uint32_t versions[] = {0x030d00f0, 0x030e00f0, 0x030f00f0};
    struct layout layout;

    for (size_t i = 0; i < LENGTH(versions); i++)
        for (size_t j = 0; j < LENGTH(versions); j++) {
            uint64_t words[WORDS_MAX] = {0};

            if (i == j)
                continue;
            memcpy(words, tables[i].words, tables[i].count * 8);
            words[VERSION_WORD] = versions[j];
            tap_ok(apply_words(words, WORDS_MAX, &layout) == ERR_UNSUPPORTED,
                   "%s said to be %s is refused", tables[i].name, tables[j].name);
        }
}

/* 3.15's table with one entry more or less is what a pre-release or a newer version may have. */
static void test_newer(void)
{
    uint64_t words[WORDS_MAX + 1] = {0};
    struct layout layout;
    size_t count = LENGTH(table_3_15), accepted = 0;

    memcpy(words, table_3_15, sizeof(table_3_15));
    words[VERSION_WORD] = 0x031000f0;
    tap_ok(apply_words(words, count, &layout) == ERR_OK && layout.frame_owner == 74 &&
               layout.version == PYTHON_VERSION(3, 16),
           "3.16 with the order of 3.15 is tried");
    tap_ok(layout_is_guessed(PYTHON_VERSION(3, 16)) && !layout_is_guessed(PYTHON_VERSION(3, 15)),
           "3.16 is guessed, 3.15 is not");
    /* Of the last one alone, gc.collecting, nothing tells. */
    for (size_t at = FIRST_SIZE_WORD; at + 1 < tables[2].needed; at++) {
        memcpy(words, table_3_15, at * 8);
        words[VERSION_WORD] = 0x031000f0;
        words[at] = 24;
        memcpy(words + at + 1, table_3_15 + at, (count - at) * 8);
        accepted += apply_words(words, count + 1, &layout) == ERR_OK;
        memcpy(words + at, table_3_15 + at + 1, (count - at - 1) * 8);
        accepted += apply_words(words, count - 1, &layout) == ERR_OK;
    }
    tap_is_num((long long)accepted, 0, "3.16 with another order is refused");
}

static void test_rows(void)
{
    static const uint32_t versions[] = {
        PYTHON_VERSION(2, 7),  PYTHON_VERSION(3, 6),  PYTHON_VERSION(3, 7),  PYTHON_VERSION(3, 8),
        PYTHON_VERSION(3, 9),  PYTHON_VERSION(3, 10), PYTHON_VERSION(3, 11), PYTHON_VERSION(3, 12),
        PYTHON_VERSION(3, 13), PYTHON_VERSION(3, 14), PYTHON_VERSION(3, 15)};
    static const uint32_t others[] = {PYTHON_VERSION(2, 6), PYTHON_VERSION(3, 0),
                                      PYTHON_VERSION(3, 5), 0};
    struct error why = ERROR_INIT;
    struct layout layout;
    bool good = true;

    for (size_t i = 0; i < LENGTH(versions); i++)
        for (int debug = 0; debug < 2; debug++) {
            good &= layout_select(versions[i], (struct build){.is_debug = debug}, &layout, &why) ==
                    ERR_OK;
            good &= layout.version == versions[i] && !layout_is_guessed(versions[i]) &&
                    layout.thread_size <= LAYOUT_THREAD_LIMIT &&
                    layout.frame_size <= LAYOUT_FRAME_LIMIT &&
                    layout.code_head_size <= LAYOUT_CODE_LIMIT &&
                    layout.text_compact_data <= LAYOUT_TEXT_LIMIT;
        }
    tap_ok(good, "rows keep to the limits");
    for (size_t i = 0; i < LENGTH(others); i++)
        tap_ok(layout_select(others[i], (struct build){0}, &layout, &why) == ERR_UNSUPPORTED &&
                   strstr(why.message, "not among"),
               "there is no row for %u.%u", others[i] >> 8, others[i] & 0xff);
    tap_ok(layout_select(PYTHON_VERSION(3, 12), (struct build){.is_free_threaded = true}, &layout,
                         &why) == ERR_UNSUPPORTED,
           "there is no free-threaded 3.12");
}

int main(void)
{
    test_good();
    test_cut();
    test_head();
    for (size_t i = 0; i < LENGTH(tables); i++) {
        test_wild(&tables[i]);
        test_random(&tables[i]);
    }
    test_order();
    test_newer();
    test_rows();
    return tap_done();
}
