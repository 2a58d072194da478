/* SPDX-License-Identifier: MIT */
/*
 * Which changes are beyond chance.
 *
 * Samples are no independent draws: a program works in phases, so that a sample says what the next
 * one will say, and two recordings of one program differ by more than the count of their samples
 * would tell. How much more is measured. Each recording is cut into pieces of equal weight, in the
 * order of time. For each function, piece i before is paired with piece i after; how much the
 * differences of the pairs scatter says how uncertain the difference of the wholes is. In pairs,
 * because a program that begins with reading its data and ends with writing them does so in both
 * runs: that is no chance.
 *
 * The variance of a function's change is the largest of
 * (1) that of independent samples,
 * (2) that of its own pairs,
 * (3) the first, times what (2) is by (1) over all functions: the correlation. A function that was
 *     met in one phase only, or never, has pairs that say nothing.
 * For (3) pieces of several lengths are tried, and the largest result counts: short pieces do not
 * see long phases, and of long pieces there are few. It goes on where the lengths point to.
 *
 * To that comes what no single run can tell, since it is another one in each run: where code and
 * data happen to lie, and what else the machine did. DRIFT is that uncertainty of the ratio between
 * a function's time and the others' time; DIFF_LEAST_POINTS is a floor below all.
 *
 * A change is beyond chance if its t value is beyond what the largest of so many changes reaches by
 * chance (Holm's procedure over the own and the total shares of all functions with FEW samples).
 * Recordings that do not know the order of their samples are taken to have the correlation ASSUMED.
 *
 * Simulated: 1000 pairs of runs of one program in each of 30 cases (10 s; 100 and 1000 samples a
 * second; 3, 10 and 40 functions; independent samples, phases of half a second of fixed or random
 * length, phases that only half of the samples obey, a start that all runs have): false alarms in
 * at most 4.5 % of the pairs of any case. Shares of 70, 20 and 10 % that become 50, 40 and 10: both
 * are named in each of 1000 pairs where samples are independent. Recordings of few phases (six of
 * them, in 3 s) do not tell how long phases are: up to 30 % of such pairs raise a false alarm.
 */
#include <math.h>
#include <string.h>

#include "diff_internal.h"

#define PIECES  20 /* for a function by itself; a divisor of DIFF_BLOCKS */
#define FREEDOM 13 /* degrees of it; odd; between those of 20 pieces and of 10 */
#define T95     2.160
#define T_PART  3.643 /* one time in 333 */
#define LEVEL   0.05
#define DRIFT   0.02
#define FEW     5
#define ASSUMED 4.0
#define PERCENT 100.0

/* One of the two shares of a function, as it is tested. */
struct test {
    struct diff_change *change;
    double sd; /* of the change, as a share */
    double p;  /* how often chance alone makes a change as large */
};

typedef VEC(struct test) tests;

struct judging {
    struct diff *diff;
    const struct diff_counts *counts;
    double weights[DIFF_SIDES]; /* of the wholes */
};

/* ---- variances ---------------------------------------------------------------------------------
 */

/* Never 0: that none of 100 samples shows something does not mean that it never happens. */
static double independent(double share, double samples)
{
    double p = (share * samples + 0.5) / (samples + 1);

    return samples > 0 ? p * (1 - p) / samples : 0;
}

static double independent_both(const struct diff *diff, double before, double after)
{
    return independent(before, diff->of[DIFF_BEFORE].square) +
           independent(after, diff->of[DIFF_AFTER].square);
}

static double drift(double before, double after)
{
    double a = DRIFT * before * (1 - before), b = DRIFT * after * (1 - after);

    return a * a + b * b;
}

/* What a piece's share deviates from the whole's, as a part of the whole. */
static double deviation(const struct judging *judging, const struct diff_tally *tally,
                        enum diff_side side, double share, int first, int count)
{
    const struct diff_tally *whole = &judging->counts->whole[side];
    double own = 0, all = 0;

    for (int i = first; i < first + count; i++) {
        own += tally->blocks[i];
        all += whole->blocks[i];
    }
    return (own - share * all) / judging->weights[side];
}

static double variance_of_pairs(const struct judging *judging, const struct diff_tally *tallies,
                                const struct diff_change *change, int pieces)
{
    int length = DIFF_BLOCKS / pieces;
    double sum = 0;

    for (int i = 0; i < pieces; i++) {
        double pair = deviation(judging, &tallies[DIFF_AFTER], DIFF_AFTER,
                                change->of[DIFF_AFTER].share, i * length, length) -
                      deviation(judging, &tallies[DIFF_BEFORE], DIFF_BEFORE,
                                change->of[DIFF_BEFORE].share, i * length, length);

        sum += pair * pair;
    }
    return sum * pieces / (pieces - 1);
}

static double correlation_at(const struct judging *judging, int pieces)
{
    double measured = 0, expected = 0;

    for (size_t i = 0; i < judging->diff->functions.length; i++) {
        const struct diff_change *self = &judging->diff->functions.items[i].self;

        measured +=
            variance_of_pairs(judging, judging->counts->functions.items[i].self, self, pieces);
        expected += independent_both(judging->diff, self->of[DIFF_BEFORE].share,
                                     self->of[DIFF_AFTER].share);
    }
    return expected > 0 ? measured / expected : 1;
}

/* What short pieces miss falls with their length: twice the long ones' minus the short ones' is
 * what endless ones would show. */
static double measure_correlation(const struct judging *judging)
{
    double at_40 = correlation_at(judging, 40), at_20 = correlation_at(judging, 20);
    double at_10 = correlation_at(judging, 10);

    return fmax(fmax(1, at_40), fmax(fmax(at_20, at_10), 2 * at_10 - at_20));
}

/* ---- t -----------------------------------------------------------------------------------------
 */

/* How often |t| is larger by chance: the series for an odd number of degrees of freedom. */
static double chance_of(double t)
{
    double angle = atan(fabs(t) / sqrt(FREEDOM)), cosine = cos(angle);
    double term = cosine, sum = cosine, within;

    for (int i = 2; i <= FREEDOM - 3; i += 2) {
        term *= cosine * cosine * i / (i + 1);
        sum += term;
    }
    within = M_2_PI * (angle + sin(angle) * sum);
    return within < 1 ? 1 - within : 0;
}

/* ---- the whole list ----------------------------------------------------------------------------
 */

static void fill_amount(const struct judging *judging, const struct diff_tally *tally,
                        enum diff_side side, struct diff_amount *ret)
{
    double whole = judging->weights[side];

    ret->samples = tally->samples;
    ret->ns = tally->ns;
    ret->share = whole > 0 ? diff_weight(tally) / whole : 0;
}

static void fill_change(const struct judging *judging, const struct diff_tally *tallies,
                        struct diff_change *ret)
{
    for (int side = 0; side < DIFF_SIDES; side++)
        fill_amount(judging, &tallies[side], side, &ret->of[side]);
    ret->points = PERCENT * (ret->of[DIFF_AFTER].share - ret->of[DIFF_BEFORE].share);
}

static void add_test(const struct judging *judging, const struct diff_tally *tallies,
                     struct diff_change *change, tests *all)
{
    const struct diff *diff = judging->diff;
    double before = change->of[DIFF_BEFORE].share, after = change->of[DIFF_AFTER].share;
    double variance = independent_both(diff, before, after) * diff->correlation;
    struct test test = {.change = change};

    if (diff->has_order)
        variance = fmax(variance, variance_of_pairs(judging, tallies, change, PIECES));
    test.sd = sqrt(variance + drift(before, after));
    change->low = change->points - T95 * PERCENT * test.sd;
    change->high = change->points + T95 * PERCENT * test.sd;
    if (test.sd <= 0 || tallies[0].samples + tallies[1].samples < FEW)
        return;
    test.p = chance_of((after - before) / test.sd);
    vec_push(all, test);
}

static int compare_tests(const void *left, const void *right)
{
    const struct test *a = left, *b = right;

    return (a->p > b->p) - (a->p < b->p);
}

static void judge_tests(tests *all)
{
    vec_sort(all, compare_tests);
    for (size_t i = 0; i < all->length; i++) {
        struct test *test = &all->items[i];

        if (test->p * (double)(all->length - i) > LEVEL)
            break;
        test->change->is_beyond = fabs(test->change->points) >= DIFF_LEAST_POINTS;
    }
}

/* Whether all of a function's samples are its own: its total is no other number. */
static bool is_leaf(const struct diff_function *function)
{
    for (int side = 0; side < DIFF_SIDES; side++)
        if (function->self.of[side].samples != function->total.of[side].samples)
            return false;
    return true;
}

void diff_judge(struct diff *diff, const struct diff_counts *counts)
{
    struct judging judging = {.diff = diff, .counts = counts};
    tests all = VEC_INIT;

    for (int side = 0; side < DIFF_SIDES; side++)
        judging.weights[side] = diff_weight(&counts->whole[side]);
    for (size_t i = 0; i < diff->functions.length; i++) {
        fill_change(&judging, counts->functions.items[i].self, &diff->functions.items[i].self);
        fill_change(&judging, counts->functions.items[i].total, &diff->functions.items[i].total);
    }
    diff->correlation = ASSUMED;
    if (judging.weights[DIFF_BEFORE] <= 0 || judging.weights[DIFF_AFTER] <= 0)
        return;
    if (diff->has_order)
        diff->correlation = measure_correlation(&judging);
    for (size_t i = 0; i < diff->functions.length; i++) {
        struct diff_function *function = &diff->functions.items[i];

        add_test(&judging, counts->functions.items[i].self, &function->self, &all);
        if (!is_leaf(function))
            add_test(&judging, counts->functions.items[i].total, &function->total, &all);
    }
    judge_tests(&all);
    vec_deinit(&all);
    vec_each (function, &diff->functions) {
        if (is_leaf(function))
            function->total = function->self;
        diff->beyond += function->self.is_beyond || function->total.is_beyond;
    }
}

bool diff_is_beyond(const struct diff *diff, double before, double after)
{
    double variance = independent_both(diff, before, after) * diff->correlation;
    double sd = sqrt(variance + drift(before, after)), change = fabs(after - before);

    return PERCENT * change >= DIFF_LEAST_POINTS && change > T_PART * sd;
}
