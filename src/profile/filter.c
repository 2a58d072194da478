/* SPDX-License-Identifier: MIT */
/*
 * Rules of one effect on one subject share a bit, a mark. A text is asked once per subject; a stack
 * has the marks of its frames, so that one loop over the prefix tree is enough: a parent comes
 * before its children. A sample has its thread's and its stack's marks, and these decide.
 */
#include "pspy/profile/filter.h"

#include <regex.h>
#include <string.h>
#include <strings.h>

enum subject {
    SUBJECT_THREAD,
    SUBJECT_MODULE,
    SUBJECT_FUNCTION,
    SUBJECTS,
};

#define MARK(effect, subject) ((uint8_t)(1 << ((effect)*SUBJECTS + (subject))))
#define MARKS_OF(effect)      ((uint8_t)(((1 << SUBJECTS) - 1) << (effect)*SUBJECTS))
#define HEADING               ((uint8_t)(1 << 2 * SUBJECTS)) /* a stack of markers alone */
#define NOT_ASKED             UINT8_MAX

_Static_assert(HEADING < NOT_ASKED, "the marks fit");

/* On the heap one by one: a compiled expression must not move. */
struct filter_rule {
    uint8_t mark;
    enum subject subject;
    regex_t regex;
};

void filter_deinit(struct filter *filter)
{
    vec_each (rule, &filter->rules) {
        regfree(&(*rule)->regex);
        free(*rule);
    }
    vec_deinit(&filter->rules);
    if (filter->utf8)
        freelocale(filter->utf8);
    filter->utf8 = NULL;
}

/* ---- rules -------------------------------------------------------------------------------------
 */

static const char *const subject_names[SUBJECTS] = {
    [SUBJECT_THREAD] = "thread",
    [SUBJECT_MODULE] = "module",
    [SUBJECT_FUNCTION] = "function",
};

/* SUBJECTS: there is none of that name. */
static enum subject find_subject(const char *name, size_t length)
{
    enum subject subject = 0;

    while (subject < SUBJECTS && (strncasecmp(subject_names[subject], name, length) != 0 ||
                                  subject_names[subject][length]))
        subject++;
    return subject;
}

/* pspy runs in the locale C, where each byte of a letter would be a letter. */
static int compile(struct filter *filter, const char *expression, regex_t *ret)
{
    locale_t before;
    int problem;

    if (!filter->utf8)
        filter->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
    before = uselocale(filter->utf8);
    problem = regcomp(ret, expression, REG_EXTENDED | REG_NOSUB);
    uselocale(before);
    return problem;
}

enum err filter_add(struct filter *filter, enum filter_effect effect, const char *text,
                    struct error *why)
{
    const char *option = effect == FILTER_INCLUDE ? "--include" : "--exclude";
    size_t length = strcspn(text, "=");
    enum subject subject = text[length] ? find_subject(text, length) : SUBJECTS;
    const char *expression = text + length + 1;
    struct filter_rule *rule;
    int problem;

    if (subject == SUBJECTS)
        return error_set(why, ERR_INVALID,
                         "%s needs WHAT=REGEX with thread, module or function as WHAT, such as "
                         "function=^read, not '%s'",
                         option, text);
    if (!*expression)
        return error_set(why, ERR_INVALID,
                         "%s needs a regular expression behind '%s', such as %sread", option, text,
                         text);
    rule = xcalloc(1, sizeof(*rule));
    rule->mark = MARK(effect, subject);
    rule->subject = subject;
    problem = compile(filter, expression, &rule->regex);
    if (problem) {
        char reason[128];

        regerror(problem, &rule->regex, reason, sizeof(reason));
        free(rule);
        return error_set(why, ERR_INVALID,
                         "%s needs an extended regular expression (%s; a \\ lets a character stand "
                         "for itself), not '%s'",
                         option, reason, expression);
    }
    vec_push(&filter->rules, rule);
    return ERR_OK;
}

/* ---- marks -------------------------------------------------------------------------------------
 */

struct marking {
    const struct filter *filter;
    const struct profile *profile;
    uint8_t *of_string[SUBJECTS];
};

static uint8_t match(const struct filter *filter, enum subject subject, const char *text)
{
    uint8_t marks = 0;

    vec_each (rule, &filter->rules)
        if ((*rule)->subject == subject && !(marks & (*rule)->mark) &&
            regexec(&(*rule)->regex, text, 0, NULL, 0) == 0)
            marks |= (*rule)->mark;
    return marks;
}

static uint8_t string_marks(const struct marking *marking, enum subject subject, string_id string)
{
    uint8_t *marks = &marking->of_string[subject][string.v];

    if (*marks == NOT_ASKED)
        *marks = match(marking->filter, subject, profile_text(marking->profile, string));
    return *marks;
}

static uint8_t *mark_stacks(const struct marking *marking)
{
    const struct profile *profile = marking->profile;
    uint8_t *of_stack = xcalloc(profile->stacks.length, sizeof(of_stack[0]));

    of_stack[STACK_EMPTY.v] = HEADING;
    for (size_t i = 1; i < profile->stacks.length; i++) {
        const struct stack_node *stack = &profile->stacks.items[i];
        const struct frame_info *info = profile_frame_info(profile, stack->frame);
        uint8_t above = of_stack[stack->parent.v];

        if ((above & HEADING) && info->kind == FRAME_MARKER)
            of_stack[i] = above;
        else
            of_stack[i] =
                (uint8_t)((above & ~HEADING) | string_marks(marking, SUBJECT_MODULE, info->file) |
                          string_marks(marking, SUBJECT_MODULE, info->module) |
                          string_marks(marking, SUBJECT_FUNCTION, info->name));
    }
    return of_stack;
}

static uint8_t all_marks(const struct filter *filter)
{
    uint8_t marks = 0;

    vec_each (rule, &filter->rules)
        marks |= (*rule)->mark;
    return marks;
}

static void keep_samples(const struct marking *marking, const uint8_t *of_stack,
                         struct profile *profile)
{
    uint8_t wanted = all_marks(marking->filter) & MARKS_OF(FILTER_INCLUDE);
    size_t kept = 0;

    vec_each (sample, &profile->samples) {
        string_id name = profile->threads.items[sample->thread].name;
        uint8_t marks = of_stack[sample->stack.v] | string_marks(marking, SUBJECT_THREAD, name);

        if ((marks & (wanted | MARKS_OF(FILTER_EXCLUDE))) == wanted)
            profile->samples.items[kept++] = *sample;
        else
            profile->ends[sample->end]--;
    }
    profile->left_out += profile->samples.length - kept;
    profile->samples.length = kept;
}

void filter_apply(const struct filter *filter, struct profile *profile)
{
    struct marking marking = {.filter = filter, .profile = profile};
    size_t strings = profile->string_offsets.length;
    locale_t before = uselocale(filter->utf8);
    uint8_t *of_stack;

    for (size_t i = 0; i < SUBJECTS; i++) {
        marking.of_string[i] = xreallocarray(NULL, strings, sizeof(uint8_t));
        memset(marking.of_string[i], NOT_ASKED, strings);
        marking.of_string[i][STRING_EMPTY.v] = 0; /* no text */
    }
    of_stack = mark_stacks(&marking);
    keep_samples(&marking, of_stack, profile);
    free(of_stack);
    for (size_t i = 0; i < SUBJECTS; i++)
        free(marking.of_string[i]);
    uselocale(before);
}
