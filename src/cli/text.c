/* SPDX-License-Identifier: MIT */
#include "pspy/cli/text.h"

#include <stdbool.h>
#include <string.h>

void text_wrap(struct strbuf *out, const char *text, size_t column, size_t indent)
{
    const char *word = text;
    bool at_start = true;

    while (*(word += strspn(word, " "))) {
        size_t length = strcspn(word, " ");

        if (!at_start && column + 1 + length > TEXT_WIDTH) {
            strbuf_addf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (!at_start) {
            strbuf_add_char(out, ' ');
            column++;
        }
        strbuf_add(out, word, length);
        column += length;
        word += length;
        at_start = false;
    }
    strbuf_add_char(out, '\n');
}

void text_pad(struct strbuf *out, size_t line_start, size_t column)
{
    size_t used = out->length - line_start;

    /* Two blanks at least between an option and its description. */
    if (used + 2 > column) {
        strbuf_add_char(out, '\n');
        used = 0;
    }
    strbuf_addf(out, "%*s", (int)(column - used), "");
}
