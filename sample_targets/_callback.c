/* SPDX-License-Identifier: MIT */
/*
 * For stack_mixed.py: C functions that call back into Python. Each notes its name and how many
 * Python frames were below it when it was entered, which CPython itself is asked for; that number
 * is its place in the merged stack.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <frameobject.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define MOST_NAMES 32

#ifndef Py_UNUSED /* Python 2 */
#define Py_UNUSED(name) name __attribute__((unused))
#endif

/* A stated function must keep its frame and, in .dynsym even when stripped, its name. */
#if defined(__clang__)
#define STATED __attribute__((noinline, visibility("default")))
#else
#define STATED __attribute__((noipa, visibility("default")))
#endif

static struct {
    const char *name;
    int python_depth; /* Python frames root-wards of this C function */
} stated[MOST_NAMES];
static int stated_depth; /* only one thread is in these functions */

static int python_depth(void)
{
    int depth = 0;
#if PY_VERSION_HEX >= 0x03090000
    PyFrameObject *frame = PyEval_GetFrame();

    Py_XINCREF(frame);
    while (frame) {
        PyFrameObject *back = PyFrame_GetBack(frame);

        Py_DECREF(frame);
        frame = back;
        depth++;
    }
#else
    for (PyFrameObject *frame = PyEval_GetFrame(); frame; frame = frame->f_back)
        depth++;
#endif
    return depth;
}

static void state_enter(const char *name)
{
    if (stated_depth < MOST_NAMES) {
        stated[stated_depth].name = name;
        stated[stated_depth].python_depth = python_depth();
    }
    stated_depth++;
}

/* What stands after a call keeps the compiler from making it a jump, which drops the frame. */
static PyObject *state_leave(PyObject *result)
{
    stated_depth--;
    __asm__ volatile("" ::: "memory");
    return result;
}

STATED PyObject *callback_outer(PyObject *self, PyObject *function);
STATED PyObject *callback_outer_step(PyObject *function);
STATED PyObject *callback_middle(PyObject *self, PyObject *args);
STATED PyObject *callback_inner(PyObject *self, PyObject *function);
STATED PyObject *callback_inner_step(PyObject *function, int level);
STATED PyObject *callback_spin(PyObject *self, PyObject *args);
STATED PyObject *callback_burn(PyObject *announce, int release_gil);

/* outer(function) -> function() over two C frames */
PyObject *callback_outer(PyObject *Py_UNUSED(self), PyObject *function)
{
    state_enter(__func__);
    return state_leave(callback_outer_step(function));
}

PyObject *callback_outer_step(PyObject *function)
{
    state_enter(__func__);
    return state_leave(PyObject_CallObject(function, NULL));
}

/* middle(function, argument) -> function(argument) over one C frame */
PyObject *callback_middle(PyObject *Py_UNUSED(self), PyObject *args)
{
    PyObject *function, *argument;

    if (!PyArg_ParseTuple(args, "OO:middle", &function, &argument))
        return NULL;
    state_enter(__func__);
    return state_leave(PyObject_CallFunctionObjArgs(function, argument, NULL));
}

/* inner(function) -> function() over a C function and one that calls itself */
PyObject *callback_inner(PyObject *Py_UNUSED(self), PyObject *function)
{
    state_enter(__func__);
    return state_leave(callback_inner_step(function, 3));
}

PyObject *callback_inner_step(PyObject *function, int level)
{
    state_enter(__func__);
    if (level > 1)
        return state_leave(callback_inner_step(function, level - 1));
    return state_leave(PyObject_CallObject(function, NULL));
}

/* spin(announce, release_gil): calls announce([(name, python_depth), ...]), then burns CPU and
 * never returns */
PyObject *callback_spin(PyObject *Py_UNUSED(self), PyObject *args)
{
    PyObject *announce;
    int release_gil;

    if (!PyArg_ParseTuple(args, "Oi:spin", &announce, &release_gil))
        return NULL;
    state_enter(__func__);
    return state_leave(callback_burn(announce, release_gil));
}

static PyObject *stated_list(void)
{
    PyObject *list = PyList_New(0);

    for (int i = 0; list && i < stated_depth && i < MOST_NAMES; i++) {
        PyObject *item = Py_BuildValue("(si)", stated[i].name, stated[i].python_depth);

        if (!item || PyList_Append(list, item))
            Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

PyObject *callback_burn(PyObject *announce, int release_gil)
{
    PyObject *list, *answer;
    volatile unsigned long turns = 0;
    PyThreadState *saved = NULL;

    state_enter(__func__);
    list = stated_list();
    answer = list ? PyObject_CallFunctionObjArgs(announce, list, NULL) : NULL;
    Py_XDECREF(list);
    if (!answer)
        return state_leave(NULL);
    if (release_gil)
        saved = PyEval_SaveThread();
    /* Always holds; without a condition the compiler would see a function that never returns. */
    while (turns != ~0UL)
        turns = turns + 1;
    if (saved)
        PyEval_RestoreThread(saved);
    return state_leave(answer);
}

static void leave_at_once(int signum)
{
    (void)signum;
    _exit(0);
}

/* leave_on(signum): Python's own handlers would wait for callback_burn to return */
static PyObject *callback_leave_on(PyObject *Py_UNUSED(self), PyObject *number)
{
    struct sigaction action;
    long signum = PyLong_AsLong(number);

    if (signum == -1 && PyErr_Occurred())
        return NULL;
    memset(&action, 0, sizeof(action));
    action.sa_handler = leave_at_once;
    if (sigaction((int)signum, &action, NULL))
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"outer", callback_outer, METH_O, "outer(function): function() over two C frames"},
    {"middle", callback_middle, METH_VARARGS,
     "middle(function, argument): function(argument) over one C frame"},
    {"inner", callback_inner, METH_O,
     "inner(function): function() over four C frames, three of them alike"},
    {"spin", callback_spin, METH_VARARGS,
     "spin(announce, release_gil): announce(stated C frames), then burn CPU"},
    {"leave_on", callback_leave_on, METH_O,
     "leave_on(signum): end the process with status 0 at this signal"},
    {NULL, NULL, 0, NULL},
};

#define DOC "C functions that call back into Python and know their place in the stack."

#if PY_MAJOR_VERSION >= 3
static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "_callback", .m_doc = DOC, .m_size = -1, .m_methods = methods,
};

PyMODINIT_FUNC PyInit__callback(void);
PyMODINIT_FUNC PyInit__callback(void)
{
    PyObject *made = PyModule_Create(&module);

#ifdef Py_GIL_DISABLED
    /* Without this word the whole process would go back to having a GIL. */
    if (made)
        PyUnstable_Module_SetGIL(made, Py_MOD_GIL_NOT_USED);
#endif
    return made;
}
#else
PyMODINIT_FUNC init_callback(void);
PyMODINIT_FUNC init_callback(void)
{
    Py_InitModule3("_callback", methods, DOC);
}
#endif
