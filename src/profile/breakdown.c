/* SPDX-License-Identifier: MIT */
/*
 * From samples to rows: (1) frames get the numbers of their function and line; (2) each stack is
 * told where its innermost code, Python code and program's code are, from its caller's; (3) samples
 * are added up by stack, and handed up to the callers; (4) each stack with samples of its own gives
 * them to its line, function and caller. Every step is a loop over an array in which a parent comes
 * before its children.
 */
#include "pspy/profile/breakdown.h"

#include <locale.h>
#include <math.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "breakdown_internal.h"
#include "pspy/base/clock.h"

/* ---- stacks ------------------------------------------------------------------------------------
 */

const struct view_frame *stack_frame(const struct making *making, uint32_t stack)
{
    return view_frame(making->view, making->view->stacks.items[stack].frame);
}

uint32_t stack_function(const struct making *making, uint32_t stack)
{
    return making->function_of[making->view->stacks.items[stack].frame.v];
}

uint32_t stack_line(const struct making *making, uint32_t stack)
{
    return making->line_of[making->view->stacks.items[stack].frame.v];
}

static enum err compile_focus(const char *focus, locale_t utf8, regex_t *ret, struct error *why)
{
    locale_t before = uselocale(utf8);
    int problem = regcomp(ret, focus, REG_EXTENDED | REG_NOSUB);
    char reason[128];

    uselocale(before);
    if (!problem)
        return ERR_OK;
    regerror(problem, ret, reason, sizeof(reason));
    return error_set(why, ERR_INVALID,
                     "the focus needs an extended regular expression (%s; a \\ lets a character "
                     "stand for itself), not '%s'",
                     reason, focus);
}

/* By function: whether the focus names it. NULL: there is no focus. */
static enum err find_focus(const struct making *making, bool **ret, struct error *why)
{
    const struct breakdown *breakdown = making->breakdown;
    locale_t utf8, before;
    regex_t regex;
    enum err err;
    bool *named;

    *ret = NULL;
    if (!making->options->focus)
        return ERR_OK;
    utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
    err = compile_focus(making->options->focus, utf8, &regex, why);
    if (err == ERR_OK) {
        named = xcalloc(breakdown->functions.length + 1, sizeof(named[0]));
        before = uselocale(utf8);
        for (size_t i = 0; i < breakdown->functions.length; i++) {
            const struct view_frame *frame =
                view_frame(making->view, breakdown->functions.items[i].frame);

            named[i] = is_code(frame->kind) &&
                       regexec(&regex, view_text(making->view, frame->name), 0, NULL, 0) == 0;
        }
        uselocale(before);
        regfree(&regex);
        *ret = named;
    }
    if (utf8)
        freelocale(utf8);
    return err;
}

static void place_stack(struct making *making, uint32_t stack, const bool *named)
{
    struct stack_places places = making->places[making->view->stacks.items[stack].parent.v];
    enum frame_kind kind = stack_frame(making, stack)->kind;

    if (is_code(kind))
        places.code = stack;
    if (is_python(kind)) {
        places.python = stack;
        if (kind == FRAME_PYTHON) {
            places.program = stack;
            places.library = 0;
        } else if (!places.library) {
            places.library = stack;
        }
    }
    if (named && !places.focus && named[stack_function(making, stack)])
        places.focus = stack;
    making->places[stack] = places;
}

static enum err place_stacks(struct making *making, struct error *why)
{
    size_t count = making->view->stacks.length;
    bool *named;
    enum err err = find_focus(making, &named, why);

    if (err != ERR_OK)
        return err;
    making->places = xcalloc(count, sizeof(making->places[0]));
    for (uint32_t i = 1; i < count; i++)
        place_stack(making, i, named);
    free(named);
    return ERR_OK;
}

/* ---- samples -----------------------------------------------------------------------------------
 */

/*
 * How many samples say as much as these, were they independent: not more than samples of one weight
 * would be, and threads that were met in one look at the process count once. The looks are counted
 * by the time between them; one thread's samples are one a look in any case.
 */
struct draws {
    double weight, squares;
    uint64_t period, last_look;
    double looks;
    double *by_thread;
};

static void draws_add(struct draws *draws, const struct sample *sample, double weight, double count)
{
    uint64_t look = draws->period ? sample->time / draws->period + 1 : draws->last_look + 1;

    draws->weight += weight;
    draws->squares += weight * weight / count;
    draws->looks += look == draws->last_look ? 0 : count;
    draws->last_look = look;
    draws->by_thread[sample->thread] += count;
}

static double draws_count(const struct draws *draws, size_t threads)
{
    double looks = draws->looks;

    if (draws->squares <= 0)
        return 0;
    for (size_t i = 0; i < threads; i++)
        looks = fmax(looks, draws->by_thread[i]);
    return fmin(looks, draws->weight * draws->weight / draws->squares);
}

static void split_sample(struct making *making, const struct sample *sample,
                         const struct amount *amount)
{
    const struct recording_facts *facts = &making->view->profile->facts;
    struct breakdown_split *split = &making->breakdown->split;
    uint32_t code = making->places[sample->stack.v].code;
    bool python = code && is_python(stack_frame(making, code)->kind);
    /* Without native frames what Python calls is Python's, in the kernel too. */
    bool native = facts->native || !facts->saw_python;

    if (sample->call && (native || !python))
        amount_add(&split->system, amount);
    else if (code)
        amount_add(python ? &split->python : &split->native, amount);
    if (sample->flags & SAMPLE_COLLECTS)
        amount_add(&split->collecting, amount);
}

static void add_sample(struct making *making, const struct sample *sample, struct draws *draws)
{
    const struct view *view = making->view;
    const struct stack_places *places = &making->places[sample->stack.v];
    struct amount amount = {view_count(view, sample), view_time(view, sample)};
    double weight = amount.ns ? (double)amount.ns : (double)amount.samples;
    bool is_seen = !making->options->focus || places->focus;
    bool runs = view->profile->facts.has_no_states || sample->state == STATE_RUNNING;

    if (!amount.samples)
        return;
    if (is_seen && sample->state <= STATE_READY && (sample->flags & SAMPLE_HOLDS_GIL))
        amount_add(&making->breakdown->split.holding, &amount);
    if (!runs && is_seen)
        amount_add(&making->breakdown->waited[sample->state], &amount);
    if (!runs)
        return;
    amount_add(&making->breakdown->unfocused.all, &amount);
    draws_add(&draws[0], sample, weight, (double)amount.samples);
    if (!is_seen)
        return;
    amount_add(&making->breakdown->base.all, &amount);
    draws_add(&draws[1], sample, weight, (double)amount.samples);
    amount_add(&making->own[sample->stack.v], &amount);
    if (!places->code)
        amount_add(&making->breakdown->nowhere, &amount);
    split_sample(making, sample, &amount);
}

static void add_samples(struct making *making)
{
    const struct view *view = making->view;
    size_t threads = view->profile->threads.length;
    double rate = view->profile->facts.is_counted ? 0 : view->profile->facts.rate;
    struct share_base *bases[2] = {&making->breakdown->unfocused, &making->breakdown->base};
    struct draws draws[2] = {{.weight = 0}, {.weight = 0}};

    making->own = xcalloc(view->stacks.length, sizeof(making->own[0]));
    making->below = xcalloc(view->stacks.length, sizeof(making->below[0]));
    for (int i = 0; i < 2; i++) {
        draws[i].period = rate > 0 && rate < 1e9 ? (uint64_t)((double)NS_PER_SECOND / rate) : 0;
        draws[i].by_thread = xcalloc(threads + 1, sizeof(double));
    }
    vec_each (sample, &view->samples)
        add_sample(making, sample, draws);
    for (int i = 0; i < 2; i++) {
        bases[i]->draws = draws_count(&draws[i], threads);
        bases[i]->by_time = bases[i]->all.ns > 0;
        free(draws[i].by_thread);
    }
    for (size_t i = view->stacks.length; i-- > 1;) {
        amount_add(&making->below[i], &making->own[i]);
        amount_add(&making->below[view->stacks.items[i].parent.v], &making->below[i]);
    }
    amount_add(&making->below[0], &making->own[0]);
}

/* ---- rows --------------------------------------------------------------------------------------
 */

/* By line: whether one of a library stands for itself. */
static bool *find_hot(const struct making *making)
{
    const struct breakdown *breakdown = making->breakdown;
    struct amount *alone = xcalloc(breakdown->lines.length + 1, sizeof(alone[0]));
    bool *hot = xcalloc(breakdown->lines.length + 1, sizeof(hot[0]));

    for (uint32_t i = 1; i < making->view->stacks.length; i++)
        if (making->places[i].python)
            amount_add(&alone[stack_line(making, making->places[i].python)], &making->own[i]);
    for (size_t i = 0; i < breakdown->lines.length; i++)
        hot[i] = share_of(&breakdown->base, &alone[i]).value >= BREAKDOWN_HOT;
    free(alone);
    return hot;
}

/* The stack whose line counts for what `places` ends in; 0: there is no code. */
static uint32_t line_stack(const struct making *making, const struct stack_places *places,
                           const bool *hot)
{
    if (places->program && !(places->library && hot[stack_line(making, places->python)]))
        return places->program;
    return places->python ? places->python : places->code;
}

/* What the line calls: the library's function, else the innermost one of native code. */
static uint32_t callee_of(const struct making *making, const struct stack_places *places,
                          uint32_t stack)
{
    if (stack == places->code)
        return BREAKDOWN_NONE;
    return stack_function(making, stack == places->program && places->library ? places->library
                                                                              : places->code);
}

static uint32_t caller_line(const struct making *making, const struct stack_places *places)
{
    uint32_t parent = making->view->stacks.items[places->code].parent.v;
    uint32_t caller =
        making->places[parent].python ? making->places[parent].python : making->places[parent].code;

    return caller ? stack_line(making, caller) : BREAKDOWN_NONE;
}

static void add_rows(struct making *making)
{
    struct breakdown *breakdown = making->breakdown;
    struct pairs callees = {VEC_INIT, TABLE_INIT}, callers = {VEC_INIT, TABLE_INIT};
    bool *hot = find_hot(making);

    for (uint32_t i = 1; i < making->view->stacks.length; i++) {
        const struct stack_places *places = &making->places[i];
        const struct amount *own = &making->own[i];
        uint32_t at;

        if (!own->samples || !places->code)
            continue;
        at = line_stack(making, places, hot);
        amount_add(&breakdown->lines.items[stack_line(making, at)].self, own);
        pairs_add(&callees, stack_line(making, at), callee_of(making, places, at), own);
        amount_add(&breakdown->functions.items[stack_function(making, places->code)].self, own);
        pairs_add(&callers, stack_function(making, places->code), caller_line(making, places), own);
    }
    free(hot);
    pairs_finish(&callees, &breakdown->base, &breakdown->callees);
    pairs_finish(&callers, &breakdown->base, &breakdown->callers);
    for (uint32_t i = 0; i < breakdown->callees.length; i++) {
        struct breakdown_line *line = &breakdown->lines.items[breakdown->callees.items[i].of];

        line->first_part = line->parts++ ? line->first_part : i;
    }
    for (uint32_t i = 0; i < breakdown->callers.length; i++) {
        struct breakdown_function *function =
            &breakdown->functions.items[breakdown->callers.items[i].of];

        function->first_part = function->parts++ ? function->first_part : i;
    }
}

/* ---- totals ------------------------------------------------------------------------------------
 */

/* On the way from the root to a stack: how often each function and line is there. */
struct path {
    uint32_t *functions, *lines;
};

static void enter_stack(struct making *making, struct path *path, uint32_t stack)
{
    uint32_t function = stack_function(making, stack), line = stack_line(making, stack);

    if (!path->functions[function]++)
        amount_add(&making->breakdown->functions.items[function].total, &making->below[stack]);
    if (!path->lines[line]++)
        amount_add(&making->breakdown->lines.items[line].total, &making->below[stack]);
}

static void leave_stack(const struct making *making, struct path *path, uint32_t stack)
{
    path->functions[stack_function(making, stack)]--;
    path->lines[stack_line(making, stack)]--;
}

/* Visits stacks as a tree, so that what calls itself counts once. */
static void add_totals(struct making *making)
{
    const struct view *view = making->view;
    size_t count = view->stacks.length;
    uint32_t *child = xcalloc(count, sizeof(child[0])), *next = xcalloc(count, sizeof(next[0]));
    struct path path = {xcalloc(making->breakdown->functions.length + 1, sizeof(uint32_t)),
                        xcalloc(making->breakdown->lines.length + 1, sizeof(uint32_t))};
    uint32_t at;

    for (uint32_t i = (uint32_t)count; i-- > 1;) {
        uint32_t parent = view->stacks.items[i].parent.v;

        next[i] = child[parent];
        child[parent] = i;
    }
    for (at = child[0]; at;) {
        enter_stack(making, &path, at);
        if (child[at]) {
            at = child[at];
            continue;
        }
        leave_stack(making, &path, at);
        while (at && !next[at]) {
            at = view->stacks.items[at].parent.v;
            if (at)
                leave_stack(making, &path, at);
        }
        at = next[at];
    }
    free(child);
    free(next);
    free(path.functions);
    free(path.lines);
}

/* ---- orders ------------------------------------------------------------------------------------
 */

static int compare_hot(const struct share_base *base, const struct amount *a_self,
                       const struct amount *a_total, const struct amount *b_self,
                       const struct amount *b_total)
{
    int order = compare_weights(share_weight(base, a_self), share_weight(base, b_self));

    return order ? order
                 : compare_weights(share_weight(base, a_total), share_weight(base, b_total));
}

static int compare_hot_functions(const void *left, const void *right, void *context)
{
    const struct breakdown *breakdown = context;
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    const struct breakdown_function *rows = breakdown->functions.items;
    int order =
        compare_hot(&breakdown->base, &rows[a].self, &rows[a].total, &rows[b].self, &rows[b].total);

    return order ? order : (a > b) - (a < b);
}

static int compare_hot_lines(const void *left, const void *right, void *context)
{
    const struct breakdown *breakdown = context;
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    const struct breakdown_line *rows = breakdown->lines.items;
    int order =
        compare_hot(&breakdown->base, &rows[a].self, &rows[a].total, &rows[b].self, &rows[b].total);

    return order ? order : (a > b) - (a < b);
}

static void order_rows(const struct making *making)
{
    struct breakdown *breakdown = making->breakdown;

    for (uint32_t i = 0; i < breakdown->functions.length; i++)
        if (breakdown->functions.items[i].total.samples &&
            is_code(view_frame(making->view, breakdown->functions.items[i].frame)->kind))
            vec_push(&breakdown->hot_functions, i);
    for (uint32_t i = 0; i < breakdown->lines.length; i++)
        if (breakdown->lines.items[i].self.samples)
            vec_push(&breakdown->hot_lines, i);
    if (breakdown->hot_functions.length)
        qsort_r(breakdown->hot_functions.items, breakdown->hot_functions.length, sizeof(uint32_t),
                compare_hot_functions, breakdown);
    if (breakdown->hot_lines.length)
        qsort_r(breakdown->hot_lines.items, breakdown->hot_lines.length, sizeof(uint32_t),
                compare_hot_lines, breakdown);
}

enum err breakdown_init(struct breakdown *breakdown, const struct view *view,
                        const struct breakdown_options *options, struct error *why)
{
    struct making making = {.view = view, .breakdown = breakdown, .options = options};
    enum err err;

    *breakdown = (struct breakdown){.base = {.draws = 0}};
    breakdown_number_frames(&making);
    err = place_stacks(&making, why);
    if (err == ERR_OK) {
        add_samples(&making);
        add_rows(&making);
        add_totals(&making);
        breakdown_add_waits(&making);
        order_rows(&making);
        breakdown_add_tree(&making);
    }
    free(making.function_of);
    free(making.line_of);
    free(making.places);
    free(making.own);
    free(making.below);
    return err;
}

void breakdown_deinit(struct breakdown *breakdown)
{
    vec_deinit(&breakdown->functions);
    vec_deinit(&breakdown->lines);
    vec_deinit(&breakdown->hot_functions);
    vec_deinit(&breakdown->hot_lines);
    vec_deinit(&breakdown->callees);
    vec_deinit(&breakdown->callers);
    vec_deinit(&breakdown->tree);
    vec_deinit(&breakdown->folded);
    vec_deinit(&breakdown->waits);
}
