/* SPDX-License-Identifier: MIT */
#include "pspy/cli/options.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/strbuf.h"
#include "pspy/cli/option_values.h"
#include "pspy/cli/suggest.h"

struct parser {
    const struct option_syntax *syntax;
    int argc;
    char **argv;
    int at;       /* the word to read next */
    bool stopped; /* an OPTION_KIND_STOP was seen */
    void *values;
    struct error *why;
};

/* `typed` is what the hint looks at: all of -native, though only its letter a is unknown. */
static enum err fail_unknown(const struct parser *parser, const char *shown, const char *typed)
{
    struct suggestion near;
    char hint[64] = "";

    suggestion_init(&near, typed);
    for (const struct option_spec *spec = parser->syntax->table; spec->name; spec++)
        suggestion_consider(&near, spec->name);
    if (near.best)
        snprintf(hint, sizeof(hint), "did you mean --%s? ", near.best);
    return error_set(parser->why, ERR_INVALID, "there is no option %s; %s'%s --help' lists all",
                     shown, hint, parser->syntax->command);
}

/* Stores the value; `attached` is the text behind '=' or a letter, or NULL: the next word. */
static enum err take_value(struct parser *parser, const struct option_spec *spec,
                           const char *attached)
{
    const char *value = attached;

    if (!value && parser->at >= parser->argc)
        return error_set(parser->why, ERR_INVALID,
                         "--%s needs a value: --%s %s; '%s --help' explains it", spec->name,
                         spec->name, spec->value_name, parser->syntax->command);
    if (!value) {
        value = parser->argv[parser->at++];
        /* "-" is standard output and "-5" a wrong number; "-n" is an option behind a gap. */
        if (value[0] == '-' && value[1] && !isdigit((unsigned char)value[1]))
            return error_set(parser->why, ERR_INVALID,
                             "--%s needs a value, but '%s' looks like an option; if it is meant, "
                             "write --%s=%s",
                             spec->name, value, spec->name, value);
    }
    return option_store(spec, value, parser->values, parser->why);
}

static enum err take_option(struct parser *parser, const struct option_spec *spec,
                            const char *attached)
{
    if (spec->value_name)
        return take_value(parser, spec, attached);
    if (attached)
        return error_set(parser->why, ERR_INVALID, "--%s takes no value; write it without '=%s'",
                         spec->name, attached);
    parser->stopped = spec->kind == OPTION_KIND_STOP;
    return option_store(spec, NULL, parser->values, parser->why);
}

static enum err fail_ambiguous(const struct parser *parser, const char *name, size_t length)
{
    cleanup(strbuf_deinit) struct strbuf names = STRBUF_INIT;

    for (const struct option_spec *spec = parser->syntax->table; spec->name; spec++)
        if (strncmp(spec->name, name, length) == 0)
            strbuf_addf(&names, "%s--%s", names.length ? ", " : "", spec->name);
    return error_set(parser->why, ERR_INVALID, "--%.*s may be any of %s; write more of it",
                     (int)length, name, names.text);
}

/* `word` is what follows the dashes: "rate=100". */
static enum err parse_long(struct parser *parser, const char *word)
{
    size_t length = strcspn(word, "=");
    const char *attached = word[length] ? word + length + 1 : NULL;
    const struct option_spec *found = NULL;
    bool ambiguous = false;
    char shown[64];

    for (const struct option_spec *spec = parser->syntax->table; length && spec->name; spec++) {
        if (strncmp(spec->name, word, length) != 0)
            continue;
        if (!spec->name[length])
            return take_option(parser, spec, attached);
        ambiguous |= found != NULL;
        found = spec;
    }
    if (ambiguous)
        return fail_ambiguous(parser, word, length);
    if (found)
        return take_option(parser, found, attached);
    snprintf(shown, sizeof(shown), "--%.*s", (int)length, word);
    return fail_unknown(parser, shown, shown + 2);
}

static const struct option_spec *find_letter(const struct option_spec *table, char letter)
{
    for (; table->name; table++)
        if (table->letter == letter)
            return table;
    return NULL;
}

/* `word` is what follows the dash: "nst", "r100". */
static enum err parse_letters(struct parser *parser, const char *word)
{
    for (const char *at = word; *at && !parser->stopped; at++) {
        const struct option_spec *spec = find_letter(parser->syntax->table, *at);
        enum err err;

        if (!spec)
            return fail_unknown(parser, (char[]){'-', *at, '\0'}, word);
        if (spec->value_name)
            return take_value(parser, spec, at[1] ? at + 1 : NULL);
        err = take_option(parser, spec, NULL);
        if (err)
            return err;
    }
    return ERR_OK;
}

bool option_takes_file(const struct option_spec *spec)
{
    return spec->kind == OPTION_KIND_FILE || spec->kind == OPTION_KIND_FILES;
}

static enum err parse_option(struct parser *parser, const char *word)
{
    return word[1] == '-' ? parse_long(parser, word + 2) : parse_letters(parser, word + 1);
}

enum err options_parse(const struct option_syntax *syntax, int argc, char **argv, void *values,
                       struct operands *ret, struct error *why)
{
    struct parser parser = {syntax, argc, argv, 1, false, values, why};
    bool options_ended = false;
    int operands = 0;

    while (parser.at < argc && !parser.stopped) {
        char *word = argv[parser.at++];
        bool is_option = !options_ended && word[0] == '-' && word[1];
        enum err err = ERR_OK;

        if (is_option && strcmp(word, "--") == 0) {
            options_ended = true;
        } else if (is_option) {
            err = parse_option(&parser, word);
        } else {
            argv[1 + operands++] = word;
            options_ended |= syntax->stops_at_operand;
        }
        if (err)
            return err;
    }
    if (operands + 1 < argc)
        argv[1 + operands] = NULL;
    *ret = (struct operands){operands, argv + 1};
    return ERR_OK;
}
