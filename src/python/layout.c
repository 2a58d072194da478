/* SPDX-License-Identifier: MIT */
/*
 * Rows as data, as the headers of each version have them on x86-64; tests/layout/test_layout.py
 * compiles tests/layout/offsets.c against each CPython it finds and compares. The fields used here
 * did not move between the final releases of a version, but in 3.7.4. From 3.13 on a row has only
 * what the target's own table lacks. A debug build differs in one thing only: up to 3.7 it links
 * all objects with each other (Py_TRACE_REFS), by two pointers in front.
 */
#include "pspy/python/layout.h"

#include <stddef.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* What some builds have more at the start: of each object, debug builds up to 3.7 and free-threaded
 * ones; of a GIL, free-threaded ones. */
#define LONGER_OBJECT 16
#define LONGER_GIL    8
/* 3.7.4 aligned each of the garbage collector's list heads. */
#define SHORTER_LISTS 88

/* clang-format off */
#define SHAPES(major, minor, cframe, frames_, anchors_, instruction_, lines_, texts_, longs_,      \
               dicts_, attributes_, gil_)                                                          \
    {.version = PYTHON_VERSION(major, minor), .has_cframe = cframe, .frames = FRAMES_##frames_,    \
     .anchors = ANCHORS_##anchors_, .instruction = INSTRUCTION_##instruction_,                     \
     .lines = LINES_##lines_, .texts = TEXT_##texts_, .longs = LONG_##longs_,                      \
     .dicts = DICT_##dicts_, .attributes = ATTRIBUTES_##attributes_, .gil = GIL_##gil_}
static const struct layout shapes[] = {
    SHAPES(2, 7,  false, OBJECTS,     COUNTED,  BYTE,    UNSIGNED,  BYTES,   WORD,   TABLE, DICT, CURRENT),
    SHAPES(3, 6,  false, OBJECTS,     COUNTED,  BYTE,    SIGNED,    UNICODE, SIZE,   SIZED, DICT, CURRENT),
    SHAPES(3, 7,  false, OBJECTS,     COUNTED,  BYTE,    SIGNED,    UNICODE, SIZE,   SIZED, DICT, RUNTIME),
    SHAPES(3, 8,  false, OBJECTS,     COUNTED,  BYTE,    SIGNED,    UNICODE, SIZE,   SIZED, DICT, RUNTIME),
    SHAPES(3, 9,  false, OBJECTS,     COUNTED,  BYTE,    SIGNED,    UNICODE, SIZE,   SIZED, DICT, RUNTIME),
    SHAPES(3, 10, false, OBJECTS,     CFRAMES,  UNIT,    RANGES,    UNICODE, SIZE,   SIZED, DICT, RUNTIME),
    SHAPES(3, 11, true,  INTERPRETER, IS_ENTRY, POINTER, LOCATIONS, UNICODE, SIZE,   LOG2,  3_11, RUNTIME),
    SHAPES(3, 12, true,  INTERPRETER, ENTRY,    POINTER, LOCATIONS, UNICODE, TAGGED, LOG2,  3_12, INTERPRETER),
    SHAPES(3, 13, false, INTERPRETER, ENTRY,    POINTER, LOCATIONS, UNICODE, TAGGED, LOG2,  3_13, INTERPRETER),
    SHAPES(3, 14, false, INTERPRETER, ENTRY,    POINTER, LOCATIONS, UNICODE, TAGGED, LOG2,  3_13, INTERPRETER),
    SHAPES(3, 15, false, INTERPRETER, ENTRY,    POINTER, LOCATIONS, UNICODE, TAGGED, LOG2,  3_13, INTERPRETER),
};
/* clang-format on */

#define NEWEST (LENGTH(shapes) - 1)

/* What holds the field: FREE_THREADED is a thread state, and only such builds have it; BEHIND_LISTS
 * is the runtime's state behind the garbage collector's lists. */
enum place { STATE, OBJECT, GIL, FREE_THREADED, BEHIND_LISTS };

struct offset {
    uint16_t field; /* in struct layout */
    uint16_t place;
    uint16_t at[LENGTH(shapes)];
};

/* clang-format off */
#define ROW(place, field, ...) {offsetof(struct layout, field), place, {__VA_ARGS__}}
static const struct offset offsets[] = {
    /*                                  2.7  3.6   3.7   3.8  3.9 3.10 3.11 3.12 3.13 3.14 3.15 */
    ROW(STATE,  runtime_interpreters,     0,   0,   24,   32,  32,  32,  40,  40),
    ROW(STATE,  runtime_finalizing,       0,   0,    8,   16,  16,  16,  24,  24),
    ROW(BEHIND_LISTS, runtime_gil,        0,   0, 1264, 1152, 352, 352, 360),
    ROW(BEHIND_LISTS, runtime_collecting, 0,   0,  632,  544),
    ROW(STATE,  interpreter_id,           0,   0,   16,   16,  24,  24,  48,   8),
    ROW(STATE,  interpreter_threads,      8,   8,    8,    8,   8,   8,  16,  72),
    ROW(STATE,  interpreter_modules,     16,  16,   40,   56, 856, 856, 888, 944),
    ROW(STATE,  interpreter_gil,          0,   0,    0,    0,   0,   0,   0, 384),
    ROW(STATE,  interpreter_collecting,   0,   0,    0,    0, 816, 816, 848, 312),
    ROW(STATE,  gil_locked,               0,   0,   16,   16,  16,  16,  16,  16),
    ROW(STATE,  gil_holder,               0,   0,    8,    8,   8,   8,   8,   8),
    ROW(GIL,    gil_size,                 0,   0,  208,  208, 208, 208, 208, 208, 208, 208, 208),
    ROW(STATE,  thread_next,              0,   8,    8,    8,   8,   8,   8,   8),
    ROW(STATE,  thread_interpreter,       8,  16,   16,   16,  16,  16,  16,  16),
    ROW(STATE,  thread_frame,            16,  24,   24,   24,  24,  24,  56,  56),
    ROW(STATE,  thread_cframe,            0,   0,    0,    0,   0,  48),
    ROW(STATE,  thread_id,              144, 152,  176,  176, 176, 176, 152, 136),
    ROW(STATE,  thread_native_id,         0,   0,    0,    0,   0,   0, 160, 144),
    ROW(STATE,  thread_chunk,             0,   0,    0,    0,   0,   0, 296, 232),
    ROW(FREE_THREADED, thread_attached,   0,   0,    0,    0,   0,   0,   0,   0,  40,  44,  48),
    ROW(STATE,  thread_size,            152, 160,  184,  184, 184, 184, 312, 248),
    ROW(STATE,  cframe_frame,             0,   0,    0,    0,   0,   0,   8,   0),
    ROW(STATE,  cframe_previous,          0,   0,    0,    0,   0,   8,  16,   8),
    ROW(OBJECT, frame_code,              32,  32,   32,   32,  32,  32,  32,   0),
    ROW(OBJECT, frame_previous,          24,  24,   24,   24,  24,  24,  48,   8),
    ROW(OBJECT, frame_instruction,      120, 120,  104,  104, 104,  96,  56,  56),
    ROW(STATE,  frame_is_entry,           0,   0,    0,    0,   0,   0,  68,   0),
    ROW(STATE,  frame_owner,              0,   0,    0,    0,   0,   0,  69,  70),
    ROW(OBJECT, frame_size,             124, 124,  108,  108, 108, 100,  72,  72),
    ROW(STATE,  frame_stack_index,        0,   0,    0,    0,   0,   0,  64,  64,  64),
    ROW(OBJECT, frame_locals,           376, 376,  360,  360, 360, 352),
    ROW(OBJECT, code_file,               80,  96,   96,  104, 104, 104, 112, 112),
    ROW(OBJECT, code_name,               88, 104,  104,  112, 112, 112, 120, 120),
    ROW(OBJECT, code_lines,             104, 112,  112,  120, 120, 120, 136, 136),
    ROW(OBJECT, code_first_line,         96,  36,   36,   40,  40,  40,  72,  68),
    ROW(OBJECT, code_flags,              28,  32,   32,   36,  36,  36),
    ROW(OBJECT, code_qualname,           88, 104,  104,  112, 112, 112, 128, 128),
    ROW(OBJECT, code_units,               0,   0,    0,    0,   0,   0,  16,  16),
    ROW(OBJECT, code_adaptive,            0,   0,    0,    0,   0,   0, 184, 192),
    ROW(OBJECT, code_version,             0,   0,    0,    0,   0,   0,   0,  92,  92,  92,  92),
    ROW(OBJECT, code_head_size,         112, 120,  120,  128, 128, 128, 184, 192),
    ROW(OBJECT, object_type,              8,   8,    8,    8,   8,   8,   8,   8),
    ROW(OBJECT, object_size,             16,  16,   16,   16,  16,  16,  16,  16),
    ROW(OBJECT, text_length,             16,  16,   16,   16,  16,  16,  16,  16),
    ROW(OBJECT, text_state,               0,  32,   32,   32,  32,  32,  32,  32),
    ROW(OBJECT, text_ascii_data,         36,  48,   48,   48,  48,  48,  48,  40),
    ROW(OBJECT, text_compact_data,        0,  72,   72,   72,  72,  72,  72,  56),
    ROW(OBJECT, bytes_data,              36,  32,   32,   32,  32,  32,  32,  32),
    ROW(OBJECT, type_name,               24,  24,   24,   24,  24,  24,  24,  24),
    ROW(OBJECT, type_flags,             168, 168,  168,  168, 168, 168, 168, 168),
    ROW(OBJECT, type_basic_size,         32,  32,   32,   32,  32,  32,  32,  32,  32,  32),
    ROW(OBJECT, type_dict_offset,       288, 288,  288,  288, 288, 288, 288, 288, 288, 288),
    ROW(OBJECT, type_cached_keys,         0, 856,  856,  872, 864, 872, 872, 880, 880, 880),
    ROW(OBJECT, dict_keys,               40,  32,   32,   32,  32,  32,  32,  32),
    ROW(OBJECT, dict_values,             32,  40,   40,   40,  40,  40,  40,  40),
    ROW(STATE,  values_first,             0,   0,    0,    0,   0,   0,   0,   0,   8,   8,   8),
    ROW(OBJECT, long_tag,                 0,  16,   16,   16,  16,  16,  16,  16),
    ROW(OBJECT, long_digits,             16,  24,   24,   24,  24,  24,  24,  24),
    ROW(OBJECT, module_dict,             16,  16,   16,   16,  16,  16,  16,  16,  16,  16,  16),
};
/* clang-format on */

static uint32_t offset_in(const struct offset *offset, size_t column, struct build build)
{
    uint32_t at = offset->at[column];
    bool is_longer = build.is_free_threaded ||
                     (build.is_debug && shapes[column].version <= PYTHON_VERSION(3, 7));

    if (!at || (offset->place == FREE_THREADED && !build.is_free_threaded))
        return 0;
    if (offset->place == OBJECT && is_longer)
        at += LONGER_OBJECT;
    if (offset->place == GIL && build.is_free_threaded)
        at += LONGER_GIL;
    if (offset->place == BEHIND_LISTS && build.is_early &&
        shapes[column].version == PYTHON_VERSION(3, 7))
        at -= SHORTER_LISTS;
    return at;
}

static struct layout layout_of(size_t column, uint32_t version, struct build build)
{
    struct layout layout = shapes[column];

    layout.version = version;
    if (build.is_free_threaded) {
        layout.gil = GIL_NONE;
        layout.attributes = ATTRIBUTES_FREE;
        if (version >= PYTHON_VERSION(3, 14))
            layout.texts = TEXT_UNICODE8;
    }
    for (size_t i = 0; i < LENGTH(offsets); i++) {
        uint32_t at = offset_in(&offsets[i], column, build);

        memcpy((char *)&layout + offsets[i].field, &at, sizeof(at));
    }
    return layout;
}

enum err layout_select(uint32_t version, struct build build, struct layout *ret, struct error *why)
{
    size_t column = 0;

    if (build.is_free_threaded && version < PYTHON_VERSION(3, 13))
        return error_set(why, ERR_UNSUPPORTED, "there is no free-threaded CPython %u.%u",
                         version >> 8, version & 0xff);
    while (column < NEWEST && shapes[column].version < version)
        column++;
    if (shapes[column].version != version && !layout_is_guessed(version))
        return error_set(why, ERR_UNSUPPORTED,
                         "CPython %u.%u is not among the versions this pspy reads "
                         "(2.7, 3.6 and later)",
                         version >> 8, version & 0xff);
    *ret = layout_of(column, version, build);
    return ERR_OK;
}

bool layout_is_guessed(uint32_t version)
{
    return version > shapes[NEWEST].version;
}
