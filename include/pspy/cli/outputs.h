/* SPDX-License-Identifier: MIT */
/*
 * The files that a command writes: one request for each -o, its format by -f or by its suffix. All
 * are opened before anything is recorded or read, so that a wrong path costs nothing.
 */
#ifndef PSPY_CLI_OUTPUTS_H
#define PSPY_CLI_OUTPUTS_H

#include "pspy/base/sudo.h"
#include "pspy/cli/options.h"
#include "pspy/cli/view_choices.h"
#include "pspy/output/format.h"
#include "pspy/profile/recording.h"

struct output_request {
    const char *text;                   /* what -o said, borrowed; NULL: a name is made up */
    char *path;                         /* where it is written; "-": standard output */
    const struct output_format *format; /* never NULL */
    bool format_is_guess;               /* neither -f nor the suffix said one */
    bool gzip;                          /* the name ends with .gz */
    struct sink *sink;                  /* NULL: not open, or a recording */
    struct recording_writer *recording; /* written while the profile grows */
};

typedef VEC(struct output_request) output_requests;

void outputs_deinit(output_requests *outputs);

/*
 * One request for each of `texts`, or one without a text. `format`: what -f said, or NULL; it goes
 * with one text at most. A format that nothing says is a flame graph where `may_guess`, else an
 * error. The paths are not set yet.
 */
enum err outputs_choose(const option_list *texts, const struct choice *format, bool may_guess,
                        output_requests *ret, struct error *why);
/* The format of one name. NULL, with a sentence: there is none. */
const struct output_format *outputs_format(const char *name, const struct choice *format,
                                           bool may_guess, bool *ret_gzip, bool *ret_is_guess,
                                           struct error *why);

/* Whether one is of the format with that name. */
bool outputs_have(const output_requests *outputs, const char *format);

/* Opens what is at output->path. `owner`: whom a new file belongs to; NULL: us. */
enum err output_open(struct output_request *output, const struct sudo_user *owner,
                     struct error *why);
/* Two requests must not be for one file, and none for a file that is read (NULL: none). */
enum err outputs_check(const output_requests *outputs, const char *input, struct error *why);

/* Recordings get what joined since; the others nothing. */
enum err outputs_update(output_requests *outputs, const struct profile *profile, struct error *why);
/*
 * Writes all of them: a recording the facts, the others the view. The first error is told, after
 * all that can be written was.
 */
enum err outputs_write(output_requests *outputs, const struct view *view,
                       const struct output_options *options, struct error *why);

#endif
