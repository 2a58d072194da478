/* SPDX-License-Identifier: MIT */
/* A command's --help, made from its tables. */
#ifndef PSPY_CLI_HELP_H
#define PSPY_CLI_HELP_H

#include "pspy/cli/command.h"

void help_write(struct strbuf *out, const struct command *command);

#endif
