/* SPDX-License-Identifier: MIT */
#include "merge.h"

struct merge {
    const struct python_stack *python;
    struct merged_stack *ret;
    size_t next_frame;  /* Python frames before it are placed */
    size_t next_anchor; /* calls before it are placed */
    struct merge_loops loops;
    /* Counting: the eval calls met so far, and how many of them run no Python frame (yet). */
    size_t met, extra;
};

static void add_native(struct merge *merge, size_t index)
{
    vec_push(&merge->ret->frames, ((struct merged_frame){false, (uint32_t)index}));
}

/* Places the frames of all calls up to `call`. False if there were none. */
static bool add_calls(struct merge *merge, size_t call)
{
    size_t before = merge->next_frame;

    while (merge->next_frame < merge->python->frames.length &&
           merge->python->frames.items[merge->next_frame].call <= call) {
        vec_push(&merge->ret->frames, ((struct merged_frame){true, (uint32_t)merge->next_frame}));
        merge->next_frame++;
    }
    merge->next_anchor = call + 1;
    return merge->next_frame > before;
}

#define NO_CALL SIZE_MAX

static bool runs_loop(struct merge_loops loops, const struct native_frame *frame)
{
    uint64_t pc = frame->pc - frame->is_return;

    for (size_t i = 0; i < loops.count; i++)
        if (pc >= loops.ranges[i].start && pc < loops.ranges[i].end)
            return true;
    return false;
}

/* A complete native stack is counted from its root: a call that is just beginning or ending, at the
 * other side, has no Python frame. */
static size_t count_extra(const struct merge *merge, const struct native_stack *native)
{
    size_t calls = 0, frames = merge->python->frames.length;

    if (native->end != WALK_ROOT)
        return 0;
    for (size_t i = 0; i < native->frames.length; i++)
        calls += runs_loop(merge->loops, &native->frames.items[i]);
    return calls > frames ? calls - frames : 0;
}

static size_t count_call(struct merge *merge, const struct native_frame *frame)
{
    if (!runs_loop(merge->loops, frame) || merge->met++ < merge->extra)
        return NO_CALL;
    return merge->met - 1 - merge->extra;
}

/* The outermost call whose anchor lies in the frame, or NO_CALL. */
static size_t find_call(struct merge *merge, const struct native_frame *frame)
{
    size_t found = NO_CALL;

    if (merge->loops.count)
        return count_call(merge, frame);

    for (size_t i = merge->next_anchor; i < merge->python->anchors.length; i++) {
        uint64_t anchor = merge->python->anchors.items[i];

        if (frame->sp <= anchor && anchor < frame->cfa)
            found = i;
    }
    return found;
}

void merge_stacks(const struct native_stack *native, const struct python_stack *python,
                  struct merge_loops loops, struct merged_stack *ret)
{
    struct merge merge = {.python = python, .ret = ret, .loops = loops};

    vec_reset(&ret->frames);
    if (loops.count)
        merge.extra = count_extra(&merge, native);
    /* A call that is ending has no anchor any more: it is the innermost. */
    else if (python->anchors.length && python->anchors.items[0] == 0)
        add_calls(&merge, 0);
    for (size_t i = 0; i < native->frames.length; i++) {
        const struct native_frame *frame = &native->frames.items[i];
        size_t call = find_call(&merge, frame);

        /* The last frame of a broken walk has no known end: its anchors may be others'. */
        if (call == NO_CALL ||
            (!loops.count && frame->cfa == UINT64_MAX && native->end != WALK_ROOT) ||
            !add_calls(&merge, call))
            add_native(&merge, i);
    }
    add_calls(&merge, NO_CALL - 1);
}
