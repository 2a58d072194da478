/* SPDX-License-Identifier: MIT */
#include "pspy/profile/import.h"

#include <string.h>

#include "import_internal.h"
#include "pspy/base/cleanup.h"
#include "pspy/profile/paths.h"
#include "pspy/profile/recording.h"

enum kind {
    KIND_UNKNOWN,
    KIND_EMPTY,
    KIND_RECORDING,
    KIND_JSON,
    KIND_FOLDED,
};

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

/* ---- what it is --------------------------------------------------------------------------------
 */

static struct slice skip_spaces(struct slice text)
{
    while (text.length && strchr(" \t\r\n", text.text[0]) && text.text[0]) {
        text.text++;
        text.length--;
    }
    return text;
}

/* An object or an array; names of frames may begin with the same brackets, but not with two. */
static bool is_json(struct slice text)
{
    char first = text.text[0];

    if (first != '{' && first != '[')
        return false;
    text.text++;
    text.length--;
    text = skip_spaces(text);
    return text.length && strchr(first == '{' ? "\"}" : "{[\"", text.text[0]) && text.text[0];
}

/* The first line that is no comment ends in a number, or does not end within the window. */
static bool is_folded(struct slice text)
{
    while (text.length) {
        const char *end = memchr(text.text, '\n', text.length);
        struct slice line = {text.text, end ? (size_t)(end - text.text) : text.length};

        if (!end && text.length >= INPUT_WINDOW / 2)
            return true;
        if (line.length && line.text[line.length - 1] == '\r')
            line.length--;
        if (skip_spaces(line).length && line.text[0] != '#')
            return import_is_folded(line);
        text.text += line.length;
        text.length -= line.length;
        text = skip_spaces(text);
    }
    return true; /* nothing but comments: Austin's, of a run without samples */
}

static enum kind find_kind(const struct input *input)
{
    struct slice text = {(const char *)input->bytes + input->at, input->length - input->at};

    if (recording_is(text.text, text.length))
        return KIND_RECORDING;
    text = skip_spaces(text);
    if (!text.length)
        return KIND_EMPTY;
    if (is_json(text))
        return KIND_JSON;
    return is_folded(text) ? KIND_FOLDED : KIND_UNKNOWN;
}

static void skip_byte_order_mark(struct input *input)
{
    size_t length = strlen(BYTE_ORDER_MARK);

    if (input->length - input->at >= length &&
        !memcmp(input->bytes + input->at, BYTE_ORDER_MARK, length))
        input->at += length;
}

/* ---- reading it --------------------------------------------------------------------------------
 */

static ssize_t read_input(void *context, void *room, size_t size)
{
    return input_read(context, room, size);
}

static enum err read_recording(struct input *input, struct profile *ret, struct strbuf *warning)
{
    struct recording_input bytes = {.read = read_input, .context = input};

    if (input->is_packed)
        return error_set(input->why, ERR_UNSUPPORTED,
                         "'%s' is a recording packed by gzip: gunzip it first", input->name);
    return recording_read(&bytes, ret, warning, input->why);
}

static void importer_deinit(struct importer *importer)
{
    strings_deinit(&importer->labels);
    vec_deinit(&importer->label_frames);
    strings_deinit(&importer->roots);
    vec_deinit(&importer->root_threads);
    strings_deinit(&importer->chains);
    vec_deinit(&importer->chain_programs);
    vec_deinit(&importer->totals);
    table_deinit(&importer->total_index);
    vec_deinit(&importer->samples);
}

static enum err read_other(struct input *input, enum kind kind, struct profile *ret,
                           struct strbuf *warning)
{
    struct importer importer = {
        .input = input, .profile = ret, .warning = warning, .why = input->why};
    enum err code;

    strings_init(&importer.labels);
    strings_init(&importer.roots);
    strings_init(&importer.chains);
    code = kind == KIND_JSON ? import_speedscope(&importer) : import_folded(&importer);
    if (!code)
        import_finish(&importer);
    importer_deinit(&importer);
    if (!code && !ret->facts.title.v && input->is_file)
        ret->facts.title = profile_string(ret, path_base(input->name));
    return code;
}

static enum err read_kind(struct input *input, struct profile *ret, struct strbuf *warning)
{
    enum kind kind;

    skip_byte_order_mark(input);
    kind = find_kind(input);
    switch (kind) {
    case KIND_RECORDING:
        return read_recording(input, ret, warning);
    case KIND_JSON:
    case KIND_FOLDED:
        return read_other(input, kind, ret, warning);
    case KIND_EMPTY:
        return error_set(input->why, ERR_INVALID, "'%s' is empty: record again", input->name);
    default:
        return error_set(
            input->why, ERR_INVALID,
            "'%s' is nothing that pspy reads: its own recordings (.pspy), speedscope's "
            "JSON, and folded stacks, lines like \"main;work;sum 12\"; the latter two "
            "also packed by gzip",
            input->name);
    }
}

enum err profile_import(const char *path, struct profile *ret, struct strbuf *warning,
                        struct error *why)
{
    struct error unasked = ERROR_INIT;
    cleanup(input_close) struct input input;
    enum err code = input_open(&input, path, why ? why : &unasked);

    return code ? code : read_kind(&input, ret, warning);
}
