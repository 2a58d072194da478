/* SPDX-License-Identifier: MIT */
/* Laying out plain text for a terminal. Widths count bytes: pspy's own texts are ASCII. */
#ifndef PSPY_CLI_TEXT_H
#define PSPY_CLI_TEXT_H

#include "pspy/base/strbuf.h"

#define TEXT_WIDTH 79

/* Appends `text` broken at blanks, each line after the first indented; `column` is where the cursor
 * stands. Ends with a newline. */
void text_wrap(struct strbuf *out, const char *text, size_t column, size_t indent);
/* Appends blanks up to `column`, on a new line if the current one is already that long. */
void text_pad(struct strbuf *out, size_t line_start, size_t column);

#endif
