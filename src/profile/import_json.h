/* SPDX-License-Identifier: MIT */
/*
 * JSON as it comes, value by value: a file of a gigabyte is never held as a tree. After a failure
 * every call returns false or 0, and `failed` and the error say why.
 */
#ifndef PSPY_PROFILE_IMPORT_JSON_H
#define PSPY_PROFILE_IMPORT_JSON_H

#include "import_input.h"

#define JSON_DEPTH 64

struct json_input {
    struct input *input;
    struct strbuf text; /* the key or string that was read last; it may hold NULs */
    size_t line;
    size_t depth;
    bool has_begun[JSON_DEPTH]; /* by depth: an element was read */
    enum err failed;
};

void json_input_init(struct json_input *json, struct input *input);
void json_input_deinit(struct json_input *json);
bool json_fail(struct json_input *json, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A failure whose error is set already. */
bool json_failed_as(struct json_input *json, enum err code);

/* What comes: '{', '[', '"', '0' for a number, 't', 'f', 'n'; 0: a failure. */
char json_kind(struct json_input *json);
/* Begins the object or array that comes. */
bool json_enter(struct json_input *json, char kind);
/* Whether the object has one more member, whose key json->text is then; its value has to be read
 * before the next call. */
bool json_next_member(struct json_input *json);
/* The same of an array. */
bool json_next_element(struct json_input *json);
/* Reads a string, into json->text. */
bool json_take_string(struct json_input *json);
bool json_number(struct json_input *json, double *ret);
/* Reads any value and forgets it. */
bool json_skip(struct json_input *json);
/* Whether nothing follows. */
bool json_end(struct json_input *json);

#endif
