/* SPDX-License-Identifier: MIT */
/* The option `states`: what a sample knows of its thread, as a frame. */
#include "internal.h"

#include "pspy/base/cleanup.h"
#include "pspy/base/syscalls.h"

/* FRAME_NONE for a thread that simply runs. */
static frame_id state_frame(struct profile *profile, const struct sample *sample)
{
    static const char *const waits[SAMPLE_STATES] = {
        [STATE_READY] = "[waiting for a CPU]",
        [STATE_GIL] = "[waiting for the GIL]",
        [STATE_BLOCKED] = "[waiting]",
    };
    const char *call = sample->call ? syscall_name(sample->call - 1) : NULL;
    struct frame_info info = {.kind = FRAME_WAITING};
    cleanup(strbuf_deinit) struct strbuf name = STRBUF_INIT;

    if (sample->state == STATE_RUNNING && !call)
        return FRAME_NONE;
    if (sample->state == STATE_RUNNING) {
        info.kind = FRAME_SYSTEM;
        strbuf_addf(&name, "[running in %s]", call);
    } else if (sample->state == STATE_BLOCKED && call) {
        strbuf_addf(&name, "[waiting in %s]", call);
    } else {
        strbuf_add_text(&name, waits[sample->state]);
    }
    info.name = profile_string(profile, name.text);
    return profile_frame(profile, &info);
}

void states_show(struct profile *profile)
{
    vec_each (sample, &profile->samples) {
        frame_id frame = state_frame(profile, sample);

        if (frame.v != FRAME_NONE.v)
            sample->stack = profile_stack(profile, sample->stack, frame);
    }
}
