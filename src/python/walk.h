/* SPDX-License-Identifier: MIT */
/* One reading of a thread's frames, from its memory (reading.c) to a chain (walk.c), and on to a
 * stack of all its states (stack.c). Private to python/. */
#ifndef PSPY_PYTHON_WALK_H
#define PSPY_PYTHON_WALK_H

#include <string.h>

#include "pspy/python/python.h"

#define THREAD_STATE_LIMIT 2048
#define GIL_BYTES          64

struct walk {
    const struct python *python;
    const struct target *target;
    const struct python_walk *how;
    const struct python_thread *thread;
    struct pages *memory;
    struct python_view *view; /* `memory` is a part of it */
    struct python_stack *ret;
    /* What was read between the copies. */
    unsigned char state[THREAD_STATE_LIMIT];
    unsigned char gil[GIL_BYTES];
    uint32_t collecting;
    /* With layout.has_cframe, where the view says that they lie: the innermost cframe's frame and
     * outer cframe, the latter's frame, and which cframe is the innermost once more. */
    uint64_t current, outer_cframe, outer_current, cframe_again;
    /* As the walk goes on. */
    uint64_t cframe;
    uint64_t inner;  /* the frame before */
    bool is_in_call; /* the innermost eval call's frames have not ended yet */
    bool has_missed; /* some memory was not among what was copied */
    unsigned late;   /* how often, over all attempts */
    bool has_stack;  /* how->stack_local is filled; once is enough */
    bool is_torn;
};

static inline uint64_t word_at(const unsigned char *bytes, size_t at)
{
    uint64_t word;

    memcpy(&word, bytes + at, sizeof(word));
    return word;
}

/* Copies the memory that the thread's frames took last time, and its state. */
enum err walk_read(struct walk *walk);

/* The bytes at an address; in `again` those of the second copy, the same if there is none. NULL if
 * they cannot be read. */
const unsigned char *walk_fetch(struct walk *walk, uint64_t address, size_t size,
                                const unsigned char **again);

/* Appends the frames of walk->thread to the stack, and notes its end. */
void walk_state(struct walk *walk);

#endif
