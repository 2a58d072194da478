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

/* U+2400 SYMBOL FOR NULL: texts are C strings, and two names must not become one at a NUL. */
#define NUL_SYMBOL "\xe2\x90\x80"

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
    strbuf_init(&profile->string_bytes);
    samples_init(&profile->samples);
    profile_string_n(profile, "", 0);
    vec_push(&profile->stacks, empty);
}

void profile_deinit(struct profile *profile)
{
    strbuf_deinit(&profile->string_bytes);
    vec_deinit(&profile->string_offsets);
    table_deinit(&profile->string_index);
    vec_deinit(&profile->frames);
    table_deinit(&profile->frame_index);
    vec_deinit(&profile->native_refs);
    vec_deinit(&profile->frame_native);
    table_deinit(&profile->native_index);
    vec_deinit(&profile->stacks);
    table_deinit(&profile->stack_index);
    samples_deinit(&profile->samples);
    vec_deinit(&profile->threads);
    vec_deinit(&profile->processes);
}

struct text_key {
    const char *text;
    size_t length;
};

static bool string_equal(const void *context, uint32_t index, const void *key)
{
    const struct profile *profile = context;
    const struct text_key *wanted = key;
    const char *text = profile_text(profile, (string_id){index});

    return strlen(text) == wanted->length && !memcmp(text, wanted->text, wanted->length);
}

static string_id intern_text(struct profile *profile, const char *text, size_t length)
{
    struct text_key key = {text, length};
    uint64_t hash = hash_bytes(text, length);
    uint32_t index = table_find(&profile->string_index, hash, string_equal, profile, &key);

    if (index != TABLE_NONE)
        return (string_id){index};
    assert(profile->string_bytes.length + length < UINT32_MAX);
    index = (uint32_t)profile->string_offsets.length;
    vec_push(&profile->string_offsets, (uint32_t)profile->string_bytes.length);
    strbuf_add(&profile->string_bytes, text, length);
    strbuf_add_char(&profile->string_bytes, '\0');
    table_add(&profile->string_index, hash, index);
    return (string_id){index};
}

string_id profile_string_n(struct profile *profile, const char *text, size_t length)
{
    struct strbuf visible = STRBUF_INIT;
    string_id ret;

    if (!memchr(text, '\0', length))
        return intern_text(profile, text, length);
    for (size_t i = 0; i < length; i++)
        strbuf_add(&visible, text[i] ? &text[i] : NUL_SYMBOL, text[i] ? 1 : strlen(NUL_SYMBOL));
    ret = intern_text(profile, visible.text, visible.length);
    strbuf_deinit(&visible);
    return ret;
}

string_id profile_string(struct profile *profile, const char *text)
{
    return intern_text(profile, text, strlen(text));
}

const char *profile_text(const struct profile *profile, string_id string)
{
    assert(string.v < profile->string_offsets.length);
    return profile->string_bytes.text + profile->string_offsets.items[string.v];
}

static bool frame_equal(const void *context, uint32_t index, const void *key)
{
    const struct profile *profile = context;
    const struct frame_info *a = &profile->frames.items[index], *b = key;

    return a->kind == b->kind && a->name.v == b->name.v && a->file.v == b->file.v &&
           a->short_file.v == b->short_file.v && a->line == b->line && a->column == b->column &&
           a->module.v == b->module.v && !profile->frame_native.items[index];
}

static uint32_t push_frame(struct profile *profile, const struct frame_info *info, uint32_t native)
{
    uint32_t index = (uint32_t)profile->frames.length;

    vec_push(&profile->frames, *info);
    vec_push(&profile->frame_native, native);
    return index;
}

frame_id profile_frame(struct profile *profile, const struct frame_info *info)
{
    uint64_t hash = hash_mix((uint64_t)info->name.v << 32 | info->file.v,
                             (uint64_t)info->line << 32 | info->short_file.v);
    uint32_t index;

    hash = hash_mix(hash_mix(hash, info->module.v), (uint64_t)info->column << 32 | info->kind);
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

void profile_frame_resolve(struct profile *profile, frame_id frame, const struct frame_info *info)
{
    assert(frame.v < profile->frames.length);
    profile->frames.items[frame.v] = *info;
}

const struct frame_info *profile_frame_info(const struct profile *profile, frame_id frame)
{
    assert(frame.v < profile->frames.length);
    return &profile->frames.items[frame.v];
}

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

static stack_id add_sequence(struct profile *profile, stack_id stack,
                             const struct frame_sequences *sequences, frame_id frame)
{
    uint32_t from = frame.v ? sequences->ends.items[frame.v - 1] : 0;

    assert(frame.v < sequences->ends.length);
    for (uint32_t i = from; i < sequences->ends.items[frame.v]; i++)
        stack = profile_stack(profile, stack, sequences->frames.items[i]);
    return stack;
}

void profile_expand(struct profile *profile, const struct frame_sequences *sequences)
{
    __typeof__(profile->stacks) old = profile->stacks;
    stack_id *become = xcalloc(old.length, sizeof(*become));

    vec_init(&profile->stacks);
    vec_push(&profile->stacks, old.items[0]);
    table_clear(&profile->stack_index);
    for (size_t i = 1; i < old.length; i++) /* a parent comes before its children */
        become[i] =
            add_sequence(profile, become[old.items[i].parent.v], sequences, old.items[i].frame);
    vec_each (sample, &profile->samples)
        sample->stack = become[sample->stack.v];
    free(become);
    vec_deinit(&old);
}

uint32_t profile_add_process(struct profile *profile, int pid, const char *command)
{
    struct profile_process process = {.pid = pid, .command = profile_string(profile, command)};

    vec_push(&profile->processes, process);
    return (uint32_t)profile->processes.length - 1;
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

    for (size_t i = first; i < before; i++) {
        const struct sample *sample = &profile->samples.items[i];

        if (profile->threads.items[sample->thread].process == process)
            profile->ends[sample->end]--;
        else
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
    profile->ends[sample->end]++;
}

void profile_label(const struct profile *profile, frame_id frame, struct strbuf *label)
{
    const struct frame_info *info = profile_frame_info(profile, frame);
    const struct native_ref *ref = profile_frame_ref(profile, frame);
    const char *file = profile_text(profile, info->short_file);

    if (!info->name.v && ref)
        strbuf_addf(label, "0x%llx", (unsigned long long)ref->offset);
    strbuf_add_text(label, profile_text(profile, info->name));
    if (*file && info->line && info->column)
        strbuf_addf(label, " (%s:%u:%u)", file, info->line, info->column);
    else if (*file && info->line)
        strbuf_addf(label, " (%s:%u)", file, info->line);
    else if (*file)
        strbuf_addf(label, " (%s)", file);
}
