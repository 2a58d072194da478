/* SPDX-License-Identifier: MIT */
/* The table of commands, and what all of them share. */
#include "pspy/cli/command.h"

#include <errno.h>
#include <string.h>

#include "pspy/base/cleanup.h"
#include "pspy/cli/help.h"
#include "pspy/cli/suggest.h"

static const struct option_spec program_table[] = {
    {
        OPTION_STOP(struct program_options, help),
        .letter = 'h',
        .name = "help",
        .group = "Options",
        .help = "show this help",
    },
    {
        OPTION_STOP(struct program_options, version),
        .letter = 'V',
        .name = "version",
        .group = "Options",
        .help = "show pspy's version",
    },
    OPTIONS_END,
};

static const char *const program_usages[] = {"COMMAND [options]", "-h | -V", NULL};

static const char *const program_description[] = {
    "pspy is a sampling profiler for Python programs on Linux. It looks at a program from "
    "outside, many times a second, and tells where the time goes: in Python functions and in the "
    "C, C++ or Fortran code below them. The program needs no changes and no restart.",
    NULL,
};

static const struct example program_examples[] = {
    {"pspy record -o profile.svg -- python3 app.py", "a flame graph of a program from its start"},
    {"pspy record -p 1234 -d 30", "30 seconds of a process that runs already"},
    {NULL, NULL},
};

const struct command program = {
    .name = "",
    .summary = "sampling profiler for Python programs",
    .usages = program_usages,
    .description = program_description,
    .table = program_table,
    .operand = OPERAND_COMMAND,
    .examples = program_examples,
};

const struct command *const commands[] = {
    &cmd_record,      &cmd_report, &cmd_convert, &cmd_merge, &cmd_diff,
    &cmd_completions, &cmd_help,   &cmd_man,     NULL,
};

struct help_only {
    bool help;
};

const struct option_spec help_only_table[] = {
    {
        OPTION_STOP(struct help_only, help),
        .letter = 'h',
        .name = "help",
        .group = "Options",
        .help = "show this help",
    },
    OPTIONS_END,
};

static enum err fail_unknown(const char *name, struct error *why)
{
    struct suggestion near;

    suggestion_init(&near, name);
    for (const struct command *const *at = commands; *at; at++)
        if (!(*at)->hidden)
            suggestion_consider(&near, (*at)->name);
    if (near.best)
        return error_set(why, ERR_INVALID,
                         "there is no command '%s'; did you mean '%s'? 'pspy --help' lists all",
                         name, near.best);
    return error_set(why, ERR_INVALID,
                     "there is no command '%s'; 'pspy record -- %s' profiles a program of that "
                     "name, 'pspy --help' lists the commands",
                     name, name);
}

enum err command_find(const char *name, const struct command **ret, struct error *why)
{
    size_t length = strlen(name);
    const struct command *found = NULL;

    for (const struct command *const *at = commands; *at; at++) {
        if (strcmp((*at)->name, name) == 0) {
            *ret = *at;
            return ERR_OK;
        }
        if ((*at)->hidden || length == 0 || strncmp((*at)->name, name, length) != 0)
            continue;
        if (found)
            return error_set(why, ERR_INVALID, "'%s' may be %s or %s; write more of it", name,
                             found->name, (*at)->name);
        found = *at;
    }
    if (!found)
        return fail_unknown(name, why);
    *ret = found;
    return ERR_OK;
}

size_t command_prefix_length(const struct command *command)
{
    size_t needed = 1;

    for (const struct command *const *at = commands; *at; at++) {
        const char *other = (*at)->name;
        size_t common = 0;

        if (*at == command || (*at)->hidden)
            continue;
        while (other[common] && other[common] == command->name[common])
            common++;
        if (common + 1 > needed)
            needed = common + 1;
    }
    return needed;
}

enum err command_parse(const struct command *command, int argc, char **argv, void *values,
                       struct operands *ret, struct error *why)
{
    char name[64];
    struct option_syntax syntax = {
        .command = name,
        .table = command->table,
        .stops_at_operand = command->operand == OPERAND_PROGRAM || command == &program,
    };

    snprintf(name, sizeof(name), "pspy%s%s", *command->name ? " " : "", command->name);
    return options_parse(&syntax, argc, argv, values, ret, why);
}

bool command_parse_help_only(const struct command *command, int argc, char **argv,
                             struct operands *ret, int *ret_status)
{
    struct help_only values = {false};
    struct error why = ERROR_INIT;

    if (command_parse(command, argc, argv, &values, ret, &why)) {
        *ret_status = command_fail(&why);
        return false;
    }
    if (values.help) {
        *ret_status = command_print_help(command);
        return false;
    }
    if (ret->count > (command->operand != OPERAND_NONE)) {
        error_set(&why, ERR_INVALID, "'pspy %s' has no use for '%s'; 'pspy %s --help' explains it",
                  command->name, ret->items[ret->count - 1], command->name);
        *ret_status = command_fail(&why);
        return false;
    }
    return true;
}

int command_fail(const struct error *why)
{
    fprintf(stderr, "pspy: %s\n", why->message);
    return EXIT_PSPY;
}

int command_print(const struct strbuf *text)
{
    struct error why = ERROR_INIT;

    if (fwrite(text->text, 1, text->length, stdout) == text->length && fflush(stdout) == 0)
        return 0;
    error_set_errno(&why, errno, "cannot write to standard output");
    return command_fail(&why);
}

int command_print_help(const struct command *command)
{
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;

    help_write(&text, command);
    return command_print(&text);
}
