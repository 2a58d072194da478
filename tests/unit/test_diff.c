/* SPDX-License-Identifier: MIT */
/* profile/diff.h and output/diff.h: made-up runs whose shares are known. */
#include "pspy/profile/diff.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/clock.h"
#include "pspy/base/utf8.h"
#include "pspy/output/diff.h"
#include "unit/tap.h"

#define SECONDS 10
#define MOST    12

/* A program: main calls f0, f1, ... with these shares. */
struct program {
    size_t functions;
    double shares[MOST];
    double phase; /* seconds in one function, on average; 0: samples are independent */
};

/* A run of it, and what is shown of that. */
struct run {
    struct profile profile;
    struct view view;
};

static struct rng rng = {1};

/* 0 to 1, 1 excluded. */
static double chance(void)
{
    return (double)(rng_next(&rng) >> 11) / 9007199254740992.0;
}

static size_t choose(const struct program *program)
{
    double left = chance();

    for (size_t i = 0; i + 1 < program->functions; i++) {
        if (left < program->shares[i])
            return i;
        left -= program->shares[i];
    }
    return program->functions - 1;
}

static stack_id call(struct profile *profile, stack_id caller, const char *name, const char *folder)
{
    cleanup(strbuf_deinit) struct strbuf path = STRBUF_INIT;
    struct frame_info info = {.kind = FRAME_PYTHON, .name = profile_string(profile, name)};

    strbuf_addf(&path, "%s/a.py", folder);
    info.file = profile_string(profile, path.text);
    info.short_file = profile_string(profile, "a.py");
    return profile_stack(profile, caller, profile_frame(profile, &info));
}

static void begin(struct run *run)
{
    profile_init(&run->profile);
    profile_add_process(&run->profile, 1);
    profile_add_thread(&run->profile, 0, 1);
    run->profile.facts.duration = SECONDS * NS_PER_SECOND;
}

static void add(struct run *run, uint64_t time, uint64_t weight, stack_id stack)
{
    struct sample sample = {.time = time, .weight = weight, .stack = stack};

    profile_add_sample(&run->profile, &sample);
}

static void show(struct run *run)
{
    struct view_options options = {.threads = false};

    run->profile.settled = run->profile.samples.length;
    view_init(&run->view, &run->profile, &options);
    view_update(&run->view);
}

static void end(struct run *run)
{
    view_deinit(&run->view);
    profile_deinit(&run->profile);
}

static void make(struct run *run, const struct program *program, int rate, const char *folder)
{
    uint64_t step = NS_PER_SECOND / (uint64_t)rate, left = 0;
    stack_id stacks[MOST], root;
    size_t current = 0;

    begin(run);
    root = call(&run->profile, STACK_EMPTY, "main", folder);
    for (size_t i = 0; i < program->functions; i++) {
        char name[3] = {'f', (char)('a' + i), '\0'};

        stacks[i] = call(&run->profile, root, name, folder);
    }
    for (int i = 0; i < SECONDS * rate; i++) {
        if (left == 0) {
            current = choose(program);
            left = 1 + (uint64_t)(-program->phase * rate * log(1 - chance()));
        }
        left--;
        add(run, (uint64_t)i * step, step, stacks[current]);
    }
    show(run);
}

static const struct diff_function *find(const struct diff *diff, const char *name)
{
    vec_each (function, &diff->functions)
        if (!strcmp(strings_text(&diff->texts, function->name), name))
            return function;
    return NULL;
}

static const struct program before_program = {.functions = 3, .shares = {0.7, 0.2, 0.1}};
static const struct program after_program = {.functions = 3, .shares = {0.5, 0.4, 0.1}};

/* ---- what is found ---- */

static void test_truth(int rate)
{
    struct run before, after;
    struct diff diff;

    make(&before, &before_program, rate, "/old");
    make(&after, &after_program, rate, "/new");
    diff_init(&diff, &before.view, &after.view);
    tap_is_num((long long)diff.functions.length, 4, "two checkouts have the same functions");
    tap_ok(find(&diff, "fa")->self.is_beyond, "70 to 50 %% is a change at %d Hz", rate);
    tap_ok(find(&diff, "fb")->self.is_beyond, "20 to 40 %% is a change at %d Hz", rate);
    tap_ok(!find(&diff, "fc")->self.is_beyond, "10 and 10 %% are none at %d Hz", rate);
    tap_ok(!find(&diff, "main")->total.is_beyond, "main has all of both at %d Hz", rate);
    tap_is_num((long long)diff.beyond, 2, "two functions in all");
    tap_ok(find(&diff, "fa")->self.low < -20 && find(&diff, "fa")->self.high > -20,
           "the truth is within the interval");
    tap_ok(find(&diff, "fc")->self.low < 0 && find(&diff, "fc")->self.high > 0, "0 is, too");
    tap_ok(diff_fails_above(&diff, 10) && !diff_fails_above(&diff, 30), "growth by 20 points");
    tap_ok(diff_is_beyond(&diff, 0.7, 0.5) && !diff_is_beyond(&diff, 0.1, 0.101), "any two shares");
    diff_deinit(&diff);
    end(&before);
    end(&after);
}

/* Pairs of runs of one program in which any change is claimed. */
static int false_alarms(const struct program *program, int pairs)
{
    int alarms = 0;

    for (int i = 0; i < pairs; i++) {
        struct run before, after;
        struct diff diff;

        make(&before, program, 100, "/a");
        make(&after, program, 100, "/a");
        diff_init(&diff, &before.view, &after.view);
        alarms += diff.beyond > 0;
        diff_deinit(&diff);
        end(&before);
        end(&after);
    }
    return alarms;
}

/* The generator's start is fixed, so that the counts are the same in each run of the test. */
static void test_false_alarms(void)
{
    struct program many = {.functions = 10,
                           .shares = {.3, .2, .15, .1, .08, .06, .05, .03, .02, .01}};
    struct program phases = {.functions = 3, .shares = {0.7, 0.2, 0.1}, .phase = 0.5};
    int alarms = false_alarms(&before_program, 200);

    tap_ok(alarms <= 10, "independent samples: %d false alarms in 200 pairs", alarms);
    alarms = false_alarms(&many, 200);
    tap_ok(alarms <= 10, "ten functions: %d", alarms);
    alarms = false_alarms(&phases, 200);
    tap_ok(alarms <= 15, "phases of half a second: %d", alarms);
    many.phase = 0.5;
    alarms = false_alarms(&many, 200);
    tap_ok(alarms <= 15, "phases of ten functions: %d", alarms);
}

/* ---- what is counted ---- */

/* f calls itself and g: 3 samples in f f, 1 in f g f; after: 4 in g. */
static void test_totals(void)
{
    struct run before, after;
    struct diff diff;
    stack_id f;

    begin(&before);
    begin(&after);
    f = call(&before.profile, STACK_EMPTY, "f", "");
    for (uint64_t i = 0; i < 3; i++)
        add(&before, i, 10, call(&before.profile, f, "f", ""));
    add(&before, 3, 10, call(&before.profile, call(&before.profile, f, "g", ""), "f", ""));
    call(&before.profile, f, "never seen", "");
    for (uint64_t i = 0; i < 4; i++)
        add(&after, i, 5, call(&after.profile, STACK_EMPTY, "g", ""));
    show(&before);
    show(&after);
    diff_init(&diff, &before.view, &after.view);
    tap_is_num((long long)diff.functions.length, 2, "functions without samples are left out");
    tap_is_num((long long)find(&diff, "f")->self.of[0].samples, 4, "f's own samples");
    tap_is_num((long long)find(&diff, "f")->total.of[0].samples, 4, "recursion counts once");
    tap_is_num((long long)find(&diff, "g")->self.of[0].samples, 0, "g only calls");
    tap_is_num((long long)find(&diff, "g")->total.of[0].ns, 10, "and has a sample's time by it");
    tap_is_num((long long)find(&diff, "g")->self.of[1].ns, 20, "time after");
    tap_ok(fabs(find(&diff, "f")->self.points + 100) < 1e-9, "f lost all");
    tap_ok(fabs(find(&diff, "g")->total.points - 75) < 1e-9, "g had a quarter and has all");
    diff_deinit(&diff);
    end(&before);
    end(&after);
}

/* Weights that are numbers of samples, as folded files have them. */
static void test_counted(void)
{
    struct run before, after;
    struct diff diff;

    begin(&before);
    begin(&after);
    before.profile.facts.is_counted = after.profile.facts.is_counted = true;
    add(&before, 0, 700, call(&before.profile, STACK_EMPTY, "f", ""));
    add(&before, 0, 300, call(&before.profile, STACK_EMPTY, "g", ""));
    add(&after, 0, 690, call(&after.profile, STACK_EMPTY, "f", ""));
    add(&after, 0, 310, call(&after.profile, STACK_EMPTY, "g", ""));
    show(&before);
    show(&after);
    diff_init(&diff, &before.view, &after.view);
    tap_is_num((long long)diff.of[0].samples, 1000, "a weight is a number of samples");
    tap_ok(!diff.by_time && !diff.has_order && !diff.beyond, "one point of 1000 samples is noise");
    diff_deinit(&diff);
    end(&after);
    begin(&after);
    show(&after);
    diff_init(&diff, &before.view, &after.view);
    tap_ok(!diff.beyond && !diff.of[1].samples, "nothing is claimed of a run without samples");
    diff_deinit(&diff);
    end(&before);
    end(&after);
}

/* ---- what is written ---- */

typedef void write_fn(const struct diff_output *output, struct sink *sink);

static const struct run *flame_before, *flame_after;

static void write_flame(const struct diff_output *output, struct sink *sink)
{
    diff_write_flamegraph(output, &flame_before->view, &flame_after->view, sink);
}

static void read_written(const struct diff_output *output, write_fn *write, struct strbuf *text)
{
    char path[] = "/tmp/pspy-test-diff-XXXXXX";
    struct sink *sink;
    int fd = mkstemp(path);

    if (fd < 0 || sink_open(path, false, &sink, NULL))
        return;
    close(fd);
    write(output, sink);
    sink_commit(sink, NULL);
    strbuf_reset(text);
    strbuf_add_file(text, path, 1 << 20);
    unlink(path);
}

static size_t longest_line(const char *text)
{
    size_t longest = 0;

    while (*text) {
        size_t length = strcspn(text, "\n");
        cleanup(cleanup_free) char *line = xstrndup(text, length);

        if (utf8_count(line) > longest)
            longest = utf8_count(line);
        text += length + (text[length] == '\n');
    }
    return longest;
}

/* 700, 200 and 100 samples, in turn, and 500, 400, 100: no chance in it. */
static void make_even(struct run *run, int f, int g)
{
    stack_id stacks[3];

    begin(run);
    stacks[0] = call(&run->profile, STACK_EMPTY, "f", "");
    stacks[1] = call(&run->profile, STACK_EMPTY,
                     "g|\033[1m_with_a_name_that_is_longer_than_any_line_has_room_for", "");
    stacks[2] = call(&run->profile, STACK_EMPTY, "h", "");
    for (int i = 0; i < 1000; i++)
        add(run, (uint64_t)i, NS_PER_MS, stacks[i % 10 < f ? 0 : i % 10 < f + g ? 1 : 2]);
    show(run);
}

static void test_written(void)
{
    struct run before, after;
    struct diff diff;
    struct diff_output output = {.diff = &diff, .names = {"a.pspy", "b.pspy"}, .limit = 20};
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;

    make_even(&before, 7, 2);
    make_even(&after, 5, 4);
    diff_init(&diff, &before.view, &after.view);
    read_written(&output, diff_write_text, &text);
    tap_ok(strstr(text.text, "2 functions changed beyond the noise.\n"), "text: the sentence");
    tap_ok(strstr(text.text, "\n*   70.0%    50.0%    -20.0 "), "text: a row");
    tap_ok(strstr(text.text, " f (a.py)\n"), "text: a label");
    tap_ok(longest_line(text.text) == 80, "text: %zu columns, of a long name",
           longest_line(text.text));
    tap_ok(!strchr(text.text, '\033'), "text: no escape sequences of others");
    output.color = true;
    read_written(&output, diff_write_text, &text);
    tap_ok(strstr(text.text, "\033[32m*   70.0%"), "text: less is green where colour is asked for");
    read_written(&output, diff_write_markdown, &text);
    tap_ok(strstr(text.text, "| 70.0% | 50.0% | **-20.0** |"), "Markdown: a row");
    tap_ok(strstr(text.text, "| g\\| \\[1m"), "Markdown: a bar in a name does not end its cell");
    read_written(&output, diff_write_json, &text);
    tap_ok(strstr(text.text, "{\"schema\":\"pspy-diff\",\"version\":1,"), "JSON: the schema");
    tap_ok(strstr(text.text, "\"before\":{\"samples\":700,\"seconds\":0.7,\"share\":0.7,"
                             "\"per_second\":0.07}"),
           "JSON: an amount");
    diff_deinit(&diff);
    diff_init(&diff, &before.view, &before.view);
    read_written(&output, diff_write_text, &text);
    tap_ok(strstr(text.text, "No difference beyond the noise.\n"), "a run and itself");
    diff_deinit(&diff);
    end(&before);
    end(&after);
}

/* main has run other threads, by other numbers: `old` is gone, `new` has come, f has less. */
static void make_tree(struct run *run, int tid, int f, const char *other)
{
    struct view_options options = {.threads = true};
    stack_id root;

    begin(run);
    run->profile.threads.items[0].tid = tid;
    root = call(&run->profile, STACK_EMPTY, "main", "");
    for (int i = 0; i < 1000; i++)
        add(run, (uint64_t)i, NS_PER_MS,
            i % 10 < f   ? call(&run->profile, root, "f", "")
            : i % 10 < 9 ? call(&run->profile, root, "g", "")
                         : call(&run->profile, root, other, ""));
    run->profile.settled = run->profile.samples.length;
    view_init(&run->view, &run->profile, &options);
    view_update(&run->view);
}

/* The class of the box whose title begins so, and the title's rest. */
static void is_box(const char *svg, const char *label, const char *wanted, const char *what)
{
    cleanup(strbuf_deinit) struct strbuf title = STRBUF_INIT, got = STRBUF_INIT;
    const char *found, *group;

    strbuf_addf(&title, "<title>%s ", label);
    found = strstr(svg, title.text);
    for (group = found; group && group > svg && strncmp(group, "<g class=\"f ", 12);)
        group--;
    if (found)
        strbuf_addf(&got, "%.*s %.*s", (int)strcspn(group + 12, "\" "), group + 12,
                    (int)strcspn(found + title.length, "<"), found + title.length);
    tap_is_str(got.text, wanted, what);
}

static void test_flame(void)
{
    struct run before, after;
    struct diff diff;
    struct diff_output output = {.diff = &diff, .names = {"a.pspy", "b.pspy"}};
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;

    make_tree(&before, 12, 7, "old");
    make_tree(&after, 3, 4, "new");
    flame_before = &before;
    flame_after = &after;
    diff_init(&diff, &before.view, &after.view);
    read_written(&output, write_flame, &text);
    is_box(text.text, "f (a.py)", "d3 (400 samples, 40.00%, before 70.00%)", "less than before");
    is_box(text.text, "g (a.py)", "u3 (500 samples, 50.00%, before 20.00%)", "more than before");
    is_box(text.text, "new (a.py)", "u3 (100 samples, 10.00%, before 0.00%)", "what has come");
    is_box(text.text, "main (a.py)", "e0 (1,000 samples, 100.00%, before 100.00%)",
           "the same, below the thread's root of another number");
    is_box(text.text, "old (a.py)", "", "what is gone is not drawn");
    tap_ok(strstr(text.text, ">10.0% of the earlier samples are in stacks that are gone<"),
           "but said");
    diff_deinit(&diff);
    end(&before);
    end(&after);
}

int main(void)
{
    test_truth(100);
    test_truth(1000);
    test_false_alarms();
    test_totals();
    test_counted();
    test_written();
    test_flame();
    return tap_done();
}
