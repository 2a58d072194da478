# SPDX-License-Identifier: MIT
"""Exits with --status N, or kills itself with --signal N, at once or after --after seconds."""
import argparse
import os
import resource
import sys
import time


def work(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def main():
    parser = argparse.ArgumentParser(description="exits with a given status or by a given signal")
    parser.add_argument("--status", type=int, default=0)
    parser.add_argument("--signal", type=int, default=0)
    parser.add_argument("--after", type=float, default=0.0, help="seconds of work before the end")
    arguments = parser.parse_args()
    work(arguments.after)
    if arguments.signal:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.kill(os.getpid(), arguments.signal)
    sys.exit(arguments.status)


if __name__ == "__main__":
    main()
