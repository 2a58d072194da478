# SPDX-License-Identifier: MIT
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The time step of gray_scott_cython.py. The fields are any contiguous buffers of doubles."""


cdef inline double laplacian(double[::1] field, Py_ssize_t above, Py_ssize_t here, Py_ssize_t below, Py_ssize_t size,
                             Py_ssize_t j) nogil:
    """Five-point stencil; above and below are whole rows, so that the caller wraps i once per row."""
    cdef Py_ssize_t left = j - 1 if j > 0 else size - 1
    cdef Py_ssize_t right = j + 1 if j < size - 1 else 0

    return field[above + j] + field[below + j] + field[here + left] + field[here + right] - 4.0 * field[here + j]


cdef class Model:
    cdef double diffusion_u, diffusion_v, feed, decay, time_step

    def __init__(self, diffusion_u, diffusion_v, feed, decay, time_step):
        self.diffusion_u, self.diffusion_v = diffusion_u, diffusion_v
        self.feed, self.decay, self.time_step = feed, decay, time_step

    cdef void update_row(self, double[::1] u, double[::1] v, double[::1] next_u, double[::1] next_v, Py_ssize_t size,
                         Py_ssize_t i) noexcept:
        cdef Py_ssize_t here = i * size, above = (i + size - 1) % size * size, below = (i + 1) % size * size, j
        cdef double u_here, v_here, reaction

        for j in range(size):
            u_here = u[here + j]
            v_here = v[here + j]
            reaction = u_here * v_here * v_here
            next_u[here + j] = u_here + self.time_step * (
                self.diffusion_u * laplacian(u, above, here, below, size, j) - reaction + self.feed * (1.0 - u_here))
            next_v[here + j] = v_here + self.time_step * (
                self.diffusion_v * laplacian(v, above, here, below, size, j) + reaction
                - (self.feed + self.decay) * v_here)

    def step(self, double[::1] u, double[::1] v, double[::1] next_u, double[::1] next_v, Py_ssize_t size):
        cdef Py_ssize_t i

        for i in range(size):
            self.update_row(u, v, next_u, next_v, size, i)
