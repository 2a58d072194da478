/* SPDX-License-Identifier: MIT */
#include "pspy/cli/option_values.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/clock.h"
#include "pspy/base/strbuf.h"
#include "pspy/cli/suggest.h"

/* Not strtod: that one wants a comma in some locales, and takes "inf", "nan" and "0x1p3". */
bool decimal_parse(const char *text, uint64_t *ret_billionths)
{
    uint64_t value = 0, scale = NS_PER_SECOND;
    bool fraction = false, digits = false;

    for (const char *at = text; *at; at++) {
        uint64_t digit = (uint64_t)(*at - '0');

        if (*at == '.' && !fraction) {
            fraction = true;
            continue;
        }
        if (!isdigit((unsigned char)*at))
            return false;
        digits = true;
        if (fraction) {
            scale /= 10;
            digit *= scale;
        } else {
            digit *= NS_PER_SECOND;
            if (__builtin_mul_overflow(value, 10, &value))
                return false;
        }
        if (__builtin_add_overflow(value, digit, &value))
            return false;
    }
    if (digits)
        *ret_billionths = value;
    return digits;
}

static enum err store_integer(const struct option_spec *spec, const char *text, int64_t *ret,
                              struct error *why)
{
    char *end;
    long long value;

    errno = 0;
    value = strtoll(text, &end, 10);
    if (end == text || *end || isspace((unsigned char)*text) || errno ||
        (double)value < spec->min || (double)value > spec->max)
        return error_set(why, ERR_INVALID, "--%s needs a whole number from %.0f to %.0f, not '%s'",
                         spec->name, spec->min, spec->max, text);
    *ret = value;
    return ERR_OK;
}

static enum err store_number(const struct option_spec *spec, const char *text, double *ret,
                             struct error *why)
{
    uint64_t billionths = 0;
    double value;
    bool read = decimal_parse(text, &billionths);

    value = (double)billionths / 1e9;
    if (!read || value < spec->min || value > spec->max)
        return error_set(why, ERR_INVALID,
                         "--%s needs a number from %.10g to %.10g such as 100 or 0.5, not '%s'",
                         spec->name, spec->min, spec->max, text);
    *ret = value;
    return ERR_OK;
}

static enum err store_duration(const struct option_spec *spec, const char *text, uint64_t *ret,
                               struct error *why)
{
    uint64_t ns;

    if (strcasecmp(text, "unlimited") == 0)
        ns = DURATION_UNLIMITED;
    else if (!decimal_parse(text, &ns) || ns == 0)
        return error_set(why, ERR_INVALID,
                         "--%s needs seconds such as 30 or 0.5, or 'unlimited', not '%s'",
                         spec->name, text);
    *ret = ns;
    return ERR_OK;
}

static enum err store_pid(const struct option_spec *spec, const char *text, pid_t *ret,
                          struct error *why)
{
    bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    const char *digits = hex ? text + 2 : text;
    char *end;
    long value;

    errno = 0;
    value = strtol(digits, &end, hex ? 16 : 10);
    if (!isxdigit((unsigned char)*digits) || *end || errno || value < 1 || value > INT_MAX)
        return error_set(why, ERR_INVALID,
                         "--%s needs a process id such as 1234 or 0x4d2, not '%s'; pgrep -af NAME "
                         "shows the ids of processes",
                         spec->name, text);
    *ret = (pid_t)value;
    return ERR_OK;
}

const struct choice *choice_find(const struct choice *choices, const char *name)
{
    for (; choices->name; choices++)
        if (strcasecmp(choices->name, name) == 0)
            return choices;
    return NULL;
}

static void list_choices(struct strbuf *out, const struct choice *choices)
{
    for (const struct choice *at = choices; at->name; at++) {
        if (at != choices)
            strbuf_add_text(out, at[1].name ? ", " : " or ");
        strbuf_add_text(out, at->name);
    }
}

static enum err store_choice(const struct option_spec *spec, const char *text,
                             const struct choice **ret, struct error *why)
{
    const struct choice *found = choice_find(spec->choices, text);
    cleanup(strbuf_deinit) struct strbuf names = STRBUF_INIT;
    struct suggestion near;

    if (found) {
        *ret = found;
        return ERR_OK;
    }
    suggestion_init(&near, text);
    for (const struct choice *at = spec->choices; at->name; at++)
        suggestion_consider(&near, at->name);
    if (near.best)
        return error_set(why, ERR_INVALID, "--%s knows no '%s'; did you mean '%s'?", spec->name,
                         text, near.best);
    list_choices(&names, spec->choices);
    return error_set(why, ERR_INVALID, "--%s needs %s, not '%s'", spec->name, names.text, text);
}

static enum err store_string(const struct option_spec *spec, const char *text, const char **ret,
                             struct error *why)
{
    if (!*text)
        return error_set(why, ERR_INVALID, "--%s has an empty value; give it a %s", spec->name,
                         spec->value_name);
    *ret = text;
    return ERR_OK;
}

static enum err store_item(const struct option_spec *spec, const char *text, option_list *ret,
                           struct error *why)
{
    enum err err = store_string(spec, text, &text, why);

    if (err == ERR_OK)
        vec_push(ret, text);
    return err;
}

enum err option_store(const struct option_spec *spec, const char *text, void *values,
                      struct error *why)
{
    void *member = (char *)values + spec->offset;

    switch (spec->kind) {
    case OPTION_KIND_FLAG:
    case OPTION_KIND_STOP:
        *(bool *)member = true;
        return ERR_OK;
    case OPTION_KIND_COUNT:
        ++*(int *)member;
        return ERR_OK;
    case OPTION_KIND_STRING:
    case OPTION_KIND_FILE:
        return store_string(spec, text, member, why);
    case OPTION_KIND_LIST:
    case OPTION_KIND_FILES:
        return store_item(spec, text, member, why);
    case OPTION_KIND_INTEGER:
        return store_integer(spec, text, member, why);
    case OPTION_KIND_NUMBER:
        return store_number(spec, text, member, why);
    case OPTION_KIND_DURATION:
        return store_duration(spec, text, member, why);
    case OPTION_KIND_PID:
        return store_pid(spec, text, member, why);
    case OPTION_KIND_CHOICE:
        return store_choice(spec, text, member, why);
    }
    assert(!"an option kind without a case");
    return ERR_INVALID;
}
