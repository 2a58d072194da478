# SPDX-License-Identifier: MIT
"""Each row of a stack of matrices divided by its own norm, three ways: a loop in Python, an axis moved to where broadcasting
wants it, a new axis. The results are the same, the time is not."""
import argparse

import numpy as np


def by_loop(stack, norms):
    result = np.empty_like(stack)
    for i in range(stack.shape[0]):
        for j in range(stack.shape[1]):
            result[i, j] = stack[i, j] / norms[i, j]
    return result


def by_moveaxis(stack, norms):
    return np.moveaxis(np.moveaxis(stack, -1, 0) / norms, 0, -1)


def by_newaxis(stack, norms):
    return stack / norms[..., np.newaxis]


def main():
    parser = argparse.ArgumentParser(description="three ways of broadcasting")
    parser.add_argument("--size", type=int, default=200, help="rows and columns of each matrix (default 200)")
    parser.add_argument("--steps", type=int, default=20, help="rounds (default 20)")
    arguments = parser.parse_args()
    stack = 1.0 + np.arange(20.0 * arguments.size ** 2).reshape(20, arguments.size, arguments.size) % 97.0
    norms = np.sqrt((stack ** 2).sum(axis=-1))
    for _ in range(arguments.steps):
        results = by_loop(stack, norms), by_moveaxis(stack, norms), by_newaxis(stack, norms)
    print("checksum %.9e same: %s" % (results[0].sum(), all(np.array_equal(results[0], other) for other in results[1:])))


if __name__ == "__main__":
    main()
