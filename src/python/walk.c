/* SPDX-License-Identifier: MIT */
/*
 * From a thread state to its frames.
 *
 * Up to CPython 3.10 each Python call has a PyFrameObject and a call of the eval loop of its own.
 * 3.11 and later run pure Python calls within one eval call, so a chain of frames falls into calls.
 * Each call has an anchor, an address inside the C stack frame of its eval loop: in 3.10 and 3.11
 * the cframe, from 3.12 on the entry frame, local variables of the loop. In 3.11 the last frame of
 * a call has is_entry set; from 3.12 on the entry frame itself ends the call's frames. Up to 3.9
 * there is no anchor: calls are counted (sampler/merge.h).
 *
 * A running thread is not stopped: all memory that its frames took last time is copied, then the
 * thread state, then the memory again, in one system call. The state says which frame was current
 * at that moment, and a frame that is the same in both copies was so then. If any frame of the
 * chain is not the same the stack is torn, and whoever asks may stop the thread. It is never read
 * again until it fits: that would favour code that stands still. (Frames hold the locals too, which
 * a busy loop changes all the time; only what links frames and names functions is compared.) Memory
 * that was not copied, because the frame was not there last time, is found by following the links
 * once, and then all is read anew.
 */
#include "walk.h"

#define ATTEMPTS        4 /* to learn where the frames lie */
#define LOCALS_COMPARED 64
#define PAGE_BYTES      4096
#define LARGEST_FRAME   2048
#define STACK_LIMIT     (64u << 20)
#define CHUNK_BYTES     (16 * 1024) /* of the data stack, at least: DATA_STACK_CHUNK_SIZE */

static enum err read_pointer(struct walk *walk, uint64_t address, uint64_t *ret)
{
    const unsigned char *again, *bytes = walk_fetch(walk, address, 8, &again);

    if (!bytes)
        return ERR_UNREADABLE;
    *ret = word_at(bytes, 0);
    walk->is_torn |= *ret != word_at(again, 0);
    return ERR_OK;
}

/* Both words of a cframe that was not among what was copied. */
static enum err read_cframe_late(struct walk *walk, uint64_t cframe)
{
    const struct layout *layout = &walk->python->layout;
    const struct iovec local[] = {{&walk->current, sizeof(walk->current)},
                                  {&walk->outer_cframe, sizeof(walk->outer_cframe)}};
    const struct iovec remote[] = {
        {(void *)(uintptr_t)(cframe + layout->cframe_frame), local[0].iov_len},
        {(void *)(uintptr_t)(cframe + layout->cframe_previous), local[1].iov_len}};

    walk->has_missed = true;
    return target_read_scattered(walk->target, local, 2, remote, 2) ==
                   local[0].iov_len + local[1].iov_len
               ? ERR_OK
               : ERR_UNREADABLE;
}

/* The innermost cframe, and the frame of the one that it was called from. */
static enum err read_cframe(struct walk *walk, uint64_t cframe)
{
    const struct layout *layout = &walk->python->layout;
    struct python_view *view = walk->view;

    if (view->cframe == cframe) {
        walk->is_torn |= walk->cframe_again != cframe;
    } else {
        view->cframe = cframe;
        if (read_cframe_late(walk, cframe) != ERR_OK)
            return ERR_UNREADABLE;
    }
    if (view->outer_cframe == walk->outer_cframe)
        return ERR_OK;
    view->outer_cframe = walk->outer_cframe;
    if (!walk->outer_cframe)
        return ERR_OK;
    walk->has_missed = true;
    return target_read(walk->target, walk->outer_cframe + layout->cframe_frame,
                       &walk->outer_current, sizeof(walk->outer_current));
}

/* Whether a frame lies where the data stack of a thread that stands still is free. (Of one that
 * runs, how far it reaches was read at another moment.) */
static bool is_popped(const struct walk *walk, uint64_t frame)
{
    uint32_t at = walk->python->layout.thread_chunk;

    return walk->how->is_stopped && frame >= word_at(walk->state, at + 8) &&
           frame - word_at(walk->state, at) < CHUNK_BYTES;
}

/* The outermost one is a part of the thread state, and there is nothing that it runs. */
static bool is_root_cframe(const struct walk *walk, uint64_t cframe)
{
    return cframe - walk->thread->state < THREAD_STATE_LIMIT;
}

/*
 * An eval call links its cframe to the thread before it says there which frame it runs and where it
 * was called from: until then that is whatever the place held before. (Also end_call.) Where the
 * call comes from C code without a frame, a greenlet's start, the outer cframe is on the stack too.
 */
static bool is_unset(const struct walk *walk, uint64_t cframe)
{
    uint64_t outer = walk->outer_cframe;

    return !walk->current || !outer || is_popped(walk, walk->current) ||
           (!walk->outer_current && !is_root_cframe(walk, outer) && outer - cframe >= STACK_LIMIT);
}

/* The current frame at the moment of the thread state. */
static enum err first_frame(struct walk *walk, uint64_t *ret)
{
    const struct layout *layout = &walk->python->layout;
    uint64_t pointer = word_at(walk->state, layout->thread_frame);

    *ret = pointer;
    walk->cframe = layout->thread_cframe ? word_at(walk->state, layout->thread_cframe) : 0;
    if (!layout->has_cframe || pointer == 0)
        return ERR_OK;
    walk->cframe = pointer;
    walk->is_in_call = !is_root_cframe(walk, pointer);
    if (read_cframe(walk, pointer) != ERR_OK)
        return ERR_UNREADABLE;
    *ret = walk->current;
    walk->is_torn |= walk->is_in_call && is_unset(walk, pointer);
    return ERR_OK;
}

/* The caller of the innermost call's outermost frame must be what the outer cframe says. */
static void end_call(struct walk *walk, uint64_t caller)
{
    if (walk->is_in_call)
        walk->is_torn |= caller != walk->outer_current;
    walk->is_in_call = false;
}

/* Ends the current eval call where the cframes are the anchors. */
static enum err leave_cframe(struct walk *walk)
{
    if (!walk->cframe)
        return ERR_OK;
    vec_push(&walk->ret->anchors, walk->cframe);
    if (!walk->how->wants_anchors)
        return ERR_OK;
    return read_pointer(walk, walk->cframe + walk->python->layout.cframe_previous, &walk->cframe);
}

static bool is_entry_frame(const struct layout *layout, const unsigned char *head)
{
    return layout->anchors == ANCHORS_ENTRY && head[layout->frame_owner] >= OWNER_INTERPRETER;
}

/* 3.11 and later: whether memory cannot be a frame. A frame is current some instructions before its
 * caller is written to it, and until then what is read there is of anything. */
static bool is_impossible(const struct layout *layout, uint64_t address, const unsigned char *head)
{
    return layout->frame_owner &&
           (address % sizeof(uint64_t) != 0 || head[layout->frame_owner] > OWNER_LAST ||
            word_at(head, layout->frame_code) == 0 ||
            (layout->frame_is_entry && head[layout->frame_is_entry] > 1));
}

/* A generator that has lost its caller, but is the current frame for one more instruction. */
static bool is_between(const struct layout *layout, const unsigned char *head)
{
    return layout->frame_owner && head[layout->frame_owner] == OWNER_GENERATOR;
}

static uint64_t instruction_of(const struct layout *layout, const unsigned char *head)
{
    int32_t index;

    if (layout->instruction == INSTRUCTION_POINTER)
        return word_at(head, layout->frame_instruction);
    memcpy(&index, head + layout->frame_instruction, sizeof(index));
    return (uint64_t)(int64_t)index;
}

/* Whether both copies of a frame say the same. The innermost one's instruction goes on all the
 * time; another's stands at its call. */
static bool is_same(const struct layout *layout, const unsigned char *head,
                    const unsigned char *again, bool is_innermost)
{
    if (head == again)
        return true;
    if (word_at(head, layout->frame_code) != word_at(again, layout->frame_code) ||
        word_at(head, layout->frame_previous) != word_at(again, layout->frame_previous))
        return false;
    if (layout->frame_owner && head[layout->frame_owner] != again[layout->frame_owner])
        return false;
    return is_innermost || instruction_of(layout, head) == instruction_of(layout, again);
}

static void push_frame(struct walk *walk, uint64_t address, const unsigned char *head)
{
    const struct layout *layout = &walk->python->layout;
    struct python_frame frame = {.address = address,
                                 .code = word_at(head, layout->frame_code) & ~(uint64_t)3,
                                 .instruction = instruction_of(layout, head),
                                 .call = (uint32_t)walk->ret->anchors.length,
                                 .code_index = CODE_UNKNOWN};

    if (layout->frame_tlbc)
        memcpy(&frame.tlbc, head + layout->frame_tlbc, sizeof(frame.tlbc));
    vec_push(&walk->ret->frames, frame);
}

/* Behind the page there may be nothing. */
static uint64_t some_locals(uint64_t address)
{
    uint64_t left = -address % PAGE_BYTES;

    return left < LOCALS_COMPARED ? left : LOCALS_COMPARED;
}

/*
 * Whether the locals or the value stack of a caller differ between the copies. They stand still
 * while it waits for its callee; so if they differ it has run meanwhile, for example a loop that
 * was back at the same instruction for the second copy.
 */
static bool has_moved(struct walk *walk, uint64_t address, const unsigned char *head)
{
    const struct layout *layout = &walk->python->layout;
    uint64_t size = UINT64_MAX;
    const unsigned char *whole;

    if (layout->frames == FRAMES_OBJECTS)
        size = layout->frame_locals + 8 * word_at(head, layout->object_size);
    else if (walk->inner > address)
        size = walk->inner - address; /* the next one in the data stack */
    if (size > LARGEST_FRAME)
        size = layout->frame_size + some_locals(address + layout->frame_size);
    whole = pages_find(walk->memory, address, size);
    if (!whole) {
        pages_want(walk->memory, address, size);
        walk->has_missed = true;
    }
    return !walk->has_missed && memcmp(whole, pages_again(walk->memory, whole), size) != 0;
}

/* Whether a frame runs itself: it cannot have called the frame inside of it, in the same eval call,
 * which is a remnant then. */
static bool is_running(const struct walk *walk, const unsigned char *head)
{
    const struct layout *layout = &walk->python->layout;
    const struct python_stack *stack = walk->ret;
    int32_t index;

    if (stack->frames.items[stack->frames.length - 1].call != stack->anchors.length)
        return false;
    if (layout->frame_stack_pointer)
        return word_at(head, layout->frame_stack_pointer) == 0;
    memcpy(&index, head + layout->frame_stack_index, sizeof(index));
    return layout->frame_stack_index && index == -1;
}

/* Whether a frame object is freed: what it says is of its last call. (Its memory waits for the next
 * call of the same function, or of any.) */
static bool is_freed(const struct layout *layout, const unsigned char *head)
{
    return layout->frames == FRAMES_OBJECTS &&
           word_at(head, layout->object_type - sizeof(uint64_t)) == 0; /* ob_refcnt */
}

/* Takes one frame and steps to the one that called it. */
static enum err take_frame(struct walk *walk, uint64_t *address, bool is_innermost)
{
    const struct layout *layout = &walk->python->layout;
    const unsigned char *again, *head = walk_fetch(walk, *address, layout->frame_size, &again);
    uint64_t previous;
    bool ends_call;

    if (!head)
        return ERR_UNREADABLE;
    walk->is_torn |= is_impossible(layout, *address, head) ||
                     !is_same(layout, head, again, is_innermost) ||
                     (!is_innermost && !walk->how->is_stopped && has_moved(walk, *address, head));
    previous = word_at(head, layout->frame_previous);
    if (is_entry_frame(layout, head)) {
        end_call(walk, previous);
        vec_push(&walk->ret->anchors, *address);
        *address = previous;
        return ERR_OK;
    }
    if (!is_innermost && !walk->how->is_stopped)
        walk->is_torn |=
            is_running(walk, head) || is_freed(layout, head) || is_freed(layout, again);
    ends_call = layout->anchors == ANCHORS_IS_ENTRY && head[layout->frame_is_entry];
    push_frame(walk, *address, head);
    walk->inner = *address;
    if (is_innermost)
        walk->memory->near = *address + layout->frame_size;
    walk->is_torn |= !previous && is_between(layout, head);
    *address = previous;
    if (!ends_call)
        return ERR_OK;
    end_call(walk, previous);
    return leave_cframe(walk);
}

/* Makes the anchors from `first` on `count` ones: drops or adds at the inner end. */
static void align_anchors(struct python_stack *stack, size_t first, size_t count)
{
    size_t found = stack->anchors.length - first, kept = found < count ? found : count;
    uint64_t *items;

    vec_reserve(&stack->anchors, first + count);
    items = stack->anchors.items + first;
    if (kept)
        memmove(items + (count - kept), items + (found - kept), kept * sizeof(*items));
    for (size_t i = 0; i < count - kept; i++)
        items[i] = 0;
    stack->anchors.length = first + count;
}

/* 3.10: one cframe a frame, but for a call that is about to begin or to end: so they are matched
 * from the outermost on. The root one, inside the thread state, is none; what it calls its previous
 * is whatever the memory held before. */
static void list_cframes(struct walk *walk, size_t frames)
{
    size_t first = walk->ret->anchors.length;

    while (walk->cframe && !is_root_cframe(walk, walk->cframe) &&
           walk->ret->anchors.length - first <= frames + 1) {
        vec_push(&walk->ret->anchors, walk->cframe);
        if (read_pointer(walk, walk->cframe + walk->python->layout.cframe_previous,
                         &walk->cframe) != ERR_OK)
            break;
    }
    align_anchors(walk->ret, first, frames);
}

static enum python_end walk_frames(struct walk *walk)
{
    const struct layout *layout = &walk->python->layout;
    uint64_t frame, base = layout->thread_base ? word_at(walk->state, layout->thread_base) : 0;
    size_t first = walk->ret->frames.length, count = 0;
    uint64_t passed = 0; /* the frame at the last power of two: to meet it again is a circle */

    if (first_frame(walk, &frame) != ERR_OK)
        return PYTHON_UNREADABLE;
    for (; frame && frame != base && !walk->is_torn; count++) {
        walk->is_torn |= frame == passed;
        if ((count & (count - 1)) == 0)
            passed = frame;
        if (first + count >= walk->how->limit)
            return PYTHON_TRUNCATED;
        if (take_frame(walk, &frame, walk->ret->frames.length == first) != ERR_OK)
            return PYTHON_UNREADABLE;
    }
    walk->is_torn |= walk->is_in_call;
    if (layout->anchors == ANCHORS_CFRAMES && walk->how->wants_anchors)
        list_cframes(walk, count);
    return PYTHON_ROOT;
}

/* ---- One thread state ---- */

static void note_interpreter(struct walk *walk)
{
    const struct layout *layout = &walk->python->layout;
    uint32_t locked = 0, attached = 0;
    bool holds = false;

    if (walk->python->gil_holder_at) {
        holds = word_at(walk->gil, 0) == walk->thread->state;
    } else if (layout->gil == GIL_NONE) {
        memcpy(&attached, walk->state + layout->thread_attached, sizeof(attached));
        holds = attached == 1;
    } else if (walk->thread->gil) {
        /* The last holder stays in place after it let go: `locked` decides. */
        memcpy(&locked, walk->gil + layout->gil_locked, sizeof(locked));
        holds = locked == 1 && word_at(walk->gil, layout->gil_holder) == walk->thread->state;
    }
    walk->ret->holds_gil |= holds;
    walk->ret->is_collecting |= holds && walk->collecting;
}

static bool is_its_thread(const struct walk *walk)
{
    const struct layout *layout = &walk->python->layout;

    return word_at(walk->state, layout->thread_id) == walk->thread->thread_id &&
           (!layout->thread_native_id ||
            (pid_t)word_at(walk->state, layout->thread_native_id) == walk->thread->tid);
}

/* Reads and walks once. False if that only showed where the frames lie. */
static bool attempt(struct walk *walk)
{
    size_t frames = walk->ret->frames.length, anchors = walk->ret->anchors.length;

    walk->has_missed = walk->is_torn = walk->is_in_call = false;
    walk->inner = 0;
    walk->collecting = 0;
    switch (walk_read(walk)) {
    case ERR_OK:
        break;
    case ERR_TORN:
        walk->is_torn = true;
        return true;
    default:
        walk->ret->end = PYTHON_UNREADABLE;
        return true;
    }
    if (!is_its_thread(walk)) {
        walk->ret->end = PYTHON_UNREADABLE;
        return true;
    }
    walk->ret->end = walk_frames(walk);
    if (walk->ret->end == PYTHON_UNREADABLE && (!walk->how->is_stopped || walk->is_in_call))
        walk->is_torn = true; /* links that lead nowhere */
    if (walk->how->is_stopped || !walk->has_missed) {
        note_interpreter(walk);
        return true;
    }
    walk->ret->frames.length = frames;
    walk->ret->anchors.length = anchors;
    return false;
}

void walk_state(struct walk *walk)
{
    unsigned attempts = 0;

    while (attempts < ATTEMPTS && !attempt(walk))
        attempts++;
    if (attempts == ATTEMPTS || walk->is_torn)
        walk->ret->end = PYTHON_TORN;
}
