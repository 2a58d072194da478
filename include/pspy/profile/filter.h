/* SPDX-License-Identifier: MIT */
/*
 * Which samples of a recorded profile stay, by regular expressions: what --include and --exclude
 * say. A sample stays iff for each subject that is included at least one of its expressions
 * matches, and none that excludes does. Stacks stay whole: nothing is cut out of them.
 *
 *     filter_add(&filter, FILTER_INCLUDE, "thread=^worker", &why);
 *     filter_add(&filter, FILTER_EXCLUDE, "function=^wait$", &why);
 *     filter_apply(&filter, &profile);
 *
 * The expressions are POSIX's extended ones and may match anywhere in the text, which is UTF-8.
 * An empty text, such as the name of a thread that was gone before it could be asked, matches none.
 */
#ifndef PSPY_PROFILE_FILTER_H
#define PSPY_PROFILE_FILTER_H

#include <locale.h>

#include "pspy/base/error.h"
#include "pspy/base/vec.h"
#include "pspy/profile/profile.h"

enum filter_effect {
    FILTER_INCLUDE,
    FILTER_EXCLUDE,
};

struct filter_rule;

struct filter {
    VEC(struct filter_rule *) rules;
    locale_t utf8; /* NULL before the first rule, or where the system has no C.UTF-8 */
};

#define FILTER_INIT                                                                                \
    {                                                                                              \
        VEC_INIT, NULL                                                                             \
    }

void filter_deinit(struct filter *filter);

/*
 * Adds "WHAT=REGEX", where WHAT, in any case, is
 *
 *     thread     the thread's name
 *     module     the full path of any frame's source file, and for native code that of its module
 *     function   any frame's name. Markers above the first function are none, which are the roots
 *                of processes and threads: they are only there with -s and -t, and a command line
 *                holds many words. Those below it are some: "<GC>".
 *
 * On an error `why` is a sentence with a remedy, about the option --include or --exclude.
 */
enum err filter_add(struct filter *filter, enum filter_effect effect, const char *text,
                    struct error *why);

/* For after the frames were named. What does not stay is counted in profile->left_out. */
void filter_apply(const struct filter *filter, struct profile *profile);

#endif
