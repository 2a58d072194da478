/* SPDX-License-Identifier: MIT */
/*
 * The time step of gray_scott_ext.py as a CPython extension module. The fields are any contiguous
 * buffers of doubles (array.array or NumPy), so that neither is needed to build this. The GIL is
 * released while a step runs.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

struct model {
    double diffusion_u, diffusion_v, feed, kill, time_step;
};

enum field { U, V, NEXT_U, NEXT_V, FIELDS };

/* Five-point stencil; above and below are whole rows, so that the caller wraps i once per row. */
static inline double laplacian(const double *above, const double *row, const double *below,
                               Py_ssize_t size, Py_ssize_t j)
{
    Py_ssize_t left = j > 0 ? j - 1 : size - 1;
    Py_ssize_t right = j < size - 1 ? j + 1 : 0;

    return above[j] + below[j] + row[left] + row[right] - 4.0 * row[j];
}

static void update_row(const struct model *model, double *const fields[FIELDS], Py_ssize_t size,
                       Py_ssize_t i)
{
    Py_ssize_t here = i * size, above = (i + size - 1) % size * size, below = (i + 1) % size * size;
    const double *u = fields[U], *v = fields[V];

    for (Py_ssize_t j = 0; j < size; j++) {
        double u_here = u[here + j];
        double v_here = v[here + j];
        double reaction = u_here * v_here * v_here;
        double spread_u = laplacian(u + above, u + here, u + below, size, j);
        double spread_v = laplacian(v + above, v + here, v + below, size, j);

        fields[NEXT_U][here + j] =
            u_here + model->time_step *
                         (model->diffusion_u * spread_u - reaction + model->feed * (1.0 - u_here));
        fields[NEXT_V][here + j] =
            v_here + model->time_step * (model->diffusion_v * spread_v + reaction -
                                         (model->feed + model->kill) * v_here);
    }
}

static void update(const struct model *model, double *const fields[FIELDS], Py_ssize_t size)
{
    for (Py_ssize_t i = 0; i < size; i++)
        update_row(model, fields, size, i);
}

static int buffers_fit(const Py_buffer buffers[FIELDS], Py_ssize_t size)
{
    for (int i = 0; i < FIELDS; i++) {
        if (buffers[i].itemsize != sizeof(double) || !buffers[i].format ||
            buffers[i].format[0] != 'd' || size < 1 ||
            buffers[i].len / (Py_ssize_t)sizeof(double) / size != size) {
            PyErr_SetString(PyExc_ValueError, "step: every field must hold size * size doubles");
            return 0;
        }
    }
    return 1;
}

static int buffers_get(PyObject *const objects[FIELDS], Py_buffer ret[FIELDS])
{
    for (int i = 0; i < FIELDS; i++) {
        int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (i >= NEXT_U ? PyBUF_WRITABLE : 0);

        if (PyObject_GetBuffer(objects[i], &ret[i], flags)) {
            while (i--)
                PyBuffer_Release(&ret[i]);
            return 0;
        }
    }
    return 1;
}

static PyObject *gray_scott_step(PyObject *Py_UNUSED(self), PyObject *args)
{
    PyObject *objects[FIELDS];
    Py_buffer buffers[FIELDS];
    double *fields[FIELDS];
    struct model model;
    PyThreadState *saved;
    Py_ssize_t size;
    int fit;

    if (!PyArg_ParseTuple(args, "OOOOnddddd:step", &objects[U], &objects[V], &objects[NEXT_U],
                          &objects[NEXT_V], &size, &model.diffusion_u, &model.diffusion_v,
                          &model.feed, &model.kill, &model.time_step))
        return NULL;
    if (!buffers_get(objects, buffers))
        return NULL;
    fit = buffers_fit(buffers, size);
    if (fit) {
        for (int i = 0; i < FIELDS; i++)
            fields[i] = buffers[i].buf;
        saved = PyEval_SaveThread();
        update(&model, fields, size);
        PyEval_RestoreThread(saved);
    }
    for (int i = 0; i < FIELDS; i++)
        PyBuffer_Release(&buffers[i]);
    if (!fit)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"step", gray_scott_step, METH_VARARGS,
     "step(u, v, next_u, next_v, size, diffusion_u, diffusion_v, feed, kill, time_step): one "
     "explicit Euler step"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_gray_scott",
    .m_doc = "The time step of the Gray-Scott model.",
    .m_size = 0,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__gray_scott(void);
PyMODINIT_FUNC PyInit__gray_scott(void)
{
    return PyModuleDef_Init(&module);
}
