/* SPDX-License-Identifier: MIT */
/*
 * The table of offsets that a CPython 3.13 or later built with these headers would have, at the
 * start of the section .table. Only compiled, with internal/ itself among the include folders.
 */
#define Py_BUILD_CORE 1
#include <Python.h>
#if PY_VERSION_HEX >= 0x030e0000
#include <frameobject.h>
#include <internal/pycore_code.h>
#include <internal/pycore_debug_offsets.h>
#include <internal/pycore_interp.h>
#include <internal/pycore_interpframe.h>
#include <internal/pycore_runtime.h>
#define TABLE _Py_DebugOffsets
#define VALUE _Py_DebugOffsets_INIT("xdebugpy")
#else
#include <internal/pycore_ceval.h>
#include <internal/pycore_runtime.h>
#include <internal/pycore_runtime_init.h>
#define TABLE _PyRuntimeState /* the table is its first member */
#define VALUE _PyRuntimeState_INIT(table, "xdebugpy")
#endif

extern TABLE table;
__attribute__((section(".table"))) TABLE table = VALUE;
