/* SPDX-License-Identifier: MIT */
/* Names for native frames, once the sampling is over. */
#ifndef PSPY_SAMPLER_SYMBOLIZE_H
#define PSPY_SAMPLER_SYMBOLIZE_H

#include "pspy/profile/profile.h"
#include "pspy/python/ufuncs.h"
#include "pspy/target/module.h"

struct symbolize_options {
    bool function_lines; /* a function's first line instead of the current one */
    bool no_lines;
    bool full_filenames;
    bool fold; /* the interpreter's own functions, but for those that Python's programmers know */
};

/*
 * Resolves every native frame of the profile: its symbol, else what `loops` (NULL: none) says that
 * it computes, else its place in its module; its source line and the functions inlined there, where
 * its file carries them (the interpreter's own C code excepted: nobody looks for lines there, and
 * they would split its frames). The pieces of an eval loop that was built with tail calls leave
 * their stacks.
 */
void symbolize(struct profile *profile, struct module_list *modules, int root_fd,
               const struct ufunc_loops *loops, const struct symbolize_options *options);

#endif
