/* SPDX-License-Identifier: MIT */
/* `pspy record`: a profile of one program, written to a file. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/clock.h"
#include "pspy/cli/command.h"
#include "pspy/cli/output_name.h"
#include "pspy/cli/progress.h"
#include "pspy/cli/record_options.h"
#include "pspy/cli/summary.h"
#include "pspy/output/format.h"
#include "pspy/sampler/sampler.h"
#include "pspy/target/access.h"
#include "pspy/target/launch.h"

#define EXIT_CANNOT_EXECUTE 126
#define EXIT_NOT_FOUND      127
#define KILL_PATIENCE       (5 * NS_PER_SECOND)
#define REPEAT_PAUSE        NS_PER_SECOND

/* What the signal handler needs. */
static volatile int stop_requested;
static volatile int snapshot_requested;
static const struct waiter *volatile forward_to; /* the program that pspy started */
static volatile int forward_later;               /* a signal that came before the program ran */
static bool interrupt_is_ignored;

struct recording {
    struct record_options options; /* their lists and filter are borrowed */
    char *path;
    struct sink *sink;
    struct sudo_user user; /* the one who called sudo */
    bool has_user;
    sigset_t old_mask, ignored; /* as we were started: the program shall have the same */
    struct launch launch;
    struct launch_wait wait; /* the program's process before it runs; pid 0: none */
    struct target target;
    struct waiter waiter;
    struct tid_list strangers; /* our children before that one, with subprocesses */
    struct profile profile;
    struct sampler_run run;
    struct progress progress;
};

/* timeout(1) sends a signal to its child and to its group as well: that is one request. */
static bool is_repeated(int number)
{
    static uint64_t last[NSIG];
    uint64_t before = last[number];

    last[number] = clock_now();
    return before && last[number] - before < REPEAT_PAUSE;
}

static void forward(int number)
{
    const struct waiter *waiter = forward_to;

    if (is_repeated(number))
        return;
    if (!waiter)
        forward_later = number;
    else if (!waiter->has_ended)
        kill(waiter->child, number);
}

/* The terminal sends its signals to the program as well, except a hang-up, which the session's
 * leader alone gets. SIGINT says "enough" to pspy alone. */
static bool is_for_program(int number, bool is_from_terminal)
{
    return number != SIGINT && (!is_from_terminal || (number == SIGHUP && getsid(0) == getpid()));
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    int kept = errno;
    bool is_from_terminal = info->si_code == SI_KERNEL;

    (void)context;
    if (number == SIGINT && interrupt_is_ignored && is_from_terminal)
        return;
    if (is_for_program(number, is_from_terminal))
        forward(number);
    stop_requested = 1;
    errno = kept;
}

static void on_snapshot_signal(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info, (void)context;
    snapshot_requested = 1;
}

static const struct {
    int number;
    void (*handle)(int, siginfo_t *, void *);
} handled[] = {
    {SIGINT, on_signal},
    {SIGTERM, on_signal},
    {SIGHUP, on_signal},
    {SIGUSR1, on_snapshot_signal},
};

static bool is_ignored(int number)
{
    struct sigaction action;

    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

/*
 * nohup: a signal that is ignored stays so. But a shell script ignores SIGINT for what it starts
 * with &, and a SIGINT that is sent on purpose (kill -INT) must still end the recording. With
 * SIGCHLD ignored no exit status could be had.
 */
static void handle_signals(struct recording *recording)
{
    sigset_t child;

    sigemptyset(&recording->ignored);
    for (size_t i = 0; i < sizeof(handled) / sizeof(handled[0]); i++) {
        struct sigaction action = {.sa_sigaction = handled[i].handle, .sa_flags = SA_SIGINFO};
        int number = handled[i].number;

        if (is_ignored(number))
            sigaddset(&recording->ignored, number);
        if (!is_ignored(number) || number == SIGINT)
            sigaction(number, &action, NULL);
    }
    interrupt_is_ignored = sigismember(&recording->ignored, SIGINT);
    if (is_ignored(SIGCHLD))
        sigaddset(&recording->ignored, SIGCHLD);
    signal(SIGCHLD, SIG_DFL);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD); /* waited for, never handled */
    sigprocmask(SIG_BLOCK, &child, &recording->old_mask);
}

static const struct sudo_user *program_user(const struct recording *recording)
{
    return recording->has_user && !recording->options.as_root ? &recording->user : NULL;
}

/* Makes the program's process, which runs nothing yet: its id may be part of the output's name. */
static enum err prepare_program(struct recording *recording, struct error *why)
{
    if (!recording->options.program)
        return ERR_OK;
    recording->launch = (struct launch){.argv = recording->options.program,
                                        .user = program_user(recording),
                                        .signal_mask = &recording->old_mask,
                                        .ignored = &recording->ignored};
    return launch_prepare(&recording->launch, &recording->wait, why);
}

static enum err open_sink(struct recording *recording, const char *path, struct error *why)
{
    const struct record_options *options = &recording->options;
    enum err err = sink_open(path, options->gzip, &recording->sink, why);

    if (err == ERR_OK && recording->has_user && !options->as_root)
        err = sink_chown(recording->sink, recording->user.uid, recording->user.gid, why);
    return err;
}

static enum err open_output(struct recording *recording, struct error *why)
{
    const struct record_options *options = &recording->options;
    pid_t pid = options->program ? recording->wait.pid : options->pid;
    enum err err = record_options_output_name(options, pid, time(NULL), &recording->path, why);

    return err == ERR_OK ? open_sink(recording, recording->path, why) : err;
}

/* Orphans become pspy's children, and are found so. Before pspy makes its program's process: that
 * one is no stranger. */
static enum err prepare_subprocesses(struct recording *recording, struct error *why)
{
    if (!recording->options.subprocesses)
        return ERR_OK;
    if (target_own_children(&recording->strangers) != ERR_OK)
        return error_set(why, ERR_UNSUPPORTED,
                         "this kernel does not list children (/proc/PID/task/TID/children, "
                         "CONFIG_PROC_CHILDREN): leave out -s, and profile a child with -p PID");
    if (recording->options.program)
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
    forward_to = &recording->waiter;
    if (forward_later)
        kill(wait.pid, forward_later);
    return ERR_OK;
}

/* Starts the program or finds the process. */
static enum err open_target(struct recording *recording, struct error *why)
{
    const struct record_options *options = &recording->options;
    enum err err = options->program ? start_program(recording, why) : ERR_OK;

    if (err == ERR_OK)
        err = target_open(options->program ? recording->waiter.child : options->pid,
                          &recording->target, why);
    if (err == ERR_OK)
        err = access_check(&recording->target, !options->nonblocking, why);
    return err;
}

static struct sampler_options sampler_options(const struct record_options *options)
{
    return (struct sampler_options){
        .rate = options->rate,
        .delay = options->delay_start,
        .duration = options->duration,
        .max_overhead = options->max_overhead,
        .native = options->native,
        .native_all = options->native_all,
        .idle = options->idle,
        .gil = options->gil,
        .threads = options->threads,
        .nonblocking = options->nonblocking,
        .function_lines = options->function,
        .no_lines = options->nolineno,
        .full_filenames = options->full_filenames,
        .columns = options->columns,
        .states = options->states,
        .max_depth = (size_t)options->max_depth,
        .subprocesses = options->subprocesses,
    };
}

static void set_title(struct recording *recording)
{
    cleanup(strbuf_deinit) struct strbuf title = STRBUF_INIT;

    if (recording->options.program)
        for (char **word = recording->options.program; *word; word++)
            strbuf_addf(&title, "%s%s", title.length ? " " : "", *word);
    else
        target_command(&recording->target, &title);
    recording->profile.title = profile_string(&recording->profile, title.text);
}

static enum err write_profile(struct recording *recording, struct error *why)
{
    struct output_options options = {.flame = recording->options.flame};
    struct sink *sink = recording->sink;
    enum err err;

    if (recording->options.filter.rules.length)
        filter_apply(&recording->options.filter, &recording->profile);
    signal(SIGPIPE, SIG_IGN); /* a reader that went away is an error to report */
    recording->sink = NULL;
    err = recording->options.format->write(&recording->profile, &options, sink, why);
    if (err != ERR_OK) {
        sink_abort(sink);
        return err;
    }
    return sink_commit(sink, why);
}

static void show_progress(void *context, const struct sampler_progress *progress)
{
    struct recording *recording = context;

    progress_show(&recording->progress, progress);
}

/* In a process of its own: the file that will be written at the end is not its business. */
static void write_snapshot(void *context, unsigned number)
{
    struct recording *recording = context;
    cleanup(cleanup_free) char *path = NULL;
    struct error why = ERROR_INIT;

    for (size_t i = 0; i < sizeof(handled) / sizeof(handled[0]); i++)
        signal(handled[i].number, SIG_IGN); /* the recording's own process acts upon them */
    progress_end(&recording->progress);
    if (!sink_temporary_path(recording->sink)) {
        fprintf(stderr,
                "pspy: no snapshot: '%s' is no regular file; give -o a file's name to have some\n",
                recording->path);
        return;
    }
    path = output_name_numbered(recording->path, number);
    if (open_sink(recording, path, &why) == ERR_OK && write_profile(recording, &why) == ERR_OK)
        summary_snapshot(path, &recording->options, &recording->profile);
    else
        command_fail(&why);
}

static void sample(struct recording *recording)
{
    recording->run = (struct sampler_run){
        .options = sampler_options(&recording->options),
        .target = &recording->target,
        .waiter = &recording->waiter,
        .strangers = &recording->strangers,
        .profile = &recording->profile,
        .stop = &stop_requested,
        .progress = show_progress,
        .snapshot_wanted = &snapshot_requested,
        .snapshot = write_snapshot,
        .context = recording,
    };
    set_title(recording);
    progress_init(&recording->progress, &recording->target, recording->options.program != NULL);
    sampler_run(&recording->run);
    progress_end(&recording->progress);
}

static void wait_a_while(struct waiter *waiter, uint64_t deadline)
{
    waiter_pause(waiter, deadline);
    sampler_collect_orphans(waiter);
}

/* Sends the signal to what --kill is to end. False: nothing of that is left. */
static bool signal_program(const struct recording *recording, int number)
{
    const struct waiter *waiter = &recording->waiter;

    if (recording->options.subprocesses)
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
        wait_a_while(waiter, clock_now() + REPEAT_PAUSE);
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
    if (recording->options.kill)
        end_program(recording);
    else if (!waiter->has_ended)
        summary_waiting(waiter->child);
    while (!waiter->has_ended)
        wait_a_while(waiter, UINT64_MAX);
    return program_status(waiter->status);
}

static int status_of(enum err err, const struct recording *recording)
{
    if (!recording->options.program || recording->waiter.child)
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

static int record(struct recording *recording)
{
    struct error why = ERROR_INIT;
    int status = 0;
    enum err err = prepare_subprocesses(recording, &why);

    if (err == ERR_OK)
        err = prepare_program(recording, &why);
    if (err == ERR_OK)
        err = open_output(recording, &why);
    if (err != ERR_OK)
        return command_fail(&why);
    print_notices(&recording->options);
    err = open_target(recording, &why);
    if (err == ERR_OK) {
        sample(recording);
    } else if (ended_at_once(recording, err)) {
        recording->run.end = SAMPLER_EXITED;
        recording->profile.rate = recording->options.rate;
        set_title(recording);
    } else {
        command_fail(&why);
        if (recording->waiter.child)
            wait_for_program(recording);
        return status_of(err, recording);
    }
    err = write_profile(recording, &why);
    if (err == ERR_OK)
        summary_print(recording->path, &recording->options, &recording->run, &recording->profile);
    else
        command_fail(&why);
    if (recording->waiter.child)
        status = wait_for_program(recording);
    return err == ERR_OK ? status : EXIT_PSPY;
}

/* --ranks leaves this one out: the program takes our place. */
static int run_alone(struct recording *recording)
{
    struct error why = ERROR_INIT;
    struct launch launch = {.argv = recording->options.program, .user = program_user(recording)};
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
    recording.options = options;
    recording.has_user = sudo_user(&recording.user);
    if (options.left_out)
        return run_alone(&recording);
    profile_init(&recording.profile);
    handle_signals(&recording);
    status = record(&recording);
    if (recording.wait.pid)
        launch_cancel(&recording.wait);
    sink_abort(recording.sink);
    target_close(&recording.target);
    profile_deinit(&recording.profile);
    tid_list_deinit(&recording.strangers);
    free(recording.path);
    return status;
}
