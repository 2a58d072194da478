/* SPDX-License-Identifier: MIT */
/*
 * Texts, each stored once. String 0 is "". A text's number holds for the table's life; a pointer to
 * its bytes until the next text is added.
 */
#ifndef PSPY_PROFILE_STRINGS_H
#define PSPY_PROFILE_STRINGS_H

#include <stddef.h>
#include <stdint.h>

#include "pspy/base/strbuf.h"
#include "pspy/base/table.h"
#include "pspy/base/vec.h"

typedef struct {
    uint32_t v;
} string_id;

#define STRING_EMPTY ((string_id){0})

struct strings {
    struct strbuf bytes;
    VEC(uint32_t) offsets;
    struct table index;
};

void strings_init(struct strings *strings);
void strings_deinit(struct strings *strings);
/* A NUL byte becomes the symbol for it: texts are C strings, and two names must not become one. */
string_id strings_add_n(struct strings *strings, const char *text, size_t length);
string_id strings_add(struct strings *strings, const char *text);
const char *strings_text(const struct strings *strings, string_id string);

#endif
