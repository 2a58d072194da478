/* SPDX-License-Identifier: MIT */
/*
 * Attributes of instances. They lie in a dict, or (3.11+) as mere values whose names are in the
 * keys that the class keeps for its instances (cached keys). A dict in turn is whole, or split: its
 * keys shared with the other instances of its class.
 *
 * Many instances of few classes are the case that matters (threads), so what is found for one class
 * or one keys object is kept until the call's end, and the instances are read together.
 */
#include <string.h>

#include "bulk.h"
#include "object_internal.h"
#include "pspy/base/cleanup.h"

#define INLINE_VALUES_FLAG (1u << 2) /* Py_TPFLAGS_INLINE_VALUES, 3.13+ */
#define MANAGED_DICT_FLAG  (1u << 4) /* Py_TPFLAGS_MANAGED_DICT, 3.11+ */
#define BEFORE             32        /* bytes in front of an object that are of interest */
#define TYPE_BYTES         512
#define COLUMN_NONE        UINT32_MAX

struct type {
    uint64_t address;
    bool is_managed, has_inline_values;
    uint64_t basic_size, item_size;
    int64_t dict_offset;
    uint64_t cached_keys;
};

/* Where a keys object has the wanted names. */
struct columns {
    uint64_t keys;
    uint32_t at[OBJECT_ATTRIBUTES];
};

/* Where the attributes of one instance are. Addresses, 0: there is none. */
struct holder {
    uint64_t dict_at; /* of the pointer to its dict */
    uint64_t dict;
    uint64_t values;
    uint64_t keys; /* of the values */
};

struct search {
    const struct layout *layout;
    const struct target *target;
    const char *const *names;
    size_t name_count;
    uint64_t interned[OBJECT_ATTRIBUTES]; /* the names' own objects, once met */
    VEC(struct type) types;
    VEC(struct columns) columns;
};

static uint64_t word_at(const unsigned char *bytes, size_t at)
{
    uint64_t word;

    memcpy(&word, bytes + at, sizeof(word));
    return word;
}

/* ---- Classes ---- */

static void read_type(const struct search *search, uint64_t address, struct type *ret)
{
    const struct layout *layout = search->layout;
    unsigned char bytes[TYPE_BYTES];
    size_t size = layout->type_dict_offset + 8;
    uint64_t flags;

    *ret = (struct type){.address = address};
    if (size > sizeof(bytes) || target_read(search->target, address, bytes, size) != ERR_OK)
        return;
    flags = word_at(bytes, layout->type_flags);
    ret->is_managed = layout->attributes != ATTRIBUTES_DICT && flags & MANAGED_DICT_FLAG;
    ret->has_inline_values = flags & INLINE_VALUES_FLAG;
    ret->basic_size = word_at(bytes, layout->type_basic_size);
    ret->item_size = word_at(bytes, layout->type_basic_size + 8);
    ret->dict_offset = (int64_t)word_at(bytes, layout->type_dict_offset);
    if (ret->is_managed && target_read(search->target, address + layout->type_cached_keys,
                                       &ret->cached_keys, 8) != ERR_OK)
        ret->cached_keys = 0;
}

static const struct type *find_type(struct search *search, uint64_t address)
{
    struct type type;

    vec_each (known, &search->types) {
        if (known->address == address)
            return known;
    }
    read_type(search, address, &type);
    vec_push(&search->types, type);
    return &search->types.items[search->types.length - 1];
}

/* ---- Where an instance's attributes are ---- */

/* A negative offset counts from the end of an object of variable size (up to 3.11). */
static uint64_t dict_pointer_at(const struct search *search, const struct type *type,
                                uint64_t object)
{
    const struct layout *layout = search->layout;
    uint64_t size, count;

    if (type->dict_offset >= 0)
        return type->dict_offset ? object + (uint64_t)type->dict_offset : 0;
    if (target_read(search->target, object + layout->object_size, &count, 8) != ERR_OK)
        return 0;
    if (count >> 63) /* of a negative int */
        count = -count;
    size = type->basic_size + count * type->item_size;
    return object + ((size + 7) & ~7ull) + (uint64_t)type->dict_offset;
}

/* The words of interest in front of an instance: in free-threaded builds dict at -8; else dict at
 * -24, and in 3.11 values at -32. */
static struct holder find_managed(const struct layout *layout, const struct type *type,
                                  uint64_t object, const unsigned char *before)
{
    uint64_t values = word_at(before, BEFORE - 32), dict = word_at(before, BEFORE - 24);
    struct holder holder = {.keys = type->cached_keys};

    switch (layout->attributes) {
    case ATTRIBUTES_3_11:
        holder.dict = dict;
        holder.values = dict ? 0 : values;
        break;
    case ATTRIBUTES_3_12:
        holder.dict = dict & 1 ? 0 : dict;
        holder.values = dict & 1 ? dict + 1 : 0;
        break;
    case ATTRIBUTES_FREE:
        dict = word_at(before, BEFORE - 8);
        __attribute__((fallthrough));
    case ATTRIBUTES_3_13:
        holder.dict = dict;
        /* Once a dict has replaced the values in the object, these are empty. */
        holder.values = !dict && type->has_inline_values ? object + type->basic_size : 0;
        break;
    default:
        break;
    }
    return holder;
}

/* Reads what stands in front of the objects, and their types. */
static void find_holders(struct search *search, const uint64_t *objects, size_t count,
                         struct holder *ret)
{
    const struct layout *layout = search->layout;
    size_t before = layout->attributes == ATTRIBUTES_DICT ? 0 : BEFORE;
    size_t size = before + layout->object_type + 8;
    cleanup(cleanup_free) unsigned char *bytes = xcalloc(count, size);
    cleanup(cleanup_free) bool *were_read = xcalloc(count, sizeof(bool));
    cleanup(cleanup_free) uint64_t *starts = xcalloc(count, sizeof(uint64_t));

    for (size_t i = 0; i < count; i++)
        starts[i] = objects[i] ? objects[i] - before : 0;
    bulk_read(search->target, starts, count, size, bytes, were_read);
    for (size_t i = 0; i < count; i++) {
        const unsigned char *object = bytes + i * size;
        const struct type *type;

        ret[i] = (struct holder){0};
        if (!were_read[i])
            continue;
        type = find_type(search, word_at(object, before + layout->object_type));
        if (type->is_managed)
            ret[i] = find_managed(layout, type, objects[i], object);
        else
            ret[i].dict_at = dict_pointer_at(search, type, objects[i]);
    }
}

/* Follows the pointers to dicts, and of split dicts on to their values. */
static void follow_dicts(const struct search *search, size_t count, struct holder *holders,
                         struct dict_head *ret)
{
    cleanup(cleanup_free) uint64_t *addresses = xcalloc(count, sizeof(uint64_t));
    cleanup(cleanup_free) uint64_t *dicts = xcalloc(count, sizeof(uint64_t));
    cleanup(cleanup_free) unsigned char *heads = xcalloc(count, DICT_HEAD_BYTES);
    cleanup(cleanup_free) bool *were_read = xcalloc(count, sizeof(bool));

    for (size_t i = 0; i < count; i++)
        addresses[i] = holders[i].dict_at;
    bulk_read(search->target, addresses, count, sizeof(uint64_t), dicts, were_read);
    for (size_t i = 0; i < count; i++) {
        if (were_read[i])
            holders[i].dict = dicts[i];
        addresses[i] = holders[i].dict ? holders[i].dict + dict_head_at(search->layout) : 0;
    }
    bulk_read(search->target, addresses, count, DICT_HEAD_BYTES, heads, were_read);
    for (size_t i = 0; i < count; i++) {
        ret[i] = (struct dict_head){0};
        if (were_read[i])
            ret[i] = dict_head_of(search->layout, heads + i * DICT_HEAD_BYTES);
        if (were_read[i] && ret[i].values && search->layout->dicts != DICT_TABLE) {
            holders[i].values = ret[i].values;
            holders[i].keys = ret[i].keys;
        }
    }
}

/* ---- Which of them are wanted ---- */

/* Names of attributes are interned: the same object in each dict of an interpreter. */
static size_t find_name(struct search *search, const struct dict_entries *entries, size_t name)
{
    size_t found = dict_find_address(entries, search->interned[name]);

    if (found != SIZE_MAX)
        return found;
    found = dict_find(search->layout, search->target, entries, search->names[name]);
    if (found != SIZE_MAX)
        search->interned[name] = entries->entries.items[found].key;
    return found;
}

static const struct columns *find_columns(struct search *search, uint64_t keys)
{
    cleanup(dict_entries_deinit) struct dict_entries entries = {VEC_INIT};
    struct columns columns = {.keys = keys};

    vec_each (known, &search->columns) {
        if (known->keys == keys)
            return known;
    }
    dict_read_keys(search->layout, search->target, &(struct dict_head){.keys = keys}, &entries);
    for (size_t name = 0; name < search->name_count; name++)
        columns.at[name] = (uint32_t)find_name(search, &entries, name);
    vec_push(&search->columns, columns);
    return &search->columns.items[search->columns.length - 1];
}

static void read_whole_dict(struct search *search, const struct dict_head *head, uint64_t *ret)
{
    cleanup(dict_entries_deinit) struct dict_entries entries = {VEC_INIT};

    if (dict_read_keys(search->layout, search->target, head, &entries) != ERR_OK)
        return;
    for (size_t name = 0; name < search->name_count; name++) {
        size_t found = find_name(search, &entries, name);

        if (found != SIZE_MAX)
            ret[name] = entries.entries.items[found].value;
    }
}

/* The addresses of the wanted values; what a whole dict says goes into `ret` at once. */
static void locate_values(struct search *search, const struct holder *holder,
                          const struct dict_head *dict, uint64_t *ret_addresses, uint64_t *ret)
{
    const struct columns *columns;

    if (!holder->values && dict->keys)
        read_whole_dict(search, dict, ret);
    if (!holder->values || !holder->keys)
        return;
    columns = find_columns(search, holder->keys);
    for (size_t name = 0; name < search->name_count; name++)
        if (columns->at[name] != COLUMN_NONE)
            ret_addresses[name] =
                holder->values + search->layout->values_first + 8ull * columns->at[name];
}

void object_attributes(const struct layout *layout, const struct target *target,
                       const uint64_t *objects, size_t count, const char *const *names,
                       size_t name_count, uint64_t *ret)
{
    struct search search = {layout, target, names, name_count, {0}, VEC_INIT, VEC_INIT};
    cleanup(cleanup_free) struct holder *holders = xcalloc(count, sizeof(*holders));
    cleanup(cleanup_free) struct dict_head *dicts = xcalloc(count, sizeof(*dicts));
    cleanup(cleanup_free) uint64_t *addresses = xcalloc(count * name_count, sizeof(*addresses));
    cleanup(cleanup_free) uint64_t *values = xcalloc(count * name_count, sizeof(*values));
    cleanup(cleanup_free) bool *were_read = xcalloc(count * name_count, sizeof(*were_read));

    memset(ret, 0, count * name_count * sizeof(*ret));
    find_holders(&search, objects, count, holders);
    follow_dicts(&search, count, holders, dicts);
    for (size_t i = 0; i < count; i++)
        locate_values(&search, &holders[i], &dicts[i], addresses + i * name_count,
                      ret + i * name_count);
    bulk_read(target, addresses, count * name_count, sizeof(*values), values, were_read);
    for (size_t i = 0; i < count * name_count; i++)
        if (were_read[i])
            ret[i] = values[i];
    vec_deinit(&search.types);
    vec_deinit(&search.columns);
}
