/* SPDX-License-Identifier: MIT */
/* output/report.h: what stands in reports of made-up profiles, whose shares this file states. */
#include <sys/stat.h>

#include "pspy/base/utf8.h"
#include "unit/made_report.h"

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

int main(void)
{
    begin_room();
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
    return end_room();
}
