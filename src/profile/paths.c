/* SPDX-License-Identifier: MIT */
#include "pspy/profile/paths.h"

#include <ctype.h>
#include <string.h>
#include <unistd.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/strbuf.h"
#include "pspy/elf/debugfile.h"

const char *path_base(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash && slash[1] ? slash + 1 : path;
}

static bool is_package(const char *path, size_t length, int root_fd)
{
    cleanup(strbuf_deinit) struct strbuf file = STRBUF_INIT;
    cleanup(cleanup_close) int fd = -1;

    strbuf_add(&file, path, length);
    strbuf_add_text(&file, "/__init__.py");
    fd = rooted_open(root_fd, file.text);
    return fd >= 0;
}

const char *path_shorten(const char *path, int root_fd)
{
    const char *start = path_base(path);

    if (path[0] != '/')
        return path;
    while (start > path + 1 && is_package(path, (size_t)(start - 1 - path), root_fd)) {
        start--; /* onto the slash, then back to the start of the folder's name */
        while (start > path && start[-1] != '/')
            start--;
    }
    return start;
}

/* ".../lib/python3.12/", ".../lib64/python312.zip/": where a standard library lies. */
static bool is_in_library(const char *path)
{
    const char *at = path;

    while ((at = strstr(at, "/lib"))) {
        const char *end = at + strlen("/lib") + strspn(at + strlen("/lib"), "3264");

        at++;
        if (strncmp(end, "/python3", 8) != 0)
            continue;
        end += 8;
        end += *end == '.';
        if (!isdigit((unsigned char)*end))
            continue;
        while (isdigit((unsigned char)*end))
            end++;
        end += *end == 't'; /* free-threaded builds */
        if (*end == '/' || strncmp(end, ".zip/", 5) == 0)
            return true;
    }
    return false;
}

enum frame_kind path_python_kind(const char *path)
{
    if (strstr(path, "/site-packages/") || strstr(path, "/dist-packages/"))
        return FRAME_SITE;
    if (strncmp(path, "<frozen ", 8) == 0 || is_in_library(path))
        return FRAME_STDLIB;
    return FRAME_PYTHON;
}
