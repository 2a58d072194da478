/* SPDX-License-Identifier: MIT */
/* A profile as text, a line each sample:
 *
 *   1000 20 12:"command"/7:"thread": f<python> (/srv/a.py|a.py:3:5); read<system>
 *
 * the time, the weight, the process and the thread, the frames from the root on.
 */
#ifndef TESTS_UNIT_IMPORT_ROWS_H
#define TESTS_UNIT_IMPORT_ROWS_H

#include <inttypes.h>
#include <stdio.h>

#include "pspy/profile/import.h"

__attribute__((unused)) static void add_frame(const struct profile *profile, frame_id frame,
                                              struct strbuf *rows)
{
    static const char *const kinds[FRAME_KINDS] = {"python", "stdlib", "site",   "native",
                                                   "interp", "marker", "system", "waiting"};
    const struct frame_info *info = profile_frame_info(profile, frame);

    strbuf_addf(rows, "%s<%s%s>", profile_text(profile, info->name), kinds[info->kind],
                info->flags & FRAME_INLINED ? ",inlined" : "");
    if (info->file.v)
        strbuf_addf(rows, " (%s|%s", profile_text(profile, info->file),
                    profile_text(profile, info->short_file));
    if (info->line)
        strbuf_addf(rows, ":%u", info->line);
    if (info->column)
        strbuf_addf(rows, ":%u", info->column);
    if (info->module.v)
        strbuf_add_text(rows, "|module");
    if (info->file.v)
        strbuf_add_char(rows, ')');
}

__attribute__((unused)) static void add_stack(const struct profile *profile, stack_id stack,
                                              struct strbuf *rows)
{
    VEC(frame_id) frames = VEC_INIT;

    for (; stack.v; stack = profile->stacks.items[stack.v].parent)
        vec_push(&frames, profile->stacks.items[stack.v].frame);
    for (size_t i = frames.length; i-- > 0;) {
        add_frame(profile, frames.items[i], rows);
        if (i)
            strbuf_add_text(rows, "; ");
    }
    vec_deinit(&frames);
}

__attribute__((unused)) static void add_rows(const struct profile *profile, struct strbuf *rows)
{
    vec_each (sample, &profile->samples) {
        const struct profile_thread *thread = &profile->threads.items[sample->thread];
        const struct profile_process *process = &profile->processes.items[thread->process];

        strbuf_addf(rows, "%" PRIu64 " %" PRIu64 " %d:\"%s\"/%d:\"%s\": ", sample->time,
                    sample->weight, process->pid, profile_text(profile, process->command),
                    thread->tid, profile_text(profile, thread->name));
        add_stack(profile, sample->stack, rows);
        strbuf_add_char(rows, '\n');
    }
}

#endif
