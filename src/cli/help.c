/* SPDX-License-Identifier: MIT */
#include "pspy/cli/help.h"

#include <string.h>

#include "pspy/base/cleanup.h"
#include "pspy/cli/text.h"

#define HELP_COLUMN 26 /* where descriptions begin */

static void write_usages(struct strbuf *out, const struct command *command)
{
    const char *lead = "Usage: ";

    for (const char *const *usage = command->usages; *usage; usage++) {
        strbuf_addf(out, "%spspy %s%s%s\n", lead, command->name, *command->name ? " " : "", *usage);
        lead = "       ";
    }
}

static void write_option(struct strbuf *out, const struct option_spec *spec)
{
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;
    size_t start = out->length;

    if (spec->letter)
        strbuf_addf(out, "  -%c, --%s", spec->letter, spec->name);
    else
        strbuf_addf(out, "      --%s", spec->name);
    if (spec->value_name)
        strbuf_addf(out, " %s", spec->value_name);
    text_pad(out, start, HELP_COLUMN);
    strbuf_add_text(&text, spec->help);
    if (spec->default_text)
        strbuf_addf(&text, " [default: %s]", spec->default_text);
    text_wrap(out, text.text, HELP_COLUMN, HELP_COLUMN);
}

static void write_choices(struct strbuf *out, const struct choice *choices, size_t indent)
{
    for (; choices && choices->name; choices++) {
        size_t start = out->length;

        strbuf_addf(out, "%*s%s", (int)indent, "", choices->name);
        text_pad(out, start, indent + 14);
        text_wrap(out, choices->help, indent + 14, indent + 14);
    }
}

static void write_options(struct strbuf *out, const struct option_spec *table)
{
    const char *group = "";

    for (; table->name; table++) {
        if (strcmp(table->group, group) != 0)
            strbuf_addf(out, "\n%s:\n", table->group);
        group = table->group;
        write_option(out, table);
        write_choices(out, table->choices, HELP_COLUMN + 2);
    }
}

static void write_commands(struct strbuf *out)
{
    strbuf_add_text(out, "\nCommands (the first letters suffice):\n");
    for (const struct command *const *at = commands; *at; at++) {
        size_t start = out->length;

        if ((*at)->hidden)
            continue;
        strbuf_addf(out, "  %s", (*at)->name);
        text_pad(out, start, 15);
        text_wrap(out, (*at)->summary, 15, 15);
    }
    strbuf_add_text(out, "\n'pspy COMMAND --help' explains a command, 'man pspy' all of them.\n");
}

static void write_examples(struct strbuf *out, const struct example *examples)
{
    if (!examples)
        return;
    strbuf_add_text(out, "\nExamples:\n");
    for (; examples->command_line; examples++)
        strbuf_addf(out, "  # %s\n  %s\n", examples->comment, examples->command_line);
}

void help_write(struct strbuf *out, const struct command *command)
{
    write_usages(out, command);
    for (const char *const *paragraph = command->description; *paragraph; paragraph++) {
        strbuf_add_char(out, '\n');
        text_wrap(out, *paragraph, 0, 0);
    }
    if (command == &program)
        write_commands(out);
    if (command->operand == OPERAND_CHOICE) {
        strbuf_add_char(out, '\n');
        write_choices(out, command->operand_choices, 2);
    }
    write_options(out, command->table);
    write_examples(out, command->examples);
}

static int run(const struct command *command, int argc, char **argv)
{
    const struct command *subject = &program;
    struct error why = ERROR_INIT;
    struct operands operands;
    int status;

    if (!command_parse_help_only(command, argc, argv, &operands, &status))
        return status;
    if (operands.count == 1 && command_find(operands.items[0], &subject, &why))
        return command_fail(&why);
    return command_print_help(subject);
}

static const char *const usages[] = {"[COMMAND]", NULL};
static const char *const description[] = {
    "Shows what 'pspy COMMAND --help' shows, or the list of commands.",
    NULL,
};

const struct command cmd_help = {
    .name = "help",
    .summary = "explain a command",
    .usages = usages,
    .description = description,
    .table = help_only_table,
    .operand = OPERAND_COMMAND,
    .run = run,
};
