/* SPDX-License-Identifier: MIT */
/*
 * What is shown of a profile. A view derives frames, stacks and samples from a profile's facts
 * under its options: roots for processes and threads, lines or functions, inlined functions in
 * their place, the interpreter's own frames folded, states as frames, deep stacks cut, filters.
 * Writers, queries, the report and `top` read views only.
 *
 * view_update derives what joined since; what was derived already is kept, unless names or filters
 * make it wrong: then all is derived anew. Indices of frames and stacks hold until then.
 */
#ifndef PSPY_PROFILE_VIEW_H
#define PSPY_PROFILE_VIEW_H

#include "pspy/profile/profile.h"

struct filter;

/* All zero: functions of Python and native code with the lines that run, interpreter folded. */
struct view_options {
    bool threads;        /* a root frame for each thread */
    bool function_lines; /* a function's first line instead of the current one */
    bool no_lines;
    bool columns; /* of the instruction within the line */
    bool full_filenames;
    bool states;       /* an innermost frame for what a thread waits for or in */
    bool native_all;   /* the interpreter's own functions too */
    bool python_only;  /* no native frames; a stack of nothing else is "[native]" */
    bool native_only;  /* no Python frames; a stack of nothing else is "[Python]" */
    bool by_time;      /* formats that count samples write microseconds */
    size_t max_depth;  /* frames of a stack; the middle of a deeper one is left out; 0: no limit */
    uint64_t from, to; /* ns since the start; samples taken at [from, to); to 0: no end */
    const struct filter *filter; /* borrowed; NULL: all stay */
};

/* A frame as shown. Two frames are the same frame iff all fields agree. */
struct view_frame {
    enum frame_kind kind;
    uint8_t flags;        /* enum frame_flags: FRAME_INLINED */
    string_id name;       /* function, or marker */
    string_id file;       /* full path of the source file, or of the module; "" for markers */
    string_id short_file; /* the file as labels show it */
    string_id module;     /* full path of the file with native code; "" for other frames */
    uint32_t line;        /* 1-based; 0: unknown or not wanted */
    uint32_t column;      /* in bytes of the line's UTF-8, 1-based; 0: unknown or not wanted */
};

struct view_state;

struct view {
    const struct profile *profile;
    struct view_options options;
    struct strings strings; /* that the profile does not have */
    VEC(struct view_frame) frames;
    struct table frame_index;
    VEC(struct stack_node) stacks; /* a parent comes before its children */
    struct table stack_index;
    struct samples samples;    /* in the order of time; .stack is one of this view's */
    uint64_t ends[STACK_ENDS]; /* of these samples */
    uint64_t left_out;         /* samples between from and to that the filter did not keep */
    struct view_state *state;
};

/* Derives nothing yet. The profile is borrowed. */
void view_init(struct view *view, const struct profile *profile,
               const struct view_options *options);
void view_deinit(struct view *view);
/* As far as the profile has come. */
void view_update(struct view *view);

/* Of a name or file of one of the view's frames, and of a string of the profile. */
const char *view_text(const struct view *view, string_id string);
const struct view_frame *view_frame(const struct view *view, frame_id frame);
/* Appends the label that all formats show, as py-spy's: "name (file:line)", "name (file)", "name".
 */
void view_label(const struct view *view, frame_id frame, struct strbuf *label);

/* How many samples a sample stands for: 1, but in profiles whose weights are numbers of samples. */
uint64_t view_count(const struct view *view, const struct sample *sample);
/* ns; 0 where nothing is known of time. */
uint64_t view_time(const struct view *view, const struct sample *sample);

#endif
