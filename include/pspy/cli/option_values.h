/* SPDX-License-Identifier: MIT */
/* From the text of one option's value to the member that receives it. */
#ifndef PSPY_CLI_OPTION_VALUES_H
#define PSPY_CLI_OPTION_VALUES_H

#include "pspy/cli/options.h"

/* Writes the option's value below `values`; `text` is NULL for kinds without a value. */
enum err option_store(const struct option_spec *spec, const char *text, void *values,
                      struct error *why);

/* "1.5" to 1500000000, whatever the locale; digits behind the ninth decimal place are dropped. */
bool decimal_parse(const char *text, uint64_t *ret_billionths);

#endif
