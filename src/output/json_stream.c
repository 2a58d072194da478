/* SPDX-License-Identifier: MIT */
#include "json_stream.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "pspy/base/utf8.h"

void json_init(struct json *json, struct sink *sink)
{
    *json = (struct json){sink, false};
}

static void before_value(struct json *json)
{
    if (json->comma)
        sink_write(json->sink, ",", 1);
    json->comma = true;
}

void json_open(struct json *json, char bracket)
{
    before_value(json);
    sink_write(json->sink, &bracket, 1);
    json->comma = false;
}

void json_close(struct json *json, char bracket)
{
    sink_write(json->sink, &bracket, 1);
    json->comma = true;
}

void json_key(struct json *json, const char *key)
{
    json_string(json, key);
    sink_write(json->sink, ":", 1);
    json->comma = false;
}

/* The byte's escape where JSON wants one, else NULL. */
static const char *escape(unsigned char byte, char room[8])
{
    if (byte == '"')
        return "\\\"";
    if (byte == '\\')
        return "\\\\";
    if (byte == '\n')
        return "\\n";
    if (byte == '\t')
        return "\\t";
    if (byte >= 0x20 && byte != 0x7f)
        return NULL;
    snprintf(room, 8, "\\u%04x", byte);
    return room;
}

void json_string(struct json *json, const char *text)
{
    before_value(json);
    sink_write(json->sink, "\"", 1);
    while (*text) {
        char room[8], bytes[4];
        uint32_t code = utf8_next(&text);
        const char *escaped = code < 0x80 ? escape((unsigned char)code, room) : NULL;

        if (escaped)
            sink_text(json->sink, escaped);
        else
            sink_write(json->sink, bytes, utf8_encode(code, bytes));
    }
    sink_write(json->sink, "\"", 1);
}

/* By hand: most of a file is small numbers, and printf takes four times as long. */
static void write_digits(struct sink *sink, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    sink_write(sink, digits + at, sizeof(digits) - at);
}

void json_uint(struct json *json, uint64_t number)
{
    before_value(json);
    write_digits(json->sink, number);
}

void json_micros(struct json *json, uint64_t ns)
{
    unsigned rest = (unsigned)(ns % 1000);
    char decimals[4] = {'.', (char)('0' + rest / 100), (char)('0' + rest / 10 % 10),
                        (char)('0' + rest % 10)};

    json_uint(json, ns / 1000);
    if (rest)
        sink_write(json->sink, decimals, sizeof(decimals));
}

void json_newline(struct json *json)
{
    sink_text(json->sink, json->comma ? ",\n" : "\n");
    json->comma = false;
}

void json_key_string(struct json *json, const char *key, const char *text)
{
    json_key(json, key);
    json_string(json, text);
}

void json_key_uint(struct json *json, const char *key, uint64_t number)
{
    json_key(json, key);
    json_uint(json, number);
}

void json_key_real(struct json *json, const char *key, double number)
{
    json_key(json, key);
    before_value(json);
    if (isfinite(number))
        sink_addf(json->sink, "%.6g", number);
    else
        sink_text(json->sink, "null");
}

void json_key_bool(struct json *json, const char *key, bool value)
{
    json_key(json, key);
    before_value(json);
    sink_text(json->sink, value ? "true" : "false");
}
