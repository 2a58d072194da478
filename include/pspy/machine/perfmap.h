/* SPDX-License-Identifier: MIT */
/* perf's map files: names that a runtime writes down of the code it makes. Pure. */
#ifndef PSPY_MACHINE_PERFMAP_H
#define PSPY_MACHINE_PERFMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pspy/base/strbuf.h"
#include "pspy/base/vec.h"

struct perfmap_entry {
    uint64_t start, size;
    size_t name; /* its place in perfmap.names */
};

struct perfmap {
    VEC(struct perfmap_entry) entries; /* in the file's order: newest last */
    struct strbuf names;               /* each with its NUL */
};

#define PERFMAP_INIT                                                                               \
    {                                                                                              \
        VEC_INIT, STRBUF_INIT                                                                      \
    }

void perfmap_deinit(struct perfmap *map);

/* Adds the file's next lines. The bytes that whole lines took; the rest is to come again, with what
 * follows. Lines of another form are left out. */
size_t perfmap_add(struct perfmap *map, const char *text, size_t length);

/* The newest entry that covers the address; NULL if there is none. Valid until more are added. */
const struct perfmap_entry *perfmap_find(const struct perfmap *map, uint64_t address);

#endif
