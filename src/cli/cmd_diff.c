/* SPDX-License-Identifier: MIT */
/* `pspy diff`: which functions take more or less time than before, beyond chance. */
#include <signal.h>
#include <string.h>

#include "pspy/base/cleanup.h"
#include "pspy/cli/command.h"
#include "pspy/cli/outputs.h"
#include "pspy/cli/reading.h"
#include "pspy/cli/report_forms.h"
#include "pspy/output/diff.h"
#include "view_rows.h"

#define EXIT_GREW  1
#define WITHIN_TOP 5 /* functions that are no more than chance */

struct diff_values {
    bool help;
    bool flame;
    const char *output;
    const struct choice *form;
    double fail_above; /* percent points; 0: never */
    struct view_choices view;
};

typedef struct diff_values values;

static const struct option_spec table[] = {
    {
        OPTION_FILE(values, output),
        .letter = 'o',
        .name = "output",
        .value_name = "FILE",
        .default_text = "standard output",
        .group = OUTPUT,
        .help = "write there; x.svg is a flame graph of the later recording, coloured by change",
    },
    {
        OPTION_CHOICE(values, form),
        .letter = 'f',
        .name = "format",
        .value_name = "FORMAT",
        .default_text = "text, or by FILE's suffix",
        .group = OUTPUT,
        .help = "one of these",
        .choices = report_forms,
    },
    {
        OPTION_FLAG(values, flame),
        .name = "flame",
        .group = OUTPUT,
        .help = "flame graph with the root at the bottom, not the top",
    },
    {
        OPTION_NUMBER(values, fail_above),
        .name = "fail-above",
        .value_name = "POINTS",
        .min = 0.01,
        .max = 100,
        .group = OUTPUT,
        .help = "exit status 1 where a function grew by more percent points of the whole",
        .manual = "End with exit status 1 where a function's own share of the whole grew by more "
                  "than this many percent points, and by more than chance explains.",
    },
    FILTER_ROWS(values, view, SHOWN),
    VIEW_ROWS(values, view, FRAMES),
    HELP_ROW(values, help),
    OPTIONS_END,
};

static void values_deinit(struct diff_values *options)
{
    view_choices_deinit(&options->view);
}

static enum report_form form_of(const struct diff_values *options)
{
    const char *path = options->output ? options->output : "";

    if (!options->form && output_path_has_suffix(path, ".md"))
        return FORM_MARKDOWN;
    if (!options->form && output_path_has_suffix(path, ".json"))
        return FORM_JSON;
    return report_form(options->form);
}

static void write_to(const struct diff_values *options, const struct diff_output *output,
                     const struct view views[DIFF_SIDES], struct sink *sink)
{
    if (options->output && !options->form && output_path_has_suffix(options->output, ".svg")) {
        diff_write_flamegraph(output, &views[DIFF_BEFORE], &views[DIFF_AFTER], sink);
        return;
    }
    switch (form_of(options)) {
    case FORM_TEXT:
        diff_write_text(output, sink);
        break;
    case FORM_MARKDOWN:
        diff_write_markdown(output, sink);
        break;
    case FORM_JSON:
        diff_write_json(output, sink);
        break;
    }
}

static enum err write_diff(const struct diff_values *options, char *const *names,
                           const struct view views[DIFF_SIDES], const struct diff *diff,
                           struct error *why)
{
    const char *path = options->output ? options->output : "-";
    struct diff_output output = {.diff = diff,
                                 .names = {names[0], names[1]},
                                 .limit = WITHIN_TOP,
                                 .color = !options->output && report_may_colour(),
                                 .flame = options->flame};
    struct sink *sink;
    enum err err = sink_open(path, output_path_is_gzip(path), &sink, why);

    if (err != ERR_OK)
        return err;
    signal(SIGPIPE, SIG_IGN); /* a reader that went away is an error to report */
    write_to(options, &output, views, sink);
    return sink_commit(sink, why);
}

static int compare(const struct diff_values *options, char *const *names,
                   const struct profile profiles[DIFF_SIDES])
{
    struct view_options view_options = view_choices_options(&options->view);
    struct error why = ERROR_INIT;
    struct view views[DIFF_SIDES];
    struct diff diff;
    int status;

    for (size_t i = 0; i < DIFF_SIDES; i++) {
        view_init(&views[i], &profiles[i], &view_options);
        view_update(&views[i]);
    }
    diff_init(&diff, &views[DIFF_BEFORE], &views[DIFF_AFTER]);
    if (write_diff(options, names, views, &diff, &why) != ERR_OK)
        status = command_fail(&why);
    else
        status =
            options->fail_above > 0 && diff_fails_above(&diff, options->fail_above) ? EXIT_GREW : 0;
    diff_deinit(&diff);
    for (size_t i = 0; i < DIFF_SIDES; i++)
        view_deinit(&views[i]);
    return status;
}

static enum err check(struct diff_values *options, const struct operands *operands,
                      struct error *why)
{
    enum err err = reading_check_operands(operands, 2, 2, "pspy diff BEFORE AFTER", why);
    output_requests one = VEC_INIT;

    if (err == ERR_OK)
        err = view_choices_check(&options->view, why);
    if (err != ERR_OK || !options->output)
        return err;
    vec_push(&one, ((struct output_request){.path = xstrdup(options->output)}));
    for (int i = 0; i < operands->count && err == ERR_OK; i++)
        err = outputs_check(&one, operands->items[i], why);
    outputs_deinit(&one);
    return err;
}

static int run(const struct command *command, int argc, char **argv)
{
    cleanup(values_deinit) struct diff_values options = {.view = VIEW_CHOICES_DEFAULT};
    struct profile profiles[DIFF_SIDES];
    struct error why = ERROR_INIT;
    struct operands operands;
    enum err err;
    int status;

    if (command_parse(command, argc, argv, &options, &operands, &why) != ERR_OK)
        return command_fail(&why);
    if (options.help)
        return command_print_help(command);
    if (check(&options, &operands, &why) != ERR_OK)
        return command_fail(&why);
    for (size_t i = 0; i < DIFF_SIDES; i++)
        profile_init(&profiles[i]);
    err = reading_take(operands.items[0], &profiles[DIFF_BEFORE], &why);
    if (err == ERR_OK)
        err = reading_take(operands.items[1], &profiles[DIFF_AFTER], &why);
    status = err == ERR_OK ? compare(&options, operands.items, profiles) : command_fail(&why);
    for (size_t i = 0; i < DIFF_SIDES; i++)
        profile_deinit(&profiles[i]);
    return status;
}

static const char *const usages[] = {"[options] BEFORE AFTER", NULL};

static const char *const description[] = {
    "Compares two recordings: which functions take a larger or smaller share of the time than "
    "before, and which of these changes are more than chance. Of two runs of the same program it "
    "says that there is no difference beyond the noise, 19 times of 20. It reads what 'pspy "
    "convert' reads.",
    NULL,
};

static const struct example examples[] = {
    {"pspy diff before.pspy after.pspy", "what has changed"},
    {"pspy diff -o diff.svg before.pspy after.pspy", "a flame graph of it"},
    {"pspy diff --fail-above 5 before.pspy after.pspy", "for a continuous integration"},
    {NULL, NULL},
};

const struct command cmd_diff = {
    .name = "diff",
    .summary = "say what changed from one recording to another",
    .usages = usages,
    .description = description,
    .table = table,
    .operand = OPERAND_FILES,
    .examples = examples,
    .run = run,
};
