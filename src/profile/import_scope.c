/* SPDX-License-Identifier: MIT */
#include "import_scope.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pspy/base/cleanup.h"

void scope_deinit(struct scope *scope)
{
    json_input_deinit(&scope->json);
    strbuf_deinit(&scope->text);
    vec_deinit(&scope->frames);
    vec_deinit(&scope->nodes);
    table_deinit(&scope->node_index);
    vec_each (profile, &scope->profiles)
        vec_deinit(&profile->entries);
    vec_deinit(&scope->profiles);
}

/* ---- while the file is read --------------------------------------------------------------------
 */

static bool node_equal(const void *context, uint32_t index, const void *key)
{
    const struct scope *scope = context;
    const struct scope_node *a = &scope->nodes.items[index], *b = key;

    return a->parent == b->parent && a->frame == b->frame;
}

uint32_t scope_push(struct scope *scope, uint32_t parent, uint32_t frame)
{
    struct scope_node node = {parent, frame};
    uint64_t hash = hash_mix(parent, frame);
    uint32_t found = table_find(&scope->node_index, hash, node_equal, scope, &node);

    if (found != TABLE_NONE)
        return found;
    found = (uint32_t)scope->nodes.length;
    /* A stack may be long: it must not first grow and then be looked at. */
    if (found % 4096 == 0 && !scope_fits(scope))
        return parent;
    vec_push(&scope->nodes, node);
    table_add(&scope->node_index, hash, found);
    return found;
}

bool scope_fits(struct scope *scope)
{
    size_t held = scope->held + scope->frames.capacity * sizeof(scope->frames.items[0]) +
                  scope->nodes.capacity * sizeof(scope->nodes.items[0]) +
                  scope->profiles.capacity * sizeof(scope->profiles.items[0]) +
                  (scope->node_index.slots ? (scope->node_index.mask + 1) : 0) *
                      sizeof(scope->node_index.slots[0]);

    if (scope->json.failed)
        return false;
    if (!import_fits(scope->importer, held))
        return json_failed_as(&scope->json, ERR_INVALID);
    if (scope->nodes.length < 1u << 30)
        return true;
    return json_fail(&scope->json,
                     "'%s' is too large: pspy reads 1 billion different stacks at most",
                     scope->json.input->name);
}

void scope_add_entry(struct scope *scope, struct scope_profile *profile, uint32_t node,
                     double weight)
{
    struct scope_entry entry = {node, weight};

    vec_push(&profile->entries, entry);
    scope->held += sizeof(entry);
}

static bool check_event(struct scope *scope, const struct scope_profile *profile,
                        const struct scope_event *event)
{
    struct json_input *json = &scope->json;
    const char *what = NULL;

    if ((event->type != 'O' && event->type != 'C') || !event->has_frame)
        what = "without a type \"O\" or \"C\" or without a frame";
    else if (isnan(event->at) || fabs(event->at) >= IMPORT_LARGEST)
        what = "without a time in \"at\"";
    else if (profile->has_begun && event->at < profile->last)
        what = "that comes before the one in front of it";
    else if (event->type == 'C' &&
             (!profile->open || scope->nodes.items[profile->open].frame != event->frame))
        what = "that closes a frame which was not opened last";
    if (!what)
        return true;
    return json_fail(json, "line %zu of '%s' has an event %s: the profile is damaged", json->line,
                     json->input->name, what);
}

void scope_take_event(struct scope *scope, struct scope_profile *profile,
                      const struct scope_event *event)
{
    if (!check_event(scope, profile, event))
        return;
    if (!profile->has_begun)
        profile->first = event->at;
    else if (event->at > profile->last)
        scope_add_entry(scope, profile, profile->open, event->at - profile->last);
    profile->has_begun = true;
    profile->last = event->at;
    if (event->type == 'O')
        profile->open = scope_push(scope, profile->open, event->frame);
    else
        profile->open = scope->nodes.items[profile->open].parent;
}

/* Calls that have not returned by the end last until then. */
static void settle_events(struct scope *scope, struct scope_profile *profile)
{
    if (!profile->has_begun)
        return;
    if (profile->open && profile->end > profile->last)
        scope_add_entry(scope, profile, profile->open, profile->end - profile->last);
    profile->start = profile->first;
}

void scope_settle(struct scope *scope, struct scope_profile *profile)
{
    struct json_input *json = &scope->json;
    size_t number = scope->profiles.length;

    if (fabs(profile->start) >= IMPORT_LARGEST || fabs(profile->end) >= IMPORT_LARGEST)
        json_fail(json, "profile %zu of '%s' begins or ends at no possible time", number,
                  json->input->name);
    else if (!profile->has_stacks)
        json_fail(json, "profile %zu of '%s', which ends in line %zu, has no samples or events",
                  number, json->input->name, json->line);
    else if (profile->is_evented)
        settle_events(scope, profile);
    else if (!profile->has_weights)
        profile->unit = 0;
    else if (profile->weights.length != profile->entries.length)
        json_fail(json, "profile %zu of '%s' has %zu samples, but %zu weights: it is damaged",
                  number, json->input->name, profile->entries.length, profile->weights.length);
    else
        for (size_t i = 0; i < profile->weights.length; i++)
            profile->entries.items[i].weight = profile->weights.items[i];
    scope->held -= profile->weights.length * sizeof(profile->weights.items[0]);
}

/* ---- into the profile --------------------------------------------------------------------------
 */

/* By number of a node or frame. */
struct conversion {
    struct scope *scope;
    frame_id *frames;
    bool *is_root;    /* whether a frame names a process or a thread */
    stack_id *stacks; /* without roots */
    uint32_t *roots;  /* the node of the last root above or at a node; 0: none */
    double first;     /* ns: the time from which the profile's count */
};

static struct slice slice_of(const struct profile *profile, string_id string)
{
    const char *text = profile_text(profile, string);

    return (struct slice){text, strlen(text)};
}

static void convert_frame(struct conversion *conversion, uint32_t number)
{
    struct importer *importer = conversion->scope->importer;
    const struct scope_frame *frame = &conversion->scope->frames.items[number];
    struct import_place place = {.rank = -1};
    /* Copies: the profile's texts move when one joins. */
    cleanup(cleanup_free) char *name = xstrdup(profile_text(importer->profile, frame->name));
    cleanup(cleanup_free) char *file = xstrdup(profile_text(importer->profile, frame->file));
    struct slice label = {name, strlen(name)};

    conversion->is_root[number] =
        !frame->file.v && (import_process_root(label, &place) || import_thread_root(label, &place));
    if (!conversion->is_root[number])
        conversion->frames[number] = import_frame(
            importer, label, (struct slice){file, strlen(file)}, frame->line, frame->column);
}

static frame_id frame_of(struct conversion *conversion, uint32_t number)
{
    const struct scope_frame *frame = &conversion->scope->frames.items[number];

    /* A root's name in the middle of a stack is any frame's. */
    if (conversion->frames[number].v == FRAME_NONE.v) {
        struct profile *profile = conversion->scope->importer->profile;
        struct frame_info info = {.kind = FRAME_MARKER, .name = frame->name};

        conversion->frames[number] = profile_frame(profile, &info);
    }
    return conversion->frames[number];
}

/* A node's parent comes before it. */
static void convert_node(struct conversion *conversion, uint32_t number)
{
    const struct scope_node *node = &conversion->scope->nodes.items[number];
    bool is_below_roots = conversion->roots[node->parent] == node->parent;

    if (is_below_roots && conversion->is_root[node->frame]) {
        conversion->roots[number] = number;
        conversion->stacks[number] = STACK_EMPTY;
        return;
    }
    conversion->roots[number] = conversion->roots[node->parent];
    conversion->stacks[number] =
        profile_stack(conversion->scope->importer->profile, conversion->stacks[node->parent],
                      frame_of(conversion, node->frame));
}

/* The thread of a profile's samples below a node of roots. */
static uint32_t thread_of(struct conversion *conversion, size_t number, uint32_t root)
{
    struct scope *scope = conversion->scope;
    struct profile *profile = scope->importer->profile;
    cleanup(cleanup_free) char *name =
        xstrdup(profile_text(profile, scope->profiles.items[number].name));
    struct import_place base = {
        .rank = -1, .host = {"", 0}, .command = {"", 0}, .thread_name = {"", 0}};
    VEC(struct slice) roots = VEC_INIT;
    struct strbuf texts = STRBUF_INIT;
    size_t count = 0, at = 0;
    uint32_t thread;

    import_profile_name((struct slice){name, strlen(name)}, &base);
    for (uint32_t node = root; node; node = scope->nodes.items[node].parent)
        count++;
    vec_reserve(&roots, count + 1);
    roots.length = count;
    for (uint32_t node = root; node; node = scope->nodes.items[node].parent) {
        const struct scope_frame *frame = &scope->frames.items[scope->nodes.items[node].frame];
        struct slice text = slice_of(profile, frame->name);

        strbuf_add(&texts, text.text, text.length);
        roots.items[--count].length = text.length;
    }
    /* The texts stand in the opposite order, and where they stand is known only now. */
    for (size_t i = roots.length; i-- > 0;) {
        roots.items[i].text = texts.text + at;
        at += roots.items[i].length;
    }
    thread = import_thread(scope->importer, &base, roots.items, roots.length, (uint32_t)number);
    vec_deinit(&roots);
    strbuf_deinit(&texts);
    return thread;
}

static bool too_long(struct conversion *conversion, size_t number)
{
    struct json_input *json = &conversion->scope->json;

    return json_fail(json, "profile %zu of '%s' takes longer than any profile does: it is damaged",
                     number, json->input->name);
}

/* Time in which there is no sample. */
static bool is_gap(const struct scope_profile *profile, const struct scope_entry *entry)
{
    return profile->unit != 0 && !entry->node;
}

static bool convert_entry(struct conversion *conversion, size_t number,
                          const struct scope_entry *entry, uint64_t *at, uint32_t thread)
{
    struct importer *importer = conversion->scope->importer;
    double unit = conversion->scope->profiles.items[number].unit;
    double weight = round(entry->weight * (unit != 0 ? unit : 1));
    struct sample sample = {.thread = thread, .end = END_ROOT};

    if (weight >= IMPORT_LARGEST || weight + (double)*at >= IMPORT_LARGEST)
        return too_long(conversion, number);
    sample.weight = (uint64_t)weight;
    sample.stack = conversion->stacks[entry->node];
    if (unit != 0)
        sample.time = *at += sample.weight;
    else
        importer->is_rounded |= weight != entry->weight;
    if (!sample.weight || is_gap(&conversion->scope->profiles.items[number], entry))
        return true;
    return import_sample(importer, &sample) ||
           json_failed_as(&conversion->scope->json, ERR_INVALID);
}

static bool convert_profile(struct conversion *conversion, size_t number)
{
    struct scope *scope = conversion->scope;
    const struct scope_profile *profile = &scope->profiles.items[number];
    double start = round(profile->start * profile->unit - conversion->first);
    double end = round(profile->end * profile->unit - conversion->first);
    struct recording_facts *facts = &scope->importer->profile->facts;
    uint64_t at = profile->unit != 0 && start > 0 ? (uint64_t)start : 0;
    uint32_t thread = PROFILE_NONE, root = 0;

    vec_each (entry, &profile->entries) {
        uint32_t wanted = entry->node ? conversion->roots[entry->node] : root;

        if (!is_gap(profile, entry) && (thread == PROFILE_NONE || wanted != root)) {
            root = wanted;
            thread = thread_of(conversion, number, root);
        }
        if (!convert_entry(conversion, number, entry, &at, thread) || !scope_fits(scope))
            return false;
    }
    if (profile->unit != 0 && end > (double)facts->duration)
        facts->duration = (uint64_t)end;
    if (at > facts->duration)
        facts->duration = at;
    return true;
}

/* Whether weights are times, and from when they count. Profiles that count are left out where
 * others have times: bytes and seconds do not add up. */
static bool settle_units(struct conversion *conversion)
{
    struct scope *scope = conversion->scope;
    bool has_times = false;
    size_t left_out = 0;

    conversion->first = INFINITY;
    vec_each (profile, &scope->profiles) {
        double start = profile->start * profile->unit, end = profile->end * profile->unit;

        if (profile->unit == 0)
            continue;
        if (fabs(start) >= IMPORT_LARGEST || fabs(end) >= IMPORT_LARGEST)
            return too_long(conversion, (size_t)(profile - scope->profiles.items));
        has_times = true;
        conversion->first = fmin(conversion->first, start);
    }
    vec_each (profile, &scope->profiles)
        if (has_times && profile->unit == 0) {
            profile->entries.length = 0;
            left_out++;
        }
    if (!has_times)
        conversion->first = 0;
    scope->importer->profile->facts.is_counted = !has_times;
    if (left_out)
        import_warn(scope->importer,
                    "Left out: %zu of the profiles of '%s', which count something else than time.",
                    left_out, scope->json.input->name);
    return true;
}

static void convert_all(struct conversion *conversion)
{
    struct scope *scope = conversion->scope;

    for (uint32_t i = 0; i < scope->frames.length; i++) {
        conversion->frames[i] = FRAME_NONE;
        convert_frame(conversion, i);
    }
    for (uint32_t i = 1; i < scope->nodes.length && scope_fits(scope); i++)
        convert_node(conversion, i);
    for (size_t i = 0; i < scope->profiles.length && !scope->json.failed; i++)
        if (scope->profiles.items[i].entries.length)
            convert_profile(conversion, i);
}

enum err scope_convert(struct scope *scope)
{
    struct conversion conversion = {.scope = scope};
    size_t nodes = scope->nodes.length, frames = scope->frames.length;

    if (nodes > 1 && scope->largest_frame >= frames)
        json_fail(&scope->json,
                  "'%s' has a stack with frame %u, but only %zu frames: it is damaged",
                  scope->json.input->name, scope->largest_frame, frames);
    else if (settle_units(&conversion)) {
        conversion.frames = xcalloc(frames + 1, sizeof(conversion.frames[0]));
        conversion.is_root = xcalloc(frames + 1, sizeof(conversion.is_root[0]));
        conversion.stacks = xcalloc(nodes, sizeof(conversion.stacks[0]));
        conversion.roots = xcalloc(nodes, sizeof(conversion.roots[0]));
        convert_all(&conversion);
        free(conversion.frames);
        free(conversion.is_root);
        free(conversion.stacks);
        free(conversion.roots);
    }
    return scope->json.failed;
}
