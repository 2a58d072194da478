/* SPDX-License-Identifier: MIT */
/* A flame graph whose colours are changes (output/diff.h). */
#ifndef PSPY_OUTPUT_FLAMEGRAPH_H
#define PSPY_OUTPUT_FLAMEGRAPH_H

#include "pspy/output/format.h"
#include "pspy/profile/diff.h"
#include "pspy/profile/query.h"

struct flame_changes {
    const struct diff *diff;
    const char *title;
    const struct call_tree *tree; /* what is drawn */
    const double *before;         /* by node: its share of the earlier recording, 0 to 1 */
    double gone; /* share of the earlier recording in stacks that the tree does not have */
};

void flamegraph_write_changes(const struct view *view, const struct flame_changes *changes,
                              const struct output_options *options, struct sink *sink);

#endif
