/* SPDX-License-Identifier: MIT */
/* `pspy report`: what to know of a recording, as text, Markdown or JSON. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "pspy/base/cleanup.h"
#include "pspy/cli/command.h"
#include "pspy/cli/reading.h"
#include "pspy/cli/report_forms.h"
#include "pspy/output/report.h"
#include "view_rows.h"

struct report_values {
    bool help;
    const char *output;
    const struct choice *form;
    int64_t top, budget;
    const char *focus;
    struct view_choices view;
};

typedef struct report_values values;

static const struct option_spec table[] = {
    {
        OPTION_CHOICE(values, form),
        .letter = 'f',
        .name = "format",
        .value_name = "FORMAT",
        .default_text = "text",
        .group = OUTPUT,
        .help = "one of these",
        .choices = report_forms,
    },
    {
        OPTION_FILE(values, output),
        .letter = 'o',
        .name = "output",
        .value_name = "FILE",
        .default_text = "standard output",
        .group = OUTPUT,
        .help = "write the report there",
    },
    {
        OPTION_INTEGER(values, top),
        .name = "top",
        .value_name = "N",
        .default_text = "10",
        .min = 1,
        .max = 100000,
        .group = OUTPUT,
        .help = "rows of each table",
    },
    {
        OPTION_STRING(values, focus),
        .name = "focus",
        .value_name = "REGEX",
        .group = OUTPUT,
        .help = "only stacks with a function whose name matches",
    },
    {
        OPTION_INTEGER(values, budget),
        .name = "budget",
        .value_name = "N",
        .default_text = "no limit",
        .min = 100,
        .max = 1000000,
        .group = OUTPUT,
        .help = "shorten the report to some N tokens of a language model",
        .manual =
            "Shorten the report until it has no more than about this many tokens, as language "
            "models count them: four bytes each.",
    },
    FILTER_ROWS(values, view, SHOWN),
    VIEW_ROWS(values, view, FRAMES),
    HELP_ROW(values, help),
    OPTIONS_END,
};

static void values_deinit(struct report_values *options)
{
    view_choices_deinit(&options->view);
}

static enum err write_report(const struct report_values *options, const struct profile *profile,
                             struct error *why)
{
    const char *path = options->output ? options->output : "-";
    cleanup(cleanup_free) char *folder = getcwd(NULL, 0);
    struct view_options view_options = view_choices_options(&options->view);
    struct report_options report = {.format = (enum report_format)report_form(options->form),
                                    .top = (size_t)options->top,
                                    .focus = options->focus,
                                    .budget = (size_t)options->budget,
                                    .colour = !options->output && report_may_colour(),
                                    .folder = folder};
    struct sink *sink;
    struct view view;
    enum err err = sink_open(path, output_path_is_gzip(path), &sink, why);

    if (err != ERR_OK)
        return err;
    signal(SIGPIPE, SIG_IGN); /* a reader that went away is an error to report */
    view_init(&view, profile, &view_options);
    view_update(&view);
    err = report_write(&view, &report, sink, why);
    view_deinit(&view);
    if (err == ERR_OK)
        return sink_commit(sink, why);
    sink_abort(sink);
    return err;
}

static int run(const struct command *command, int argc, char **argv)
{
    cleanup(values_deinit) struct report_values options = {.view = VIEW_CHOICES_DEFAULT};
    cleanup(profile_deinit) struct profile profile;
    struct error why = ERROR_INIT;
    struct operands operands;
    enum err err;

    profile_init(&profile);
    if (command_parse(command, argc, argv, &options, &operands, &why) != ERR_OK)
        return command_fail(&why);
    if (options.help)
        return command_print_help(command);
    err = reading_check_operands(&operands, 1, 1, "pspy report profile.pspy", &why);
    if (err == ERR_OK)
        err = view_choices_check(&options.view, &why);
    if (err == ERR_OK)
        err = reading_take(operands.items[0], &profile, &why);
    if (err == ERR_OK) {
        reading_notice(&options.view, &profile);
        err = write_report(&options, &profile, &why);
    }
    return err == ERR_OK ? 0 : command_fail(&why);
}

static const char *const usages[] = {"[options] RECORDING", NULL};

static const char *const description[] = {
    "Says what to know of a recording: its hottest lines with their source text and what they call "
    "in native code, its hottest functions, its calls as a tree, what threads wait for, who calls "
    "what is hot, and what was lost. Each share has the interval that it lies in with 95 % "
    "probability. It reads what 'pspy convert' reads.",
    NULL,
};

static const struct example examples[] = {
    {"pspy report profile.pspy", "what to know of a recording"},
    {"pspy report -f markdown -o report.md profile.pspy", "the same for an issue or a notebook"},
    {NULL, NULL},
};

const struct command cmd_report = {
    .name = "report",
    .summary = "say what to know of a recording",
    .usages = usages,
    .description = description,
    .table = table,
    .operand = OPERAND_FILES,
    .examples = examples,
    .run = run,
};
