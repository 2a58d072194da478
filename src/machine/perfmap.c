/* SPDX-License-Identifier: MIT */
/*
 * /tmp/perf-PID.map has a line for each piece of code, in the order in which they were made;
 * numbers are hexadecimal, the name is the rest of the line:
 *
 *   7fd6290677c7 b py::leaf:/home/me/program.py
 *   0x3f0c8a40 1a4 LazyCompile:*fib /home/me/program.js:1:13
 *
 * Code is thrown away without a word and its place used again, so the newest line counts.
 */
#include "pspy/machine/perfmap.h"

#include <stdlib.h>
#include <string.h>

#define ENTRIES_LIMIT 1000000
#define NAME_LIMIT    4096
#define LINE_BYTES    (2 * 20 + NAME_LIMIT)

void perfmap_deinit(struct perfmap *map)
{
    vec_deinit(&map->entries);
    strbuf_deinit(&map->names);
}

/* A line without its end. */
static void add_line(struct perfmap *map, const char *text, size_t length)
{
    char line[LINE_BYTES + 1], *end, *name;
    struct perfmap_entry entry;

    if (length > LINE_BYTES)
        length = LINE_BYTES;
    memcpy(line, text, length);
    line[length] = '\0';
    entry.start = strtoull(line, &end, 16);
    if (end == line || *end != ' ')
        return;
    entry.size = strtoull(end + 1, &name, 16);
    if (name == end + 1 || *name != ' ' || !name[1] || entry.size == 0 ||
        entry.start > UINT64_MAX - entry.size || map->entries.length == ENTRIES_LIMIT)
        return;
    entry.name = map->names.length;
    strbuf_add(&map->names, name + 1, strnlen(name + 1, NAME_LIMIT));
    strbuf_add_char(&map->names, '\0');
    vec_push(&map->entries, entry);
}

size_t perfmap_add(struct perfmap *map, const char *text, size_t length)
{
    size_t at = 0;
    const char *end;

    while ((end = memchr(text + at, '\n', length - at))) {
        add_line(map, text + at, (size_t)(end - text) - at);
        at = (size_t)(end - text) + 1;
    }
    return at;
}

const struct perfmap_entry *perfmap_find(const struct perfmap *map, uint64_t address)
{
    for (size_t i = map->entries.length; i-- > 0;) {
        const struct perfmap_entry *entry = &map->entries.items[i];

        if (address >= entry->start && address - entry->start < entry->size)
            return entry;
    }
    return NULL;
}
