/* SPDX-License-Identifier: MIT */
#include "pspy/cli/view_choices.h"

#include <string.h>

#include "view_rows.h"

const struct choice view_units[] = {
    {"samples", "how many samples"},
    {"time", "the time they stand for, in microseconds"},
    {NULL, NULL},
};

static enum err add_rules(const option_list *texts, enum filter_effect effect,
                          struct filter *filter, struct error *why)
{
    enum err err = ERR_OK;

    for (size_t i = 0; i < texts->length && err == ERR_OK; i++)
        err = filter_add(filter, effect, texts->items[i], why);
    return err;
}

static enum err check_conflicts(const struct view_choices *choices, struct error *why)
{
    const struct {
        bool holds;
        const char *sentence;
    } conflicts[] = {
        {choices->function && choices->nolineno,
         "--function gives each function its first line and --nolineno gives none: leave one of "
         "them out"},
        {choices->python_only && choices->native_only,
         "--python-only and --native-only leave nothing together: leave one of them out"},
        {choices->from == DURATION_UNLIMITED,
         "--from unlimited would show nothing: give it seconds"},
        {choices->from >= choices->to,
         "--from begins where --to has ended already: give --to more seconds than --from"},
    };

    for (size_t i = 0; i < sizeof(conflicts) / sizeof(conflicts[0]); i++)
        if (conflicts[i].holds)
            return error_set(why, ERR_INVALID, "%s", conflicts[i].sentence);
    return ERR_OK;
}

enum err view_choices_check(struct view_choices *choices, struct error *why)
{
    enum err err = check_conflicts(choices, why);

    choices->native |= choices->native_all;
    if (err == ERR_OK)
        err = add_rules(&choices->include, FILTER_INCLUDE, &choices->filter, why);
    if (err == ERR_OK)
        err = add_rules(&choices->exclude, FILTER_EXCLUDE, &choices->filter, why);
    return err;
}

void view_choices_deinit(struct view_choices *choices)
{
    vec_deinit(&choices->include);
    vec_deinit(&choices->exclude);
    filter_deinit(&choices->filter);
}

struct view_options view_choices_options(const struct view_choices *choices)
{
    return (struct view_options){
        .threads = choices->threads,
        .function_lines = choices->function,
        .no_lines = choices->nolineno,
        .columns = choices->columns,
        .full_filenames = choices->full_filenames,
        .states = choices->states,
        .native_all = choices->native_all,
        .python_only = choices->python_only,
        .native_only = choices->native_only,
        .by_time = choices->by && strcmp(choices->by->name, "time") == 0,
        .max_depth = (size_t)choices->max_depth,
        .from = choices->from,
        .to = choices->to == DURATION_UNLIMITED ? 0 : choices->to,
        .filter = choices->filter.rules.length ? &choices->filter : NULL,
    };
}
