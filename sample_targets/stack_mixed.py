# SPDX-License-Identifier: MIT
"""States its own stack of Python and C functions as one JSON line, then stays in C."""
import argparse
import functools
import sys

import position

try:
    import _callback
except ImportError as error:
    sys.exit("stack_mixed: {}; build it with 'make -C sample_targets ext PYTHON={}' and set "
             "PYTHONPATH to the folder that prints".format(error, sys.executable))


def merge(python, native):
    """Each C function stands behind the Python frames that were there when it was entered."""
    merged = []
    native = list(native)
    for depth, (name, qualname, file, line) in enumerate(python, 1):
        merged.append({"kind": "python", "name": name, "qualname": qualname,
                       "file": file, "line": line})
        while native and native[0][1] == depth:
            merged.append({"kind": "native", "name": native.pop(0)[0]})
    assert not native, native
    return merged


def announce(native):
    """Called by the innermost C function, from the Python function that called it."""
    frames = merge(position.frames_of(sys._getframe(1)), native)
    position.announce("stack_mixed", [position.describe_thread(frames, "busy")])


class Route(object):
    """Python -> sorted -> Python -> C -> Python -> map, reduce -> Python -> C -> Python -> C."""

    def __init__(self, release_gil):
        self.release_gil = release_gil

    def sort_key(self, number):
        return _callback.outer(self.through_map) or number

    def through_map(self):
        return list(map(self.through_reduce, [1]))

    def through_reduce(self, number):
        return functools.reduce(lambda left, right: self.add(left, right), [number, 2])

    def add(self, left, right):
        return _callback.middle(
            self.recurse,
            left + right,
        )

    def recurse(self, level):
        if level:
            return self.recurse(level - 1)
        return _callback.inner(self.near_leaf)

    def near_leaf(self):
        return _callback.spin(
            announce, self.release_gil)


def parse_arguments():
    parser = argparse.ArgumentParser(description="states its own stack, then stays in C")
    parser.add_argument("--release-gil", action="store_true", help="burn CPU without the GIL")
    parser.add_argument("--seconds", type=float, default=60.0, help="time limit (default 60)")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    position.leave_when_asked(arguments.seconds, _callback.leave_on)
    sorted([1], key=Route(arguments.release_gil).sort_key)


if __name__ == "__main__":
    main()
