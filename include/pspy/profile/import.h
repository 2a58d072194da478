/* SPDX-License-Identifier: MIT */
/*
 * Profiles that lie in files: pspy's own recordings, speedscope's JSON, folded stacks of pspy,
 * py-spy, stackcollapse-perf and Austin. What a format does not carry is absent in the facts.
 *
 * Folded stacks have numbers only: facts.is_counted is set, times are 0, and equal stacks of a
 * thread are one sample. Austin's numbers are microseconds, unless its header says otherwise, and
 * its lines come in the order of time: each process's ticks lie end to end from 0 on, and
 * facts.duration is what its header says, or the time of the process that has most. Speedscope's
 * samples lie end to end from their profile's startValue on, less the smallest one of the file; a
 * box of an "evented" profile is one sample for as long as the stack did not change.
 */
#ifndef PSPY_PROFILE_IMPORT_H
#define PSPY_PROFILE_IMPORT_H

#include "pspy/base/error.h"
#include "pspy/base/strbuf.h"
#include "pspy/profile/profile.h"

/*
 * Reads the file at `path`, "-" for standard input, into `ret`, which profile_init made; after an
 * error, too, the caller has to deinit it, and it holds no more than parts. What the file is tell
 * its first bytes, not its name; gzip is unpacked on the way. `warning` gets sentences about what
 * was left out or rounded.
 */
enum err profile_import(const char *path, struct profile *ret, struct strbuf *warning,
                        struct error *why);

#endif
