/* SPDX-License-Identifier: MIT */
/* What `pspy record` tells on stderr when it has ended. */
#ifndef PSPY_CLI_SUMMARY_H
#define PSPY_CLI_SUMMARY_H

#include "pspy/cli/record_options.h"
#include "pspy/profile/view.h"

/* The whole report: what was written, how much, what is missing, the hottest functions. */
void summary_print(const output_requests *outputs, const struct record_options *options,
                   const struct view *view);

/* One line, for a snapshot while the recording goes on. */
void summary_snapshot(const struct output_request *output, const struct profile *profile);

/* Says that pspy waits for a program that runs on. */
void summary_waiting(pid_t pid);

#endif
