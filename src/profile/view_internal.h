/* SPDX-License-Identifier: MIT */
/* What the files of a view share. */
#ifndef PSPY_PROFILE_VIEW_INTERNAL_H
#define PSPY_PROFILE_VIEW_INTERNAL_H

#include "pspy/profile/view.h"

/* ---- view.c: interning in a view ---- */

string_id view_own_string(struct view *view, const char *text);
frame_id view_intern_frame(struct view *view, const struct view_frame *frame);
frame_id view_marker(struct view *view, enum frame_kind kind, const char *name);
stack_id view_push(struct view *view, stack_id parent, frame_id frame);

/* ---- view_stacks.c: stacks of the profile into stacks of the view, without roots ---- */

struct shaping;

struct shaping *shaping_create(struct view *view);
void shaping_destroy(struct shaping *shaping);
/* Brings the stacks up to the profile's. False: a name was given to what is shown already. */
bool shaping_update(struct shaping *shaping);
/* What is shown of a stack; *ret_is_cut: its middle was left out. */
stack_id shaping_stack(struct shaping *shaping, stack_id stack, bool *ret_is_cut);

/* ---- view_roots.c: what stands above them ---- */

struct rooting;

struct rooting *rooting_create(struct view *view);
void rooting_destroy(struct rooting *rooting);
/* False: a thread has another name than roots have shown, or its process another command line than
 * a filter has seen. */
bool rooting_update(struct rooting *rooting);
/* `stack` below the roots of the sample's process and thread. Samples come in the order of time. */
stack_id rooting_stack(struct rooting *rooting, const struct sample *sample, stack_id stack);

/* ---- view_filter.c: whether a sample stays ---- */

struct filter_pass;

struct filter_pass *filter_pass_create(const struct view *view);
void filter_pass_destroy(struct filter_pass *pass);
/* `sample->stack` is the view's. Stacks, strings and threads may have joined since it was asked
 * before. */
bool filter_pass_keeps(struct filter_pass *pass, const struct sample *sample);

#endif
