/* SPDX-License-Identifier: MIT */
/*
 * A comparison for people: text of 80 columns, and Markdown.
 *
 *       before    after   change   95 % between     function
 *     *  70.0%    50.0%    -20.0   -24.1 .. -15.9   f (a.py)
 *
 * First the functions' own shares, then the shares with what they call, where those changed beyond
 * chance.
 */
#include <math.h>
#include <string.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/utf8.h"
#include "pspy/output/diff.h"

#define LABEL_COLUMNS 32
#define LEAST_SHOWN   0.05 /* percent points: what rounds to 0.0 is no line */

#define LESS  "\033[32m"
#define MORE  "\033[31m"
#define FAINT "\033[2m"
#define PLAIN "\033[0m"

typedef void row_fn(const struct diff_output *output, const struct diff_change *change,
                    const char *label, struct sink *sink);

/* ---- the parts that both have ---- */

static void write_sentence(const struct diff *diff, struct sink *sink)
{
    if (!diff->of[DIFF_BEFORE].samples || !diff->of[DIFF_AFTER].samples)
        sink_text(sink, "Nothing to compare: a recording without samples.\n");
    else if (!diff->beyond)
        sink_text(sink, "No difference beyond the noise.\n");
    else
        sink_addf(sink, "%zu function%s changed beyond the noise.\n", diff->beyond,
                  diff->beyond == 1 ? "" : "s");
    if (!diff->has_order)
        sink_text(sink, "How much is noise is a guess: a file does not know the order of its "
                        "samples.\n");
}

static const char *whole_name(const struct diff *diff)
{
    return diff->by_time ? "time" : "samples";
}

/* "1000 samples, 10.0 s in 10.0 s". */
static void add_whole(const struct diff_whole *whole, struct strbuf *text)
{
    strbuf_addf(text, "%llu sample%s", (unsigned long long)whole->samples,
                whole->samples == 1 ? "" : "s");
    if (whole->ns)
        strbuf_addf(text, " of %.2f s", (double)whole->ns / 1e9);
    if (whole->duration > 0)
        strbuf_addf(text, " in %.2f s", whole->duration);
}

static size_t write_own(const struct diff_output *output, row_fn *write_row, struct sink *sink)
{
    const struct diff *diff = output->diff;
    size_t written = 0, others = 0;

    vec_each (function, &diff->functions) {
        cleanup(strbuf_deinit) struct strbuf label = STRBUF_INIT;

        if (!function->self.is_beyond &&
            (fabs(function->self.points) < LEAST_SHOWN || others++ >= output->limit))
            continue;
        diff_label(diff, function, &label);
        write_row(output, &function->self, label.text, sink);
        written++;
    }
    return written;
}

/* A function that only calls is no news where its own share says as much. */
static bool is_total_news(const struct diff_function *function)
{
    return function->total.is_beyond && !function->self.is_beyond;
}

static bool has_total_news(const struct diff *diff)
{
    vec_each (function, &diff->functions)
        if (is_total_news(function))
            return true;
    return false;
}

static void write_totals(const struct diff_output *output, row_fn *write_row, struct sink *sink)
{
    vec_each (function, &output->diff->functions) {
        cleanup(strbuf_deinit) struct strbuf label = STRBUF_INIT;

        if (!is_total_news(function))
            continue;
        diff_label(output->diff, function, &label);
        write_row(output, &function->total, label.text, sink);
    }
}

/* ---- text ---- */

/* Labels and names come from other programs: no control characters reach the terminal. */
static void add_fit(struct strbuf *line, const char *text, size_t columns)
{
    size_t count = utf8_count(text);

    for (size_t i = 0; i < count; i++) {
        uint32_t code = utf8_next(&text);
        char bytes[4];

        if (i + 1 == columns && count > columns)
            code = 0x2026;
        if (i >= columns)
            return;
        if (code < 0x20 || (code >= 0x7f && code < 0xa0))
            code = UTF8_REPLACEMENT;
        strbuf_add(line, bytes, utf8_encode(code, bytes));
    }
}

static const char *color_of(const struct diff_output *output, const struct diff_change *change)
{
    if (!output->color)
        return "";
    if (!change->is_beyond)
        return FAINT;
    return change->points > 0 ? MORE : LESS;
}

static void write_text_row(const struct diff_output *output, const struct diff_change *change,
                           const char *label, struct sink *sink)
{
    cleanup(strbuf_deinit) struct strbuf line = STRBUF_INIT;

    strbuf_addf(&line, "%s%c %6.1f%%  %6.1f%%  %+7.1f   %+6.1f .. %+6.1f  ",
                color_of(output, change), change->is_beyond ? '*' : ' ',
                100 * change->of[DIFF_BEFORE].share, 100 * change->of[DIFF_AFTER].share,
                change->points, change->low, change->high);
    add_fit(&line, label, LABEL_COLUMNS);
    sink_addf(sink, "%s%s\n", line.text, output->color ? PLAIN : "");
}

static void write_text_head(const struct diff_output *output, const char *what, struct sink *sink)
{
    sink_addf(sink, "\nShares of the %s, %s:\n", whole_name(output->diff), what);
    sink_text(sink, "   before    after   change  95 % sure between  function\n");
}

static void write_text_side(const struct diff_output *output, enum diff_side side,
                            struct sink *sink)
{
    cleanup(strbuf_deinit) struct strbuf line = STRBUF_INIT, whole = STRBUF_INIT;

    add_whole(&output->diff->of[side], &whole);
    add_fit(&line, output->names[side],
            whole.length < 60 ? 70 - whole.length : 10); /* beside "before  " and "  " */
    sink_addf(sink, "%s  %s  %s\n", side == DIFF_BEFORE ? "before" : "after ", line.text,
              whole.text);
}

void diff_write_text(const struct diff_output *output, struct sink *sink)
{
    const struct diff *diff = output->diff;

    write_text_side(output, DIFF_BEFORE, sink);
    write_text_side(output, DIFF_AFTER, sink);
    sink_text(sink, "\n");
    write_sentence(diff, sink);
    if (!diff->of[DIFF_BEFORE].samples || !diff->of[DIFF_AFTER].samples)
        return;
    write_text_head(output, "functions themselves", sink);
    if (!write_own(output, write_text_row, sink))
        sink_text(sink, "  (all as before)\n");
    if (has_total_news(diff)) {
        write_text_head(output, "with what they call", sink);
        write_totals(output, write_text_row, sink);
    }
    if (diff->beyond)
        sink_text(sink, "\n* beyond the noise\n");
}

/* ---- Markdown ---- */

/* As text of a table's cell: what Markdown or HTML would read is escaped. */
static void write_cell(const char *text, struct sink *sink)
{
    while (*text) {
        uint32_t code = utf8_next(&text);
        char bytes[4];

        if (code < 0x20 || code == 0x7f)
            code = ' ';
        if (code < 0x80 && strchr("\\`*_{}[]<>()#+!|&~", (int)code))
            sink_text(sink, "\\");
        sink_write(sink, bytes, utf8_encode(code, bytes));
    }
}

static void write_markdown_row(const struct diff_output *output, const struct diff_change *change,
                               const char *label, struct sink *sink)
{
    const char *mark = change->is_beyond ? "**" : "";

    (void)output;
    sink_addf(sink, "| %.1f%% | %.1f%% | %s%+.1f%s | %+.1f .. %+.1f | ",
              100 * change->of[DIFF_BEFORE].share, 100 * change->of[DIFF_AFTER].share, mark,
              change->points, mark, change->low, change->high);
    write_cell(label, sink);
    sink_text(sink, " |\n");
}

static void write_markdown_head(const struct diff_output *output, const char *what,
                                struct sink *sink)
{
    sink_addf(sink, "\n### Shares of the %s, %s\n\n", whole_name(output->diff), what);
    sink_text(sink, "| before | after | change | 95 % sure between | function |\n"
                    "| ---: | ---: | ---: | :---: | :--- |\n");
}

void diff_write_markdown(const struct diff_output *output, struct sink *sink)
{
    const struct diff *diff = output->diff;

    sink_text(sink, "## Profiles compared\n\n");
    for (int side = 0; side < DIFF_SIDES; side++) {
        cleanup(strbuf_deinit) struct strbuf whole = STRBUF_INIT;

        add_whole(&diff->of[side], &whole);
        sink_addf(sink, "- %s: ", side == DIFF_BEFORE ? "before" : "after");
        write_cell(output->names[side], sink);
        sink_addf(sink, ", %s\n", whole.text);
    }
    sink_text(sink, "\n");
    write_sentence(diff, sink);
    if (!diff->of[DIFF_BEFORE].samples || !diff->of[DIFF_AFTER].samples)
        return;
    write_markdown_head(output, "functions themselves", sink);
    write_own(output, write_markdown_row, sink);
    if (has_total_news(diff)) {
        write_markdown_head(output, "with what they call", sink);
        write_totals(output, write_markdown_row, sink);
    }
    if (diff->beyond)
        sink_text(sink, "\nBold: beyond the noise.\n");
}
