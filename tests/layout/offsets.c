/* SPDX-License-Identifier: MIT */
/*
 * What the headers of one CPython say of its structs: "FIELD OFFSET" for each field of struct
 * layout. Compiled against each interpreter found, with -DPy_DEBUG or -DPy_GIL_DISABLED for what
 * such a build would have; 0 for a field that this version does not have.
 */
#define Py_BUILD_CORE 1
#include <Python.h>
#define SINCE(major, minor) (PY_VERSION_HEX >= ((major) << 24 | (minor) << 16))
#include <frameobject.h>
#if SINCE(3, 11)
#include <internal/pycore_code.h>
#include <internal/pycore_dict.h>
#include <internal/pycore_frame.h>
#include <internal/pycore_moduleobject.h>
#include <internal/pycore_runtime.h>
#else
#include <code.h>
#endif
#if SINCE(3, 9)
#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>
#elif SINCE(3, 8)
#include <internal/pycore_pystate.h>
#elif SINCE(3, 7)
#include <internal/pystate.h>
#endif
#if !SINCE(3, 11)
#include <longintrepr.h>
#endif
#include <stddef.h>
#include <stdio.h>

#define SIZE_OF(type, member)  sizeof(((type *)NULL)->member)
#define END_OF(type, member)   (offsetof(type, member) + SIZE_OF(type, member))
#define AT(name, type, member) printf(#name " %zu\n", offsetof(type, member))
#define IS(name, value)        printf(#name " %zu\n", (size_t)(value))
#define ABSENT(name)           IS(name, 0)

static void print_runtime(void)
{
#if SINCE(3, 7)
    AT(runtime_interpreters, _PyRuntimeState, interpreters.head);
#else
    ABSENT(runtime_interpreters);
#endif
#if SINCE(3, 9)
    AT(runtime_finalizing, _PyRuntimeState, _finalizing);
    ABSENT(runtime_collecting);
#elif SINCE(3, 7)
    AT(runtime_finalizing, _PyRuntimeState, finalizing);
    AT(runtime_collecting, _PyRuntimeState, gc.collecting);
#else
    ABSENT(runtime_finalizing);
    ABSENT(runtime_collecting);
#endif
#if SINCE(3, 7) && !SINCE(3, 12)
    AT(runtime_gil, _PyRuntimeState, ceval.gil);
#else
    ABSENT(runtime_gil);
#endif
#if SINCE(3, 7)
    AT(gil_locked, struct _gil_runtime_state, locked);
    AT(gil_holder, struct _gil_runtime_state, last_holder);
    IS(gil_size, sizeof(struct _gil_runtime_state));
#else
    ABSENT(gil_locked);
    ABSENT(gil_holder);
    ABSENT(gil_size);
#endif
}

static void print_interpreter(void)
{
    AT(interpreter_next, PyInterpreterState, next);
#if SINCE(3, 7)
    AT(interpreter_id, PyInterpreterState, id);
#else
    ABSENT(interpreter_id);
#endif
#if SINCE(3, 9)
    AT(interpreter_collecting, PyInterpreterState, gc.collecting);
#else
    ABSENT(interpreter_collecting);
#endif
#if SINCE(3, 11)
    AT(interpreter_threads, PyInterpreterState, threads.head);
#else
    AT(interpreter_threads, PyInterpreterState, tstate_head);
#endif
#if SINCE(3, 12)
    AT(interpreter_modules, PyInterpreterState, imports.modules);
    AT(interpreter_gil, PyInterpreterState, ceval.gil);
#else
    AT(interpreter_modules, PyInterpreterState, modules);
    ABSENT(interpreter_gil);
#endif
}

static void print_thread(void)
{
    AT(thread_next, PyThreadState, next);
    AT(thread_interpreter, PyThreadState, interp);
    AT(thread_id, PyThreadState, thread_id);
#if SINCE(3, 13)
    AT(thread_frame, PyThreadState, current_frame);
#elif SINCE(3, 11)
    AT(thread_frame, PyThreadState, cframe);
#else
    AT(thread_frame, PyThreadState, frame);
#endif
#if SINCE(3, 10) && !SINCE(3, 11)
    AT(thread_cframe, PyThreadState, cframe);
#else
    ABSENT(thread_cframe);
#endif
#if SINCE(3, 11)
    AT(thread_native_id, PyThreadState, native_thread_id);
    AT(thread_chunk, PyThreadState, datastack_chunk);
    IS(thread_size, END_OF(PyThreadState, datastack_top));
#else
    ABSENT(thread_native_id);
    ABSENT(thread_chunk);
    IS(thread_size, END_OF(PyThreadState, thread_id));
#endif
#ifdef Py_GIL_DISABLED
    AT(thread_attached, PyThreadState, state);
#else
    ABSENT(thread_attached);
#endif
}

static void print_base(void)
{
#if SINCE(3, 15)
    AT(thread_base, PyThreadState, base_frame);
#else
    ABSENT(thread_base);
#endif
}

static void print_cframe(void)
{
#if SINCE(3, 13) || !SINCE(3, 10)
    ABSENT(cframe_frame);
    ABSENT(cframe_previous);
#elif SINCE(3, 11)
    AT(cframe_frame, _PyCFrame, current_frame);
    AT(cframe_previous, _PyCFrame, previous);
#else
    ABSENT(cframe_frame);
    AT(cframe_previous, CFrame, previous);
#endif
}

#if SINCE(3, 11)
static void print_frame(void)
{
    AT(frame_previous, _PyInterpreterFrame, previous);
    AT(frame_owner, _PyInterpreterFrame, owner);
    IS(frame_size, offsetof(_PyInterpreterFrame, localsplus));
    ABSENT(frame_locals);
#if SINCE(3, 14)
    ABSENT(frame_stack_index);
    AT(frame_stack_pointer, _PyInterpreterFrame, stackpointer);
#else
    AT(frame_stack_index, _PyInterpreterFrame, stacktop);
    ABSENT(frame_stack_pointer);
#endif
    ABSENT(code_flags);
#if SINCE(3, 13)
    AT(frame_code, _PyInterpreterFrame, f_executable);
    AT(frame_instruction, _PyInterpreterFrame, instr_ptr);
#else
    AT(frame_code, _PyInterpreterFrame, f_code);
    AT(frame_instruction, _PyInterpreterFrame, prev_instr);
#endif
#if SINCE(3, 12)
    ABSENT(frame_is_entry);
#else
    AT(frame_is_entry, _PyInterpreterFrame, is_entry);
#endif
#if SINCE(3, 14) && defined(Py_GIL_DISABLED)
    AT(frame_tlbc, _PyInterpreterFrame, tlbc_index);
#else
    ABSENT(frame_tlbc);
#endif
}
#else
static void print_frame(void)
{
    AT(frame_code, PyFrameObject, f_code);
    AT(frame_previous, PyFrameObject, f_back);
    AT(frame_instruction, PyFrameObject, f_lasti);
    ABSENT(frame_is_entry);
    ABSENT(frame_owner);
    ABSENT(frame_tlbc);
    IS(frame_size, END_OF(PyFrameObject, f_lasti));
    AT(frame_locals, PyFrameObject, f_localsplus);
    ABSENT(frame_stack_index);
    ABSENT(frame_stack_pointer);
    AT(code_flags, PyCodeObject, co_flags);
}
#endif

static void print_code(void)
{
    AT(code_file, PyCodeObject, co_filename);
    AT(code_name, PyCodeObject, co_name);
    AT(code_first_line, PyCodeObject, co_firstlineno);
#if SINCE(3, 11)
    AT(code_qualname, PyCodeObject, co_qualname);
    AT(code_units, PyVarObject, ob_size);
    AT(code_adaptive, PyCodeObject, co_code_adaptive);
    AT(code_head_size, PyCodeObject, co_code_adaptive);
#else
    AT(code_qualname, PyCodeObject, co_name);
    ABSENT(code_units);
    ABSENT(code_adaptive);
#endif
#if SINCE(3, 10)
    AT(code_lines, PyCodeObject, co_linetable);
#else
    AT(code_lines, PyCodeObject, co_lnotab);
#endif
#if SINCE(3, 10) && !SINCE(3, 11)
    IS(code_head_size, END_OF(PyCodeObject, co_linetable));
#elif !SINCE(3, 10)
    IS(code_head_size, END_OF(PyCodeObject, co_lnotab));
#endif
#if SINCE(3, 12)
    AT(code_version, PyCodeObject, co_version);
#else
    ABSENT(code_version);
#endif
#if SINCE(3, 14) && defined(Py_GIL_DISABLED)
    AT(code_tlbc, PyCodeObject, co_tlbc);
#else
    ABSENT(code_tlbc);
#endif
}

static void print_text(void)
{
#if SINCE(3, 0)
    union {
        PyASCIIObject object;
        unsigned words[sizeof(PyASCIIObject) / sizeof(unsigned)];
    } text = {.object = {.state = {.kind = 1}}};

    /* enum text_shape, by where the kind's lowest bit is. */
    IS(texts, text.words[offsetof(PyASCIIObject, state) / sizeof(unsigned)] == 1u << 8 ? 2 : 1);
    AT(text_length, PyASCIIObject, length);
    AT(text_state, PyASCIIObject, state);
    IS(text_ascii_data, sizeof(PyASCIIObject));
    IS(text_compact_data, sizeof(PyCompactUnicodeObject));
    AT(bytes_data, PyBytesObject, ob_sval);
#else
    IS(texts, 0);
    AT(text_length, PyStringObject, ob_size);
    ABSENT(text_state);
    AT(text_ascii_data, PyStringObject, ob_sval);
    ABSENT(text_compact_data);
    AT(bytes_data, PyStringObject, ob_sval);
#endif
}

static void print_long(void)
{
#if SINCE(3, 12)
    AT(long_tag, PyLongObject, long_value.lv_tag);
    AT(long_digits, PyLongObject, long_value.ob_digit);
#elif SINCE(3, 0)
    AT(long_tag, PyVarObject, ob_size);
    AT(long_digits, PyLongObject, ob_digit);
#else
    ABSENT(long_tag);
    AT(long_digits, PyIntObject, ob_ival);
#endif
}

static void print_dict(void)
{
#if SINCE(3, 0)
    AT(dict_keys, PyDictObject, ma_keys);
    AT(dict_values, PyDictObject, ma_values);
    AT(type_cached_keys, PyHeapTypeObject, ht_cached_keys);
#else
    AT(dict_keys, PyDictObject, ma_table);
    AT(dict_values, PyDictObject, ma_mask);
    ABSENT(type_cached_keys);
#endif
#if SINCE(3, 11)
    AT(values_first, PyDictValues, values);
    AT(module_dict, PyModuleObject, md_dict);
#else
    ABSENT(values_first);
    /* struct PyModuleObject is in no header: md_dict is its first member. */
    IS(module_dict, sizeof(PyObject));
#endif
}

static void print_types(void)
{
    AT(object_type, PyObject, ob_type);
    AT(object_size, PyVarObject, ob_size);
    AT(type_name, PyTypeObject, tp_name);
    AT(type_flags, PyTypeObject, tp_flags);
    AT(type_basic_size, PyTypeObject, tp_basicsize);
    AT(type_dict_offset, PyTypeObject, tp_dictoffset);
}

int main(void)
{
    print_runtime();
    print_interpreter();
    print_thread();
    print_base();
    print_cframe();
    print_frame();
    print_code();
    print_text();
    print_long();
    print_dict();
    print_types();
    return 0;
}
