/* SPDX-License-Identifier: MIT */
/* What is known of code objects. Private to code.c and positions.c. */
#ifndef PSPY_PYTHON_CODE_CACHE_H
#define PSPY_PYTHON_CODE_CACHE_H

#include "pspy/python/python.h"

/* What tells one code object from another at the same address. */
struct identity {
    uint64_t address, type, units, file, qualname, lines, first_line,
        version; /* no padding: hashed */
};

struct entry {
    struct identity identity;
    uint32_t round; /* in which its address was last seen to hold it */
    uint32_t used;  /* in which a sample last had it */
    char *qualname, *file;
    bool is_generator;
    bool is_hidden; /* the interpreter's own, not shown by CPython either */
    bool has_lines; /* else they are tried again with the next sample */
    struct line_table lines;
    VEC(uint64_t) copies;  /* of the bytecode, by frame_tlbc */
    uint32_t copies_round; /* in which they were read */
};

/* What an address holds. */
struct place {
    uint64_t address;
    uint32_t entry;
    uint32_t round; /* of the last look */
    uint32_t looks; /* in different rounds, at which it held that */
    bool changes;   /* it held something else once */
};

struct code_cache {
    VEC(struct entry) entries;
    struct table index; /* by identity */
    VEC(struct place) places;
    struct table place_index; /* by address */
    VEC(uint32_t) met;        /* entries of this round */
    VEC(uint32_t) confirmed;  /* of them, by python_check_round */
};

#endif
