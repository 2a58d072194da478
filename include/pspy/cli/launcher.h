/* SPDX-License-Identifier: MIT */
/*
 * What the launcher that started pspy (mpirun, srun, flux run ...) tells it by environment
 * variables: its MPI rank, its rank on this host, the job. Pure: the environment is an argument.
 */
#ifndef PSPY_CLI_LAUNCHER_H
#define PSPY_CLI_LAUNCHER_H

#include <stdbool.h>
#include <stddef.h>

#include "pspy/base/error.h"

enum launcher_fact {
    LAUNCHER_RANK,       /* in the whole MPI program, from 0: digits */
    LAUNCHER_LOCAL_RANK, /* among its ranks on this host, from 0: digits */
    LAUNCHER_JOB,        /* the batch system's id, else the launcher's: any text */
};

/* The value of the variable with this name of `length` bytes, borrowed; NULL: not set. An
 * environment is what environ(7) is: "NAME=value" each, ends with NULL. */
const char *environment_value(char *const *environment, const char *name, size_t length);

/*
 * The fact as text, borrowed from the environment. `asker`, "%r" or "--ranks", is what an error
 * says should be left out: ERR_NOT_FOUND where no launcher says it, ERR_INVALID where a rank is no
 * number.
 */
enum err launcher_ask(enum launcher_fact fact, char *const *environment, const char *asker,
                      const char **ret, struct error *why);

/* Whether `rank` is in a list such as "0-3,8". ERR_INVALID if it is no such list. */
enum err ranks_include(const char *list, const char *rank, bool *ret, struct error *why);
/* Whether the list, which ranks_include has taken, names only one rank. */
bool ranks_are_one(const char *list);

#endif
