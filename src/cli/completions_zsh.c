/* SPDX-License-Identifier: MIT */
/* For zsh: one _arguments specification a command. */
#include "pspy/cli/completions.h"

/* Text inside [...] or after a colon of a specification that stands between single quotes. */
static void add_text(struct strbuf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            strbuf_add_text(out, "'\\''");
        else if (*text == '[' || *text == ']' || *text == ':' || *text == '\\')
            strbuf_addf(out, "\\%c", *text);
        else
            strbuf_add_char(out, *text);
    }
}

static void add_choices(struct strbuf *out, const struct choice *choices)
{
    strbuf_add_text(out, "((");
    for (const struct choice *at = choices; at->name; at++) {
        strbuf_addf(out, "%s%s\\:\"", at == choices ? "" : " ", at->name);
        add_text(out, at->help);
        strbuf_add_char(out, '"');
    }
    strbuf_add_text(out, "))");
}

static void add_value(struct strbuf *out, const struct option_spec *spec)
{
    strbuf_addf(out, ":%s:", spec->value_name);
    if (option_takes_file(spec))
        strbuf_add_text(out, "_files");
    else if (spec->kind == OPTION_KIND_PID)
        strbuf_add_text(out, "_pids");
    else if (spec->kind == OPTION_KIND_CHOICE)
        add_choices(out, spec->choices);
}

/* '(-r --rate)'{-r+,--rate=}'[samples a second]:RATE:' */
static void add_option(struct strbuf *out, const struct option_spec *spec)
{
    bool value = spec->value_name;
    const char *excluded = spec->kind == OPTION_KIND_STOP ? "- *" : NULL;

    strbuf_add_text(out, "                '(");
    if (excluded)
        strbuf_add_text(out, excluded);
    else if (spec->letter)
        strbuf_addf(out, "-%c --%s", spec->letter, spec->name);
    else
        strbuf_addf(out, "--%s", spec->name);
    if (spec->letter)
        strbuf_addf(out, ")'{-%c%s,--%s%s}'[", spec->letter, value ? "+" : "", spec->name,
                    value ? "=" : "");
    else
        strbuf_addf(out, ")--%s%s[", spec->name, value ? "=" : "");
    add_text(out, spec->help);
    strbuf_add_char(out, ']');
    if (value)
        add_value(out, spec);
    strbuf_add_text(out, "' \\\n");
}

static void add_options(struct strbuf *out, const struct option_spec *table)
{
    for (; table->name; table++)
        add_option(out, table);
}

static void add_operand(struct strbuf *out, const struct command *command)
{
    strbuf_add_text(out, "                ");
    switch (command->operand) {
    case OPERAND_NONE:
        strbuf_add_text(out, "&& ret=0");
        break;
    case OPERAND_PROGRAM:
        strbuf_add_text(out, "'(-)1:program:_command_names -e' '*::argument:_normal' && ret=0");
        break;
    case OPERAND_CHOICE:
        strbuf_add_text(out, "'1:name:");
        add_choices(out, command->operand_choices);
        strbuf_add_text(out, "' && ret=0");
        break;
    case OPERAND_COMMAND:
        strbuf_add_text(out, "'1:command:_pspy_commands' && ret=0");
        break;
    case OPERAND_FILES:
        strbuf_add_text(out, "'*:recording:_files' && ret=0");
        break;
    }
    strbuf_add_text(out, " ;;\n");
}

static void add_command(struct strbuf *out, const struct command *command)
{
    strbuf_add_text(out, "        ");
    completions_add_prefixes(out, command, "|");
    strbuf_add_text(out, ")\n            _arguments -s -S : \\\n");
    add_options(out, command->table);
    add_operand(out, command);
}

static void add_command_names(struct strbuf *out)
{
    strbuf_add_text(out, "_pspy_commands()\n{\n    local -a names=(\n");
    for (const struct command *const *at = commands; *at; at++) {
        if ((*at)->hidden)
            continue;
        strbuf_addf(out, "        '%s:", (*at)->name);
        add_text(out, (*at)->summary);
        strbuf_add_text(out, "'\n");
    }
    strbuf_add_text(out, "    )\n    _describe command names\n}\n\n");
}

void completions_write_zsh(struct strbuf *out)
{
    strbuf_add_text(out, "#compdef pspy\n"
                         "# zsh completion for pspy, printed by 'pspy completions zsh'.\n\n");
    add_command_names(out);
    strbuf_add_text(out, "_pspy()\n{\n"
                         "    local curcontext=$curcontext state line ret=1\n"
                         "    typeset -A opt_args\n\n"
                         "    _arguments -C -S : \\\n");
    add_options(out, program.table);
    strbuf_add_text(out, "                '1:command:_pspy_commands' '*::argument:->words' "
                         "&& ret=0\n"
                         "    [[ $state == words ]] || return ret\n"
                         "    case $words[1] in\n");
    for (const struct command *const *at = commands; *at; at++)
        if (!(*at)->hidden)
            add_command(out, *at);
    strbuf_add_text(out, "    esac\n    return ret\n}\n\n"
                         "if [[ $funcstack[1] == _pspy ]]; then\n"
                         "    _pspy \"$@\"\n"
                         "else\n"
                         "    compdef _pspy pspy\n"
                         "fi\n");
}
