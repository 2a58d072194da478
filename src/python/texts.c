/* SPDX-License-Identifier: MIT */
/*
 * Copies of the names of code objects, taken with the heads while the thread stands still: of a
 * module or an exec'd text that ends within milliseconds there is nothing left to read later.
 *
 * They are copied for code objects that are not in the cache yet. Up to 3.11 they are copied
 * always, as they also tell code objects apart: a program that compiles much alike (templates,
 * exec) gets back not only the code object's memory but that of its file name, its name and its
 * line table too; all pointers are the same then, and only the texts differ. From 3.12 on each code
 * object has a version of its own.
 */
#include <stdbool.h>
#include <string.h>

#include "code.h"
#include "pspy/python/object.h"
#include "pspy/python/python.h"

#define BATCH 64 /* places in one system call */

static uint64_t word_at(const unsigned char *bytes, size_t at)
{
    uint64_t word;

    memcpy(&word, bytes + at, sizeof(word));
    return word;
}

/* A number for a text, of as much of it as was copied. */
static uint64_t text_hash(const struct layout *layout, const unsigned char *object, size_t size)
{
    bool is_bytes = layout->texts == TEXT_BYTES;
    uint64_t length, state, kind;
    size_t start = layout->text_ascii_data, end;

    if (size < layout->text_ascii_data)
        return 0;
    length = word_at(object, is_bytes ? layout->object_size : layout->text_length);
    state = is_bytes ? 0 : word_at(object, layout->text_state);
    kind = is_bytes ? 1 : state >> 2 & 7;
    if (!is_bytes && !(state >> 6 & 1))
        start = layout->text_compact_data;
    end = length < size / (kind ? kind : 1) ? start + length * kind : size;
    if (end > size)
        end = size;
    return start < end ? hash_mix(length, hash_bytes(object + start, end - start)) : length;
}

/* Reads the texts of `count` heads, at most BATCH / CODE_TEXTS. */
static void copy_batch(const struct layout *layout, const struct target *target,
                       struct code_head *const *heads, size_t count)
{
    const uint32_t fields[CODE_TEXTS] = {layout->code_file, layout->code_qualname};
    struct iovec local[BATCH], remote[BATCH];
    size_t places = 0, bytes;

    for (size_t i = 0; i < count; i++)
        for (size_t text = 0; text < CODE_TEXTS; text++, places++) {
            uint64_t address = word_at(heads[i]->bytes, fields[text]);

            local[places] = (struct iovec){heads[i]->texts[text], CODE_TEXT_BYTES};
            remote[places] = (struct iovec){(void *)(uintptr_t)address, CODE_TEXT_BYTES};
        }
    /* A text at the end of its memory is read short and ends the reading: it counts as far as it
     * was read, and the next reading starts behind it. Without their texts the others would not be
     * known. */
    for (size_t place = 0; place < places; place++) {
        bytes = target_read_vector(target, local + place, remote + place, places - place);
        for (; bytes >= CODE_TEXT_BYTES; bytes -= CODE_TEXT_BYTES, place++)
            heads[place / CODE_TEXTS]->text_sizes[place % CODE_TEXTS] = CODE_TEXT_BYTES;
        if (place < places)
            heads[place / CODE_TEXTS]->text_sizes[place % CODE_TEXTS] = (uint16_t)bytes;
    }
}

static void set_fingerprint(const struct layout *layout, struct code_head *head)
{
    if (!layout->code_version && head->text_sizes[CODE_TEXTS - 1])
        head->fingerprint = hash_mix(text_hash(layout, head->texts[0], head->text_sizes[0]),
                                     text_hash(layout, head->texts[1], head->text_sizes[1]));
}

void code_copy_texts(const struct python *python, const struct target *target,
                     struct code_head *heads, size_t count)
{
    const struct layout *layout = &python->layout;
    struct code_head *batch[BATCH / CODE_TEXTS];
    size_t length = 0;

    for (size_t i = 0; i < count; i++) {
        if (!layout->code_version || !code_is_known(python, &heads[i]))
            batch[length++] = &heads[i];
        if (length == BATCH / CODE_TEXTS || (i + 1 == count && length)) {
            copy_batch(layout, target, batch, length);
            for (size_t j = 0; j < length; j++)
                set_fingerprint(layout, batch[j]);
            length = 0;
        }
    }
}
