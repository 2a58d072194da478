/* SPDX-License-Identifier: MIT */
/* Objects as the headers of a CPython 3.14 or later describe them, made without its code; and what
 * that code exports. For one source file: it defines variables. */
#ifndef TESTS_LIVE_MADE_OBJECTS_H
#define TESTS_LIVE_MADE_OBJECTS_H

#define Py_BUILD_CORE 1
#include <Python.h>
#include <frameobject.h>
#include <internal/pycore_code.h>
#include <internal/pycore_debug_offsets.h>
#include <internal/pycore_dict.h>
#include <internal/pycore_genobject.h>
#include <internal/pycore_interp.h>
#include <internal/pycore_interpframe.h>
#include <internal/pycore_moduleobject.h>
#include <internal/pycore_object.h>
#include <internal/pycore_runtime.h>
#include <internal/pycore_tstate.h>
#include <stdlib.h>
#include <string.h>
#include <uchar.h>

/* ---- What a Python exports ---- */

#ifndef STATED_VERSION
#define STATED_VERSION PY_VERSION_HEX
#endif
const unsigned long Py_Version = STATED_VERSION;
__attribute__((section(".PyRuntime")))
_PyRuntimeState _PyRuntime = {.debug_offsets = _Py_DebugOffsets_INIT("xdebugpy")};
PyTypeObject PyCode_Type = {.tp_name = "code"};
PyTypeObject PyUnicode_Type = {.tp_name = "str", .tp_flags = Py_TPFLAGS_UNICODE_SUBCLASS};
PyTypeObject PyBytes_Type = {.tp_name = "bytes", .tp_flags = Py_TPFLAGS_BYTES_SUBCLASS};
PyTypeObject PyLong_Type = {.tp_name = "int", .tp_flags = Py_TPFLAGS_LONG_SUBCLASS};
PyTypeObject PyDict_Type = {.tp_name = "dict", .tp_flags = Py_TPFLAGS_DICT_SUBCLASS};
PyTypeObject PyModule_Type = {.tp_name = "module"};

/* ---- Objects ---- */

static void *make(size_t size, PyTypeObject *type)
{
    PyObject *object = calloc(1, size);

    object->ob_type = type;
    return object;
}

/* A text twice: as the truth says it, and its characters. */
struct text {
    const char *utf8;
    const char32_t *points;
};
/* clang-format off */
#define TEXT(literal) {literal, U##literal}
/* clang-format on */

static void set_state(PyASCIIObject *head, unsigned kind, bool is_ascii)
{
    static unsigned made;

    head->state.kind = kind;
    head->state.compact = 1;
    head->state.ascii = is_ascii;
    head->state.interned = made++ % 4;
    head->state.statically_allocated = made % 2;
}

static PyObject *make_text(struct text text)
{
    size_t length = 0;
    char32_t all = 0;

    for (; text.points[length]; length++)
        all |= text.points[length];
    unsigned kind = all > 0xffff ? 4 : all > 0xff ? 2 : 1;
    size_t head = all < 0x80 ? sizeof(PyASCIIObject) : sizeof(PyCompactUnicodeObject);
    char *object = make(head + (length + 1) * kind, &PyUnicode_Type);

    ((PyASCIIObject *)object)->length = (Py_ssize_t)length;
    set_state((PyASCIIObject *)object, kind, all < 0x80);
    for (size_t i = 0; i < length; i++) /* little endian */
        memcpy(object + head + i * kind, &text.points[i], kind);
    return (PyObject *)object;
}

static PyObject *make_bytes(const unsigned char *bytes, size_t size)
{
    PyBytesObject *object = make(sizeof(*object) + size, &PyBytes_Type);

    object->ob_base.ob_size = (Py_ssize_t)size;
    memcpy(object->ob_sval, bytes, size);
    return (PyObject *)object;
}

static PyObject *make_long(uint64_t value)
{
    PyLongObject *object = make(sizeof(*object) + 3 * sizeof(digit), &PyLong_Type);
    size_t digits = 0;

    for (; value; value >>= PyLong_SHIFT)
        object->long_value.ob_digit[digits++] = value & PyLong_MASK;
    object->long_value.lv_tag = digits << 3;
    return (PyObject *)object;
}

#define ROOM 8

static PyDictKeysObject *make_keys(int kind)
{
    PyDictKeysObject *keys = calloc(1, sizeof(*keys) + ROOM + ROOM * sizeof(PyDictKeyEntry));

    keys->dk_log2_size = keys->dk_log2_index_bytes = 3;
    keys->dk_kind = (uint8_t)kind;
    return keys;
}

static PyObject *make_dict(int kind)
{
    PyDictObject *dict = make(sizeof(*dict), &PyDict_Type);

    dict->ma_keys = make_keys(kind);
    return (PyObject *)dict;
}

static void dict_set(PyObject *object, PyObject *key, PyObject *value)
{
    PyDictKeysObject *keys = ((PyDictObject *)object)->ma_keys;
    Py_ssize_t index = keys->dk_nentries++;

    if (keys->dk_kind == DICT_KEYS_GENERAL)
        DK_ENTRIES(keys)[index] = (PyDictKeyEntry){1, key, value};
    else
        DK_UNICODE_ENTRIES(keys)[index] = (PyDictUnicodeEntry){key, value};
}

#endif
