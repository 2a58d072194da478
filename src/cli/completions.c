/* SPDX-License-Identifier: MIT */
#include "pspy/cli/completions.h"

#include <string.h>

#include "pspy/base/cleanup.h"

static const struct choice shells[] = {
    {"bash", "for bash 4.4 and later"},
    {"zsh", "for zsh 5 and later, after compinit"},
    {"fish", "for fish 3 and later"},
    {NULL, NULL},
};

/* In the order of `shells`. */
static void (*const writers[])(struct strbuf *out) = {
    completions_write_bash,
    completions_write_zsh,
    completions_write_fish,
};

void completions_add_prefixes(struct strbuf *out, const struct command *command,
                              const char *separator)
{
    size_t full = strlen(command->name);

    for (size_t length = command_prefix_length(command); length <= full; length++) {
        strbuf_add(out, command->name, length);
        if (length < full)
            strbuf_add_text(out, separator);
    }
}

static int run(const struct command *command, int argc, char **argv)
{
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;
    const struct choice *shell = NULL;
    struct error why = ERROR_INIT;
    struct operands operands;
    int status;

    if (!command_parse_help_only(command, argc, argv, &operands, &status))
        return status;
    if (operands.count == 1)
        shell = choice_find(shells, operands.items[0]);
    if (!shell) {
        error_set(&why, ERR_INVALID,
                  "'pspy completions' needs one shell's name: bash, zsh or fish");
        return command_fail(&why);
    }
    writers[shell - shells](&text);
    return command_print(&text);
}

static const char *const usages[] = {"bash|zsh|fish", NULL};
static const char *const description[] = {
    "Prints a script that teaches a shell to complete pspy's commands, options and values. "
    "'make install' puts the scripts in their places.",
    NULL,
};

static const struct example examples[] = {
    {"source <(pspy completions bash)", "in bash, for this session"},
    {"source <(pspy completions zsh)", "in zsh, for this session"},
    {"pspy completions fish | source", "in fish, for this session"},
    {NULL, NULL},
};

const struct command cmd_completions = {
    .name = "completions",
    .summary = "print a script that completes pspy's words in a shell",
    .usages = usages,
    .description = description,
    .table = help_only_table,
    .operand = OPERAND_CHOICE,
    .operand_choices = shells,
    .examples = examples,
    .run = run,
};
