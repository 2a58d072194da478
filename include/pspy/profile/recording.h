/* SPDX-License-Identifier: MIT */
/*
 * pspy's own recording, the file x.pspy: every fact of a profile. It is written while the profile
 * grows, so that a pspy that is killed leaves what it had written; pspy-recording(5) has the
 * layout.
 */
#ifndef PSPY_PROFILE_RECORDING_H
#define PSPY_PROFILE_RECORDING_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "pspy/base/error.h"
#include "pspy/base/strbuf.h"
#include "pspy/profile/profile.h"

struct recording_writer;

/* Writes whole chunks. False: it failed, and nothing more is to be written. */
typedef bool recording_write_fn(void *context, const void *bytes, size_t length);

struct recording_writer *recording_writer_create(recording_write_fn *write, void *context);
void recording_writer_destroy(struct recording_writer *writer);

/* Appends what has joined or changed since the last call, of the samples the settled ones. False:
 * writing has failed, now or before. What stands in the file stays readable. */
bool recording_write(struct recording_writer *writer, const struct profile *profile);
/* The same, and the end: without it the file reads as cut off. */
bool recording_finish(struct recording_writer *writer, const struct profile *profile);

/* Where a recording's bytes come from. Fills `room`; 0: the end, -1: an error, told by errno. */
struct recording_input {
    ssize_t (*read)(void *context, void *room, size_t size);
    void *context;
};

/* Whether a file that begins so is a recording. `length` at least RECORDING_MAGIC_LENGTH. */
#define RECORDING_MAGIC_LENGTH 8
bool recording_is(const void *bytes, size_t length);

/*
 * Reads a recording into `ret`, which profile_init made. Of one that was cut or is damaged all is
 * kept that comes before: then facts.end is RECORDING_CUT_OFF, and `warning` gets a sentence. An
 * error: it is no recording, or one that this pspy cannot read.
 */
enum err recording_read(const struct recording_input *input, struct profile *ret,
                        struct strbuf *warning, struct error *why);

#endif
