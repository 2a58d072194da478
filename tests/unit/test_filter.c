/* SPDX-License-Identifier: MIT */
/* filter.h: what of a made-up profile stays under which rules; rules that make no sense. */
#include <stdlib.h>

#include "pspy/base/cleanup.h"
#include "pspy/profile/filter.h"
#include "pspy/profile/view.h"
#include "unit/tap.h"

/* What is asked for: "+thread=x" includes, "-thread=x" excludes. */
#define RULES_MAX 4

static frame_id make_frame(struct profile *profile, enum frame_kind kind, const char *name,
                           const char *file)
{
    struct frame_info info = {.kind = kind,
                              .line = strcmp(name, "compute") ? 0 : 9,
                              .name = profile_string(profile, name),
                              .file = profile_string(profile, file),
                              .short_file = profile_string(profile, "short")};

    return profile_frame(profile, &info);
}

static stack_id push(struct profile *profile, stack_id parent, enum frame_kind kind,
                     const char *name, const char *file)
{
    return profile_stack(profile, parent, make_frame(profile, kind, name, file));
}

static void add_process(struct profile *profile, const char *command)
{
    uint32_t process = profile_add_process(profile, 7);

    profile->processes.items[process].command = profile_string(profile, command);
}

static uint32_t add_thread(struct profile *profile, const char *name)
{
    uint32_t thread = profile_add_thread(profile, 0, 7);

    profile->threads.items[thread].name = profile_string(profile, name);
    return thread;
}

/* The sample's weight says in the tests which one it is. */
static void add_sample(struct profile *profile, uint32_t thread, stack_id stack, uint64_t number,
                       enum stack_end end)
{
    struct sample sample = {
        .time = number, .weight = number, .thread = thread, .stack = stack, .end = (uint8_t)end};

    sample.state = number == 3 ? STATE_GIL : STATE_RUNNING;
    sample.flags = number == 2 ? SAMPLE_COLLECTS : 0;
    profile_add_sample(profile, &sample);
}

/*
 * 1 worker-1   main > read      /srv/app.py > /lib/io.py
 * 2 worker-2   main > compute   /srv/app.py > /lib/libm.so.6
 * 3 Größe      main             /srv/app.py
 * 4 (no name)  (no stack)
 * 5 worker-1   process 7:"read main" > thread (7): read > main > <GC>
 */
static void fill(struct profile *profile)
{
    uint32_t one, two, three, four;
    stack_id main_stack, root;

    profile_init(profile);
    add_process(profile, "read main");
    one = add_thread(profile, "worker-1");
    two = add_thread(profile, "worker-2");
    three = add_thread(profile, "Gr\xc3\xb6\xc3\x9f"
                                "e");
    four = add_thread(profile, "");
    main_stack = push(profile, STACK_EMPTY, FRAME_PYTHON, "main", "/srv/app.py");
    add_sample(profile, one, push(profile, main_stack, FRAME_STDLIB, "read", "/lib/io.py"), 1,
               END_ROOT);
    add_sample(profile, two, push(profile, main_stack, FRAME_NATIVE, "compute", "/lib/libm.so.6"),
               2, END_GUESSED);
    add_sample(profile, three, main_stack, 3, END_ROOT);
    add_sample(profile, four, STACK_EMPTY, 4, END_UNREADABLE);
    root = push(profile, STACK_EMPTY, FRAME_MARKER, "process 7:\"read main\"", "");
    root = push(profile, root, FRAME_MARKER, "thread (7): read", "");
    root = push(profile, root, FRAME_PYTHON, "main", "/srv/app.py");
    add_sample(profile, one, push(profile, root, FRAME_MARKER, "<GC>", ""), 5, END_ROOT);
}

static void add_rule(struct filter *filter, const char *rule)
{
    struct error why = ERROR_INIT;
    enum filter_effect effect = *rule == '+' ? FILTER_INCLUDE : FILTER_EXCLUDE;

    tap_ok(filter_add(filter, effect, rule + 1, &why) == ERR_OK, "%s %s", rule, why.message);
}

static void show(struct view *view, const struct profile *profile, const struct filter *filter)
{
    struct view_options options = {.filter = filter};

    view_init(view, profile, &options);
    view_update(view);
}

static size_t count_kept(const struct profile *profile, const struct filter *filter)
{
    struct view view;
    size_t count;

    show(&view, profile, filter);
    count = view.samples.length;
    view_deinit(&view);
    return count;
}

static void is_kept(const char *rules[], const char *wanted)
{
    cleanup(filter_deinit) struct filter filter = FILTER_INIT;
    cleanup(profile_deinit) struct profile profile;
    cleanup(strbuf_deinit) struct strbuf kept = STRBUF_INIT;
    uint64_t ends[STACK_ENDS] = {0};
    struct view view;

    fill(&profile);
    for (size_t i = 0; i < RULES_MAX && rules[i]; i++)
        add_rule(&filter, rules[i]);
    show(&view, &profile, &filter);
    vec_each (sample, &view.samples) {
        strbuf_addf(&kept, "%d", (int)sample->weight);
        ends[sample->end]++;
    }
    tap_is_str(kept.length ? kept.text : "", wanted, "the samples that stay, in their order");
    tap_is_num((long long)view.left_out, 5 - (long long)view.samples.length,
               "the others are counted");
    tap_ok(!memcmp(ends, view.ends, sizeof(ends)), "the ends are those of what stays");
    view_deinit(&view);
}

#define KEEPS(wanted, ...) is_kept((const char *[RULES_MAX + 1]){__VA_ARGS__}, wanted)

static void test_subjects(void)
{
    KEEPS("12345", NULL);
    KEEPS("125", "+thread=^worker");
    KEEPS("15", "+thread=1");
    KEEPS("34", "-thread=worker");
    KEEPS("1", "+function=^read$");
    KEEPS("1", "+module=/io[.]py");
    KEEPS("1235", "+module=app");
    KEEPS("1345", "-module=^/lib/lib.*[.]so");
    KEEPS("", "+function=nothing");
    KEEPS("12345", "-function=nothing");
    KEEPS("", "+module=short");
    KEEPS("12", "+function=READ|comp(are|ute)", "-function=x", "+function=ea");
}

static void test_several(void)
{
    KEEPS("12", "+function=read", "+function=compute");
    KEEPS("2", "+function=read", "+function=compute", "+thread=2$");
    KEEPS("", "+function=read", "+thread=2$");
    KEEPS("1", "+thread=1", "-function=<GC>");
    KEEPS("3", "+function=main", "-function=read", "-thread=worker");
    KEEPS("4", "-module=app", "-thread=1");
}

/* Sample 2 is at short:9 and collects garbage; 3 waits for the GIL; all are of process 7. */
static void test_more_subjects(void)
{
    KEEPS("12345", "+process=^7$");
    KEEPS("12345", "+process=read main");
    KEEPS("", "-process=main");
    KEEPS("2", "+line=^/lib/libm.so.6:9$");
    KEEPS("2", "+line=^short:9$");
    KEEPS("3", "+state=waiting for the GIL");
    KEEPS("1245", "+state=^running$");
    KEEPS("2", "+state=garbage");
    KEEPS("134", "-state=garbage", "-function=<GC>");
}

static void test_markers(void)
{
    KEEPS("12345", "-function=process", "-function=thread");
    KEEPS("5", "+function=<GC>");
    KEEPS("1", "+function=read");
}

/* What has no name or file fits no expression, not even one that fits everything. */
static void test_empty_texts(void)
{
    KEEPS("1235", "+thread=.*");
    KEEPS("4", "-thread=.*");
    KEEPS("1235", "+function=.*");
    KEEPS("1235", "+module=.*");
    KEEPS("", "+thread=^$");
}

static void test_letters(void)
{
    KEEPS("3", "+thread=^Gr..e$");
    KEEPS("3", "+thread=^Gr[\xc3\xa4\xc3\xb6]");
    KEEPS("", "+thread=^Gr[\xc3\xa4\xc3\xbc]");
}

/* Names that are no UTF-8 are looked at all the same. */
static void test_odd_bytes(void)
{
    cleanup(filter_deinit) struct filter filter = FILTER_INIT;
    cleanup(profile_deinit) struct profile profile;

    profile_init(&profile);
    add_process(&profile, "");
    add_sample(&profile, add_thread(&profile, "a\xff\xc3z"), STACK_EMPTY, 1, END_ROOT);
    add_rule(&filter, "+thread=z$");
    add_rule(&filter, "+thread=^b");
    tap_is_num((long long)count_kept(&profile, &filter), 1, "a name with odd bytes");
}

static void test_deep(void)
{
    cleanup(filter_deinit) struct filter filter = FILTER_INIT;
    cleanup(profile_deinit) struct profile profile;
    stack_id stack = STACK_EMPTY;
    uint32_t thread;

    profile_init(&profile);
    add_process(&profile, "");
    thread = add_thread(&profile, "deep");
    stack = push(&profile, stack, FRAME_PYTHON, "root", "/srv/app.py");
    for (int i = 0; i < 100000; i++)
        stack = push(&profile, stack, FRAME_PYTHON, "f", "/srv/app.py");
    add_sample(&profile, thread, stack, 1, END_ROOT);
    add_rule(&filter, "+function=^root$");
    tap_is_num((long long)count_kept(&profile, &filter), 1, "the root of 100,000 frames");
    add_rule(&filter, "-function=^f$");
    tap_is_num((long long)count_kept(&profile, &filter), 0, "a second rule");
}

static void is_refused(const char *text, const char *part)
{
    cleanup(filter_deinit) struct filter filter = FILTER_INIT;
    struct error why = ERROR_INIT;
    bool refused = filter_add(&filter, FILTER_EXCLUDE, text, &why) == ERR_INVALID;

    tap_ok(refused && filter.rules.length == 0, "'%s' is refused", text);
    tap_ok(strstr(why.message, part) && !strncmp(why.message, "--exclude needs ", 16), "%s",
           why.message);
}

static void test_refusals(void)
{
    is_refused("read", "module, function or line as WHAT, such as function=^read, not 'read'");
    is_refused("", "not ''");
    is_refused("=x", "not '=x'");
    is_refused("func=x", "not 'func=x'");
    is_refused("functions=x", "not 'functions=x'");
    is_refused("module=", "behind 'module=', such as module=read");
    is_refused("function=a(b", "lets a character stand for itself), not 'a(b'");
    is_refused("thread=[a", "not '[a'");
    is_refused("thread=a\\", "not 'a\\'");
    KEEPS("15", "+Thread=1");
}

/* A view that has been asked before says what a new one does. */
static void test_late_command(void)
{
    cleanup(filter_deinit) struct filter filter = FILTER_INIT;
    cleanup(profile_deinit) struct profile profile;
    struct view view;
    uint32_t thread;

    profile_init(&profile);
    add_process(&profile, "sh run.sh");
    thread = add_thread(&profile, "");
    add_sample(&profile, thread, STACK_EMPTY, 1, END_ROOT);
    profile.settled = 1;
    add_rule(&filter, "+process=late");
    show(&view, &profile, &filter);
    tap_is_num((long long)view.samples.length, 0, "the command line is another one yet");
    profile.processes.items[0].command = profile_string(&profile, "python3 late.py");
    add_sample(&profile, thread, STACK_EMPTY, 2, END_ROOT);
    profile.settled = 2;
    view_update(&view);
    tap_is_num((long long)view.samples.length, 2, "samples that had been left out come back");
    tap_is_num((long long)view.left_out, 0, "and are not counted as left out");
    tap_is_num((long long)count_kept(&profile, &filter), 2, "as in a new view");
    view_deinit(&view);
}

int main(void)
{
    test_subjects();
    test_several();
    test_more_subjects();
    test_markers();
    test_empty_texts();
    test_letters();
    test_odd_bytes();
    test_deep();
    test_late_command();
    test_refusals();
    return tap_done();
}
