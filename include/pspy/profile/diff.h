/* SPDX-License-Identifier: MIT */
/*
 * Two recordings compared, function by function: how large a function's share of the whole was
 * before and is after, and which changes are more than chance.
 *
 * A function is a name, the file that labels show, and a kind: two checkouts of a program, or two
 * versions of Python, are compared by what their labels say. Whoever wants full paths to tell
 * functions apart asks both views for them.
 *
 * "Beyond chance" holds for the whole list: of two runs of one program, at most one pair in twenty
 * shows any change at all. src/profile/diff_chance.c says how it is found.
 */
#ifndef PSPY_PROFILE_DIFF_H
#define PSPY_PROFILE_DIFF_H

#include <stdbool.h>
#include <stdint.h>

#include "pspy/base/vec.h"
#include "pspy/profile/view.h"

/* Shares that differ by less, in percent points, are never beyond chance: two runs on one machine
 * differ by more than their samples tell, and who compares them cares for larger changes. */
#define DIFF_LEAST_POINTS 0.5

enum diff_side {
    DIFF_BEFORE,
    DIFF_AFTER,
    DIFF_SIDES,
};

struct diff_amount {
    uint64_t samples;
    uint64_t ns;  /* 0 where nothing is known of time */
    double share; /* of all samples of its side, or of their time: 0 to 1 */
};

struct diff_change {
    struct diff_amount of[DIFF_SIDES];
    double points;    /* the share after minus that before, in percent points */
    double low, high; /* where that is with a confidence of 95 %, each function by itself */
    bool is_beyond;   /* chance */
};

struct diff_function {
    string_id name, file; /* in diff.texts; the file as labels show it; "": none */
    enum frame_kind kind;
    struct diff_change self;  /* where the function itself ran */
    struct diff_change total; /* with what it called */
};

/* A recording as a whole. */
struct diff_whole {
    uint64_t samples;
    uint64_t ns;     /* of all samples; 0 where nothing is known of time */
    double duration; /* seconds that it lasted; 0: unknown */
    double square;   /* sum of the samples' weights, squared, by the sum of their squares: how many
                        samples of one weight say as much */
};

struct diff {
    struct strings texts;
    VEC(struct diff_function) functions; /* the largest change of the own share first */
    struct diff_whole of[DIFF_SIDES];
    bool by_time;       /* shares are of time: both sides know it */
    bool has_order;     /* both sides know the order of their samples: chance was measured */
    double correlation; /* so many samples say as much as an independent one; at least 1 */
    size_t beyond;      /* functions with a change beyond chance, own or total */
};

/* Both views must be up to date; they are not needed afterwards. */
void diff_init(struct diff *diff, const struct view *before, const struct view *after);
void diff_deinit(struct diff *diff);

/* Appends "name (file)". */
void diff_label(const struct diff *diff, const struct diff_function *function,
                struct strbuf *label);
/* Whether a function's own share grew by more than `points`, beyond chance. */
bool diff_fails_above(const struct diff *diff, double points);

/* For a part that has these shares of the two sides, such as a frame of a flame graph, of which
 * there are hundreds: whether chance makes such a difference less often than once in 300 parts. */
bool diff_is_beyond(const struct diff *diff, double before, double after);

#endif
