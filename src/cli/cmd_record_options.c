/* SPDX-License-Identifier: MIT */
#include "pspy/cli/record_options.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/xmalloc.h"
#include "pspy/cli/launcher.h"
#include "pspy/cli/output_name.h"

#define RATE_DEFAULT 100

static enum err check_subject(const struct record_options *options, struct error *why)
{
    if (options->pid && options->program)
        return error_set(why, ERR_INVALID,
                         "--pid profiles a process that runs already, and '%s' is a program to "
                         "start: leave one of them out",
                         options->program[0]);
    if (options->pid == getpid())
        return error_set(why, ERR_INVALID,
                         "process %d is this pspy itself: give the id of the process to look at",
                         (int)options->pid);
    if (!options->pid && !options->program)
        return error_set(why, ERR_INVALID,
                         "nothing to profile: give a process with --pid PID or a program behind "
                         "--, as in 'pspy record -- python3 app.py'");
    return ERR_OK;
}

static enum err check_conflicts(const struct record_options *options, struct error *why)
{
    const struct {
        bool holds;
        const char *sentence;
    } conflicts[] = {
        {options->view.native && options->nonblocking,
         "--native and --nonblocking exclude each other, because native stacks need a consistent "
         "copy of registers and stack, which needs a short stop: leave one of them out"},
        {options->delay_start == DURATION_UNLIMITED,
         "--delay-start unlimited would never begin: give it seconds"},
        {options->kill && options->pid,
         "--kill ends a program that pspy started, and a process given by --pid is never ended: "
         "leave --kill out"},
        {options->as_root && options->pid,
         "--as-root is about starting a program, and the process given by --pid runs already: "
         "leave --as-root out"},
        {options->ranks && options->pid,
         "--ranks chooses among the programs that an MPI launcher starts, and the process given by "
         "--pid runs already: leave --ranks out"},
        {options->flame && !outputs_have(&options->outputs, "flamegraph"),
         "--flame draws a flamegraph, and the format is another one: leave --flame out or add "
         "-f flamegraph"},
    };

    for (size_t i = 0; i < sizeof(conflicts) / sizeof(conflicts[0]); i++)
        if (conflicts[i].holds)
            return error_set(why, ERR_INVALID, "%s", conflicts[i].sentence);
    return ERR_OK;
}

/* The name that a template of -o stands for. */
static enum err expand_output(const char *text, pid_t pid, char **ret, struct error *why)
{
    char host[HOST_NAME_MAX + 1] = "";
    struct name_facts facts = {.pid = pid, .host = host, .environment = environ};

    gethostname(host, sizeof(host) - 1);
    return output_name_expand(text, &facts, ret, why);
}

/* A template that cannot be filled in is found here, before anything runs; the pid is not known
 * yet, and no suffix. */
static enum err choose_outputs(struct record_options *options, struct error *why)
{
    enum err err = outputs_choose(&options->output_texts, options->format_choice, true,
                                  &options->outputs, why);

    for (size_t i = 0; i < options->output_texts.length && err == ERR_OK; i++) {
        struct output_request *output = &options->outputs.items[i];
        cleanup(cleanup_free) char *name = NULL;

        err = expand_output(output->text, options->pid, &name, why);
        if (err != ERR_OK)
            break;
        output->format = outputs_format(name, options->format_choice, true, &output->gzip,
                                        &output->format_is_guess, why);
        err = output->format ? ERR_OK : ERR_INVALID;
    }
    return err;
}

static enum err choose_ranks(struct record_options *options, struct error *why)
{
    const char *rank;
    bool included;
    enum err err;

    if (!options->ranks)
        return ERR_OK;
    err = launcher_ask(LAUNCHER_RANK, environ, "--ranks", &rank, why);
    if (err == ERR_OK)
        err = ranks_include(options->ranks, rank, &included, why);
    if (err == ERR_OK)
        options->left_out = !included;
    return err;
}

enum err record_options_parse(int argc, char **argv, struct record_options *ret, struct error *why)
{
    struct record_options options = {
        .rate = RATE_DEFAULT, .duration = DURATION_UNLIMITED, .view = VIEW_CHOICES_DEFAULT};
    struct operands operands;
    enum err err = command_parse(&cmd_record, argc, argv, &options, &operands, why);

    if (!err && !options.help) {
        options.program = operands.count ? operands.items : NULL;
        err = check_subject(&options, why);
        if (!err)
            err = choose_outputs(&options, why);
        if (!err)
            err = view_choices_check(&options.view, why);
        if (!err)
            err = check_conflicts(&options, why);
        if (!err)
            err = choose_ranks(&options, why);
    }
    if (err)
        record_options_deinit(&options);
    else
        *ret = options;
    return err;
}

void record_options_deinit(struct record_options *options)
{
    outputs_deinit(&options->outputs);
    vec_deinit(&options->output_texts);
    view_choices_deinit(&options->view);
}

/* Ranks start within one second: their names differ by the rank. */
static char *default_name(const struct record_options *options, const char *suffix, time_t now)
{
    char time_text[64];
    struct tm local;
    const char *rank = NULL, *slash;

    localtime_r(&now, &local);
    strftime(time_text, sizeof(time_text), "%Y-%m-%dT%H-%M-%S%z", &local);
    if (options->pid)
        return xasprintf("%d-%s.%s", (int)options->pid, time_text, suffix);
    launcher_ask(LAUNCHER_RANK, environ, "", &rank, NULL);
    slash = strrchr(options->program[0], '/');
    return xasprintf("%s-%s%s%s.%s", slash ? slash + 1 : options->program[0], time_text,
                     rank ? "-rank" : "", rank ? rank : "", suffix);
}

enum err record_options_name_outputs(struct record_options *options, pid_t pid, time_t now,
                                     struct error *why)
{
    enum err err = ERR_OK;

    vec_each (output, &options->outputs) {
        if (output->text)
            err = expand_output(output->text, pid, &output->path, why);
        else
            output->path = default_name(options, output->format->suffix, now);
        if (err != ERR_OK)
            return err;
    }
    return outputs_check(&options->outputs, NULL, why);
}

void record_options_notice(const struct record_options *options, struct strbuf *out)
{
    vec_each (output, &options->outputs)
        if (output->format_is_guess && !out->length)
            strbuf_addf(out, "'%s' names no format, so it becomes a %s; -f chooses another",
                        output->text, output->format->name);
}

/* Whether each rank's file is another one, or no file. */
static bool is_ranks_own(const char *text)
{
    return !text || strcmp(text, "-") == 0 || strncmp(text, "/dev/", 5) == 0 ||
           output_name_differs(text);
}

/* Rank 0 does not know whether there are others. */
void record_options_notice_ranks(const struct record_options *options, struct strbuf *out)
{
    const char *rank;

    if ((options->ranks && ranks_are_one(options->ranks)) ||
        launcher_ask(LAUNCHER_RANK, environ, "", &rank, NULL) != ERR_OK || strcmp(rank, "0") == 0)
        return;
    vec_each (output, &options->outputs)
        if (!is_ranks_own(output->text) && !out->length)
            strbuf_addf(out,
                        "this is MPI rank %s, and the last rank's profile replaces the others' in "
                        "'%s'; %%r in the name gives each rank a file of its own",
                        rank, output->text);
}
