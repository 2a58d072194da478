/* SPDX-License-Identifier: MIT */
/* The bytes of a file, a pipe or standard input, unpacked where they are gzip's. */
#ifndef PSPY_PROFILE_IMPORT_INPUT_H
#define PSPY_PROFILE_IMPORT_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <zlib.h>

#include "pspy/base/error.h"
#include "pspy/base/strbuf.h"

#define INPUT_WINDOW 65536
#define INPUT_END    (-1) /* of input_byte: the end, or an error that input->failed tells */

struct input {
    int fd;
    const char *name;           /* for messages */
    unsigned char *raw, *bytes; /* windows: as the file has them; unpacked. One where not packed */
    size_t raw_at, raw_length;
    size_t at, length; /* in `bytes` */
    z_stream stream;
    bool is_file; /* not standard input */
    bool is_packed, in_member, is_at_end;
    uint64_t taken; /* bytes of the file so far */
    enum err failed;
    struct error *why;
};

/* `path` "-" is standard input. Opens, and has as much at hand as a window holds. */
enum err input_open(struct input *ret, const char *path, struct error *why);
void input_close(struct input *input);
/* Puts what follows behind what is at hand, as far as there is room; false: nothing joined. */
bool input_fill(struct input *input);
/* Up to `size` bytes; 0: the end; -1: an error. */
ssize_t input_read(struct input *input, void *room, size_t size);

/* The next byte, which stays there, or INPUT_END. */
static inline int input_peek(struct input *input)
{
    if (input->at == input->length && !input_fill(input))
        return INPUT_END;
    return input->bytes[input->at];
}

static inline int input_byte(struct input *input)
{
    int byte = input_peek(input);

    input->at += byte != INPUT_END;
    return byte;
}

/*
 * The next line without its end; false: there is none, or an error that input->failed tells, as for
 * a line that is longer than `limit`.
 */
bool input_line(struct input *input, struct strbuf *line, size_t limit);

#endif
