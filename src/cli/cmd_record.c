/* SPDX-License-Identifier: MIT */
/* `pspy record`: a profile of one program, written to a file. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/clock.h"
#include "pspy/cli/command.h"
#include "pspy/cli/launcher.h"
#include "pspy/cli/output_name.h"
#include "pspy/cli/outputs.h"
#include "pspy/cli/progress.h"
#include "pspy/cli/record_options.h"
#include "pspy/cli/signals.h"
#include "pspy/cli/summary.h"
#include "pspy/naming/namer.h"
#include "pspy/sampler/sampler.h"
#include "pspy/target/access.h"
#include "pspy/target/launch.h"

#define EXIT_CANNOT_EXECUTE 126
#define EXIT_NOT_FOUND      127
#define KILL_PATIENCE       (5 * NS_PER_SECOND)
#define KILL_PAUSE          NS_PER_SECOND
#define STEP                (NS_PER_SECOND / 2) /* between looks at progress, snapshots, recordings */

struct recording {
    struct record_options *options;
    struct sudo_user user; /* the one who called sudo */
    bool has_user;
    struct signal_state signals;
    struct launch launch;
    struct launch_wait wait; /* the program's process before it runs; pid 0: none */
    struct target target;
    struct waiter waiter;
    struct tid_list strangers; /* our children before that one, with subprocesses */
    struct profile profile;
    struct sampler *sampler;
    struct namer *namer;
    unsigned snapshots;
    struct progress progress;
};

/* Who runs the program, and whom new files belong to. NULL: we. */
static const struct sudo_user *program_user(const struct recording *recording)
{
    return recording->has_user && !recording->options->as_root ? &recording->user : NULL;
}

/* Makes the program's process, which runs nothing yet: its id may be part of the output's name. */
static enum err prepare_program(struct recording *recording, struct error *why)
{
    if (!recording->options->program)
        return ERR_OK;
    recording->launch = (struct launch){.argv = recording->options->program,
                                        .user = program_user(recording),
                                        .signal_mask = &recording->signals.old_mask,
                                        .ignored = &recording->signals.ignored};
    return launch_prepare(&recording->launch, &recording->wait, why);
}

static enum err open_outputs(struct recording *recording, struct error *why)
{
    struct record_options *options = recording->options;
    pid_t pid = options->program ? recording->wait.pid : options->pid;
    enum err err = record_options_name_outputs(options, pid, time(NULL), why);

    for (size_t i = 0; i < options->outputs.length && err == ERR_OK; i++)
        err = output_open(&options->outputs.items[i], program_user(recording), why);
    return err;
}

/* Orphans become pspy's children, and are found so. Before pspy makes its program's process: that
 * one is no stranger. */
static enum err prepare_subprocesses(struct recording *recording, struct error *why)
{
    if (!recording->options->subprocesses)
        return ERR_OK;
    if (target_own_children(&recording->strangers) != ERR_OK)
        return error_set(why, ERR_UNSUPPORTED,
                         "this kernel does not list children (/proc/PID/task/TID/children, "
                         "CONFIG_PROC_CHILDREN): leave out -s, and profile a child with -p PID");
    if (recording->options->program)
        prctl(PR_SET_CHILD_SUBREAPER, 1);
    return ERR_OK;
}

static enum err start_program(struct recording *recording, struct error *why)
{
    struct launch_wait wait = recording->wait;
    enum err err;

    recording->wait.pid = 0;
    err = launch_go(&recording->launch, &wait, why);
    if (err != ERR_OK)
        return err;
    recording->waiter.child = wait.pid;
    signals_forward_to(&recording->waiter);
    return ERR_OK;
}

/* Starts the program or finds the process. */
static enum err open_target(struct recording *recording, struct error *why)
{
    const struct record_options *options = recording->options;
    enum err err = options->program ? start_program(recording, why) : ERR_OK;

    if (err == ERR_OK)
        err = target_open(options->program ? recording->waiter.child : options->pid,
                          &recording->target, why);
    if (err == ERR_OK)
        err = access_check(&recording->target, !options->nonblocking, why);
    return err;
}

static struct sampler_options asked_options(const struct record_options *options)
{
    return (struct sampler_options){
        .rate = options->rate,
        .delay = options->delay_start,
        .duration = options->duration,
        .max_overhead = options->max_overhead,
        .native = options->view.native,
        .idle = options->idle,
        .gil = options->gil,
        .nonblocking = options->nonblocking,
        .subprocesses = options->subprocesses,
    };
}

static void set_title(struct recording *recording)
{
    cleanup(strbuf_deinit) struct strbuf title = STRBUF_INIT;

    if (recording->options->program)
        for (char **word = recording->options->program; *word; word++)
            strbuf_addf(&title, "%s%s", title.length ? " " : "", *word);
    else
        target_command(&recording->target, &title);
    recording->profile.facts.title = profile_string(&recording->profile, title.text);
}

/* ---- writing -----------------------------------------------------------------------------------
 */

static enum err write_outputs(struct recording *recording, output_requests *outputs,
                              const struct view *view, struct error *why)
{
    struct output_options options = {.flame = recording->options->flame};

    signal(SIGPIPE, SIG_IGN); /* a reader that went away is an error to report */
    return outputs_write(outputs, view, &options, why);
}

/* What a snapshot can be written beside. */
static bool has_snapshots(const struct output_request *output)
{
    return !output->recording && sink_temporary_path(output->sink);
}

static enum err write_snapshot(struct recording *recording, const struct output_request *output,
                               const struct view *view, struct error *why)
{
    struct output_request copy = {.format = output->format, .gzip = output->gzip};
    output_requests one = VEC_INIT;
    enum err err;

    copy.path = output_name_numbered(output->path, recording->snapshots);
    vec_push(&one, copy);
    err = output_open(&one.items[0], program_user(recording), why);
    if (err == ERR_OK)
        err = write_outputs(recording, &one, view, why);
    if (err == ERR_OK)
        summary_snapshot(&one.items[0], view->profile);
    outputs_deinit(&one);
    return err;
}

/* The profile as it is, while the recording goes on. */
static void take_snapshot(struct recording *recording)
{
    struct view_options options = view_choices_options(&recording->options->view);
    struct error why = ERROR_INIT;
    struct view view;

    recording->snapshots++;
    progress_end(&recording->progress);
    sampler_tell(recording->sampler);
    namer_name(recording->namer);
    view_init(&view, &recording->profile, &options);
    view_update(&view);
    vec_each (output, &recording->options->outputs) {
        if (!has_snapshots(output))
            fprintf(stderr, "pspy: no snapshot of '%s': %s\n", output->path,
                    output->recording ? "it is written all the time, and can be read at any moment"
                                      : "it is no regular file; give -o a file's name to have "
                                        "some");
        else if (write_snapshot(recording, output, &view, &why) != ERR_OK)
            command_fail(&why);
    }
    view_deinit(&view);
}

/* ---- sampling ----------------------------------------------------------------------------------
 */

/* For `merge`: which rank of an MPI program this is. */
static void note_rank(struct recording *recording)
{
    const char *text;
    int rank;

    if (launcher_ask(LAUNCHER_RANK, environ, "", &text, NULL) != ERR_OK ||
        sscanf(text, "%9d", &rank) != 1)
        return;
    vec_each (process, &recording->profile.processes)
        process->rank = rank;
}

/* At least once a second recordings get what has joined. */
static void update_recordings(struct recording *recording)
{
    struct error why = ERROR_INIT;

    if (!outputs_have(&recording->options->outputs, "pspy"))
        return;
    sampler_tell(recording->sampler);
    namer_name(recording->namer);
    note_rank(recording);
    if (outputs_update(&recording->options->outputs, &recording->profile, &why) != ERR_OK)
        command_fail(&why);
}

static void show_progress(struct recording *recording)
{
    struct sampler_progress seen;

    sampler_progress(recording->sampler, &seen);
    if (seen.has_begun)
        progress_show(&recording->progress, &seen);
}

static void run_sampler(struct recording *recording)
{
    uint64_t due = clock_now() + STEP;
    enum sampler_event event;

    update_recordings(recording);
    while ((event = sampler_next(recording->sampler, due)) != SAMPLER_ENDED) {
        if (event == SAMPLER_READY) {
            signals_snapshot = 0;
            take_snapshot(recording);
            continue;
        }
        show_progress(recording);
        update_recordings(recording);
        due = clock_now() + STEP;
    }
}

static void sample(struct recording *recording)
{
    struct sampler_setup setup = {
        .options = asked_options(recording->options),
        .target = &recording->target,
        .waiter = &recording->waiter,
        .strangers = &recording->strangers,
        .profile = &recording->profile,
        .stop = &signals_stop,
        .wake = &signals_snapshot,
        .watch_fd = -1,
    };

    set_title(recording);
    recording->sampler = sampler_create(&setup);
    recording->namer = namer_create(&recording->profile, sampler_modules(recording->sampler),
                                    recording->target.root_fd, sampler_loops(recording->sampler));
    progress_init(&recording->progress, &recording->target, recording->options->program != NULL);
    run_sampler(recording);
    progress_end(&recording->progress);
    sampler_finish(recording->sampler);
    namer_finish(recording->namer);
    note_rank(recording);
}

/* ---- the end -----------------------------------------------------------------------------------
 */

static void wait_a_while(struct waiter *waiter, uint64_t deadline)
{
    waiter_pause(waiter, deadline);
    sampler_collect_orphans(waiter);
}

/* Sends the signal to what --kill is to end. False: nothing of that is left. */
static bool signal_program(const struct recording *recording, int number)
{
    const struct waiter *waiter = &recording->waiter;

    if (recording->options->subprocesses)
        return sampler_signal_descendants(waiter, &recording->strangers, number) > 0;
    return !waiter->has_ended && kill(waiter->child, number) == 0;
}

/* Ends the program as --kill asks: politely first. */
static void end_program(struct recording *recording)
{
    struct waiter *waiter = &recording->waiter;
    uint64_t deadline = clock_now() + KILL_PATIENCE;

    signal_program(recording, SIGTERM);
    while (signal_program(recording, 0) && clock_now() < deadline)
        wait_a_while(waiter, deadline);
    while (signal_program(recording, SIGKILL))
        wait_a_while(waiter, clock_now() + KILL_PAUSE);
}

/* The exit status that a shell would show for the program. */
static int program_status(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int wait_for_program(struct recording *recording)
{
    struct waiter *waiter = &recording->waiter;

    waiter_poll(waiter);
    if (recording->options->kill)
        end_program(recording);
    else if (!waiter->has_ended)
        summary_waiting(waiter->child);
    while (!waiter->has_ended)
        wait_a_while(waiter, UINT64_MAX);
    return program_status(waiter->status);
}

static int status_of(enum err err, const struct recording *recording)
{
    if (!recording->options->program || recording->waiter.child)
        return EXIT_PSPY;
    switch (err) {
    case ERR_NOT_FOUND:
        return EXIT_NOT_FOUND;
    case ERR_PERMISSION:
        return EXIT_CANNOT_EXECUTE;
    default:
        return EXIT_PSPY;
    }
}

/* A program may be over before it can be looked at: that is an empty profile, not a failure. */
static bool ended_at_once(struct recording *recording, enum err err)
{
    return err == ERR_GONE && recording->waiter.child;
}

static void print_notices(const struct record_options *options)
{
    static void (*const notices[])(const struct record_options *, struct strbuf *) = {
        record_options_notice,
        record_options_notice_ranks,
    };

    for (size_t i = 0; i < sizeof(notices) / sizeof(notices[0]); i++) {
        cleanup(strbuf_deinit) struct strbuf notice = STRBUF_INIT;

        notices[i](options, &notice);
        if (notice.length)
            fprintf(stderr, "pspy: %s\n", notice.text);
    }
}

static enum err write_profile(struct recording *recording, struct error *why)
{
    struct view_options options = view_choices_options(&recording->options->view);
    struct view view;
    enum err err;

    view_init(&view, &recording->profile, &options);
    view_update(&view);
    err = write_outputs(recording, &recording->options->outputs, &view, why);
    if (err == ERR_OK)
        summary_print(&recording->options->outputs, recording->options, &view);
    else
        command_fail(why);
    view_deinit(&view);
    return err;
}

static int record(struct recording *recording)
{
    struct error why = ERROR_INIT;
    int status = 0;
    enum err err = prepare_subprocesses(recording, &why);

    if (err == ERR_OK)
        err = prepare_program(recording, &why);
    if (err == ERR_OK)
        err = open_outputs(recording, &why);
    if (err != ERR_OK)
        return command_fail(&why);
    print_notices(recording->options);
    err = open_target(recording, &why);
    if (err == ERR_OK) {
        sample(recording);
    } else if (ended_at_once(recording, err)) {
        struct sampler_options asked = asked_options(recording->options);

        sampler_note_options(&recording->profile, &asked);
        recording->profile.facts.end = RECORDING_EXITED;
        set_title(recording);
    } else {
        command_fail(&why);
        if (recording->waiter.child)
            wait_for_program(recording);
        return status_of(err, recording);
    }
    err = write_profile(recording, &why);
    if (recording->waiter.child)
        status = wait_for_program(recording);
    return err == ERR_OK ? status : EXIT_PSPY;
}

/* --ranks leaves this one out: the program takes our place. */
static int run_alone(struct recording *recording)
{
    struct error why = ERROR_INIT;
    struct launch launch = {.argv = recording->options->program, .user = program_user(recording)};
    enum err err = launch_replace(&launch, &why);

    command_fail(&why);
    return status_of(err, recording);
}

int record_run(const struct command *command, int argc, char **argv)
{
    cleanup(record_options_deinit) struct record_options options = {.help = false};
    struct recording recording = {.target = TARGET_INIT};
    struct error why = ERROR_INIT;
    int status;

    if (record_options_parse(argc, argv, &options, &why))
        return command_fail(&why);
    if (options.help)
        return command_print_help(command);
    recording.options = &options;
    recording.has_user = sudo_user(&recording.user);
    if (options.left_out)
        return run_alone(&recording);
    profile_init(&recording.profile);
    signals_handle(&recording.signals);
    status = record(&recording);
    if (recording.wait.pid)
        launch_cancel(&recording.wait);
    namer_destroy(recording.namer);
    sampler_destroy(recording.sampler);
    target_close(&recording.target);
    profile_deinit(&recording.profile);
    tid_list_deinit(&recording.strangers);
    return status;
}
