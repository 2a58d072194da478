# SPDX-License-Identifier: MIT
"""Gray-Scott with Numba: the model of gray_scott.py in functions that are compiled at run time.

With --state a JSON line says, once all is compiled, what Numba calls each function's arguments, and another one at the end
how the CPU time that the main thread spent in the functions divides between them, by its own clock around each call.
"""
import argparse
import inspect
import json
import os
import signal
import sys
import time

import numba
import numpy as np
import position
from gray_scott import DIFFUSION_U, DIFFUSION_V, FEED, KILL, TIME_STEP, initial_fields, write_png

OPTIONS = {"debug": "--debug" in sys.argv}
SUMMED_AT_ONCE = 64


@numba.njit(**OPTIONS)
def laplacian_row(field, out, i):
    size = field.shape[0]
    for j in range(size):
        out[i, j] = (field[i - 1, j] + field[i + 1 - size, j] + field[i, j - 1] + field[i, j + 1 - size]
                     - 4.0 * field[i, j])


@numba.njit(**OPTIONS)
def react_row(u, v, laplacian_u, laplacian_v, i):
    for j in range(u.shape[0]):
        reaction = u[i, j] * v[i, j] * v[i, j]
        u[i, j] += TIME_STEP * (DIFFUSION_U * laplacian_u[i, j] - reaction + FEED * (1.0 - u[i, j]))
        v[i, j] += TIME_STEP * (DIFFUSION_V * laplacian_v[i, j] + reaction - (FEED + KILL) * v[i, j])


@numba.njit(**OPTIONS)
def laplacian(field, out):
    for i in range(field.shape[0]):
        laplacian_row(field, out, i)


@numba.njit(**OPTIONS)
def react(u, v, laplacian_u, laplacian_v):
    for i in range(u.shape[0]):
        react_row(u, v, laplacian_u, laplacian_v, i)


@numba.njit(parallel=True, **OPTIONS)
def parallel_step(u, v, laplacian_u, laplacian_v):
    for i in numba.prange(u.shape[0]):
        laplacian_row(u, laplacian_u, i)
        laplacian_row(v, laplacian_v, i)
    for i in numba.prange(v.shape[0]):
        react_row(u, v, laplacian_u, laplacian_v, i)


@numba.njit("float64(float64[::1], int64, int64)", **OPTIONS)
def pairwise_sum(cells, start, end):
    """By halves, for the error's sake: a recursion."""
    if end - start > SUMMED_AT_ONCE:
        middle = (start + end) // 2
        return pairwise_sum(cells, start, middle) + pairwise_sum(cells, middle, end)
    total = 0.0
    for i in range(start, end):
        total += cells[i]
    return total


class Ledger:
    """Calls functions and notes the CPU time that each took."""

    def __init__(self):
        self.spent = {}
        self.is_over = False

    def call(self, function, *arguments):
        before = time.thread_time_ns()
        result = function(*arguments)
        name = function.__name__
        self.spent[name] = self.spent.get(name, 0) + time.thread_time_ns() - before
        return result

    def shares(self):
        total = sum(self.spent.values())
        return {name: spent / total for name, spent in self.spent.items()}


def step(fields, ledger, parallel):
    u, v, laplacian_u, laplacian_v = fields
    if parallel:
        ledger.call(parallel_step, u, v, laplacian_u, laplacian_v)
    else:
        ledger.call(laplacian, u, laplacian_u)
        ledger.call(laplacian, v, laplacian_v)
        ledger.call(react, u, v, laplacian_u, laplacian_v)
    return ledger.call(pairwise_sum, u.ravel(), 0, u.size)


def type_name(kind):
    """A type as it is written in a Numba signature."""
    if not isinstance(kind, numba.types.Array):
        return str(kind)
    dimensions = [":"] * kind.ndim
    if kind.layout in "CF":
        dimensions[-1 if kind.layout == "C" else 0] = "::1"
    return f"{kind.dtype}[{', '.join(dimensions)}]"


def describe(function):
    lines, first = inspect.getsourcelines(function.py_func)
    return {"name": function.__name__, "first_line": first, "last_line": first + len(lines) - 1,
            "arguments": [type_name(kind) for kind in function.signatures[0]]}


def parse_arguments():
    parser = argparse.ArgumentParser(description="Gray-Scott reaction-diffusion with Numba")
    parser.add_argument("--size", type=int, default=256, help="cells per side (default 256)")
    parser.add_argument("--steps", type=int, default=2000, help="time steps (default 2000)")
    parser.add_argument("--parallel", action="store_true", help="loops over the rows run on all CPUs")
    parser.add_argument("--debug", action="store_true", help="compile with line numbers")
    parser.add_argument("--state", action="store_true", help="say what must be seen")
    parser.add_argument("--seconds", type=float, help="time steps for so long, instead of --steps")
    parser.add_argument("--output", metavar="FILE.png", help="write v as a grey image")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    fields = (*initial_fields(arguments.size), *np.empty((2, arguments.size, arguments.size)))
    step(fields, Ledger(), arguments.parallel)
    ledger, end = Ledger(), time.monotonic() + (arguments.seconds or 0)

    def leave(_signum, _frame):
        ledger.is_over = True

    position.leave_when_asked(0, lambda signum: signal.signal(signum, leave))
    if arguments.state:
        used = [parallel_step] if arguments.parallel else [laplacian, react]
        print(json.dumps({"target": "gray_scott_numba", "pid": os.getpid(), "file": __file__,
                          "called": [describe(function) for function in [*used, pairwise_sum]],
                          "rows": [describe(function) for function in [laplacian_row, react_row]]}), flush=True)
    done = 1
    while not ledger.is_over and (time.monotonic() < end if arguments.seconds else done < arguments.steps):
        step(fields, ledger, arguments.parallel)
        done += 1
    if arguments.state:
        print(json.dumps({"shares": ledger.shares()}), flush=True)
    print("checksum u={:.9f} v={:.9f}".format(fields[0].sum(), fields[1].sum()))
    if arguments.output:
        write_png(arguments.output, fields[1])


if __name__ == "__main__":
    main()
