/* SPDX-License-Identifier: MIT */
/*
 * Code that compilers made at run time and told others of: debuggers by GDB's JIT interface, which
 * LLVM's MCJIT serves without being asked (Numba), or perf by a map file. Every object becomes an
 * image of its own, which is kept so that its addresses can be named when it is gone.
 */
#ifndef PSPY_TARGET_JITLIST_H
#define PSPY_TARGET_JITLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pspy/base/vec.h"
#include "pspy/target/perffile.h"
#include "pspy/target/target.h"

struct address_space;
struct code_place;

/* A list entry, as it lies in the target. */
struct jit_entry {
    uint64_t next, previous; /* entries */
    uint64_t object, size;   /* the object file */
};

struct jit_object {
    uint64_t address; /* of its entry; 0: of a perf map */
    struct jit_entry entry;
    uint32_t module;    /* MODULE_NONE: unreadable, or no object file */
    bool is_listed;     /* as of the last reading */
    bool is_used;       /* was an answer: is compared with the target in each tick */
    uint32_t reading;   /* in which it was last met */
    unsigned char *end; /* the object file's last bytes */
};

/* Where an object's code lies. */
struct jit_range {
    uint64_t start, end;
    uint32_t object; /* index in jitlist.objects */
};

/* A runtime that announces its code: a process may have several. */
struct jit_descriptor {
    uint64_t address;
    uint64_t head[3]; /* its contents as of the last reading */
};

struct jitlist {
    VEC(struct jit_descriptor) descriptors;
    VEC(struct jit_object) objects; /* all that there ever were */
    VEC(struct jit_range) ranges;   /* of living ones, by start, disjoint */
    struct perffile perf;
    size_t perf_entries; /* of perf.map, whose places are nobody else's any more */
    uint32_t searched;   /* address_space.refreshed when descriptors were looked for */
    uint32_t reading;    /* grows with each reading of the lists */
    uint64_t total_size; /* bytes of objects kept */
    bool was_in_vain;    /* since the last change: an address was looked for that nothing covers */
};

#define JITLIST_INIT                                                                               \
    {                                                                                              \
        .perf = PERFFILE_INIT                                                                      \
    }

void jitlist_deinit(struct jitlist *list);

/* To be called in each tick, when the threads' states are taken and not yet looked at: forgets what
 * the target does not have any more, and meets what is new. `space->generation` grows then. */
void jitlist_advance(struct address_space *space, const struct target *target);

/* The object whose code covers the address, as of the last tick; false if none does. */
bool jitlist_place(struct address_space *space, const struct target *target, uint64_t address,
                   struct code_place *ret);

#endif
