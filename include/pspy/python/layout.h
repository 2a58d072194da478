/* SPDX-License-Identifier: MIT */
/*
 * Where things lie inside one build of CPython, and which of several shapes they have. Offsets are
 * in bytes from the start of the struct named by the field's prefix; 0 where a version lacks the
 * field. Rows up to 3.12 stand in layout.c; from 3.13 on the target tells (debugoffsets.h) and a
 * row only adds what that table lacks. Code switches on shapes, never on versions.
 */
#ifndef PSPY_PYTHON_LAYOUT_H
#define PSPY_PYTHON_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "pspy/base/error.h"

#define PYTHON_VERSION(major, minor) ((uint32_t)(major) << 8 | (uint32_t)(minor))

enum frame_shape {
    FRAMES_OBJECTS,     /* PyFrameObjects linked by f_back, one call of the eval loop each */
    FRAMES_INTERPRETER, /* 3.11+: _PyInterpreterFrames in a data stack, several to a call */
};

/* How a call of the eval loop is found on the C stack (the essay of walk.c). */
enum anchor_shape {
    ANCHORS_COUNTED,  /* up to 3.9: nothing lies there; the n-th call runs the n-th frame */
    ANCHORS_CFRAMES,  /* 3.10: a CFrame for each frame */
    ANCHORS_IS_ENTRY, /* 3.11: a _PyCFrame for each frame that has is_entry set */
    ANCHORS_ENTRY,    /* 3.12+: an entry frame, whose owner is OWNER_INTERPRETER or above */
};
#define OWNER_INTERPRETER 3
#define OWNER_LAST        4 /* 3.14: FRAME_OWNED_BY_CSTACK */
#define OWNER_GENERATOR   1

/* What frame_instruction holds. */
enum instruction_shape {
    INSTRUCTION_BYTE,    /* int32 index of a byte: f_lasti up to 3.9 */
    INSTRUCTION_UNIT,    /* int32 index of a 2-byte unit: f_lasti of 3.10 */
    INSTRUCTION_POINTER, /* 3.11+: address */
};

enum line_shape {
    LINES_UNSIGNED,  /* co_lnotab of 2.7 */
    LINES_SIGNED,    /* co_lnotab of 3.6 to 3.9 */
    LINES_RANGES,    /* co_linetable of 3.10 */
    LINES_LOCATIONS, /* co_linetable of 3.11+ */
};

enum text_shape {
    TEXT_BYTES,    /* names are byte strings (2.7) */
    TEXT_UNICODE,  /* PEP 393; state is a bit field: interned:2 kind:3 compact:1 ascii:1 */
    TEXT_UNICODE8, /* the same with 8 bits for interned (3.14+, free-threaded) */
};

/* int objects. */
enum long_shape {
    LONG_WORD,   /* 2.7's int: a machine word */
    LONG_SIZE,   /* 30-bit digits, their number in ob_size */
    LONG_TAGGED, /* 3.12+: the number above three bits of sign and flags */
};

enum dict_shape {
    DICT_TABLE, /* 2.7: a table of {hash, key, value}, ma_mask + 1 of them */
    DICT_SIZED, /* 3.6 to 3.10: keys with dk_size and entries {hash, key, value} */
    DICT_LOG2,  /* 3.11+: keys with logarithms of sizes and a kind */
};

/* Where an instance keeps its attributes. */
enum attribute_shape {
    ATTRIBUTES_DICT, /* a dict pointer at tp_dictoffset */
    ATTRIBUTES_3_11, /* dict pointer at -24, values pointer at -32 */
    ATTRIBUTES_3_12, /* one word at -24: values pointer - 1 (odd), or dict pointer */
    ATTRIBUTES_3_13, /* dict pointer at -24, values inside the object at tp_basicsize */
    ATTRIBUTES_FREE, /* 3.13+, free-threaded: the same with the dict pointer at -8 */
};

enum gil_shape {
    GIL_CURRENT,     /* 2.7, 3.6: a pointer to the holder's thread state, python.gil_holder_at */
    GIL_RUNTIME,     /* 3.7 to 3.11: one GIL inside _PyRuntime */
    GIL_INTERPRETER, /* 3.12+: each interpreter points to its own */
    GIL_NONE,        /* free-threaded: a thread state says whether it is attached */
};

struct layout {
    uint32_t version; /* PYTHON_VERSION(3, 12) */
    /* thread_frame points to a cframe on the C stack, which points to the current frame (3.11,
     * 3.12). Else it points to the current frame itself. */
    bool has_cframe;
    enum frame_shape frames;
    enum anchor_shape anchors;
    enum instruction_shape instruction;
    enum line_shape lines;
    enum text_shape texts;
    enum long_shape longs;
    enum dict_shape dicts;
    enum attribute_shape attributes;
    enum gil_shape gil;

    uint32_t runtime_interpreters; /* 3.7+: _PyRuntimeState.interpreters.head */
    uint32_t runtime_finalizing;   /* 3.7+: the thread state that ends the runtime, or NULL */
    uint32_t runtime_gil;          /* GIL_RUNTIME: start of struct _gil_runtime_state */
    uint32_t runtime_collecting;   /* 3.7, 3.8: int, a garbage collection runs */
    uint32_t interpreter_next;
    uint32_t interpreter_id;
    uint32_t interpreter_threads;    /* threads.head */
    uint32_t interpreter_modules;    /* sys.modules, a dict */
    uint32_t interpreter_gil;        /* GIL_INTERPRETER: pointer to struct _gil_runtime_state */
    uint32_t interpreter_collecting; /* 3.9+ */
    uint32_t gil_locked, gil_holder; /* in struct _gil_runtime_state */
    uint32_t gil_size;               /* its locks and condition variables lie within */
    uint32_t thread_next;
    uint32_t thread_interpreter;
    uint32_t thread_frame;     /* cframe or current frame */
    uint32_t thread_cframe;    /* ANCHORS_CFRAMES */
    uint32_t thread_id;        /* pthread_self() */
    uint32_t thread_native_id; /* gettid(); 0 up to 3.10: see PTHREAD_TID_AT in threads.c */
    uint32_t thread_chunk;     /* datastack_chunk; datastack_top follows it */
    uint32_t thread_attached;  /* GIL_NONE: int, 1 while attached */
    uint32_t thread_base;      /* 3.15+: pointer to the frame that ends the chain, inside the thread
                                * state; its owner is OWNER_INTERPRETER, yet it belongs to no call */
    uint32_t thread_size;      /* bytes to read for all of the above */
    uint32_t cframe_frame, cframe_previous;
    uint32_t frame_code; /* f_code or f_executable; the two lowest bits are flags */
    uint32_t frame_previous;
    uint32_t frame_instruction;
    uint32_t frame_is_entry;
    uint32_t frame_owner;
    uint32_t frame_tlbc; /* free-threaded, 3.14+: int32, which copy of the bytecode runs */
    uint32_t frame_size; /* bytes that hold all of the above */
    /* Of a frame that called another one within its eval call; while it runs itself it is -1 or
     * NULL. */
    uint32_t frame_stack_index;   /* 3.11 to 3.13: int, stacktop */
    uint32_t frame_stack_pointer; /* 3.14+: pointer */
    uint32_t frame_locals;        /* FRAMES_OBJECTS: f_localsplus, object_size words */
    uint32_t code_flags;          /* FRAMES_OBJECTS: int, tells generators */
    uint32_t code_file, code_name, code_lines, code_first_line;
    uint32_t code_qualname;  /* code_name where there is none */
    uint32_t code_units;     /* ob_size, 3.11+; else 0 */
    uint32_t code_adaptive;  /* 3.11+: the bytecode, inside the object */
    uint32_t code_tlbc;      /* free-threaded, 3.14+: its copies {count, address...} */
    uint32_t code_version;   /* 3.12+: another number for each code object */
    uint32_t code_head_size; /* bytes that hold all of the above but the bytecode itself */
    uint32_t object_type;
    uint32_t object_size;                                                 /* PyVarObject.ob_size */
    uint32_t text_length, text_state, text_ascii_data, text_compact_data; /* 2.7: data at ascii */
    uint32_t text_width; /* 2.7: bytes a character of a unicode object; 0: not known */
    uint32_t bytes_data;
    uint32_t type_name, type_flags, type_basic_size, type_dict_offset, type_cached_keys;
    uint32_t dict_keys, dict_values; /* 2.7: ma_table, ma_mask */
    uint32_t values_first;           /* struct _dictvalues: the first value */
    uint32_t long_tag, long_digits;  /* LONG_WORD: the word is at long_digits */
    uint32_t module_dict;
};

/* What layouts never exceed, whatever a target says. */
#define LAYOUT_THREAD_LIMIT 1024 /* thread_size */
#define LAYOUT_FRAME_LIMIT  192  /* frame_size */
#define LAYOUT_CODE_LIMIT   256  /* code_head_size */
#define LAYOUT_TEXT_LIMIT   128  /* text_compact_data */

/* What beside the version decides where things lie. */
struct build {
    bool is_debug; /* --with-pydebug; up to 3.7 every object is longer then */
    bool is_free_threaded;
    bool is_early; /* 3.7.0 to 3.7.3, whose garbage collector has a shorter state */
};

/*
 * The layout by rows alone (up to 3.12), or what a row knows for later ones (debugoffsets_apply
 * adds the rest). A version newer than all rows gets the newest row's shapes. ERR_UNSUPPORTED, with
 * a sentence, for any other.
 */
enum err layout_select(uint32_t version, struct build build, struct layout *ret, struct error *why);
/* Whether layout_select only guessed: newer than all rows. */
bool layout_is_guessed(uint32_t version);

#endif
