/* SPDX-License-Identifier: MIT */
/*
 * For bash: three functions with the tables' facts and one that uses them. The script needs no
 * bash-completion package; with it, the program's own words are completed too.
 */
#include "pspy/cli/completions.h"

/* What the facts are for: where the word stands decides what it may be. A '=' in --name=value is a
 * word of its own for bash. */
static const char engine[] =
    "_pspy_pending()\n"
    "{\n"
    "    local letters value\n"
    "    case $2 in\n"
    "        --*) _pspy_value \"$1\" \"$2\" ;;\n"
    "        -*)\n"
    "            for ((letters = 1; letters < ${#2}; letters++)); do\n"
    "                value=$(_pspy_value \"$1\" \"-${2:letters:1}\")\n"
    "                if [[ -n $value ]]; then\n"
    "                    ((letters + 1 == ${#2})) && printf '%s\\n' \"$value\"\n"
    "                    return\n"
    "                fi\n"
    "            done ;;\n"
    "    esac\n"
    "}\n"
    "\n"
    "_pspy_program()\n"
    "{\n"
    "    if declare -F _command_offset >/dev/null; then\n"
    "        _command_offset \"$1\"\n"
    "        return\n"
    "    fi\n"
    "    compopt -o filenames 2>/dev/null\n"
    "    if (($1 == COMP_CWORD)); then\n"
    "        mapfile -t COMPREPLY < <(compgen -c -- \"$2\" | sort -u)\n"
    "    else\n"
    "        mapfile -t COMPREPLY < <(compgen -f -- \"$2\")\n"
    "    fi\n"
    "}\n"
    "\n"
    "_pspy()\n"
    "{\n"
    "    local IFS=$' \\t\\n' current=${COMP_WORDS[COMP_CWORD]} command= pending= ended= word at\n"
    "    COMPREPLY=()\n"
    "    for ((at = 1; at < COMP_CWORD; at++)); do\n"
    "        word=${COMP_WORDS[at]}\n"
    "        if [[ -n $pending ]]; then\n"
    "            [[ $word == = ]] || pending=\n"
    "        elif [[ -z $ended && $word == -- ]]; then\n"
    "            ended=1\n"
    "        elif [[ -z $ended && $word == -?* ]]; then\n"
    "            pending=$(_pspy_pending \"$command\" \"$word\")\n"
    "        elif [[ -z $command ]]; then\n"
    "            command=$(_pspy_command \"$word\")\n"
    "            [[ -n $command ]] || return\n"
    "            ended=\n"
    "        elif [[ $(_pspy_operand \"$command\") == program ]]; then\n"
    "            _pspy_program \"$at\" \"$current\"\n"
    "            return\n"
    "        fi\n"
    "    done\n"
    "    [[ -n $pending && $current == = ]] && current=\n"
    "    if [[ -z $pending && -z $ended && $current == -* ]]; then\n"
    "        mapfile -t COMPREPLY < <(compgen -W \"$(_pspy_options \"$command\")\" -- "
    "\"$current\")\n"
    "        return\n"
    "    fi\n"
    "    [[ -n $pending ]] || pending=$(_pspy_operand \"$command\")\n"
    "    case $pending in\n"
    "        program) _pspy_program \"$COMP_CWORD\" \"$current\" ;;\n"
    "        file)\n"
    "            compopt -o filenames 2>/dev/null\n"
    "            mapfile -t COMPREPLY < <(compgen -f -- \"$current\") ;;\n"
    "        pid)\n"
    "            pending=$(cd /proc && printf '%s ' [1-9]*)\n"
    "            mapfile -t COMPREPLY < <(compgen -W \"$pending\" -- \"$current\") ;;\n"
    "        words*) mapfile -t COMPREPLY < <(compgen -W \"${pending#words}\" -- \"$current\") ;;\n"
    "    esac\n"
    "}\n"
    "\n"
    "complete -F _pspy pspy\n";

static void add_choices(struct strbuf *out, const struct choice *choices)
{
    strbuf_add_text(out, "words");
    for (; choices->name; choices++)
        strbuf_addf(out, " %s", choices->name);
}

static void add_command_names(struct strbuf *out)
{
    strbuf_add_text(out, "words");
    for (const struct command *const *at = commands; *at; at++)
        if (!(*at)->hidden)
            strbuf_addf(out, " %s", (*at)->name);
}

/* rec -> record */
static void add_command_function(struct strbuf *out)
{
    strbuf_add_text(out, "_pspy_command()\n{\n    case $1 in\n");
    for (const struct command *const *at = commands; *at; at++) {
        if ((*at)->hidden)
            continue;
        strbuf_add_text(out, "        ");
        completions_add_prefixes(out, *at, "|");
        strbuf_addf(out, ") echo %s ;;\n", (*at)->name);
    }
    strbuf_add_text(out, "    esac\n}\n\n");
}

static void add_operand_row(struct strbuf *out, const struct command *command)
{
    if (command->operand == OPERAND_NONE)
        return;
    strbuf_addf(out, "        '%s') echo '", command->name);
    if (command->operand == OPERAND_PROGRAM)
        strbuf_add_text(out, "program");
    else if (command->operand == OPERAND_FILES)
        strbuf_add_text(out, "file");
    else if (command->operand == OPERAND_CHOICE)
        add_choices(out, command->operand_choices);
    else
        add_command_names(out);
    strbuf_add_text(out, "' ;;\n");
}

static void add_options_row(struct strbuf *out, const struct command *command)
{
    strbuf_addf(out, "        '%s') echo '", command->name);
    for (const struct option_spec *spec = command->table; spec->name; spec++) {
        strbuf_addf(out, "%s--%s", spec == command->table ? "" : " ", spec->name);
        if (spec->letter)
            strbuf_addf(out, " -%c", spec->letter);
    }
    strbuf_add_text(out, "' ;;\n");
}

/* record --format -> words flamegraph ... */
static void add_value_rows(struct strbuf *out, const struct command *command)
{
    for (const struct option_spec *spec = command->table; spec->name; spec++) {
        if (!spec->value_name)
            continue;
        strbuf_addf(out, "        '%s --%s'", command->name, spec->name);
        if (spec->letter)
            strbuf_addf(out, " | '%s -%c'", command->name, spec->letter);
        strbuf_add_text(out, ") echo '");
        if (option_takes_file(spec))
            strbuf_add_text(out, "file");
        else if (spec->kind == OPTION_KIND_PID)
            strbuf_add_text(out, "pid");
        else if (spec->kind == OPTION_KIND_CHOICE)
            add_choices(out, spec->choices);
        else
            strbuf_add_text(out, "other");
        strbuf_add_text(out, "' ;;\n");
    }
}

static void add_function(struct strbuf *out, const char *name, const char *subject,
                         void (*add_row)(struct strbuf *, const struct command *))
{
    strbuf_addf(out, "%s()\n{\n    case %s in\n", name, subject);
    add_row(out, &program);
    for (const struct command *const *at = commands; *at; at++)
        if (!(*at)->hidden)
            add_row(out, *at);
    strbuf_add_text(out, "    esac\n}\n\n");
}

void completions_write_bash(struct strbuf *out)
{
    strbuf_add_text(out, "# bash completion for pspy, printed by 'pspy completions bash'.\n\n");
    add_command_function(out);
    add_function(out, "_pspy_operand", "$1", add_operand_row);
    add_function(out, "_pspy_options", "$1", add_options_row);
    add_function(out, "_pspy_value", "\"$1 $2\"", add_value_rows);
    strbuf_add_text(out, engine);
}
