/* SPDX-License-Identifier: MIT */
/* Many small reads with few system calls. */
#ifndef PSPY_PYTHON_BULK_H
#define PSPY_PYTHON_BULK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pspy/target/target.h"

/*
 * Reads `size` bytes at each address into `ret`, one piece behind the other. `ret_read` says which
 * were read whole; address 0 never is. False: so many failed that the addresses are garbage.
 */
bool bulk_read(const struct target *target, const uint64_t *addresses, size_t count, size_t size,
               void *ret, bool *ret_read);

#endif
