/* SPDX-License-Identifier: MIT */
/*
 * Which samples of a view stay, by regular expressions: what --include and --exclude say. A sample
 * stays iff for each subject that is included at least one of its expressions matches, and none
 * that excludes does. Stacks stay whole: nothing is cut out of them.
 *
 *     filter_add(&filter, FILTER_INCLUDE, "thread=^worker", &why);
 *     filter_add(&filter, FILTER_EXCLUDE, "function=^wait$", &why);
 *     options.filter = &filter;
 *
 * The expressions are POSIX's extended ones and may match anywhere in the text, which is UTF-8.
 * An empty text, such as the name of a thread that was gone before it could be asked, matches none.
 */
#ifndef PSPY_PROFILE_FILTER_H
#define PSPY_PROFILE_FILTER_H

#include <locale.h>
#include <stdbool.h>
#include <stdint.h>

#include "pspy/base/error.h"
#include "pspy/base/vec.h"

enum filter_effect {
    FILTER_INCLUDE,
    FILTER_EXCLUDE,
};

enum filter_subject {
    SUBJECT_THREAD,
    SUBJECT_PROCESS,
    SUBJECT_STATE,
    /* Of any frame of the stack. */
    SUBJECT_MODULE,
    SUBJECT_FUNCTION,
    SUBJECT_LINE,
    FILTER_SUBJECTS,
};

/* Rules of one effect on one subject share a bit, a mark. */
typedef uint16_t filter_marks;

struct filter_rule;

struct filter {
    VEC(struct filter_rule *) rules;
    filter_marks included; /* that a sample must have */
    locale_t utf8;         /* NULL before the first rule, or where the system has no C.UTF-8 */
};

#define FILTER_INIT                                                                                \
    {                                                                                              \
        VEC_INIT, 0, NULL                                                                          \
    }

void filter_deinit(struct filter *filter);

/*
 * Adds "WHAT=REGEX", where WHAT, in any case, is
 *
 *     thread     the thread's name
 *     process    its process's command line, or pid
 *     state      what it did, by the summary's words: "running", "waiting for a CPU", "waiting for
 *                the GIL", "idle"; "garbage collection" as well
 *     module     the full path of any frame's source file, and for native code that of its module
 *     function   any frame's name. Markers above the first function are none, which are the roots
 *                of processes and threads: they are only there with -s and -t, and a command line
 *                holds many words. Those below it are some: "<GC>".
 *     line       any frame's "file:line", where the file is the full path or as labels show it
 *
 * On an error `why` is a sentence with a remedy, about the option --include or --exclude.
 */
enum err filter_add(struct filter *filter, enum filter_effect effect, const char *text,
                    struct error *why);

#define FILTER_MARK(effect, subject)                                                               \
    ((filter_marks)(1 << ((effect) * (int)FILTER_SUBJECTS + (int)(subject))))

/* The marks that a text gets as that subject. */
filter_marks filter_match(const struct filter *filter, enum filter_subject subject,
                          const char *text);
/* Whether a sample with these marks stays. */
bool filter_keeps(const struct filter *filter, filter_marks marks);

#endif
