/* SPDX-License-Identifier: MIT */
/*
 * The frame of a recording: header, chunks, checksums. Every length is bounded before room is made
 * for it. What a chunk says is recording_rows.c's; each row that joins a table is counted against
 * what a file of that length may take of our memory, because deflate makes a thousand bytes of one.
 */
#include <errno.h>
#include <string.h>
#include <zlib.h>

#include "pspy/base/clock.h"
#include "recording_reader.h"

#define STORED_LARGEST (CHUNK_LARGEST + 65536) /* packed bytes can be a few more than raw ones */
/* A recursion of a million frames packs into a few kilobytes and takes 60 MB. */
#define MEMORY_FREE     ((uint64_t)96 << 20)
#define MEMORY_PER_BYTE 1024 /* of the file, beside that */

/* Why reading has ended. */
enum outcome {
    WHOLE,
    CUT,      /* the bytes end within a chunk, or before the last one */
    DAMAGED,  /* they are not what was written */
    UNKNOWN,  /* a later version's */
    NO_INPUT, /* they cannot be read */
};

struct chunk_header {
    unsigned type, flags;
    uint32_t stored, raw, crc;
    uint32_t own_crc; /* of the header's bytes before the checksum */
};

bool recording_is(const void *bytes, size_t length)
{
    return length >= RECORDING_MAGIC_LENGTH &&
           memcmp(bytes, RECORDING_MAGIC, RECORDING_MAGIC_LENGTH) == 0;
}

/* Up to `size` bytes, fewer only at the end; -1: an error. */
static ssize_t read_all(const struct recording_input *input, void *room, size_t size)
{
    size_t done = 0;

    while (done < size) {
        ssize_t got = input->read(input->context, (char *)room + done, size - done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

static uint32_t little_endian(const unsigned char *bytes, size_t length)
{
    uint32_t number = 0;

    for (size_t i = length; i-- > 0;)
        number = number << 8 | bytes[i];
    return number;
}

static enum outcome read_exactly(const struct recording_input *input, void *room, size_t size)
{
    ssize_t got = read_all(input, room, size);

    return got < 0 ? NO_INPUT : (size_t)got < size ? CUT : WHOLE;
}

static enum outcome read_chunk_header(const struct recording_input *input, struct chunk_header *ret)
{
    unsigned char bytes[CHUNK_HEADER];
    enum outcome outcome = read_exactly(input, bytes, sizeof(bytes));

    if (outcome != WHOLE)
        return outcome;
    *ret = (struct chunk_header){.type = bytes[0],
                                 .flags = bytes[1],
                                 .stored = little_endian(bytes + 2, 3),
                                 .raw = little_endian(bytes + 5, 3),
                                 .crc = little_endian(bytes + 8, 4),
                                 .own_crc = (uint32_t)crc32(0, bytes, 8)};
    return ret->raw > CHUNK_LARGEST || ret->stored > STORED_LARGEST ? DAMAGED : WHOLE;
}

/* Goes on in the stream of deflate. `stored` has room for the bytes of a flush behind its own, and
 * `raw` for one byte more than there should be. */
static bool unpack(z_stream *stream, const struct chunk_header *header, unsigned char *stored,
                   unsigned char *raw)
{
    memcpy(stored + header->stored, FLUSH_BYTES, FLUSH_LENGTH);
    stream->next_in = stored;
    stream->avail_in = header->stored + FLUSH_LENGTH;
    stream->next_out = raw;
    stream->avail_out = header->raw + 1;
    return inflate(stream, Z_SYNC_FLUSH) == Z_OK && stream->avail_in == 0 && stream->avail_out == 1;
}

static enum outcome take_chunk(struct reader *reader, z_stream *stream,
                               const struct chunk_header *header, unsigned char *stored)
{
    unsigned char *raw = xmalloc(header->raw + 1u);
    struct chunk_bytes bytes = {.at = raw, .end = raw + header->raw};
    enum outcome outcome = DAMAGED;

    reader->memory_limit += (uint64_t)MEMORY_PER_BYTE * (CHUNK_HEADER + header->stored);
    if (crc32(header->own_crc, stored, header->stored) == header->crc &&
        unpack(stream, header, stored, raw) &&
        reader_take_chunk(reader, header->type, header->flags, &bytes))
        outcome = reader->is_unknown ? UNKNOWN : WHOLE;
    free(raw);
    return outcome;
}

static enum outcome read_chunk(struct reader *reader, z_stream *stream,
                               const struct recording_input *input)
{
    struct chunk_header header;
    enum outcome outcome = read_chunk_header(input, &header);
    unsigned char *stored;

    if (outcome != WHOLE)
        return outcome;
    stored = xmalloc(header.stored + FLUSH_LENGTH);
    outcome = read_exactly(input, stored, header.stored);
    if (outcome == WHOLE)
        outcome = take_chunk(reader, stream, &header, stored);
    free(stored);
    return outcome;
}

/* ---- the file ----------------------------------------------------------------------------------
 */

static enum err read_header(const struct recording_input *input, struct error *why)
{
    unsigned char bytes[HEADER_SIZE] = {0};
    ssize_t got = read_all(input, bytes, sizeof(bytes));

    if (got < 0)
        return error_set_errno(why, errno, "the recording cannot be read");
    if (got == 0)
        return error_set(why, ERR_INVALID,
                         "the recording is empty: pspy ended before it wrote anything");
    if (bytes[0] == 0x1f && bytes[1] == 0x8b)
        return error_set(why, ERR_INVALID,
                         "the recording is compressed: unpack it with 'gunzip' first");
    if (got < HEADER_SIZE || !recording_is(bytes, sizeof(bytes)))
        return error_set(why, ERR_INVALID,
                         "this is no recording of pspy: it begins with other bytes; give a file "
                         "that 'pspy record -o x.pspy' has written");
    if (little_endian(bytes + RECORDING_MAGIC_LENGTH, 2) != RECORDING_MAJOR)
        return error_set(why, ERR_UNSUPPORTED,
                         "the recording is of version %u, and this pspy reads version %d: read it "
                         "with the pspy that wrote it, or a later one",
                         little_endian(bytes + RECORDING_MAGIC_LENGTH, 2), RECORDING_MAJOR);
    return ERR_OK;
}

/* How far a recording reads that does not end as it should. */
static void warn(const struct profile *profile, enum outcome outcome, struct strbuf *warning)
{
    const struct samples *samples = &profile->samples;
    uint64_t end = samples->length ? samples->items[samples->length - 1].time : 0;
    double seconds = (double)end / (double)NS_PER_SECOND;

    if (outcome == DAMAGED)
        strbuf_addf(warning,
                    "the recording is damaged: only the %zu samples of the %.1f s before that "
                    "place are read",
                    samples->length, seconds);
    else
        strbuf_addf(warning,
                    "the recording is cut off after %zu samples in %.1f s: pspy was killed, or "
                    "still writes it",
                    samples->length, seconds);
}

static void reader_deinit(struct reader *reader)
{
    vec_deinit(&reader->strings);
    vec_deinit(&reader->frames);
    vec_deinit(&reader->stacks);
    vec_deinit(&reader->traits);
    vec_deinit(&reader->leaves);
}

/* Takes chunks until one of them is the last, or cannot be read. */
static enum outcome read_chunks(struct reader *reader, const struct recording_input *input)
{
    enum outcome outcome = WHOLE;
    z_stream stream = {0};

    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
        xmalloc_fail();
    vec_push(&reader->strings, STRING_EMPTY);
    vec_push(&reader->stacks, STACK_EMPTY);
    while (outcome == WHOLE && !reader->has_ended)
        outcome = read_chunk(reader, &stream, input);
    inflateEnd(&stream);
    return outcome;
}

enum err recording_read(const struct recording_input *input, struct profile *ret,
                        struct strbuf *warning, struct error *why)
{
    struct reader reader = {.profile = ret, .memory_limit = MEMORY_FREE};
    enum err err = read_header(input, why);
    enum outcome outcome;

    if (err != ERR_OK)
        return err;
    outcome = read_chunks(&reader, input);
    reader_deinit(&reader);
    ret->settled = ret->samples.length;
    if (outcome == NO_INPUT)
        return error_set_errno(why, errno, "the recording cannot be read to its end");
    if (outcome == UNKNOWN)
        return error_set(why, ERR_UNSUPPORTED,
                         "the recording has parts that this pspy does not know: read it with the "
                         "pspy that wrote it, or a later one");
    if (outcome != WHOLE) {
        ret->facts.end = RECORDING_CUT_OFF;
        warn(ret, outcome, warning);
    }
    return ERR_OK;
}
