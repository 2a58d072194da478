/* SPDX-License-Identifier: MIT */
/*
 * A sample is shown in four steps: its stack is shaped (view_stacks.c), put below its roots
 * (view_roots.c), ended with what its thread waits for, and asked whether it stays (view_filter.c).
 *
 * Strings of the profile keep their numbers; those of the view alone have the highest bit set.
 * Samples of the profile that are not settled are shown, and taken back at the next update.
 */
#include "pspy/profile/view.h"

#include <assert.h>
#include <string.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/syscalls.h"
#include "view_internal.h"

#define OWN_STRING 0x80000000u

/* How far the view has come. */
struct mark {
    size_t seen;  /* samples of the profile */
    size_t shown; /* of the view */
    uint64_t ends[STACK_ENDS];
    uint64_t left_out;
};

struct view_state {
    struct shaping *shaping;
    struct rooting *rooting;
    struct filter_pass *filter; /* NULL: there are no rules */
    struct mark settled;
};

/* ---- interning ---------------------------------------------------------------------------------
 */

string_id view_own_string(struct view *view, const char *text)
{
    string_id string = strings_add(&view->strings, text);

    return string.v ? (string_id){string.v | OWN_STRING} : STRING_EMPTY;
}

const char *view_text(const struct view *view, string_id string)
{
    if (string.v & OWN_STRING)
        return strings_text(&view->strings, (string_id){string.v & ~OWN_STRING});
    return profile_text(view->profile, string);
}

const struct view_frame *view_frame(const struct view *view, frame_id frame)
{
    assert(frame.v < view->frames.length);
    return &view->frames.items[frame.v];
}

static bool frame_equal(const void *context, uint32_t index, const void *key)
{
    const struct view *view = context;
    const struct view_frame *a = &view->frames.items[index], *b = key;

    return a->kind == b->kind && a->flags == b->flags && a->name.v == b->name.v &&
           a->file.v == b->file.v && a->short_file.v == b->short_file.v &&
           a->module.v == b->module.v && a->line == b->line && a->column == b->column;
}

frame_id view_intern_frame(struct view *view, const struct view_frame *frame)
{
    uint64_t hash = hash_mix((uint64_t)frame->name.v << 32 | frame->file.v,
                             (uint64_t)frame->line << 32 | frame->column);
    uint32_t index;

    hash = hash_mix(hash, (uint64_t)frame->module.v << 32 | frame->short_file.v);
    hash = hash_mix(hash, (uint64_t)frame->kind << 8 | frame->flags);
    index = table_find(&view->frame_index, hash, frame_equal, view, frame);
    if (index == TABLE_NONE) {
        index = (uint32_t)view->frames.length;
        vec_push(&view->frames, *frame);
        table_add(&view->frame_index, hash, index);
    }
    return (frame_id){index};
}

frame_id view_marker(struct view *view, enum frame_kind kind, const char *name)
{
    struct view_frame frame = {.kind = kind, .name = view_own_string(view, name)};

    return view_intern_frame(view, &frame);
}

static bool stack_equal(const void *context, uint32_t index, const void *key)
{
    const struct view *view = context;
    const struct stack_node *a = &view->stacks.items[index], *b = key;

    return a->parent.v == b->parent.v && a->frame.v == b->frame.v;
}

stack_id view_push(struct view *view, stack_id parent, frame_id frame)
{
    struct stack_node node = {parent, frame, 0};
    uint64_t hash = hash_mix(parent.v, frame.v);
    uint32_t index = table_find(&view->stack_index, hash, stack_equal, view, &node);

    if (index == TABLE_NONE) {
        node.depth = view->stacks.items[parent.v].depth + 1;
        index = (uint32_t)view->stacks.length;
        vec_push(&view->stacks, node);
        table_add(&view->stack_index, hash, index);
    }
    return (stack_id){index};
}

void view_label(const struct view *view, frame_id frame, struct strbuf *label)
{
    const struct view_frame *info = view_frame(view, frame);
    const char *file = view_text(view, info->short_file);

    strbuf_add_text(label, view_text(view, info->name));
    if (*file && info->line && info->column)
        strbuf_addf(label, " (%s:%u:%u)", file, info->line, info->column);
    else if (*file && info->line)
        strbuf_addf(label, " (%s:%u)", file, info->line);
    else if (*file)
        strbuf_addf(label, " (%s)", file);
}

/* ---- samples -----------------------------------------------------------------------------------
 */

uint64_t view_count(const struct view *view, const struct sample *sample)
{
    return view->profile->facts.is_counted ? sample->weight : 1;
}

uint64_t view_time(const struct view *view, const struct sample *sample)
{
    return view->profile->facts.is_counted ? 0 : sample->weight;
}

/* What a sample knows of its thread, as a frame; FRAME_NONE for a thread that simply runs. */
static frame_id state_frame(struct view *view, const struct sample *sample)
{
    static const char *const waits[SAMPLE_STATES] = {
        [STATE_READY] = "[waiting for a CPU]",
        [STATE_GIL] = "[waiting for the GIL]",
        [STATE_BLOCKED] = "[waiting]",
    };
    const char *call = sample->call ? syscall_name(sample->call - 1) : NULL;
    cleanup(strbuf_deinit) struct strbuf name = STRBUF_INIT;

    if (sample->state == STATE_RUNNING && !call)
        return FRAME_NONE;
    if (sample->state == STATE_RUNNING) {
        strbuf_addf(&name, "[running in %s]", call);
        return view_marker(view, FRAME_SYSTEM, name.text);
    }
    if (sample->state == STATE_BLOCKED && call)
        strbuf_addf(&name, "[waiting in %s]", call);
    else
        strbuf_add_text(&name, waits[sample->state]);
    return view_marker(view, FRAME_WAITING, name.text);
}

static bool is_in_time(const struct view_options *options, const struct sample *sample)
{
    return sample->time >= options->from && (!options->to || sample->time < options->to);
}

static void show_sample(struct view *view, const struct sample *fact)
{
    struct sample sample = *fact;
    bool is_cut;

    if (!is_in_time(&view->options, fact))
        return;
    sample.stack = shaping_stack(view->state->shaping, fact->stack, &is_cut);
    sample.stack = rooting_stack(view->state->rooting, fact, sample.stack);
    if (view->options.states) {
        frame_id frame = state_frame(view, fact);

        if (frame.v != FRAME_NONE.v)
            sample.stack = view_push(view, sample.stack, frame);
    }
    if (is_cut)
        sample.end = END_TRUNCATED;
    if (view->state->filter && !filter_pass_keeps(view->state->filter, &sample)) {
        view->left_out += view_count(view, &sample);
        return;
    }
    samples_push(&view->samples, &sample);
    view->ends[sample.end] += view_count(view, &sample);
}

static void show_samples(struct view *view, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        show_sample(view, &view->profile->samples.items[i]);
}

/* ---- the view ----------------------------------------------------------------------------------
 */

static void begin(struct view *view)
{
    static const struct stack_node empty = {{0}, {UINT32_MAX}, 0};

    strings_init(&view->strings);
    samples_init(&view->samples);
    vec_push(&view->stacks, empty);
    view->state = xcalloc(1, sizeof(*view->state));
    view->state->shaping = shaping_create(view);
    view->state->rooting = rooting_create(view);
    if (view->options.filter)
        view->state->filter = filter_pass_create(view);
}

void view_init(struct view *view, const struct profile *profile, const struct view_options *options)
{
    *view = (struct view){.profile = profile, .options = *options};
    begin(view);
}

void view_deinit(struct view *view)
{
    if (!view->state)
        return;
    filter_pass_destroy(view->state->filter);
    rooting_destroy(view->state->rooting);
    shaping_destroy(view->state->shaping);
    free(view->state);
    view->state = NULL;
    strings_deinit(&view->strings);
    vec_deinit(&view->frames);
    table_deinit(&view->frame_index);
    vec_deinit(&view->stacks);
    table_deinit(&view->stack_index);
    samples_deinit(&view->samples);
}

static void begin_anew(struct view *view)
{
    const struct profile *profile = view->profile;
    struct view_options options = view->options;

    view_deinit(view);
    view_init(view, profile, &options);
}

static void take_back(struct view *view, const struct mark *mark)
{
    view->samples.length = mark->shown;
    view->left_out = mark->left_out;
    memcpy(view->ends, mark->ends, sizeof(view->ends));
}

static void set_mark(const struct view *view, size_t seen, struct mark *mark)
{
    mark->seen = seen;
    mark->shown = view->samples.length;
    mark->left_out = view->left_out;
    memcpy(mark->ends, view->ends, sizeof(mark->ends));
}

void view_update(struct view *view)
{
    const struct profile *profile = view->profile;
    bool is_right;

    take_back(view, &view->state->settled);
    is_right = rooting_update(view->state->rooting);
    if (!shaping_update(view->state->shaping) || !is_right) {
        begin_anew(view);
        rooting_update(view->state->rooting);
        shaping_update(view->state->shaping);
    }
    show_samples(view, view->state->settled.seen, profile->settled);
    set_mark(view, profile->settled, &view->state->settled);
    show_samples(view, profile->settled, profile->samples.length);
}
