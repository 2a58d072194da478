/* SPDX-License-Identifier: MIT */
/* Completion scripts for the shells, made from the tables of all commands. */
#ifndef PSPY_CLI_COMPLETIONS_H
#define PSPY_CLI_COMPLETIONS_H

#include "pspy/cli/command.h"

void completions_write_bash(struct strbuf *out);
void completions_write_zsh(struct strbuf *out);
void completions_write_fish(struct strbuf *out);

/* Appends every prefix that means the command, longest last: r|re|rec with `separator` "|". */
void completions_add_prefixes(struct strbuf *out, const struct command *command,
                              const char *separator);

#endif
