/* SPDX-License-Identifier: MIT */
/* The report's sentences. */
#include <inttypes.h>
#include <string.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/clock.h"
#include "pspy/base/utf8.h"
#include "report_internal.h"

static double seconds(uint64_t ns)
{
    return (double)ns / (double)NS_PER_SECOND;
}

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

/* ---- text of other programs --------------------------------------------------------------------
 */

/* What a terminal obeys, and what hides text or turns its direction. */
static bool is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0xad || code == 0x61c ||
           (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2060 && code <= 0x206f) || code == 0xfeff ||
           (code >= 0xe0000 && code <= 0xe007f);
}

void report_add_clean(struct strbuf *ret, const char *text)
{
    while (*text) {
        uint32_t code = utf8_next(&text);
        char bytes[4];

        if (code == '\t')
            code = ' ';
        else if (is_control(code))
            code = UTF8_REPLACEMENT;
        strbuf_add(ret, bytes, utf8_encode(code, bytes));
    }
}

void report_add_clean_n(struct strbuf *ret, const char *text, size_t length)
{
    cleanup(strbuf_deinit) struct strbuf copy = STRBUF_INIT;

    for (size_t i = 0; i < length; i++)
        strbuf_add_char(&copy, text[i] ? text[i] : '\1');
    report_add_clean(ret, copy.text);
}

/* ---- the head ----------------------------------------------------------------------------------
 */

void report_add_title(const struct report *report, struct strbuf *ret)
{
    const struct profile *profile = report->view->profile;
    const char *title = profile_text(profile, profile->facts.title);

    strbuf_add_text(ret, "pspy profile");
    if (*title) {
        strbuf_add_text(ret, ": ");
        report_add_clean(ret, title);
    }
}

static uint64_t count_samples(const struct view *view)
{
    uint64_t count = 0;

    vec_each (sample, &view->samples)
        count += view_count(view, sample);
    return count;
}

/* "30.00 s, 2998 samples at 100 a second, 1 process, 9 threads, Python 3.12.1." */
static void add_size(const struct report *report, struct strbuf *ret)
{
    const struct profile *profile = report->view->profile;
    const struct recording_facts *facts = &profile->facts;
    uint64_t samples = count_samples(report->view);

    if (facts->duration)
        strbuf_addf(ret, "%.2f s, ", seconds(facts->duration));
    strbuf_addf(ret, "%" PRIu64 " sample%s", samples, plural(samples));
    if (facts->rate > 0)
        strbuf_addf(ret, " at %g a second", facts->rate);
    if (profile->processes.length)
        strbuf_addf(ret, ", %zu process%s", profile->processes.length,
                    profile->processes.length == 1 ? "" : "es");
    if (profile->threads.length)
        strbuf_addf(ret, ", %zu thread%s", profile->threads.length,
                    plural(profile->threads.length));
    if (facts->python.v) {
        strbuf_add_text(ret, ", Python ");
        report_add_clean(ret, profile_text(profile, facts->python));
    }
    if (facts->host.v) {
        strbuf_add_text(ret, ", on ");
        report_add_clean(ret, profile_text(profile, facts->host));
    }
    strbuf_add_text(ret, ".\n");
}

static void add_part(const struct report *report, const char *name, const struct amount *amount,
                     const char **comma, struct strbuf *ret)
{
    if (!amount->samples)
        return;
    strbuf_addf(ret, "%s%s ", *comma, name);
    report_add_share(report, amount, ret);
    *comma = ", ";
}

/* "CPU time: 56.10 s, 1.87 cores: native 61.0 % (59.2-62.7), Python ..." */
static void add_split(const struct report *report, struct strbuf *ret)
{
    const struct recording_facts *facts = &report->view->profile->facts;
    const struct breakdown *breakdown = &report->breakdown;
    const struct breakdown_split *split = &breakdown->split;
    bool native = facts->native || !facts->saw_python;
    const char *comma = ": ";

    if (!breakdown->base.by_time || facts->has_no_states)
        return;
    strbuf_addf(ret, "CPU time: %.2f s", seconds(breakdown->base.all.ns));
    if (facts->duration && !report->view->options.from && !report->view->options.to)
        strbuf_addf(ret, ", %.2f core%s on average",
                    (double)breakdown->base.all.ns / (double)facts->duration,
                    breakdown->base.all.ns == facts->duration ? "" : "s");
    add_part(report, native ? "Python" : "Python and what it calls", &split->python, &comma, ret);
    add_part(report, "native code", &split->native, &comma, ret);
    add_part(report, "system calls", &split->system, &comma, ret);
    strbuf_add_text(ret, ".\n");
    if (split->collecting.samples) {
        strbuf_add_text(ret, "Garbage collection: ");
        report_add_share(report, &split->collecting, ret);
        strbuf_add_text(ret, ".\n");
    }
    if (split->holding.samples)
        strbuf_addf(ret,
                    "The GIL: threads held it for %.2f s and waited for it for %.2f s, added up "
                    "over threads.\n",
                    seconds(split->holding.ns), seconds(breakdown->waited[STATE_GIL].ns));
}

static void add_focus(const struct report *report, struct strbuf *ret)
{
    const struct breakdown *breakdown = &report->breakdown;
    struct share share = share_of(&breakdown->unfocused, &breakdown->base.all);

    if (!report->options->focus || !*report->options->focus)
        return;
    strbuf_add_text(ret, "Focus: functions that match '");
    report_add_clean(ret, report->options->focus);
    strbuf_addf(ret, "', with what they call: %.1f %% (%.1f-%.1f) of the whole.\n",
                100 * share.value, 100 * share.low, 100 * share.high);
}

void report_add_summary(const struct report *report, struct strbuf *ret)
{
    const struct recording_facts *facts = &report->view->profile->facts;
    const struct breakdown *breakdown = &report->breakdown;
    bool focus = report->options->focus && *report->options->focus;

    if (facts->end == RECORDING_CUT_OFF)
        strbuf_add_text(ret, "cut off: the recording has no end. pspy was killed, or still "
                             "writes it.\n");
    add_size(report, ret);
    add_split(report, ret);
    add_focus(report, ret);
    if (!breakdown->base.all.samples)
        strbuf_add_text(ret, focus && breakdown->unfocused.all.samples
                                 ? "No function that ran matches the focus.\n"
                             : report->view->samples.length ? "No thread was met running.\n"
                                                            : "The profile has no samples.\n");
    else
        strbuf_addf(ret,
                    "Shares are of %s%s. Behind each is its 95 %% interval (Wilson's, for %.0f "
                    "independent sample%s).\n",
                    focus                     ? "the focus's "
                    : breakdown->base.by_time ? "the "
                                              : "all ",
                    report_whole(report), breakdown->base.draws,
                    breakdown->base.draws == 1 ? "" : "s");
}

/* ---- what is missing ---------------------------------------------------------------------------
 */

static void add_losses(const struct report *report, struct strbuf *ret)
{
    const struct recording_facts *facts = &report->view->profile->facts;
    const char *comma = "Lost samples: ";

    if (!facts->ticks && !profile_lost(report->view->profile)) {
        strbuf_add_text(ret, "Lost samples: unknown.\n");
        return;
    }
    for (int i = 0; i < LOSS_CAUSES; i++) {
        if (!facts->losses[i])
            continue;
        strbuf_addf(ret, "%s%" PRIu64 " %s", comma, facts->losses[i],
                    loss_cause_name((enum loss_cause)i));
        comma = ", ";
    }
    strbuf_add_text(ret, *comma == ',' ? ".\n" : "Lost samples: none.\n");
}

static void add_ends(const struct report *report, struct strbuf *ret)
{
    const char *comma = "Stacks: ";

    for (int i = 0; i < STACK_ENDS; i++) {
        if (i == END_ROOT || !report->view->ends[i])
            continue;
        strbuf_addf(ret, "%s%" PRIu64 " %s", comma, report->view->ends[i],
                    stack_end_name((enum stack_end)i));
        comma = ", ";
    }
    if (*comma == ',')
        strbuf_addf(ret, "; %" PRIu64 " complete.\n", report->view->ends[END_ROOT]);
}

static void add_chosen(const struct report *report, struct strbuf *ret)
{
    const struct view_options *options = &report->view->options;

    if (options->from || options->to) {
        strbuf_addf(ret, "Only from %.2f s", seconds(options->from));
        if (options->to)
            strbuf_addf(ret, " to %.2f s", seconds(options->to));
        strbuf_add_text(ret, " after the start.\n");
    }
    if (report->view->left_out)
        strbuf_addf(ret, "Filters left out %" PRIu64 " sample%s.\n", report->view->left_out,
                    plural(report->view->left_out));
    if (report->view->profile->facts.delay)
        strbuf_addf(ret, "The first %.2f s were not recorded, as asked.\n",
                    seconds(report->view->profile->facts.delay));
}

static void add_python(const struct profile *profile, struct strbuf *ret)
{
    const struct recording_facts *facts = &profile->facts;

    if (facts->python_why.v) {
        strbuf_add_text(ret, "Python could not be read: ");
        report_add_clean(ret, profile_text(profile, facts->python_why));
        strbuf_add_text(ret, ".\n");
    } else if (!facts->saw_python) {
        strbuf_add_text(ret, "No Python ran in this program.\n");
    } else if (!facts->native) {
        strbuf_add_text(ret, "Native code was not recorded: its time is its caller's in Python "
                             "(record -n shows it).\n");
    }
    if (facts->python_is_guessed)
        strbuf_add_text(ret, "This Python is newer than the pspy that recorded it: names may be "
                             "wrong.\n");
    if (facts->without_native)
        strbuf_addf(ret,
                    "%" PRIu64 " sample%s without native code: another tracer held the process.\n",
                    facts->without_native, plural(facts->without_native));
}

void report_add_missing(const struct report *report, struct strbuf *ret)
{
    const struct profile *profile = report->view->profile;
    const struct recording_facts *facts = &profile->facts;

    add_losses(report, ret);
    add_ends(report, ret);
    if (report->breakdown.nowhere.samples) {
        strbuf_add_text(ret, "Without any function: ");
        report_add_share(report, &report->breakdown.nowhere, ret);
        strbuf_add_text(ret, ".\n");
    }
    if (facts->is_counted)
        strbuf_add_text(ret, "Only numbers of samples are known, not times.\n");
    if (facts->has_no_states)
        strbuf_add_text(ret, "Whether a thread ran or waited is unknown.\n");
    /* What was asked for is known of pspy's own recordings. */
    if (facts->ticks) {
        add_python(profile, ret);
        if (!facts->idle && !report->breakdown.waited[STATE_BLOCKED].samples)
            strbuf_add_text(ret, "Waiting threads were not recorded (record -i does).\n");
        if (facts->gil)
            strbuf_add_text(ret, "Only threads with the GIL were recorded, as asked.\n");
    }
    if (facts->lowest_rate > 0)
        strbuf_addf(ret, "To stay below %g %% of a CPU the rate fell to %.3g a second.\n",
                    facts->max_overhead, facts->lowest_rate);
    add_chosen(report, ret);
}
