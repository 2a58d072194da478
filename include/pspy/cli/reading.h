/* SPDX-License-Identifier: MIT */
/* What the commands share that read recordings. */
#ifndef PSPY_CLI_READING_H
#define PSPY_CLI_READING_H

#include "pspy/base/error.h"
#include "pspy/cli/options.h"
#include "pspy/cli/view_choices.h"
#include "pspy/profile/profile.h"

/*
 * Reads a file into `ret`, which profile_init made, and names what its recording could not name any
 * more, from the files that are there. Says on standard error what is missing of it.
 */
enum err reading_take(const char *path, struct profile *ret, struct error *why);
/* Says where an option asks for what the recording does not have. */
void reading_notice(const struct view_choices *choices, const struct profile *profile);
/* `least` to `most` operands (0: no limit), or a sentence. */
enum err reading_check_operands(const struct operands *operands, int least, int most,
                                const char *usage, struct error *why);

#endif
