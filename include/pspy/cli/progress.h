/* SPDX-License-Identifier: MIT */
/*
 * The line on a terminal that tells how a recording goes on. It is overwritten again and again,
 * which would eat the program's own output where both share a terminal: once the program has
 * written something, there is no such line any more.
 */
#ifndef PSPY_CLI_PROGRESS_H
#define PSPY_CLI_PROGRESS_H

#include "pspy/sampler/sampler.h"

struct progress {
    const struct target *target;
    bool is_shown;            /* stderr is a terminal, and still pspy's own */
    bool shares_terminal;     /* with the program, whose standard output it is too */
    bool has_line;            /* a line stands there */
    uint64_t written;         /* bytes the program had written when it was last looked at */
    struct procfs_stat image; /* its program then: an exec changes start_code and start_stack */
};

/* `target` is borrowed. `has_program`: pspy started it, so it writes where pspy does. */
void progress_init(struct progress *progress, const struct target *target, bool has_program);
void progress_show(struct progress *progress, const struct sampler_progress *seen);
/* Erases the line, or goes to the next one if the program may have written in it. */
void progress_end(struct progress *progress);

#endif
