/* SPDX-License-Identifier: MIT */
/* What the parts of the report share. */
#ifndef PSPY_OUTPUT_REPORT_INTERNAL_H
#define PSPY_OUTPUT_REPORT_INTERNAL_H

#include "pspy/output/report.h"
#include "pspy/profile/breakdown.h"

/* ---- source text: report_source.c ---- */

struct source_file;

/* Files that were opened, each once. */
struct sources {
    uint64_t recorded_until; /* ns since the epoch; 0: unknown */
    VEC(struct source_file *) files;
};

void sources_deinit(struct sources *sources);
/* The line without blanks at its ends, valid until deinit, and its length; NULL where there is
 * none. Sets *changed if the file is newer than the recording. */
const char *sources_line(struct sources *sources, const char *path, uint32_t line, size_t *length,
                         bool *changed);

/* ---- the report ---- */

/* How much is shown. */
struct report_shape {
    size_t lines, functions, callers, waits;
    size_t parts;   /* of a row */
    uint32_t depth; /* of the tree */
};

struct report {
    const struct view *view;
    const struct report_options *options;
    struct breakdown breakdown;
    struct sources sources;
    struct report_shape shape;
};

/* A row as it is named. The texts are the view's. */
struct report_place {
    const char *name, *file, *path; /* the file as shown; in full */
    uint32_t line;                  /* 0: unknown */
    enum frame_kind kind;
};

/* What a table does not show. */
struct report_rest {
    size_t rows;
    struct amount amount;
};

struct report_place report_function(const struct report *report, uint32_t function);
struct report_place report_line(const struct report *report, uint32_t line);
struct share report_share(const struct report *report, const struct amount *amount);
const char *report_kind(enum frame_kind kind);
/* The whole that shares are of: "CPU time". */
const char *report_whole(const struct report *report);

struct report_rest report_rest_of_lines(const struct report *report);
/* Of the functions that ran themselves. */
struct report_rest report_rest_of_functions(const struct report *report);
struct report_rest report_rest_of_tree(const struct report *report);
/* Of a row's parts behind report_parts. */
struct report_rest report_rest_of_parts(const struct report *report, const breakdown_parts *parts,
                                        uint32_t first, uint32_t count);
/* How many of a row's parts are shown: none where the only part is the row itself. */
uint32_t report_parts(const struct report *report, const breakdown_parts *parts, uint32_t first,
                      uint32_t count);
/* The next hot function that is native or a library's, from `at` in hot_functions on: those whose
 * callers are shown. hot_functions.length: there is none. */
size_t report_next_called(const struct report *report, size_t at);

/* Appends "21.0 % (19.6-22.5)". */
void report_add_share(const struct report *report, const struct amount *amount, struct strbuf *ret);
/* Appends what a thread waits for: "for the GIL", "in futex"; "blocked" where that is unknown. */
void report_add_wait(const struct breakdown_wait *wait, struct strbuf *ret);
/* Appends the name of a wait's thread. */
void report_add_thread(const struct report *report, const struct breakdown_wait *wait,
                       struct strbuf *ret);

/* ---- sentences: report_words.c; each ends with a newline, none holds control characters ---- */

void report_add_title(const struct report *report, struct strbuf *ret);
void report_add_summary(const struct report *report, struct strbuf *ret);
void report_add_missing(const struct report *report, struct strbuf *ret);
/* Text of other programs: what controls a terminal, or turns the direction of writing, becomes
 * U+FFFD; so does what is no UTF-8. */
void report_add_clean(struct strbuf *ret, const char *text);
void report_add_clean_n(struct strbuf *ret, const char *text, size_t length);

/* ---- formats ---- */

void report_text(struct report *report, struct strbuf *ret);
void report_markdown(struct report *report, struct strbuf *ret);
void report_json(struct report *report, struct strbuf *ret);

#endif
