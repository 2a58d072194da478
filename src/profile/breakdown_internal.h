/* SPDX-License-Identifier: MIT */
/* What the parts of the breakdown share while it is made. */
#ifndef PSPY_PROFILE_BREAKDOWN_INTERNAL_H
#define PSPY_PROFILE_BREAKDOWN_INTERNAL_H

#include "pspy/base/table.h"
#include "pspy/profile/breakdown.h"

/* Indices of stacks, each the innermost one of its kind at or above a stack; 0: there is none. */
struct stack_places {
    uint32_t code;    /* any code */
    uint32_t python;  /* a Python frame */
    uint32_t program; /* a Python frame of the program */
    uint32_t library; /* the outermost of the library's Python frames below `program` */
    uint32_t focus;   /* the outermost frame that the focus names */
};

struct making {
    const struct view *view;
    struct breakdown *breakdown;
    const struct breakdown_options *options;
    uint32_t *function_of;       /* by frame */
    uint32_t *line_of;           /* by frame */
    struct stack_places *places; /* by stack */
    struct amount *own;          /* by stack: samples that ran, in the focus */
    struct amount *below;        /* by stack: the same with all stacks that grow from it */
};

/* Amounts by pairs of numbers, while they are collected. */
struct pairs {
    breakdown_parts parts;
    struct table index;
};

void amount_add(struct amount *amount, const struct amount *more);
static inline bool is_code(enum frame_kind kind)
{
    return kind < FRAME_MARKER;
}
static inline bool is_python(enum frame_kind kind)
{
    return kind <= FRAME_SITE;
}
/* For orders in which the larger one comes first. */
static inline int compare_weights(uint64_t a, uint64_t b)
{
    return (a < b) - (a > b);
}

const struct view_frame *stack_frame(const struct making *making, uint32_t stack);
uint32_t stack_function(const struct making *making, uint32_t stack);
uint32_t stack_line(const struct making *making, uint32_t stack);

void pairs_add(struct pairs *pairs, uint32_t of, uint32_t by, const struct amount *amount);
/* Hands the parts over, in the order of rows, then of amounts, then of names. */
void pairs_finish(struct pairs *pairs, const struct share_base *base, breakdown_parts *ret);
/* Numbers functions and lines in the order of their names: breakdown_names.c. */
void breakdown_number_frames(struct making *making);
void breakdown_add_waits(struct making *making);
void breakdown_add_tree(struct making *making);

#endif
