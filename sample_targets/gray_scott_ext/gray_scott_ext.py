# SPDX-License-Identifier: MIT
"""Gray-Scott reaction-diffusion: Python around a time step written in C (_gray_scott.c).

The same model as gray_scott.py. The fields are array.array, so NumPy is not needed.
"""
import argparse
import array
import struct
import sys
import zlib

try:
    import _gray_scott
except ImportError as error:
    sys.exit("gray_scott_ext: {}; build it with 'make -C sample_targets ext PYTHON={}' and set "
             "PYTHONPATH to the folder that prints".format(error, sys.executable))

DIFFUSION_U = 0.16
DIFFUSION_V = 0.08
FEED = 0.060
KILL = 0.062
TIME_STEP = 1.0


def new_field(size, value):
    return array.array("d", [value]) * (size * size)


def fill_square(field, size, top, left, side, value):
    for i in range(top, top + side):
        for j in range(left, left + side):
            field[i * size + j] = value


def initial_fields(size):
    """u = 1 and v = 0 everywhere but in two squares, off centre so that an axis mix-up shows."""
    u = new_field(size, 1.0)
    v = new_field(size, 0.0)
    for top, left, side in squares(size):
        fill_square(u, size, top, left, side, 0.50)
        fill_square(v, size, top, left, side, 0.25)
    return u, v


def squares(size):
    """(top, left, side) of the seeded squares."""
    return [(size // 2 - size // 8, size // 2 - size // 8, size // 4),
            (size // 8, size // 4, size // 8)]


def simulate(size, steps):
    u, v = initial_fields(size)
    new_u = new_field(size, 0.0)
    new_v = new_field(size, 0.0)
    for _ in range(steps):
        _gray_scott.step(u, v, new_u, new_v, size,
                         DIFFUSION_U, DIFFUSION_V, FEED, KILL, TIME_STEP)
        u, v, new_u, new_v = new_u, new_v, u, v
    return u, v


def png_chunk(kind, data):
    return (struct.pack(">I", len(data)) + kind + data
            + struct.pack(">I", zlib.crc32(kind + data)))


def write_png(path, field, size):
    """An 8-bit grey image; the brightest cell is white."""
    top = max(field)
    scale = 255.0 / top if top > 0.0 else 0.0
    grey = bytes(int(value * scale) for value in field)
    rows = b"".join(b"\0" + grey[start:start + size] for start in range(0, size * size, size))
    header = struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header)
                   + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b""))


def parse_arguments():
    parser = argparse.ArgumentParser(description="Gray-Scott reaction-diffusion, time step in C")
    parser.add_argument("--size", type=int, default=512, help="cells per side (default 512)")
    parser.add_argument("--steps", type=int, default=2000, help="time steps (default 2000)")
    parser.add_argument("--output", metavar="FILE.png", help="write v as a grey image")
    arguments = parser.parse_args()
    if arguments.size < 8 or arguments.steps < 0:
        parser.error("--size must be at least 8 and --steps at least 0")
    return arguments


def main():
    arguments = parse_arguments()
    u, v = simulate(arguments.size, arguments.steps)
    print("checksum u={:.9f} v={:.9f}".format(sum(u), sum(v)))
    if arguments.output:
        write_png(arguments.output, v, arguments.size)


if __name__ == "__main__":
    main()
