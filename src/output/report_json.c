/* SPDX-License-Identifier: MIT */
/*
 * The report for programs. Shares are 0 to 1, times are seconds; a key that says nothing is left
 * out.
 *
 *     {"schema":"pspy-report","version":1,"meta":{"command":"python a.py","samples":1000,...},
 *      "lines":[{"file":"a.py","line":47,"function":"step","kind":"python","source":"u += v",
 *                "self":{"value":0.382,"ci95":[0.365,0.4],"samples":382,"seconds":3.82},
 *                "total":{...},"calls":[...]}],
 *      "functions":[...],"tree":{...},"waiting":[...],"callers":[...],"missing":["..."],
 *      "files":{"a.py":"/home/u/a.py"}}
 */
#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/clock.h"
#include "pspy/base/utf8.h"
#include "report_internal.h"

/* ---- values ------------------------------------------------------------------------------------
 */

/* cJSON escapes control characters and does not look at UTF-8. */
static void make_valid(struct strbuf *ret, const char *text)
{
    while (*text) {
        char bytes[4];

        strbuf_add(ret, bytes, utf8_encode(utf8_next(&text), bytes));
    }
}

static void add_text(cJSON *object, const char *key, const char *text)
{
    cleanup(strbuf_deinit) struct strbuf valid = STRBUF_INIT;

    make_valid(&valid, text);
    cJSON_AddStringToObject(object, key, valid.text);
}

/* Six digits: a sampler knows no more, and binary fractions are not to be read. */
static double rounded(double number)
{
    return round(number * 1e6) / 1e6;
}

static double seconds(uint64_t ns)
{
    return rounded((double)ns / (double)NS_PER_SECOND);
}

static void add_share_of(cJSON *object, const char *key, const struct share_base *base,
                         const struct amount *amount)
{
    struct share share = share_of(base, amount);
    cJSON *ret = cJSON_AddObjectToObject(object, key), *interval;

    cJSON_AddNumberToObject(ret, "value", rounded(share.value));
    interval = cJSON_AddArrayToObject(ret, "ci95");
    cJSON_AddItemToArray(interval, cJSON_CreateNumber(rounded(share.low)));
    cJSON_AddItemToArray(interval, cJSON_CreateNumber(rounded(share.high)));
    cJSON_AddNumberToObject(ret, "samples", (double)amount->samples);
    if (base->by_time)
        cJSON_AddNumberToObject(ret, "seconds", seconds(amount->ns));
}

static void add_share(const struct report *report, cJSON *object, const char *key,
                      const struct amount *amount)
{
    add_share_of(object, key, &report->breakdown.base, amount);
}

/* Of two files that are shown alike the second one's rows say their path themselves. */
static void add_file(cJSON *object, const struct report_place *place, cJSON *files)
{
    cleanup(strbuf_deinit) struct strbuf file = STRBUF_INIT, path = STRBUF_INIT;
    const cJSON *known;

    make_valid(&file, place->file);
    make_valid(&path, place->path);
    cJSON_AddStringToObject(object, "file", file.text);
    known = cJSON_GetObjectItemCaseSensitive(files, file.text);
    if (!known)
        cJSON_AddStringToObject(files, file.text, path.text);
    else if (strcmp(known->valuestring, path.text) != 0)
        cJSON_AddStringToObject(object, "path", path.text);
}

static void add_place(cJSON *object, const struct report_place *place, bool is_line, cJSON *files)
{
    if (*place->file)
        add_file(object, place, files);
    if (is_line && place->line)
        cJSON_AddNumberToObject(object, "line", place->line);
    add_text(object, "function", place->name);
    cJSON_AddStringToObject(object, "kind", report_kind(place->kind));
}

static void add_rest(const struct report *report, cJSON *object, const char *key,
                     struct report_rest rest)
{
    cJSON *ret;

    if (!rest.rows)
        return;
    ret = cJSON_AddObjectToObject(object, key);
    cJSON_AddNumberToObject(ret, "count", (double)rest.rows);
    add_share(report, ret, "share", &rest.amount);
}

/* Of a row: what it calls, or who calls it. */
static void add_parts(const struct report *report, cJSON *row, const char *key,
                      const breakdown_parts *parts, uint32_t first, uint32_t count, bool are_lines,
                      cJSON *files)
{
    uint32_t shown = report_parts(report, parts, first, count);
    cJSON *array;

    if (!shown)
        return;
    array = cJSON_AddArrayToObject(row, key);
    for (uint32_t i = first; i < first + shown; i++) {
        const struct breakdown_part *part = &parts->items[i];
        cJSON *object = cJSON_CreateObject();

        cJSON_AddItemToArray(array, object);
        if (part->by == BREAKDOWN_NONE) {
            cJSON_AddNullToObject(object, "function");
        } else {
            struct report_place place =
                are_lines ? report_line(report, part->by) : report_function(report, part->by);

            add_place(object, &place, are_lines, files);
        }
        add_share(report, object, "share", &part->amount);
    }
    add_rest(report, row, are_lines ? "other_callers" : "other_calls",
             report_rest_of_parts(report, parts, first, count));
}

/* ---- meta --------------------------------------------------------------------------------------
 */

static void add_fact_text(cJSON *meta, const char *key, const struct profile *profile,
                          string_id string)
{
    if (string.v)
        add_text(meta, key, profile_text(profile, string));
}

static void add_counts(cJSON *meta, const struct report *report)
{
    const struct recording_facts *facts = &report->view->profile->facts;
    cJSON *object = cJSON_AddObjectToObject(meta, "lost");

    for (int i = 0; i < LOSS_CAUSES; i++)
        if (facts->losses[i])
            cJSON_AddNumberToObject(object, loss_cause_name((enum loss_cause)i),
                                    (double)facts->losses[i]);
    object = cJSON_AddObjectToObject(meta, "stacks");
    for (int i = 0; i < STACK_ENDS; i++)
        if (report->view->ends[i])
            cJSON_AddNumberToObject(object, stack_end_name((enum stack_end)i),
                                    (double)report->view->ends[i]);
}

static void add_split(cJSON *meta, const struct report *report)
{
    const struct breakdown *breakdown = &report->breakdown;
    cJSON *object = cJSON_AddObjectToObject(meta, "split");

    add_share(report, object, "python", &breakdown->split.python);
    add_share(report, object, "native", &breakdown->split.native);
    add_share(report, object, "system", &breakdown->split.system);
    add_share(report, object, "garbage_collection", &breakdown->split.collecting);
    object = cJSON_AddObjectToObject(meta, "gil");
    cJSON_AddNumberToObject(object, "held_s", seconds(breakdown->split.holding.ns));
    cJSON_AddNumberToObject(object, "waited_s", seconds(breakdown->waited[STATE_GIL].ns));
}

static void add_amounts(cJSON *meta, const struct report *report)
{
    const struct breakdown *breakdown = &report->breakdown;
    uint64_t samples = 0;
    cJSON *interval;

    vec_each (sample, &report->view->samples)
        samples += view_count(report->view, sample);
    cJSON_AddNumberToObject(meta, "samples", (double)samples);
    cJSON_AddStringToObject(meta, "shares_of", report_whole(report));
    cJSON_AddNumberToObject(meta, "samples_of_shares", (double)breakdown->base.all.samples);
    if (breakdown->base.by_time && !report->view->profile->facts.has_no_states)
        cJSON_AddNumberToObject(meta, "cpu_s", seconds(breakdown->base.all.ns));
    interval = cJSON_AddObjectToObject(meta, "interval");
    cJSON_AddStringToObject(interval, "method", "wilson");
    cJSON_AddNumberToObject(interval, "confidence", 0.95);
    cJSON_AddNumberToObject(interval, "independent_samples", rounded(breakdown->base.draws));
}

static void add_meta(cJSON *root, const struct report *report)
{
    static const char *const ends[RECORDING_ENDS] = {
        [RECORDING_CUT_OFF] = "cut off",
        [RECORDING_DURATION] = "duration",
        [RECORDING_EXITED] = "exited",
        [RECORDING_STOPPED] = "stopped",
    };
    const struct profile *profile = report->view->profile;
    const struct recording_facts *facts = &profile->facts;
    cJSON *meta = cJSON_AddObjectToObject(root, "meta");

    add_fact_text(meta, "command", profile, facts->title);
    add_fact_text(meta, "exporter", profile, facts->exporter);
    add_fact_text(meta, "host", profile, facts->host);
    add_fact_text(meta, "python", profile, facts->python);
    if (profile->processes.length)
        cJSON_AddNumberToObject(meta, "pid", profile->processes.items[0].pid);
    if (facts->end < RECORDING_ENDS)
        cJSON_AddStringToObject(meta, "end", ends[facts->end]);
    if (facts->start_wall)
        cJSON_AddNumberToObject(meta, "start", seconds(facts->start_wall));
    if (facts->duration)
        cJSON_AddNumberToObject(meta, "wall_s", seconds(facts->duration));
    if (facts->rate > 0)
        cJSON_AddNumberToObject(meta, "rate", facts->rate);
    cJSON_AddNumberToObject(meta, "processes", (double)profile->processes.length);
    cJSON_AddNumberToObject(meta, "threads", (double)profile->threads.length);
    add_amounts(meta, report);
    add_counts(meta, report);
    if (!facts->has_no_states)
        add_split(meta, report);
    if (report->options->focus && *report->options->focus) {
        cJSON *focus = cJSON_AddObjectToObject(meta, "focus");

        add_text(focus, "functions", report->options->focus);
        add_share_of(focus, "share", &report->breakdown.unfocused, &report->breakdown.base.all);
    }
}

/* ---- sections ----------------------------------------------------------------------------------
 */

static void add_source(struct report *report, cJSON *object, const struct report_place *place)
{
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;
    size_t length;
    bool changed;
    const char *source =
        sources_line(&report->sources, place->path, place->line, &length, &changed);

    if (!source)
        return;
    report_add_clean_n(&text, source, length);
    cJSON_AddStringToObject(object, "source", text.text);
    if (changed)
        cJSON_AddTrueToObject(object, "source_changed");
}

static void add_lines(cJSON *root, struct report *report, cJSON *files)
{
    const struct breakdown *breakdown = &report->breakdown;
    cJSON *array = cJSON_AddArrayToObject(root, "lines");

    for (size_t i = 0; i < report->shape.lines && i < breakdown->hot_lines.length; i++) {
        uint32_t index = breakdown->hot_lines.items[i];
        const struct breakdown_line *line = &breakdown->lines.items[index];
        struct report_place place = report_line(report, index);
        cJSON *object = cJSON_CreateObject();

        cJSON_AddItemToArray(array, object);
        add_place(object, &place, true, files);
        add_source(report, object, &place);
        add_share(report, object, "self", &line->self);
        add_share(report, object, "total", &line->total);
        add_parts(report, object, "calls", &breakdown->callees, line->first_part, line->parts,
                  false, files);
    }
    add_rest(report, root, "other_lines", report_rest_of_lines(report));
}

static void add_functions(cJSON *root, const struct report *report, cJSON *files)
{
    const struct breakdown *breakdown = &report->breakdown;
    cJSON *array = cJSON_AddArrayToObject(root, "functions");
    size_t count = breakdown->hot_functions.length;

    for (size_t i = 0; i < report->shape.functions && i < count; i++) {
        uint32_t index = breakdown->hot_functions.items[i];
        const struct breakdown_function *function = &breakdown->functions.items[index];
        struct report_place place = report_function(report, index);
        cJSON *object;

        if (!function->self.samples)
            break;
        object = cJSON_CreateObject();
        cJSON_AddItemToArray(array, object);
        add_place(object, &place, false, files);
        if (function->last_line) {
            cJSON_AddNumberToObject(object, "first_line_seen", function->first_line);
            cJSON_AddNumberToObject(object, "last_line_seen", function->last_line);
        }
        add_share(report, object, "self", &function->self);
        add_share(report, object, "total", &function->total);
    }
    add_rest(report, root, "other_functions", report_rest_of_functions(report));
}

static void fill_node(cJSON *object, const struct report *report, const struct breakdown_node *node,
                      cJSON *files)
{
    const struct breakdown *breakdown = &report->breakdown;

    if (node->function == BREAKDOWN_NONE) {
        cJSON_AddNullToObject(object, "function");
    } else {
        struct report_place place = report_function(report, node->function);

        add_place(object, &place, false, files);
    }
    add_share(report, object, "self", &node->self);
    add_share(report, object, "total", &node->total);
    add_parts(report, object, "calls", &breakdown->folded, node->first_part, node->parts, false,
              files);
}

/* A node hangs under the last one of the depth above. */
static void add_tree(cJSON *root, const struct report *report, cJSON *files)
{
    VEC(cJSON *) path = VEC_INIT;

    vec_each (node, &report->breakdown.tree) {
        cJSON *object, *children;

        if (node->depth > report->shape.depth)
            continue;
        path.length = node->depth;
        object = cJSON_CreateObject();
        if (!node->depth) {
            cJSON_AddItemToObject(root, "tree", object);
        } else {
            cJSON *parent = path.items[node->depth - 1];

            children = cJSON_GetObjectItemCaseSensitive(parent, "children");
            if (!children)
                children = cJSON_AddArrayToObject(parent, "children");
            cJSON_AddItemToArray(children, object);
        }
        fill_node(object, report, node, files);
        vec_push(&path, object);
    }
    if (path.length)
        add_rest(report, path.items[0], "omitted", report_rest_of_tree(report));
    vec_deinit(&path);
}

static void add_waits(cJSON *root, const struct report *report, cJSON *files)
{
    static const char *const states[SAMPLE_STATES] = {
        [STATE_READY] = "cpu", [STATE_GIL] = "gil", [STATE_BLOCKED] = "blocked"};
    const struct breakdown *breakdown = &report->breakdown;
    cJSON *array = cJSON_AddArrayToObject(root, "waiting");

    for (size_t i = 0; i < report->shape.waits && i < breakdown->waits.length; i++) {
        const struct breakdown_wait *wait = &breakdown->waits.items[i];
        cleanup(strbuf_deinit) struct strbuf thread = STRBUF_INIT, what = STRBUF_INIT;
        cJSON *object = cJSON_CreateObject();

        cJSON_AddItemToArray(array, object);
        report_add_thread(report, wait, &thread);
        report_add_wait(wait, &what);
        cJSON_AddStringToObject(object, "thread", thread.text);
        cJSON_AddStringToObject(object, "for", states[wait->state]);
        cJSON_AddStringToObject(object, "text", what.text);
        if (wait->line != BREAKDOWN_NONE) {
            struct report_place place = report_line(report, wait->line);

            add_place(object, &place, true, files);
        }
        cJSON_AddNumberToObject(object, "samples", (double)wait->amount.samples);
        if (wait->amount.ns)
            cJSON_AddNumberToObject(object, "seconds", seconds(wait->amount.ns));
    }
    if (breakdown->waits.length > report->shape.waits)
        cJSON_AddNumberToObject(root, "other_waiting",
                                (double)(breakdown->waits.length - report->shape.waits));
}

static void add_callers(cJSON *root, const struct report *report, cJSON *files)
{
    const struct breakdown *breakdown = &report->breakdown;
    cJSON *array = cJSON_AddArrayToObject(root, "callers");
    size_t at = report_next_called(report, 0);

    for (size_t i = 0; i < report->shape.callers && at < breakdown->hot_functions.length; i++) {
        uint32_t index = breakdown->hot_functions.items[at];
        const struct breakdown_function *function = &breakdown->functions.items[index];
        struct report_place place = report_function(report, index);
        cJSON *object = cJSON_CreateObject();

        cJSON_AddItemToArray(array, object);
        add_place(object, &place, false, files);
        add_share(report, object, "self", &function->self);
        add_parts(report, object, "called_by", &breakdown->callers, function->first_part,
                  function->parts, true, files);
        at = report_next_called(report, at + 1);
    }
}

static void add_missing(cJSON *root, const struct report *report)
{
    cleanup(strbuf_deinit) struct strbuf sentences = STRBUF_INIT;
    cJSON *array = cJSON_AddArrayToObject(root, "missing");
    char *at, *end;

    report_add_missing(report, &sentences);
    for (at = sentences.text; (end = strchr(at, '\n')); at = end + 1) {
        *end = '\0';
        cJSON_AddItemToArray(array, cJSON_CreateString(at));
    }
}

void report_json(struct report *report, struct strbuf *ret)
{
    cJSON *root = cJSON_CreateObject(), *files = cJSON_CreateObject();
    char *text;

    cJSON_AddStringToObject(root, "schema", REPORT_SCHEMA);
    cJSON_AddNumberToObject(root, "version", REPORT_SCHEMA_VERSION);
    add_meta(root, report);
    add_lines(root, report, files);
    add_functions(root, report, files);
    add_tree(root, report, files);
    add_waits(root, report, files);
    add_callers(root, report, files);
    add_missing(root, report);
    cJSON_AddItemToObject(root, "files", files);
    text = cJSON_PrintUnformatted(root);
    cJSON_Delete(root);
    if (!text)
        xmalloc_fail();
    strbuf_add_text(ret, text);
    strbuf_add_char(ret, '\n');
    cJSON_free(text);
}
