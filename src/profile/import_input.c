/* SPDX-License-Identifier: MIT */
#include "import_input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pspy/base/xmalloc.h"

static bool fail(struct input *input, enum err code)
{
    input->failed = code;
    return false;
}

/* Adds to the window of raw bytes; false: the end, or an error. */
static bool fill_raw(struct input *input, size_t *length)
{
    ssize_t got;

    do
        got = read(input->fd, input->raw + *length, INPUT_WINDOW - *length);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return fail(input, error_set_errno(input->why, errno, "cannot read '%s'", input->name));
    input->is_at_end = got == 0;
    *length += (size_t)got;
    input->taken += (uint64_t)got;
    return got > 0;
}

/* ---- gzip --------------------------------------------------------------------------------------
 */

static bool begins_member(const struct input *input)
{
    return input->raw_length - input->raw_at >= 2 && input->raw[input->raw_at] == 0x1f &&
           input->raw[input->raw_at + 1] == 0x8b;
}

static bool has_raw(struct input *input, size_t wanted)
{
    size_t left = input->raw_length - input->raw_at;

    if (left < wanted && input->raw_at) {
        memmove(input->raw, input->raw + input->raw_at, left);
        input->raw_length = left;
        input->raw_at = 0;
    }
    while (left < wanted && !input->is_at_end && fill_raw(input, &input->raw_length))
        left = input->raw_length - input->raw_at;
    return left >= wanted;
}

/* What follows the last member is nothing to unpack: gunzip leaves it out, too. */
static bool begin_member(struct input *input)
{
    if (!has_raw(input, 2) || !begins_member(input))
        return false;
    input->in_member = true;
    return inflateReset(&input->stream) == Z_OK;
}

static bool damaged(struct input *input)
{
    return fail(input, error_set(input->why, ERR_INVALID,
                                 "'%s' is packed by gzip and damaged (%s): make or fetch it anew",
                                 input->name,
                                 input->stream.msg ? input->stream.msg : "its data make no sense"));
}

/* One step: some bytes more, or the end of a member. False: an error, or the end. */
static bool inflate_step(struct input *input)
{
    z_stream *stream = &input->stream;
    int got;

    if (!input->in_member && !begin_member(input))
        return false;
    if (!has_raw(input, 1))
        return input->failed ? false
                             : fail(input, error_set(input->why, ERR_INVALID,
                                                     "'%s' is packed by gzip and ends too early: "
                                                     "make or fetch it anew",
                                                     input->name));
    stream->next_in = input->raw + input->raw_at;
    stream->avail_in = (uInt)(input->raw_length - input->raw_at);
    stream->next_out = input->bytes + input->length;
    stream->avail_out = (uInt)(INPUT_WINDOW - input->length);
    got = inflate(stream, Z_NO_FLUSH);
    input->raw_at = input->raw_length - stream->avail_in;
    input->length = INPUT_WINDOW - stream->avail_out;
    input->in_member = got != Z_STREAM_END;
    return got == Z_OK || got == Z_STREAM_END || got == Z_BUF_ERROR ? true : damaged(input);
}

static bool fill_unpacked(struct input *input)
{
    size_t before = input->length;

    while (input->length == before && inflate_step(input))
        ;
    return input->length > before;
}

/* ---- opening and reading -----------------------------------------------------------------------
 */

bool input_fill(struct input *input)
{
    size_t left = input->length - input->at;

    if (input->failed)
        return false;
    if (input->at) {
        memmove(input->bytes, input->bytes + input->at, left);
        input->length = left;
        input->at = 0;
    }
    if (left == INPUT_WINDOW)
        return false;
    return input->is_packed ? fill_unpacked(input) : fill_raw(input, &input->length);
}

static enum err begin_unpacking(struct input *input)
{
    input->is_packed = true;
    input->bytes = xmalloc(INPUT_WINDOW);
    input->raw_length = input->length;
    input->length = 0;
    if (inflateInit2(&input->stream, 15 + 16) != Z_OK)
        xmalloc_fail();
    return ERR_OK;
}

static enum err open_file(struct input *input, const char *path, struct error *why)
{
    if (!input->is_file)
        input->fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
    else
        input->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    return input->fd < 0 ? error_set_errno(why, errno, "cannot open '%s'", input->name) : ERR_OK;
}

enum err input_open(struct input *ret, const char *path, struct error *why)
{
    enum err code;

    *ret = (struct input){.name = path, .is_file = strcmp(path, "-") != 0, .why = why};
    if (!ret->is_file)
        ret->name = "standard input";
    code = open_file(ret, path, why);
    if (code)
        return code;
    ret->raw = ret->bytes = xmalloc(INPUT_WINDOW);
    while (ret->length < 2 && input_fill(ret))
        ;
    if (ret->length >= 2 && ret->bytes[0] == 0x1f && ret->bytes[1] == 0x8b)
        begin_unpacking(ret);
    while (input_fill(ret))
        ;
    return ret->failed;
}

void input_close(struct input *input)
{
    if (input->fd >= 0)
        close(input->fd);
    if (input->is_packed) {
        inflateEnd(&input->stream);
        free(input->bytes);
    }
    free(input->raw);
    *input = (struct input){.fd = -1};
}

ssize_t input_read(struct input *input, void *room, size_t size)
{
    size_t left;

    if (input_peek(input) == INPUT_END)
        return input->failed ? -1 : 0;
    left = input->length - input->at;
    if (size > left)
        size = left;
    memcpy(room, input->bytes + input->at, size);
    input->at += size;
    return (ssize_t)size;
}

bool input_line(struct input *input, struct strbuf *line, size_t limit)
{
    const unsigned char *end = NULL;

    strbuf_reset(line);
    while (!end && input_peek(input) != INPUT_END) {
        const unsigned char *start = input->bytes + input->at;
        size_t left = input->length - input->at;

        end = memchr(start, '\n', left);
        if (end)
            left = (size_t)(end - start);
        strbuf_add(line, start, left);
        input->at += left + (end != NULL);
        if (line->length > limit)
            return fail(input, error_set(input->why, ERR_INVALID,
                                         "'%s' has a line of over %zu MB: it is no profile",
                                         input->name, limit >> 20));
    }
    if (line->length && line->text[line->length - 1] == '\r')
        strbuf_truncate(line, line->length - 1);
    return end || (line->length && !input->failed);
}
