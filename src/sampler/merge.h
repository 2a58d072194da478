/* SPDX-License-Identifier: MIT */
/*
 * One stack out of two: pure, by address. Each eval call of the interpreter has an anchor in the
 * stack memory of the native frame that runs it; the call's Python frames take that frame's place.
 * Up to CPython 3.9 there are no anchors: calls of the eval loop are counted, one to each frame.
 */
#ifndef PSPY_SAMPLER_MERGE_H
#define PSPY_SAMPLER_MERGE_H

#include "pspy/base/vec.h"
#include "pspy/python/python.h"
#include "pspy/unwind/unwinder.h"

struct merged_frame {
    bool is_python;
    uint32_t index; /* in python->frames or native->frames */
};

struct merged_stack {
    VEC(struct merged_frame) frames; /* innermost first */
};

/* Where the eval loop's code lies, if calls are to be counted; none: anchors are used. */
struct merge_loops {
    const struct address_range *ranges;
    size_t count;
};

/*
 * Either may have no frames. No frame is dropped but the eval loop's own, where Python frames stand
 * for it; Python frames whose native frame is missing keep their order, at the latest at the root
 * side.
 */
void merge_stacks(const struct native_stack *native, const struct python_stack *python,
                  struct merge_loops loops, struct merged_stack *ret);

#endif
