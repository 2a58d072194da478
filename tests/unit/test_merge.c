/* SPDX-License-Identifier: MIT */
/*
 * merge.h with made-up stacks. A case is written as text, innermost first, and so is its answer:
 * "n0 p0 n2" is native frame 0, Python frame 0, native frame 2.
 */
#include <stdlib.h>

#include "../../src/sampler/merge.h"
#include "pspy/base/clock.h"
#include "pspy/base/strbuf.h"
#include "unit/tap.h"

struct both {
    struct native_stack native;
    struct python_stack python;
    struct merged_stack merged;
};

static void both_deinit(struct both *both)
{
    native_stack_deinit(&both->native);
    python_stack_deinit(&both->python);
    vec_deinit(&both->merged.frames);
}

/* A frame [sp, cfa); the next one begins at cfa. */
static void add_native(struct both *both, uint64_t sp, uint64_t cfa)
{
    struct native_frame frame = {.pc = 0x1000, .sp = sp, .cfa = cfa};

    vec_push(&both->native.frames, frame);
}

/* `count` frames of 0x10 bytes from 0x100 on; the last has no end. */
static void add_natives(struct both *both, size_t count)
{
    for (size_t i = 0; i < count; i++)
        add_native(both, 0x100 + 0x10 * i, i + 1 == count ? UINT64_MAX : 0x110 + 0x10 * i);
    both->native.end = WALK_ROOT;
}

/* An eval call whose anchor is `anchor`, with `frames` Python frames. */
static void add_call(struct both *both, uint64_t anchor, size_t frames)
{
    struct python_frame frame = {.call = (uint32_t)both->python.anchors.length};

    vec_push(&both->python.anchors, anchor);
    while (frames--)
        vec_push(&both->python.frames, frame);
}

static void is_merged(struct both *both, const char *wanted, const char *what)
{
    struct strbuf got = STRBUF_INIT;

    merge_stacks(&both->native, &both->python, (struct merge_loops){NULL, 0}, &both->merged);
    vec_each (frame, &both->merged.frames)
        strbuf_addf(&got, "%s%c%u", got.length ? " " : "", frame->is_python ? 'p' : 'n',
                    frame->index);
    tap_is_str(got.text, wanted, what);
    strbuf_deinit(&got);
    both_deinit(both);
}

static void test_empty(void)
{
    struct both both = {0};

    is_merged(&both, "", "nothing and nothing");
    add_natives(&both, 3);
    is_merged(&both, "n0 n1 n2", "native frames only");
    add_call(&both, 0x105, 2);
    add_call(&both, 0x205, 1);
    is_merged(&both, "p0 p1 p2", "Python frames only");
}

static void test_calls(void)
{
    struct both both = {0};

    add_natives(&both, 4);
    add_call(&both, 0x115, 1);
    is_merged(&both, "n0 p0 n2 n3", "one call replaces its eval frame");
    add_natives(&both, 4);
    add_call(&both, 0x115, 3);
    is_merged(&both, "n0 p0 p1 p2 n2 n3", "one call of three Python frames");
    add_natives(&both, 6);
    add_call(&both, 0x108, 1);
    add_call(&both, 0x128, 2);
    add_call(&both, 0x148, 1);
    is_merged(&both, "p0 n1 p1 p2 n3 p3 n5", "three calls with C between them");
    add_natives(&both, 5);
    for (uint64_t i = 0; i < 4; i++)
        add_call(&both, 0x108 + 0x10 * i, 1);
    is_merged(&both, "p0 p1 p2 p3 n4", "recursion: eval frames in a row");
    add_natives(&both, 4);
    add_call(&both, 0, 1);
    add_call(&both, 0x128, 1);
    is_merged(&both, "p0 n0 n1 p1 n3", "a call that is ending");
}

static void test_edges(void)
{
    struct both both = {0};

    add_natives(&both, 4);
    add_call(&both, 0x110, 1);
    is_merged(&both, "n0 p0 n2 n3", "an anchor equal to sp is inside");
    add_natives(&both, 4);
    add_call(&both, 0x11f, 1);
    is_merged(&both, "n0 p0 n2 n3", "the last byte before the CFA is inside");
    add_natives(&both, 4);
    add_call(&both, 0x120, 1);
    is_merged(&both, "n0 n1 p0 n3", "an anchor equal to the CFA is the caller's");
    add_natives(&both, 4);
    add_call(&both, 0x118, 0);
    add_call(&both, 0x128, 1);
    is_merged(&both, "n0 n1 p0 n3", "a call without Python frames keeps its native frame");
    add_natives(&both, 3);
    add_call(&both, 0x112, 1);
    add_call(&both, 0x118, 2);
    is_merged(&both, "n0 p0 p1 p2 n2", "two calls inlined into one native frame");
    add_natives(&both, 2);
    add_call(&both, 0x400, 1);
    is_merged(&both, "n0 p0", "the outermost frame of a whole stack reaches up to the top");
}

/* An interpreter built with tail calls: the anchor lies in the loop's frame (n2), the piece of it
 * that runs the opcode (n1) is another frame, which naming/namer.h hides. */
static void test_tail_calls(void)
{
    struct both both = {0};

    add_natives(&both, 5);
    add_call(&both, 0x128, 2);
    is_merged(&both, "n0 n1 p0 p1 n3 n4", "the loop's frame is replaced, its piece is not");
    add_natives(&both, 8);
    add_call(&both, 0x118, 1);
    add_call(&both, 0x148, 2);
    is_merged(&both, "n0 p0 n2 n3 p1 p2 n5 n6 n7", "the same for a call within a call");
    add_natives(&both, 4);
    add_call(&both, 0x110, 1);
    is_merged(&both, "n0 p0 n2 n3", "a piece that ends where the anchor lies does not hold it");
}

static void test_broken(void)
{
    struct both both = {0};

    add_natives(&both, 3);
    both.native.end = WALK_TRUNCATED;
    add_call(&both, 0x108, 1);
    add_call(&both, 0x300, 1);
    add_call(&both, 0x400, 2);
    is_merged(&both, "p0 n1 n2 p1 p2 p3", "truncated: the rest follows at the root side");
    add_natives(&both, 3);
    both.native.end = WALK_NO_INFO;
    add_call(&both, 0x125, 1);
    is_merged(&both, "n0 n1 n2 p0", "the last frame of a broken walk has no known end");
    add_natives(&both, 6);
    add_call(&both, 0x108, 1);
    add_call(&both, 0x50, 1);
    add_call(&both, 0x138, 1);
    is_merged(&both, "p0 n1 n2 p1 p2 n4 n5", "a lost anchor goes with the next call outwards");
    add_natives(&both, 3);
    add_call(&both, 0x50, 2);
    is_merged(&both, "n0 n1 n2 p0 p1", "an anchor below the stack: frames at the root side");
}

/* ---- properties ------------------------------------------------------------------------------ */

static void make_random(struct rng *rng, struct both *both)
{
    size_t natives = rng_next(rng) % 12, calls = rng_next(rng) % 8;
    uint64_t sp = 0x1000;

    for (size_t i = 0; i < natives; i++) {
        uint64_t cfa = sp + 8 * (1 + rng_next(rng) % 6);

        add_native(both, sp, i + 1 == natives ? UINT64_MAX : cfa);
        sp = cfa;
    }
    both->native.end = rng_next(rng) % 3 ? WALK_ROOT : WALK_NO_INFO;
    /* Mostly outwards, now and then anywhere. */
    for (uint64_t i = 0, anchor = 0x1000; i < calls; i++) {
        anchor += 8 * (rng_next(rng) % 10);
        add_call(both, rng_next(rng) % 5 ? anchor : 0xf00 + rng_next(rng) % 0x400,
                 rng_next(rng) % 4);
    }
}

static bool holds_an_anchor(const struct both *both, size_t index)
{
    const struct native_frame *frame = &both->native.frames.items[index];

    vec_each (anchor, &both->python.anchors)
        if (frame->sp <= *anchor && *anchor < frame->cfa)
            return true;
    return false;
}

/* Both orders kept; every Python frame there; a native frame is missing only if a call ran in it
 * and Python frames stand at its place. */
static const char *violation(const struct both *both)
{
    size_t next_native = 0, next_python = 0, placed = 0;

    for (size_t i = 0; i <= both->merged.frames.length; i++) {
        const struct merged_frame *frame = &both->merged.frames.items[i];
        bool is_end = i == both->merged.frames.length;
        size_t upto = is_end ? both->native.frames.length : frame->index;

        if (!is_end && frame->is_python) {
            if (frame->index != next_python++)
                return "Python frames are not in order";
            placed++;
            continue;
        }
        if (!is_end && upto < next_native)
            return "native frames are not in order";
        for (; next_native < upto; next_native++) {
            if (!holds_an_anchor(both, next_native))
                return "a native frame without a call was dropped";
            if (placed-- == 0)
                return "a native frame was dropped for nothing";
        }
        placed = 0;
        next_native++;
    }
    return next_python == both->python.frames.length ? NULL : "a Python frame was lost";
}

static void test_random(void)
{
    struct rng rng = {2024};
    size_t mixed = 0;

    for (int round = 0; round < 20000; round++) {
        struct both both = {0};
        const char *problem;

        make_random(&rng, &both);
        merge_stacks(&both.native, &both.python, (struct merge_loops){NULL, 0}, &both.merged);
        problem = violation(&both);
        mixed += both.python.frames.length && both.native.frames.length;
        both_deinit(&both);
        if (problem) {
            tap_ok(false, "round %d of random stacks: %s", round, problem);
            return;
        }
    }
    tap_ok(mixed > 10000, "20000 random stacks keep orders and frames");
}

/* The same answer from a used buffer. */
static void test_reuse(void)
{
    struct both both = {0};

    add_natives(&both, 8);
    merge_stacks(&both.native, &both.python, (struct merge_loops){NULL, 0}, &both.merged);
    vec_reset(&both.native.frames);
    add_natives(&both, 2);
    is_merged(&both, "n0 n1", "an old result is dropped");
}

int main(void)
{
    test_empty();
    test_calls();
    test_edges();
    test_tail_calls();
    test_broken();
    test_random();
    test_reuse();
    return tap_done();
}
