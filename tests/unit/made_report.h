/* SPDX-License-Identifier: MIT */
/* Made-up profiles, and reports of them. */
#ifndef TESTS_UNIT_MADE_REPORT_H
#define TESTS_UNIT_MADE_REPORT_H

#include <cjson/cJSON.h>
#include <ftw.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/clock.h"
#include "pspy/output/report.h"
#include "unit/tap.h"

#define MADE __attribute__((unused)) static

#define TICK (10 * NS_PER_MS)

static char room[] = "/tmp/pspy-report-XXXXXX";
static struct profile profile;
static uint64_t now;

/* ---- made-up profiles --------------------------------------------------------------------------
 */

MADE char *in_room(const char *name)
{
    static char paths[4][512];
    static int next;
    char *ret = paths[next++ % 4];

    snprintf(ret, sizeof(paths[0]), "%s/%s", room, name);
    return ret;
}

MADE void put(const char *name, const char *text)
{
    FILE *file = fopen(in_room(name), "w");

    fputs(text, file);
    fclose(file);
}

MADE void append(const char *name, const char *text)
{
    FILE *file = fopen(in_room(name), "a");

    fputs(text, file);
    fclose(file);
}

/* The folder of the files, and the program's source text. */
MADE void begin_room(void)
{
    if (!mkdtemp(room))
        exit(1);
    put("model.py", "first\n  second = 2  \n");
    for (int i = 3; i < 47; i++)
        append("model.py", "pass\n");
    append("model.py", "        u += add(multiply(v))\n");
}

MADE int remove_one(const char *path, const struct stat *info, int type, struct FTW *at)
{
    (void)info;
    (void)type;
    (void)at;
    return remove(path);
}

MADE int end_room(void)
{
    nftw(room, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return tap_done();
}

MADE void begin_profile(void)
{
    struct profile_program program = {.parent = PROFILE_NONE};

    now = 0;
    profile_init(&profile);
    program.process = profile_add_process(&profile, 7);
    program.command = profile_string(&profile, "python model.py");
    profile_add_program(&profile, &program);
    profile_add_thread(&profile, 0, 7);
    profile.facts.title = profile_string(&profile, "python model.py");
    profile.facts.python = profile_string(&profile, "3.12.1");
    profile.facts.rate = 100;
    profile.facts.saw_python = profile.facts.native = true;
    profile.facts.end = RECORDING_EXITED;
}

struct made_frame {
    enum frame_kind kind;
    const char *name, *file;
    uint32_t line;
};

MADE stack_id push(stack_id parent, struct made_frame made)
{
    const char *slash = strrchr(made.file, '/');
    struct frame_info info = {.kind = made.kind,
                              .name = profile_string(&profile, made.name),
                              .file = profile_string(&profile, made.file),
                              .short_file = profile_string(&profile, slash ? slash + 1 : made.file),
                              .line = made.line};

    return profile_stack(&profile, parent, profile_frame(&profile, &info));
}

MADE void add(stack_id stack, int count, struct sample like)
{
    for (int i = 0; i < count; i++) {
        like.time = now += TICK;
        like.weight = TICK;
        like.stack = stack;
        profile_add_sample(&profile, &like);
    }
    profile.facts.duration = now;
    profile.facts.ticks += (uint64_t)count;
}

#define RUNS ((struct sample){.state = STATE_RUNNING})

/*
 * 1000 samples that run:
 *     main:10 > step:47 > add  400, > multiply 200; step:47 itself 50; step:48 150
 *     main:11 > save:61 > dumps (json.py:5, a library's) 20, > encode (native) 20
 *     main:11 > save:62 > hot (lib.py:9, a library's) 100
 *     main:12 itself 60
 */
MADE void make_model(bool backwards)
{
    const char *model = in_room("model.py");
    stack_id main10, main11, step47, save61, dumps;
    struct {
        stack_id stack;
        int count;
    } parts[8];

    begin_profile();
    profile.facts.end = RECORDING_EXITED;
    if (backwards) /* other numbers for all frames and strings */
        push(push(STACK_EMPTY, (struct made_frame){FRAME_PYTHON, "save", model, 61}),
             (struct made_frame){FRAME_NATIVE, "multiply", "/lib/umath.so", 0});
    main10 = push(STACK_EMPTY, (struct made_frame){FRAME_PYTHON, "main", model, 10});
    main11 = push(STACK_EMPTY, (struct made_frame){FRAME_PYTHON, "main", model, 11});
    step47 = push(main10, (struct made_frame){FRAME_PYTHON, "step", model, 47});
    save61 = push(main11, (struct made_frame){FRAME_PYTHON, "save", model, 61});
    dumps = push(save61, (struct made_frame){FRAME_STDLIB, "dumps", "/lib/json.py", 5});
    parts[0].stack = push(step47, (struct made_frame){FRAME_NATIVE, "add", "/lib/umath.so", 0});
    parts[0].count = 400;
    parts[1].stack =
        push(step47, (struct made_frame){FRAME_NATIVE, "multiply", "/lib/umath.so", 0});
    parts[1].count = 200;
    parts[2].stack = step47;
    parts[2].count = 50;
    parts[3].stack = push(main10, (struct made_frame){FRAME_PYTHON, "step", model, 48});
    parts[3].count = 150;
    parts[4].stack = dumps;
    parts[4].count = 20;
    parts[5].stack = push(dumps, (struct made_frame){FRAME_NATIVE, "encode", "/lib/json.so", 0});
    parts[5].count = 20;
    parts[6].stack = push(push(main11, (struct made_frame){FRAME_PYTHON, "save", model, 62}),
                          (struct made_frame){FRAME_SITE, "hot", "/lib/lib.py", 9});
    parts[6].count = 100;
    parts[7].stack = push(STACK_EMPTY, (struct made_frame){FRAME_PYTHON, "main", model, 12});
    parts[7].count = 60;
    for (int i = 0; i < 8; i++)
        add(parts[backwards ? 7 - i : i].stack, parts[backwards ? 7 - i : i].count, RUNS);
}

/* ---- reports of them ---------------------------------------------------------------------------
 */

/* Free it. The profile is let go. */
MADE char *report_of(struct report_options options, const struct view_options *shown,
                     struct error *why)
{
    static const struct view_options plain;
    const char *path = in_room("report");
    struct strbuf text = STRBUF_INIT;
    struct sink *sink;
    struct view view;

    profile.settled = profile.samples.length;
    view_init(&view, &profile, shown ? shown : &plain);
    view_update(&view);
    sink_open(path, false, &sink, NULL);
    report_write(&view, &options, sink, why);
    sink_commit(sink, NULL);
    strbuf_add_file(&text, path, 1 << 22);
    view_deinit(&view);
    profile_deinit(&profile);
    return strbuf_detach(&text);
}

MADE char *text_of(struct report_options options)
{
    return report_of(options, NULL, NULL);
}

MADE cJSON *json_of(struct report_options options)
{
    cleanup(cleanup_free) char *text = NULL;
    cJSON *ret;

    options.format = REPORT_JSON;
    text = text_of(options);
    ret = cJSON_Parse(text);
    tap_ok(ret != NULL, "the JSON is JSON");
    return ret;
}

MADE void has(const char *text, const char *part, const char *what)
{
    if (!tap_ok(strstr(text, part) != NULL, "%s", what))
        printf("# no \"%s\" in\n", part);
}

MADE void has_not(const char *text, const char *part, const char *what)
{
    if (!tap_ok(strstr(text, part) == NULL, "%s", what))
        printf("# \"%s\" in\n", part);
}

/* Each of the texts after the one before. */
MADE void in_order(const char *text, const char *const *parts, const char *what)
{
    const char *at = text;

    for (; at && *parts; parts++) {
        at = strstr(at, *parts);
        if (!at)
            printf("# not there, or too early: %s\n", *parts);
        else
            at++;
    }
    tap_ok(at != NULL, "%s", what);
}

MADE double number_at(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    return item ? item->valuedouble : NAN;
}

MADE const char *text_at(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    return item && item->valuestring ? item->valuestring : "";
}

MADE const cJSON *item_at(const cJSON *object, const char *key, int index)
{
    return cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(object, key), index);
}

/* A limit is the share p from which the observed one is 1.96 standard errors of p away: found by
 * bisection, without Wilson's formula. */
MADE double limit_of(double value, double draws, double outside)
{
    double near = value, far = outside;

    for (int i = 0; i < 200; i++) {
        double p = (near + far) / 2;

        if (fabs(value - p) < 1.959963984540054 * sqrt(p * (1 - p) / draws))
            near = p;
        else
            far = p;
    }
    return near;
}

#endif
