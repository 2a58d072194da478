/* SPDX-License-Identifier: MIT */
#include "pspy/base/cleanup.h"
#include "pspy/cli/command.h"
#include "pspy/cli/help.h"

static int print_version(void)
{
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;

    strbuf_add_text(&text, "pspy " PSPY_VERSION "\n");
    return command_print(&text);
}

/* Help that nobody asked for goes to stderr: `pspy >file` must not look like a success. */
static int fail_without_command(void)
{
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;

    help_write(&text, &program);
    fputs(text.text, stderr);
    return EXIT_PSPY;
}

int main(int argc, char **argv)
{
    struct program_options options = {false, false};
    const struct command *command;
    struct operands operands;
    struct error why = ERROR_INIT;

    if (command_parse(&program, argc, argv, &options, &operands, &why))
        return command_fail(&why);
    if (options.help)
        return command_print_help(&program);
    if (options.version)
        return print_version();
    if (operands.count == 0)
        return fail_without_command();
    if (command_find(operands.items[0], &command, &why))
        return command_fail(&why);
    return command->run(command, operands.count, operands.items);
}
