/* SPDX-License-Identifier: MIT */
/*
 * Dicts. 2.7 has one table of {hash, key, value} with holes. From 3.6 on a keys object holds hash
 * indices, which are of no use here (str hashes are salted), and behind them the entries in their
 * order; the values of a split dict (3.3+, instances of a class share their keys) lie in an array
 * of their own.
 */
#include <string.h>

#include "bulk.h"
#include "object_internal.h"
#include "pspy/base/cleanup.h"

#define ENTRY_LIMIT    (1u << 19)
#define KEYS_HEAD      40 /* bytes of a keys object that are looked at */
#define FIND_BATCH     256
#define UNREAD_LIMIT   64 /* keys of a dict at the end of mapped memory: honest ones are few */
#define KEY_TEXT_LIMIT 256

void dict_entries_deinit(struct dict_entries *entries)
{
    vec_deinit(&entries->entries);
}

static uint64_t word_at(const unsigned char *bytes, size_t at)
{
    uint64_t word;

    memcpy(&word, bytes + at, sizeof(word));
    return word;
}

uint32_t dict_head_at(const struct layout *layout)
{
    return layout->dict_keys < layout->dict_values ? layout->dict_keys : layout->dict_values;
}

/* The two words are neighbours in every version. */
struct dict_head dict_head_of(const struct layout *layout, const unsigned char *bytes)
{
    uint32_t keys_behind = layout->dict_keys > layout->dict_values;

    return (struct dict_head){word_at(bytes, keys_behind * 8), word_at(bytes, !keys_behind * 8)};
}

/* ---- Where the entries lie ---- */

struct place {
    uint64_t address;
    uint64_t count;
    size_t words; /* of an entry: {hash, key, value} or {key, value} */
};

/* 3.6 to 3.10: dk_refcnt, dk_size @8, dk_lookup, dk_usable, dk_nentries @32, then at 40 the hash
 * indices, as wide as dk_size needs. */
static bool place_sized(uint64_t keys, const unsigned char *head, struct place *ret)
{
    uint64_t size = word_at(head, 8);
    uint64_t width = size <= 0xff ? 1 : size <= 0xffff ? 2 : 4;

    *ret = (struct place){keys + 40 + size * width, word_at(head, 32), 3};
    return size <= 2 * ENTRY_LIMIT && ret->count <= size;
}

/* 3.11+: dk_refcnt, u8 log2_size @8, u8 log2_index_bytes @9, u8 kind @10 (0: {hash, key, value}; 1,
 * 2: {key, value}), dk_usable, dk_nentries @24, then at 32 the hash indices. */
static bool place_log2(uint64_t keys, const unsigned char *head, struct place *ret)
{
    if (head[9] > 30 || head[10] > 2)
        return false;
    *ret = (struct place){keys + 32 + (1ull << head[9]), word_at(head, 24), head[10] == 0 ? 3 : 2};
    return true;
}

static enum err find_entries(const struct layout *layout, const struct target *target,
                             const struct dict_head *dict, struct place *ret)
{
    unsigned char head[KEYS_HEAD];
    bool is_sane;

    if (layout->dicts == DICT_TABLE) {
        *ret = (struct place){dict->keys, dict->values + 1, 3};
        return ret->count <= ENTRY_LIMIT ? ERR_OK : ERR_UNREADABLE;
    }
    if (target_read(target, dict->keys, head, sizeof(head)) != ERR_OK)
        return ERR_UNREADABLE;
    is_sane = layout->dicts == DICT_SIZED ? place_sized(dict->keys, head, ret)
                                          : place_log2(dict->keys, head, ret);
    return is_sane && ret->count <= ENTRY_LIMIT ? ERR_OK : ERR_UNREADABLE;
}

/* ---- Reading them ---- */

enum err dict_read_keys(const struct layout *layout, const struct target *target,
                        const struct dict_head *head, struct dict_entries *ret)
{
    cleanup(cleanup_free) unsigned char *bytes = NULL;
    struct place place;
    size_t size;

    vec_reset(&ret->entries);
    if (find_entries(layout, target, head, &place) != ERR_OK)
        return ERR_UNREADABLE;
    size = place.words * 8;
    bytes = xmalloc(place.count * size + 1);
    if (target_read(target, place.address, bytes, place.count * size) != ERR_OK)
        return ERR_UNREADABLE;
    vec_reserve(&ret->entries, place.count);
    for (size_t i = 0; i < place.count; i++) {
        const unsigned char *at = bytes + i * size;

        vec_push(&ret->entries,
                 ((struct dict_entry){word_at(at, size - 16), word_at(at, size - 8)}));
    }
    return ERR_OK;
}

/* Puts a split dict's values to their keys. */
static enum err fill_values(const struct target *target, uint64_t address, struct dict_entries *ret)
{
    size_t count = ret->entries.length;
    cleanup(cleanup_free) uint64_t *values = xcalloc(count + 1, sizeof(*values));

    if (target_read(target, address, values, count * sizeof(*values)) != ERR_OK)
        return ERR_UNREADABLE;
    for (size_t i = 0; i < count; i++)
        ret->entries.items[i].value = values[i];
    return ERR_OK;
}

static enum err read_dict(const struct layout *layout, const struct target *target, uint64_t dict,
                          struct dict_entries *ret)
{
    unsigned char bytes[DICT_HEAD_BYTES];
    struct dict_head head;
    enum err err = target_read(target, dict + dict_head_at(layout), bytes, sizeof(bytes));

    if (err != ERR_OK)
        return err;
    head = dict_head_of(layout, bytes);
    err = dict_read_keys(layout, target, &head, ret);
    if (err == ERR_OK && layout->dicts != DICT_TABLE && head.values)
        err = fill_values(target, head.values + layout->values_first, ret);
    return err;
}

enum err object_dict_entries(const struct layout *layout, const struct target *target,
                             uint64_t dict, struct dict_entries *ret)
{
    enum err err = read_dict(layout, target, dict, ret);
    size_t kept = 0;

    if (err != ERR_OK)
        return err;
    /* A deleted entry has no value. */
    vec_each (entry, &ret->entries) {
        if (entry->key && entry->value)
            ret->entries.items[kept++] = *entry;
    }
    ret->entries.length = kept;
    return ERR_OK;
}

/* ---- Finding a key ---- */

static bool is_key(const struct layout *layout, const struct target *target, uint64_t address,
                   const char *key)
{
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;

    return object_text(layout, target, address, KEY_TEXT_LIMIT, &text) == ERR_OK &&
           strcmp(text.text, key) == 0;
}

/* Among `count` keys, at most FIND_BATCH. False when they are garbage, as more than a few that
 * cannot be read are; their number is added to *unread. */
static bool find_in_batch(const struct layout *layout, const struct target *target,
                          const uint64_t *keys, size_t count, const char *wanted, size_t *unread,
                          size_t *ret)
{
    size_t size = layout->text_ascii_data + strlen(wanted);
    cleanup(cleanup_free) unsigned char *texts = xcalloc(count, size);
    bool were_read[FIND_BATCH];

    *ret = SIZE_MAX;
    if (!bulk_read(target, keys, count, size, texts, were_read))
        return false;
    for (size_t i = 0; i < count; i++)
        *unread += keys[i] && !were_read[i];
    if (*unread > UNREAD_LIMIT)
        return false;
    for (size_t i = 0; i < count && *ret == SIZE_MAX; i++)
        if (were_read[i] && object_text_is(layout, texts + i * size, wanted))
            *ret = i;
    /* A shorter text may stand at its memory's end. */
    for (size_t i = 0; i < count && *ret == SIZE_MAX; i++)
        if (keys[i] && !were_read[i] && is_key(layout, target, keys[i], wanted))
            *ret = i;
    return true;
}

size_t dict_find(const struct layout *layout, const struct target *target,
                 const struct dict_entries *entries, const char *key)
{
    size_t length = entries->entries.length, unread = 0;

    for (size_t start = 0; start < length; start += FIND_BATCH) {
        uint64_t keys[FIND_BATCH];
        size_t count = length - start < FIND_BATCH ? length - start : FIND_BATCH, found;

        for (size_t i = 0; i < count; i++)
            keys[i] = entries->entries.items[start + i].key;
        if (!find_in_batch(layout, target, keys, count, key, &unread, &found))
            return SIZE_MAX;
        if (found != SIZE_MAX)
            return start + found;
    }
    return SIZE_MAX;
}

size_t dict_find_address(const struct dict_entries *entries, uint64_t key)
{
    for (size_t i = 0; key && i < entries->entries.length; i++)
        if (entries->entries.items[i].key == key)
            return i;
    return SIZE_MAX;
}

enum err object_dict_get_again(const struct layout *layout, const struct target *target,
                               uint64_t dict, const char *key, uint64_t *known, uint64_t *ret)
{
    cleanup(dict_entries_deinit) struct dict_entries entries = {VEC_INIT};
    enum err err = object_dict_entries(layout, target, dict, &entries);
    size_t found;

    if (err != ERR_OK)
        return err;
    found = dict_find_address(&entries, *known);
    if (found == SIZE_MAX || !is_key(layout, target, *known, key))
        found = dict_find(layout, target, &entries, key);
    if (found == SIZE_MAX)
        return ERR_NOT_FOUND;
    *known = entries.entries.items[found].key;
    *ret = entries.entries.items[found].value;
    return ERR_OK;
}

enum err object_dict_get(const struct layout *layout, const struct target *target, uint64_t dict,
                         const char *key, uint64_t *ret)
{
    uint64_t unknown = 0;

    return object_dict_get_again(layout, target, dict, key, &unknown, ret);
}
