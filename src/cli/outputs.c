/* SPDX-License-Identifier: MIT */
#include "pspy/cli/outputs.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void outputs_deinit(output_requests *outputs)
{
    vec_each (output, outputs) {
        recording_writer_destroy(output->recording);
        sink_abort(output->sink);
        free(output->path);
    }
    vec_deinit(outputs);
}

/* ---- formats ---- */

static bool is_plain_name(const char *name)
{
    return strcmp(name, "-") != 0 && strncmp(name, "/dev/", 5) != 0;
}

const struct output_format *outputs_format(const char *name, const struct choice *format,
                                           bool may_guess, bool *ret_gzip, bool *ret_is_guess,
                                           struct error *why)
{
    const struct output_format *found = output_format_by_path(name, ret_gzip);

    *ret_is_guess = false;
    if (format)
        found = output_format_by_name(format->name);
    if (!found && may_guess) {
        *ret_is_guess = is_plain_name(name) && *name;
        return &output_formats[0];
    }
    if (!found)
        error_set(why, ERR_INVALID,
                  "'%s' names no format: give a name such as x.svg, x.speedscope.json, x.txt or "
                  "x.pspy, or choose one with -f",
                  name);
    else if (*ret_gzip && strcmp(found->name, "pspy") == 0) {
        error_set(why, ERR_INVALID, "'%s': a recording is compressed already: leave out the .gz",
                  name);
        found = NULL;
    }
    return found;
}

enum err outputs_choose(const option_list *texts, const struct choice *format, bool may_guess,
                        output_requests *ret, struct error *why)
{
    if (format && texts->length > 1)
        return error_set(why, ERR_INVALID,
                         "-f %s is for one -o, and there are %zu: leave -f out, and let the "
                         "suffix of each name say its format",
                         format->name, texts->length);
    for (size_t i = 0; i == 0 || i < texts->length; i++) {
        struct output_request output = {.text = texts->length ? texts->items[i] : NULL};
        const char *name = output.text ? output.text : "";

        output.format =
            outputs_format(name, format, may_guess, &output.gzip, &output.format_is_guess, why);
        if (!output.format)
            return ERR_INVALID;
        vec_push(ret, output);
    }
    return ERR_OK;
}

bool outputs_have(const output_requests *outputs, const char *format)
{
    vec_each (output, outputs)
        if (strcmp(output->format->name, format) == 0)
            return true;
    return false;
}

/* ---- paths ---- */

static bool is_same_file(const char *a, const char *b)
{
    struct stat first, second;

    if (!is_plain_name(a) || !is_plain_name(b))
        return strcmp(a, b) == 0;
    if (stat(a, &first) == 0 && stat(b, &second) == 0)
        return S_ISREG(first.st_mode) && first.st_dev == second.st_dev &&
               first.st_ino == second.st_ino;
    return strcmp(a, b) == 0;
}

enum err outputs_check(const output_requests *outputs, const char *input, struct error *why)
{
    for (size_t i = 0; i < outputs->length; i++) {
        const char *path = outputs->items[i].path;

        if (input && is_plain_name(path) && is_same_file(path, input))
            return error_set(why, ERR_INVALID,
                             "'%s' is the file that is read: give -o another name", path);
        for (size_t j = 0; j < i; j++)
            if (is_same_file(path, outputs->items[j].path))
                return error_set(why, ERR_INVALID,
                                 "'%s' and '%s' are one file: give each -o a name of its own",
                                 outputs->items[j].path, path);
    }
    return ERR_OK;
}

static bool is_recording(const struct output_request *output)
{
    return strcmp(output->format->name, "pspy") == 0;
}

static bool write_chunk(void *context, const void *bytes, size_t length)
{
    struct sink *sink = context;

    sink_write(sink, bytes, length);
    sink_flush(sink);
    return !sink_failed(sink);
}

enum err output_open(struct output_request *output, const struct sudo_user *owner,
                     struct error *why)
{
    enum err err = sink_open(output->path, output->gzip, &output->sink, why);

    if (err == ERR_OK && owner)
        err = sink_chown(output->sink, owner->uid, owner->gid, why);
    if (err == ERR_OK && is_recording(output))
        output->recording = recording_writer_create(write_chunk, output->sink);
    return err;
}

/* ---- writing ---- */

enum err outputs_update(output_requests *outputs, const struct profile *profile, struct error *why)
{
    enum err err = ERR_OK;

    vec_each (output, outputs) {
        if (!output->recording || err != ERR_OK)
            continue;
        /* What cannot be written is told at the end, when the others have their profile. */
        recording_write(output->recording, profile);
        err = sink_appear(output->sink, why);
    }
    return err;
}

static enum err finish(struct output_request *output, const struct view *view,
                       const struct output_options *options, struct error *why)
{
    struct sink *sink = output->sink;
    enum err err = ERR_OK;

    output->sink = NULL;
    if (output->recording)
        recording_finish(output->recording, view->profile);
    else
        err = output->format->write(view, options, sink, why);
    if (err == ERR_OK)
        return sink_commit(sink, why);
    sink_abort(sink);
    return err;
}

enum err outputs_write(output_requests *outputs, const struct view *view,
                       const struct output_options *options, struct error *why)
{
    enum err err = ERR_OK;

    vec_each (output, outputs) {
        struct error own = ERROR_INIT;
        enum err one = finish(output, view, options, &own);

        if (one != ERR_OK && err == ERR_OK) {
            err = one;
            *why = own;
        }
    }
    return err;
}
