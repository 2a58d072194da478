/* SPDX-License-Identifier: MIT */
/*
 * Writes a made-up profile, for the browser tests: emit_profile CASE FORMAT PATH [--flame].
 * What each case holds is stated at its function; the tests repeat it as the truth.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "pspy/base/clock.h"
#include "pspy/output/format.h"
#include "pspy/profile/view.h"

#define TICK (10 * NS_PER_MS)

static frame_id add_frame(struct profile *profile, enum frame_kind kind, const char *name,
                          const char *file, uint32_t line)
{
    const char *slash = strrchr(file, '/');
    struct frame_info info = {
        .kind = kind,
        .name = profile_string(profile, name),
        .file = profile_string(profile, file),
        .short_file = profile_string(profile, slash ? slash + 1 : file),
        .line = line,
    };

    return profile_frame(profile, &info);
}

static stack_id push_text(struct profile *profile, stack_id parent, const char *name, size_t length)
{
    const char *clean = profile_text(profile, profile_string_n(profile, name, length));

    return profile_stack(profile, parent,
                         add_frame(profile, FRAME_PYTHON, clean, "/srv/app.py", 1));
}

static stack_id push(struct profile *profile, stack_id parent, const char *name)
{
    return push_text(profile, parent, name, strlen(name));
}

/* `count` samples of one tick each, the first one covering the tick that begins at `tick`. */
static void add_samples(struct profile *profile, uint32_t thread, stack_id stack, unsigned tick,
                        unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct sample sample = {
            .time = (tick + i + 1) * TICK, .weight = TICK, .thread = thread, .stack = stack};

        profile_add_sample(profile, &sample);
    }
}

/* Without a program of its own: these profiles have no roots. */
static uint32_t add_process(struct profile *profile, int pid, const char *command)
{
    uint32_t process = profile_add_process(profile, pid);

    profile->processes.items[process].command = profile_string(profile, command);
    return process;
}

static uint32_t add_main_thread(struct profile *profile)
{
    uint32_t thread = profile_add_thread(profile, add_process(profile, 10, "python3 app.py"), 10);

    profile->threads.items[thread].name = profile_string(profile, "MainThread");
    return thread;
}

/*
 * 300 ms, two threads. 10 "MainThread": 4 ticks main>work, 3 ticks main>work>inner, 10 ticks
 * nothing, 3 ticks main>idle. 11, without a name: 5 ticks nothing, 5 ticks main>inner.
 */
static void make_known(struct profile *profile)
{
    uint32_t first = add_main_thread(profile), second = profile_add_thread(profile, 0, 11);
    stack_id base = push(profile, STACK_EMPTY, "main"), work = push(profile, base, "work");

    add_samples(profile, first, work, 0, 4);
    add_samples(profile, first, push(profile, work, "inner"), 4, 3);
    add_samples(profile, second, push(profile, base, "inner"), 5, 5);
    add_samples(profile, first, push(profile, base, "idle"), 17, 3);
    profile->facts.duration = 30 * TICK;
}

static const char *const hostile_names[] = {
    "</script><script>document.title='owned'</script>",
    "<module>",
    "]]>",
    "a\"b'c&d",
    "semi;colon",
    "new\nline\ttab",
    "ctrl\x01\x02\x1b[31m\x7f",
    "nonchar\xef\xbf\xbe\xef\xbf\xbf",
    "invalid\xff\xfe\xc3(\xed\xa0\x80\xf5\x80\x80\x80",
    "cut short\xe2\x82",
    "rtl\xe2\x80\xaegpj.exe\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d",
    "\xe6\xbc\xa2\xe5\xad\x97\xe3\x81\xae\xe5\x90\x8d\xe5\x89\x8d",
    "\xf0\x9f\x90\x8d\xf0\x9f\x90\x8d",
    "operator<< <std::ostream, int>(int (&)[3])",
    "__proto__",
    "_ZN5hello5worldEv",
    "%s%n%d",
    "back\\slash",
    " ",
};

/* One sample for each hostile name, one with a NUL in it and one of 10,000 bytes; the thread and
 * the program have such names too. */
static void make_hostile(struct profile *profile)
{
    uint32_t thread = add_main_thread(profile);
    stack_id base = push(profile, STACK_EMPTY, "main");
    size_t count = sizeof(hostile_names) / sizeof(hostile_names[0]);
    char large[10001];
    unsigned tick = 0;

    for (size_t i = 0; i < count; i++)
        add_samples(profile, thread, push(profile, base, hostile_names[i]), tick++, 1);
    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    add_samples(profile, thread, push(profile, base, large), tick++, 1);
    add_samples(profile, thread, push_text(profile, base, "nul\0byte", 8), tick++, 1);
    profile->threads.items[thread].name = profile_string(profile, "\"<&\x01\xff;]]>");
    profile->facts.title = profile_string(profile, "python3 -c '</title></svg>]]>&\x01\xff\"'");
    profile->facts.duration = tick * TICK;
}

/* 9 ticks in a recursion 20,000 frames deep, each frame with its own line; 1 tick main>shallow. */
static void make_deep(struct profile *profile)
{
    uint32_t thread = add_main_thread(profile);
    stack_id base = push(profile, STACK_EMPTY, "main"), stack = base;

    for (uint32_t line = 2; line <= 20000; line++)
        stack = profile_stack(profile, stack,
                              add_frame(profile, FRAME_PYTHON, "recurse", "/srv/app.py", line));
    add_samples(profile, thread, stack, 0, 9);
    add_samples(profile, thread, push(profile, base, "shallow"), 9, 1);
    profile->facts.duration = 10 * TICK;
}

/* 3,000 threads in two processes, each with one tick main>work and named worker-N. */
static void make_threads(struct profile *profile)
{
    stack_id stack = push(profile, push(profile, STACK_EMPTY, "main"), "work");
    uint32_t processes[2] = {add_process(profile, 20, "python3 one.py"),
                             add_process(profile, 21, "python3 two.py")};

    for (int i = 0; i < 3000; i++) {
        uint32_t thread = profile_add_thread(profile, processes[i % 2], 1000 + i);
        char name[32];

        snprintf(name, sizeof(name), "worker-%d", i);
        profile->threads.items[thread].name = profile_string(profile, name);
        add_samples(profile, thread, stack, 0, 1);
    }
    profile->facts.subprocesses = true;
    profile->facts.duration = TICK;
}

/* 12,000 functions under main with one tick each, and big with 12,000. */
static void make_wide(struct profile *profile)
{
    uint32_t thread = add_main_thread(profile);
    stack_id base = push(profile, STACK_EMPTY, "main");

    for (unsigned i = 0; i < 12000; i++) {
        char name[32];

        snprintf(name, sizeof(name), "function_%05u", i);
        add_samples(profile, thread, push(profile, base, name), i, 1);
    }
    add_samples(profile, thread, push(profile, base, "big"), 12000, 12000);
    profile->facts.duration = 24000 * TICK;
}

static void make_empty(struct profile *profile)
{
    add_main_thread(profile);
    profile->facts.duration = 5 * TICK;
}

static const struct {
    enum frame_kind kind;
    const char *name, *file;
    uint32_t line;
} realistic[] = {
    {FRAME_PYTHON, "load_table", "/srv/report/tables.py", 41},
    {FRAME_PYTHON, "normalise", "/srv/report/tables.py", 88},
    {FRAME_PYTHON, "render_chart", "/srv/report/charts.py", 120},
    {FRAME_PYTHON, "<listcomp>", "/srv/report/charts.py", 131},
    {FRAME_PYTHON, "Report.build", "/srv/report/build.py", 67},
    {FRAME_STDLIB, "loads", "/usr/lib/python3.11/json/__init__.py", 346},
    {FRAME_STDLIB, "raw_decode", "/usr/lib/python3.11/json/decoder.py", 353},
    {FRAME_STDLIB, "sub", "/usr/lib/python3.11/re/__init__.py", 185},
    {FRAME_SITE, "DataFrame.groupby", "/usr/lib/python3/dist-packages/pandas/core/frame.py", 8252},
    {FRAME_SITE, "take_nd", "/usr/lib/python3/dist-packages/pandas/core/array_algos/take.py", 117},
    {FRAME_SITE, "Figure.draw", "/usr/lib/python3/dist-packages/matplotlib/figure.py", 3140},
    {FRAME_NATIVE, "DOUBLE_add_AVX2", "/usr/lib/python3/numpy/core/_multiarray_umath.so", 0},
    {FRAME_NATIVE, "std::vector<double, std::allocator<double> >::push_back(double&&)",
     "/srv/report/_fast.so", 0},
    {FRAME_NATIVE, "__memmove_avx_unaligned_erms", "/usr/lib/x86_64-linux-gnu/libc.so.6", 0},
    {FRAME_INTERPRETER, "_PyEval_EvalFrameDefault", "/usr/bin/python3.11", 0},
    {FRAME_INTERPRETER, "PyObject_Vectorcall", "/usr/bin/python3.11", 0},
};

/* A skewed choice: low indices are taken more often, as in real programs. */
static unsigned choose(struct rng *rng, unsigned count)
{
    unsigned a = (unsigned)(rng_next(rng) % count), b = (unsigned)(rng_next(rng) % count);

    return a < b ? a : b;
}

/* 20,000 samples of random stacks of plausible functions in three threads: to look at. */
static void make_realistic(struct profile *profile)
{
    struct rng rng = {1};
    uint32_t threads[3] = {add_main_thread(profile), profile_add_thread(profile, 0, 11),
                           profile_add_thread(profile, 0, 12)};
    stack_id base = profile_stack(profile, STACK_EMPTY,
                                  add_frame(profile, FRAME_PYTHON, "<module>", "/srv/main.py", 12));
    unsigned count = sizeof(realistic) / sizeof(realistic[0]);

    for (unsigned tick = 0; tick < 20000; tick++) {
        stack_id stack = base;
        unsigned at = 4;

        do {
            static const unsigned char callee[10] = {1, 1, 1, 1, 1, 1, 4, 4, 4, 7};

            at = (at * 5 + callee[rng_next(&rng) % 10]) % count;
            stack = profile_stack(profile, stack,
                                  add_frame(profile, realistic[at].kind, realistic[at].name,
                                            realistic[at].file, realistic[at].line));
        } while (rng_next(&rng) % 8);
        add_samples(profile, threads[choose(&rng, 3)], stack, tick, 1);
    }
    profile->facts.duration = 20000 * TICK;
    profile->facts.losses[LOSS_TICK_MISSED] = 17;
}

/* 1,000,000 samples of 20,000 stacks, 30 frames deep in the mean, 3,000 functions: to measure. */
static void make_huge(struct profile *profile)
{
    struct rng rng = {2};
    uint32_t thread = add_main_thread(profile);
    VEC(stack_id) stacks = VEC_INIT;

    while (stacks.length < 20000) {
        stack_id stack = STACK_EMPTY;
        unsigned depth = 10 + (unsigned)(rng_next(&rng) % 40);

        for (unsigned i = 0; i < depth; i++) {
            char name[32];

            snprintf(name, sizeof(name), "function_%u", i * 60 + choose(&rng, i < 20 ? 3 : 60));
            stack = push(profile, stack, name);
        }
        vec_push(&stacks, stack);
    }
    for (unsigned tick = 0; tick < 1000000; tick++)
        add_samples(profile, thread, stacks.items[choose(&rng, 20000)], tick, 1);
    profile->facts.duration = 1000000 * TICK;
    vec_deinit(&stacks);
}

static const struct {
    const char *name;
    void (*make)(struct profile *profile);
} cases[] = {
    {"known", make_known}, {"hostile", make_hostile}, {"deep", make_deep},
    {"wide", make_wide},   {"threads", make_threads}, {"realistic", make_realistic},
    {"huge", make_huge},   {"empty", make_empty},
};

static bool make_case(struct profile *profile, const char *name)
{
    profile->facts.rate = 100;
    profile->facts.title = profile_string(profile, "python3 app.py --input data.csv");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (strcmp(cases[i].name, name))
            continue;
        cases[i].make(profile);
        return true;
    }
    return false;
}

static enum err write_view(const struct view *view, const struct output_format *format,
                           const char *path, const struct output_options *options,
                           struct error *why)
{
    struct sink *sink;
    enum err code = sink_open(path, output_path_is_gzip(path), &sink, why);

    if (code)
        return code;
    code = format->write(view, options, sink, why);
    if (code) {
        sink_abort(sink);
        return code;
    }
    return sink_commit(sink, why);
}

static enum err write_profile(const struct profile *profile, const struct output_format *format,
                              const char *path, const struct output_options *options,
                              struct error *why)
{
    struct view_options all = {.native_all = true};
    struct view view;
    enum err code;

    view_init(&view, profile, &all);
    view_update(&view);
    code = write_view(&view, format, path, options, why);
    view_deinit(&view);
    return code;
}

int main(int argc, char **argv)
{
    struct output_options options = {.flame = argc > 4 && !strcmp(argv[4], "--flame")};
    struct error why = ERROR_INIT;
    struct profile profile;
    int status = 2;

    signal(SIGPIPE, SIG_IGN);
    profile_init(&profile);
    if (argc < 4 || !output_format_by_name(argv[2]) || !make_case(&profile, argv[1]))
        fprintf(stderr, "usage: emit_profile CASE FORMAT PATH [--flame]\n");
    else if (write_profile(&profile, output_format_by_name(argv[2]), argv[3], &options, &why))
        fprintf(stderr, "emit_profile: %s\n", why.message);
    else
        status = 0;
    profile_deinit(&profile);
    return status;
}
