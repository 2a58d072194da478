/* SPDX-License-Identifier: MIT */
/*
 * A frame is asked once; a stack has the marks of its frames, so that one loop over the tree is
 * enough: a parent comes before its children. A sample has the marks of its thread, its process,
 * its state and its stack, and these decide.
 */
#include <stdio.h>

#include "pspy/base/cleanup.h"
#include "pspy/profile/filter.h"
#include "view_internal.h"

#define NOT_ASKED UINT16_MAX

struct stack_marks {
    filter_marks marks;
    bool is_heading; /* a stack of markers alone */
};

struct filter_pass {
    const struct view *view;
    VEC(struct stack_marks) stacks;
    VEC(filter_marks) frames;  /* NOT_ASKED */
    VEC(filter_marks) threads; /* and their processes; NOT_ASKED */
    filter_marks states[SAMPLE_STATES], collecting;
};

static const char *const state_words[SAMPLE_STATES] = {
    [STATE_RUNNING] = "running",
    [STATE_READY] = "waiting for a CPU",
    [STATE_GIL] = "waiting for the GIL",
    [STATE_BLOCKED] = "idle",
};

struct filter_pass *filter_pass_create(const struct view *view)
{
    const struct filter *filter = view->options.filter;
    struct filter_pass *pass = xcalloc(1, sizeof(*pass));

    pass->view = view;
    for (int state = 0; state < SAMPLE_STATES && !view->profile->facts.has_no_states; state++)
        pass->states[state] = filter_match(filter, SUBJECT_STATE, state_words[state]);
    pass->collecting = filter_match(filter, SUBJECT_STATE, "garbage collection");
    return pass;
}

void filter_pass_destroy(struct filter_pass *pass)
{
    if (!pass)
        return;
    vec_deinit(&pass->stacks);
    vec_deinit(&pass->frames);
    vec_deinit(&pass->threads);
    free(pass);
}

static filter_marks line_marks(const struct view *view, const struct view_frame *frame)
{
    const char *file = view_text(view, frame->file), *shown = view_text(view, frame->short_file);
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;
    filter_marks marks;

    if (!frame->line || !*file)
        return 0;
    strbuf_addf(&text, "%s:%u", file, frame->line);
    marks = filter_match(view->options.filter, SUBJECT_LINE, text.text);
    strbuf_reset(&text);
    strbuf_addf(&text, "%s:%u", shown, frame->line);
    return marks | filter_match(view->options.filter, SUBJECT_LINE, text.text);
}

static filter_marks frame_marks(struct filter_pass *pass, frame_id id)
{
    const struct view *view = pass->view;
    const struct view_frame *frame = view_frame(view, id);
    const struct filter *filter = view->options.filter;
    filter_marks *marks;

    while (pass->frames.length <= id.v)
        vec_push(&pass->frames, NOT_ASKED);
    marks = &pass->frames.items[id.v];
    if (*marks == NOT_ASKED)
        *marks = filter_match(filter, SUBJECT_FUNCTION, view_text(view, frame->name)) |
                 filter_match(filter, SUBJECT_MODULE, view_text(view, frame->file)) |
                 filter_match(filter, SUBJECT_MODULE, view_text(view, frame->module)) |
                 line_marks(view, frame);
    return *marks;
}

static void mark_stacks(struct filter_pass *pass)
{
    const struct view *view = pass->view;

    if (!pass->stacks.length)
        vec_push(&pass->stacks, ((struct stack_marks){.is_heading = true}));
    for (size_t i = pass->stacks.length; i < view->stacks.length; i++) {
        const struct stack_node *stack = &view->stacks.items[i];
        struct stack_marks marks = pass->stacks.items[stack->parent.v];

        marks.is_heading &= view_frame(view, stack->frame)->kind == FRAME_MARKER;
        if (!marks.is_heading)
            marks.marks |= frame_marks(pass, stack->frame);
        vec_push(&pass->stacks, marks);
    }
}

static filter_marks thread_marks(struct filter_pass *pass, uint32_t index)
{
    const struct profile *profile = pass->view->profile;
    const struct filter *filter = pass->view->options.filter;
    const struct profile_thread *thread = &profile->threads.items[index];
    const struct profile_process *process = &profile->processes.items[thread->process];
    filter_marks *marks;
    char pid[16];

    while (pass->threads.length <= index)
        vec_push(&pass->threads, NOT_ASKED);
    marks = &pass->threads.items[index];
    if (*marks != NOT_ASKED)
        return *marks;
    snprintf(pid, sizeof(pid), "%d", process->pid);
    *marks = filter_match(filter, SUBJECT_THREAD, profile_text(profile, thread->name)) |
             filter_match(filter, SUBJECT_PROCESS, profile_text(profile, process->command)) |
             filter_match(filter, SUBJECT_PROCESS, pid);
    return *marks;
}

bool filter_pass_keeps(struct filter_pass *pass, const struct sample *sample)
{
    const struct filter *filter = pass->view->options.filter;
    filter_marks marks;

    mark_stacks(pass);
    marks = pass->stacks.items[sample->stack.v].marks | thread_marks(pass, sample->thread) |
            pass->states[sample->state];
    if (sample->flags & SAMPLE_COLLECTS)
        marks |= pass->collecting;
    return filter_keeps(filter, marks);
}
