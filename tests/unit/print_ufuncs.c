/* SPDX-License-Identifier: MIT */
/* Prints the inner loops of NumPy in the Python process argv[1]: "PATH VADDR NAME" each, "-" for
 * one of several names. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "pspy/python/ufuncs.h"
#include "pspy/target/live.h"

int main(int argc, char **argv)
{
    struct ufunc_loops loops = {VEC_INIT, TABLE_INIT};
    struct module_list modules = {VEC_INIT};
    struct error why = ERROR_INIT;
    struct address_space space;
    struct target target;
    struct python python;

    address_space_init(&space, &modules);
    if (argc != 2 || target_open((pid_t)strtol(argv[1], NULL, 10), &target, &why) != ERR_OK ||
        address_space_refresh(&space, &target) != ERR_OK ||
        python_open(&space, &target, &python, &why) != ERR_OK) {
        fprintf(stderr, "print_ufuncs: %s\n", why.message);
        return 1;
    }
    ufunc_loops_read(&python, &space, &target, &loops);
    vec_each (loop, &loops.loops)
        printf("%s %" PRIx64 " %s\n", modules.modules.items[loop->module].path, loop->vaddr,
               loop->name ? loop->name : "-");
    ufunc_loops_deinit(&loops);
    python_close(&python);
    address_space_deinit(&space);
    module_list_deinit(&modules);
    target_close(&target);
    return 0;
}
