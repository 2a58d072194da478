/* SPDX-License-Identifier: MIT */
/* paths.h: short names of Python files, with packages made in a temporary folder. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/strbuf.h"
#include "pspy/base/xmalloc.h"
#include "pspy/profile/paths.h"
#include "unit/tap.h"

static char folder[] = "/tmp/test_paths.XXXXXX";

/* Makes folder/NAME, and an empty file there if `file`. */
static void make(const char *name, const char *file)
{
    cleanup(cleanup_free) char *path = xasprintf("%s/%s", folder, name);
    cleanup(cleanup_free) char *inner = xasprintf("%s/%s", path, file ? file : "");
    cleanup(cleanup_close) int fd = -1;

    mkdir(path, 0700);
    if (file)
        fd = open(inner, O_CREAT | O_WRONLY, 0600);
}

static void is_short(const char *path, const char *wanted)
{
    cleanup(cleanup_free) char *full = xasprintf("%s%s", folder, path);
    cleanup(cleanup_close) int root = open(folder, O_PATH | O_DIRECTORY);

    tap_is_str(path_shorten(full, -1), wanted, path);
    tap_is_str(path_shorten(path, root), wanted, "the same in another root directory");
}

static void test_shorten(void)
{
    int nowhere = open("/proc", O_PATH | O_DIRECTORY);

    make("plain", NULL);
    make("lib", NULL);
    make("lib/outer", "__init__.py");
    make("lib/outer/inner", "__init__.py");
    make("lib/outer/gap", NULL);
    make("lib/outer/gap/deep", "__init__.py");
    make("top", "__init__.py");
    is_short("/plain/main.py", "main.py");
    is_short("/lib/outer/mod.py", "outer/mod.py");
    is_short("/lib/outer/inner/mod.py", "outer/inner/mod.py");
    is_short("/lib/outer/__init__.py", "outer/__init__.py");
    is_short("/lib/outer/gap/script.py", "script.py");
    is_short("/lib/outer/gap/deep/mod.py", "deep/mod.py");
    is_short("/top/mod.py", "top/mod.py");
    is_short("/absent/mod.py", "mod.py");
    tap_is_str(path_shorten("/lib/outer/mod.py", nowhere), "mod.py", "a root without the package");
    close(nowhere);
}

static void test_odd(void)
{
    tap_is_str(path_shorten("<string>", -1), "<string>", "no file");
    tap_is_str(path_shorten("<frozen importlib._bootstrap>", -1), "<frozen importlib._bootstrap>",
               "a frozen module");
    tap_is_str(path_shorten("relative/a.py", -1), "relative/a.py", "a relative path stays");
    tap_is_str(path_shorten("", -1), "", "an empty path");
    tap_is_str(path_shorten("/", -1), "/", "the root");
    tap_is_str(path_shorten("/a.py", -1), "a.py", "a file in the root");
    tap_is_str(path_shorten("/srv/app/", -1), "/srv/app/", "a path that ends in a slash");
    tap_is_str(path_base("/usr/lib/libc.so.6"), "libc.so.6", "path_base");
    tap_is_str(path_base("libc.so.6"), "libc.so.6", "path_base without a slash");
}

/* A root directory's own absolute symlinks stay inside it. */
static void test_symlink(void)
{
    cleanup(cleanup_free) char *link = xasprintf("%s/alias", folder);
    cleanup(cleanup_close) int root = open(folder, O_PATH | O_DIRECTORY);

    tap_is_num(symlink("/lib/outer", link), 0, "an absolute symlink");
    tap_is_str(path_shorten("/alias/mod.py", root), "alias/mod.py", "is followed inside the root");
}

static void test_kinds(void)
{
    static const struct {
        const char *path;
        enum frame_kind kind;
    } rows[] = {
        {"/usr/lib/python3.12/threading.py", FRAME_STDLIB},
        {"/usr/local/lib/python3.13t/json/decoder.py", FRAME_STDLIB},
        {"/usr/lib64/python3.9/os.py", FRAME_STDLIB},
        {"/usr/lib32/python3.9/os.py", FRAME_STDLIB},
        {"/opt/x/lib/python312.zip/os.py", FRAME_STDLIB},
        {"<frozen importlib._bootstrap>", FRAME_STDLIB},
        {"/srv/lib/lib/python3.11/os.py", FRAME_STDLIB},
        {"/srv/venv/lib/python3.12/site-packages/numpy/core.py", FRAME_SITE},
        {"/usr/lib/python3/dist-packages/numpy/core.py", FRAME_SITE},
        {"/usr/lib/python3/x.py", FRAME_PYTHON},
        {"/srv/lib/python3.12x/a.py", FRAME_PYTHON},
        {"/srv/lib/python3.12", FRAME_PYTHON},
        {"/srv/library/python3.12/a.py", FRAME_PYTHON},
        {"/srv/mylib/python3.12/a.py", FRAME_PYTHON},
        {"/srv/python3.12/a.py", FRAME_PYTHON},
        {"/srv/app.py", FRAME_PYTHON},
        {"site-packages.py", FRAME_PYTHON},
        {"<string>", FRAME_PYTHON},
        {"<frozen", FRAME_PYTHON},
        {"", FRAME_PYTHON},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        tap_is_num(path_python_kind(rows[i].path), rows[i].kind, rows[i].path);
}

int main(void)
{
    cleanup(cleanup_free) char *remove = NULL;

    if (!mkdtemp(folder))
        return 1;
    test_shorten();
    test_odd();
    test_symlink();
    test_kinds();
    remove = xasprintf("rm -rf %s", folder);
    tap_is_num(system(remove), 0, "the folder is removed");
    return tap_done();
}
