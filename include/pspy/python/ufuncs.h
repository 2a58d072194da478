/* SPDX-License-Identifier: MIT */
/* NumPy's inner loops, by the ufuncs that run them: names for a library that has no symbols. */
#ifndef PSPY_PYTHON_UFUNCS_H
#define PSPY_PYTHON_UFUNCS_H

#include <stdbool.h>
#include <stdint.h>

#include "pspy/base/vec.h"
#include "pspy/python/python.h"

/* A function of a module, and what it computes: "np.add<f8>". */
struct ufunc_loop {
    uint32_t module; /* in the address space's module_list */
    uint64_t vaddr;  /* where it begins */
    char *name;      /* NULL: it serves ufuncs of several names */
};

struct ufunc_loops {
    VEC(struct ufunc_loop) loops;
    struct table index; /* by module and vaddr */
};

void ufunc_loops_deinit(struct ufunc_loops *loops);

/*
 * Adds the loops of the ufuncs that the process has now, while it runs. The number of ufuncs that
 * were met: 0 as long as NumPy is not imported.
 */
size_t ufunc_loops_read(const struct python *python, struct address_space *space,
                        const struct target *target, struct ufunc_loops *loops);

/* The name of the function that begins there, or NULL. */
const char *ufunc_loops_find(const struct ufunc_loops *loops, uint32_t module, uint64_t vaddr);

#endif
