/* SPDX-License-Identifier: MIT */
/* output/report.h: reports of made-up profiles, whose shares this file states. */
#include "pspy/output/report.h"

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/clock.h"
#include "pspy/base/utf8.h"
#include "pspy/profile/share.h"
#include "unit/tap.h"

#define TICK (10 * NS_PER_MS)

static char room[] = "/tmp/pspy-report-XXXXXX";
static struct profile profile;
static uint64_t now;

/* ---- made-up profiles --------------------------------------------------------------------------
 */

static char *in_room(const char *name)
{
    static char paths[4][512];
    static int next;
    char *ret = paths[next++ % 4];

    snprintf(ret, sizeof(paths[0]), "%s/%s", room, name);
    return ret;
}

static void put(const char *name, const char *text)
{
    FILE *file = fopen(in_room(name), "w");

    fputs(text, file);
    fclose(file);
}

static void begin_profile(void)
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

static stack_id push(stack_id parent, struct made_frame made)
{
    const char *slash = strrchr(made.file, '/');
    struct frame_info info = {.kind = made.kind,
                              .name = profile_string(&profile, made.name),
                              .file = profile_string(&profile, made.file),
                              .short_file = profile_string(&profile, slash ? slash + 1 : made.file),
                              .line = made.line};

    return profile_stack(&profile, parent, profile_frame(&profile, &info));
}

static void add(stack_id stack, int count, struct sample like)
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
static void make_model(bool backwards)
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
static char *report_of(struct report_options options, const struct view_options *shown,
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

static char *text_of(struct report_options options)
{
    return report_of(options, NULL, NULL);
}

static cJSON *json_of(struct report_options options)
{
    cleanup(cleanup_free) char *text = NULL;
    cJSON *ret;

    options.format = REPORT_JSON;
    text = text_of(options);
    ret = cJSON_Parse(text);
    tap_ok(ret != NULL, "the JSON is JSON");
    return ret;
}

static void has(const char *text, const char *part, const char *what)
{
    if (!tap_ok(strstr(text, part) != NULL, "%s", what))
        printf("# no \"%s\" in\n", part);
}

static void has_not(const char *text, const char *part, const char *what)
{
    if (!tap_ok(strstr(text, part) == NULL, "%s", what))
        printf("# \"%s\" in\n", part);
}

/* Each of the texts after the one before. */
static void in_order(const char *text, const char *const *parts, const char *what)
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

static double number_at(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    return item ? item->valuedouble : NAN;
}

static const char *text_at(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    return item && item->valuestring ? item->valuestring : "";
}

static const cJSON *item_at(const cJSON *object, const char *key, int index)
{
    return cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(object, key), index);
}

/* ---- intervals ---------------------------------------------------------------------------------
 */

/* A limit is the share p from which the observed one is 1.96 standard errors of p away: found by
 * bisection, without Wilson's formula. */
static double limit_of(double value, double draws, double outside)
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

static void test_intervals(void)
{
    /* R. G. Newcombe, Statistics in Medicine 17 (1998), table I: the score method. */
    static const struct {
        double events, draws, low, high;
    } table[] = {{81, 263, 0.2553, 0.3662},
                 {15, 148, 0.0624, 0.1605},
                 {0, 20, 0.0000, 0.1611},
                 {1, 29, 0.0061, 0.1718}};
    double low, high;

    for (size_t i = 0; i < 4; i++) {
        share_interval(table[i].events / table[i].draws, table[i].draws, &low, &high);
        tap_ok(fabs(low - table[i].low) < 6e-5 && fabs(high - table[i].high) < 6e-5,
               "the published interval of %g of %g", table[i].events, table[i].draws);
    }
    for (int draws = 1; draws <= 1000; draws *= 10)
        for (int events = 1; events <= 9; events += 4) {
            double value = events / 10.0;

            share_interval(value, draws, &low, &high);
            tap_ok(fabs(low - limit_of(value, draws, 0)) < 1e-9 &&
                       fabs(high - limit_of(value, draws, 1)) < 1e-9,
                   "the interval of %g in %d by bisection", value, draws);
        }
    share_interval(0.5, 0, &low, &high);
    tap_ok(low == 0 && high == 1, "no samples say nothing");
    share_interval(1, 20, &low, &high);
    tap_ok(high == 1 && fabs(low - (1 - 0.1611)) < 6e-5, "all of 20 is none of 20 turned over");
}

/* ---- sections ----------------------------------------------------------------------------------
 */

static void test_text(void)
{
    static const char *const order[] = {
        "pspy profile: python model.py\n",
        "10.00 s, 1000 samples at 100 a second",
        "CPU time: 10.00 s, 1.00 core",
        "Hottest lines",
        " 65.0 %  62.0-67.9   model.py:47  step\n",
        "                     u += add(multiply(v))\n",
        " 40.0 %  37.0-43.1     in add (umath.so)\n",
        " 20.0 %  17.6-22.6     in multiply (umath.so)\n",
        "  5.0 %  3.8-6.5       in itself\n",
        " 15.0 %  12.9-17.3   model.py:48  step\n",
        " 10.0 %  8.3-12.0    lib.py:9  hot\n",
        "  6.0 %  4.7-7.6     model.py:12  main\n",
        "  4.0 %  3.0-5.4     model.py:61  save\n",
        "  4.0 %  3.0-5.4       in dumps (json.py)\n",
        "Hottest functions",
        " 40.0 %  37.0-43.1    40.0 %  37.0-43.1   add (umath.so)\n",
        " 20.0 %  17.6-22.6    80.0 %  77.4-82.4   step (model.py)\n",
        "Where the time goes",
        "100.0 %  99.6-100.0  main (model.py)\n",
        " 80.0 %  77.4-82.4     step (model.py)\n",
        " 40.0 %  37.0-43.1       in add (umath.so)\n",
        " 14.0 %  12.0-16.3     save (model.py)\n",
        " 10.0 %  8.3-12.0        in hot (lib.py)\n",
        "Callers of",
        " 40.0 %  37.0-43.1   add (umath.so)\n",
        " 40.0 %  37.0-43.1     from model.py:47  step\n",
        "Losses and what is missing\n",
        NULL,
    };
    cleanup(cleanup_free) char *text = NULL;

    make_model(false);
    profile.facts.idle = true;
    text = text_of((struct report_options){.top = 0});
    in_order(text, order, "the sections of a report as text");
    has_not(text, "Waiting", "nothing waited");
    has_not(text, "not recorded", "nothing is said to be missing that is there");
    has(text, "Lost samples: none.\n", "nothing was lost");
    has_not(text, "\033", "no colours unless asked");
}

static void test_width(void)
{
    cleanup(cleanup_free) char *text = NULL;
    size_t widest = 0;
    bool numbered = false;
    char name[300];

    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    begin_profile();
    profile.facts.title = profile_string(&profile, name);
    add(push(push(STACK_EMPTY, (struct made_frame){FRAME_PYTHON, name, "/a/b.py", 3}),
             (struct made_frame){FRAME_NATIVE, name, "/a/b.so", 0}),
        10, RUNS);
    add(push(STACK_EMPTY, (struct made_frame){FRAME_PYTHON, "f", name, 123}), 20, RUNS);
    add(STACK_EMPTY, 3, (struct sample){.state = STATE_GIL});
    text = text_of((struct report_options){.top = 0});
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        widest = utf8_count(line) > widest ? utf8_count(line) : widest;
        numbered = numbered || strstr(line, "xx:123  f");
    }
    tap_ok(widest <= 80, "no line is wider than 80 columns");
    tap_ok(numbered, "a long path is cut before its line's number");
}

static void test_order(void)
{
    for (int format = REPORT_TEXT; format <= REPORT_JSON; format++) {
        struct report_options options = {.format = (enum report_format)format};
        cleanup(cleanup_free) char *forwards = NULL, *backwards = NULL;

        make_model(false);
        forwards = text_of(options);
        make_model(true);
        backwards = text_of(options);
        tap_is_str(backwards, forwards, "a report does not depend on the order of samples");
    }
}

static void test_ties(void)
{
    static const char *const order[] = {"Hottest functions", "a (t.py)", "b (t.py)", "c (t.py)",
                                        NULL};
    cleanup(cleanup_free) char *text = NULL;

    begin_profile();
    for (const char *name = "cab"; *name; name++)
        add(push(STACK_EMPTY, (struct made_frame){FRAME_PYTHON, (char[]){*name, '\0'}, "/t.py", 9}),
            5, RUNS);
    text = text_of((struct report_options){.top = 0});
    in_order(text, order, "equal shares are in the order of names");
}

static void test_json(void)
{
    cJSON *root;
    const cJSON *line, *node;

    make_model(false);
    profile.facts.losses[LOSS_TORN] = 3;
    root = json_of((struct report_options){.top = 2});
    tap_is_str(text_at(root, "schema"), "pspy-report", "the schema's name");
    tap_is_num((long long)number_at(root, "version"), 1, "and version");
    tap_is_num((long long)number_at(cJSON_GetObjectItem(root, "meta"), "samples"), 1000, "samples");
    tap_is_num((long long)number_at(cJSON_GetObjectItem(cJSON_GetObjectItem(root, "meta"), "lost"),
                                    "changed while read"),
               3, "losses by cause");
    tap_is_num(cJSON_GetArraySize(cJSON_GetObjectItem(root, "lines")), 2, "as many rows as asked");
    line = item_at(root, "lines", 0);
    tap_is_num((long long)number_at(line, "line"), 47, "the hottest line");
    tap_is_str(text_at(line, "source"), "u += add(multiply(v))", "its source text");
    tap_ok(fabs(number_at(cJSON_GetObjectItem(line, "self"), "value") - 0.65) < 1e-9, "its share");
    tap_ok(fabs(number_at(cJSON_GetObjectItem(line, "self"), "seconds") - 6.5) < 1e-9, "its time");
    tap_ok(fabs(item_at(cJSON_GetObjectItem(line, "self"), "ci95", 0)->valuedouble -
                limit_of(0.65, 1000, 0)) < 1e-6,
           "the interval's low end");
    tap_ok(fabs(item_at(cJSON_GetObjectItem(line, "self"), "ci95", 1)->valuedouble -
                limit_of(0.65, 1000, 1)) < 1e-6,
           "and high end");
    tap_is_num((long long)number_at(cJSON_GetObjectItem(root, "other_lines"), "count"), 3,
               "what is not shown is counted");
    tap_ok(fabs(number_at(cJSON_GetObjectItem(cJSON_GetObjectItem(root, "other_lines"), "share"),
                          "value") -
                0.20) < 1e-9,
           "with its share");
    tap_is_str(text_at(cJSON_GetObjectItem(root, "files"), "model.py"), in_room("model.py"),
               "files in full");
    node = item_at(cJSON_GetObjectItem(root, "tree"), "children", 0);
    tap_is_str(text_at(node, "function"), "main", "the tree");
    tap_is_str(text_at(item_at(node, "children", 1), "function"), "save", "and its branches");
    cJSON_Delete(root);
}

static void test_markdown(void)
{
    static const char *const order[] = {
        "# pspy profile: python model.py\n",
        "## Hottest lines\n",
        "| 65.0 % | 62.0-67.9 | `model.py:47` | `step` | `u += add(multiply(v))` |\n",
        "| 40.0 % | 37.0-43.1 | | in `add` | |\n",
        "## Hottest functions\n",
        "| 40.0 % | 37.0-43.1 | 40.0 % | 37.0-43.1 | `add` | `umath.so` |\n",
        "## Where the time goes\n",
        "100.0 % (99.6-100.0)  main (model.py)\n",
        "80.0 % (77.4-82.4)    step (model.py)\n",
        "## Callers of the hottest native and library functions\n",
        "## Losses and what is missing\n",
        NULL,
    };
    cleanup(cleanup_free) char *text = NULL;
    bool is_ascii = true;

    make_model(false);
    text = text_of((struct report_options){.format = REPORT_MARKDOWN});
    in_order(text, order, "the sections of a report as Markdown");
    for (const char *at = text; *at; at++)
        is_ascii = is_ascii && (unsigned char)*at < 0x80;
    tap_ok(is_ascii, "ASCII where names are");
}

/* ---- what can be asked for ---------------------------------------------------------------------
 */

static void test_focus(void)
{
    cleanup(cleanup_free) char *text = NULL, *bad = NULL, *none = NULL;
    struct error why = ERROR_INIT;

    make_model(false);
    text = text_of((struct report_options){.focus = "^sa.e$"});
    has(text, "14.0 % (12.0-16.3)", "the focus's share");
    has(text, "100.0 %  97.3-100.0  save (model.py)\n", "the tree begins at the focus");
    has(text, " 71.4 %  63.5-78.3   lib.py:9  hot\n", "shares are of the focus");
    has_not(text, "model.py:47", "nothing else is there");
    make_model(false);
    bad = report_of((struct report_options){.focus = "sa(ve"}, NULL, &why);
    tap_is_num(why.code, ERR_INVALID, "a focus that is no expression");
    has(why.message, "'sa(ve'", "is named");
    tap_is_str(bad, "", "and nothing written");
    make_model(false);
    none = text_of((struct report_options){.focus = "nowhere"});
    has(none, "No function that ran matches the focus.\n", "a focus that matches nothing");
}

static void test_budget(void)
{
    cleanup(cleanup_free) char *whole = NULL, *half = NULL, *least = NULL;

    for (int i = 0; i < 3; i++) {
        struct report_options options = {.format = REPORT_MARKDOWN};
        char **ret = i == 0 ? &whole : i == 1 ? &half : &least;

        make_model(false);
        options.budget = i == 0 ? 0 : i == 1 ? strlen(whole) / 4 * 2 / 3 : 1;
        *ret = text_of(options);
    }
    tap_ok(strlen(half) / 4 <= strlen(whole) / 4 * 2 / 3, "a budget is kept");
    has(half, "65.0 %", "the hottest line stays");
    has(half, " more ", "what was cut is counted");
    has(least, "model.py:47", "also where the budget is too small for anything");
}

static void test_colour(void)
{
    cleanup(cleanup_free) char *text = NULL;

    make_model(false);
    text = text_of((struct report_options){.colour = true});
    has(text, "\033[31m 65.0 %\033[0m", "a large share is red");
    has(text, "\033[1mHottest lines", "a heading is bold");
}

static void test_folder(void)
{
    cleanup(cleanup_free) char *text = NULL;

    mkdir(in_room("deep"), 0755);
    begin_profile();
    add(push(STACK_EMPTY, (struct made_frame){FRAME_PYTHON, "f", in_room("deep/x.py"), 1}), 5,
        RUNS);
    text = text_of((struct report_options){.folder = room});
    has(text, "deep/x.py:1  f", "files below a folder are shown relative to it");
}

/* ---- waiting, threads, kinds of profiles -------------------------------------------------------
 */

static void test_waiting(void)
{
    cleanup(cleanup_free) char *text = NULL;
    stack_id get;

    begin_profile();
    profile.threads.items[0].name = profile_string(&profile, "writer");
    get = push(STACK_EMPTY, (struct made_frame){FRAME_PYTHON, "drain", "/a/work.py", 80});
    add(get, 10, RUNS);
    add(push(get, (struct made_frame){FRAME_STDLIB, "get", "/lib/queue.py", 9}), 200,
        (struct sample){.state = STATE_BLOCKED});
    add(get, 50, (struct sample){.state = STATE_GIL});
    text = text_of((struct report_options){.top = 0});
    has(text, "100.0 %  72.2-100.0  work.py:80  drain\n", "waiting is no CPU time");
    has(text, "     2.00 s  writer: blocked, work.py:80  drain\n", "a wait");
    has(text, "     0.50 s  writer: for the GIL, work.py:80  drain\n", "for the GIL");
}

/* Ten threads that run at each of 100 looks say no more than 100 samples. */
static void test_threads(void)
{
    cleanup(cleanup_free) char *text = NULL;
    stack_id f, g;

    begin_profile();
    f = push(STACK_EMPTY, (struct made_frame){FRAME_PYTHON, "f", "/a.py", 1});
    g = push(STACK_EMPTY, (struct made_frame){FRAME_PYTHON, "g", "/a.py", 2});
    for (int i = 1; i < 10; i++)
        profile_add_thread(&profile, 0, 7 + i);
    for (int look = 1; look <= 100; look++)
        for (uint32_t thread = 0; thread < 10; thread++) {
            struct sample sample = {.time = (uint64_t)look * TICK + thread,
                                    .weight = TICK,
                                    .thread = thread,
                                    .stack = look <= 50 ? f : g,
                                    .state = STATE_RUNNING};

            profile_add_sample(&profile, &sample);
        }
    profile.facts.duration = 100 * TICK;
    text = text_of((struct report_options){.top = 0});
    has(text, "10.00 s, 10.00 cores", "the threads' time is added up");
    has(text, " 50.0 %  40.4-59.6   a.py:1  f\n", "threads of one look are one sample");
}

static void test_counted(void)
{
    cleanup(cleanup_free) char *text = NULL;
    struct sample sample = {.weight = 30, .state = STATE_RUNNING};

    begin_profile();
    profile.facts = (struct recording_facts){
        .end = RECORDING_EXITED, .is_counted = true, .has_no_states = true};
    sample.stack = push(STACK_EMPTY, (struct made_frame){FRAME_PYTHON, "f", "f.py", 0});
    profile_add_sample(&profile, &sample);
    sample.stack = push(STACK_EMPTY, (struct made_frame){FRAME_PYTHON, "g", "f.py", 0});
    sample.weight = 10;
    profile_add_sample(&profile, &sample);
    text = text_of((struct report_options){.top = 0});
    has(text, "40 samples", "numbers of samples");
    has(text, " 75.0 %  59.8-85.8   f (f.py)\n", "shares of samples");
    has(text, "Shares are of all samples.", "and said to be");
    has_not(text, " s,", "no seconds");
    has(text, "Lost samples: unknown.\n", "losses are not known");
    has_not(text, "Waiting", "nor what waited");
}

static void test_empty(void)
{
    for (int format = REPORT_TEXT; format <= REPORT_JSON; format++) {
        cleanup(cleanup_free) char *text = NULL;

        begin_profile();
        text = text_of((struct report_options){.format = (enum report_format)format});
        tap_ok(*text && !strstr(text, "nan"), "a report of no samples");
        if (format != REPORT_JSON)
            has(text, "has no samples", "says so");
    }
}

static void test_native(void)
{
    cleanup(cleanup_free) char *text = NULL;
    stack_id outer;

    begin_profile();
    profile.facts.saw_python = false;
    profile.facts.end = RECORDING_CUT_OFF;
    outer = push(STACK_EMPTY, (struct made_frame){FRAME_NATIVE, "main", "/a/x.c", 10});
    add(push(outer, (struct made_frame){FRAME_NATIVE, "work", "/a/x.c", 20}), 60, RUNS);
    add(push(outer, (struct made_frame){FRAME_NATIVE, "rest", "/a/x.so", 0}), 40, RUNS);
    text = text_of((struct report_options){.top = 0});
    has(text, "cut off: ", "a recording without an end says so");
    has(text, " 60.0 %  50.2-69.1   x.c:20  work\n", "a line of C");
    has(text, " 40.0 %  30.9-49.8   rest (x.so)\n", "code without lines");
    has(text, " 60.0 %  50.2-69.1     work (x.c)\n", "the tree of C functions");
    has(text, "No Python ran", "no Python is no error");
}

static void test_recursion(void)
{
    cleanup(cleanup_free) char *text = NULL;
    stack_id stack = STACK_EMPTY;

    begin_profile();
    for (uint32_t i = 0; i < 100000; i++)
        stack = push(stack, (struct made_frame){FRAME_PYTHON, i % 2 ? "odd" : "even", "/r.py", 3});
    add(stack, 10, RUNS);
    text = text_of((struct report_options){.top = 0});
    has(text, "100.0 %  72.2-100.0  100.0 %  72.2-100.0  odd (r.py)\n",
        "what calls itself counts once");
    has(text, "(1 more branch, smaller or deeper)", "a deep tree is cut");
    tap_ok(strlen(text) < 8000, "and no book");
}

/* ---- source text -------------------------------------------------------------------------------
 */

static char *source_report(const char *path, uint64_t start)
{
    begin_profile();
    profile.facts.start_wall = start;
    add(push(STACK_EMPTY, (struct made_frame){FRAME_PYTHON, "f", path, 2}), 5, RUNS);
    return text_of((struct report_options){.top = 0});
}

static void test_source(void)
{
    static const char *const names[] = {"secret",    "pipe.py",   "gone.py",     "huge.py",
                                        "folder.py", "/dev/zero", "relative.py", "binary.py"};
    uint64_t wall = clock_wall();
    cleanup(cleanup_free) char *now_text = source_report(in_room("model.py"), wall);
    cleanup(cleanup_free) char *old_text =
        source_report(in_room("model.py"), wall - 3600 * NS_PER_SECOND);
    int fd;

    has(now_text, "\n                     second = 2\n", "source text");
    has(old_text, "\n                     [changed since] second = 2\n",
        "of a file that is newer than the recording");
    put("secret", "first\nsecond\n");
    put("script", "#!/usr/bin/python\nscript\n");
    put("binary.py", "first\n");
    mkfifo(in_room("pipe.py"), 0600);
    mkdir(in_room("folder.py"), 0755);
    put("huge.py", "first\nsecond\n");
    fd = open(in_room("huge.py"), O_WRONLY);
    tap_ok(ftruncate(fd, (off_t)10 << 30) == 0, "a file of 10 GB");
    close(fd);
    for (size_t i = 0; i < 8; i++) {
        bool is_path = names[i][0] == '/' || i == 6;
        cleanup(cleanup_free) char *text =
            source_report(is_path ? names[i] : in_room(names[i]), wall);

        has_not(text, "\n                     ", names[i]);
    }
    {
        cleanup(cleanup_free) char *text = source_report(in_room("script"), wall);

        has(text, "\n                     script\n", "a script without a suffix");
    }
}

/* ---- hostile text ------------------------------------------------------------------------------
 */

static bool has_control(const char *text)
{
    while (*text) {
        uint32_t code = utf8_next(&text);

        if ((code < 0x20 && code != '\n') || (code >= 0x7f && code < 0xa0) || code == 0x202e)
            return true;
    }
    return false;
}

static void make_hostile(void)
{
    begin_profile();
    profile.facts.title = profile_string(&profile, "x\n# y\033]0;z\a <img src=q>");
    profile.threads.items[0].name = profile_string(&profile, "t\033[2J|t");
    put("hostile.py", "first\na | b ``c`` \033[31m <b> \xe2\x80\xae \xff\n");
    add(push(STACK_EMPTY, (struct made_frame){FRAME_PYTHON, "f|g`\\|\033[1m\xc2\x9b<script>\n```\n",
                                              in_room("hostile.py"), 2}),
        5, RUNS);
    add(push(STACK_EMPTY,
             (struct made_frame){FRAME_PYTHON, "[a](javascript:b)\xff", "/\nh|.py", 1}),
        5, (struct sample){.state = STATE_GIL});
}

static void test_hostile(void)
{
    cleanup(cleanup_free) char *text = NULL, *markdown = NULL;
    cJSON *json;

    make_hostile();
    text = text_of((struct report_options){.top = 0});
    tap_ok(!has_control(text), "no control characters in text");
    make_hostile();
    markdown = text_of((struct report_options){.format = REPORT_MARKDOWN});
    tap_ok(!has_control(markdown), "nor in Markdown");
    has(markdown, "| ```` f\\|g`", "pipes are escaped, backticks are between more of them");
    has(markdown, "|g`\\ \\|", "a backslash does not turn that around");
    has(markdown, "\\<img src=q\\>", "no HTML in the title");
    has_not(markdown, "\n# y", "no headings");
    has(markdown, "``` a \\| b ``c`` ", "so is source text");
    make_hostile();
    json = json_of((struct report_options){.top = 0});
    tap_is_str(text_at(item_at(json, "lines", 0), "function"),
               "f|g`\\|\033[1m\xc2\x9b<script>\n```\n", "JSON keeps names as they are");
    cJSON_Delete(json);
}

int main(void)
{
    if (!mkdtemp(room))
        return 1;
    put("model.py", "first\n  second = 2  \n");
    {
        FILE *file = fopen(in_room("model.py"), "a");

        for (int i = 3; i < 47; i++)
            fputs("pass\n", file);
        fputs("        u += add(multiply(v))\n", file);
        fclose(file);
    }
    test_intervals();
    test_text();
    test_width();
    test_order();
    test_ties();
    test_json();
    test_markdown();
    test_focus();
    test_budget();
    test_colour();
    test_folder();
    test_waiting();
    test_threads();
    test_counted();
    test_empty();
    test_native();
    test_recursion();
    test_source();
    test_hostile();
    return tap_done();
}
