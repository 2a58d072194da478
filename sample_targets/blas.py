# SPDX-License-Identifier: MIT
"""Dense linear algebra: a matrix product and a linear system, in whatever BLAS NumPy was built with."""
import argparse

import numpy as np


def make_system(size):
    """A well-conditioned matrix and right-hand sides, the same for each run."""
    rows = np.arange(size, dtype=float)
    matrix = np.sin(np.add.outer(3.0 * rows, rows * rows)) + size * np.eye(size)
    return matrix, np.cos(np.outer(rows, np.arange(1.0, 9.0)))


def multiply(left, right):
    return np.dot(left, right)


def solve(matrix, right):
    return np.linalg.solve(matrix, right)


def main():
    parser = argparse.ArgumentParser(description="dot and solve")
    parser.add_argument("--size", type=int, default=400, help="rows of the matrix (default 400)")
    parser.add_argument("--steps", type=int, default=20, help="rounds (default 20)")
    arguments = parser.parse_args()
    matrix, right = make_system(arguments.size)
    error = 0.0
    for _ in range(arguments.steps):
        product = multiply(matrix, matrix)
        solution = solve(product, right)
        error = max(error, np.abs(multiply(product, solution) - right).max())
    print("checksum x=%.9e error<1e-6: %s" % (np.abs(solution).sum(), error < 1e-6))


if __name__ == "__main__":
    main()
