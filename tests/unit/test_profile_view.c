/* SPDX-License-Identifier: MIT */
/* profile/view.h: folding, roots, filters of frames, deep stacks, names that come later. */
#include "pspy/profile/view.h"

#include "pspy/base/cleanup.h"
#include "unit/tap.h"

/* One letter a frame, of the class that it stands for. */
struct letter {
    char letter;
    enum frame_kind kind;
    enum fold_class class;
    const char *name;
};

static const struct letter letters[] = {
    {'s', FRAME_NATIVE, FOLD_START, "_start"},    {'m', FRAME_NATIVE, FOLD_MAIN, "main"},
    {'r', FRAME_INTERPRETER, FOLD_RUN, "run"},    {'a', FRAME_INTERPRETER, FOLD_AWAY, "way"},
    {'l', FRAME_INTERPRETER, FOLD_NAMED, "sort"}, {'p', FRAME_INTERPRETER, FOLD_PART, "sort"},
    {'d', FRAME_INTERPRETER, FOLD_PART, "dict"},  {'P', FRAME_PYTHON, FOLD_STAYS, "f"},
    {'L', FRAME_STDLIB, FOLD_STAYS, "g"},         {'n', FRAME_NATIVE, FOLD_STAYS, "numpy"},
    {'u', FRAME_INTERPRETER, FOLD_STAYS, "user"}, {'t', FRAME_MARKER, FOLD_STAYS, "thread"},
};
#define LETTERS (sizeof(letters) / sizeof(letters[0]))

static struct profile profile;
static frame_id frames[LETTERS];

/* The profile's first thread is 7 of process 7. */
static void begin_profile(void)
{
    struct profile_program program = {.parent = PROFILE_NONE};

    profile_init(&profile);
    program.process = profile_add_process(&profile, 7);
    program.command = profile_string(&profile, "python a.py");
    profile_add_program(&profile, &program);
    profile_add_thread(&profile, 0, 7);
}

static frame_id add_frame(enum frame_kind kind, const char *name, const char *file)
{
    struct frame_info info = {.kind = kind,
                              .name = profile_string(&profile, name),
                              .file = profile_string(&profile, file),
                              .short_file = profile_string(&profile, file)};

    return profile_frame(&profile, &info);
}

static void add_sample(stack_id stack, uint64_t time)
{
    struct sample sample = {
        .time = time, .weight = 1, .stack = stack, .end = END_GUESSED, .state = STATE_RUNNING};

    profile_add_sample(&profile, &sample);
}

/* "a;b (f.py:3)", root first. */
static void is_shown(const struct view *view, size_t sample, const char *wanted, const char *what)
{
    stack_id stack = view->samples.items[sample].stack;
    VEC(frame_id) path = VEC_INIT;
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;

    for (; stack.v != STACK_EMPTY.v; stack = view->stacks.items[stack.v].parent)
        vec_push(&path, view->stacks.items[stack.v].frame);
    for (size_t i = path.length; i-- > 0;) {
        view_label(view, path.items[i], &text);
        if (i)
            strbuf_add_char(&text, ';');
    }
    vec_deinit(&path);
    tap_is_str(text.length ? text.text : "", wanted, what);
}

/* ---- folding ---- */

static void make_letters(void)
{
    begin_profile();
    profile.facts.saw_python = true;
    for (size_t i = 0; i < LETTERS; i++) {
        char file[2] = {letters[i].letter, '\0'}; /* two letters are two frames, of one name too */
        struct frame_info info = {.kind = letters[i].kind,
                                  .fold = (uint8_t)letters[i].class,
                                  .name = profile_string(&profile, letters[i].name),
                                  .file = profile_string(&profile, file)};

        frames[i] = profile_frame(&profile, &info);
    }
}

static stack_id letter_stack(const char *text)
{
    stack_id stack = STACK_EMPTY;

    for (; *text; text++)
        for (size_t i = 0; i < LETTERS; i++)
            if (letters[i].letter == *text)
                stack = profile_stack(&profile, stack, frames[i]);
    return stack;
}

static void is_letters(const struct view *view, size_t sample, const char *wanted, const char *what)
{
    stack_id stack = view->samples.items[sample].stack;
    char got[64] = "";

    for (; stack.v != STACK_EMPTY.v; stack = view->stacks.items[stack.v].parent) {
        const struct view_frame *frame = view_frame(view, view->stacks.items[stack.v].frame);
        const char *text =
            frame->file.v ? view_text(view, frame->file) : view_text(view, frame->name);

        memmove(got + 1, got, strlen(got) + 1);
        got[0] = text[0];
    }
    tap_is_str(got, wanted, what);
}

static const struct {
    const char *before, *after, *what;
} cases[] = {
    {"smraPaalaa", "Pl", "what runs Python, calls and leads away goes"},
    {"smraPaPanPan", "PPnPn", "other modules' code stays, wherever it stands"},
    {"smraP", "P", "the time of the interpreter is its Python function's"},
    {"smraPaaa", "P", "that of its own functions, too"},
    {"smraPlaan", "Pln", "that of another module's stays there"},
    {"saaPl", "Pl", "an interpreter without main"},
    {"asaaPl", "Pl", "a start without a name"},
    {"tsaaP", "tP", "a thread's own root stays"},
    {"tsnP", "tsnP", "a thread that another module starts keeps its root"},
    {"smnaPl", "smnPl", "a program that holds Python keeps what is its own"},
    {"smaPl", "smPl", "its main as well, where that calls Python itself"},
    {"smuaPul", "smuPul", "and if Python is inside of it"},
    {"smn", "smn", "a thread without Python stays whole"},
    {"smraa", "smraa", "so does a stack in which nothing would be left"},
    {"ts", "ts", "or only a marker"},
    {"smrada", "d", "but not one with work that has a name"},
    {"Plp", "Pl", "the part of a function is that function"},
    {"Plapap", "Pl", "over others of its parts"},
    {"Pldpd", "Pldpd", "not over other work"},
    {"Pll", "Pll", "a function that calls itself has called itself"},
    {"PPP", "PPP", "as Python's have"},
    {"Lsn", "Lsn", "the C library's functions above Python stay"},
    {"", "", "no stack"},
};
#define CASES (sizeof(cases) / sizeof(cases[0]))

static void test_folding(void)
{
    struct view_options options = {.native_all = false};
    struct view view;

    make_letters();
    for (size_t i = 0; i < CASES; i++)
        add_sample(letter_stack(cases[i].before), i);
    view_init(&view, &profile, &options);
    view_update(&view);
    for (size_t i = 0; i < CASES; i++)
        is_letters(&view, i, cases[i].after, cases[i].what);
    tap_is_num((long long)view.samples.length, CASES, "no sample comes or goes");
    tap_is_num((long long)view.ends[END_GUESSED], CASES, "nor how its stack ended");
    view_deinit(&view);
    options.native_all = true;
    view_init(&view, &profile, &options);
    view_update(&view);
    for (size_t i = 0; i < CASES; i++)
        is_letters(&view, i, cases[i].before, "with native_all nothing folds");
    view_deinit(&view);
    profile_deinit(&profile);
}

static void test_deep_folding(void)
{
    struct view_options options = {.native_all = false};
    struct view view;
    stack_id stack = STACK_EMPTY;

    make_letters();
    for (size_t i = 0; i < 200000; i++)
        stack = profile_stack(&profile, stack, frames[i % 2 ? 3 : 7]); /* P, a */
    add_sample(stack, 1);
    view_init(&view, &profile, &options);
    view_update(&view);
    tap_is_num(view.stacks.items[view.samples.items[0].stack.v].depth, 100000,
               "deep stacks are folded as well");
    view_deinit(&view);
    profile_deinit(&profile);
}

/* ---- only one language ---- */

static const struct {
    const char *before, *python, *native;
} only[] = {
    {"smraPaln", "P", "ln"},
    {"smraP", "P", "[native]"},
    {"smn", "[", "smn"},
    {"tsn", "t[", "tsn"},
    {"PnPn", "PP", "nn"},
    {"P", "P", "["},
    {"", "", ""},
};
#define ONLY (sizeof(only) / sizeof(only[0]))

static void test_only(void)
{
    struct view_options options = {.python_only = true};
    struct view view;

    make_letters();
    for (size_t i = 0; i < ONLY; i++)
        add_sample(letter_stack(only[i].before), i);
    view_init(&view, &profile, &options);
    view_update(&view);
    for (size_t i = 0; i < ONLY; i++)
        is_letters(&view, i, only[i].python, "python_only");
    is_shown(&view, 2, "[native]", "a stack without Python frames");
    view_deinit(&view);
    options = (struct view_options){.native_only = true};
    view_init(&view, &profile, &options);
    view_update(&view);
    for (size_t i = 0; i < ONLY; i++)
        is_letters(&view, i, i == 1 ? "[" : only[i].native, "native_only");
    is_shown(&view, 5, "[Python]", "a stack without native frames");
    view_deinit(&view);
    profile_deinit(&profile);
}

/* ---- labels ---- */

static void shows(const struct view_options *options, const char *wanted, const char *what)
{
    struct view view;

    view_init(&view, &profile, options);
    view_update(&view);
    is_shown(&view, 0, wanted, what);
    view_deinit(&view);
}

static void test_labels(void)
{
    struct frame_info info = {.kind = FRAME_PYTHON, .line = 9, .first_line = 3, .column = 5};

    begin_profile();
    info.name = profile_string(&profile, "f");
    info.file = profile_string(&profile, "/srv/pkg/a.py");
    info.short_file = profile_string(&profile, "pkg/a.py");
    add_sample(profile_stack(&profile, STACK_EMPTY, profile_frame(&profile, &info)), 1);
    shows(&(struct view_options){.columns = false}, "f (pkg/a.py:9)", "the line that runs");
    shows(&(struct view_options){.columns = true}, "f (pkg/a.py:9:5)", "and its column");
    shows(&(struct view_options){.function_lines = true}, "f (pkg/a.py:3)", "the first line");
    shows(&(struct view_options){.no_lines = true}, "f (pkg/a.py)", "no line");
    shows(&(struct view_options){.full_filenames = true}, "f (/srv/pkg/a.py:9)", "the full path");
    shows(&(struct view_options){.threads = true}, "thread (7);f (pkg/a.py:9)", "a thread");
    profile.threads.items[0].name = profile_string(&profile, "Main");
    shows(&(struct view_options){.threads = true}, "thread (7): Main;f (pkg/a.py:9)", "its name");
    profile.facts.subprocesses = true;
    shows(&(struct view_options){.threads = true},
          "process 7:\"python a.py\";thread (7): Main;f (pkg/a.py:9)", "a process above it");
    profile.processes.items[0].rank = 2;
    profile.processes.items[0].host = profile_string(&profile, "node1");
    shows(&(struct view_options){.no_lines = true},
          "process 7 on node1:\"python a.py\";f (pkg/a.py)", "one rank alone is not told");
    profile_add_process(&profile, 8);
    shows(&(struct view_options){.no_lines = true},
          "rank 2, process 7 on node1:\"python a.py\";f (pkg/a.py)", "rank and host");
    profile_deinit(&profile);
}

/* ---- programs ---- */

/* Process 7 runs a, then by exec b; process 8 was met while it ran a. */
static void test_programs(void)
{
    struct profile_program program = {.parent = 0, .since = 20};
    struct sample sample = {.time = 40, .weight = 1, .thread = 1};
    struct view_options options = {.threads = false};
    struct view view;
    stack_id stack;

    begin_profile();
    profile.facts.subprocesses = true;
    stack = profile_stack(&profile, STACK_EMPTY, add_frame(FRAME_NATIVE, "f", ""));
    program.process = profile_add_process(&profile, 8);
    program.command = profile_string(&profile, "child");
    profile_add_program(&profile, &program);
    profile_add_thread(&profile, 1, 8);
    program = (struct profile_program){.process = 0,
                                       .parent = PROFILE_NONE,
                                       .since = 30,
                                       .command = profile_string(&profile, "b")};
    profile_add_program(&profile, &program);
    add_sample(stack, 10);
    add_sample(stack, 29);
    add_sample(stack, 30);
    sample.stack = stack;
    profile_add_sample(&profile, &sample);
    view_init(&view, &profile, &options);
    view_update(&view);
    is_shown(&view, 1, "process 7:\"python a.py\";f", "before the exec");
    is_shown(&view, 2, "process 7:\"b\";f", "from the exec on");
    is_shown(&view, 3, "process 7:\"python a.py\";process 8:\"child\";f",
             "a child keeps the parent that it was met under");
    view_deinit(&view);
    profile_deinit(&profile);
}

/* ---- states and time ---- */

static void test_states(void)
{
    struct sample sample = {.time = 5, .weight = 1, .state = STATE_BLOCKED, .call = 1};
    struct view_options options = {.states = true};
    struct view view;

    begin_profile();
    profile_add_sample(&profile, &sample); /* call 0 of x86-64 is read, of aarch64 io_setup */
    sample.state = STATE_GIL;
    sample.time = 6;
    profile_add_sample(&profile, &sample);
    sample.state = STATE_RUNNING;
    sample.call = 0;
    sample.time = 7;
    profile_add_sample(&profile, &sample);
    view_init(&view, &profile, &options);
    view_update(&view);
#ifdef __x86_64__
    is_shown(&view, 0, "[waiting in read]", "a call that waits");
#endif
    is_shown(&view, 1, "[waiting for the GIL]", "the GIL");
    is_shown(&view, 2, "", "a running thread");
    view_deinit(&view);
    options = (struct view_options){.from = 6, .to = 7};
    view_init(&view, &profile, &options);
    view_update(&view);
    tap_is_num((long long)view.samples.length, 1, "from is inclusive, to is not");
    tap_is_num((long long)view.samples.items[0].time, 6, "the sample in between");
    view_deinit(&view);
    profile_deinit(&profile);
}

/* ---- deep stacks ---- */

static void test_depth(void)
{
    struct view_options options = {.max_depth = 5};
    struct view view;

    make_letters();
    profile.facts.saw_python = false;
    add_sample(letter_stack("smraPLn"), 1);
    add_sample(letter_stack("smraP"), 2);
    view_init(&view, &profile, &options);
    view_update(&view);
    is_letters(&view, 0, "sm[PLn", "both ends of a deep stack");
    is_letters(&view, 1, "smraP", "one that is as deep as the limit");
    tap_is_num((long long)view.ends[END_TRUNCATED], 1, "which counts as truncated");
    view_deinit(&view);
    profile_deinit(&profile);
}

/* ---- a profile that grows ---- */

static void test_names(void)
{
    struct native_ref ref = {.is_return = true, .offset = 0x101};
    struct profile_module module = {.path = STRING_EMPTY};
    struct view_options options = {.threads = false};
    struct view view;
    frame_id address, names[2];

    begin_profile();
    module.path = profile_string(&profile, "/lib/libf.so");
    ref.module = profile_add_module(&profile, &module);
    address = profile_frame_native(&profile, &ref);
    add_sample(profile_stack(&profile, STACK_EMPTY, address), 1);
    profile.settled = 1;
    view_init(&view, &profile, &options);
    view_update(&view);
    is_shown(&view, 0, "libf.so+0x100", "an address without a name");
    names[0] = add_frame(FRAME_NATIVE, "outer", "f.c");
    names[1] = add_frame(FRAME_NATIVE, "inlined", "f.h");
    profile_name_frame(&profile, address, names, 2);
    view_update(&view);
    tap_is_num((long long)view.samples.length, 1, "the sample is there once");
    is_shown(&view, 0, "outer (f.c);inlined (f.h)", "names that come later");
    profile_name_frame(&profile, address, names, 1);
    view_update(&view);
    is_shown(&view, 0, "outer (f.c)", "and others after them");
    view_deinit(&view);
    profile_deinit(&profile);
}

static void test_growth(void)
{
    struct view_options options = {.threads = true};
    struct view view;
    stack_id one, two;

    begin_profile();
    one = profile_stack(&profile, STACK_EMPTY, add_frame(FRAME_PYTHON, "one", ""));
    view_init(&view, &profile, &options);
    view_update(&view);
    tap_is_num((long long)view.samples.length, 0, "nothing yet");
    add_sample(one, 1);
    profile.settled = 1;
    add_sample(one, 2);
    view_update(&view);
    tap_is_num((long long)view.samples.length, 2, "samples that are not settled are shown");
    tap_is_num((long long)profile_drop_samples(&profile, 1, 0), 1, "one is taken back");
    two = profile_stack(&profile, one, add_frame(FRAME_PYTHON, "two", ""));
    add_sample(two, 3);
    view_update(&view);
    tap_is_num((long long)view.samples.length, 2, "and another comes");
    is_shown(&view, 1, "thread (7);one;two", "which is shown");
    tap_is_num((long long)view.ends[END_GUESSED], 2, "counts follow");
    profile.threads.items[0].name = profile_string(&profile, "late");
    view_update(&view);
    is_shown(&view, 0, "thread (7): late;one", "a name of a thread that comes later");
    tap_is_num((long long)view.samples.length, 2, "with as many samples");
    view_deinit(&view);
    profile_deinit(&profile);
}

int main(void)
{
    test_folding();
    test_deep_folding();
    test_only();
    test_labels();
    test_programs();
    test_states();
    test_depth();
    test_names();
    test_growth();
    return tap_done();
}
