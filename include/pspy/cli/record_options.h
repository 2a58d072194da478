/* SPDX-License-Identifier: MIT */
/* What `pspy record` was asked to do: its option table, and the checks no single row can make. */
#ifndef PSPY_CLI_RECORD_OPTIONS_H
#define PSPY_CLI_RECORD_OPTIONS_H

#include <time.h>

#include "pspy/base/strbuf.h"
#include "pspy/cli/command.h"
#include "pspy/cli/options.h"
#include "pspy/cli/outputs.h"
#include "pspy/cli/view_choices.h"

struct record_options {
    bool help;                /* --help was asked for: nothing below was checked */
    pid_t pid;                /* 0: start `program` */
    char **program;           /* NULL-terminated argv, borrowed; NULL with a pid */
    option_list output_texts; /* templates; "-": stdout */
    const char *ranks;        /* what --ranks said, or NULL */
    bool left_out;            /* this process's rank is not among them: the program runs alone */
    const struct choice *format_choice; /* what -f said, or NULL */
    output_requests outputs;            /* at least one; without paths yet */
    double rate;                        /* samples a second */
    uint64_t delay_start;               /* ns of wall-clock time before sampling begins */
    uint64_t duration;                  /* ns of wall-clock time, or DURATION_UNLIMITED */
    double max_overhead;                /* percent of a CPU; 0: no limit */
    struct view_choices view;
    bool subprocesses;
    bool idle;
    bool gil;
    bool nonblocking;
    bool flame;
    bool kill;
    bool as_root;
};

/* Runs `pspy record`: the run function of cmd_record, which lives beside its table. */
int record_run(const struct command *command, int argc, char **argv);

/* Reads `record`'s words (argv[0] is "record"). On an error `why` is one sentence with a remedy. */
enum err record_options_parse(int argc, char **argv, struct record_options *ret, struct error *why);
void record_options_deinit(struct record_options *options);

/*
 * Sets the path of each output: its template filled in for a program or process with this pid, or
 * <program or pid>-<local time>.<extension>, with the MPI rank before it where there is one. An
 * error that record_options_parse would not have found: two outputs are one file.
 */
enum err record_options_name_outputs(struct record_options *options, pid_t pid, time_t now,
                                     struct error *why);
/* Appends a sentence where a format is a guess, else nothing; no newline. */
void record_options_notice(const struct record_options *options, struct strbuf *out);
/* The same when other MPI ranks write the same file. */
void record_options_notice_ranks(const struct record_options *options, struct strbuf *out);

#endif
