/* SPDX-License-Identifier: MIT */
#include "pspy/output/format.h"

#include <string.h>
#include <strings.h>

#include "pspy/output/report.h"
#include "writers.h"

#define SPEEDSCOPE_HINT "Open it at https://www.speedscope.app (the file stays on your computer)."

const struct output_format output_formats[] = {
    {"flamegraph", "svg", "flame graph", "Open it in a web browser.", flamegraph_write},
    {"speedscope", "speedscope.json", "speedscope profile", SPEEDSCOPE_HINT, speedscope_write},
    {"raw", "txt", "folded stacks",
     "One stack a line: for flame graph tools, or to sort, grep and compare.", raw_write},
    {"chrometrace", "json", "Chrome trace",
     "Open it at https://ui.perfetto.dev (the file stays on your computer).", chrometrace_write},
    {"report", "md", "report", "Read it in any Markdown viewer.", report_markdown_write},
    {"pspy", "pspy", "recording",
     "Read it with pspy report, or make other formats of it with pspy convert.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

/* .speedscope.json and a bare .json are both speedscope's, the companion most users open. */
static const struct {
    const char *suffix;
    const char *format;
} suffixes[] = {
    {".svg", "flamegraph"}, {".json", "speedscope"}, {".txt", "raw"},   {".folded", "raw"},
    {".collapsed", "raw"},  {".pspy", "pspy"},       {".md", "report"},
};

const struct output_format *output_format_by_name(const char *name)
{
    for (const struct output_format *format = output_formats; format->name; format++)
        if (!strcasecmp(name, format->name))
            return format;
    return NULL;
}

static bool ends_with(const char *path, size_t length, const char *suffix)
{
    size_t tail = strlen(suffix);

    return length > tail && !strncasecmp(path + length - tail, suffix, tail);
}

bool output_path_is_gzip(const char *path)
{
    return ends_with(path, strlen(path), ".gz");
}

bool output_path_has_suffix(const char *path, const char *suffix)
{
    size_t packed = output_path_is_gzip(path) ? strlen(".gz") : 0;

    return ends_with(path, strlen(path) - packed, suffix);
}

const struct output_format *output_format_by_path(const char *path, bool *gzip)
{
    if (gzip)
        *gzip = output_path_is_gzip(path);
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
        if (output_path_has_suffix(path, suffixes[i].suffix))
            return output_format_by_name(suffixes[i].format);
    return NULL;
}
