# SPDX-License-Identifier: MIT
"""One busy thread, N frames deep, that calls a short function every few microseconds.

The line it prints when it is there: `frames`, how many of `down` are below `spin`, and how long a call takes. Before 3.11
each frame needs C stack: from 3,000 frames on the thread is one with a stack of --stack MB. Works with CPython 2.7 and
later.
"""
import argparse
import json
import os
import sys
import threading
import time

import position

# Of the CPU: a busy machine makes a call no longer.
clock = getattr(time, "process_time", None) or time.clock
DEEP = 3000


def leaf(turns):
    while turns: turns -= 1


def spin(turns):
    while True:
        leaf(turns)


def down(depth, arrive):
    if depth > 1:
        down(depth - 1, arrive)
    else:
        spin(arrive())


def cost(turns, calls=200):
    """CPU seconds of one call; the least of several."""
    costs = []
    for _ in range(20):
        start = clock()
        for _ in range(calls):
            leaf(turns)
        costs.append((clock() - start) / calls)
    return min(costs)


def turns_of(seconds):
    turn = (cost(2000) - cost(1000)) / 1000
    return max(0, int(round((seconds - cost(0)) / turn)))


def parse_arguments():
    parser = argparse.ArgumentParser(description="calls a short function, deep below")
    parser.add_argument("--depth", type=int, default=10, help="frames of the recursion (default 10)")
    parser.add_argument("--every", type=float, default=20.0, metavar="US", help="microseconds of a call (default 20)")
    parser.add_argument("--seconds", type=float, default=60.0, help="leave after that long (default 60, 0: never)")
    parser.add_argument("--stack", type=int, default=64, metavar="MB", help="of a deep thread before 3.11 (default 64)")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    turns = turns_of(arguments.every * 1e-6)
    sys.setrecursionlimit(arguments.depth + 1000)

    def arrive():
        print(json.dumps({"target": "calls_at_depth", "pid": os.getpid(), "python": sys.version.split()[0],
                          "frames": arguments.depth, "call_us": cost(turns) * 1e6}))
        sys.stdout.flush()
        return turns

    position.leave_when_asked(arguments.seconds)
    if arguments.depth < DEEP or sys.version_info >= (3, 11):
        down(arguments.depth, arrive)
    threading.stack_size(arguments.stack << 20)
    thread = threading.Thread(target=down, args=(arguments.depth, arrive))
    thread.daemon = True
    thread.start()
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
