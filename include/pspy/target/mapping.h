/* SPDX-License-Identifier: MIT */
#ifndef PSPY_TARGET_MAPPING_H
#define PSPY_TARGET_MAPPING_H

#include <stdbool.h>
#include <stdint.h>

/* A range of a target's addresses, and what is mapped there. */
struct mapping {
    uint64_t start, end, offset;
    uint64_t inode;
    uint32_t device_major, device_minor;
    bool is_readable, is_executable, is_deleted;
    const char *path; /* as the target calls it; "[stack]", "[vdso]"; "" if anonymous. Borrowed */
};

#endif
