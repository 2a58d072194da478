/* SPDX-License-Identifier: MIT */
/* The write functions of format.c's rows. */
#ifndef PSPY_OUTPUT_WRITERS_H
#define PSPY_OUTPUT_WRITERS_H

#include "pspy/output/format.h"

typedef enum err output_write_fn(const struct view *view, const struct output_options *options,
                                 struct sink *sink, struct error *why);

output_write_fn flamegraph_write;
output_write_fn speedscope_write;
output_write_fn raw_write;
output_write_fn chrometrace_write;

#endif
