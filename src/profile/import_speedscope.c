/* SPDX-License-Identifier: MIT */
/*
 * Speedscope's JSON: frames that all profiles share, and profiles, one a thread, of stacks with
 * weights ("sampled") or of calls and returns ("evented").
 * https://github.com/jlfwong/speedscope/blob/main/src/lib/file-format-spec.ts
 *
 * Members come in any order: py-spy writes the profiles before the frames that they name. So stacks
 * are gathered as a tree of frame numbers, and become the profile's when all is read.
 */
#include <math.h>
#include <string.h>

#include "import_scope.h"
#include "pspy/base/clock.h"

static bool is(const struct json_input *json, const char *text)
{
    return json->text.length == strlen(text) && !memcmp(json->text.text, text, json->text.length);
}

/* Keeps the text; a null or anything else is none. */
static bool optional_string(struct json_input *json, struct strbuf *ret)
{
    strbuf_reset(ret);
    if (json_kind(json) != '"')
        return json_skip(json);
    if (!json_take_string(json))
        return false;
    strbuf_add(ret, json->text.text, json->text.length);
    return true;
}

/* A number as it is; `ret` stays as it was for a null. */
static bool optional_number(struct json_input *json, double *ret)
{
    return json_kind(json) == '0' ? json_number(json, ret) : json_skip(json);
}

static bool optional_id(struct scope *scope, string_id *ret)
{
    if (!optional_string(&scope->json, &scope->text))
        return false;
    *ret = profile_string_n(scope->importer->profile, scope->text.text, scope->text.length);
    return true;
}

/* ---- frames ------------------------------------------------------------------------------------
 */

static uint32_t position(double number)
{
    return number >= 1 && number <= UINT32_MAX ? (uint32_t)number : 0;
}

static bool read_frame(struct scope *scope)
{
    struct json_input *json = &scope->json;
    struct scope_frame frame = {.name = STRING_EMPTY};
    double line = 0, column = 0;

    json_enter(json, '{');
    while (json_next_member(json)) {
        if (is(json, "name"))
            optional_id(scope, &frame.name);
        else if (is(json, "file"))
            optional_id(scope, &frame.file);
        else if (is(json, "line"))
            optional_number(json, &line);
        else if (is(json, "col"))
            optional_number(json, &column);
        else
            json_skip(json);
    }
    if (!json->failed && !frame.name.v)
        json_fail(json, "frame %zu of '%s', in line %zu, has no name", scope->frames.length,
                  json->input->name, json->line);
    frame.line = position(line);
    frame.column = position(column);
    vec_push(&scope->frames, frame);
    return scope_fits(scope);
}

static void read_shared(struct scope *scope)
{
    struct json_input *json = &scope->json;

    json_enter(json, '{');
    while (json_next_member(json)) {
        if (!is(json, "frames")) {
            json_skip(json);
            continue;
        }
        vec_reset(&scope->frames);
        json_enter(json, '[');
        while (json_next_element(json))
            read_frame(scope);
        scope->has_frames = true;
    }
}

/* ---- profiles ----------------------------------------------------------------------------------
 */

static bool read_frame_number(struct scope *scope, uint32_t *ret)
{
    double number = -1;

    if (!json_number(&scope->json, &number))
        return false;
    if (number < 0 || number >= SCOPE_FRAMES_LARGEST || number != floor(number))
        return json_fail(&scope->json,
                         "line %zu of '%s' has %.17g where a frame's number should be",
                         scope->json.line, scope->json.input->name, number);
    *ret = (uint32_t)number;
    if (*ret > scope->largest_frame)
        scope->largest_frame = *ret;
    return true;
}

static void read_stacks(struct scope *scope, struct scope_profile *profile)
{
    struct json_input *json = &scope->json;

    json_enter(json, '[');
    while (json_next_element(json)) {
        uint32_t node = 0, frame;

        json_enter(json, '[');
        while (json_next_element(json))
            if (read_frame_number(scope, &frame))
                node = scope_push(scope, node, frame);
        scope_add_entry(scope, profile, node, 1);
        scope_fits(scope);
    }
    profile->has_stacks = true;
}

static void read_weights(struct scope *scope, struct scope_profile *profile)
{
    double weight;

    json_enter(&scope->json, '[');
    while (json_next_element(&scope->json) && json_number(&scope->json, &weight)) {
        if (weight < 0 || weight >= IMPORT_LARGEST)
            json_fail(&scope->json, "line %zu of '%s' has the weight %.17g: weights are 0 or more",
                      scope->json.line, scope->json.input->name, weight);
        vec_push(&profile->weights, weight);
        scope->held += sizeof(weight);
        scope_fits(scope);
    }
    profile->has_weights = true;
}

static bool read_event(struct scope *scope, struct scope_event *event)
{
    struct json_input *json = &scope->json;

    *event = (struct scope_event){.at = NAN};
    json_enter(json, '{');
    while (json_next_member(json)) {
        if (is(json, "type")) {
            if (optional_string(json, &scope->text))
                event->type = scope->text.length == 1 ? scope->text.text[0] : '\0';
        } else if (is(json, "at")) {
            json_number(json, &event->at);
        } else if (is(json, "frame")) {
            read_frame_number(scope, &event->frame);
            event->has_frame = true;
        } else {
            json_skip(json);
        }
    }
    return !json->failed;
}

static void read_events(struct scope *scope, struct scope_profile *profile)
{
    struct json_input *json = &scope->json;
    struct scope_event event;

    json_enter(json, '[');
    while (json_next_element(json))
        if (read_event(scope, &event)) {
            scope_take_event(scope, profile, &event);
            scope_fits(scope);
        }
    profile->has_stacks = profile->is_evented = true;
}

static bool read_unit(struct scope *scope, struct scope_profile *profile)
{
    static const struct {
        const char *name;
        double ns;
    } units[] = {{"nanoseconds", 1},
                 {"microseconds", (double)NS_PER_US},
                 {"milliseconds", (double)NS_PER_MS},
                 {"seconds", (double)NS_PER_SECOND}};

    if (!optional_string(&scope->json, &scope->text))
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (!strcmp(scope->text.text, units[i].name))
            profile->unit = units[i].ns;
    return true;
}

static void read_profile(struct scope *scope)
{
    struct json_input *json = &scope->json;
    struct scope_profile profile = {.start = 0};

    json_enter(json, '{');
    while (json_next_member(json)) {
        if (is(json, "name"))
            optional_id(scope, &profile.name);
        else if (is(json, "unit"))
            read_unit(scope, &profile);
        else if (is(json, "startValue"))
            optional_number(json, &profile.start);
        else if (is(json, "endValue"))
            optional_number(json, &profile.end);
        else if (is(json, "samples"))
            read_stacks(scope, &profile);
        else if (is(json, "weights"))
            read_weights(scope, &profile);
        else if (is(json, "events"))
            read_events(scope, &profile);
        else
            json_skip(json);
    }
    if (!json->failed)
        scope_settle(scope, &profile);
    vec_deinit(&profile.weights);
    vec_push(&scope->profiles, profile);
}

static void read_profiles(struct scope *scope)
{
    json_enter(&scope->json, '[');
    while (json_next_element(&scope->json))
        read_profile(scope);
    scope->has_profiles = true;
}

/* ---- the file ----------------------------------------------------------------------------------
 */

/* "py-spy@0.4.3" is shown as "py-spy 0.4.3". */
static void read_exporter(struct scope *scope)
{
    struct profile *profile = scope->importer->profile;
    char *at;

    if (!optional_string(&scope->json, &scope->text))
        return;
    at = strchr(scope->text.text, '@');
    if (at)
        *at = ' ';
    profile->facts.exporter = profile_string_n(profile, scope->text.text, scope->text.length);
}

static void read_file(struct scope *scope)
{
    struct json_input *json = &scope->json;

    json_enter(json, '{');
    while (json_next_member(json)) {
        if (is(json, "shared"))
            read_shared(scope);
        else if (is(json, "profiles"))
            read_profiles(scope);
        else if (is(json, "name"))
            optional_id(scope, &scope->importer->profile->facts.title);
        else if (is(json, "exporter"))
            read_exporter(scope);
        else
            json_skip(json);
    }
    if (json_end(json) && (!scope->has_frames || !scope->has_profiles))
        json_fail(
            json,
            "'%s' is JSON, but no profile of speedscope: it has no \"%s\"; of JSON pspy reads "
            "what speedscope reads as its own",
            json->input->name, scope->has_profiles ? "shared.frames" : "profiles");
}

enum err import_speedscope(struct importer *importer)
{
    struct scope scope = {.importer = importer};
    enum err code;

    json_input_init(&scope.json, importer->input);
    strbuf_init(&scope.text);
    vec_push(&scope.nodes, ((struct scope_node){0, 0}));
    read_file(&scope);
    code = scope.json.failed ? scope.json.failed : scope_convert(&scope);
    scope_deinit(&scope);
    return code;
}
