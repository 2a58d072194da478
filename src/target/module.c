/* SPDX-License-Identifier: MIT */
#include "pspy/target/module.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pspy/base/cleanup.h"

#define ANONYMOUS_CODE "[anonymous code]"
#define KERNEL_HALF    (1ull << 63) /* [vsyscall] lies there */
#define MEMORY_LIMIT   (256u << 20) /* bytes of a file that can only be had from memory */

void module_list_deinit(struct module_list *list)
{
    vec_each (module, &list->modules) {
        image_destroy(module->image);
        free(module->path);
    }
    vec_deinit(&list->modules);
}

static uint32_t find_or_add_module(struct module_list *list, const struct mapping *mapping,
                                   const char *path)
{
    struct module module = {.inode = mapping->inode,
                            .device_major = mapping->device_major,
                            .device_minor = mapping->device_minor};

    for (size_t i = list->modules.length; i-- > 0;) {
        const struct module *known = &list->modules.items[i];

        if (known->inode == module.inode && known->device_major == module.device_major &&
            known->device_minor == module.device_minor && strcmp(known->path, path) == 0)
            return (uint32_t)i;
    }
    module.path = xstrdup(path);
    vec_push(&list->modules, module);
    return (uint32_t)(list->modules.length - 1);
}

uint32_t module_list_add_jit(struct module_list *list, const char *name, struct image *image)
{
    struct module module = {
        .path = xstrdup(name), .image = image, .was_tried = true, .is_jit = true};

    vec_push(&list->modules, module);
    return (uint32_t)(list->modules.length - 1);
}

void address_space_init(struct address_space *space, struct module_list *modules)
{
    *space = (struct address_space){.modules = modules, .jit = JITLIST_INIT};
}

void address_space_deinit(struct address_space *space)
{
    vec_deinit(&space->regions);
    jitlist_deinit(&space->jit);
}

static struct region region_of(struct address_space *space, const struct mapping *mapping)
{
    struct region region = {.start = mapping->start,
                            .end = mapping->end,
                            .offset = mapping->offset,
                            .module = MODULE_NONE,
                            .is_executable = mapping->is_executable,
                            .is_stack = strcmp(mapping->path, "[stack]") == 0};
    bool is_file = mapping->path[0] == '/';

    if (is_file || mapping->is_executable)
        region.module = find_or_add_module(
            space->modules, mapping,
            is_file || strcmp(mapping->path, "[vdso]") == 0 ? mapping->path : ANONYMOUS_CODE);
    return region;
}

static void add_region(void *context, const struct mapping *mapping)
{
    struct address_space *space = context;

    vec_push(&space->regions, region_of(space, mapping));
}

static bool same_code(const struct region *a, const struct region *b)
{
    return a->start == b->start && a->end == b->end && a->offset == b->offset &&
           a->module == b->module;
}

/* Whether every executable region of `old` is still there. New ones disturb nobody. */
static bool code_is_kept(const struct address_space *space, const struct region *old, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct region *now;

        if (!old[i].is_executable)
            continue;
        now = address_space_find(space, old[i].start);
        if (!now || !same_code(&old[i], now))
            return false;
    }
    return true;
}

enum err address_space_refresh(struct address_space *space, const struct target *target)
{
    struct address_space old = *space;
    enum err err;

    vec_init(&space->regions);
    err = target_mappings(target, add_region, space);
    if (err != ERR_OK) {
        vec_deinit(&space->regions);
        *space = old;
        return err;
    }
    space->refreshed++;
    if (!code_is_kept(space, old.regions.items, old.regions.length))
        space->generation++;
    vec_deinit(&old.regions);
    return ERR_OK;
}

const struct region *address_space_find(const struct address_space *space, uint64_t address)
{
    const struct region *regions = space->regions.items;
    size_t low = 0, high = space->regions.length;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (regions[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low < space->regions.length && regions[low].start <= address ? &regions[low] : NULL;
}

static struct image *open_vdso(const struct target *target, const struct region *region)
{
    size_t size = region->end - region->start;
    cleanup(cleanup_free) char *bytes = xmalloc(size);
    struct image *image = NULL;

    if (size > (1u << 20) || target_read(target, region->start, bytes, size) != ERR_OK ||
        image_open_memory(bytes, size, "[vdso]", &image, NULL) != ERR_OK)
        return NULL;
    return image;
}

/* The address of the module's first byte, where an ELF file begins; 0 if none does. */
static uint64_t find_elf_start(const struct address_space *space, const struct target *target,
                               uint32_t module)
{
    char magic[4];

    vec_each (region, &space->regions)
        if (region->module == module && region->offset == 0)
            return target_read(target, region->start, magic, sizeof(magic)) == ERR_OK &&
                           memcmp(magic, "\177ELF", sizeof(magic)) == 0
                       ? region->start
                       : 0;
    return 0;
}

/* The file as far as it is mapped, at its own offsets: what can be had of a deleted library without
 * the right to open it. Unwind table, code and dynamic symbols are there, sections are not. */
static struct image *open_memory(const struct address_space *space, const struct target *target,
                                 uint32_t module)
{
    uint64_t start = find_elf_start(space, target, module);
    cleanup(strbuf_deinit) struct strbuf bytes = STRBUF_INIT;
    struct image *image = NULL;

    if (!start)
        return NULL;
    vec_each (region, &space->regions) {
        uint64_t size = region->end - region->start, end = region->offset + size;

        if (region->module != module || end < size || end > MEMORY_LIMIT)
            continue;
        if (end > bytes.length) {
            strbuf_reserve(&bytes, end - bytes.length);
            memset(bytes.text + bytes.length, 0, end - bytes.length);
            bytes.length = end;
        }
        target_read_some(target, region->start, bytes.text + region->offset, size);
    }
    if (image_open_memory(bytes.text, bytes.length, space->modules->modules.items[module].path,
                          &image, NULL) == ERR_OK)
        image_set_memory_start(image, start);
    return image;
}

static struct image *open_image(const struct address_space *space, const struct target *target,
                                const struct region *region)
{
    const struct module *module = &space->modules->modules.items[region->module];
    const struct mapping mapping = {.start = region->start,
                                    .end = region->end,
                                    .offset = region->offset,
                                    .inode = module->inode,
                                    .device_major = module->device_major,
                                    .device_minor = module->device_minor,
                                    .is_executable = region->is_executable,
                                    .path = module->path};
    cleanup(cleanup_close) int fd = -1;
    struct image *image = NULL;

    if (strcmp(module->path, "[vdso]") == 0)
        return open_vdso(target, region);
    if (module->path[0] != '/')
        return NULL;
    fd = target_open_mapping(target, &mapping);
    if (fd < 0)
        return open_memory(space, target, region->module);
    image_open(fd, module->path, target->root_fd, &image, NULL);
    return image;
}

/* A file has one bias, which its executable mappings tell. It may be loaded twice (dlmopen): the
 * nearest one counts. */
static void find_bias(struct address_space *space, size_t index, const struct image *image)
{
    struct region *regions = space->regions.items;
    size_t count = space->regions.length;

    for (size_t distance = 0; distance < count; distance++) {
        size_t near[2] = {index - distance, index + distance};

        for (size_t i = 0; i < 2; i++) {
            const struct region *other = near[i] < count ? &regions[near[i]] : NULL;

            if (other && other->is_executable && other->module == regions[index].module &&
                image_bias(image, other->start, other->offset, other->end - other->start,
                           &regions[index].bias)) {
                regions[index].has_bias = true;
                return;
            }
        }
    }
}

struct image *region_image(struct address_space *space, const struct target *target,
                           const struct region *region)
{
    size_t index = (size_t)(region - space->regions.items);
    struct module *module;

    if (region->module == MODULE_NONE)
        return NULL;
    module = &space->modules->modules.items[region->module];
    if (!module->was_tried) {
        module->image = open_image(space, target, region);
        module->was_tried = true;
    }
    if (module->image && !region->bias_was_tried) {
        space->regions.items[index].bias_was_tried = true;
        find_bias(space, index, module->image);
    }
    return module->image;
}

bool address_space_place(struct address_space *space, const struct target *target, uint64_t address,
                         struct code_place *ret)
{
    const struct region *region = address_space_find(space, address);
    struct image *image;

    if (!region)
        return false;
    image = region_image(space, target, region);
    *ret =
        (struct code_place){.start = region->start, .end = region->end, .module = region->module};
    if (image && region->has_bias) {
        ret->image = image;
        ret->bias = region->bias;
    } else if (!image && region->is_executable && address < KERNEL_HALF) {
        jitlist_place(space, target, address, ret);
    }
    return true;
}
