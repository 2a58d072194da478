/* SPDX-License-Identifier: MIT */
/*
 * A comparison for programs. Shares are 0 to 1, changes are percent points, times are seconds.
 *
 *     {"schema":"pspy-diff","version":1,"shares_of":"time","beyond_noise":2,...,
 *      "before":{"file":"a.pspy","samples":1000,...},"after":{...},
 *      "functions":[
 *     {"name":"f","file":"a.py","kind":"python",
 *      "self":{"before":{"samples":700,"seconds":7,"share":0.7,"per_second":0.7},"after":{...},
 *              "change_points":-20,"low":-24.1,"high":-15.9,"beyond_noise":true},
 *      "total":{...}},
 */
#include "json_stream.h"
#include "pspy/output/diff.h"

static const char *kind_name(enum frame_kind kind)
{
    static const char *const names[FRAME_KINDS] = {
        [FRAME_PYTHON] = "python",           [FRAME_STDLIB] = "stdlib",
        [FRAME_SITE] = "site-packages",      [FRAME_NATIVE] = "native",
        [FRAME_INTERPRETER] = "interpreter", [FRAME_MARKER] = "marker",
        [FRAME_SYSTEM] = "system",           [FRAME_WAITING] = "waiting",
    };

    return names[kind];
}

static double seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

/* Of a second of the run; of a recording that does not know how long it was, nothing. */
static void write_rate(struct json *json, const struct diff_whole *whole, uint64_t ns)
{
    if (whole->duration > 0 && whole->ns)
        json_key_real(json, "per_second", seconds(ns) / whole->duration);
}

static void write_whole(struct json *json, const struct diff_output *output, enum diff_side side)
{
    const struct diff_whole *whole = &output->diff->of[side];

    json_key(json, side == DIFF_BEFORE ? "before" : "after");
    json_open(json, '{');
    json_key_string(json, "file", output->names[side]);
    json_key_uint(json, "samples", whole->samples);
    if (whole->ns)
        json_key_real(json, "seconds", seconds(whole->ns));
    if (whole->duration > 0)
        json_key_real(json, "duration", whole->duration);
    json_close(json, '}');
}

static void write_change(struct json *json, const struct diff *diff, const char *key,
                         const struct diff_change *change)
{
    json_key(json, key);
    json_open(json, '{');
    for (int side = 0; side < DIFF_SIDES; side++) {
        const struct diff_amount *amount = &change->of[side];

        json_key(json, side == DIFF_BEFORE ? "before" : "after");
        json_open(json, '{');
        json_key_uint(json, "samples", amount->samples);
        if (diff->of[side].ns)
            json_key_real(json, "seconds", seconds(amount->ns));
        json_key_real(json, "share", amount->share);
        write_rate(json, &diff->of[side], amount->ns);
        json_close(json, '}');
    }
    json_key_real(json, "change_points", change->points);
    json_key_real(json, "low", change->low);
    json_key_real(json, "high", change->high);
    json_key_bool(json, "beyond_noise", change->is_beyond);
    json_close(json, '}');
}

static void write_function(struct json *json, const struct diff *diff,
                           const struct diff_function *function)
{
    json_newline(json);
    json_open(json, '{');
    json_key_string(json, "name", strings_text(&diff->texts, function->name));
    json_key_string(json, "file", strings_text(&diff->texts, function->file));
    json_key_string(json, "kind", kind_name(function->kind));
    write_change(json, diff, "self", &function->self);
    write_change(json, diff, "total", &function->total);
    json_close(json, '}');
}

void diff_write_json(const struct diff_output *output, struct sink *sink)
{
    const struct diff *diff = output->diff;
    struct json json;

    json_init(&json, sink);
    json_open(&json, '{');
    json_key_string(&json, "schema", DIFF_SCHEMA);
    json_key_uint(&json, "version", DIFF_SCHEMA_VERSION);
    json_key_string(&json, "shares_of", diff->by_time ? "time" : "samples");
    json_key_uint(&json, "beyond_noise", diff->beyond);
    json_key_bool(&json, "noise_is_measured", diff->has_order);
    json_key_real(&json, "correlation", diff->correlation);
    write_whole(&json, output, DIFF_BEFORE);
    write_whole(&json, output, DIFF_AFTER);
    json_key(&json, "functions");
    json_open(&json, '[');
    vec_each (function, &diff->functions)
        write_function(&json, diff, function);
    json_close(&json, ']');
    json_close(&json, '}');
    sink_text(sink, "\n");
}
