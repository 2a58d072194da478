# SPDX-License-Identifier: MIT
"""What gray_scott_mp.py and gray_scott_threads.py share: fields that several workers see, and the time step for some rows.

With NumPy it is the step of gray_scott.py, without it the loops of gray_scott_loops.py.
"""
import argparse
import ctypes

try:
    import numpy as np
except ImportError:
    np = None

if np:
    from gray_scott import DIFFUSION_U, DIFFUSION_V, FEED, KILL, TIME_STEP, initial_fields, write_png
else:
    from gray_scott_loops import initial_fields, total, update, write_png

FIELDS = 4  # u and v, old and new


def cells(size):
    """How many doubles the memory of all fields holds."""
    return FIELDS * size * size


def view_fields(memory, size):
    """[u, v, new u, new v] in a buffer that is at hand: nothing is copied."""
    if np:
        return list(np.frombuffer(memory).reshape(FIELDS, size, size))
    row = ctypes.c_double * size
    return [[row.from_buffer(memory, ctypes.sizeof(row) * (field * size + i)) for i in range(size)]
            for field in range(FIELDS)]


def fill_rows(fields, first, last):
    for field, start in zip(fields, initial_fields(len(fields[0]))):
        for i in range(first, last):
            field[i][:] = start[i]


def split_rows(size, workers):
    """(first, last + 1) of each worker's rows."""
    bounds = [size * number // workers for number in range(workers + 1)]
    return list(zip(bounds, bounds[1:]))


def laplacian(field, first, last):
    """Five-point stencil of some rows; the rows above the first and below the last may be at the other end."""
    around = field.take(range(first - 1, last + 1), axis=0, mode="wrap")
    here = around[1:-1]
    return (around[:-2] + around[2:]
            + np.roll(here, 1, axis=1) + np.roll(here, -1, axis=1)
            - 4.0 * here)


def step_rows(fields, first, last):
    """One explicit Euler step of some rows."""
    u, v, new_u, new_v = fields
    if np:
        u_here = u[first:last]
        v_here = v[first:last]
        reaction = u_here * v_here * v_here
        new_u[first:last] = u_here + TIME_STEP * (
            DIFFUSION_U * laplacian(u, first, last) - reaction + FEED * (1.0 - u_here))
        new_v[first:last] = v_here + TIME_STEP * (
            DIFFUSION_V * laplacian(v, first, last) + reaction - (FEED + KILL) * v_here)
    else:
        for i in range(first, last):
            for j in range(len(u)):
                update(u, v, new_u, new_v, i, j)


def simulate_rows(memory, size, rows, steps, barrier):
    """What each worker does. No one begins a step before all have ended the one before."""
    fields = view_fields(memory, size)
    try:
        fill_rows(fields, *rows)
        barrier.wait()
        for _ in range(steps):
            step_rows(fields, *rows)
            barrier.wait()
            fields = fields[2:] + fields[:2]
    except BaseException:
        barrier.abort()
        raise


def print_result(memory, arguments):
    fields = view_fields(memory, arguments.size)
    u, v = fields[2:] if arguments.steps % 2 else fields[:2]
    sums = (u.sum(), v.sum()) if np else (total(u), total(v))
    print("checksum u={:.9f} v={:.9f}".format(*sums))
    if arguments.output:
        write_png(arguments.output, v)


def make_parser(description, size=256 if np else 64, steps=2000 if np else 500):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--size", type=int, default=size, help="cells per side (default 256, 64 without NumPy)")
    parser.add_argument("--steps", type=int, default=steps, help="time steps (default 2000, 500 without NumPy)")
    parser.add_argument("--workers", type=int, default=2, help="who share the rows (default 2)")
    parser.add_argument("--output", metavar="FILE.png", help="write v as a grey image")
    return parser


def parse_arguments(parser):
    arguments = parser.parse_args()
    if arguments.size < 8 or arguments.steps < 0:
        parser.error("--size must be at least 8 and --steps at least 0")
    if not 1 <= arguments.workers <= arguments.size:
        parser.error("--workers must be at least 1 and no more than there are rows")
    return arguments
