/* SPDX-License-Identifier: MIT */
/* Object files that a compiler loaded into its own process at run time. */
#ifndef PSPY_MACHINE_JITOBJECT_H
#define PSPY_MACHINE_JITOBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pspy/base/strbuf.h"

/* Copies bytes of the process that runs the code; false if they cannot be read. */
typedef bool jitobject_read_fn(void *context, uint64_t address, void *ret, size_t size);

/*
 * Links the object file `bytes` in place, as its compiler did: read-only sections get the bytes
 * they were loaded with, symbols and debug information run-time addresses. False if it is no 64-bit
 * object file, or damaged so that its sections cannot be found.
 */
bool jitobject_link(unsigned char *bytes, size_t size, jitobject_read_fn *read, void *context);

/* Appends a linked object file of one function to the empty `ret`; `code` are its `size` bytes, or
 * NULL. */
void jitobject_make(const char *name, uint64_t start, uint64_t size, const unsigned char *code,
                    struct strbuf *ret);

/*
 * Adds what the compiler left out: unwind information for functions that have none, made from their
 * code. `object` is what jitobject_link accepted; it may become longer.
 */
void jitobject_add_frames(struct strbuf *object);

/* The address range of the section `index` if it holds loaded code; false if it does not. Only for
 * what jitobject_link accepted; *ret_count is the number of sections. */
bool jitobject_code(const unsigned char *bytes, size_t index, size_t *ret_count,
                    uint64_t *ret_start, uint64_t *ret_end);

#endif
