/* SPDX-License-Identifier: MIT */
/* Prints what pspy finds of the Python in a process, for tests/live/test_builds.py: print_detect
 * PID. Status 0: found; 2: none; 3: one that cannot be read; 4: one that has not started. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "pspy/base/cleanup.h"
#include "pspy/python/python.h"
#include "pspy/target/live.h"

#define CALLS 64 /* files without a telling name are looked into a few at a time */

static int status_of(enum err err)
{
    switch (err) {
    case ERR_OK:
        return 0;
    case ERR_NOT_FOUND:
        return 2;
    case ERR_UNSUPPORTED:
        return 3;
    case ERR_INVALID:
        return 4;
    default:
        return 1;
    }
}

#define SHOW(field) printf(#field " %" PRIu64 "\n", (uint64_t)python->field)

static void show(struct python *python, const struct target *target,
                 const struct module_list *modules)
{
    printf("path %s\n", modules->modules.items[python->module].path);
    printf("version %#x\n", python->full_version);
    python_refresh_threads(python, target, true);
    SHOW(is_guessed), SHOW(runtime), SHOW(interpreters_at), SHOW(gil_holder_at), SHOW(gil_at);
    SHOW(gil_size), SHOW(gil_lock_at), SHOW(collecting_at), SHOW(code_type);
    vec_each (range, &python->eval_loops)
        printf("eval_loop %" PRIu64 " %" PRIu64 "\n", range->start, range->end);
    vec_each (thread, &python->threads)
        printf("thread %" PRIu64 "\n", thread->thread_id);
}

static int look(struct address_space *space, const struct target *target)
{
    struct error why = ERROR_INIT;
    struct python python;
    enum err err = ERR_NOT_FOUND;

    for (int i = 0; i < CALLS && err == ERR_NOT_FOUND; i++)
        err = python_open(space, target, &python, &why);
    if (err != ERR_OK) {
        fprintf(stderr, "%s\n", why.message);
        return status_of(err);
    }
    show(&python, target, space->modules);
    python_close(&python);
    return 0;
}

int main(int argc, char **argv)
{
    struct module_list modules = {VEC_INIT};
    struct address_space space;
    struct error why = ERROR_INIT;
    struct target target;
    int status = 1;

    if (argc != 2 || target_open((pid_t)strtol(argv[1], NULL, 10), &target, &why) != ERR_OK) {
        fprintf(stderr, "print_detect PID: %s\n", why.message);
        return 1;
    }
    address_space_init(&space, &modules);
    if (address_space_refresh(&space, &target) == ERR_OK)
        status = look(&space, &target);
    address_space_deinit(&space);
    module_list_deinit(&modules);
    target_close(&target);
    return status;
}
