/* SPDX-License-Identifier: MIT */
/* pspy's commands: one const struct each, found by name or unique prefix. Only this layer prints.
 */
#ifndef PSPY_CLI_COMMAND_H
#define PSPY_CLI_COMMAND_H

#include <stdio.h>

#include "pspy/base/error.h"
#include "pspy/base/strbuf.h"
#include "pspy/cli/options.h"

/* pspy's own failures, in every command; lower values belong to the program under observation, and
 * 126 and 127 mean what they mean to env(1) and timeout(1). */
#define EXIT_PSPY 125

/* A list of examples ends with a NULL command line. */
struct example {
    const char *command_line;
    const char *comment; /* one line, no final stop */
};

/* What a shell completes where an operand stands. */
enum operand_kind {
    OPERAND_NONE,
    OPERAND_PROGRAM, /* a program to run and its arguments: ends the options */
    OPERAND_CHOICE,  /* one word of `operand_choices` */
    OPERAND_COMMAND, /* the name of one of pspy's commands */
    OPERAND_FILES,   /* recordings to read */
};

struct command {
    const char *name;                /* "record"; "" is pspy itself */
    const char *summary;             /* one line, no capital, no final stop */
    const char *const *usages;       /* what follows "pspy record "; ends with NULL */
    const char *const *description;  /* paragraphs; ends with NULL */
    const struct option_spec *table; /* ends with OPTIONS_END */
    enum operand_kind operand;
    const struct choice *operand_choices; /* of OPERAND_CHOICE */
    const struct example *examples;       /* may be NULL */
    bool hidden;                          /* listed nowhere, found by its full name only */
    /* The exit status. argv[0] is the command's name as it was typed. */
    int (*run)(const struct command *command, int argc, char **argv);
};

/* pspy without a command: its description and its own options. */
extern const struct command program;
/* Ends with NULL; in the order of the help. */
extern const struct command *const commands[];

extern const struct command cmd_record;
extern const struct command cmd_convert;
extern const struct command cmd_report;
extern const struct command cmd_merge;
extern const struct command cmd_diff;
extern const struct command cmd_completions;
extern const struct command cmd_help;
extern const struct command cmd_man;

/* The members of `program`'s table. */
struct program_options {
    bool help;
    bool version;
};

/* By name or unique prefix. */
enum err command_find(const char *name, const struct command **ret, struct error *why);
/* How many letters of a listed command's name suffice to mean it. */
size_t command_prefix_length(const struct command *command);
/* options_parse over the command's table. */
enum err command_parse(const struct command *command, int argc, char **argv, void *values,
                       struct operands *ret, struct error *why);

/* The table of a command that knows only --help and at most one operand, and the reading of it:
 * true to go on, else the run function returns *ret_status. */
extern const struct option_spec help_only_table[];
bool command_parse_help_only(const struct command *command, int argc, char **argv,
                             struct operands *ret, int *ret_status);

/* Prints the sentence to stderr and returns EXIT_PSPY. */
int command_fail(const struct error *why);
/* Prints to stdout and returns 0, or EXIT_PSPY if it could not be written. */
int command_print(const struct strbuf *text);
/* Prints the command's --help to stdout; returns like command_print. */
int command_print_help(const struct command *command);

#endif
