/* SPDX-License-Identifier: MIT */
/*
 * Interning: strings, frames and stacks are arrays that only grow, each with a hash index beside
 * it. A stack is one node of a prefix tree (parent stack + frame), so a sample costs 32 bytes
 * however deep it is, and a parent's index is always lower than its children's: queries rely on
 * that.
 */
#include "pspy/profile/profile.h"

#include <assert.h>
#include <string.h>
#include <sys/wait.h>

const char *loss_cause_name(enum loss_cause cause)
{
    static const char *const names[LOSS_CAUSES] = {
        [LOSS_TICK_MISSED] = "too late",          [LOSS_STOP_TIMEOUT] = "not stopped in time",
        [LOSS_THREAD_GONE] = "by thread end",     [LOSS_EXEC] = "by exec",
        [LOSS_UNREADABLE] = "unreadable",         [LOSS_TORN] = "changed while read",
        [LOSS_TRACED] = "held by another tracer",
    };

    return cause < LOSS_CAUSES ? names[cause] : "unknown";
}

const char *stack_end_name(enum stack_end end)
{
    static const char *const names[STACK_ENDS] = {
        [END_ROOT] = "complete",
        [END_TRUNCATED] = "truncated",
        [END_UNREADABLE] = "unreadable",
        [END_NO_INFO] = "without unwind information",
        [END_GUESSED] = "with a guessed caller",
    };

    return end < STACK_ENDS ? names[end] : "unknown";
}

void profile_init(struct profile *profile)
{
    static const struct stack_node empty = {{0}, {UINT32_MAX}, 0};

    memset(profile, 0, sizeof(*profile));
    strings_init(&profile->strings);
    samples_init(&profile->samples);
    vec_push(&profile->stacks, empty);
}

void profile_deinit(struct profile *profile)
{
    strings_deinit(&profile->strings);
    vec_deinit(&profile->modules);
    vec_deinit(&profile->frames);
    table_deinit(&profile->frame_index);
    vec_deinit(&profile->native_refs);
    vec_deinit(&profile->frame_native);
    table_deinit(&profile->native_index);
    vec_deinit(&profile->names);
    vec_deinit(&profile->named);
    vec_deinit(&profile->frame_name);
    vec_deinit(&profile->stacks);
    table_deinit(&profile->stack_index);
    samples_deinit(&profile->samples);
    vec_deinit(&profile->threads);
    vec_deinit(&profile->processes);
    vec_deinit(&profile->programs);
}

string_id profile_string_n(struct profile *profile, const char *text, size_t length)
{
    return strings_add_n(&profile->strings, text, length);
}

string_id profile_string(struct profile *profile, const char *text)
{
    return strings_add(&profile->strings, text);
}

const char *profile_text(const struct profile *profile, string_id string)
{
    return strings_text(&profile->strings, string);
}

uint32_t profile_add_module(struct profile *profile, const struct profile_module *module)
{
    vec_push(&profile->modules, *module);
    return (uint32_t)profile->modules.length - 1;
}

/* ---- frames ------------------------------------------------------------------------------------
 */

static bool frame_equal(const void *context, uint32_t index, const void *key)
{
    const struct profile *profile = context;
    const struct frame_info *a = &profile->frames.items[index], *b = key;

    return a->kind == b->kind && a->fold == b->fold && a->flags == b->flags &&
           a->name.v == b->name.v && a->python_name.v == b->python_name.v &&
           a->file.v == b->file.v && a->short_file.v == b->short_file.v &&
           a->module.v == b->module.v && a->line == b->line && a->first_line == b->first_line &&
           a->column == b->column && !profile->frame_native.items[index];
}

static uint32_t push_frame(struct profile *profile, const struct frame_info *info, uint32_t native)
{
    uint32_t index = (uint32_t)profile->frames.length;

    vec_push(&profile->frames, *info);
    vec_push(&profile->frame_native, native);
    vec_push(&profile->frame_name, 0);
    return index;
}

frame_id profile_frame(struct profile *profile, const struct frame_info *info)
{
    uint64_t hash = hash_mix((uint64_t)info->name.v << 32 | info->file.v,
                             (uint64_t)info->line << 32 | info->first_line);
    uint32_t index;

    hash = hash_mix(hash, (uint64_t)info->column << 32 | info->python_name.v);
    hash = hash_mix(hash, (uint64_t)info->module.v << 32 | info->short_file.v);
    hash = hash_mix(hash, (uint64_t)info->kind << 16 | (uint64_t)info->fold << 8 | info->flags);
    index = table_find(&profile->frame_index, hash, frame_equal, profile, info);
    if (index == TABLE_NONE) {
        index = push_frame(profile, info, 0);
        table_add(&profile->frame_index, hash, index);
    }
    return (frame_id){index};
}

static bool native_equal(const void *context, uint32_t index, const void *key)
{
    const struct native_ref *a = profile_frame_ref(context, (frame_id){index}), *b = key;

    return a->module == b->module && a->is_return == b->is_return && a->offset == b->offset;
}

frame_id profile_frame_native(struct profile *profile, const struct native_ref *ref)
{
    static const struct frame_info unresolved = {.kind = FRAME_NATIVE};
    uint64_t hash = hash_mix(ref->offset, (uint64_t)ref->module << 1 | ref->is_return);
    uint32_t index = table_find(&profile->native_index, hash, native_equal, profile, ref);

    if (index == TABLE_NONE) {
        vec_push(&profile->native_refs, *ref);
        index = push_frame(profile, &unresolved, (uint32_t)profile->native_refs.length);
        table_add(&profile->native_index, hash, index);
    }
    return (frame_id){index};
}

const struct native_ref *profile_frame_ref(const struct profile *profile, frame_id frame)
{
    uint32_t native;

    assert(frame.v < profile->frame_native.length);
    native = profile->frame_native.items[frame.v];
    return native ? &profile->native_refs.items[native - 1] : NULL;
}

void profile_name_frame(struct profile *profile, frame_id frame, const frame_id *names,
                        size_t count)
{
    struct frame_names set = {frame, (uint32_t)profile->named.length, (uint32_t)count};

    assert(profile_frame_ref(profile, frame));
    for (size_t i = 0; i < count; i++) {
        assert(!profile_frame_ref(profile, names[i]));
        vec_push(&profile->named, names[i]);
    }
    vec_push(&profile->names, set);
    profile->frame_name.items[frame.v] = (uint32_t)profile->names.length;
}

const struct frame_names *profile_frame_names(const struct profile *profile, frame_id frame)
{
    uint32_t names;

    assert(frame.v < profile->frame_name.length);
    names = profile->frame_name.items[frame.v];
    return names ? &profile->names.items[names - 1] : NULL;
}

const struct frame_info *profile_frame_info(const struct profile *profile, frame_id frame)
{
    assert(frame.v < profile->frames.length);
    return &profile->frames.items[frame.v];
}

/* ---- stacks ------------------------------------------------------------------------------------
 */

static bool stack_equal(const void *context, uint32_t index, const void *key)
{
    const struct profile *profile = context;
    const struct stack_node *a = &profile->stacks.items[index], *b = key;

    return a->parent.v == b->parent.v && a->frame.v == b->frame.v;
}

stack_id profile_stack(struct profile *profile, stack_id parent, frame_id frame)
{
    struct stack_node node = {parent, frame, 0};
    uint64_t hash = hash_mix(parent.v, frame.v);
    uint32_t index = table_find(&profile->stack_index, hash, stack_equal, profile, &node);

    if (index == TABLE_NONE) {
        assert(parent.v < profile->stacks.length && frame.v < profile->frames.length);
        node.depth = profile->stacks.items[parent.v].depth + 1;
        index = (uint32_t)profile->stacks.length;
        vec_push(&profile->stacks, node);
        table_add(&profile->stack_index, hash, index);
    }
    return (stack_id){index};
}

/* ---- processes and samples ---------------------------------------------------------------------
 */

uint32_t profile_add_process(struct profile *profile, int pid)
{
    struct profile_process process = {.pid = pid, .rank = -1};

    vec_push(&profile->processes, process);
    return (uint32_t)profile->processes.length - 1;
}

uint32_t profile_add_program(struct profile *profile, const struct profile_program *program)
{
    assert(program->process < profile->processes.length);
    assert(program->parent == PROFILE_NONE || program->parent < profile->programs.length);
    profile->processes.items[program->process].command = program->command;
    vec_push(&profile->programs, *program);
    return (uint32_t)profile->programs.length - 1;
}

uint32_t profile_program_at(const struct profile *profile, uint32_t process, uint64_t time)
{
    uint32_t found = PROFILE_NONE;

    for (uint32_t i = 0; i < profile->programs.length; i++) {
        const struct profile_program *program = &profile->programs.items[i];

        if (program->process == process && (found == PROFILE_NONE || program->since <= time))
            found = i;
    }
    return found;
}

void profile_exit_text(const struct profile_process *process, struct strbuf *text)
{
    if (WIFSIGNALED(process->status))
        strbuf_addf(text, "ended by signal %d (%s)", WTERMSIG(process->status),
                    strsignal(WTERMSIG(process->status)));
    else
        strbuf_addf(text, "exit status %d", WEXITSTATUS(process->status));
}

uint32_t profile_add_thread(struct profile *profile, uint32_t process, int tid)
{
    struct profile_thread thread = {.process = process, .tid = tid};

    assert(process < profile->processes.length);
    vec_push(&profile->threads, thread);
    return (uint32_t)profile->threads.length - 1;
}

size_t profile_drop_samples(struct profile *profile, size_t first, uint32_t process)
{
    size_t kept = first, before = profile->samples.length;

    assert(first >= profile->settled);
    for (size_t i = first; i < before; i++) {
        const struct sample *sample = &profile->samples.items[i];

        if (profile->threads.items[sample->thread].process != process)
            profile->samples.items[kept++] = *sample;
    }
    if (first < before)
        profile->samples.length = kept;
    return before - profile->samples.length;
}

void profile_add_sample(struct profile *profile, const struct sample *sample)
{
    assert(sample->thread < profile->threads.length && sample->stack.v < profile->stacks.length);
    assert(sample->end < STACK_ENDS);
    samples_push(&profile->samples, sample);
}

uint64_t profile_lost(const struct profile *profile)
{
    uint64_t lost = 0;

    for (size_t i = 0; i < LOSS_CAUSES; i++)
        lost += profile->facts.losses[i];
    return lost;
}
