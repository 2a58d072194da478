/* SPDX-License-Identifier: MIT */
/*
 * Names for the addresses of a profile. All that a view may want is said of each, whatever its
 * options: the symbol, demangled, and what Python's programmers call it; the line that runs and the
 * function's first; the functions inlined there, where the file carries them (the interpreter's own
 * C code excepted: nobody looks for lines there, and they would split its frames).
 */
#ifndef PSPY_NAMING_NAMER_H
#define PSPY_NAMING_NAMER_H

#include "pspy/profile/profile.h"
#include "pspy/python/ufuncs.h"
#include "pspy/target/module.h"

struct namer;

/*
 * All are borrowed. Module i of the profile is module i of the list. `root_fd` is where source
 * files are looked for (-1: our own root). A function without a symbol has the name of what `loops`
 * (NULL: none) says that it computes, else of its place in its module.
 */
struct namer *namer_create(struct profile *profile, struct module_list *modules, int root_fd,
                           const struct ufunc_loops *loops);
/* Takes NULL. */
void namer_destroy(struct namer *namer);

/* Names the addresses that have no names yet, and anew those of a module that turned out to be the
 * interpreter. The first address in a module costs reading its symbols and lines. */
void namer_name(struct namer *namer);
/* When the recording has ended: also names anew what later code and NumPy's loops say more of. */
void namer_finish(struct namer *namer);

/* From now on an address whose module has no image stays without a name. */
void namer_leave_missing(struct namer *namer);

#endif
