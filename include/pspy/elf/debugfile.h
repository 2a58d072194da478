/* SPDX-License-Identifier: MIT */
/* Finds the separate file that holds a stripped ELF file's symbols. */
#ifndef PSPY_ELF_DEBUGFILE_H
#define PSPY_ELF_DEBUGFILE_H

#include <libelf.h>
#include <stdbool.h>

#include "pspy/base/strbuf.h"

/*
 * Opens the regular file `path` as seen from the root directory `root_fd` (-1: our own root):
 * absolute symlinks stay inside that root. Returns a descriptor that the caller closes, or -1 with
 * errno.
 */
int rooted_open(int root_fd, const char *path);

/* Appends the file's build-id in hexadecimal digits. False: it has none. */
bool debugfile_build_id(Elf *elf, struct strbuf *ret);

/*
 * Looks for the debug file of `elf`, which lies at `path`: by build-id under
 * /usr/lib/debug/.build-id, then by .gnu_debuglink (beside the file, in .debug, under
 * /usr/lib/debug), each in `root_fd` and then in our own root; at last in the user's cache of
 * debuginfod (under sudo: the caller's). A file found by build-id must carry that build-id, one
 * found by link must have the link's CRC. A descriptor, or -1.
 */
int debugfile_open(Elf *elf, const char *path, int root_fd);

/*
 * Looks for the file in which dwz has put what the debug information of `elf` and other files have
 * in common (.gnu_debugaltlink): by build-id, else by name, relative to `path`, in the same places.
 */
int debugfile_open_alt(Elf *elf, const char *path, int root_fd);

#endif
