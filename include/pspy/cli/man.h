/* SPDX-License-Identifier: MIT */
/* The manual page pspy(1) in mdoc(7) macros, made from the tables of all commands. */
#ifndef PSPY_CLI_MAN_H
#define PSPY_CLI_MAN_H

#include "pspy/base/strbuf.h"

void man_write(struct strbuf *out);

#endif
