/* SPDX-License-Identifier: MIT */
/* profile/join.h: what is stored once, times on one axis, facts of the whole, what is refused. */
#include "pspy/profile/join.h"

#include "pspy/base/cleanup.h"
#include "pspy/profile/view.h"
#include "unit/tap.h"

#define SECOND 1000000000ull
#define START  (1700000000 * SECOND)

/* A recording of one process with one thread, whose samples run f, f called by main, and an address
 * of libx.so. */
static void make(struct profile *profile, int pid, const char *host, uint64_t start)
{
    struct profile_program program = {.parent = PROFILE_NONE};
    struct profile_module module = {.flags = 0};

    profile_init(profile);
    profile->facts = (struct recording_facts){.start_wall = start,
                                              .duration = 4 * SECOND,
                                              .rate = 100,
                                              .ticks = 400,
                                              .end = RECORDING_EXITED,
                                              .gil = true};
    profile->facts.losses[LOSS_TORN] = 3;
    profile->facts.host = profile_string(profile, host);
    profile->facts.title = profile_string(profile, "python a.py");
    program.process = profile_add_process(profile, pid);
    program.command = profile_string(profile, "python a.py");
    profile_add_program(profile, &program);
    profile_add_thread(profile, 0, pid);
    module.path = profile_string(profile, "/lib/libx.so");
    module.build_id = profile_string(profile, "c0ffee");
    profile_add_module(profile, &module);
}

static frame_id function(struct profile *profile, const char *name)
{
    struct frame_info info = {.kind = FRAME_PYTHON,
                              .name = profile_string(profile, name),
                              .file = profile_string(profile, "/a.py")};

    return profile_frame(profile, &info);
}

static void add(struct profile *profile, uint64_t time, stack_id stack)
{
    struct sample sample = {.time = time, .weight = SECOND / 100, .stack = stack};

    profile_add_sample(profile, &sample);
    profile->settled = profile->samples.length;
}

static stack_id call(struct profile *profile, stack_id caller, const char *name)
{
    return profile_stack(profile, caller, function(profile, name));
}

static stack_id address(struct profile *profile, uint32_t module, uint64_t offset)
{
    struct native_ref ref = {.module = module, .offset = offset};

    return profile_stack(profile, STACK_EMPTY, profile_frame_native(profile, &ref));
}

static enum err join_all(struct profile *into, const struct profile *const *from, size_t count,
                         struct error *why)
{
    struct join *join = join_create(into);
    enum err err = ERR_OK;

    for (size_t i = 0; i < count && !err; i++) {
        struct join_source source = {.path = i ? "b.pspy" : "a.pspy", .rank = (int)i};

        err = join_add(join, from[i], &source, why);
    }
    if (err)
        join_destroy(join);
    else
        join_finish(join);
    return err;
}

/* "0:f 500:g": milliseconds and the innermost function of each sample. */
static void samples_are(const struct profile *profile, const char *wanted, const char *what)
{
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;

    vec_each (sample, &profile->samples) {
        frame_id frame = profile->stacks.items[sample->stack.v].frame;

        strbuf_addf(&text, "%s%llu:%s", text.length ? " " : "",
                    (unsigned long long)(sample->time / 1000000),
                    profile_text(profile, profile_frame_info(profile, frame)->name));
    }
    tap_is_str(text.text, wanted, what);
}

static void test_times(void)
{
    struct profile a, b, into;
    const struct profile *const both[] = {&a, &b};

    make(&a, 12, "left", START + SECOND);
    make(&b, 12, "right", START);
    add(&a, 0, call(&a, STACK_EMPTY, "a0"));
    add(&a, SECOND, call(&a, STACK_EMPTY, "a1"));
    add(&b, SECOND / 2, call(&b, STACK_EMPTY, "b0"));
    add(&b, SECOND, call(&b, STACK_EMPTY, "b1"));
    add(&b, 3 * SECOND, call(&b, STACK_EMPTY, "b2"));
    profile_init(&into);
    tap_ok(!join_all(&into, both, 2, NULL), "two hosts are joined");
    samples_are(&into, "500:b0 1000:a0 1000:b1 2000:a1 3000:b2",
                "the later recording's samples are shifted by its later start");
    tap_is_num((long long)into.facts.start_wall, (long long)START, "the earliest start");
    tap_is_num((long long)into.facts.duration, (long long)(5 * SECOND), "the span");
    tap_is_num((long long)into.settled, 5, "all samples are settled");
    tap_is_num((long long)into.programs.items[0].since, 0, "programs are in the order of time");
    tap_is_num((long long)into.programs.items[1].since, (long long)SECOND, "and shifted");
    tap_is_num(into.programs.items[0].process, 1, "the second recording's process began first");
    tap_is_str(profile_text(&into, into.facts.host), "", "of two hosts none is the recording's");
    tap_is_str(profile_text(&into, into.processes.items[0].host), "left", "a process has its host");
    tap_is_str(profile_text(&into, into.processes.items[1].host), "right", "the other one's");
    tap_is_num(into.processes.items[1].rank, 1, "the rank is the argument's");
    tap_is_num(into.threads.items[1].process, 1, "threads stay their processes'");
    profile_deinit(&a);
    profile_deinit(&b);
    profile_deinit(&into);
}

/* The roots that a view puts above the samples tell whose they are. */
static void test_roots(void)
{
    struct profile a, b, into;
    const struct profile *const both[] = {&a, &b};
    struct view_options options = {.threads = false};
    struct view view;
    cleanup(strbuf_deinit) struct strbuf label = STRBUF_INIT;
    stack_id root;

    make(&a, 12, "left", START);
    make(&b, 12, "right", START);
    a.processes.items[0].rank = 3;
    add(&a, 0, call(&a, STACK_EMPTY, "f"));
    add(&b, SECOND, call(&b, STACK_EMPTY, "f"));
    profile_init(&into);
    tap_ok(!join_all(&into, both, 2, NULL), "two ranks are joined");
    view_init(&view, &into, &options);
    view_update(&view);
    for (size_t i = 0; i < view.samples.length; i++) {
        root = view.stacks.items[view.samples.items[i].stack.v].parent;
        view_label(&view, view.stacks.items[root.v].frame, &label);
        strbuf_add_char(&label, ';');
    }
    tap_is_str(label.text,
               "rank 3, process 12 on left:\"python a.py\";"
               "rank 1, process 12 on right:\"python a.py\";",
               "each sample stands below its own process");
    view_deinit(&view);
    profile_deinit(&a);
    profile_deinit(&b);
    profile_deinit(&into);
}

static void name_address(struct profile *profile, stack_id stack, const char *name)
{
    frame_id names[1] = {function(profile, name)};

    profile_name_frame(profile, profile->stacks.items[stack.v].frame, names, 1);
}

static void test_stored_once(void)
{
    struct profile a, b, into;
    const struct profile *const both[] = {&a, &b};
    struct profile_module jit = {.flags = MODULE_JIT};
    stack_id stack;

    make(&a, 1, "here", START);
    make(&b, 2, "here", START);
    b.processes.items[0].rank = 7;
    function(&b, "only here, so that numbers differ");
    add(&a, 0, call(&a, call(&a, STACK_EMPTY, "main"), "f"));
    add(&b, 0, call(&b, call(&b, STACK_EMPTY, "main"), "f"));
    add(&a, 1, address(&a, 0, 0x10));
    stack = address(&b, 0, 0x10);
    name_address(&b, stack, "named");
    add(&b, 1, stack);
    jit.path = profile_string(&a, "/tmp/perf.map");
    stack = address(&a, profile_add_module(&a, &jit), 0x10);
    name_address(&a, stack, "compiled a");
    add(&a, 2, stack);
    jit.path = profile_string(&b, "/tmp/perf.map");
    stack = address(&b, profile_add_module(&b, &jit), 0x10);
    name_address(&b, stack, "compiled b");
    add(&b, 2, stack);
    profile_init(&into);
    tap_ok(!join_all(&into, both, 2, NULL), "two processes of a host are joined");
    tap_is_num(into.samples.items[0].stack.v, into.samples.items[1].stack.v, "an equal stack");
    tap_is_num(into.samples.items[2].stack.v, into.samples.items[3].stack.v, "an equal address");
    tap_ok(profile_frame_names(&into, into.stacks.items[into.samples.items[2].stack.v].frame),
           "what one recording knows of an address names the other one's");
    tap_ok(into.samples.items[4].stack.v != into.samples.items[5].stack.v,
           "code made at run time is each run's own");
    tap_is_num((long long)into.modules.length, 3, "a module with a build id is stored once");
    tap_is_num(into.processes.items[1].rank, 7, "a process's own rank stays");
    tap_is_str(profile_text(&into, into.facts.host), "here", "the host that all have");
    profile_deinit(&a);
    profile_deinit(&b);
    profile_deinit(&into);
}

static void test_facts(void)
{
    struct profile a, b, into;
    const struct profile *const both[] = {&a, &b};

    make(&a, 1, "here", START);
    make(&b, 2, "here", START);
    b.facts.rate = 250;
    b.facts.end = RECORDING_CUT_OFF;
    b.facts.saw_python = true;
    b.facts.gil = false;
    b.facts.python = profile_string(&b, "3.12.1");
    profile_init(&into);
    tap_ok(!join_all(&into, both, 2, NULL), "recordings without samples are joined");
    tap_is_num((long long)into.facts.ticks, 800, "ticks are summed");
    tap_is_num((long long)profile_lost(&into), 6, "so are losses");
    tap_is_num((long long)into.facts.rate, 250, "the rate is the largest");
    tap_is_num(into.facts.end, RECORDING_CUT_OFF, "one that is cut off");
    tap_ok(into.facts.saw_python && into.facts.subprocesses && !into.facts.gil, "what was seen");
    tap_is_str(profile_text(&into, into.facts.python), "3.12.1", "the Python that is known");
    tap_is_str(profile_text(&into, into.facts.title), "python a.py (2 recordings)", "the title");
    profile_deinit(&a);
    profile_deinit(&b);
    profile_deinit(&into);
}

/* `says` is part of the sentence. */
static void is_refused(const struct profile *a, const struct profile *b, const char *says,
                       const char *what)
{
    const struct profile *const both[] = {a, b};
    struct profile into;
    struct error why = ERROR_INIT;

    profile_init(&into);
    tap_ok(join_all(&into, both, 2, &why) == ERR_INVALID && strstr(why.message, says), "%s", what);
    tap_is_num((long long)into.processes.length, 1, "and nothing of it is taken in");
    profile_deinit(&into);
}

static void test_refused(void)
{
    struct profile a, b, unknown, counted, into;
    const struct profile *const both[] = {&unknown, &unknown};

    make(&a, 1, "here", START);
    make(&b, 1, "here", START + 1);
    make(&unknown, 1, "", 0);
    make(&counted, 1, "", 0);
    counted.facts.is_counted = true;
    is_refused(&a, &a, "the same recording", "a recording with itself");
    is_refused(&a, &unknown, "does not say when", "one that does not know its start");
    is_refused(&unknown, &a, "says when", "one that does, after one that does not");
    is_refused(&a, &counted, "only counts", "one that counts samples with one that has times");
    profile_init(&into);
    tap_ok(!join_all(&into, both, 2, NULL), "two that do not know their start begin at once");
    tap_is_num((long long)into.facts.duration, (long long)(4 * SECOND), "at 0");
    profile_deinit(&into);
    profile_init(&into);
    tap_ok(!join_all(&into, (const struct profile *const[]){&a, &b}, 2, NULL),
           "a pid that comes again is another run");
    profile_deinit(&into);
    profile_deinit(&a);
    profile_deinit(&b);
    profile_deinit(&unknown);
    profile_deinit(&counted);
}

int main(void)
{
    test_times();
    test_roots();
    test_stored_once();
    test_facts();
    test_refused();
    return tap_done();
}
