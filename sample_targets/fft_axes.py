# SPDX-License-Identifier: MIT
"""A field's spectrum along its rows, which lie together in memory, and along its columns, which do not."""
import argparse

import numpy as np


def make_field(size):
    rows = np.arange(size, dtype=float)
    return np.sin(0.37 * np.add.outer(rows, 2.0 * rows)) + np.cos(0.11 * np.outer(rows, rows))


def along_rows(field):
    return np.fft.fft(field, axis=1)


def along_columns(field):
    return np.fft.fft(field, axis=0)


def main():
    parser = argparse.ArgumentParser(description="FFT along both axes")
    parser.add_argument("--size", type=int, default=512, help="points along each axis (default 512)")
    parser.add_argument("--steps", type=int, default=40, help="rounds (default 40)")
    arguments = parser.parse_args()
    field = make_field(arguments.size)
    for _ in range(arguments.steps):
        spectrum = along_columns(along_rows(field))
    # Parseval: the energy of both is the same.
    energy = (field ** 2).sum()
    spectral = (np.abs(spectrum) ** 2).sum() / field.size
    print("checksum energy=%.9e difference<1e-9: %s" % (energy, abs(spectral / energy - 1.0) < 1e-9))


if __name__ == "__main__":
    main()
