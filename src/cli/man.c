/* SPDX-License-Identifier: MIT */
#include "pspy/cli/man.h"

#include <ctype.h>
#include <string.h>

#include "pspy/base/cleanup.h"
#include "pspy/cli/command.h"

#define MAN_DATE "December 1, 2026"

static const struct {
    const char *status;
    const char *meaning;
} statuses[] = {
    {"0", "What was asked for was written, and a program that pspy started succeeded."},
    {"1", "pspy diff --fail-above: a function grew by more. Else the program's own status."},
    {"125", "pspy itself failed; a sentence on standard error says why."},
    {"126", "The program was found and could not be started."},
    {"127", "The program was not found."},
    {"other", "The exit status of the program that pspy started, or 128 and the number of the "
              "signal that ended it."},
};

/* Text of a macro line or a text line. A dash that begins a word is an option's and must stay an
 * ASCII minus; one inside a word is a hyphen. A dot or quote at a line's start would be a macro. */
static void add_escaped(struct strbuf *out, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        char before = i ? text[i - 1] : out->length ? out->text[out->length - 1] : '\n';

        if (text[i] == '\\')
            strbuf_add_text(out, "\\e");
        else if (text[i] == '-' && !isalnum((unsigned char)before))
            strbuf_add_text(out, "\\-");
        else if ((text[i] == '.' || text[i] == '\'') && (before == '\n' || before == ' '))
            strbuf_addf(out, "\\&%c", text[i]);
        else
            strbuf_add_char(out, text[i]);
    }
}

/* mdoc wants each sentence on a line of its own, and short lines. */
static void add_text(struct strbuf *out, const char *text)
{
    size_t column = 0;

    while (*(text += strspn(text, " "))) {
        size_t length = strcspn(text, " ");
        bool ends_sentence = length > 1 && text[length - 1] == '.';

        if (column)
            strbuf_add_char(out, ' ');
        add_escaped(out, text, length);
        text += length;
        column += length + 1;
        if (ends_sentence || column > 60 || !*text) {
            strbuf_add_char(out, '\n');
            column = 0;
        }
    }
}

/* Words behind a macro are quoted: "Ar" would be a macro of its own there. */
static void add_argument(struct strbuf *out, const char *text)
{
    strbuf_add_char(out, '"');
    for (; *text; text++)
        if (*text == '"')
            strbuf_add_text(out, "\\(dq");
        else if (*text == '-')
            strbuf_add_text(out, "\\-");
        else
            strbuf_add_char(out, *text);
    strbuf_add_char(out, '"');
}

/* For --help alone: "a few words" becomes "A few words." */
static void add_sentence(struct strbuf *out, const char *text)
{
    cleanup(strbuf_deinit) struct strbuf sentence = STRBUF_INIT;

    strbuf_addf(&sentence, "%c%s.", toupper((unsigned char)text[0]), text + 1);
    add_text(out, sentence.text);
}

static void add_choices(struct strbuf *out, const struct choice *choices)
{
    strbuf_add_text(out, ".Bl -tag -width Ds\n");
    for (; choices->name; choices++) {
        strbuf_addf(out, ".It Cm %s\n", choices->name);
        add_sentence(out, choices->help);
    }
    strbuf_add_text(out, ".El\n");
}

static void add_option(struct strbuf *out, const struct option_spec *spec)
{
    strbuf_add_text(out, ".It ");
    if (spec->letter)
        strbuf_addf(out, "Fl %c , ", spec->letter);
    strbuf_add_text(out, "Fl \\-");
    for (const char *at = spec->name; *at; at++)
        strbuf_addf(out, *at == '-' ? "\\%c" : "%c", *at);
    if (spec->value_name) {
        strbuf_add_text(out, " Ar ");
        add_argument(out, spec->value_name);
    }
    strbuf_add_char(out, '\n');
    if (spec->manual)
        add_text(out, spec->manual);
    else
        add_sentence(out, spec->help);
    if (spec->default_text) {
        cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;

        strbuf_addf(&text, "Default: %s.", spec->default_text);
        add_text(out, text.text);
    }
    if (spec->choices)
        add_choices(out, spec->choices);
}

static void add_options(struct strbuf *out, const struct option_spec *table)
{
    strbuf_add_text(out, ".Bl -tag -width Ds\n");
    for (; table->name; table++)
        add_option(out, table);
    strbuf_add_text(out, ".El\n");
}

static void add_usages(struct strbuf *out, const struct command *command)
{
    for (const char *const *usage = command->usages; *usage; usage++) {
        strbuf_addf(out, ".Nm pspy%s%s\n.Li ", *command->name ? " Cm " : "", command->name);
        add_argument(out, *usage);
        strbuf_add_char(out, '\n');
    }
}

static void add_description(struct strbuf *out, const struct command *command)
{
    for (const char *const *paragraph = command->description; *paragraph; paragraph++) {
        strbuf_add_text(out, paragraph == command->description ? "" : ".Pp\n");
        add_text(out, *paragraph);
    }
}

static void add_command(struct strbuf *out, const struct command *command)
{
    strbuf_addf(out, ".Ss pspy %s\n", command->name);
    add_description(out, command);
    if (command->operand == OPERAND_CHOICE)
        add_choices(out, command->operand_choices);
    add_options(out, command->table);
}

static void add_examples(struct strbuf *out, const struct command *command)
{
    for (const struct example *at = command->examples; at && at->command_line; at++) {
        strbuf_add_text(out, ".Pp\n");
        add_sentence(out, at->comment);
        strbuf_add_text(out, ".Dl ");
        add_escaped(out, at->command_line, strlen(at->command_line));
        strbuf_add_char(out, '\n');
    }
}

static void add_statuses(struct strbuf *out)
{
    strbuf_add_text(out, ".Sh EXIT STATUS\n.Bl -tag -width other\n");
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        strbuf_addf(out, ".It %s\n", statuses[i].status);
        add_text(out, statuses[i].meaning);
    }
    strbuf_add_text(out, ".El\n");
}

static void add_each(struct strbuf *out, void (*add)(struct strbuf *, const struct command *))
{
    for (const struct command *const *at = commands; *at; at++)
        if (!(*at)->hidden)
            add(out, *at);
}

void man_write(struct strbuf *out)
{
    strbuf_add_text(out, ".Dd " MAN_DATE "\n.Dt PSPY 1\n.Os\n.Sh NAME\n.Nm pspy\n");
    strbuf_addf(out, ".Nd %s\n.Sh SYNOPSIS\n", program.summary);
    add_each(out, add_usages);
    add_usages(out, &program);
    strbuf_add_text(out, ".Sh DESCRIPTION\n");
    add_description(out, &program);
    strbuf_add_text(out, ".Pp\nThe options before the command are:\n");
    add_options(out, program.table);
    strbuf_add_text(out, ".Pp\n");
    add_text(out,
             "The first letters of a command or of a long option suffice where only one begins "
             "so.");
    strbuf_add_text(out, ".Sh COMMANDS\n");
    add_each(out, add_command);
    add_statuses(out);
    strbuf_add_text(out, ".Sh EXAMPLES\nCommand lines to start from:\n");
    add_each(out, add_examples);
    strbuf_add_text(
        out, ".Sh SEE ALSO\n.Xr perf 1 ,\n.Xr pgrep 1 ,\n.Xr ptrace 2 ,\n.Xr pspy-recording 5\n");
}

static const struct choice pages[] = {
    {"pspy", "pspy(1), the commands; also without an operand"},
    {"recording", "pspy-recording(5), the file format"},
    {NULL, NULL},
};

static int run(const struct command *command, int argc, char **argv)
{
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;
    const struct choice *page = pages;
    struct error why = ERROR_INIT;
    struct operands operands;
    int status;

    if (!command_parse_help_only(command, argc, argv, &operands, &status))
        return status;
    if (operands.count)
        page = choice_find(pages, operands.items[0]);
    if (!page) {
        error_set(&why, ERR_INVALID, "there is no manual page '%s': there are pspy and recording",
                  operands.items[0]);
        return command_fail(&why);
    }
    if (page == pages)
        man_write(&text);
    else
        man_write_recording(&text);
    return command_print(&text);
}

static const char *const usages[] = {"[pspy|recording]", NULL};
static const char *const description[] = {
    "Prints the manual page pspy(1) or pspy-recording(5) in mdoc(7) macros.",
    NULL,
};

const struct command cmd_man = {
    .name = "man",
    .summary = "print a manual page",
    .usages = usages,
    .description = description,
    .table = help_only_table,
    .operand = OPERAND_CHOICE,
    .operand_choices = pages,
    .hidden = true,
    .run = run,
};
