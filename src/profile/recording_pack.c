/* SPDX-License-Identifier: MIT */
/*
 * Chunks on their way out. Their bytes are one stream of deflate, flushed at each chunk's end: a
 * chunk of one second at a low rate is too small to be packed by itself. Where bytes of another
 * kind begin, a block of deflate begins too, because each block has the codes that suit its bytes.
 */
#include <assert.h>
#include <string.h>

#include "recording_writer.h"

#define SHORTEST_BLOCK 256 /* the codes of a block take some 60 bytes themselves */

void recording_packer_init(struct recording_packer *packer)
{
    *packer = (struct recording_packer){0};
    /* Negative: no header and checksum of zlib's. */
    if (deflateInit2(&packer->stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        xmalloc_fail();
}

void recording_packer_deinit(struct recording_packer *packer)
{
    deflateEnd(&packer->stream);
    strbuf_deinit(&packer->packed);
}

void recording_put(struct strbuf *out, uint64_t number)
{
    while (number >= 0x80) {
        strbuf_add_char(out, (char)(number | 0x80));
        number >>= 7;
    }
    strbuf_add_char(out, (char)number);
}

void recording_put_fixed(struct strbuf *out, uint64_t number, size_t bytes)
{
    for (; bytes > 0; bytes--, number >>= 8)
        strbuf_add_char(out, (char)number);
}

void recording_hand_over(struct recording_writer *writer, const struct strbuf *bytes)
{
    if (!writer->has_failed)
        writer->has_failed = !writer->write(writer->context, bytes->text, bytes->length);
}

void recording_cut(struct recording_writer *writer)
{
    struct recording_packer *packer = &writer->packer;
    size_t last = packer->cut_count ? packer->cuts[packer->cut_count - 1] : 0;

    if (writer->raw.length - last >= SHORTEST_BLOCK && packer->cut_count < CUTS_MOST)
        packer->cuts[packer->cut_count++] = writer->raw.length;
}

/* Packs what is given, and ends it with `flush`. */
static void pack(struct recording_packer *packer, const char *bytes, size_t length, int flush)
{
    z_stream *stream = &packer->stream;

    /* zlib asks for a pointer that is not const, and writes to nothing behind it. */
    memcpy(&stream->next_in, &bytes, sizeof(bytes));
    stream->avail_in = (uInt)length;
    do {
        char room[16384];

        stream->next_out = (Bytef *)room;
        stream->avail_out = sizeof(room);
        deflate(stream, flush);
        strbuf_add(&packer->packed, room, sizeof(room) - stream->avail_out);
    } while (stream->avail_out == 0);
    assert(stream->avail_in == 0);
}

/* Behind the room for a header, without the bytes by which each flush ends. */
static void pack_chunk(struct recording_packer *packer, const struct strbuf *raw)
{
    size_t at = 0;

    strbuf_reset(&packer->packed);
    recording_put_fixed(&packer->packed, 0, CHUNK_HEADER);
    for (size_t i = 0; i < packer->cut_count; at = packer->cuts[i++])
        pack(packer, raw->text + at, packer->cuts[i] - at, Z_BLOCK);
    packer->cut_count = 0;
    pack(packer, raw->text + at, raw->length - at, Z_SYNC_FLUSH);
    assert(packer->packed.length >= CHUNK_HEADER + FLUSH_LENGTH);
    strbuf_truncate(&packer->packed, packer->packed.length - FLUSH_LENGTH);
}

void recording_end_chunk(struct recording_writer *writer, enum chunk_type type, unsigned flags)
{
    struct strbuf *packed = &writer->packer.packed, header = STRBUF_INIT;
    uint32_t crc;

    assert(writer->raw.length <= CHUNK_LARGEST);
    pack_chunk(&writer->packer, &writer->raw);
    recording_put_fixed(&header, type, 1);
    recording_put_fixed(&header, flags, 1);
    recording_put_fixed(&header, packed->length - CHUNK_HEADER, 3);
    recording_put_fixed(&header, writer->raw.length, 3);
    crc = (uint32_t)crc32(0, (const Bytef *)header.text, (uInt)header.length);
    crc = (uint32_t)crc32(crc, (const Bytef *)packed->text + CHUNK_HEADER,
                          (uInt)(packed->length - CHUNK_HEADER));
    recording_put_fixed(&header, crc, 4);
    memcpy(packed->text, header.text, CHUNK_HEADER);
    recording_hand_over(writer, packed);
    strbuf_deinit(&header);
    strbuf_reset(&writer->raw);
}
