/* SPDX-License-Identifier: MIT */
/* The output formats: one row each, found by name or by a path's suffix. */
#ifndef PSPY_OUTPUT_FORMAT_H
#define PSPY_OUTPUT_FORMAT_H

#include <stdbool.h>
#include <stddef.h>

#include "pspy/base/error.h"
#include "pspy/output/sink.h"
#include "pspy/profile/view.h"

/* All zero are the defaults. */
struct output_options {
    bool flame; /* flamegraph: the root at the bottom (default: an icicle, root on top) */
    double min_width_percent; /* flamegraph: frames narrower than this are not drawn; 0: chosen */
};

struct output_format {
    const char *name;   /* "flamegraph" */
    const char *suffix; /* of a default file name, without the first dot: "speedscope.json" */
    const char *what;   /* completes "Wrote ...": "flame graph" */
    const char *hint;   /* how to look at it: a sentence without the file's name */
    /* NULL: it holds the profile itself (profile/recording.h), which is written as it grows.
     * Returns ERR_OK also when the sink failed: sink_commit says so. */
    enum err (*write)(const struct view *view, const struct output_options *options,
                      struct sink *sink, struct error *why);
};

/* Ends with a row whose name is NULL. */
extern const struct output_format output_formats[];

/* Ignores case; NULL if there is none. */
const struct output_format *output_format_by_name(const char *name);
/* By the suffix; NULL if it says nothing. Sets *gzip (may be NULL) in either case. */
const struct output_format *output_format_by_path(const char *path, bool *gzip);
/* Whether the path ends with that suffix, such as ".svg", and perhaps ".gz" behind it. */
bool output_path_has_suffix(const char *path, const char *suffix);
/* Whether the path ends with ".gz": then any format is compressed. */
bool output_path_is_gzip(const char *path);

#endif
