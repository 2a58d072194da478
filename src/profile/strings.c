/* SPDX-License-Identifier: MIT */
#include "pspy/profile/strings.h"

#include <assert.h>
#include <string.h>

/* U+2400 SYMBOL FOR NULL */
#define NUL_SYMBOL "\xe2\x90\x80"

struct text_key {
    const char *text;
    size_t length;
};

void strings_init(struct strings *strings)
{
    strbuf_init(&strings->bytes);
    vec_init(&strings->offsets);
    strings->index = (struct table)TABLE_INIT;
    strings_add(strings, "");
}

void strings_deinit(struct strings *strings)
{
    strbuf_deinit(&strings->bytes);
    vec_deinit(&strings->offsets);
    table_deinit(&strings->index);
}

const char *strings_text(const struct strings *strings, string_id string)
{
    assert(string.v < strings->offsets.length);
    return strings->bytes.text + strings->offsets.items[string.v];
}

static bool is_equal(const void *context, uint32_t index, const void *key)
{
    const struct text_key *wanted = key;
    const char *text = strings_text(context, (string_id){index});

    return strlen(text) == wanted->length && !memcmp(text, wanted->text, wanted->length);
}

static string_id add_text(struct strings *strings, const char *text, size_t length)
{
    struct text_key key = {text, length};
    uint64_t hash = hash_bytes(text, length);
    uint32_t index = table_find(&strings->index, hash, is_equal, strings, &key);

    if (index != TABLE_NONE)
        return (string_id){index};
    if (strings->bytes.length + length >= UINT32_MAX)
        xmalloc_fail();
    index = (uint32_t)strings->offsets.length;
    vec_push(&strings->offsets, (uint32_t)strings->bytes.length);
    strbuf_add(&strings->bytes, text, length);
    strbuf_add_char(&strings->bytes, '\0');
    table_add(&strings->index, hash, index);
    return (string_id){index};
}

string_id strings_add_n(struct strings *strings, const char *text, size_t length)
{
    struct strbuf visible = STRBUF_INIT;
    string_id ret;

    if (!memchr(text, '\0', length))
        return add_text(strings, text, length);
    for (size_t i = 0; i < length; i++)
        strbuf_add(&visible, text[i] ? &text[i] : NUL_SYMBOL, text[i] ? 1 : strlen(NUL_SYMBOL));
    ret = add_text(strings, visible.text, visible.length);
    strbuf_deinit(&visible);
    return ret;
}

string_id strings_add(struct strings *strings, const char *text)
{
    return add_text(strings, text, strlen(text));
}
