# SPDX-License-Identifier: MIT
"""Gray-Scott reaction-diffusion in plain Python loops: lists of rows, one cell at a time.

The same model as gray_scott.py, as one writes it before learning about NumPy.
"""
import argparse
import struct
import zlib

DIFFUSION_U = 0.16
DIFFUSION_V = 0.08
FEED = 0.060
KILL = 0.062
TIME_STEP = 1.0


def new_field(size, value):
    return [[value] * size for _ in range(size)]


def fill_square(field, top, left, side, value):
    for i in range(top, top + side):
        for j in range(left, left + side):
            field[i][j] = value


def initial_fields(size):
    """u = 1 and v = 0 everywhere but in two squares, off centre so that an axis mix-up shows."""
    u = new_field(size, 1.0)
    v = new_field(size, 0.0)
    for top, left, side in squares(size):
        fill_square(u, top, left, side, 0.50)
        fill_square(v, top, left, side, 0.25)
    return u, v


def squares(size):
    """(top, left, side) of the seeded squares."""
    return [(size // 2 - size // 8, size // 2 - size // 8, size // 4),
            (size // 8, size // 4, size // 8)]


def laplacian(field, i, j):
    """Five-point stencil at one cell; index -1 and the modulo make the borders periodic."""
    size = len(field)
    return (field[i - 1][j] + field[(i + 1) % size][j]
            + field[i][j - 1] + field[i][(j + 1) % size]
            - 4.0 * field[i][j])


def update(u, v, new_u, new_v, i, j):
    """Explicit Euler for one cell."""
    u_here = u[i][j]
    v_here = v[i][j]
    reaction = u_here * v_here * v_here
    new_u[i][j] = u_here + TIME_STEP * (
        DIFFUSION_U * laplacian(u, i, j) - reaction + FEED * (1.0 - u_here))
    new_v[i][j] = v_here + TIME_STEP * (
        DIFFUSION_V * laplacian(v, i, j) + reaction - (FEED + KILL) * v_here)


def step(u, v, new_u, new_v):
    for i in range(len(u)):
        for j in range(len(u)):
            update(u, v, new_u, new_v, i, j)


def simulate(size, steps):
    u, v = initial_fields(size)
    new_u = new_field(size, 0.0)
    new_v = new_field(size, 0.0)
    for _ in range(steps):
        step(u, v, new_u, new_v)
        u, v, new_u, new_v = new_u, new_v, u, v
    return u, v


def total(field):
    return sum(sum(row) for row in field)


def png_chunk(kind, data):
    return (struct.pack(">I", len(data)) + kind + data
            + struct.pack(">I", zlib.crc32(kind + data)))


def write_png(path, field):
    """An 8-bit grey image; the brightest cell is white."""
    top = max(max(row) for row in field)
    scale = 255.0 / top if top > 0.0 else 0.0
    rows = b"".join(b"\0" + bytes(int(value * scale) for value in row) for row in field)
    header = struct.pack(">IIBBBBB", len(field[0]), len(field), 8, 0, 0, 0, 0)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header)
                   + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b""))


def parse_arguments():
    parser = argparse.ArgumentParser(description="Gray-Scott reaction-diffusion in plain Python")
    parser.add_argument("--size", type=int, default=64, help="cells per side (default 64)")
    parser.add_argument("--steps", type=int, default=500, help="time steps (default 500)")
    parser.add_argument("--output", metavar="FILE.png", help="write v as a grey image")
    arguments = parser.parse_args()
    if arguments.size < 8 or arguments.steps < 0:
        parser.error("--size must be at least 8 and --steps at least 0")
    return arguments


def main():
    arguments = parse_arguments()
    u, v = simulate(arguments.size, arguments.steps)
    print("checksum u={:.9f} v={:.9f}".format(total(u), total(v)))
    if arguments.output:
        write_png(arguments.output, v)


if __name__ == "__main__":
    main()
