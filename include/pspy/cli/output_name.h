/* SPDX-License-Identifier: MIT */
/* Templates in -o: 'gs.%r.svg' gives each MPI rank a file of its own. Pure. */
#ifndef PSPY_CLI_OUTPUT_NAME_H
#define PSPY_CLI_OUTPUT_NAME_H

#include <stdbool.h>
#include <sys/types.h>

#include "pspy/base/error.h"

/* What the letters stand for. */
struct name_facts {
    pid_t pid;                /* of the program that is recorded */
    const char *host;         /* this machine's name */
    char *const *environment; /* our own, as environ(7); the launcher's variables are in it */
};

/*
 * Replaces %p (pid), %h (host), %r (rank), %l (local rank), %j (job), %q{VARIABLE} and %% in
 * `text`; the caller frees the name. An error names the letter that is unknown or has no value. No
 * value brings a slash along: a variable could name a folder that the user did not mean.
 */
enum err output_name_expand(const char *text, const struct name_facts *facts, char **ret,
                            struct error *why);

/* Whether names made of `text`, which output_name_expand has taken, differ from rank to rank. */
bool output_name_differs(const char *text);

/* The name of the `number`th snapshot of a recording into `path`: "gs.1.speedscope.json.gz". The
 * caller frees it. */
char *output_name_numbered(const char *path, unsigned number);

#endif
