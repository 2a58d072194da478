/* SPDX-License-Identifier: MIT */
/* From captures to samples: unwinding, merging and interning, while the threads run on. */
#include "internal.h"
#include "pspy/profile/paths.h"

#define UNKNOWN_FUNCTION "[unknown Python function]"

static const struct code_frame *code_frame(struct process *process, uint32_t code)
{
    struct profile *profile = process->setup->profile;
    struct code_info info;
    struct code_frame *frame;

    while (process->code_frames.length <= code)
        vec_push(&process->code_frames, (struct code_frame){.is_ready = false});
    frame = &process->code_frames.items[code];
    if (frame->is_ready)
        return frame;
    info = python_code_info(&process->python, code);
    frame->name = profile_string(profile, info.qualname);
    frame->file = profile_string(profile, info.file);
    frame->short_file = profile_string(profile, path_shorten(info.file, process->target->root_fd));
    frame->first_line = info.first_line;
    frame->kind = path_python_kind(info.file);
    frame->is_ready = true;
    return frame;
}

static frame_id marker(struct process *process, const char *name)
{
    struct profile *profile = process->setup->profile;
    struct frame_info info = {.kind = FRAME_MARKER, .name = profile_string(profile, name)};

    return profile_frame(profile, &info);
}

static frame_id intern_known_code(struct process *process, const struct python_frame *frame)
{
    const struct code_frame *known = code_frame(process, frame->code_index);
    struct line_entry position = python_code_line(&process->python, process->target, frame);
    struct frame_info info = {.kind = known->kind,
                              .name = known->name,
                              .file = known->file,
                              .short_file = known->short_file,
                              .line = position.line,
                              .first_line = known->first_line,
                              .column = position.column};

    return profile_frame(process->setup->profile, &info);
}

static frame_id intern_python(struct process *process, const struct python_frame *frame)
{
    struct known_frame *known;

    if (frame->code_index == CODE_UNKNOWN)
        return marker(process, UNKNOWN_FUNCTION);
    known = &process->known_frames[hash_mix(frame->instruction, frame->code_index) % KNOWN_FRAMES];
    if (known->code == frame->code_index + 1 && known->instruction == frame->instruction)
        return known->frame;
    *known = (struct known_frame){.instruction = frame->instruction,
                                  .code = frame->code_index + 1,
                                  .frame = intern_known_code(process, frame)};
    /* Its line table may yet be read. */
    if (!profile_frame_info(process->setup->profile, known->frame)->line)
        known->code = 0;
    return known->frame;
}

static frame_id intern_native(struct process *process, const struct native_frame *frame)
{
    struct profile *profile = process->setup->profile;
    struct native_ref ref = {
        .module = frame->module, .is_return = frame->is_return, .offset = frame->offset};

    if (frame->module == MODULE_NONE)
        return marker(process, "[unmapped code]");
    modules_tell_one(process->sampler, frame->module);
    return profile_frame_native(profile, &ref);
}

/* The mappings may be older than the code that runs. What could only be walked while the thread
 * stood still gains by that from its next sample on. */
static void walk_native(struct process *process, struct capture *capture)
{
    bool was_walked = capture->is_walked;

    if (!was_walked)
        capture_walk(process, capture);
    if (capture->native.end == WALK_UNMAPPED && process_refresh_early(process) && !was_walked)
        capture_walk(process, capture);
}

static enum stack_end end_of_native(const struct native_stack *native)
{
    switch (native->end) {
    case WALK_ROOT:
        return native->is_guessed ? END_GUESSED : END_ROOT;
    case WALK_TRUNCATED:
        return END_TRUNCATED;
    case WALK_UNREADABLE:
        return END_UNREADABLE;
    default:
        return END_NO_INFO;
    }
}

static enum stack_end end_of_python(const struct python_stack *python)
{
    switch (python->end) {
    case PYTHON_ROOT:
        return END_ROOT;
    case PYTHON_TRUNCATED:
        return END_TRUNCATED;
    default:
        return END_UNREADABLE;
    }
}

/* A stack is whole only if each half that it is made of is. */
static enum stack_end end_of_both(const struct capture *capture, const struct native_stack *native,
                                  const struct python_stack *python)
{
    if (!capture->has_native || (capture->has_python && python->end != PYTHON_ROOT))
        return end_of_python(python);
    return end_of_native(native);
}

/* Interns stacks frame by frame from the root, starting from what the thread's last one shares. */
struct descent {
    struct process *process;
    struct thread *thread;
    size_t depth;
    stack_id stack;
};

static void descend(struct descent *descent, frame_id frame)
{
    struct thread *thread = descent->thread;
    struct path_step step = {.frame = frame};

    if (descent->depth < thread->path.length &&
        thread->path.items[descent->depth].frame.v == frame.v) {
        descent->stack = thread->path.items[descent->depth++].stack;
        return;
    }
    step.stack = descent->stack =
        profile_stack(descent->process->setup->profile, descent->stack, frame);
    thread->path.length = descent->depth++;
    vec_push(&thread->path, step);
}

/* The marker of a garbage collection stands where the innermost Python function called it. */
static size_t marker_place(const struct merged_stack *merged)
{
    size_t place = 0;

    while (place < merged->frames.length && !merged->frames.items[place].is_python)
        place++;
    return place < merged->frames.length ? place : SIZE_MAX;
}

static void descend_merged(struct descent *descent, const struct native_stack *native,
                           const struct python_stack *python)
{
    struct process *process = descent->process;
    size_t gc = python->is_collecting ? marker_place(&process->merged) : SIZE_MAX;

    for (size_t i = process->merged.frames.length; i-- > 0;) {
        struct merged_frame frame = process->merged.frames.items[i];

        descend(descent, frame.is_python
                             ? intern_python(process, &python->frames.items[frame.index])
                             : intern_native(process, &native->frames.items[frame.index]));
        if (i == gc)
            descend(descent, marker(process, "<GC>"));
    }
}

static struct merge_loops counted_loops(const struct process *process)
{
    struct merge_loops none = {NULL, 0};

    if (!process->has_python || process->python.layout.anchors != ANCHORS_COUNTED)
        return none;
    return (struct merge_loops){process->python.eval_loops.items,
                                process->python.eval_loops.length};
}

/* Interns the capture's stack, root first. */
static stack_id intern_stack(struct process *process, struct capture *capture, uint8_t *ret_end)
{
    static const struct native_stack no_native = {VEC_INIT, WALK_ROOT, false};
    static const struct python_stack no_python;
    const struct native_stack *native = capture->has_native ? &capture->native : &no_native;
    const struct python_stack *python = capture->has_python ? &capture->python : &no_python;
    struct thread *thread = &process->threads.items[capture->thread];
    struct descent descent = {process, thread, 0, STACK_EMPTY};

    if (capture->has_python)
        python_resolve(&process->python, process->target, &capture->python);
    if (capture->has_native)
        walk_native(process, capture);
    merge_stacks(native, python, counted_loops(process), &process->merged);
    if (!capture->has_native && python->end != PYTHON_ROOT)
        descend(&descent, marker(process, "[unknown callers]"));
    descend_merged(&descent, native, python);
    *ret_end = (uint8_t)end_of_both(capture, native, python);
    return descent.stack;
}

/* ---- Doubts ---- */

static bool is_doubted(struct process *process, const struct frame_info *info)
{
    if (info->kind > FRAME_SITE)
        return false;
    vec_each (code, &process->python.doubted) {
        const struct code_frame *doubted = code_frame(process, *code);

        if (info->name.v == doubted->name.v && info->file.v == doubted->file.v)
            return true;
    }
    return false;
}

static stack_id without_doubted(struct process *process, stack_id stack)
{
    struct profile *profile = process->setup->profile;
    VEC(frame_id) frames = VEC_INIT;
    bool has_changed = false;
    stack_id result = STACK_EMPTY;

    for (stack_id at = stack; at.v != STACK_EMPTY.v; at = profile->stacks.items[at.v].parent) {
        frame_id frame = profile->stacks.items[at.v].frame;

        if (is_doubted(process, profile_frame_info(profile, frame))) {
            frame = marker(process, UNKNOWN_FUNCTION);
            has_changed = true;
        }
        vec_push(&frames, frame);
    }
    for (size_t i = has_changed ? frames.length : 0; i-- > 0;)
        result = profile_stack(profile, result, frames.items[i]);
    vec_deinit(&frames);
    return has_changed ? result : stack;
}

void stacks_doubt(struct process *process, size_t first)
{
    struct profile *profile = process->setup->profile;

    for (size_t i = first; i < profile->samples.length; i++) {
        struct sample *sample = &profile->samples.items[i];

        if (profile->threads.items[sample->thread].process == process->profile_process)
            sample->stack = without_doubted(process, sample->stack);
    }
    /* Their last stacks may be among these. */
    vec_each (thread, &process->threads)
        thread->cached_timeslices = 0;
}

/* ---- Samples ---- */

static uint8_t flags_of(const struct capture *capture)
{
    const struct python_stack *python = &capture->python;
    unsigned flags = 0;

    if (capture->has_python && python->holds_gil)
        flags |= SAMPLE_HOLDS_GIL;
    if (capture->has_python && python->is_collecting)
        flags |= SAMPLE_COLLECTS;
    return (uint8_t)flags;
}

/* Gives the thread its place in the profile at its first sample. */
static void enter_thread(struct process *process, struct thread *thread)
{
    if (thread->profile_thread != TABLE_NONE)
        return;
    thread->profile_thread =
        profile_add_thread(process->setup->profile, process->profile_process, thread->tid);
    process->names_wanted = true;
}

/* A code object that is not known yet may be so at the next look. */
static bool all_known(const struct capture *capture)
{
    for (size_t i = 0; capture->has_python && i < capture->python.frames.length; i++)
        if (capture->python.frames.items[i].code_index == CODE_UNKNOWN)
            return false;
    return true;
}

/* Only a stack taken while blocked, of a thread whose runs the kernel counts, may be used again. */
static void remember(struct thread *thread, const struct capture *capture,
                     const struct sample *sample)
{
    bool was_blocked = capture->state > STATE_READY && capture->hold.tid == 0;

    thread->cached_timeslices = was_blocked && all_known(capture) ? capture->timeslices : 0;
    thread->cached = *sample;
    if (sample->end == END_UNREADABLE && capture->has_native)
        thread->walk_stopped = true;
}

void stacks_add_sample(struct process *process, struct capture *capture, uint64_t time,
                       uint64_t weight)
{
    struct thread *thread = &process->threads.items[capture->thread];
    struct sample sample = thread->cached;

    enter_thread(process, thread);
    if (!capture->is_cached) {
        sample.stack = intern_stack(process, capture, &sample.end);
        sample.flags = flags_of(capture);
    }
    sample.state = capture->state;
    sample.call = (uint16_t)capture->call;
    if (!capture->is_cached)
        remember(thread, capture, &sample);
    if (sample.state <= STATE_READY)
        sample.state = (uint8_t)times_choose(thread, sample.state, weight);
    if (capture->has_python && !capture->has_native && process->setup->options.native)
        process->setup->profile->facts.without_native++;
    sample.thread = thread->profile_thread;
    sample.time = time;
    sample.weight = weight;
    profile_add_sample(process->setup->profile, &sample);
}
