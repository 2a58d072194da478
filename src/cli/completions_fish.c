/* SPDX-License-Identifier: MIT */
/* For fish: one `complete` line an option, and a function that says which command is being typed.
 */
#include "pspy/cli/completions.h"

/* Prints the command's name, and where its options are over "program" and the program's words. */
static const char engine[] =
    "function __pspy_words\n"
    "    set -l words (commandline -opc)[2..-1]\n"
    "    set -l command ''\n"
    "    set -l ended 0\n"
    "    while set -q words[1]\n"
    "        set -l word $words[1]\n"
    "        set -e words[1]\n"
    "        if test $ended = 0; and test \"$word\" = --\n"
    "            set ended 1\n"
    "        else if test $ended = 0; and string match -q -- '-?*' $word\n"
    "            __pspy_takes_value \"$command\" $word; and set -e words[1]\n"
    "        else if test -z \"$command\"\n"
    "            set command (__pspy_command $word)\n"
    "            test -n \"$command\"; or return\n"
    "            set ended 0\n"
    "        else if __pspy_runs_program $command\n"
    "            printf '%s\\n' $command program $word $words\n"
    "            return\n"
    "        end\n"
    "    end\n"
    "    printf '%s\\n' $command\n"
    "    test $ended = 1; and echo program\n"
    "end\n"
    "\n"
    "function __pspy_in\n"
    "    test (count $argv) = 0; and set argv ''\n"
    "    set -l words (__pspy_words)\n"
    "    test (count $words) -le 1; and test \"$words\" = \"$argv[1]\"\n"
    "end\n"
    "\n"
    "function __pspy_in_program\n"
    "    set -l words (__pspy_words)\n"
    "    set -q words[1]; and __pspy_runs_program $words[1]\n"
    "end\n"
    "\n"
    "function __pspy_complete_program\n"
    "    set -l words (__pspy_words)[3..-1]\n"
    "    set -q words[1]; and set words (string escape -- $words)\n"
    "    set -a words (commandline -ct)\n"
    "    complete \"--do-complete=$words\"\n"
    "end\n"
    "\n"
    "complete -c pspy -f\n"
    "complete -c pspy -n __pspy_in_program -a '(__pspy_complete_program)'\n";

static void add_text(struct strbuf *out, const char *text)
{
    strbuf_add_char(out, '\'');
    for (; *text; text++)
        strbuf_addf(out, *text == '\'' || *text == '\\' ? "\\%c" : "%c", *text);
    strbuf_add_char(out, '\'');
}

static void add_command_function(struct strbuf *out)
{
    strbuf_add_text(out, "function __pspy_command\n    switch \"$argv[1]\"\n");
    for (const struct command *const *at = commands; *at; at++) {
        if ((*at)->hidden)
            continue;
        strbuf_add_text(out, "        case ");
        completions_add_prefixes(out, *at, " ");
        strbuf_addf(out, "\n            echo %s\n", (*at)->name);
    }
    strbuf_add_text(out, "    end\nend\n\n");
}

static void add_program_function(struct strbuf *out)
{
    strbuf_add_text(out, "function __pspy_runs_program\n    contains -- \"$argv[1]\"");
    for (const struct command *const *at = commands; *at; at++)
        if (!(*at)->hidden && (*at)->operand == OPERAND_PROGRAM)
            strbuf_addf(out, " %s", (*at)->name);
    strbuf_add_text(out, "\nend\n\n");
}

static void add_value_rows(struct strbuf *out, const struct command *command)
{
    for (const struct option_spec *spec = command->table; spec->name; spec++) {
        if (!spec->value_name)
            continue;
        strbuf_addf(out, " '%s --%s'", command->name, spec->name);
        if (spec->letter)
            strbuf_addf(out, " '%s -%c'", command->name, spec->letter);
    }
}

static void add_value_function(struct strbuf *out)
{
    strbuf_add_text(out, "function __pspy_takes_value\n    contains -- \"$argv[1] $argv[2]\"");
    for (const struct command *const *at = commands; *at; at++)
        if (!(*at)->hidden)
            add_value_rows(out, *at);
    strbuf_add_text(out, "\nend\n\n");
}

static void add_value(struct strbuf *out, const struct option_spec *spec)
{
    if (option_takes_file(spec)) {
        strbuf_add_text(out, " -r -F");
    } else if (spec->kind == OPTION_KIND_PID) {
        strbuf_add_text(out, " -x -a '(__fish_complete_pids)'");
    } else if (spec->kind == OPTION_KIND_CHOICE) {
        strbuf_add_text(out, " -x -a \"");
        for (const struct choice *at = spec->choices; at->name; at++)
            strbuf_addf(out, "%s%s\\t'%s'", at == spec->choices ? "" : " ", at->name, at->help);
        strbuf_add_char(out, '"');
    } else {
        strbuf_add_text(out, " -x");
    }
}

static void add_options(struct strbuf *out, const struct command *command)
{
    for (const struct option_spec *spec = command->table; spec->name; spec++) {
        strbuf_addf(out, "complete -c pspy -n '__pspy_in %s' -l %s", command->name, spec->name);
        if (spec->letter)
            strbuf_addf(out, " -s %c", spec->letter);
        if (spec->value_name)
            add_value(out, spec);
        strbuf_add_text(out, " -d ");
        add_text(out, spec->help);
        strbuf_add_char(out, '\n');
    }
}

static void add_command_names(struct strbuf *out, const char *where)
{
    for (const struct command *const *at = commands; *at; at++) {
        if ((*at)->hidden)
            continue;
        strbuf_addf(out, "complete -c pspy -n '__pspy_in %s' -a %s -d ", where, (*at)->name);
        add_text(out, (*at)->summary);
        strbuf_add_char(out, '\n');
    }
}

static void add_operand(struct strbuf *out, const struct command *command)
{
    if (command->operand == OPERAND_COMMAND)
        add_command_names(out, command->name);
    if (command->operand == OPERAND_FILES)
        strbuf_addf(out, "complete -c pspy -n '__pspy_in %s' -F\n", command->name);
    for (const struct choice *at = command->operand_choices; at && at->name; at++)
        strbuf_addf(out, "complete -c pspy -n '__pspy_in %s' -a %s\n", command->name, at->name);
}

void completions_write_fish(struct strbuf *out)
{
    strbuf_add_text(out, "# fish completion for pspy, printed by 'pspy completions fish'.\n\n");
    add_command_function(out);
    add_program_function(out);
    add_value_function(out);
    strbuf_add_text(out, engine);
    add_options(out, &program);
    add_operand(out, &program);
    for (const struct command *const *at = commands; *at; at++)
        if (!(*at)->hidden) {
            add_options(out, *at);
            add_operand(out, *at);
        }
}
