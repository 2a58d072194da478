/* SPDX-License-Identifier: MIT */
/*
 * The report as text of 80 columns. All tables begin alike, so that a share is found at one place:
 *
 *      share     95 %
 *     38.2 %  36.5-40.0  model.py:47  Model.step
 *                        u += Du * lap_u - uvv
 *     21.0 %  19.6-22.5    in np.add<f8>
 */
#include <stdio.h>
#include <string.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/clock.h"
#include "pspy/base/utf8.h"
#include "report_internal.h"

#define COLUMNS    80
#define NAME_START 21 /* columns before a row's name */
#define MOST_STEPS 12 /* of the tree, that move a row to the right */

#define BOLD  "\033[1m"
#define FAINT "\033[2m"
#define HOT   "\033[31m"
#define WARM  "\033[33m"
#define PLAIN "\033[0m"

/* ---- lines -------------------------------------------------------------------------------------
 */

static const char *color(const struct report *report, const char *code)
{
    return report->options->colour ? code : "";
}

/* Cut at its end to fit into so many columns. */
static void add_fit(struct strbuf *ret, const char *text, size_t columns)
{
    size_t count = utf8_count(text);

    for (size_t i = 0; *text && i < columns; i++) {
        uint32_t code = utf8_next(&text);
        char bytes[4];

        if (i + 4 > columns && count > columns)
            code = '.';
        strbuf_add(ret, bytes, utf8_encode(code, bytes));
    }
}

static void add_words(struct strbuf *ret, const char *sentence, size_t length)
{
    size_t column = 0;

    while (length) {
        const char *space = memchr(sentence, ' ', length);
        size_t word = space ? (size_t)(space - sentence) : length;
        cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;
        size_t columns;

        /* "37.0 % (34.1-40.0)" stays together. */
        while (space && (space[1] == '%' || space[1] == '(')) {
            space = memchr(space + 1, ' ', length - (size_t)(space + 1 - sentence));
            word = space ? (size_t)(space - sentence) : length;
        }
        strbuf_add(&text, sentence, word);
        columns = utf8_count(text.text);
        if (column && column + 1 + columns > COLUMNS) {
            strbuf_add_text(ret, "\n  ");
            column = 2;
        } else if (column) {
            strbuf_add_char(ret, ' ');
            column++;
        }
        add_fit(ret, text.text, COLUMNS - 2);
        column += columns;
        word += space ? 1 : 0;
        sentence += word;
        length -= word;
    }
    strbuf_add_char(ret, '\n');
}

static void add_sentences(struct strbuf *ret, const char *sentences)
{
    for (const char *end; (end = strchr(sentences, '\n')); sentences = end + 1)
        add_words(ret, sentences, (size_t)(end - sentences));
}

static void add_heading(const struct report *report, const char *heading, struct strbuf *ret)
{
    strbuf_addf(ret, "\n%s%s%s\n", color(report, BOLD), heading, color(report, PLAIN));
}

static void add_columns(const struct report *report, const struct amount *amount,
                        struct strbuf *ret)
{
    struct share share = report_share(report, amount);
    const char *code = share.value >= 0.2 ? HOT : share.value >= 0.05 ? WARM : "";
    char interval[16];

    snprintf(interval, sizeof(interval), "%.1f-%.1f", 100 * share.low, 100 * share.high);
    strbuf_addf(ret, "%s%5.1f %%%s  %-10s  ", color(report, code), 100 * share.value,
                *code ? color(report, PLAIN) : "", interval);
}

/* A row of the tables: the amount, then the text. */
static void add_row(const struct report *report, const struct amount *amount, const char *text,
                    struct strbuf *ret)
{
    add_columns(report, amount, ret);
    add_fit(ret, text, COLUMNS - NAME_START);
    strbuf_add_char(ret, '\n');
}

static void add_rest(const struct report *report, struct report_rest rest, const char *one,
                     const char *many, struct strbuf *ret)
{
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;

    if (!rest.rows)
        return;
    strbuf_addf(&text, "(%zu more %s)", rest.rows, rest.rows == 1 ? one : many);
    add_row(report, &rest.amount, text.text, ret);
}

/* ---- names -------------------------------------------------------------------------------------
 */

/* The file, cut at its beginning to fit into so many columns. */
static void add_file(struct strbuf *ret, const char *file, size_t columns)
{
    cleanup(strbuf_deinit) struct strbuf clean = STRBUF_INIT;
    const char *at;
    size_t count;

    report_add_clean(&clean, file);
    at = clean.text;
    count = utf8_count(at);
    if (count > columns) {
        strbuf_add_text(ret, "...");
        for (size_t i = columns > 3 ? columns - 3 : 0; count > i; count--)
            utf8_next(&at);
    }
    strbuf_add_text(ret, at);
}

static void add_name(struct strbuf *ret, const char *name, size_t columns)
{
    cleanup(strbuf_deinit) struct strbuf clean = STRBUF_INIT;

    report_add_clean(&clean, name);
    add_fit(ret, clean.text, columns);
}

/* "step (model.py)": both can still be told when they are long. */
static void add_function_name(const struct report_place *place, size_t columns, struct strbuf *ret)
{
    cleanup(strbuf_deinit) struct strbuf file = STRBUF_INIT;

    if (*place->file) {
        strbuf_add_text(&file, " (");
        add_file(&file, place->file, columns / 2);
        strbuf_add_char(&file, ')');
    }
    add_name(ret, place->name, columns - utf8_count(file.text));
    strbuf_add_text(ret, file.text);
}

/* "model.py:47  step"; the name is the first to be cut. */
static void add_line_name(const struct report_place *place, size_t columns, struct strbuf *ret)
{
    cleanup(strbuf_deinit) struct strbuf file = STRBUF_INIT;
    size_t count;

    if (!*place->file || !place->line) {
        add_function_name(place, columns, ret);
        return;
    }
    add_file(&file, place->file, columns / 2);
    strbuf_addf(&file, ":%u  ", place->line);
    count = utf8_count(file.text);
    strbuf_add_text(ret, file.text);
    add_name(ret, place->name, columns > count ? columns - count : 0);
}

/* What a row calls, or who calls it. */
static void add_parts(const struct report *report, const breakdown_parts *parts, uint32_t first,
                      uint32_t count, bool are_lines, struct strbuf *ret)
{
    uint32_t shown = report_parts(report, parts, first, count);
    const char *word = are_lines ? "from" : "in";

    for (uint32_t i = first; i < first + shown; i++) {
        const struct breakdown_part *part = &parts->items[i];
        cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;
        struct report_place place = {.name = are_lines ? "(no caller)" : "itself", .file = ""};

        if (part->by != BREAKDOWN_NONE)
            place = are_lines ? report_line(report, part->by) : report_function(report, part->by);
        strbuf_addf(&text, "  %s ", word);
        if (are_lines)
            add_line_name(&place, COLUMNS - NAME_START - text.length, &text);
        else
            add_function_name(&place, COLUMNS - NAME_START - text.length, &text);
        add_row(report, &part->amount, text.text, ret);
    }
    if (shown < count && shown) {
        struct report_rest rest = report_rest_of_parts(report, parts, first, count);
        cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;

        strbuf_addf(&text, "  %s %zu others", word, rest.rows);
        add_row(report, &rest.amount, text.text, ret);
    }
}

/* ---- sections ----------------------------------------------------------------------------------
 */

static void add_source(struct report *report, const struct report_place *place, struct strbuf *ret)
{
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;
    size_t length;
    bool changed;
    const char *source =
        sources_line(&report->sources, place->path, place->line, &length, &changed);

    if (!source)
        return;
    if (changed)
        strbuf_add_text(&text, "[changed since] ");
    report_add_clean_n(&text, source, length);
    strbuf_addf(ret, "%*s%s", NAME_START, "", color(report, FAINT));
    add_fit(ret, text.text, COLUMNS - NAME_START);
    strbuf_addf(ret, "%s\n", color(report, PLAIN));
}

static void add_lines(struct report *report, struct strbuf *ret)
{
    const struct breakdown *breakdown = &report->breakdown;

    add_heading(report, "Hottest lines, with what they call in libraries and native code", ret);
    for (size_t i = 0; i < report->shape.lines && i < breakdown->hot_lines.length; i++) {
        uint32_t index = breakdown->hot_lines.items[i];
        const struct breakdown_line *line = &breakdown->lines.items[index];
        struct report_place place = report_line(report, index);
        cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;

        add_line_name(&place, COLUMNS - NAME_START, &text);
        add_row(report, &line->self, text.text, ret);
        add_source(report, &place, ret);
        add_parts(report, &breakdown->callees, line->first_part, line->parts, false, ret);
    }
    add_rest(report, report_rest_of_lines(report), "line", "lines", ret);
}

static void add_functions(const struct report *report, struct strbuf *ret)
{
    const struct breakdown *breakdown = &report->breakdown;
    size_t count = breakdown->hot_functions.length;

    add_heading(report, "Hottest functions", ret);
    strbuf_add_text(ret, "   self             with what it calls\n");
    for (size_t i = 0; i < report->shape.functions && i < count; i++) {
        uint32_t index = breakdown->hot_functions.items[i];
        const struct breakdown_function *function = &breakdown->functions.items[index];
        struct report_place place = report_function(report, index);
        cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;

        if (!function->self.samples)
            break;
        add_columns(report, &function->self, ret);
        add_columns(report, &function->total, ret);
        add_function_name(&place, COLUMNS - 2 * NAME_START, &text);
        strbuf_add_text(ret, text.text);
        strbuf_add_char(ret, '\n');
    }
    add_rest(report, report_rest_of_functions(report), "function", "functions", ret);
}

static void add_node(const struct report *report, const struct breakdown_node *node,
                     struct strbuf *ret)
{
    const struct breakdown *breakdown = &report->breakdown;
    struct report_place place = report_function(report, node->function);
    uint32_t steps = node->depth - 1 < MOST_STEPS ? node->depth - 1 : MOST_STEPS;
    uint32_t shown = report_parts(report, &breakdown->folded, node->first_part, node->parts);
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;

    strbuf_addf(&text, "%*s", (int)(2 * steps), "");
    add_function_name(&place, COLUMNS - NAME_START - text.length, &text);
    add_row(report, &node->total, text.text, ret);
    for (uint32_t i = 0; i < shown; i++) {
        const struct breakdown_part *part = &breakdown->folded.items[node->first_part + i];

        if (report_share(report, &part->amount).value < 0.02)
            break;
        place = report_function(report, part->by);
        strbuf_reset(&text);
        strbuf_addf(&text, "%*sin ", (int)(2 * steps + 2), "");
        add_function_name(&place, COLUMNS - NAME_START - text.length, &text);
        add_row(report, &part->amount, text.text, ret);
    }
}

static void add_tree(const struct report *report, struct strbuf *ret)
{
    struct report_rest rest = report_rest_of_tree(report);

    add_heading(report, "Where the time goes (branches of 2 % or more)", ret);
    vec_each (node, &report->breakdown.tree)
        if (node->depth && node->depth <= report->shape.depth)
            add_node(report, node, ret);
    add_rest(report, rest, "branch, smaller or deeper", "branches, smaller or deeper", ret);
}

static void add_waits(const struct report *report, struct strbuf *ret)
{
    const struct breakdown *breakdown = &report->breakdown;
    bool by_time = breakdown->waits.items[0].amount.ns > 0;

    add_heading(report, "Waiting, added up over threads (no CPU time)", ret);
    for (size_t i = 0; i < report->shape.waits && i < breakdown->waits.length; i++) {
        const struct breakdown_wait *wait = &breakdown->waits.items[i];
        cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;

        if (by_time)
            strbuf_addf(&text, "%9.2f s  ", (double)wait->amount.ns / (double)NS_PER_SECOND);
        else
            strbuf_addf(&text, "%11llu  ", (unsigned long long)wait->amount.samples);
        report_add_thread(report, wait, &text);
        strbuf_add_text(&text, ": ");
        report_add_wait(wait, &text);
        if (wait->line != BREAKDOWN_NONE) {
            struct report_place place = report_line(report, wait->line);

            strbuf_add_text(&text, ", ");
            add_line_name(&place, COLUMNS / 2, &text);
        }
        add_fit(ret, text.text, COLUMNS);
        strbuf_add_char(ret, '\n');
    }
    if (breakdown->waits.length > report->shape.waits)
        strbuf_addf(ret, "%11s  (%zu more)\n", "", breakdown->waits.length - report->shape.waits);
}

static void add_callers(const struct report *report, struct strbuf *ret)
{
    const struct breakdown *breakdown = &report->breakdown;
    size_t at = report_next_called(report, 0);

    if (at == breakdown->hot_functions.length || !report->shape.callers)
        return;
    add_heading(report, "Callers of the hottest native and library functions", ret);
    for (size_t i = 0; i < report->shape.callers && at < breakdown->hot_functions.length; i++) {
        uint32_t index = breakdown->hot_functions.items[at];
        const struct breakdown_function *function = &breakdown->functions.items[index];
        struct report_place place = report_function(report, index);
        cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;

        add_function_name(&place, COLUMNS - NAME_START, &text);
        add_row(report, &function->self, text.text, ret);
        add_parts(report, &breakdown->callers, function->first_part, function->parts, true, ret);
        at = report_next_called(report, at + 1);
    }
}

void report_text(struct report *report, struct strbuf *ret)
{
    cleanup(strbuf_deinit) struct strbuf sentences = STRBUF_INIT, title = STRBUF_INIT;

    report_add_title(report, &title);
    strbuf_add_text(ret, color(report, BOLD));
    add_fit(ret, title.text, COLUMNS);
    strbuf_addf(ret, "%s\n", color(report, PLAIN));
    report_add_summary(report, &sentences);
    add_sentences(ret, sentences.text);
    if (report->breakdown.base.all.samples) {
        add_lines(report, ret);
        add_functions(report, ret);
        add_tree(report, ret);
    }
    if (report->breakdown.waits.length)
        add_waits(report, ret);
    if (report->breakdown.base.all.samples)
        add_callers(report, ret);
    add_heading(report, "Losses and what is missing", ret);
    strbuf_reset(&sentences);
    report_add_missing(report, &sentences);
    add_sentences(ret, sentences.text);
}
