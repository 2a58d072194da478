/* SPDX-License-Identifier: MIT */
#include "import_json.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/utf8.h"
#include "pspy/base/xmalloc.h"

#define STRING_LARGEST (16u << 20)
#define NUMBER_LENGTH  400

void json_input_init(struct json_input *json, struct input *input)
{
    *json = (struct json_input){.input = input, .text = STRBUF_INIT, .line = 1};
}

void json_input_deinit(struct json_input *json)
{
    strbuf_deinit(&json->text);
}

bool json_fail(struct json_input *json, const char *format, ...)
{
    cleanup(cleanup_free) char *text = NULL;
    va_list args;

    if (json->failed)
        return false;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        xmalloc_fail();
    va_end(args);
    json->failed = error_set(json->input->why, ERR_INVALID, "%s", text);
    return false;
}

bool json_failed_as(struct json_input *json, enum err code)
{
    json->failed = code;
    return false;
}

/* The input failed, or what comes is not what JSON demands. */
static bool unexpected(struct json_input *json, const char *wanted)
{
    int byte = input_peek(json->input);
    char found[16];

    if (json->input->failed)
        return json_failed_as(json, json->input->failed);
    if (byte == INPUT_END)
        return json_fail(json, "'%s' ends too early, in line %zu: make or fetch it anew",
                         json->input->name, json->line);
    snprintf(found, sizeof(found), isprint(byte) ? "'%c'" : "byte 0x%02x", (unsigned)byte);
    return json_fail(json,
                     "'%s' is not valid JSON: line %zu has %s where %s should be; make or fetch it "
                     "anew",
                     json->input->name, json->line, found, wanted);
}

/* The next byte that is no space; it stays. */
static int peek(struct json_input *json)
{
    int byte;

    if (json->failed)
        return INPUT_END;
    while ((byte = input_peek(json->input)) == ' ' || byte == '\t' || byte == '\n' ||
           byte == '\r') {
        json->line += byte == '\n';
        input_byte(json->input);
    }
    return byte;
}

static bool accept(struct json_input *json, char wanted)
{
    if (peek(json) != wanted)
        return false;
    input_byte(json->input);
    return true;
}

char json_kind(struct json_input *json)
{
    int byte = peek(json);

    if (byte == '-' || (byte >= '0' && byte <= '9'))
        return '0';
    if (byte > 0 && strchr("{[\"tfn", byte))
        return (char)byte;
    unexpected(json, "a value");
    return '\0';
}

/* ---- objects and arrays ------------------------------------------------------------------------
 */

bool json_enter(struct json_input *json, char kind)
{
    char wanted[] = {'\'', kind, '\'', '\0'};

    if (json->failed)
        return false;
    if (!accept(json, kind))
        return unexpected(json, wanted);
    if (json->depth == JSON_DEPTH)
        return json_fail(json, "'%s' is no profile: it has arrays in arrays over %d levels",
                         json->input->name, JSON_DEPTH);
    json->has_begun[json->depth++] = false;
    return true;
}

/* The comma, or the end of what was entered last. */
static bool next(struct json_input *json, char end)
{
    bool *has_begun;

    if (json->failed)
        return false;
    has_begun = &json->has_begun[json->depth - 1];
    if (accept(json, end)) {
        json->depth--;
        return false;
    }
    if (*has_begun && !accept(json, ','))
        return unexpected(json, "','");
    *has_begun = true;
    return true;
}

bool json_next_member(struct json_input *json)
{
    if (!next(json, '}') || !json_take_string(json))
        return false;
    return accept(json, ':') || unexpected(json, "':'");
}

bool json_next_element(struct json_input *json)
{
    return next(json, ']');
}

/* ---- strings -----------------------------------------------------------------------------------
 */

static bool read_hexadecimal(struct json_input *json, uint32_t *ret)
{
    *ret = 0;
    for (int i = 0; i < 4; i++) {
        int byte = input_peek(json->input);

        if (byte == INPUT_END || !isxdigit(byte))
            return unexpected(json, "four hexadecimal digits");
        *ret = *ret << 4 | (uint32_t)(isdigit(byte) ? byte - '0' : (byte | 0x20) - 'a' + 10);
        input_byte(json->input);
    }
    return true;
}

static void add_code(struct strbuf *text, uint32_t code)
{
    char bytes[4];

    strbuf_add(text, bytes, utf8_encode(code, bytes));
}

/* A half of a pair of surrogates without the other half is no character. */
static void flush_half(struct json_input *json, uint32_t *high)
{
    if (*high)
        add_code(&json->text, UTF8_REPLACEMENT);
    *high = 0;
}

/* Behind "\u". */
static bool read_code(struct json_input *json, uint32_t *high)
{
    uint32_t code;

    if (!read_hexadecimal(json, &code))
        return false;
    if (*high && code >= 0xdc00 && code < 0xe000) {
        add_code(&json->text, 0x10000 + ((*high - 0xd800) << 10) + (code - 0xdc00));
        *high = 0;
        return true;
    }
    flush_half(json, high);
    if (code >= 0xd800 && code < 0xdc00)
        *high = code;
    else
        add_code(&json->text, code >= 0xdc00 && code < 0xe000 ? UTF8_REPLACEMENT : code);
    return true;
}

/* Behind a backslash. */
static bool read_escape(struct json_input *json, uint32_t *high)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    int byte = input_peek(json->input);
    const char *found = byte > 0 ? strchr(letters, byte) : NULL;

    if (byte != 'u' && !found)
        return unexpected(json, "an escape sequence");
    input_byte(json->input);
    if (byte == 'u')
        return read_code(json, high);
    flush_half(json, high);
    strbuf_add_char(&json->text, meant[found - letters]);
    return true;
}

/* Adds what stands up to the next quote, backslash or control character. */
static void add_plain(struct json_input *json)
{
    struct input *input = json->input;
    size_t start = input->at;

    while (input->at < input->length && input->bytes[input->at] != '"' &&
           input->bytes[input->at] != '\\' && input->bytes[input->at] >= 0x20)
        input->at++;
    strbuf_add(&json->text, input->bytes + start, input->at - start);
}

bool json_take_string(struct json_input *json)
{
    uint32_t high = 0;

    if (json->failed)
        return false;
    strbuf_reset(&json->text);
    if (!accept(json, '"'))
        return unexpected(json, "a string");
    while (json->text.length <= STRING_LARGEST) {
        int byte = input_peek(json->input);

        if (byte < 0x20) /* INPUT_END, too */
            return unexpected(json, "the end of a string");
        if (byte == '\\') {
            input_byte(json->input);
            if (!read_escape(json, &high))
                return false;
            continue;
        }
        flush_half(json, &high);
        if (byte == '"') {
            input_byte(json->input);
            return true;
        }
        add_plain(json);
    }
    return json_fail(json, "'%s' is no profile: line %zu has a text of over %u MB",
                     json->input->name, json->line, STRING_LARGEST >> 20);
}

/* ---- other values ------------------------------------------------------------------------------
 */

static bool is_part_of_number(int byte)
{
    return byte > 0 && strchr("+-.eE0123456789", byte);
}

/* As strtod has it, which takes more than JSON allows: "01". It matters to no one here. */
bool json_number(struct json_input *json, double *ret)
{
    char text[NUMBER_LENGTH + 1], *end;
    size_t length = 0;

    if (json->failed)
        return false;
    peek(json);
    while (length < NUMBER_LENGTH && is_part_of_number(input_peek(json->input)))
        text[length++] = (char)input_byte(json->input);
    text[length] = '\0';
    *ret = strtod(text, &end);
    if (!length)
        return unexpected(json, "a number");
    if (*end)
        return json_fail(json, "'%s' is not valid JSON: line %zu has no number in '%.40s'",
                         json->input->name, json->line, text);
    return true;
}

static bool skip_word(struct json_input *json)
{
    static const char *const words[] = {"true", "false", "null"};
    char kind = json_kind(json);

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (kind == words[i][0]) {
            for (const char *at = words[i]; *at; at++)
                if (input_peek(json->input) != *at)
                    return unexpected(json, words[i]);
                else
                    input_byte(json->input);
            return true;
        }
    return false;
}

bool json_skip(struct json_input *json)
{
    double number;

    switch (json_kind(json)) {
    case '{':
        json_enter(json, '{');
        while (json_next_member(json))
            json_skip(json);
        break;
    case '[':
        json_enter(json, '[');
        while (json_next_element(json))
            json_skip(json);
        break;
    case '"':
        return json_take_string(json);
    case '0':
        return json_number(json, &number);
    default:
        return skip_word(json);
    }
    return !json->failed;
}

bool json_end(struct json_input *json)
{
    if (json->failed)
        return false;
    if (peek(json) != INPUT_END || json->input->failed)
        return unexpected(json, "the end of the file");
    return true;
}
