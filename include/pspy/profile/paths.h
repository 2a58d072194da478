/* SPDX-License-Identifier: MIT */
/* File names as labels show them. */
#ifndef PSPY_PROFILE_PATHS_H
#define PSPY_PROFILE_PATHS_H

#include "pspy/profile/profile.h"

/* The part behind the last slash. */
const char *path_base(const char *path);

/*
 * The path from its outermost Python package on: "numpy/lib/npyio.py", "threading.py". Packages are
 * folders with an __init__.py, looked for in the root directory `root_fd` (-1: ours). Points into
 * `path`. As py-spy does it.
 */
const char *path_shorten(const char *path, int root_fd);

/* What kind of Python code a file holds, by where it lies. */
enum frame_kind path_python_kind(const char *path);

#endif
