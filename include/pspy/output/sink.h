/* SPDX-License-Identifier: MIT */
/*
 * Where a format's bytes go: a buffered writer, optionally through gzip. Opened before sampling
 * begins, so that a wrong path costs no profile. A file appears under its name only when it is
 * whole: until sink_commit it is a temporary file beside it. Knows no format and no profile.
 *
 * Write errors stick: the writers need not check, sink_commit reports the first one. The program
 * must ignore SIGPIPE to get EPIPE reported.
 */
#ifndef PSPY_OUTPUT_SINK_H
#define PSPY_OUTPUT_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "pspy/base/error.h"

struct sink;

/*
 * `path`: "-" is standard output, as /dev/stdout; /dev/fd/N is that descriptor; a device, pipe or
 * FIFO is written in place (opening a FIFO waits for its reader); else a regular file, new or to be
 * replaced, symbolic links followed. A replaced file keeps its mode and owner.
 */
enum err sink_open(const char *path, bool gzip, struct sink **ret, struct error *why);
/* Flushes and renames. Frees the sink in any case; on failure nothing is left under the path,
 * except that a file which only could not be renamed stays, and `why` says where. */
enum err sink_commit(struct sink *sink, struct error *why);
/* Renames now: the file is seen growing, and stays whatever happens. */
enum err sink_appear(struct sink *sink, struct error *why);
/* Hands over what is buffered; for files without gzip. */
void sink_flush(struct sink *sink);
/* Removes the temporary file and frees the sink. Takes NULL. */
void sink_abort(struct sink *sink);

/* Gives a new file to another user (the one who called sudo); others keep their owner. */
enum err sink_chown(struct sink *sink, uid_t uid, gid_t gid, struct error *why);
/* The temporary file, or NULL if there is none. The text stays until commit or abort, so that a
 * signal handler may unlink() it. */
const char *sink_temporary_path(const struct sink *sink);

void sink_write(struct sink *sink, const void *bytes, size_t length);
void sink_text(struct sink *sink, const char *text);
void sink_addf(struct sink *sink, const char *format, ...)
    __attribute__((format(printf, 2, 3), nonnull(2)));
/* Whether a write failed: a writer of much data may stop early. */
bool sink_failed(const struct sink *sink);

#endif
