/* SPDX-License-Identifier: MIT */
#include "xml.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "pspy/base/utf8.h"

#define ELLIPSIS "\xe2\x80\xa6"

/* The Char production of XML 1.0; surrogates never come out of utf8_next. */
static bool is_legal(uint32_t code)
{
    return code >= 0x20 ? code != 0xfffe && code != 0xffff : code == '\t' || code == '\n';
}

/* East Asian wide characters and emoji, by block: fine for cutting a label. */
static size_t columns_of(uint32_t code)
{
    if (!is_legal(code))
        return 0;
    return (code >= 0x1100 && code < 0x1160) || (code >= 0x2e80 && code < 0xa4d0) ||
                   (code >= 0xac00 && code < 0xd7b0) || (code >= 0xf900 && code < 0xfb00) ||
                   (code >= 0xff01 && code < 0xff61) || (code >= 0x1f300 && code < 0x1fa00) ||
                   (code >= 0x20000 && code < 0x40000)
               ? 2
               : 1;
}

static void write_code(struct sink *sink, uint32_t code)
{
    char bytes[4];

    if (code == '&')
        sink_text(sink, "&amp;");
    else if (code == '<')
        sink_text(sink, "&lt;");
    else if (code == '>')
        sink_text(sink, "&gt;");
    else if (code == '"')
        sink_text(sink, "&quot;");
    else if (is_legal(code))
        sink_write(sink, bytes, utf8_encode(code, bytes));
}

void xml_text(struct sink *sink, const char *text)
{
    while (*text)
        write_code(sink, utf8_next(&text));
}

static size_t text_columns(const char *text)
{
    size_t columns = 0;

    while (*text)
        columns += columns_of(utf8_next(&text));
    return columns;
}

/* Writes what fits into `columns`. */
static void write_start(struct sink *sink, const char *text, size_t columns)
{
    while (*text) {
        uint32_t code = utf8_next(&text);
        size_t wide = columns_of(code);

        if (wide > columns)
            return;
        columns -= wide;
        write_code(sink, code);
    }
}

/* The text behind its first `columns` columns. */
static const char *skip_columns(const char *text, size_t columns)
{
    while (*text && columns > 0) {
        size_t wide = columns_of(utf8_next(&text));

        columns -= wide < columns ? wide : columns;
    }
    return text;
}

void xml_text_fit(struct sink *sink, const char *text, size_t columns)
{
    if (text_columns(text) <= columns) {
        xml_text(sink, text);
    } else if (columns > 0) {
        write_start(sink, text, columns - 1);
        sink_text(sink, ELLIPSIS);
    }
}

void xml_text_middle(struct sink *sink, const char *text, size_t columns)
{
    size_t all = text_columns(text), left = columns / 2;

    if (all <= columns || columns < 3) {
        xml_text_fit(sink, text, columns);
        return;
    }
    write_start(sink, text, left);
    sink_text(sink, ELLIPSIS);
    xml_text(sink, skip_columns(text, all - (columns - left - 1)));
}
