/* SPDX-License-Identifier: MIT */
#include "pspy/naming/later.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "pspy/base/cleanup.h"
#include "pspy/naming/namer.h"

/* Whether an address of each module has no name; the caller frees them. False: none has. */
static bool find_wanted(const struct profile *profile, bool **ret)
{
    bool *wanted = xcalloc(profile->modules.length + 1, sizeof(wanted[0])), is_any = false;

    for (uint32_t i = 0; i < profile->frames.length; i++) {
        const struct native_ref *ref = profile_frame_ref(profile, (frame_id){i});

        if (!ref || profile_frame_names(profile, (frame_id){i}))
            continue;
        wanted[ref->module] = true;
        is_any = true;
    }
    *ret = wanted;
    return is_any;
}

/* Never waits for a FIFO that lies there. */
static struct image *open_same(const char *path, const char *build_id)
{
    cleanup(strbuf_deinit) struct strbuf found = STRBUF_INIT;
    struct error why = ERROR_INIT;
    struct image *image;
    cleanup(cleanup_close) int fd = -1;

    if (path[0] != '/' || !*build_id)
        return NULL;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || image_open(fd, path, -1, &image, &why) != ERR_OK)
        return NULL;
    if (image_build_id(image, &found) && strcmp(found.text, build_id) == 0)
        return image;
    image_destroy(image);
    return NULL;
}

static struct module find_module(const struct profile *profile, size_t index, bool is_wanted)
{
    const struct profile_module *told = &profile->modules.items[index];
    const char *path = profile_text(profile, told->path);
    struct module module = {.path = xstrdup(path),
                            .is_interpreter = told->flags & MODULE_INTERPRETER,
                            .is_jit = told->flags & MODULE_JIT};

    if (is_wanted && !module.is_jit)
        module.image = open_same(path, profile_text(profile, told->build_id));
    return module;
}

void name_later(struct profile *profile)
{
    struct module_list modules = {VEC_INIT};
    cleanup(cleanup_free) bool *wanted = NULL;
    struct namer *namer;

    if (!find_wanted(profile, &wanted))
        return;
    for (size_t i = 0; i < profile->modules.length; i++)
        vec_push(&modules.modules, find_module(profile, i, wanted[i]));
    namer = namer_create(profile, &modules, -1, NULL);
    namer_leave_missing(namer);
    namer_name(namer);
    namer_destroy(namer);
    module_list_deinit(&modules);
}
