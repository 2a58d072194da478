/* SPDX-License-Identifier: MIT */
/* The memory of a walk: what is copied, when, and what that costs (the essay of walk.c). */
#include "walk.h"

#include "pspy/base/clock.h"

#define READINGS        8
#define LONGEST_READING (30 * NS_PER_US) /* and 1 ns a byte */
#define COLD_CACHES     (2 * NS_PER_US)
#define WORDS           8
#define LATE_LIMIT      4096 /* reads of what was not copied, in one sample: links may be damaged */

struct places {
    struct iovec local[WORDS], remote[WORDS];
    size_t count, between;
};

static void add_place(struct places *places, void *local, uint64_t address, size_t size)
{
    places->local[places->count] = (struct iovec){local, size};
    places->remote[places->count++] = (struct iovec){(void *)(uintptr_t)address, size};
}

static uint64_t collecting_at(const struct walk *walk)
{
    if (walk->python->collecting_at)
        return walk->python->collecting_at;
    return walk->python->layout.interpreter_collecting
               ? walk->thread->interpreter + walk->python->layout.interpreter_collecting
               : 0;
}

static size_t gil_size(const struct layout *layout)
{
    return (layout->gil_locked > layout->gil_holder ? layout->gil_locked : layout->gil_holder) + 8;
}

/* The thread state, what tells the current frame, the state of the interpreter, and the C stack. */
static void list_words(struct walk *walk, bool with_stack, struct places *ret)
{
    const struct layout *layout = &walk->python->layout;
    const struct python_view *view = walk->view;

    ret->count = 0;
    add_place(ret, walk->state, walk->thread->state, layout->thread_size);
    if (layout->has_cframe && view->cframe) {
        add_place(ret, &walk->current, view->cframe + layout->cframe_frame, 8);
        add_place(ret, &walk->outer_cframe, view->cframe + layout->cframe_previous, 8);
        if (view->outer_cframe)
            add_place(ret, &walk->outer_current, view->outer_cframe + layout->cframe_frame, 8);
        /* Still the thread's cframe when its content was read? */
        add_place(ret, &walk->cframe_again, walk->thread->state + layout->thread_frame, 8);
    }
    ret->between = ret->count;
    if (walk->python->gil_holder_at)
        add_place(ret, walk->gil, walk->python->gil_holder_at, 8);
    else if (walk->thread->gil && gil_size(layout) <= GIL_BYTES)
        add_place(ret, walk->gil, walk->thread->gil, gil_size(layout));
    if (collecting_at(walk))
        add_place(ret, &walk->collecting, collecting_at(walk), sizeof(walk->collecting));
    if (with_stack)
        add_place(ret, walk->how->stack_local->iov_base,
                  (uintptr_t)walk->how->stack_remote->iov_base, walk->how->stack_local->iov_len);
}

/* Whether we were put off the CPU between the copies, for longer than copying takes: a program with
 * a rhythm may be back where it was by then. That says nothing of the target, so reading anew
 * favours nothing. Where copying always takes long (a slow machine, thousands of pages), two
 * readings that took the same tell how long. */
static bool took_too_long(struct pages *memory, uint64_t since)
{
    uint64_t took = clock_now() - since, before = memory->fastest;
    bool is_slow = took > LONGEST_READING + memory->copy_size;

    if (!before || took < before)
        memory->fastest = took;
    if (is_slow && took < before - before / 4)
        return true;
    if (!before)
        return is_slow;
    if (took <= before + before / 4 + COLD_CACHES)
        return false;
    memory->fastest += memory->fastest / 4; /* the machine may have become slower for good */
    return true;
}

static enum err read_words(struct walk *walk, const struct places *places)
{
    struct page_words words = {places->local, places->remote, places->count, places->between};
    unsigned copies = walk->how->is_stopped ? 1 : 2;

    for (unsigned readings = 0; readings < READINGS; readings++) {
        uint64_t since = clock_now();
        enum err err = pages_read(walk->memory, walk->target, copies, words);

        if (err != ERR_OK || walk->how->is_stopped || !took_too_long(walk->memory, since))
            return err;
    }
    return ERR_TORN;
}

enum err walk_read(struct walk *walk)
{
    bool with_stack = walk->how->stack_local && !walk->has_stack;
    struct places places;
    enum err err;

    list_words(walk, with_stack, &places);
    err = read_words(walk, &places);
    if (err == ERR_UNREADABLE && (with_stack || walk->view->cframe)) {
        /* The cframes lay in C stack that is no more, or it ends earlier than its mapping. */
        walk->view->cframe = walk->view->outer_cframe = 0;
        with_stack = false;
        list_words(walk, false, &places);
        err = read_words(walk, &places);
    }
    walk->has_stack |= with_stack && err == ERR_OK;
    return err;
}

const unsigned char *walk_fetch(struct walk *walk, uint64_t address, size_t size,
                                const unsigned char **again)
{
    const unsigned char *found = pages_find(walk->memory, address, size);

    if (found && !walk->has_missed && !walk->how->is_stopped) {
        *again = pages_again(walk->memory, found);
        return found;
    }
    if (!found) {
        walk->has_missed = true;
        if (walk->late++ >= LATE_LIMIT)
            return NULL;
        found = pages_read_late(walk->memory, walk->target, address, size);
    }
    *again = found;
    return found;
}
