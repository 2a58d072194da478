/* SPDX-License-Identifier: MIT */
/*
 * Samples a living interpreter while what is read of it is damaged:
 * fuzz_python PID SEED ROUNDS [FIRST_ROUND]. A round opens the interpreter, samples it undamaged,
 * damaged and undamaged again. Nothing may crash, loop, read or allocate without bound, whatever
 * the memory says; damage that only hides memory must be forgotten when it is over. A round depends
 * on its number and the seed only, so a failing one can be repeated alone.
 *
 * The threads of the interpreter must all be blocked. Prints one JSON object: how often what
 * happened, and the sample without damage; or exits with 1 and a sentence.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "damage.h"
#include "pspy/base/cleanup.h"
#include "pspy/python/python.h"
#include "pspy/python/ufuncs.h"
#include "pspy/target/live.h"

#define FRAME_LIMIT     100000 /* as the sampler's */
#define GROUPS          8      /* threads that are walked in a sample */
#define ROUND_SECONDS   120
#define HEALING_SAMPLES 20

/* What one step of a sample may take: calls, bytes read, bytes allocated, bytes at once. */
static const struct bound {
    const char *step;
    struct damage_counts most;
} bounds[] = {
    {"open", {100, 1 << 20, 4 << 20, 1 << 20}},
    {"threads", {300000, 512 << 20, 64 << 20, 32 << 20}},
    {"walk", {20000, 1 << 30, 512 << 20, 256 << 20}},
    {"names of code", {20000, 256 << 20, 256 << 20, 64 << 20}},
    {"names of threads", {60000, 256 << 20, 256 << 20, 64 << 20}},
    {"loops", {100000, 512 << 20, 256 << 20, 64 << 20}},
};
enum step { OPEN, THREADS, WALK, CODES, NAMES, LOOPS, STEPS };

struct fuzzer {
    struct target target;
    struct module_list modules;
    struct address_space space;
    struct python python;
    struct python_view views[GROUPS];
    struct python_stack stack;
    struct strbuf clean; /* a sample without damage, as text */
    uint64_t random;
    size_t rounds, openings, opened, ends[PYTHON_TORN + 1], known, unknown;
    size_t healed, slowest; /* the most samples until then */
    struct damage_counts largest[STEPS];
};

static unsigned long round_now;

__attribute__((format(printf, 1, 2))) static _Noreturn void fail(const char *format, ...)
{
    va_list args;

    fprintf(stderr, "round %lu: ", round_now);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static void on_alarm(int number)
{
    (void)number;
    fail("not over after %d seconds", ROUND_SECONDS);
}

static uint64_t draw(struct fuzzer *fuzzer, uint64_t limit)
{
    return damage_random(&fuzzer->random) % limit;
}

/* ---- Bounds ---- */

static void hold_bound(const char *step, const char *what, size_t used, size_t most, size_t *ret)
{
    if (used > most)
        fail("%s: %zu %s, more than %zu", step, used, what, most);
    if (used > *ret)
        *ret = used;
}

/* Ends a step: what it took must be within its bounds. */
static void end_step(struct fuzzer *fuzzer, enum step step)
{
    struct damage_counts used = damage_take_counts(), *largest = &fuzzer->largest[step];
    const struct damage_counts *most = &bounds[step].most;
    const char *name = bounds[step].step;

    hold_bound(name, "calls", used.calls, most->calls, &largest->calls);
    hold_bound(name, "bytes read", used.bytes, most->bytes, &largest->bytes);
    hold_bound(name, "bytes allocated", used.allocated, most->allocated, &largest->allocated);
    hold_bound(name, "bytes in one allocation", used.largest, most->largest, &largest->largest);
}

/* ---- One sample ---- */

static bool is_utf8(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;

    while (*at) {
        unsigned more = *at < 0x80 ? 0 : *at < 0xc2 ? 9 : *at < 0xe0 ? 1 : *at < 0xf0 ? 2 : 3;

        if (more == 9 || *at > 0xf4)
            return false;
        for (at++; more; more--)
            if ((*at++ & 0xc0) != 0x80)
                return false;
    }
    return true;
}

static void take_frame(struct fuzzer *fuzzer, const struct python_frame *frame, struct strbuf *ret)
{
    struct line_entry line;
    struct code_info info;

    if (frame->code_index == CODE_UNKNOWN) {
        fuzzer->unknown++;
        return;
    }
    fuzzer->known++;
    info = python_code_info(&fuzzer->python, frame->code_index);
    line = python_code_line(&fuzzer->python, &fuzzer->target, frame);
    if (!is_utf8(info.qualname) || !is_utf8(info.file))
        fail("a name that is no UTF-8");
    if (strlen(info.qualname) > 20000 || strlen(info.file) > 20000)
        fail("a name without end");
    if (ret)
        strbuf_addf(ret, "%s %s:%u:%u\n", info.qualname, info.file, line.line, line.column);
}

static void take_thread(struct fuzzer *fuzzer, size_t group, const struct python_thread *states,
                        size_t count, bool is_stopped, struct strbuf *ret)
{
    struct python_walk how = {
        .is_stopped = is_stopped, .wants_anchors = draw(fuzzer, 2), .limit = FRAME_LIMIT};
    struct python_stack *stack = &fuzzer->stack;

    python_walk(&fuzzer->python, &fuzzer->target, states, count, &how, &fuzzer->views[group],
                stack);
    end_step(fuzzer, WALK);
    if (stack->end > PYTHON_TORN)
        fail("no end that there is: %d", stack->end);
    fuzzer->ends[stack->end]++;
    python_resolve(&fuzzer->python, &fuzzer->target, stack);
    vec_each (frame, &stack->frames)
        take_frame(fuzzer, frame, ret);
    end_step(fuzzer, CODES);
}

static void take_names(struct fuzzer *fuzzer, struct strbuf *ret)
{
    struct python_names names = {VEC_INIT};

    python_thread_names(&fuzzer->python, &fuzzer->target, &names);
    end_step(fuzzer, NAMES);
    if (names.names.length != fuzzer->python.threads.length)
        fail("%zu names of %zu threads", names.names.length, fuzzer->python.threads.length);
    vec_each (name, &names.names) {
        if (!is_utf8(*name))
            fail("a thread's name that is no UTF-8");
        if (ret)
            strbuf_addf(ret, "%s\n", *name);
    }
    python_names_deinit(&names);
}

static void take_loops(struct fuzzer *fuzzer, struct strbuf *ret)
{
    struct ufunc_loops loops = {VEC_INIT, TABLE_INIT};

    ufunc_loops_read(&fuzzer->python, &fuzzer->space, &fuzzer->target, &loops);
    end_step(fuzzer, LOOPS);
    vec_each (loop, &loops.loops) {
        if (loop->name && strlen(loop->name) > 1000)
            fail("a loop's name without end");
        if (ret)
            strbuf_addf(ret, "%s\n", loop->name ? loop->name : "-");
    }
    ufunc_loops_deinit(&loops);
}

/* Appends the sample as text, if asked for. */
static void take_sample(struct fuzzer *fuzzer, bool is_stopped, bool with_names, struct strbuf *ret)
{
    struct python *python = &fuzzer->python;
    const struct python_thread *states;
    bool holds;

    python_refresh_threads(python, &fuzzer->target, true);
    if (draw(fuzzer, 2))
        python_check_round(python, &fuzzer->target);
    python_begin_round(python, draw(fuzzer, 2));
    end_step(fuzzer, THREADS);
    for (size_t i = 0, group = 0, count; i < python->threads.length && group < GROUPS; group++) {
        count = python_find_thread(python, python->threads.items[i].tid, &states);
        if (count == 0)
            fail("a thread that is listed is not found");
        python_waits_for_gil(python, states, draw(fuzzer, UINT64_MAX));
        python_holds_gil(python, &fuzzer->target, states, &holds);
        take_thread(fuzzer, group, states, count, is_stopped, ret);
        i += count;
    }
    if (with_names) {
        take_names(fuzzer, ret);
        take_loops(fuzzer, ret);
    }
}

/* ---- Rounds ---- */

static void draw_plan(struct fuzzer *fuzzer, size_t calls, struct damage_plan *ret)
{
    static const uint32_t chances[] = {1, 3, 10, 40, 200, 1000, 5000};
    static const size_t windows[] = {1, 2, 5, 20, SIZE_MAX, SIZE_MAX, SIZE_MAX};
    uint64_t kind = draw(fuzzer, 8);

    *ret = (struct damage_plan){.seed = draw(fuzzer, UINT64_MAX),
                                .first_call = draw(fuzzer, calls + 1),
                                .calls = windows[draw(fuzzer, 7)],
                                .is_fickle = draw(fuzzer, 4) == 0,
                                .is_noise = kind == 0,
                                .is_gone = kind == 1 && draw(fuzzer, 8) == 0};
    if (draw(fuzzer, 4) == 0)
        ret->first_call = 0;
    if (kind != 1)
        ret->word_chance = chances[draw(fuzzer, 7)];
    if (kind == 1 || kind == 2)
        ret->page_chance = chances[draw(fuzzer, 7)];
    if (kind == 1 || kind == 3)
        ret->call_chance = chances[draw(fuzzer, 7)];
}

static bool open_python(struct fuzzer *fuzzer)
{
    struct error why;
    enum err err = python_open(&fuzzer->space, &fuzzer->target, &fuzzer->python, &why);

    end_step(fuzzer, OPEN);
    return err == ERR_OK;
}

static void close_python(struct fuzzer *fuzzer)
{
    python_close(&fuzzer->python);
    for (size_t i = 0; i < GROUPS; i++) {
        python_view_deinit(&fuzzer->views[i]);
        fuzzer->views[i] = (struct python_view){0};
    }
}

/* The first line that differs. */
static void fail_difference(const char *now, const char *wanted)
{
    size_t same = 0, line = 0;

    for (; now[same] && now[same] == wanted[same]; same++)
        if (wanted[same] == '\n')
            line = same + 1;
    fail("after the damage: %.200s ... instead of: %.200s", now + line, wanted + line);
}

/* Memory that was hidden for a while leaves no trace. Where frames lie must be learnt anew. */
static void check_healed(struct fuzzer *fuzzer, bool is_stopped)
{
    cleanup(strbuf_deinit) struct strbuf now = STRBUF_INIT;

    for (size_t samples = 1; samples <= HEALING_SAMPLES; samples++) {
        strbuf_truncate(&now, 0);
        take_sample(fuzzer, is_stopped, true, &now);
        if (strcmp(now.text, fuzzer->clean.text) == 0) {
            fuzzer->healed++;
            if (samples > fuzzer->slowest)
                fuzzer->slowest = samples;
            return;
        }
    }
    fail_difference(now.text, fuzzer->clean.text);
}

/* Everything from the first call on: the table of offsets too. */
static void damage_opening(struct fuzzer *fuzzer)
{
    struct damage_plan plan;

    draw_plan(fuzzer, 3, &plan);
    fuzzer->openings++;
    damage_begin(&plan);
    if (open_python(fuzzer)) {
        fuzzer->opened++;
        take_sample(fuzzer, draw(fuzzer, 2), true, NULL);
        damage_end();
        take_sample(fuzzer, draw(fuzzer, 2), true, NULL);
        close_python(fuzzer);
    }
    damage_end();
}

static void damage_samples(struct fuzzer *fuzzer)
{
    bool is_stopped = draw(fuzzer, 2), starts_clean = draw(fuzzer, 2);
    struct damage_plan plan;

    if (!open_python(fuzzer))
        fail("the interpreter cannot be opened");
    if (starts_clean)
        take_sample(fuzzer, is_stopped, false, NULL);
    draw_plan(fuzzer, starts_clean ? 30 : 100, &plan);
    damage_begin(&plan);
    for (uint64_t count = 1 + draw(fuzzer, 3); count > 0; count--)
        take_sample(fuzzer, is_stopped, true, NULL);
    damage_end();
    if (!plan.word_chance && !plan.is_noise)
        check_healed(fuzzer, is_stopped);
    else
        take_sample(fuzzer, draw(fuzzer, 2), true, NULL);
    close_python(fuzzer);
}

static void run_round(struct fuzzer *fuzzer, uint64_t seed)
{
    fuzzer->random = (seed * 1000003 + round_now) * 0x9e3779b97f4a7c15ull | 1;
    damage_random(&fuzzer->random);
    alarm(ROUND_SECONDS);
    fuzzer->rounds++;
    if (draw(fuzzer, 4) == 0)
        damage_opening(fuzzer);
    else
        damage_samples(fuzzer);
}

static void open_target(struct fuzzer *fuzzer, int pid)
{
    struct error why;

    if (target_open(pid, &fuzzer->target, &why) != ERR_OK)
        fail("%s", why.message);
    address_space_init(&fuzzer->space, &fuzzer->modules);
    if (address_space_refresh(&fuzzer->space, &fuzzer->target) != ERR_OK)
        fail("no mappings");
    if (python_open(&fuzzer->space, &fuzzer->target, &fuzzer->python, &why) != ERR_OK)
        fail("%s", why.message);
}

/* The sample that all others are compared with. */
static void sample_undamaged(struct fuzzer *fuzzer)
{
    fuzzer->random = 1;
    damage_take_counts();
    damage_learn();
    for (int i = 0; i < HEALING_SAMPLES; i++) {
        strbuf_truncate(&fuzzer->clean, 0);
        take_sample(fuzzer, true, true, &fuzzer->clean);
    }
    close_python(fuzzer);
}

static void print_json_text(const char *text)
{
    putchar('"');
    for (; *text; text++)
        if (*text == '\n')
            fputs("\\n", stdout);
        else if (*text != '"' && *text != '\\')
            putchar(*text);
    putchar('"');
}

static void print_results(const struct fuzzer *fuzzer)
{
    static const char *const names[] = {"root", "truncated", "unreadable", "torn"};

    printf("{\"rounds\": %zu, \"openings\": %zu, \"opened\": %zu, \"healed\": %zu, \"slowest\": "
           "%zu, \"known\": %zu, "
           "\"unknown\": %zu, ",
           fuzzer->rounds, fuzzer->openings, fuzzer->opened, fuzzer->healed, fuzzer->slowest,
           fuzzer->known, fuzzer->unknown);
    for (size_t i = 0; i <= PYTHON_TORN; i++)
        printf("\"%s\": %zu, ", names[i], fuzzer->ends[i]);
    for (size_t i = 0; i < STEPS; i++)
        printf("\"%s\": [%zu, %zu, %zu, %zu], ", bounds[i].step, fuzzer->largest[i].calls,
               fuzzer->largest[i].bytes, fuzzer->largest[i].allocated, fuzzer->largest[i].largest);
    printf("\"clean\": ");
    print_json_text(fuzzer->clean.text);
    printf("}\n");
}

int main(int argc, char **argv)
{
    static struct fuzzer fuzzer;
    unsigned long first;

    if (argc < 4) {
        fputs("usage: fuzz_python PID SEED ROUNDS [FIRST_ROUND]\n", stderr);
        return 2;
    }
    signal(SIGALRM, on_alarm);
    open_target(&fuzzer, (int)strtol(argv[1], NULL, 10));
    strbuf_init(&fuzzer.clean);
    sample_undamaged(&fuzzer);
    first = argc > 4 ? strtoul(argv[4], NULL, 10) : 0;
    for (round_now = first; round_now < first + strtoul(argv[3], NULL, 10); round_now++)
        run_round(&fuzzer, strtoul(argv[2], NULL, 10));
    print_results(&fuzzer);
    strbuf_deinit(&fuzzer.clean);
    python_stack_deinit(&fuzzer.stack);
    address_space_deinit(&fuzzer.space);
    module_list_deinit(&fuzzer.modules);
    target_close(&fuzzer.target);
    return 0;
}
