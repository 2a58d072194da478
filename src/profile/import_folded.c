/* SPDX-License-Identifier: MIT */
/*
 * Folded stacks, a line each: frames from the root on with ";" between them, a space, a number.
 * Nothing says which tool wrote a line, so each line tells by itself:
 *
 *   process 9:"cmd";thread (9): main;f (a.py:3);g (b.py:9) 12   pspy and py-spy, with -t and -s
 *   python3-9/10;_start;main;sys_read_[k] 12                    stackcollapse-perf.pl --tid
 *   P9;T0:10;/srv/a.py:f:3;/srv/b.py:g:9 20119                  Austin, with lines "# mode: wall"
 *
 * Lines of Austin's samples come tick by tick, a process's threads in each with the same time since
 * the process's tick before: that is how ticks are told apart. Other lines are in no order.
 */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "import_internal.h"
#include "pspy/base/cleanup.h"
#include "pspy/base/clock.h"

#define LINE_LARGEST  (64u << 20)
#define ROOTS_LARGEST 64   /* processes above a thread */
#define CHECK_EVERY   4096 /* frames, between two looks at what is held */

/* A process's time so far. */
struct clock {
    uint64_t now, weight; /* end and length of the last tick */
    uint32_t tick;        /* its number; 0: there was none */
};

struct folded {
    struct importer *importer;
    size_t line;              /* number of the line that is read */
    bool is_austin;           /* its first line with a stack was Austin's */
    bool has_begun;           /* a line with a stack was read */
    bool is_counted;          /* Austin's header says that the numbers are bytes */
    uint32_t plain_thread;    /* of lines without roots; PROFILE_NONE: there was none */
    VEC(struct clock) clocks; /* Austin's time, by process */
    VEC(uint32_t) ticked;     /* by thread: its last tick */
};

static enum err refuse(struct folded *folded, const char *what)
{
    return error_set(folded->importer->why, ERR_INVALID,
                     "line %zu of '%s' has %s at its end; folded stacks are lines like "
                     "\"main;work;sum 12\"",
                     folded->line, folded->importer->input->name, what);
}

/* ---- parts of a line ---------------------------------------------------------------------------
 */

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static struct slice trim(struct slice text)
{
    while (text.length && is_space(text.text[text.length - 1]))
        text.length--;
    while (text.length && is_space(text.text[0])) {
        text.text++;
        text.length--;
    }
    return text;
}

/* What stands behind the last space, and what comes before. */
static struct slice split_number(struct slice *line)
{
    size_t at = line->length;
    struct slice number;

    while (at && !is_space(line->text[at - 1]))
        at--;
    number = (struct slice){line->text + at, line->length - at};
    line->length = at;
    *line = trim(*line);
    return number;
}

/* The first of "20137,0,507904": Austin's time, whether the thread was idle, memory. */
static struct slice first_metric(struct slice number)
{
    const char *comma = memchr(number.text, ',', number.length);

    if (comma)
        number.length = (size_t)(comma - number.text);
    return number;
}

static bool next_frame(struct slice *rest, struct slice *ret)
{
    while (rest->length) {
        const char *end = memchr(rest->text, ';', rest->length);
        size_t length = end ? (size_t)(end - rest->text) : rest->length;

        *ret = trim((struct slice){rest->text, length});
        length += end != NULL;
        rest->text += length;
        rest->length -= length;
        if (ret->length)
            return true;
    }
    return false;
}

bool import_is_folded(struct slice line)
{
    double number;

    line = trim(line);
    return import_number(first_metric(split_number(&line)), &number) != NUMBER_NONE;
}

/* ---- roots -------------------------------------------------------------------------------------
 */

static bool take_digits(struct slice *rest, int *ret)
{
    double number;
    size_t at = 0;

    while (at < rest->length && isdigit((unsigned char)rest->text[at]))
        at++;
    if (!at || import_number((struct slice){rest->text, at}, &number) != NUMBER_GOOD ||
        number > 0x7fffffff)
        return false;
    *ret = (int)number;
    rest->text += at;
    rest->length -= at;
    return true;
}

/* "P123". */
static bool is_austin_process(struct slice text, struct import_place *place)
{
    if (text.length < 2 || text.text[0] != 'P')
        return false;
    text.text++;
    text.length--;
    return take_digits(&text, &place->pid) && !text.length;
}

/* "T0:124": interpreter and thread; "T124"; "T0x7f01": a number that the C library gave. */
static bool is_austin_thread(struct slice text, struct import_place *place)
{
    const char *colon = memrchr(text.text, ':', text.length);
    struct slice rest = text;

    if (text.length < 2 || text.text[0] != 'T')
        return false;
    rest.text = colon ? colon + 1 : text.text + 1;
    rest.length = (size_t)(text.text + text.length - rest.text);
    place->thread_name = (struct slice){"", 0};
    if (take_digits(&rest, &place->tid) && !rest.length)
        return true;
    place->tid = 0;
    place->thread_name = text;
    return text.length > 2 && isxdigit((unsigned char)text.text[1]);
}

/* "command-9/10": stackcollapse-perf.pl --tid. */
static bool is_perf_root(struct slice text, struct import_place *place)
{
    const char *slash = memrchr(text.text, '/', text.length);
    const char *dash = slash ? memrchr(text.text, '-', (size_t)(slash - text.text)) : NULL;
    struct slice pid, tid;

    if (!dash || dash == text.text)
        return false;
    pid = (struct slice){dash + 1, (size_t)(slash - dash - 1)};
    tid = (struct slice){slash + 1, (size_t)(text.text + text.length - slash - 1)};
    if (!take_digits(&pid, &place->pid) || pid.length || !take_digits(&tid, &place->tid) ||
        tid.length)
        return false;
    place->thread_name = (struct slice){text.text, (size_t)(dash - text.text)};
    return true;
}

static bool take_austin_roots(struct slice *stack, struct import_place *place)
{
    struct slice rest = *stack, process, thread;

    if (!next_frame(&rest, &process) || !next_frame(&rest, &thread) ||
        !is_austin_process(process, place) || !is_austin_thread(thread, place))
        return false;
    *stack = rest;
    return true;
}

/* Takes the roots off the stack; the thread that they name. */
static uint32_t take_roots(struct folded *folded, struct slice *stack)
{
    struct import_place base = {.rank = -1,
                                .host = {"", 0},
                                .command = {"", 0},
                                .thread_name = {"", 0}},
                        place = base;
    struct slice roots[ROOTS_LARGEST], rest = *stack;
    size_t count = 0;

    if (take_austin_roots(stack, &place))
        return import_thread(folded->importer, &place, NULL, 0, 0);
    if (next_frame(&rest, &roots[0]) && is_perf_root(roots[0], &place)) {
        *stack = rest;
        return import_thread(folded->importer, &place, NULL, 0, 0);
    }
    rest = *stack;
    while (
        count < ROOTS_LARGEST && next_frame(&rest, &roots[count]) &&
        (import_process_root(roots[count], &place) || import_thread_root(roots[count], &place))) {
        count++;
        *stack = rest;
    }
    if (count)
        return import_thread(folded->importer, &base, roots, count, 0);
    if (folded->plain_thread == PROFILE_NONE)
        folded->plain_thread = import_thread(folded->importer, &base, NULL, 0, 0);
    return folded->plain_thread;
}

/* ---- samples -----------------------------------------------------------------------------------
 */

static bool push_stack(struct folded *folded, struct slice rest, stack_id *ret)
{
    struct importer *importer = folded->importer;
    struct slice label;

    *ret = STACK_EMPTY;
    for (size_t count = 0; next_frame(&rest, &label); count++) {
        frame_id frame = folded->is_austin ? import_austin_label(importer, label)
                                           : import_label(importer, label);

        *ret = profile_stack(importer->profile, *ret, frame);
        if (count % CHECK_EVERY == 0 && !import_fits(importer, rest.length))
            return false;
    }
    return true;
}

/* The time of the process that the thread belongs to. */
static struct clock *clock_of(struct folded *folded, uint32_t thread)
{
    uint32_t process = folded->importer->profile->threads.items[thread].process;

    while (folded->clocks.length <= process)
        vec_push(&folded->clocks, (struct clock){.now = 0});
    return &folded->clocks.items[process];
}

/* The end of the tick that the thread's sample belongs to. */
static uint64_t austin_time(struct folded *folded, uint32_t thread, uint64_t weight)
{
    struct clock *clock = clock_of(folded, thread);

    while (folded->ticked.length <= thread)
        vec_push(&folded->ticked, 0);
    if (!clock->tick || clock->weight != weight || folded->ticked.items[thread] == clock->tick) {
        clock->tick++;
        clock->weight = weight;
        clock->now += weight;
    }
    folded->ticked.items[thread] = clock->tick;
    return clock->now;
}

/* Microseconds, but where they are a count. */
static bool add_sample(struct folded *folded, struct sample *sample, double number)
{
    struct importer *importer = folded->importer;

    if (importer->profile->facts.is_counted) {
        importer->is_rounded |= number != floor(number);
        sample->weight = (uint64_t)llround(number);
        return !sample->weight || import_sample(importer, sample);
    }
    if (number * (double)NS_PER_US >= IMPORT_LARGEST)
        number = IMPORT_LARGEST / (double)NS_PER_US;
    sample->weight = (uint64_t)llround(number * (double)NS_PER_US);
    if ((double)clock_of(folded, sample->thread)->now + (double)sample->weight >= IMPORT_LARGEST) {
        error_set(importer->why, ERR_INVALID, "line %zu of '%s' is too late: its time is over 2^62",
                  folded->line, importer->input->name);
        return false;
    }
    sample->time = austin_time(folded, sample->thread, sample->weight);
    /* Austin writes threads that run no Python code without a frame. */
    return !sample->weight || !sample->stack.v || import_sample(importer, sample);
}

/* What the numbers are is settled by the first line with a stack. */
static void begin(struct folded *folded, struct slice stack)
{
    struct import_place place;

    folded->has_begun = true;
    folded->is_austin = take_austin_roots(&stack, &place);
    folded->importer->profile->facts.is_counted = !folded->is_austin || folded->is_counted;
}

static enum err take_stack(struct folded *folded, struct slice line)
{
    struct importer *importer = folded->importer;
    struct slice text = split_number(&line), rest = line, first;
    struct sample sample = {.end = END_ROOT};
    enum number number;
    double value;

    if (!folded->has_begun)
        begin(folded, line);
    number = import_number(folded->is_austin ? first_metric(text) : text, &value);
    if (number)
        return refuse(folded, import_number_text(number));
    sample.thread = take_roots(folded, &rest);
    line = rest;
    if (next_frame(&rest, &first) && !rest.length && first.length == strlen("[no stack]") &&
        !memcmp(first.text, "[no stack]", first.length))
        line.length = 0;
    if (!push_stack(folded, line, &sample.stack) || !add_sample(folded, &sample, value) ||
        !import_fits(importer, 0))
        return importer->why->code;
    return ERR_OK;
}

/* ---- Austin's header ---------------------------------------------------------------------------
 */

static bool take_key(struct slice line, const char *key, struct slice *value)
{
    size_t length = strlen(key);

    if (line.length <= length || memcmp(line.text, key, length) != 0 || line.text[length] != ':')
        return false;
    *value = trim((struct slice){line.text + length + 1, line.length - length - 1});
    return true;
}

static void take_comment(struct folded *folded, struct slice line)
{
    struct importer *importer = folded->importer;
    struct recording_facts *facts = &importer->profile->facts;
    cleanup(strbuf_deinit) struct strbuf exporter = STRBUF_INIT;
    struct slice value;
    double number;

    line = trim((struct slice){line.text + 1, line.length - 1});
    if (take_key(line, "austin", &value)) {
        strbuf_add_text(&exporter, "austin ");
        strbuf_add(&exporter, value.text, value.length);
        facts->exporter = profile_string_n(importer->profile, exporter.text, exporter.length);
    } else if (take_key(line, "mode", &value)) {
        folded->is_counted = value.length == 6 && !memcmp(value.text, "memory", 6);
    } else if (take_key(line, "interval", &value)) {
        if (!import_number(value, &number) && number >= 1)
            facts->rate = 1e6 / number;
    } else if (take_key(line, "duration", &value)) {
        if (!import_number(value, &number) && number < 1e15)
            facts->duration = (uint64_t)llround(number) * NS_PER_US;
    }
}

static enum err take_line(struct folded *folded, struct slice line)
{
    line = trim(line);
    if (!line.length)
        return ERR_OK;
    if (line.text[0] == '#') {
        take_comment(folded, line);
        return ERR_OK;
    }
    return take_stack(folded, line);
}

enum err import_folded(struct importer *importer)
{
    struct folded folded = {.importer = importer, .plain_thread = PROFILE_NONE};
    cleanup(strbuf_deinit) struct strbuf line = STRBUF_INIT;
    enum err code = ERR_OK;

    importer->profile->facts.is_counted = true;
    while (!code && input_line(importer->input, &line, LINE_LARGEST)) {
        folded.line++;
        code = take_line(&folded, (struct slice){line.text, line.length});
    }
    vec_deinit(&folded.clocks);
    vec_deinit(&folded.ticked);
    if (importer->profile->facts.is_counted)
        importer->profile->facts.duration = 0;
    return code ? code : importer->input->failed;
}
