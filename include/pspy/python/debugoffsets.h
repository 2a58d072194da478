/* SPDX-License-Identifier: MIT */
/*
 * The table that CPython 3.13 and later keep for readers from outside: struct _Py_DebugOffsets, the
 * first member of _PyRuntime (Include/internal/pycore_debug_offsets.h). A cookie, PY_VERSION_HEX, a
 * flag for free threading, then 64-bit sizes and offsets whose order is fixed within a final X.Y.
 */
#ifndef PSPY_PYTHON_DEBUGOFFSETS_H
#define PSPY_PYTHON_DEBUGOFFSETS_H

#include <stddef.h>

#include "pspy/base/error.h"
#include "pspy/python/layout.h"

#define DEBUG_OFFSETS_BYTES 888 /* the longest known, 3.15's: as many are worth reading */

/*
 * Fills what the `size` first bytes of a target's _PyRuntime say into a layout that layout_select
 * prepared for that version. A version newer than all known ones is tried with the newest known
 * order. ERR_INVALID: there is no table (yet). ERR_UNSUPPORTED: one of another version or build, or
 * one that makes no sense.
 */
enum err debugoffsets_apply(const unsigned char *bytes, size_t size, struct layout *layout,
                            struct error *why);

#endif
