# SPDX-License-Identifier: MIT
"""`holes` below Python: --frames Python frames, some of which are called by C functions, and libholes.so as the leaf.

Needs `make -C sample_targets native`; --library says where that put it. It holds the GIL.
"""
import argparse
import ctypes
import os
import threading

HERE = os.path.dirname(os.path.abspath(__file__))


def descend(levels, watch):
    if levels == 0:
        watch()
    elif levels % 12 == 0:  # through C: a few native frames more
        sorted([1], key=lambda _: descend(levels - 1, watch) or 0)
    else:
        descend(levels - 1, watch)


def main():
    parser = argparse.ArgumentParser(description="holes below Python")
    parser.add_argument("--frames", type=int, default=30, help="Python frames (default 30)")
    parser.add_argument("--library", default=os.path.join(HERE, "..", "build", "sample_targets", "libholes.so"))
    parser.add_argument("--idle", type=int, default=0, help="threads beside it that wait (default 0)")
    arguments = parser.parse_args()
    for _ in range(arguments.idle):
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    watch = ctypes.PyDLL(arguments.library).holes_watch
    watch.restype = None
    descend(arguments.frames - 4, watch)


if __name__ == "__main__":
    main()
