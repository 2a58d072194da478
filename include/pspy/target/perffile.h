/* SPDX-License-Identifier: MIT */
/* The map file for perf that a target may write: /tmp/perf-PID.map. */
#ifndef PSPY_TARGET_PERFFILE_H
#define PSPY_TARGET_PERFFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "pspy/machine/perfmap.h"
#include "pspy/target/target.h"

struct perffile {
    int fd;         /* -1: no file, so far */
    off_t size;     /* as of the last look */
    off_t consumed; /* so many bytes are in `map` */
    struct perfmap map;
};

#define PERFFILE_INIT                                                                              \
    {                                                                                              \
        -1, 0, 0, PERFMAP_INIT                                                                     \
    }

void perffile_deinit(struct perffile *file);

/* Looks for the file if there is none yet, or another one in its place. The file must belong to the
 * target's user or to root, and be younger than the target. True if there is a new one. */
bool perffile_open(struct perffile *file, const struct target *target);

/* Reads what was written since; whether that was anything. */
bool perffile_update(struct perffile *file);

#endif
