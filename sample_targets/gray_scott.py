# SPDX-License-Identifier: MIT
"""Gray-Scott reaction-diffusion with NumPy, whole fields at a time.

Two chemicals diffuse on a periodic square grid and react (u + 2v -> 3v):

    du/dt = Du * laplacian(u) - u v^2 + F (1 - u)
    dv/dt = Dv * laplacian(v) + u v^2 - (F + k) v
"""
import argparse
import struct
import zlib

import numpy as np

DIFFUSION_U = 0.16
DIFFUSION_V = 0.08
FEED = 0.060
KILL = 0.062
TIME_STEP = 1.0


def initial_fields(size):
    """u = 1 and v = 0 everywhere but in two squares, off centre so that an axis mix-up shows."""
    u = np.ones((size, size))
    v = np.zeros((size, size))
    for top, left, side in squares(size):
        u[top:top + side, left:left + side] = 0.50
        v[top:top + side, left:left + side] = 0.25
    return u, v


def squares(size):
    """(top, left, side) of the seeded squares."""
    return [(size // 2 - size // 8, size // 2 - size // 8, size // 4),
            (size // 8, size // 4, size // 8)]


def laplacian(field):
    """Five-point stencil; np.roll makes the borders periodic."""
    return (np.roll(field, 1, axis=0) + np.roll(field, -1, axis=0)
            + np.roll(field, 1, axis=1) + np.roll(field, -1, axis=1)
            - 4.0 * field)


def step(u, v):
    """One explicit Euler step; returns the new fields."""
    reaction = u * v * v
    new_u = u + TIME_STEP * (DIFFUSION_U * laplacian(u) - reaction + FEED * (1.0 - u))
    new_v = v + TIME_STEP * (DIFFUSION_V * laplacian(v) + reaction - (FEED + KILL) * v)
    return new_u, new_v


def simulate(size, steps):
    u, v = initial_fields(size)
    for _ in range(steps):
        u, v = step(u, v)
    return u, v


def png_chunk(kind, data):
    return (struct.pack(">I", len(data)) + kind + data
            + struct.pack(">I", zlib.crc32(kind + data)))


def write_png(path, field):
    """An 8-bit grey image; the brightest cell is white."""
    height, width = field.shape
    top = field.max()
    grey = (field * (255.0 / top if top > 0.0 else 0.0)).astype(np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in grey)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header)
                   + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b""))


def parse_arguments():
    parser = argparse.ArgumentParser(description="Gray-Scott reaction-diffusion with NumPy")
    parser.add_argument("--size", type=int, default=256, help="cells per side (default 256)")
    parser.add_argument("--steps", type=int, default=2000, help="time steps (default 2000)")
    parser.add_argument("--output", metavar="FILE.png", help="write v as a grey image")
    arguments = parser.parse_args()
    if arguments.size < 8 or arguments.steps < 0:
        parser.error("--size must be at least 8 and --steps at least 0")
    return arguments


def main():
    arguments = parse_arguments()
    u, v = simulate(arguments.size, arguments.steps)
    print("checksum u={:.9f} v={:.9f}".format(u.sum(), v.sum()))
    if arguments.output:
        write_png(arguments.output, v)


if __name__ == "__main__":
    main()
