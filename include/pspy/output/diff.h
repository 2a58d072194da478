/* SPDX-License-Identifier: MIT */
/*
 * What a comparison of two recordings says (profile/diff.h), as text, Markdown, JSON, or as a flame
 * graph of the later one, coloured by change.
 */
#ifndef PSPY_OUTPUT_DIFF_H
#define PSPY_OUTPUT_DIFF_H

#include "pspy/output/sink.h"
#include "pspy/profile/diff.h"

#define DIFF_SCHEMA         "pspy-diff"
#define DIFF_SCHEMA_VERSION 1

struct diff_output {
    const struct diff *diff;
    const char *names[DIFF_SIDES]; /* of the two files */
    size_t limit;                  /* functions of text and Markdown that are no more than chance */
    bool color;                    /* text */
    double min_width_percent;      /* flame graph: frames narrower are not drawn; 0: chosen */
    bool flame;                    /* flame graph: the root at the bottom */
};

/* At most 80 columns. */
void diff_write_text(const struct diff_output *output, struct sink *sink);
void diff_write_markdown(const struct diff_output *output, struct sink *sink);
/* All functions. */
void diff_write_json(const struct diff_output *output, struct sink *sink);
/* Widths are the later recording's. The views are those that were compared. */
void diff_write_flamegraph(const struct diff_output *output, const struct view *before,
                           const struct view *after, struct sink *sink);

#endif
