/* SPDX-License-Identifier: MIT */
/* Names for native frames: from addresses in modules to functions, files and lines. */
#ifndef PSPY_NAMING_NAMER_H
#define PSPY_NAMING_NAMER_H

#include "pspy/profile/profile.h"
#include "pspy/python/ufuncs.h"
#include "pspy/target/module.h"

struct namer;

/*
 * Names addresses of the profile, whose modules are the first of `modules`. All is borrowed.
 * `root_fd`: the root directory of the target, for sources. `loops`: NumPy's (NULL: none).
 */
struct namer *namer_create(struct profile *profile, struct module_list *modules, int root_fd,
                           const struct ufunc_loops *loops);
void namer_destroy(struct namer *namer);

/*
 * Names every address that has joined since: its symbol, else what `loops` says that it computes,
 * else its place in its module; its source line and the functions inlined there, where its file
 * carries them (the interpreter's own C code excepted: nobody looks for lines there, and they would
 * split its frames). For between ticks: it loads symbols, and costs little where nothing is new.
 */
void namer_name(struct namer *namer);
/* The same at the recording's end, when also is named again what other code, met later, has told
 * the name of. */
void namer_finish(struct namer *namer);

#endif
