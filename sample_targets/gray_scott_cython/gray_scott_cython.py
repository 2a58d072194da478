# SPDX-License-Identifier: MIT
"""Gray-Scott reaction-diffusion: Python around a time step written in Cython (gray_scott_step.pyx).

The same model as gray_scott.py. The fields are array.array, so NumPy is not needed.
"""
import argparse
import array
import sys

try:
    import gray_scott_step
except ImportError as error:
    sys.exit("gray_scott_cython: {}; build it with 'make -C sample_targets cython PYTHON={}' and set "
             "PYTHONPATH to the folder that prints".format(error, sys.executable))


def fill_square(field, size, top, left, side, value):
    for i in range(top, top + side):
        for j in range(left, left + side):
            field[i * size + j] = value


def initial_fields(size):
    """u = 1 and v = 0 everywhere but in two squares, off centre so that an axis mix-up shows."""
    u, v = array.array("d", [1.0]) * (size * size), array.array("d", [0.0]) * (size * size)
    for top, left, side in ((size // 2 - size // 8, size // 2 - size // 8, size // 4), (size // 8, size // 4, size // 8)):
        fill_square(u, size, top, left, side, 0.50)
        fill_square(v, size, top, left, side, 0.25)
    return u, v


def simulate(size, steps):
    model = gray_scott_step.Model(0.16, 0.08, 0.060, 0.062, 1.0)
    u, v = initial_fields(size)
    new_u, new_v = array.array("d", u), array.array("d", v)
    for _ in range(steps):
        model.step(u, v, new_u, new_v, size)
        u, v, new_u, new_v = new_u, new_v, u, v
    return u, v


def main():
    parser = argparse.ArgumentParser(description="Gray-Scott reaction-diffusion, time step in Cython")
    parser.add_argument("--size", type=int, default=512, help="cells per side (default 512)")
    parser.add_argument("--steps", type=int, default=2000, help="time steps (default 2000)")
    arguments = parser.parse_args()
    if arguments.size < 8 or arguments.steps < 0:
        parser.error("--size must be at least 8 and --steps at least 0")
    u, v = simulate(arguments.size, arguments.steps)
    print("checksum u={:.9f} v={:.9f}".format(sum(u), sum(v)))


if __name__ == "__main__":
    main()
