/* SPDX-License-Identifier: MIT */
/* The stack of a thread: its states, one upon the other, and the code objects that they run. */
#include "code.h"

#include <string.h>

#include "walk.h"

#define FRAME_HEAD_LIMIT LAYOUT_FRAME_LIMIT

void python_stack_deinit(struct python_stack *stack)
{
    vec_deinit(&stack->frames);
    vec_deinit(&stack->anchors);
    vec_deinit(&stack->heads);
    table_deinit(&stack->head_index);
}

void python_view_deinit(struct python_view *view)
{
    pages_deinit(&view->memory);
}

#define STATES 16

/* What one state gave. */
struct part {
    size_t first_frame, frames, first_anchor, anchors;
    uint64_t place; /* the smaller, the further inside: the C stack grows downwards */
};

static void reset(struct python_stack *stack)
{
    vec_reset(&stack->frames);
    vec_reset(&stack->anchors);
    vec_reset(&stack->heads);
    table_clear(&stack->head_index);
    stack->holds_gil = stack->is_collecting = false;
    stack->end = PYTHON_ROOT;
}

/* The worse of two. */
static enum python_end worse(enum python_end a, enum python_end b)
{
    return a > b ? a : b;
}

static struct part walk_part(struct walk *walk)
{
    struct python_stack *stack = walk->ret;
    struct part part = {.first_frame = stack->frames.length,
                        .first_anchor = stack->anchors.length,
                        .place = UINT64_MAX};
    enum python_end before = stack->end;
    bool held_before = stack->holds_gil;

    walk_state(walk);
    stack->end = worse(before, stack->end);
    part.frames = stack->frames.length - part.first_frame;
    part.anchors = stack->anchors.length - part.first_anchor;
    if (stack->holds_gil && !held_before)
        part.place = 0;
    else if (part.anchors)
        part.place = stack->anchors.items[part.first_anchor];
    return part;
}

/* Brings the parts of a thread that runs several interpreters in the order of the C stack. */
static void order_parts(struct python_stack *stack, struct part *parts, size_t count)
{
    struct python_stack ordered = {.frames = VEC_INIT};

    for (size_t done = 0; done < count; done++) {
        struct part *next = NULL;

        for (size_t i = 0; i < count; i++)
            if (parts[i].frames != SIZE_MAX && (!next || parts[i].place < next->place))
                next = &parts[i];
        for (size_t i = 0; i < next->frames; i++) {
            struct python_frame frame = stack->frames.items[next->first_frame + i];

            frame.call =
                frame.call - (uint32_t)next->first_anchor + (uint32_t)ordered.anchors.length;
            vec_push(&ordered.frames, frame);
        }
        for (size_t i = 0; i < next->anchors; i++)
            vec_push(&ordered.anchors, stack->anchors.items[next->first_anchor + i]);
        next->frames = SIZE_MAX;
    }
    vec_deinit(&stack->frames);
    vec_deinit(&stack->anchors);
    memcpy(&stack->frames, &ordered.frames, sizeof(ordered.frames));
    memcpy(&stack->anchors, &ordered.anchors, sizeof(ordered.anchors));
}

/* Several states with frames cannot be read at one moment unless the thread stands still. */
static void walk_states(struct walk *walk, const struct python_thread *states, size_t count)
{
    struct part parts[STATES];
    size_t used = 0;

    reset(walk->ret);
    for (size_t i = 0; i < count; i++) {
        walk->thread = &states[i];
        parts[used] = walk_part(walk);
        used += parts[used].frames > 0;
    }
    if (used > 1 && !walk->how->is_stopped)
        walk->ret->end = PYTHON_TORN;
    else if (used > 1)
        order_parts(walk->ret, parts, used);
}

/* Whether the frames are still those of `before`: then so are their code objects, which they own.
 */
static bool still_same(struct walk *walk, const struct python_thread *states, size_t count,
                       const struct python_frame *before, size_t frames)
{
    const struct python_stack *now = walk->ret;

    vec_reset(&walk->ret->frames);
    vec_reset(&walk->ret->anchors);
    for (size_t i = 0; i < count; i++) {
        walk->thread = &states[i];
        walk_part(walk);
    }
    if (now->end != PYTHON_ROOT || now->frames.length != frames)
        return false;
    for (size_t i = 0; i < frames; i++)
        if (now->frames.items[i].address != before[i].address ||
            now->frames.items[i].code != before[i].code)
            return false;
    return true;
}

/* Whether a frame runs what is no code object: memory was taken for one (is_impossible of walk.c).
 */
static bool runs_no_code(const struct walk *walk)
{
    const struct python *python = walk->python;

    vec_each (head, &walk->ret->heads) {
        if (word_at(head->bytes, python->layout.object_type) != python->code_type)
            return true;
    }
    return false;
}

/* Code objects that were not known before must still be run by the same frames when they have been
 * copied. While a thread stands still only those are. */
static void copy_codes(struct walk *walk, const struct python_thread *states, size_t count)
{
    struct python_stack *stack = walk->ret;
    struct python_frame *before;
    size_t frames = stack->frames.length;
    bool were_known = code_copy_heads(walk->python, walk->target, walk->how->is_stopped, stack);

    if (walk->python->layout.has_cframe && walk->python->code_type && runs_no_code(walk))
        stack->end = PYTHON_TORN;
    if (were_known || walk->how->is_stopped || stack->end != PYTHON_ROOT)
        return;
    before = xreallocarray(NULL, frames, sizeof(*before));
    if (frames)
        memcpy(before, stack->frames.items, frames * sizeof(*before));
    if (!still_same(walk, states, count, before, frames))
        stack->end = PYTHON_TORN;
    free(before);
}

bool python_walk(const struct python *python, const struct target *target,
                 const struct python_thread *states, size_t count, const struct python_walk *how,
                 struct python_view *view, struct python_stack *ret)
{
    struct walk walk = {.python = python,
                        .target = target,
                        .how = how,
                        .memory = &view->memory,
                        .view = view,
                        .ret = ret};

    reset(ret);
    if (python->layout.thread_size > THREAD_STATE_LIMIT ||
        python->layout.frame_size > FRAME_HEAD_LIMIT) {
        ret->end = PYTHON_UNREADABLE;
        return false;
    }
    if (count > STATES)
        count = STATES;
    walk_states(&walk, states, count);
    if (how->is_stopped || ret->end != PYTHON_TORN)
        copy_codes(&walk, states, count);
    if (ret->frames.length && python->layout.frames == FRAMES_OBJECTS &&
        code_is_generator(python, ret, ret->frames.items[ret->frames.length - 1].code))
        ret->end = PYTHON_TORN; /* it has lost its caller already, or has not got it yet */
    if (python->layout.frames == FRAMES_OBJECTS)
        for (size_t i = 0; i < ret->frames.length; i++)
            ret->frames.items[i].call = (uint32_t)i;
    return walk.has_stack;
}
