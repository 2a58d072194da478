# SPDX-License-Identifier: MIT
"""Gray-Scott reaction-diffusion with NumPy and MPI: each rank has a band of rows and swaps its edge rows with its neighbours.

Needs mpi4py. Run by the launcher: mpirun -n 4 python3 gray_scott_mpi.py. The model is gray_scott.py's.
"""
import argparse

import numpy as np
from mpi4py import MPI

from gray_scott import DIFFUSION_U, DIFFUSION_V, FEED, KILL, TIME_STEP, initial_fields

WORLD = MPI.COMM_WORLD


class Band:
    """This rank's rows of a field between two halo rows, which are copies of the neighbours' edges."""

    def __init__(self, field):
        rows = np.array_split(field, WORLD.size)[WORLD.rank]
        self.cells = np.empty((len(rows) + 2, field.shape[1]))
        self.cells[1:-1] = rows

    @property
    def own(self):
        return self.cells[1:-1]

    def exchange_halos(self):
        """The grid is periodic: the first rank's upper neighbour is the last one."""
        above, below = (WORLD.rank - 1) % WORLD.size, (WORLD.rank + 1) % WORLD.size
        WORLD.Sendrecv(self.cells[1], above, recvbuf=self.cells[-1], source=below)
        WORLD.Sendrecv(self.cells[-2], below, recvbuf=self.cells[0], source=above)

    def laplacian(self):
        """Five-point stencil; rows above and below are there, columns are periodic."""
        own = self.own
        return (self.cells[:-2] + self.cells[2:] + np.roll(own, 1, axis=1) + np.roll(own, -1, axis=1) - 4.0 * own)


def step(u, v):
    """One explicit Euler step, in place."""
    u.exchange_halos()
    v.exchange_halos()
    reaction = u.own * v.own * v.own
    change_u = DIFFUSION_U * u.laplacian() - reaction + FEED * (1.0 - u.own)
    change_v = DIFFUSION_V * v.laplacian() + reaction - (FEED + KILL) * v.own
    u.own[:] += TIME_STEP * change_u
    v.own[:] += TIME_STEP * change_v


def simulate(size, steps):
    u, v = (Band(field) for field in initial_fields(size))
    for _ in range(steps):
        step(u, v)
    return u, v


def parse_arguments():
    parser = argparse.ArgumentParser(description="Gray-Scott reaction-diffusion with NumPy and MPI")
    parser.add_argument("--size", type=int, default=256, help="cells per side (default 256)")
    parser.add_argument("--steps", type=int, default=2000, help="time steps (default 2000)")
    arguments = parser.parse_args()
    if arguments.size < max(8, WORLD.size) or arguments.steps < 0:
        parser.error("--size must be at least 8 and the number of ranks, and --steps at least 0")
    return arguments


def main():
    arguments = parse_arguments()
    u, v = simulate(arguments.size, arguments.steps)
    sums = [WORLD.reduce(band.own.sum()) for band in (u, v)]
    if WORLD.rank == 0:
        print("checksum u={:.9f} v={:.9f}".format(*sums))


if __name__ == "__main__":
    main()
