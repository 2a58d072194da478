/* SPDX-License-Identifier: MIT */
/*
 * liblzma, not a decoder of our own nor dlopen: libdw needs it anyway, so wherever pspy runs it is
 * there, and libdw's development package brings its headers.
 */
#include "minidebug.h"

#include <lzma.h>

#include "section.h"

#define SIZE_LIMIT   (64u << 20)  /* of the unpacked file; that of a whole clang is 5 MB */
#define MEMORY_LIMIT (256u << 20) /* of the decoder: xz -9 asks for 65 MB */

/* Unpacks until the end of the data, or until SIZE_LIMIT. */
static bool run(lzma_stream *stream, struct strbuf *ret)
{
    lzma_ret state = LZMA_OK;

    while (state == LZMA_OK && ret->length < SIZE_LIMIT) {
        size_t room;

        strbuf_reserve(ret, 65536);
        room = ret->capacity - ret->length - 1;
        stream->next_out = (uint8_t *)ret->text + ret->length;
        stream->avail_out = room;
        state = lzma_code(stream, LZMA_FINISH);
        ret->length += room - stream->avail_out;
    }
    return state == LZMA_STREAM_END;
}

bool minidebug_unpack(Elf *elf, struct strbuf *ret)
{
    lzma_stream stream = LZMA_STREAM_INIT;
    Elf_Data *data;
    GElf_Shdr header;
    Elf_Scn *section;
    bool is_whole;

    if (!section_find(elf, ".gnu_debugdata", &section, &header) ||
        !(data = section_data(section, &header)) ||
        lzma_stream_decoder(&stream, MEMORY_LIMIT, 0) != LZMA_OK)
        return false;
    stream.next_in = data->d_buf;
    stream.avail_in = data->d_size;
    is_whole = run(&stream, ret);
    ret->text[ret->length] = '\0';
    lzma_end(&stream);
    return is_whole;
}
