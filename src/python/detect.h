/* SPDX-License-Identifier: MIT */
/* What the parts of the detection share: the file that may hold an interpreter, and its symbols. */
#ifndef PSPY_PYTHON_DETECT_H
#define PSPY_PYTHON_DETECT_H

#include "pspy/python/python.h"

/* A module that may hold the Python runtime, at its place in a target. */
struct binary {
    const struct address_space *space;
    const struct target *target;
    struct image *image;
    uint32_t module;
    uint64_t bias;
};

enum symbol_id {
    SYMBOL_RUNTIME,
    SYMBOL_VERSION,
    SYMBOL_CODE_TYPE,
    SYMBOL_THREAD_CURRENT,
    SYMBOL_INTERPRETERS,
    SYMBOL_GIL_LOCK,
    SYMBOL_GIL_MUTEX,
    SYMBOL_GIL_COND,
    SYMBOL_SWITCH_MUTEX,
    SYMBOL_SWITCH_COND,
    SYMBOL_COLLECTING,
    SYMBOL_REFERENCE_CHECK, /* debug builds only */
    SYMBOL_ALL_OBJECTS,     /* builds that keep a list of all objects, which makes each longer */
    SYMBOL_UNICODE_2,       /* 2.7, with two bytes a character */
    SYMBOL_UNICODE_4,
    /* Functions whose code tells where a static variable is. */
    SYMBOL_GET_VERSION,
    SYMBOL_GET_INTERPRETERS,
    SYMBOL_GET_THREADS,
    SYMBOL_COLLECT,
    SYMBOL_END_THREADS,
    SYMBOL_COUNT,
};

struct symbols {
    uint64_t vaddr[SYMBOL_COUNT];          /* 0: not there */
    VEC(struct address_range) eval_loops;  /* _PyEval_EvalFrameDefault, vaddrs */
    VEC(struct address_range) eval_frames; /* PyEval_EvalFrameEx, which is the loop up to 3.5 */
    size_t seen;
};
#define SYMBOLS_INIT                                                                               \
    {                                                                                              \
        {0}, VEC_INIT, VEC_INIT, 0                                                                 \
    }

/* Adds what one table of the file has; what is there already stays. False if it is empty. */
bool symbols_add(struct symbols *symbols, struct image *image, enum image_table table);
void symbols_deinit(struct symbols *symbols);

/* Copies the code at `function` (0: nothing), less than `size` bytes where the file's code ends. */
size_t code_read(const struct image *image, uint64_t function, unsigned char *ret, size_t size);
/* The variable that the function at `function` uses first, by its machine code; it lies in the
 * file's writable segments. */
bool code_find_variable(const struct image *image, uint64_t function, uint64_t *ret_vaddr);
/* The variables whose addresses it takes, as far as its start shows; how many, at most `limit`. */
size_t code_find_addresses(const struct image *image, uint64_t function, uint64_t *ret_vaddrs,
                           size_t limit);

/* "3.9.18", "3.15.0rc1", "2.7.18+" as a PY_VERSION_HEX. False for any other text. */
bool version_parse(const char *text, size_t size, uint32_t *ret);
/* The version in the name of a file, without the micro part and the level: python3.9,
 * libpython3.6m.so.1.0. */
bool version_of_name(const char *path, uint32_t *ret);
/* The version that the file says by Py_Version or in the code of Py_GetVersion. */
bool version_of_symbols(const struct image *image, const struct symbols *symbols, uint32_t *ret);
/* The same from constants alone, for a file without symbols. False if it holds no CPython. */
bool version_of_constants(const struct image *image, uint32_t *ret);

/* The table of offsets that stands at the start of _PyRuntime, by its cookie. */
bool scan_table(const struct binary *binary, uint64_t *ret_runtime);
/* The pointer to the first interpreter state among the file's variables: what it points to has a
 * thread state that points back. False also while no interpreter runs. */
bool scan_interpreters(const struct binary *binary, const struct layout *layout, uint64_t *ret);

/* Whether `type` is PyCode_Type, the ob_type of code objects. Where the file does not say which it
 * is, the first type of that name is taken for it. */
bool python_is_code_type(struct python *python, const struct target *target, uint64_t type);

#endif
