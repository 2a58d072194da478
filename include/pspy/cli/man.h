/* SPDX-License-Identifier: MIT */
/* The manual pages in mdoc(7) macros. */
#ifndef PSPY_CLI_MAN_H
#define PSPY_CLI_MAN_H

#include "pspy/base/strbuf.h"

/* pspy(1), made from the tables of all commands. */
void man_write(struct strbuf *out);
/* pspy-recording(5). */
void man_write_recording(struct strbuf *out);

#endif
