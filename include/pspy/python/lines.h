/* SPDX-License-Identifier: MIT */
/* Line tables of code objects. Pure: from bytes to lines. */
#ifndef PSPY_PYTHON_LINES_H
#define PSPY_PYTHON_LINES_H

#include <stddef.h>
#include <stdint.h>

#include "pspy/base/vec.h"
#include "pspy/python/layout.h"

/* From this instruction on, up to the next entry. */
struct line_entry {
    uint32_t start;  /* byte offset in the bytecode */
    uint32_t line;   /* 0: none */
    uint32_t column; /* in bytes of the line's UTF-8, from 1; 0: unknown */
};

struct line_table {
    VEC(struct line_entry) entries; /* by start */
};

/* More bytes than this are not decoded: what follows has no line. */
#define LINES_BYTES_LIMIT (4u << 20)

/* Decodes a co_lnotab or co_linetable. Damaged bytes end the table early. */
void lines_decode(enum line_shape shape, const unsigned char *bytes, size_t size,
                  uint32_t first_line, struct line_table *ret);

/* The entry that a byte of the bytecode belongs to; NULL if the table was never filled. Behind the
 * code it has no line; a co_lnotab does not say where the code ends, its last line goes on. */
const struct line_entry *lines_find(const struct line_table *table, uint32_t offset);

#endif
