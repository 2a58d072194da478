/* SPDX-License-Identifier: MIT */
/* Names for addresses of a recording that was cut off before they were named. */
#ifndef PSPY_NAMING_LATER_H
#define PSPY_NAMING_LATER_H

#include "pspy/profile/profile.h"

/*
 * Names what has no name yet, by the files that lie here under the modules' paths. A file counts
 * only if it has the module's build-id; addresses in others stay as they are.
 */
void name_later(struct profile *profile);

#endif
