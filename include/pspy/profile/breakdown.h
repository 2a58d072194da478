/* SPDX-License-Identifier: MIT */
/*
 * Where the time of a view went, for reports: by line, by function, by caller, as a tree, and where
 * threads waited. Of the samples in which a thread ran; those in which it waited are apart.
 *
 * Library code (of Python's standard library and of site-packages) and native code count for the
 * line of the program that calls them, unless the stack holds no code of the program. A line of a
 * library that has BREAKDOWN_HOT of the whole by itself stands for itself.
 *
 * All orders are by amount, then by name: the same for the same samples in whatever order frames
 * were interned. No walk recurses.
 */
#ifndef PSPY_PROFILE_BREAKDOWN_H
#define PSPY_PROFILE_BREAKDOWN_H

#include "pspy/base/error.h"
#include "pspy/base/vec.h"
#include "pspy/profile/share.h"
#include "pspy/profile/view.h"

#define BREAKDOWN_HOT  0.05
#define BREAKDOWN_NONE UINT32_MAX

struct breakdown_options {
    const char *focus; /* extended regular expression: of stacks with such a function; NULL: all */
    double least_branch; /* share below which a branch of the tree is left out */
    uint32_t most_depth; /* of the tree */
};

/* A part of a row that is named by another one: of a line, what it calls. */
struct breakdown_part {
    uint32_t of; /* index of the row */
    uint32_t by; /* index of what it is named by; BREAKDOWN_NONE: the row itself */
    struct amount amount;
};

typedef VEC(struct breakdown_part) breakdown_parts;

struct breakdown_function {
    frame_id frame;                 /* one of its frames: name, file and kind hold */
    uint32_t first_line, last_line; /* that were seen to run; 0: none */
    struct amount self, total;
    uint32_t first_part, parts; /* in breakdown.callers */
};

struct breakdown_line {
    frame_id frame;             /* one of its frames: file, line, kind and name hold */
    struct amount self, total;  /* self: with native and library code that it calls */
    uint32_t first_part, parts; /* in breakdown.callees */
};

/* In pre-order, the larger branch first. Node 0 is the whole and has no function. */
struct breakdown_node {
    uint32_t function; /* index in breakdown.functions; BREAKDOWN_NONE: the whole */
    uint32_t depth;
    uint32_t end; /* index of the first node after this one's descendants */
    struct amount self, total;
    struct amount omitted;      /* of branches below this node that are left out */
    uint32_t omitted_branches;  /* how many */
    uint32_t first_part, parts; /* in breakdown.folded: library and native code below it */
};

struct breakdown_wait {
    uint32_t thread; /* index of a thread of the profile: its name holds */
    uint8_t state;   /* enum sample_state */
    uint16_t call;   /* as sample.call */
    uint32_t line;   /* index in breakdown.lines; BREAKDOWN_NONE: no code */
    struct amount amount;
};

/* What runs, by what runs there. */
struct breakdown_split {
    struct amount python, native, system; /* together the whole, but for samples without frames */
    struct amount collecting, holding;    /* garbage; the GIL: those that ran or were ready */
};

struct breakdown {
    struct share_base base;      /* of the samples that ran, within the focus */
    struct share_base unfocused; /* of all that ran */
    struct amount waited[SAMPLE_STATES];
    struct amount nowhere; /* of the whole: samples without a frame of code */
    struct breakdown_split split;
    VEC(struct breakdown_function) functions; /* in the order of names */
    VEC(struct breakdown_line) lines;         /* in the order of files and lines */
    VEC(uint32_t) hot_functions;              /* indices; most self first, none without samples */
    VEC(uint32_t) hot_lines;                  /* indices; most self first, none without own ones */
    breakdown_parts
        callees; /* by: functions. Of lines: what they call, in library or native code */
    breakdown_parts callers; /* by: lines. Of functions: who called them when they ran themselves */
    VEC(struct breakdown_node) tree;
    breakdown_parts folded; /* by: functions */
    VEC(struct breakdown_wait) waits;
};

/* The view must be up to date. Fails only where the focus is no regular expression: `why` says so.
 * The breakdown is to be deinitialised in any case. */
enum err breakdown_init(struct breakdown *breakdown, const struct view *view,
                        const struct breakdown_options *options, struct error *why);
void breakdown_deinit(struct breakdown *breakdown);

#endif
