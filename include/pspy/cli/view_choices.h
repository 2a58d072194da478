/* SPDX-License-Identifier: MIT */
/*
 * The options about what is shown of a profile, which `record` shares with the commands that read
 * recordings. Their rows stand once, in src/cli/view_rows.h.
 */
#ifndef PSPY_CLI_VIEW_CHOICES_H
#define PSPY_CLI_VIEW_CHOICES_H

#include "pspy/cli/options.h"
#include "pspy/profile/filter.h"
#include "pspy/profile/view.h"

/* What the command line said. */
struct view_choices {
    bool native, native_all;
    bool threads;
    bool function, nolineno, columns;
    bool states;
    bool full_filenames;
    bool python_only, native_only;
    int64_t max_depth;            /* frames */
    uint64_t from, to;            /* ns; to: DURATION_UNLIMITED */
    const struct choice *by;      /* NULL: samples */
    option_list include, exclude; /* what --include and --exclude said */
    struct filter filter;         /* the same, compiled */
};

#define VIEW_CHOICES_DEFAULT                                                                       \
    {                                                                                              \
        .max_depth = 100000, .to = DURATION_UNLIMITED                                              \
    }

/* Compiles the filters and finds what excludes each other. `why` is a sentence with a remedy. */
enum err view_choices_check(struct view_choices *choices, struct error *why);
void view_choices_deinit(struct view_choices *choices);
/* The filter is borrowed from the choices. */
struct view_options view_choices_options(const struct view_choices *choices);
#endif
