/* SPDX-License-Identifier: MIT */
/*
 * A profile as a report for people and programs: the hottest lines with their source text, the
 * hottest functions, where the time goes as a tree, where threads waited, who calls the hottest
 * native functions, and what is missing. Every share comes with its 95 % interval. The same profile
 * makes the same report.
 *
 * Source text is read from the files that the profile names, where they are there: whole regular
 * files of programs only. A file that changed after the recording is marked.
 */
#ifndef PSPY_OUTPUT_REPORT_H
#define PSPY_OUTPUT_REPORT_H

#include "pspy/output/format.h"

#define REPORT_SCHEMA         "pspy-report"
#define REPORT_SCHEMA_VERSION 1

enum report_format {
    REPORT_TEXT, /* 80 columns */
    REPORT_MARKDOWN,
    REPORT_JSON,
};

/* All zero are the defaults. */
struct report_options {
    enum report_format format;
    size_t top;         /* rows of a table; 0: 10 */
    const char *focus;  /* extended regular expression: only stacks with such a function; NULL */
    size_t budget;      /* tokens, of four bytes each, that the report should fit in; 0: no limit */
    bool colour;        /* of text */
    const char *folder; /* files below it are shown relative to it; NULL: none */
};

/* The view must be up to date. Fails only where the focus is no regular expression. */
enum err report_write(const struct view *view, const struct report_options *options,
                      struct sink *sink, struct error *why);

/* A row of output_formats: Markdown, with paths relative to the working directory. */
enum err report_markdown_write(const struct view *view, const struct output_options *options,
                               struct sink *sink, struct error *why);

#endif
