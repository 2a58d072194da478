/* SPDX-License-Identifier: MIT */
/*
 * Source text. A recording may come from anybody, and a report may be handed on: it must name no
 * device or pipe that makes us wait, no file that fills the memory, and none that is no program and
 * may hold secrets. So only regular files of limited size are read, which have the suffix of a
 * source file or begin with "#!".
 */
#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/clock.h"
#include "pspy/base/xmalloc.h"
#include "report_internal.h"

#define MOST_BYTES ((off_t)4 << 20) /* of a file */
#define MOST_FILES 64
#define MOST_LINE  400 /* bytes of a line */

struct source_file {
    char *path;
    char *text; /* NULL: there is none to show */
    size_t length;
    bool changed; /* after the recording */
};

void sources_deinit(struct sources *sources)
{
    vec_each (file, &sources->files) {
        free((*file)->path);
        free((*file)->text);
        free(*file);
    }
    vec_deinit(&sources->files);
}

static bool has_source_suffix(const char *path)
{
    static const char *const suffixes[] = {
        "py", "pyw", "pyx", "pxd", "pxi", "c",   "h",   "cc",  "cpp", "cxx", "hh",  "hpp",   "hxx",
        "cu", "cuh", "inc", "ipp", "tcc", "f",   "f77", "f90", "f95", "f03", "for", "rs",    "go",
        "S",  "asm", "s",   "m",   "mm",  "zig", "jl",  "d",   "ada", "adb", "pas", "swift",
    };
    const char *suffix = strrchr(path, '.');

    if (!suffix || strchr(suffix, '/'))
        return false;
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
        if (!strcasecmp(suffix + 1, suffixes[i]))
            return true;
    return false;
}

static size_t read_whole(int fd, char *bytes, size_t size)
{
    size_t length = 0;

    while (length < size) {
        ssize_t got = read(fd, bytes + length, size - length);

        if (got <= 0)
            break;
        length += (size_t)got;
    }
    return length;
}

static void read_source(struct source_file *file, uint64_t recorded_until)
{
    /* O_NONBLOCK: opening a pipe without a writer would wait. O_NOCTTY: a terminal is not to
     * become ours. */
    cleanup(cleanup_close) int fd =
        file->path[0] == '/' ? open(file->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) : -1;
    struct stat info;
    uint64_t modified;

    if (fd < 0 || fstat(fd, &info) || !S_ISREG(info.st_mode) || info.st_size <= 0 ||
        info.st_size > MOST_BYTES)
        return;
    modified = info.st_mtim.tv_sec <= 0
                   ? 0
                   : (uint64_t)info.st_mtim.tv_sec * NS_PER_SECOND + (uint64_t)info.st_mtim.tv_nsec;
    file->changed = recorded_until && modified > recorded_until;
    file->text = xmalloc((size_t)info.st_size + 1);
    file->length = read_whole(fd, file->text, (size_t)info.st_size);
    file->text[file->length] = '\0';
    if (!has_source_suffix(file->path) && strncmp(file->text, "#!", 2) != 0)
        file->length = 0;
}

static const struct source_file *open_source(struct sources *sources, const char *path)
{
    struct source_file *file;

    vec_each (known, &sources->files)
        if (!strcmp((*known)->path, path))
            return *known;
    if (sources->files.length >= MOST_FILES)
        return NULL;
    file = xcalloc(1, sizeof(*file));
    file->path = xstrdup(path);
    read_source(file, sources->recorded_until);
    vec_push(&sources->files, file);
    return file;
}

const char *sources_line(struct sources *sources, const char *path, uint32_t line, size_t *length,
                         bool *changed)
{
    const struct source_file *file = line && *path ? open_source(sources, path) : NULL;
    const char *at, *end, *stop;

    if (!file || !file->length)
        return NULL;
    at = file->text;
    end = file->text + file->length;
    while (--line && at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));

        at = newline ? newline + 1 : end;
    }
    stop = memchr(at, '\n', (size_t)(end - at));
    stop = stop ? stop : end;
    while (at < stop && isspace((unsigned char)*at))
        at++;
    while (stop > at && isspace((unsigned char)stop[-1]))
        stop--;
    if (at == stop)
        return NULL;
    *length = stop - at > MOST_LINE ? MOST_LINE : (size_t)(stop - at);
    *changed = file->changed;
    return at;
}
