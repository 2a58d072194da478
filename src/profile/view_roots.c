/* SPDX-License-Identifier: MIT */
/*
 * Root frames: with subprocesses the processes from the first one to the sample's, as py-spy writes
 * them, each by the program that it ran when the next one was met; with the option `threads` the
 * thread. A stack below roots is interned once for each pair of roots and stack.
 */
#include <string.h>

#include "pspy/base/cleanup.h"
#include "view_internal.h"

/* A thread's roots, as of its last sample. */
struct thread_root {
    string_id name;    /* that it showed */
    string_id command; /* of its process, which a filter saw */
    uint32_t program;  /* PROFILE_NONE: none yet */
    stack_id stack;
    bool is_known;
};

struct graft {
    stack_id root, stack, result;
};

struct rooting {
    struct view *view;
    VEC(struct thread_root) threads;
    VEC(uint32_t) running; /* per process: its program as of the sample before */
    size_t programs;       /* that had begun by then */
    VEC(struct graft) grafts;
    struct table index;
    VEC(stack_id) path;
};

struct rooting *rooting_create(struct view *view)
{
    struct rooting *rooting = xcalloc(1, sizeof(*rooting));

    rooting->view = view;
    return rooting;
}

void rooting_destroy(struct rooting *rooting)
{
    vec_deinit(&rooting->threads);
    vec_deinit(&rooting->running);
    vec_deinit(&rooting->grafts);
    table_deinit(&rooting->index);
    vec_deinit(&rooting->path);
    free(rooting);
}

bool rooting_update(struct rooting *rooting)
{
    const struct profile *profile = rooting->view->profile;
    bool filters = rooting->view->options.filter != NULL;
    bool shows_names = rooting->view->options.threads || filters;

    for (size_t i = 0; i < rooting->threads.length && shows_names; i++) {
        const struct thread_root *root = &rooting->threads.items[i];
        const struct profile_thread *thread = &profile->threads.items[i];
        string_id command = profile->processes.items[thread->process].command;

        if (root->is_known &&
            (root->name.v != thread->name.v || (filters && root->command.v != command.v)))
            return false;
    }
    while (rooting->threads.length < profile->threads.length)
        vec_push(&rooting->threads, (struct thread_root){.is_known = false});
    while (rooting->running.length < profile->processes.length)
        vec_push(&rooting->running, PROFILE_NONE);
    return true;
}

/* ---- the roots ---- */

/* A recording of one rank need not say which it is. */
static bool has_several_ranks(const struct profile *profile)
{
    vec_each (process, &profile->processes)
        if (process->rank != profile->processes.items[0].rank)
            return true;
    return false;
}

static frame_id process_frame(struct view *view, const struct profile_program *program)
{
    const struct profile *profile = view->profile;
    const struct profile_process *process = &profile->processes.items[program->process];
    cleanup(strbuf_deinit) struct strbuf label = STRBUF_INIT;

    if (process->rank >= 0 && has_several_ranks(profile))
        strbuf_addf(&label, "rank %d, ", process->rank);
    strbuf_addf(&label, "process %d", process->pid);
    if (process->host.v && process->host.v != profile->facts.host.v)
        strbuf_addf(&label, " on %s", profile_text(profile, process->host));
    strbuf_addf(&label, ":\"%s\"", profile_text(profile, program->command));
    return view_marker(view, FRAME_MARKER, label.text);
}

/* A program's parent comes before it: the walk ends. */
static stack_id process_roots(struct view *view, uint32_t program)
{
    const struct profile *profile = view->profile;
    VEC(uint32_t) chain = VEC_INIT;
    stack_id stack = STACK_EMPTY;

    for (; program != PROFILE_NONE; program = profile->programs.items[program].parent)
        vec_push(&chain, program);
    for (size_t i = chain.length; i-- > 0;)
        stack =
            view_push(view, stack, process_frame(view, &profile->programs.items[chain.items[i]]));
    vec_deinit(&chain);
    return stack;
}

static frame_id thread_frame(struct view *view, const struct profile_thread *thread)
{
    const char *name = profile_text(view->profile, thread->name);
    cleanup(strbuf_deinit) struct strbuf label = STRBUF_INIT;

    strbuf_addf(&label, "thread (%d)", thread->tid);
    if (*name)
        strbuf_addf(&label, ": %s", name);
    return view_marker(view, FRAME_MARKER, label.text);
}

/* Programs are in the order of time, as samples are. */
static uint32_t program_of(struct rooting *rooting, uint32_t process, uint64_t time)
{
    const struct profile *profile = rooting->view->profile;
    uint32_t *running = &rooting->running.items[process];

    while (rooting->programs < profile->programs.length &&
           profile->programs.items[rooting->programs].since <= time) {
        const struct profile_program *next = &profile->programs.items[rooting->programs];

        rooting->running.items[next->process] = (uint32_t)rooting->programs++;
    }
    return *running != PROFILE_NONE ? *running : profile_program_at(profile, process, time);
}

static stack_id roots_of(struct rooting *rooting, const struct sample *sample)
{
    struct view *view = rooting->view;
    const struct profile_thread *thread = &view->profile->threads.items[sample->thread];
    struct thread_root *root = &rooting->threads.items[sample->thread];
    bool subprocesses = view->profile->facts.subprocesses;
    uint32_t program = PROFILE_NONE;

    if (subprocesses)
        program = program_of(rooting, thread->process, sample->time);
    if (root->is_known && root->program == program)
        return root->stack;
    *root = (struct thread_root){
        .name = thread->name,
        .command = view->profile->processes.items[thread->process].command,
        .program = program,
        .is_known = true,
    };
    root->stack = process_roots(view, program);
    if (view->options.threads)
        root->stack = view_push(view, root->stack, thread_frame(view, thread));
    return root->stack;
}

/* ---- grafts ---- */

static bool graft_equal(const void *context, uint32_t index, const void *key)
{
    const struct rooting *rooting = context;
    const struct graft *a = &rooting->grafts.items[index], *b = key;

    return a->root.v == b->root.v && a->stack.v == b->stack.v;
}

static uint64_t graft_hash(stack_id root, stack_id stack)
{
    return hash_mix((uint64_t)root.v << 32 | stack.v, 0);
}

static bool find_graft(const struct rooting *rooting, stack_id root, stack_id stack, stack_id *ret)
{
    struct graft wanted = {.root = root, .stack = stack};
    uint32_t found =
        table_find(&rooting->index, graft_hash(root, stack), graft_equal, rooting, &wanted);

    if (found == TABLE_NONE)
        return false;
    *ret = rooting->grafts.items[found].result;
    return true;
}

static void add_graft(struct rooting *rooting, stack_id root, stack_id stack, stack_id result)
{
    table_add(&rooting->index, graft_hash(root, stack), (uint32_t)rooting->grafts.length);
    vec_push(&rooting->grafts, ((struct graft){root, stack, result}));
}

/* Goes up to the part that stands below these roots already, and down again. */
static stack_id put_below(struct rooting *rooting, stack_id root, stack_id stack)
{
    struct view *view = rooting->view;
    stack_id result = root;

    vec_reset(&rooting->path);
    while (stack.v != STACK_EMPTY.v && !find_graft(rooting, root, stack, &result)) {
        vec_push(&rooting->path, stack);
        stack = view->stacks.items[stack.v].parent;
    }
    for (size_t i = rooting->path.length; i-- > 0;) {
        result = view_push(view, result, view->stacks.items[rooting->path.items[i].v].frame);
        add_graft(rooting, root, rooting->path.items[i], result);
    }
    return result;
}

stack_id rooting_stack(struct rooting *rooting, const struct sample *sample, stack_id stack)
{
    stack_id root = roots_of(rooting, sample);

    return root.v == STACK_EMPTY.v ? stack : put_below(rooting, root, stack);
}
