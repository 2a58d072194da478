/* SPDX-License-Identifier: MIT */
#include "pspy/profile/diff.h"

#include <math.h>
#include <string.h>

#include "diff_internal.h"
#include "pspy/base/clock.h"

static void fill_whole(const struct diff_counts *counts, enum diff_side side,
                       const struct view *view, struct diff_whole *ret)
{
    double weight = diff_weight(&counts->whole[side]), squares = counts->squares[side];

    ret->samples = counts->whole[side].samples;
    ret->ns = counts->whole[side].ns;
    ret->duration = (double)view->profile->facts.duration / (double)NS_PER_SECOND;
    ret->square = squares > 0 ? weight * weight / squares : 0;
    if (!counts->by_time)
        ret->square = (double)ret->samples;
}

/* The own share first; what has none in either, by its total. */
static int compare_functions(const void *left, const void *right)
{
    const struct diff_function *a = left, *b = right;
    double self_a = fabs(a->self.points), self_b = fabs(b->self.points);
    double total_a = fabs(a->total.points), total_b = fabs(b->total.points);

    if (self_a < self_b || self_a > self_b)
        return self_a < self_b ? 1 : -1;
    if (total_a < total_b || total_a > total_b)
        return total_a < total_b ? 1 : -1;
    return (a->name.v > b->name.v) - (a->name.v < b->name.v);
}

/* Stacks that no sample has show functions too. */
static void leave_out_unseen(struct diff *diff)
{
    size_t kept = 0;

    vec_each (function, &diff->functions)
        if (function->total.of[DIFF_BEFORE].samples || function->total.of[DIFF_AFTER].samples)
            diff->functions.items[kept++] = *function;
    diff->functions.length = kept;
}

void diff_init(struct diff *diff, const struct view *before, const struct view *after)
{
    const struct view *const views[DIFF_SIDES] = {before, after};
    struct diff_counts counts = {.texts = &diff->texts};

    *diff = (struct diff){.by_time = true, .has_order = true};
    strings_init(&diff->texts);
    for (int side = 0; side < DIFF_SIDES; side++) {
        diff->by_time &= !views[side]->profile->facts.is_counted;
        diff->has_order &= !views[side]->profile->facts.is_counted;
    }
    counts.by_time = diff->by_time;
    for (int side = 0; side < DIFF_SIDES; side++) {
        diff_count(&counts, side, views[side]);
        fill_whole(&counts, side, views[side], &diff->of[side]);
    }
    vec_each (counted, &counts.functions) {
        struct diff_function function = {
            .name = counted->name, .file = counted->file, .kind = counted->kind};

        vec_push(&diff->functions, function);
    }
    diff_judge(diff, &counts);
    leave_out_unseen(diff);
    vec_sort(&diff->functions, compare_functions);
    vec_deinit(&counts.functions);
    table_deinit(&counts.index);
}

void diff_deinit(struct diff *diff)
{
    strings_deinit(&diff->texts);
    vec_deinit(&diff->functions);
}

void diff_label(const struct diff *diff, const struct diff_function *function, struct strbuf *label)
{
    strbuf_add_text(label, strings_text(&diff->texts, function->name));
    if (function->file.v)
        strbuf_addf(label, " (%s)", strings_text(&diff->texts, function->file));
}

bool diff_fails_above(const struct diff *diff, double points)
{
    vec_each (function, &diff->functions)
        if (function->self.is_beyond && function->self.points > points)
            return true;
    return false;
}
