/* SPDX-License-Identifier: MIT */
/* The values of -f: the same names as output_formats; a test compares them. */
#ifndef PSPY_CLI_FORMATS_TABLE_H
#define PSPY_CLI_FORMATS_TABLE_H

#include "pspy/cli/options.h"

extern const struct choice format_choices[];

#endif
