/* SPDX-License-Identifier: MIT */
/*
 * Names and line tables of code objects, read once each.
 *
 * A code object can be freed and another one take its address. So an entry is found by the address
 * and by the head that was copied while a frame ran it: its pointers to names and line table and
 * its first line tell one function from another. That is done once a round; within it the address
 * alone is enough. The names of a new code object were copied with the head; long ones and the line
 * table are read later. The head is compared once more behind that reading, and what may have
 * changed meanwhile is not taken.
 *
 * While a thread is stopped heads are copied only of addresses that did not hold the same code
 * object whenever one looked, or were not looked at often. The others are looked at when the thread
 * runs again: what they hold now and held before, they held when it stood still.
 */
#include "code.h"

#include <stdlib.h>
#include <string.h>

#include "code_cache.h"
#include "detect.h"
#include "pspy/base/cleanup.h"
#include "pspy/python/lines.h"
#include "pspy/python/object.h"
#include "pspy/python/python.h"

#define NAME_LIMIT    4096
#define HEAD_BATCH    64
#define STEADY_LOOKS  4
#define HEAD_LIMIT    16384 /* code objects in one sample */
#define FAILURE_LIMIT 256   /* of them that cannot be read: links are damaged */

struct code_cache *code_cache_create(void)
{
    return xcalloc(1, sizeof(struct code_cache));
}

void code_cache_destroy(struct code_cache *cache)
{
    if (!cache)
        return;
    vec_each (entry, &cache->entries) {
        free(entry->qualname);
        free(entry->file);
        vec_deinit(&entry->lines.entries);
        vec_deinit(&entry->copies);
    }
    vec_deinit(&cache->entries);
    vec_deinit(&cache->places);
    vec_deinit(&cache->met);
    vec_deinit(&cache->confirmed);
    table_deinit(&cache->index);
    table_deinit(&cache->place_index);
    free(cache);
}

static struct identity identity_of(const struct layout *layout, const struct code_head *code)
{
    struct identity identity = {.address = code->address, .version = code->fingerprint};
    const unsigned char *head = code->bytes;

    memcpy(&identity.type, head + layout->object_type, 8);
    if (layout->code_units)
        memcpy(&identity.units, head + layout->code_units, 8);
    memcpy(&identity.file, head + layout->code_file, 8);
    memcpy(&identity.qualname, head + layout->code_qualname, 8);
    memcpy(&identity.lines, head + layout->code_lines, 8);
    memcpy(&identity.first_line, head + layout->code_first_line, 4);
    if (layout->code_version)
        memcpy(&identity.version, head + layout->code_version, 4);
    return identity;
}

static bool entry_is(const void *context, uint32_t index, const void *key)
{
    const struct code_cache *cache = context;

    return memcmp(&cache->entries.items[index].identity, key, sizeof(struct identity)) == 0;
}

static bool head_is(const void *context, uint32_t index, const void *key)
{
    const struct python_stack *stack = context;

    return stack->heads.items[index].address == *(const uint64_t *)key;
}

static uint32_t find_head(const struct python_stack *stack, uint64_t address)
{
    return table_find(&stack->head_index, hash_mix(address, 0), head_is, stack, &address);
}

static bool place_is(const void *context, uint32_t index, const void *key)
{
    const struct code_cache *cache = context;

    return cache->places.items[index].address == *(const uint64_t *)key;
}

static struct place *find_place(const struct code_cache *cache, uint64_t address)
{
    uint32_t found =
        table_find(&cache->place_index, hash_mix(address, 0), place_is, cache, &address);

    return found == TABLE_NONE ? NULL : &cache->places.items[found];
}

static void set_place(struct python *python, uint64_t address, uint32_t entry)
{
    struct code_cache *cache = python->codes;
    struct place *known = find_place(cache, address);
    struct place place = {.address = address, .entry = entry, .round = python->round, .looks = 1};

    if (known) {
        known->changes |= known->entry != entry;
        known->looks += known->round != python->round;
        known->entry = entry;
        known->round = python->round;
        return;
    }
    table_add(&cache->place_index, hash_mix(address, 0), (uint32_t)cache->places.length);
    vec_push(&cache->places, place);
}

/* The entry that the address was seen to hold in this round, or CODE_UNKNOWN. */
static uint32_t met_in_round(const struct python *python, uint64_t address)
{
    const struct place *place = find_place(python->codes, address);

    return place && python->codes->entries.items[place->entry].round == python->round
               ? place->entry
               : CODE_UNKNOWN;
}

/* ---- Copying heads ---- */

static bool is_steady(const struct python *python, uint64_t address)
{
    const struct place *place = find_place(python->codes, address);

    return place && !place->changes && place->looks >= STEADY_LOOKS;
}

static void list_heads(const struct python *python, bool leaves_known, struct python_stack *stack)
{
    uint64_t last = 0;

    vec_each (frame, &stack->frames) {
        if (frame->code == last)
            continue;
        last = frame->code;
        if (stack->heads.length == HEAD_LIMIT)
            return;
        if (met_in_round(python, frame->code) != CODE_UNKNOWN ||
            (leaves_known && is_steady(python, frame->code)) ||
            find_head(stack, frame->code) != TABLE_NONE)
            continue;
        table_add(&stack->head_index, hash_mix(frame->code, 0), (uint32_t)stack->heads.length);
        vec_reserve(&stack->heads, stack->heads.length + 1);
        stack->heads.items[stack->heads.length++] =
            (struct code_head){.address = frame->code, .index = CODE_UNKNOWN};
    }
}

/* The first bytes of code objects from `first` on, many per system call. One that cannot be read
 * gets zeroes: its type will not be that of code. */
static void read_heads(const struct target *target, size_t size, size_t first,
                       struct python_stack *stack)
{
    struct iovec local[HEAD_BATCH], remote[HEAD_BATCH];
    unsigned failures = 0;

    for (size_t done = first; done < stack->heads.length && failures < FAILURE_LIMIT;) {
        size_t count = stack->heads.length - done;
        size_t whole;

        if (count > HEAD_BATCH)
            count = HEAD_BATCH;
        for (size_t i = 0; i < count; i++) {
            struct code_head *head = &stack->heads.items[done + i];

            local[i] = (struct iovec){head->bytes, size};
            remote[i] = (struct iovec){(void *)(uintptr_t)head->address, size};
        }
        whole = target_read_vector(target, local, remote, count) / size;
        done += whole;
        if (whole < count) {
            memset(stack->heads.items[done++].bytes, 0, CODE_HEAD_BYTES);
            failures++;
        }
    }
}

static size_t head_size(const struct layout *layout)
{
    return layout->code_head_size < CODE_HEAD_BYTES ? layout->code_head_size : CODE_HEAD_BYTES;
}

/* Those that are not copied yet; the first of them. */
static size_t copy_heads(const struct python *python, const struct target *target,
                         bool leaves_known, struct python_stack *stack)
{
    size_t first = stack->heads.length;

    list_heads(python, leaves_known, stack);
    if (stack->heads.length > first) {
        read_heads(target, head_size(&python->layout), first, stack);
        code_copy_texts(python, target, stack->heads.items + first, stack->heads.length - first);
    }
    return first;
}

bool code_copy_heads(const struct python *python, const struct target *target, bool leaves_known,
                     struct python_stack *stack)
{
    copy_heads(python, target, leaves_known, stack);
    vec_each (head, &stack->heads) {
        if (!code_is_known(python, head))
            return false;
    }
    return true;
}

static bool has_generator_flag(const struct layout *layout, const unsigned char *head)
{
    const uint32_t generator = 0x20, coroutine = 0x80, async_generator = 0x200; /* CO_... */
    uint32_t flags;

    memcpy(&flags, head + layout->code_flags, sizeof(flags));
    return layout->code_flags && flags & (generator | coroutine | async_generator);
}

bool code_is_generator(const struct python *python, const struct python_stack *stack,
                       uint64_t address)
{
    uint32_t head = find_head(stack, address);
    const struct place *place = find_place(python->codes, address);

    if (head != TABLE_NONE)
        return has_generator_flag(&python->layout, stack->heads.items[head].bytes);
    return place && python->codes->entries.items[place->entry].is_generator;
}

/* ---- Reading what is new ---- */

static bool still_is(const struct python *python, const struct target *target,
                     const struct identity *identity)
{
    struct code_head head = {.address = identity->address};
    struct identity now;

    if (target_read(target, identity->address, head.bytes, head_size(&python->layout)) != ERR_OK)
        return false;
    if (!python->layout.code_version)
        code_copy_texts(python, target, &head, 1);
    now = identity_of(&python->layout, &head);
    return memcmp(&now, identity, sizeof(now)) == 0;
}

/* A name from its copy, or if it is too long for that, from the target. */
static enum err read_name(const struct layout *layout, const struct target *target,
                          const struct code_head *head, size_t text, uint64_t address,
                          struct strbuf *ret)
{
    if (object_text_copied(layout, head->texts[text], head->text_sizes[text], NAME_LIMIT, ret) ==
        ERR_OK)
        return ERR_OK;
    return object_text(layout, target, address, NAME_LIMIT, ret);
}

static bool names_are_copied(const struct layout *layout, const struct code_head *head)
{
    cleanup(strbuf_deinit) struct strbuf unused = STRBUF_INIT;

    for (size_t i = 0; i < CODE_TEXTS; i++)
        if (object_text_copied(layout, head->texts[i], head->text_sizes[i], NAME_LIMIT, &unused) !=
            ERR_OK)
            return false;
    return true;
}

static void read_lines(const struct python *python, const struct target *target,
                       struct entry *entry)
{
    cleanup(strbuf_deinit) struct strbuf lines = STRBUF_INIT;

    if (object_bytes(&python->layout, target, entry->identity.lines, LINES_BYTES_LIMIT, &lines) !=
            ERR_OK ||
        !still_is(python, target, &entry->identity))
        return;
    lines_decode(python->layout.lines, (const unsigned char *)lines.text, lines.length,
                 (uint32_t)entry->identity.first_line, &entry->lines);
    entry->has_lines = true;
}

/* 3.13+: between a class's caller and its __init__ runs code that only looks at what that returns.
 * Its file and its name are one object, _Py_ID(__init__) (Objects/frameobject.c does not show it
 * because it has no line). */
static bool is_init_cleanup(const struct identity *identity, const char *name)
{
    return identity->file == identity->qualname && strcmp(name, "__init__") == 0;
}

static enum err read_entry(const struct python *python, const struct target *target,
                           const struct code_head *head, const struct identity *identity,
                           struct entry *ret)
{
    const struct layout *layout = &python->layout;
    cleanup(strbuf_deinit) struct strbuf qualname = STRBUF_INIT;
    cleanup(strbuf_deinit) struct strbuf file = STRBUF_INIT;
    bool is_hidden;

    if (read_name(layout, target, head, 0, identity->file, &file) != ERR_OK ||
        read_name(layout, target, head, 1, identity->qualname, &qualname) != ERR_OK)
        return ERR_UNREADABLE;
    if (!names_are_copied(layout, head) && !still_is(python, target, identity))
        return ERR_TORN;
    is_hidden = is_init_cleanup(identity, qualname.text);
    *ret = (struct entry){.identity = *identity,
                          .is_hidden = is_hidden,
                          .qualname = strbuf_detach(&qualname),
                          .file = strbuf_detach(&file)};
    return ERR_OK;
}

static uint32_t find_entry(const struct code_cache *cache, const struct identity *identity)
{
    return table_find(&cache->index, hash_bytes(identity, sizeof(*identity)), entry_is, cache,
                      identity);
}

bool code_is_known(const struct python *python, const struct code_head *head)
{
    struct identity identity = identity_of(&python->layout, head);

    return find_entry(python->codes, &identity) != TABLE_NONE;
}

/* The entry of a head, made if it is new; CODE_UNKNOWN if it was gone before it could be read. */
static uint32_t enter(struct python *python, const struct target *target,
                      const struct code_head *head)
{
    struct code_cache *cache = python->codes;
    struct identity identity = identity_of(&python->layout, head);
    struct entry entry;
    uint32_t found;

    if (!python_is_code_type(python, target, identity.type))
        return CODE_UNKNOWN;
    found = find_entry(cache, &identity);
    if (found == TABLE_NONE) {
        if (read_entry(python, target, head, &identity, &entry) != ERR_OK)
            return CODE_UNKNOWN;
        found = (uint32_t)cache->entries.length;
        vec_push(&cache->entries, entry);
        table_add(&cache->index, hash_bytes(&identity, sizeof(identity)), found);
    }
    if (!cache->entries.items[found].has_lines)
        read_lines(python, target, &cache->entries.items[found]);
    if (cache->entries.items[found].round != python->round)
        vec_push(&cache->met, found);
    cache->entries.items[found].round = python->round;
    cache->entries.items[found].is_generator = has_generator_flag(&python->layout, head->bytes);
    set_place(python, head->address, found);
    return found;
}

void python_check_round(struct python *python, const struct target *target)
{
    struct code_cache *cache = python->codes;
    struct python_stack stack = {.heads = VEC_INIT};
    size_t used = 0;

    for (size_t i = 0; i < cache->met.length; i++) {
        const struct entry *entry = &cache->entries.items[cache->met.items[i]];
        struct code_head head = {.address = entry->identity.address};

        if (entry->used != python->round)
            continue;
        cache->met.items[used++] = cache->met.items[i];
        vec_push(&stack.heads, head);
    }
    read_heads(target, head_size(&python->layout), 0, &stack);
    if (!python->layout.code_version)
        code_copy_texts(python, target, stack.heads.items, stack.heads.length);
    for (size_t i = 0; i < stack.heads.length; i++) {
        uint32_t met = cache->met.items[i];
        struct identity now = identity_of(&python->layout, &stack.heads.items[i]);

        if (memcmp(&now, &cache->entries.items[met].identity, sizeof(now)) == 0)
            vec_push(&cache->confirmed, met);
        else
            vec_push(&python->doubted, met);
    }
    vec_deinit(&stack.heads);
}

void python_begin_round(struct python *python, bool keeps)
{
    struct code_cache *cache = python->codes;

    python->round++;
    vec_reset(&python->doubted);
    vec_reset(&cache->met);
    vec_each (entry, &cache->confirmed) {
        if (!keeps)
            break;
        cache->entries.items[*entry].round = python->round;
        vec_push(&cache->met, *entry);
    }
    vec_reset(&cache->confirmed);
}

/* Whether an address that was not looked at while the thread stood still held what it holds now. */
static bool held_this(struct python *python, const struct code_head *head)
{
    struct place *place = find_place(python->codes, head->address);
    struct identity now = identity_of(&python->layout, head);

    if (!place || place->changes)
        return false;
    place->changes =
        memcmp(&now, &python->codes->entries.items[place->entry].identity, sizeof(now)) != 0;
    return !place->changes;
}

static void drop_hidden(const struct python *python, struct python_stack *stack)
{
    size_t kept = 0;

    vec_each (frame, &stack->frames) {
        if (frame->code_index != CODE_UNKNOWN &&
            python->codes->entries.items[frame->code_index].is_hidden)
            continue;
        stack->frames.items[kept++] = *frame;
    }
    stack->frames.length = kept;
}

void python_resolve(struct python *python, const struct target *target, struct python_stack *stack)
{
    uint64_t last_code = 0;
    uint32_t last_index = CODE_UNKNOWN;
    size_t copied = stack->heads.length;

    copy_heads(python, target, false, stack);
    for (size_t i = 0; i < stack->heads.length; i++)
        if (i < copied || held_this(python, &stack->heads.items[i]))
            stack->heads.items[i].index = enter(python, target, &stack->heads.items[i]);
    vec_each (frame, &stack->frames) {
        if (frame->code != last_code) {
            uint32_t head = find_head(stack, frame->code);

            last_code = frame->code;
            last_index = head == TABLE_NONE ? met_in_round(python, frame->code)
                                            : stack->heads.items[head].index;
        }
        frame->code_index = last_index;
        if (last_index != CODE_UNKNOWN)
            python->codes->entries.items[last_index].used = python->round;
    }
    drop_hidden(python, stack);
}

struct code_info python_code_info(const struct python *python, uint32_t code)
{
    const struct entry *entry = &python->codes->entries.items[code];

    return (struct code_info){entry->qualname, entry->file, (uint32_t)entry->identity.first_line};
}
