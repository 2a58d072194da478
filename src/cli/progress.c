/* SPDX-License-Identifier: MIT */
#include "pspy/cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/clock.h"

void progress_init(struct progress *progress, const struct target *target, bool has_program)
{
    *progress = (struct progress){.target = target,
                                  .is_shown = isatty(STDERR_FILENO),
                                  .shares_terminal = has_program && isatty(STDOUT_FILENO)};
    target_stat(target, &progress->image);
}

/* /proc/PID/io: `wchar: 2012`, the bytes that the process has written to whatever it may be. */
static bool bytes_written(const struct target *target, uint64_t *ret)
{
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;
    const char *field = NULL;

    if (target_proc_text(target, "io", &text) == ERR_OK)
        field = procfs_status_field(text.text, "wchar");
    if (!field)
        return false;
    *ret = strtoull(field, NULL, 10);
    return true;
}

static bool has_new_image(struct progress *progress)
{
    struct procfs_stat now, before = progress->image;

    if (target_stat(progress->target, &now) != ERR_OK)
        return false;
    progress->image = now;
    return now.start_code != before.start_code || now.start_stack != before.start_stack;
}

static void end_line(bool erase)
{
    fputs(erase ? "\r\033[K" : "\n", stderr);
    fflush(stderr);
}

/*
 * Whether the program may have written where the line would stand; true as well once it has ended.
 * A script that then calls exec, as pyenv's python3 does, may have written into its pipes only:
 * nobody knows, so the line gets a fresh place.
 */
static bool terminal_is_taken(struct progress *progress)
{
    uint64_t written;

    if (!progress->shares_terminal)
        return false;
    if (!bytes_written(progress->target, &written))
        return true;
    if (written == progress->written)
        return false;
    progress->written = written;
    if (!has_new_image(progress))
        return true;
    end_line(false);
    return false;
}

void progress_show(struct progress *progress, const struct sampler_progress *seen)
{
    double seconds = (double)seen->elapsed / (double)NS_PER_SECOND;

    if (progress->is_shown && terminal_is_taken(progress))
        progress->is_shown = false;
    if (!progress->is_shown)
        return;
    progress->has_line = true;
    fprintf(stderr,
            "\r\033[Kpspy: %.1f s, %" PRIu64 " samples, %.1f ticks a second, %" PRIu64 " lost",
            seconds, seen->samples, (double)seen->ticks / seconds, seen->lost);
    fflush(stderr);
}

void progress_end(struct progress *progress)
{
    if (progress->has_line && progress->is_shown)
        end_line(!terminal_is_taken(progress));
}
