/* SPDX-License-Identifier: MIT */
/*
 * From one X.Y to the next the table only grows, mostly in its midst. So one list of all entries
 * in their order, each with the version that brought it, describes the tables of all versions.
 *
 * Nothing in a table says how long it is, and a pre-release may have another order than the final
 * one. But a table read in a wrong order makes no sense soon: each group begins with the size of
 * its struct, which every offset in the group must be below.
 */
#include "pspy/python/debugoffsets.h"

#include <string.h>

#define COOKIE           "xdebugpy"
#define VERSION_AT       8
#define FREE_THREADED_AT 16
#define ENTRIES_AT       24
/* The largest struct, the interpreter state, has some 220 KB. */
#define SIZE_LIMIT (1u << 20)

/* What the entries say, some of it only to compute others. */
struct stated {
    struct layout layout;
    uint32_t own_gil;    /* the GIL inside the interpreter state, which locked and holder refer to;
                          * the one in use may be another's */
    uint32_t gc;         /* in the interpreter state */
    uint32_t collecting; /* in that */
    uint32_t unused;
};

enum kind {
    SIZE,
    OFFSET,
    OPTIONAL, /* an offset that is 0 in some builds */
    OTHER,    /* relative to something else than the group's struct, or not wanted */
};

struct entry {
    uint16_t since; /* minor version of CPython 3 */
    uint8_t kind;
    uint8_t width;   /* bytes of what lies at the offset */
    uint16_t stated; /* where it goes in struct stated */
};

/* clang-format off */
#define AT(member) offsetof(struct stated, member)
#define STRUCT(since)             {since, SIZE, 0, AT(unused)}
#define FIELD(since, width, name) {since, OFFSET, width, AT(layout.name)}
#define SKIP(since)               {since, OTHER, 1, AT(unused)}
static const struct entry entries[] = {
    /* runtime_state */
    STRUCT(13), FIELD(13, 8, runtime_finalizing), FIELD(13, 8, runtime_interpreters),
    /* interpreter_state */
    STRUCT(13), FIELD(13, 8, interpreter_id), FIELD(13, 8, interpreter_next),
    FIELD(13, 8, interpreter_threads), SKIP(14) /* threads_main */, {13, OFFSET, 8, AT(gc)},
    FIELD(13, 8, interpreter_modules), SKIP(13), SKIP(13) /* sysdict, builtins */,
    FIELD(13, 8, interpreter_gil), {13, OFFSET, 8, AT(own_gil)}, SKIP(13) /* enabled */,
    FIELD(13, 4, gil_locked), FIELD(13, 8, gil_holder),
    SKIP(14), SKIP(14) /* code_object_generation, tlbc_generation */,
    /* thread_state */
    STRUCT(13), SKIP(13) /* prev */, FIELD(13, 8, thread_next), FIELD(13, 8, thread_interpreter),
    FIELD(13, 8, thread_frame), FIELD(15, 8, thread_base),
    SKIP(15), SKIP(15) /* last_profiled_frame, its seq */,
    FIELD(13, 8, thread_id), FIELD(13, 8, thread_native_id), FIELD(13, 8, thread_chunk),
    SKIP(13) /* status */, SKIP(15), SKIP(15) /* holds_gil, gil_requested */,
    SKIP(15), SKIP(15) /* current_exception, exc_state */, SKIP(15) /* err_stackitem.exc_value */,
    /* interpreter_frame */
    STRUCT(13), FIELD(13, 8, frame_previous), FIELD(13, 8, frame_code),
    FIELD(13, 8, frame_instruction), FIELD(13, 8, frame_size) /* localsplus */,
    FIELD(13, 1, frame_owner), FIELD(14, 8, frame_stack_pointer),
    {14, OPTIONAL, 4, AT(layout.frame_tlbc)},
    /* code_object */
    STRUCT(13), FIELD(13, 8, code_file), FIELD(13, 8, code_name), FIELD(13, 8, code_qualname),
    FIELD(13, 8, code_lines), FIELD(13, 4, code_first_line),
    SKIP(13), SKIP(13), SKIP(13) /* argcount, localsplusnames, localspluskinds */,
    FIELD(13, 2, code_adaptive), {14, OPTIONAL, 8, AT(layout.code_tlbc)},
    /* pyobject, type_object, heap_type_object */
    STRUCT(13), FIELD(13, 8, object_type),
    STRUCT(13), FIELD(13, 8, type_name), SKIP(13) /* tp_repr */, FIELD(13, 8, type_flags),
    FIELD(15, 8, type_basic_size), FIELD(15, 8, type_dict_offset),
    STRUCT(15), FIELD(15, 8, type_cached_keys),
    /* tuple_object, list_object, set_object */
    STRUCT(13), SKIP(13), SKIP(13),
    STRUCT(13), SKIP(13), SKIP(13),
    STRUCT(14), SKIP(14), SKIP(14), SKIP(14),
    /* dict_object, float_object, long_object */
    STRUCT(13), FIELD(13, 8, dict_keys), FIELD(13, 8, dict_values),
    STRUCT(13), SKIP(13),
    STRUCT(13), FIELD(13, 8, long_tag), FIELD(13, 4, long_digits),
    /* bytes_object, unicode_object */
    STRUCT(13), FIELD(13, 8, object_size), FIELD(13, 1, bytes_data),
    STRUCT(13), FIELD(13, 4, text_state), FIELD(13, 8, text_length),
    FIELD(13, 1, text_ascii_data), FIELD(15, 1, text_compact_data),
    /* gc; what follows is not wanted */
    STRUCT(13), {13, OFFSET, 4, AT(collecting)},
};
/* clang-format on */

static uint64_t value_at(const unsigned char *bytes, size_t at)
{
    uint64_t value;

    memcpy(&value, bytes + at, sizeof(value));
    return value;
}

static bool is_plausible(const struct entry *entry, uint64_t value, uint64_t size)
{
    switch ((enum kind)entry->kind) {
    case SIZE:
        return value >= 8 && value < SIZE_LIMIT && value % 8 == 0;
    case OFFSET:
    case OPTIONAL:
        return value <= size && size - value >= entry->width && value % entry->width == 0;
    case OTHER:
        break;
    }
    return true;
}

/* False if the table is too short or makes no sense. */
static bool read_entries(const unsigned char *bytes, size_t size, struct stated *stated)
{
    uint64_t struct_size = 0;
    size_t at = ENTRIES_AT;

    for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
        const struct entry *entry = &entries[i];
        uint64_t value;
        uint32_t narrow;

        if (PYTHON_VERSION(3, entry->since) > stated->layout.version)
            continue;
        if (size < at + 8)
            return false;
        value = value_at(bytes, at);
        at += 8;
        if (entry->kind == SIZE)
            struct_size = value;
        if (!is_plausible(entry, value, struct_size))
            return false;
        narrow = (uint32_t)value;
        memcpy((char *)stated + entry->stated, &narrow, sizeof(narrow));
    }
    return true;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* What follows from the entries. */
static void fill_rest(struct stated *stated)
{
    struct layout *layout = &stated->layout;

    layout->interpreter_collecting = stated->gc + stated->collecting;
    layout->gil_locked -= stated->own_gil;
    layout->gil_holder -= stated->own_gil;
    layout->thread_size = larger(layout->thread_chunk + 16, layout->thread_native_id + 8);
    layout->thread_size = larger(layout->thread_size, layout->thread_frame + 8);
    layout->code_units = layout->object_size;
    layout->code_head_size = layout->code_adaptive;
    /* PyCompactUnicodeObject appends a length and a pointer to PyASCIIObject. */
    if (!layout->text_compact_data)
        layout->text_compact_data = layout->text_ascii_data + 16;
}

/* Whether each field lies within the bytes that are read for it, and these within the limits. */
static bool heads_hold_fields(const struct layout *layout)
{
    uint32_t thread = layout->thread_size, frame = layout->frame_size;
    uint32_t code = layout->code_head_size, text = layout->text_ascii_data;

    return thread <= LAYOUT_THREAD_LIMIT && layout->thread_next + 8 <= thread &&
           layout->thread_id + 8 <= thread && layout->thread_interpreter + 8 <= thread &&
           layout->thread_base + 8 <= thread && layout->thread_attached + 4 <= thread &&
           frame <= LAYOUT_FRAME_LIMIT && layout->frame_code + 8 <= frame &&
           layout->frame_previous + 8 <= frame && layout->frame_instruction + 8 <= frame &&
           layout->frame_owner < frame && layout->frame_stack_pointer + 8 <= frame &&
           layout->frame_tlbc + 4 <= frame && code <= LAYOUT_CODE_LIMIT &&
           layout->code_file + 8 <= code && layout->code_name + 8 <= code &&
           layout->code_qualname + 8 <= code && layout->code_lines + 8 <= code &&
           layout->code_first_line + 4 <= code && layout->code_tlbc + 8 <= code &&
           layout->code_version + 4 <= code && layout->code_units + 8 <= code &&
           layout->object_type + 8 <= code && layout->text_compact_data <= LAYOUT_TEXT_LIMIT &&
           layout->text_state + 4 <= text && layout->text_length + 8 <= text &&
           text <= layout->text_compact_data && layout->gil_locked + 4 <= layout->gil_size &&
           layout->gil_holder + 8 <= layout->gil_size;
}

static enum err check_head(const unsigned char *bytes, size_t size, const struct layout *layout,
                           struct error *why)
{
    uint64_t version;

    if (size < ENTRIES_AT || memcmp(bytes, COOKIE, strlen(COOKIE)) != 0)
        return error_set(why, ERR_INVALID,
                         "the Python runtime's table of offsets is not there yet");
    version = value_at(bytes, VERSION_AT) >> 16;
    if (version != layout->version)
        return error_set(why, ERR_UNSUPPORTED,
                         "this Python's file says it is version %u.%u, its runtime %u.%u",
                         layout->version >> 8, layout->version & 0xff,
                         (unsigned)(version >> 8 & 0xff), (unsigned)(version & 0xff));
    if (value_at(bytes, FREE_THREADED_AT) != (layout->gil == GIL_NONE))
        return error_set(why, ERR_UNSUPPORTED,
                         "this Python's runtime and what is known of its build differ about free "
                         "threading");
    return ERR_OK;
}

enum err debugoffsets_apply(const unsigned char *bytes, size_t size, struct layout *layout,
                            struct error *why)
{
    struct stated stated = {.layout = *layout};
    enum err err = check_head(bytes, size, layout, why);

    if (err != ERR_OK)
        return err;
    if (read_entries(bytes, size, &stated)) {
        fill_rest(&stated);
        if (heads_hold_fields(&stated.layout)) {
            *layout = stated.layout;
            return ERR_OK;
        }
    }
    return error_set(
        why, ERR_UNSUPPORTED, "the table of offsets of this CPython %u.%u makes no sense%s",
        layout->version >> 8, layout->version & 0xff,
        layout_is_guessed(layout->version) ? " (the version is newer than this pspy)" : "");
}
