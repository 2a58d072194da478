/* SPDX-License-Identifier: MIT */
/*
 * Writes JSON as it comes, nothing is kept: sample arrays have millions of elements. It sets commas
 * and escapes; that brackets balance and keys stand where they belong is the caller's care.
 */
#ifndef PSPY_OUTPUT_JSON_STREAM_H
#define PSPY_OUTPUT_JSON_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "pspy/output/sink.h"

struct json {
    struct sink *sink;
    bool comma; /* the next value or key follows another one */
};

void json_init(struct json *json, struct sink *sink);
void json_open(struct json *json, char bracket);  /* '{' or '[' */
void json_close(struct json *json, char bracket); /* '}' or ']' */
void json_key(struct json *json, const char *key);
void json_string(struct json *json, const char *text);
void json_uint(struct json *json, uint64_t number);
/* Nanoseconds as a decimal number of microseconds, exactly: 1234567 is 1234.567. */
void json_micros(struct json *json, uint64_t ns);
/* A line break before the next value, for files that people look at. */
void json_newline(struct json *json);

void json_key_string(struct json *json, const char *key, const char *text);
void json_key_uint(struct json *json, const char *key, uint64_t number);
/* With six significant digits; null where it is no finite number. */
void json_key_real(struct json *json, const char *key, double number);
void json_key_bool(struct json *json, const char *key, bool value);

#endif
