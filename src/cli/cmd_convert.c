/* SPDX-License-Identifier: MIT */
/* `pspy convert`: a recording into other formats; `pspy merge`: several of them into one. */
#include <signal.h>
#include <string.h>

#include "formats_table.h"
#include "pspy/base/cleanup.h"
#include "pspy/cli/command.h"
#include "pspy/cli/outputs.h"
#include "pspy/cli/reading.h"
#include "pspy/profile/join.h"
#include "view_rows.h"

struct convert_options {
    bool help;
    bool flame;
    option_list output_texts;
    const struct choice *format;
    output_requests outputs;
    struct view_choices view;
};

typedef struct convert_options values;

static const struct option_spec table[] = {
    {
        OPTION_FILES(values, output_texts),
        .letter = 'o',
        .name = "output",
        .value_name = "FILE",
        .group = OUTPUT,
        .help = "write there, in the format of the name's suffix; - is standard output; may be "
                "given several times",
    },
    {
        OPTION_CHOICE(values, format),
        .letter = 'f',
        .name = "format",
        .value_name = "FORMAT",
        .default_text = "by FILE's suffix",
        .group = OUTPUT,
        .help = "one of these",
        .choices = format_choices,
    },
    {
        OPTION_FLAG(values, flame),
        .name = "flame",
        .group = OUTPUT,
        .help = "flamegraph with the root at the bottom, not the top",
    },
    FILTER_ROWS(values, view, SHOWN),
    VIEW_ROWS(values, view, FRAMES),
    HELP_ROW(values, help),
    OPTIONS_END,
};

static void options_deinit(struct convert_options *options)
{
    outputs_deinit(&options->outputs);
    vec_deinit(&options->output_texts);
    view_choices_deinit(&options->view);
}

static enum err check(struct convert_options *options, const struct operands *operands,
                      struct error *why)
{
    enum err err;

    if (!options->output_texts.length)
        return error_set(why, ERR_INVALID,
                         "-o is missing: give the file to write, such as -o profile.svg");
    err = outputs_choose(&options->output_texts, options->format, false, &options->outputs, why);
    if (err == ERR_OK)
        err = view_choices_check(&options->view, why);
    vec_each (output, &options->outputs)
        output->path = xstrdup(output->text);
    for (int i = 0; i < operands->count && err == ERR_OK; i++)
        err = outputs_check(&options->outputs, operands->items[i], why);
    return err;
}

static enum err write_all(struct convert_options *options, const struct profile *profile,
                          struct error *why)
{
    struct output_options output_options = {.flame = options->flame};
    struct view_options view_options = view_choices_options(&options->view);
    struct view view;
    enum err err = ERR_OK;

    for (size_t i = 0; i < options->outputs.length && err == ERR_OK; i++)
        err = output_open(&options->outputs.items[i], NULL, why);
    if (err != ERR_OK)
        return err;
    view_init(&view, profile, &view_options);
    view_update(&view);
    signal(SIGPIPE, SIG_IGN); /* a reader that went away is an error to report */
    err = outputs_write(&options->outputs, &view, &output_options, why);
    view_deinit(&view);
    return err;
}

/* ---- reading ---- */

static enum err join_one(struct join *join, const char *path, struct error *why)
{
    cleanup(profile_deinit) struct profile profile;
    struct join_source source = {.path = path, .rank = -1};
    enum err err;

    profile_init(&profile);
    err = reading_take(path, &profile, why);
    return err == ERR_OK ? join_add(join, &profile, &source, why) : err;
}

static enum err join_all(const struct operands *operands, struct profile *ret, struct error *why)
{
    struct join *join = join_create(ret);
    enum err err = ERR_OK;

    for (int i = 0; i < operands->count && err == ERR_OK; i++)
        err = join_one(join, operands->items[i], why);
    if (err == ERR_OK)
        join_finish(join);
    else
        join_destroy(join);
    return err;
}

typedef enum err take_fn(const struct operands *operands, struct profile *ret, struct error *why);

static enum err take_one(const struct operands *operands, struct profile *ret, struct error *why)
{
    return reading_take(operands->items[0], ret, why);
}

static int run(const struct command *command, int argc, char **argv, int least, int most,
               take_fn *take)
{
    cleanup(options_deinit) struct convert_options options = {.view = VIEW_CHOICES_DEFAULT};
    cleanup(profile_deinit) struct profile profile;
    struct error why = ERROR_INIT;
    struct operands operands;
    char usage[128];
    enum err err;

    profile_init(&profile);
    if (command_parse(command, argc, argv, &options, &operands, &why) != ERR_OK)
        return command_fail(&why);
    if (options.help)
        return command_print_help(command);
    snprintf(usage, sizeof(usage), "pspy %s %s", command->name, command->usages[0]);
    err = reading_check_operands(&operands, least, most, usage, &why);
    if (err == ERR_OK)
        err = check(&options, &operands, &why);
    if (err == ERR_OK)
        err = take(&operands, &profile, &why);
    if (err == ERR_OK) {
        reading_notice(&options.view, &profile);
        err = write_all(&options, &profile, &why);
    }
    return err == ERR_OK ? 0 : command_fail(&why);
}

/* ---- the two commands ---- */

static int run_convert(const struct command *command, int argc, char **argv)
{
    return run(command, argc, argv, 1, 1, take_one);
}

static int run_merge(const struct command *command, int argc, char **argv)
{
    return run(command, argc, argv, 1, 0, join_all);
}

static const char *const convert_usages[] = {"[options] -o FILE RECORDING", NULL};

static const char *const convert_description[] = {
    "Writes a recording in other formats. It reads pspy's own recordings (x.pspy), speedscope's "
    "JSON, and folded stacks of pspy, py-spy, Austin and stackcollapse-perf, each also packed by "
    "gzip; - is standard input. What a format does not have is absent.",
    "The options say what is shown, as those of 'pspy record' do: a recording has all that they "
    "can ask for, whatever was asked for when it was made. Native functions are there if it was "
    "made with -n.",
    NULL,
};

static const struct example convert_examples[] = {
    {"pspy convert -t -o profile.svg profile.pspy", "a flame graph with a tree for each thread"},
    {"pspy convert --from 10 --to 20 -o part.txt profile.pspy", "ten seconds, as folded stacks"},
    {NULL, NULL},
};

const struct command cmd_convert = {
    .name = "convert",
    .summary = "write a recording in other formats",
    .usages = convert_usages,
    .description = convert_description,
    .table = table,
    .operand = OPERAND_FILES,
    .examples = convert_examples,
    .run = run_convert,
};

static const char *const merge_usages[] = {"[options] -o FILE RECORDING...", NULL};

static const char *const merge_description[] = {
    "Puts several recordings into one: the ranks of an MPI program, several hosts, repeated runs. "
    "Processes keep their host, rank and pid. Times are aligned by the hosts' clocks.",
    NULL,
};

static const struct example merge_examples[] = {
    {"pspy merge -o all.pspy rank0.pspy rank1.pspy", "two ranks of an MPI program"},
    {NULL, NULL},
};

const struct command cmd_merge = {
    .name = "merge",
    .summary = "put several recordings into one",
    .usages = merge_usages,
    .description = merge_description,
    .table = table,
    .operand = OPERAND_FILES,
    .examples = merge_examples,
    .run = run_merge,
};
