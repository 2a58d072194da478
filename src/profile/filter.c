/* SPDX-License-Identifier: MIT */
#include "pspy/profile/filter.h"

#include <regex.h>
#include <string.h>
#include <strings.h>

_Static_assert(FILTER_MARK(FILTER_EXCLUDE, FILTER_SUBJECTS - 1) > 0, "the marks fit");

#define ALL_OF(effect)                                                                             \
    ((filter_marks)(((1 << (int)FILTER_SUBJECTS) - 1) << (effect) * (int)FILTER_SUBJECTS))

/* On the heap one by one: a compiled expression must not move. */
struct filter_rule {
    filter_marks mark;
    enum filter_subject subject;
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

static const char *const subject_names[FILTER_SUBJECTS] = {
    [SUBJECT_THREAD] = "thread", [SUBJECT_PROCESS] = "process",   [SUBJECT_STATE] = "state",
    [SUBJECT_MODULE] = "module", [SUBJECT_FUNCTION] = "function", [SUBJECT_LINE] = "line",
};

/* FILTER_SUBJECTS: there is none of that name. */
static enum filter_subject find_subject(const char *name, size_t length)
{
    enum filter_subject subject = 0;

    while (subject < FILTER_SUBJECTS && (strncasecmp(subject_names[subject], name, length) != 0 ||
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
    enum filter_subject subject = text[length] ? find_subject(text, length) : FILTER_SUBJECTS;
    const char *expression = text + length + 1;
    struct filter_rule *rule;
    int problem;

    if (subject == FILTER_SUBJECTS)
        return error_set(why, ERR_INVALID,
                         "%s needs WHAT=REGEX with thread, process, state, module, function or "
                         "line as WHAT, such as function=^read, not '%s'",
                         option, text);
    if (!*expression)
        return error_set(why, ERR_INVALID,
                         "%s needs a regular expression behind '%s', such as %sread", option, text,
                         text);
    rule = xcalloc(1, sizeof(*rule));
    rule->mark = FILTER_MARK(effect, subject);
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
    if (effect == FILTER_INCLUDE)
        filter->included |= rule->mark;
    vec_push(&filter->rules, rule);
    return ERR_OK;
}

/* ---- matching ----------------------------------------------------------------------------------
 */

filter_marks filter_match(const struct filter *filter, enum filter_subject subject,
                          const char *text)
{
    locale_t before = uselocale(filter->utf8);
    filter_marks marks = 0;

    vec_each (rule, &filter->rules)
        if (*text && (*rule)->subject == subject && !(marks & (*rule)->mark) &&
            regexec(&(*rule)->regex, text, 0, NULL, 0) == 0)
            marks |= (*rule)->mark;
    uselocale(before);
    return marks;
}

bool filter_keeps(const struct filter *filter, filter_marks marks)
{
    return (marks & (filter->included | ALL_OF(FILTER_EXCLUDE))) == filter->included;
}
