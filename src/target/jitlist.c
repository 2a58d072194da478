/* SPDX-License-Identifier: MIT */
/*
 * GDB's JIT interface. A runtime has a variable __jit_debug_descriptor:
 *
 *   u32 version = 1, u32 action, u64 relevant entry, u64 first entry
 *
 * and from there a list of entries {u64 next, previous, object file, u64 size}. A new entry comes
 * first, so that the descriptor's own bytes change with each that comes or goes.
 *
 * Objects go, too, and their addresses are used again. A name must never come from one that is
 * gone, and nobody tells us; so in each tick, when the samples are taken, every object that is in
 * use is compared with what lies in the target: its entry and the end of its file, where names and
 * section addresses are. Free memory that still holds all that is code that was there when the
 * sample was taken.
 *
 * What no object covers may be code of a perf map: each of its lines that is met becomes an object
 * of one function, until a newer line has its place.
 *
 * Limits: 65,536 objects, 32 MiB an object, 256 MiB in all.
 */
#include "pspy/target/jitlist.h"

#include <stdlib.h>
#include <string.h>

#include "pspy/base/cleanup.h"
#include "pspy/machine/jitobject.h"
#include "pspy/target/module.h"

#define DESCRIPTOR    "__jit_debug_descriptor"
#define OBJECTS_LIMIT 65536
#define SIZE_LIMIT    (32u << 20)
#define TOTAL_LIMIT   (256u << 20)
#define END_BYTES     2048       /* of an object, that are compared */
#define CODE_LIMIT    (1u << 20) /* of a perf map's function, that is followed */
#define OBJECT_NAME   "[JIT code]"

void jitlist_deinit(struct jitlist *list)
{
    vec_each (object, &list->objects)
        free(object->end);
    vec_deinit(&list->objects);
    vec_deinit(&list->ranges);
    vec_deinit(&list->descriptors);
    perffile_deinit(&list->perf);
}

/* ---- Ranges ---- */

/* The first range that ends behind the address. */
static size_t range_index(const struct jitlist *list, uint64_t address)
{
    size_t low = 0, high = list->ranges.length;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (list->ranges.items[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static const struct jit_range *find_range(const struct jitlist *list, uint64_t address)
{
    size_t index = range_index(list, address);

    return index < list->ranges.length && list->ranges.items[index].start <= address
               ? &list->ranges.items[index]
               : NULL;
}

static void drop_ranges(struct jitlist *list, uint32_t object)
{
    size_t kept = 0;

    for (size_t i = 0; i < list->ranges.length; i++)
        if (list->ranges.items[i].object != object)
            list->ranges.items[kept++] = list->ranges.items[i];
    list->ranges.length = kept;
}

/* Whoever had the addresses before is gone; whether anybody had. */
static bool clear_place(struct jitlist *list, uint64_t start, uint64_t end)
{
    size_t at = range_index(list, start);
    bool was_used = false;

    for (; at < list->ranges.length && list->ranges.items[at].start < end;
         at = range_index(list, start)) {
        drop_ranges(list, list->ranges.items[at].object);
        was_used = true;
    }
    return was_used;
}

static void add_range(struct jitlist *list, const struct jit_range *range)
{
    size_t at;

    clear_place(list, range->start, range->end);
    at = range_index(list, range->start);
    vec_push(&list->ranges, *range);
    memmove(&list->ranges.items[at + 1], &list->ranges.items[at],
            (list->ranges.length - 1 - at) * sizeof(*range));
    list->ranges.items[at] = *range;
}

static void note_change(struct address_space *space)
{
    space->generation++;
    space->jit.was_in_vain = false;
}

/* ---- Objects ---- */

static size_t end_size(const struct jit_object *object)
{
    return object->entry.size < END_BYTES ? object->entry.size : END_BYTES;
}

static bool read_loaded(void *context, uint64_t address, void *ret, size_t size)
{
    const struct target *const *target = context;

    return target_read(*target, address, ret, size) == ERR_OK;
}

static void add_code(struct jitlist *list, const unsigned char *bytes, uint32_t object)
{
    struct jit_range range = {.object = object};
    size_t count = 1;

    for (size_t i = 0; i < count; i++)
        if (jitobject_code(bytes, i, &count, &range.start, &range.end))
            add_range(list, &range);
}

/* Reads the object file, and makes an image and a module of it. */
static void load(struct address_space *space, const struct target *target,
                 struct jit_object *object, uint32_t index)
{
    cleanup(strbuf_deinit) struct strbuf bytes = STRBUF_INIT;
    const struct target *reader = target;
    struct image *image = NULL;
    size_t size = object->entry.size, end;

    if (size == 0 || size > SIZE_LIMIT || space->jit.total_size + size > TOTAL_LIMIT)
        return;
    strbuf_reserve(&bytes, size);
    if (target_read(target, object->entry.object, bytes.text, size) != ERR_OK)
        return;
    bytes.length = size;
    end = end_size(object);
    object->end = xmalloc(end);
    memcpy(object->end, bytes.text + size - end, end);
    if (!jitobject_link((unsigned char *)bytes.text, size, read_loaded, &reader))
        return;
    jitobject_add_frames(&bytes);
    if (image_open_memory(bytes.text, bytes.length, OBJECT_NAME, &image, NULL) != ERR_OK)
        return;
    object->module = module_list_add_jit(space->modules, OBJECT_NAME, image);
    space->jit.total_size += size;
    add_code(&space->jit, (const unsigned char *)bytes.text, index);
}

static bool is_same_entry(const struct jit_entry *a, const struct jit_entry *b)
{
    return a->object == b->object && a->size == b->size;
}

/* Whether the target still holds what was read: at once, in one system call. */
static bool is_unchanged(const struct jit_object *object, const struct target *target)
{
    unsigned char end[END_BYTES];
    struct jit_entry entry;
    size_t size = end_size(object);
    const struct iovec local[] = {{&entry, sizeof(entry)}, {end, size}};
    /* Addresses of another process: never dereferenced here. */
    const struct iovec remote[] = {
        {(void *)(uintptr_t)object->address, sizeof(entry)},
        {(void *)(uintptr_t)(object->entry.object + object->entry.size - size), size}};

    return object->end && target_read_vector(target, local, remote, 2) == sizeof(entry) + size &&
           is_same_entry(&entry, &object->entry) && memcmp(end, object->end, size) == 0;
}

/* From `hint` on, which is where the next one mostly is. The index; `objects.length` if there is
 * none.
 */
static size_t find_listed(const struct jitlist *list, const struct jit_entry *entry,
                          uint64_t address, size_t hint)
{
    size_t count = list->objects.length;

    for (size_t i = 0; i < count; i++) {
        size_t index = hint + i < count ? hint + i : hint + i - count;
        const struct jit_object *object = &list->objects.items[index];

        if (object->is_listed && object->address == address && is_same_entry(&object->entry, entry))
            return index;
    }
    return count;
}

static void forget(struct jitlist *list, size_t index)
{
    struct jit_object *object = &list->objects.items[index];

    object->is_listed = object->is_used = false;
    free(object->end);
    object->end = NULL;
    drop_ranges(list, (uint32_t)index);
}

/* ---- Lists ---- */

static bool read_descriptor(const struct target *target, uint64_t address, uint64_t ret[3])
{
    return target_read(target, address, ret, 3 * sizeof(ret[0])) == ERR_OK &&
           (ret[0] & UINT32_MAX) == 1;
}

struct found_entry {
    uint64_t address;
    struct jit_entry entry;
};

struct found_list {
    VEC(struct found_entry) entries;
};

/* The entries as they are now, newest first. A circle or a damaged link ends the list. */
static void read_entries(const struct target *target, uint64_t first, struct found_list *ret)
{
    struct found_entry found = {.address = first};
    uint64_t previous = 0;

    while (found.address && ret->entries.length < OBJECTS_LIMIT &&
           target_read(target, found.address, &found.entry, sizeof(found.entry)) == ERR_OK &&
           found.entry.previous == previous) {
        vec_push(&ret->entries, found);
        previous = found.address;
        found.address = found.entry.next;
    }
}

static void add_object(struct address_space *space, const struct target *target,
                       const struct found_entry *found)
{
    struct jitlist *list = &space->jit;
    struct jit_object object = {.address = found->address,
                                .entry = found->entry,
                                .module = MODULE_NONE,
                                .is_listed = true,
                                .reading = list->reading};

    if (list->objects.length == OBJECTS_LIMIT)
        return;
    load(space, target, &object, (uint32_t)list->objects.length);
    vec_push(&list->objects, object);
}

/* Forgets what is gone and reads what is new: the oldest first, so that of two at one address the
 * newer one stays. */
static void refresh(struct address_space *space, const struct target *target)
{
    struct jitlist *list = &space->jit;
    struct found_list found = {VEC_INIT};
    size_t known = list->objects.length, hint = 0;

    vec_each (descriptor, &list->descriptors)
        if (read_descriptor(target, descriptor->address, descriptor->head))
            read_entries(target, descriptor->head[2], &found);
    list->reading++;
    for (size_t i = found.entries.length; i-- > 0;) {
        const struct found_entry *entry = &found.entries.items[i];
        size_t index = find_listed(list, &entry->entry, entry->address, hint);

        if (index == list->objects.length) {
            add_object(space, target, entry);
            continue;
        }
        list->objects.items[index].reading = list->reading;
        hint = index + 1;
    }
    for (size_t i = 0; i < known; i++)
        if (list->objects.items[i].is_listed && list->objects.items[i].address &&
            list->objects.items[i].reading != list->reading)
            forget(list, i);
    note_change(space);
    vec_deinit(&found.entries);
}

/* ---- Descriptors ---- */

static void add_descriptor(struct jitlist *list, uint64_t address)
{
    vec_each (known, &list->descriptors) {
        if (known->address == address)
            return;
    }
    vec_push(&list->descriptors, ((struct jit_descriptor){.address = address}));
}

/* Asks each file that holds code for the variable, once. */
static void search_files(struct address_space *space, const struct target *target)
{
    for (size_t i = 0; i < space->regions.length; i++) {
        const struct region *region = &space->regions.items[i];
        const struct image *image =
            region->is_executable ? region_image(space, target, region) : NULL;
        struct module *module;

        if (!image || !region->has_bias)
            continue;
        module = &space->modules->modules.items[region->module];
        if (!module->was_asked && !image_symbol(image, DESCRIPTOR, &module->jit_descriptor))
            module->jit_descriptor = 0;
        module->was_asked = true;
        if (module->jit_descriptor)
            add_descriptor(&space->jit, region->bias + module->jit_descriptor);
    }
}

static bool is_list_new(const struct jitlist *list, const struct target *target)
{
    vec_each (descriptor, &list->descriptors) {
        uint64_t head[3];

        if (read_descriptor(target, descriptor->address, head) &&
            memcmp(head, descriptor->head, sizeof(head)) != 0)
            return true;
    }
    return false;
}

/* ---- The perf map ---- */

/* Its new lines take the places of what was there. */
static void take_places(struct address_space *space)
{
    struct jitlist *list = &space->jit;
    const struct perfmap *map = &list->perf.map;
    bool was_used = list->was_in_vain;

    if (list->perf_entries > map->entries.length)
        list->perf_entries = 0;
    for (; list->perf_entries < map->entries.length; list->perf_entries++) {
        const struct perfmap_entry *entry = &map->entries.items[list->perf_entries];

        was_used |= clear_place(list, entry->start, entry->start + entry->size);
    }
    if (was_used)
        note_change(space);
}

static bool add_function(struct address_space *space, const struct target *target,
                         const struct perfmap_entry *entry)
{
    struct jitlist *list = &space->jit;
    struct jit_range range = {entry->start, entry->start + entry->size,
                              (uint32_t)list->objects.length};
    cleanup(cleanup_free) unsigned char *code =
        entry->size <= CODE_LIMIT ? xmalloc(entry->size) : NULL;
    cleanup(strbuf_deinit) struct strbuf bytes = STRBUF_INIT;
    struct jit_object object = {.is_listed = true};
    struct image *image;
    bool is_read = code && target_read(target, entry->start, code, entry->size) == ERR_OK;

    if (list->objects.length == OBJECTS_LIMIT || list->total_size > TOTAL_LIMIT)
        return false;
    jitobject_make(list->perf.map.names.text + entry->name, entry->start, entry->size,
                   is_read ? code : NULL, &bytes);
    jitobject_add_frames(&bytes);
    if (image_open_memory(bytes.text, bytes.length, OBJECT_NAME, &image, NULL) != ERR_OK)
        return false;
    object.module = module_list_add_jit(space->modules, OBJECT_NAME, image);
    space->modules->modules.items[object.module].has_plain_names = true;
    vec_push(&list->objects, object);
    add_range(list, &range);
    list->total_size += bytes.length;
    return true;
}

/* ---- Answers ---- */

/* Whether all objects in use are still what they were. */
static bool check_used(struct jitlist *list, const struct target *target)
{
    bool are_all = true;

    for (size_t i = 0; i < list->objects.length; i++) {
        const struct jit_object *object = &list->objects.items[i];

        if (!object->is_used || !object->address || is_unchanged(object, target))
            continue;
        forget(list, i);
        are_all = false;
    }
    return are_all;
}

void jitlist_advance(struct address_space *space, const struct target *target)
{
    struct jitlist *list = &space->jit;
    bool is_known = check_used(list, target);

    if (!is_known || is_list_new(list, target))
        refresh(space, target);
    if (perffile_update(&list->perf))
        take_places(space);
}

/* Looks for runtimes that announce their code, when more may be mapped than before. */
static void search(struct address_space *space, const struct target *target)
{
    struct jitlist *list = &space->jit;

    if (list->searched == space->refreshed)
        return;
    list->searched = space->refreshed;
    search_files(space, target);
    if (is_list_new(list, target))
        refresh(space, target);
    if (perffile_open(&list->perf, target))
        list->perf_entries = 0;
    if (perffile_update(&list->perf))
        take_places(space);
}

static const struct jit_range *find_anywhere(struct address_space *space,
                                             const struct target *target, uint64_t address)
{
    struct jitlist *list = &space->jit;
    const struct jit_range *range = find_range(list, address);
    const struct perfmap_entry *entry;

    if (range)
        return range;
    search(space, target);
    range = find_range(list, address);
    entry = range ? NULL : perfmap_find(&list->perf.map, address);
    return entry && add_function(space, target, entry) ? find_range(list, address) : range;
}

bool jitlist_place(struct address_space *space, const struct target *target, uint64_t address,
                   struct code_place *ret)
{
    const struct jit_range *range = find_anywhere(space, target, address);
    struct jit_object *object;

    if (!range) {
        space->jit.was_in_vain = true;
        return false;
    }
    object = &space->jit.objects.items[range->object];
    object->is_used = true;
    *ret = (struct code_place){.start = range->start,
                               .end = range->end,
                               .module = object->module,
                               .image = space->modules->modules.items[object->module].image};
    return true;
}
