/* SPDX-License-Identifier: MIT */
/*
 * The report as Markdown: sections under fixed headings, ASCII but for names and source text. Text
 * of other programs stands in code spans, where nothing is read as Markdown or HTML.
 */
#include <string.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/clock.h"
#include "report_internal.h"

/* ---- cells -------------------------------------------------------------------------------------
 */

/* As text: what Markdown or HTML would read is escaped. */
static void add_escaped(struct strbuf *ret, const char *text)
{
    for (; *text; text++) {
        if (strchr("\\`*_[]<>#|&~$", *text))
            strbuf_add_char(ret, '\\');
        strbuf_add_char(ret, *text);
    }
}

/* As code, in which nothing is read: between more backticks than stand together in it. A pipe would
 * end the cell. */
static void add_code(struct strbuf *ret, const char *text)
{
    cleanup(strbuf_deinit) struct strbuf clean = STRBUF_INIT;
    size_t most = 0, run = 0;

    if (!*text)
        return;
    report_add_clean(&clean, text);
    for (const char *at = clean.text; *at; at++) {
        run = *at == '`' ? run + 1 : 0;
        most = run > most ? run : most;
    }
    for (size_t i = 0; i <= most; i++)
        strbuf_add_char(ret, '`');
    strbuf_add_text(ret, most ? " " : "");
    for (const char *at = clean.text; *at; at++) {
        if (*at == '|') /* a backslash before it would escape the escape */
            strbuf_add_text(ret, at > clean.text && at[-1] == '\\' ? " \\" : "\\");
        strbuf_add_char(ret, *at);
    }
    strbuf_add_text(ret, most ? " " : "");
    for (size_t i = 0; i <= most; i++)
        strbuf_add_char(ret, '`');
}

/* Two cells: "| 38.2 % | 36.5-40.0 ". */
static void add_share(const struct report *report, const struct amount *amount, struct strbuf *ret)
{
    struct share share = report_share(report, amount);

    strbuf_addf(ret, "| %.1f %% | %.1f-%.1f ", 100 * share.value, 100 * share.low,
                100 * share.high);
}

static void add_file(const struct report_place *place, struct strbuf *ret)
{
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;

    if (!*place->file)
        return;
    strbuf_add_text(&text, place->file);
    if (place->line)
        strbuf_addf(&text, ":%u", place->line);
    add_code(ret, text.text);
}

static void add_function_file(const struct report_place *place, struct strbuf *ret)
{
    struct report_place whole = *place;

    whole.line = 0;
    add_file(&whole, ret);
}

static void add_sentences(struct strbuf *ret, const char *sentences)
{
    strbuf_add_char(ret, '\n');
    for (const char *end; (end = strchr(sentences, '\n')); sentences = end + 1) {
        cleanup(strbuf_deinit) struct strbuf sentence = STRBUF_INIT;

        strbuf_add(&sentence, sentences, (size_t)(end - sentences));
        strbuf_add_text(ret, "- ");
        add_escaped(ret, sentence.text);
        strbuf_add_char(ret, '\n');
    }
}

static void add_rest(const struct report *report, struct report_rest rest, const char *one,
                     const char *many, struct strbuf *ret)
{
    if (!rest.rows)
        return;
    strbuf_addf(ret, "\n%zu more %s: ", rest.rows, rest.rows == 1 ? one : many);
    report_add_share(report, &rest.amount, ret);
    strbuf_add_text(ret, ".\n");
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
    report_add_clean_n(&text, source, length);
    add_code(ret, text.text);
    if (changed)
        strbuf_add_text(ret, " (changed since)");
}

static void add_callees(const struct report *report, const struct breakdown_line *line,
                        struct strbuf *ret)
{
    const breakdown_parts *parts = &report->breakdown.callees;
    uint32_t shown = report_parts(report, parts, line->first_part, line->parts);
    struct report_rest rest = report_rest_of_parts(report, parts, line->first_part, line->parts);

    for (uint32_t i = 0; i < shown; i++) {
        const struct breakdown_part *part = &parts->items[line->first_part + i];

        add_share(report, &part->amount, ret);
        strbuf_add_text(ret, "| | in ");
        if (part->by == BREAKDOWN_NONE)
            strbuf_add_text(ret, "itself");
        else
            add_code(ret, report_function(report, part->by).name);
        strbuf_add_text(ret, " | |\n");
    }
    if (rest.rows) {
        add_share(report, &rest.amount, ret);
        strbuf_addf(ret, "| | in %zu others | |\n", rest.rows);
    }
}

static void add_lines(struct report *report, struct strbuf *ret)
{
    const struct breakdown *breakdown = &report->breakdown;

    strbuf_add_text(ret, "\n## Hottest lines\n\n"
                         "With what they call in libraries and native code.\n\n"
                         "| share | 95 % | line | function | code |\n"
                         "| ---: | :---: | :--- | :--- | :--- |\n");
    for (size_t i = 0; i < report->shape.lines && i < breakdown->hot_lines.length; i++) {
        uint32_t index = breakdown->hot_lines.items[i];
        const struct breakdown_line *line = &breakdown->lines.items[index];
        struct report_place place = report_line(report, index);

        add_share(report, &line->self, ret);
        strbuf_add_text(ret, "| ");
        add_file(&place, ret);
        strbuf_add_text(ret, " | ");
        add_code(ret, place.name);
        strbuf_add_text(ret, " | ");
        add_source(report, &place, ret);
        strbuf_add_text(ret, " |\n");
        add_callees(report, line, ret);
    }
    add_rest(report, report_rest_of_lines(report), "line", "lines", ret);
}

static void add_functions(const struct report *report, struct strbuf *ret)
{
    const struct breakdown *breakdown = &report->breakdown;
    size_t count = breakdown->hot_functions.length;

    strbuf_add_text(ret, "\n## Hottest functions\n\n"
                         "| self | 95 % | with calls | 95 % | function | file |\n"
                         "| ---: | :---: | ---: | :---: | :--- | :--- |\n");
    for (size_t i = 0; i < report->shape.functions && i < count; i++) {
        uint32_t index = breakdown->hot_functions.items[i];
        const struct breakdown_function *function = &breakdown->functions.items[index];
        struct report_place place = report_function(report, index);

        if (!function->self.samples)
            break;
        add_share(report, &function->self, ret);
        add_share(report, &function->total, ret);
        strbuf_add_text(ret, "| ");
        add_code(ret, place.name);
        strbuf_add_text(ret, " | ");
        add_function_file(&place, ret);
        strbuf_add_text(ret, " |\n");
    }
    add_rest(report, report_rest_of_functions(report), "function", "functions", ret);
}

/* Within a block of code: as it is. A row begins with a share, so that no name ends the block. */
static void add_tree_row(const struct report *report, const struct amount *amount, uint32_t steps,
                         const char *word, uint32_t function, struct strbuf *ret)
{
    struct report_place place = report_function(report, function);

    report_add_share(report, amount, ret);
    strbuf_addf(ret, "%*s%s", (int)(2 * steps) + 2, "", word);
    report_add_clean(ret, place.name);
    if (*place.file) {
        strbuf_add_text(ret, " (");
        report_add_clean(ret, place.file);
        strbuf_add_char(ret, ')');
    }
    strbuf_add_char(ret, '\n');
}

static void add_tree(const struct report *report, struct strbuf *ret)
{
    const struct breakdown *breakdown = &report->breakdown;

    strbuf_add_text(ret, "\n## Where the time goes\n\n"
                         "Branches of 2 % or more; \"in\": library and native code.\n\n```text\n");
    vec_each (node, &breakdown->tree) {
        uint32_t shown = report_parts(report, &breakdown->folded, node->first_part, node->parts);

        if (!node->depth || node->depth > report->shape.depth)
            continue;
        add_tree_row(report, &node->total, node->depth - 1, "", node->function, ret);
        for (uint32_t i = 0; i < shown; i++) {
            const struct breakdown_part *part = &breakdown->folded.items[node->first_part + i];

            if (report_share(report, &part->amount).value < 0.02)
                break;
            add_tree_row(report, &part->amount, node->depth, "in ", part->by, ret);
        }
    }
    strbuf_add_text(ret, "```\n");
    add_rest(report, report_rest_of_tree(report), "branch, smaller or deeper",
             "branches, smaller or deeper", ret);
}

static void add_waits(const struct report *report, struct strbuf *ret)
{
    const struct breakdown *breakdown = &report->breakdown;
    bool by_time = breakdown->waits.items[0].amount.ns > 0;

    strbuf_addf(ret,
                "\n## Waiting\n\nAdded up over threads; no CPU time.\n\n"
                "| %s | thread | waits | line | function |\n"
                "| ---: | :--- | :--- | :--- | :--- |\n",
                by_time ? "seconds" : "samples");
    for (size_t i = 0; i < report->shape.waits && i < breakdown->waits.length; i++) {
        const struct breakdown_wait *wait = &breakdown->waits.items[i];
        cleanup(strbuf_deinit) struct strbuf thread = STRBUF_INIT, what = STRBUF_INIT;
        struct report_place place = {.name = NULL, .file = ""};

        report_add_thread(report, wait, &thread);
        report_add_wait(wait, &what);
        if (wait->line != BREAKDOWN_NONE)
            place = report_line(report, wait->line);
        if (by_time)
            strbuf_addf(ret, "| %.2f | ", (double)wait->amount.ns / (double)NS_PER_SECOND);
        else
            strbuf_addf(ret, "| %llu | ", (unsigned long long)wait->amount.samples);
        add_code(ret, thread.text);
        strbuf_addf(ret, " | %s | ", what.text);
        add_file(&place, ret);
        strbuf_add_text(ret, " | ");
        if (place.name)
            add_code(ret, place.name);
        strbuf_add_text(ret, " |\n");
    }
    if (breakdown->waits.length > report->shape.waits)
        strbuf_addf(ret, "\n%zu more.\n", breakdown->waits.length - report->shape.waits);
}

static void add_caller_rows(const struct report *report, const struct breakdown_function *function,
                            struct strbuf *ret)
{
    const breakdown_parts *parts = &report->breakdown.callers;
    uint32_t shown = report_parts(report, parts, function->first_part, function->parts);
    struct report_rest rest =
        report_rest_of_parts(report, parts, function->first_part, function->parts);

    for (uint32_t i = 0; i < shown; i++) {
        const struct breakdown_part *part = &parts->items[function->first_part + i];
        struct report_place place = {.name = NULL, .file = ""};

        if (part->by != BREAKDOWN_NONE)
            place = report_line(report, part->by);
        add_share(report, &part->amount, ret);
        strbuf_add_text(ret, place.name ? "| | " : "| | (no caller)");
        if (place.name)
            add_code(ret, place.name);
        strbuf_add_text(ret, " | ");
        add_file(&place, ret);
        strbuf_add_text(ret, " |\n");
    }
    if (rest.rows) {
        add_share(report, &rest.amount, ret);
        strbuf_addf(ret, "| | %zu others | |\n", rest.rows);
    }
}

static void add_callers(const struct report *report, struct strbuf *ret)
{
    const struct breakdown *breakdown = &report->breakdown;
    size_t at = report_next_called(report, 0);

    if (at == breakdown->hot_functions.length || !report->shape.callers)
        return;
    strbuf_add_text(ret, "\n## Callers of the hottest native and library functions\n\n"
                         "| share | 95 % | function | called by | at |\n"
                         "| ---: | :---: | :--- | :--- | :--- |\n");
    for (size_t i = 0; i < report->shape.callers && at < breakdown->hot_functions.length; i++) {
        const struct breakdown_function *function =
            &breakdown->functions.items[breakdown->hot_functions.items[at]];

        add_share(report, &function->self, ret);
        strbuf_add_text(ret, "| ");
        add_code(ret, report_function(report, breakdown->hot_functions.items[at]).name);
        strbuf_add_text(ret, " | | |\n");
        add_caller_rows(report, function, ret);
        at = report_next_called(report, at + 1);
    }
}

void report_markdown(struct report *report, struct strbuf *ret)
{
    cleanup(strbuf_deinit) struct strbuf sentences = STRBUF_INIT, title = STRBUF_INIT;

    report_add_title(report, &title);
    strbuf_add_text(ret, "# ");
    add_escaped(ret, title.text);
    strbuf_add_char(ret, '\n');
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
    strbuf_add_text(ret, "\n## Losses and what is missing\n");
    strbuf_reset(&sentences);
    report_add_missing(report, &sentences);
    add_sentences(ret, sentences.text);
}
