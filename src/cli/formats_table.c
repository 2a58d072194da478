/* SPDX-License-Identifier: MIT */
#include "formats_table.h"

const struct choice format_choices[] = {
    {"flamegraph", "for a browser (.svg and other names)"},
    {"speedscope", "for speedscope.app (.json)"},
    {"raw", "one folded stack a line (.txt, .folded)"},
    {"chrometrace", "for ui.perfetto.dev (only by -f)"},
    {"report", "what to know of it, in Markdown (.md)"},
    {"pspy", "the recording itself, for pspy convert and report (.pspy)"},
    {NULL, NULL},
};
