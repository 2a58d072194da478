# SPDX-License-Identifier: MIT
# -*- coding: utf-8 -*-
"""States its own Python stack(s) as one JSON line, then stays there. See README.md."""
import argparse
import itertools
import sys
import threading
import time

import position
import stack_py_helper

if sys.version_info >= (3, 6):
    import stack_py_syntax as syntax
else:
    import stack_py_old_syntax as syntax


class Station(object):
    """Collects what the threads say about themselves; the main thread, the last, announces all."""

    def __init__(self, arguments):
        self.idle = arguments.idle
        self.seconds = arguments.seconds
        self.others = []
        self.arrived = threading.Semaphore(0)

    def in_position(self, frame):
        """Returns what the leaf's line goes on with: a time to sleep, or an endless iterator."""
        me = position.describe_thread(position.frames_of(frame), "idle" if self.idle else "busy")
        if me["name"] == "MainThread":
            self.announce(me)
        else:
            self.others.append(me)
            self.arrived.release()
        return self.seconds + 3600 if self.idle else itertools.repeat(None)

    def announce(self, me):
        position.announce("stack_py", [me] + sorted(self.others, key=lambda other: other["name"]))


class Walker(object):
    """Leads the main thread to its leaf over every sort of Python frame."""

    def __init__(self, station, depth):
        self.station = station
        self.depth = depth

    def descend(self, level):
        if level:
            return self.descend(level - 1)
        return stack_py_helper.relay(
            "first argument of a call over several lines",
            self.collect,
        )

    def collect(self):
        # A generator resumed by a for loop, and inside it one resumed by C code (sum).
        for value in self.generate():
            return value

    def generate(self):
        yield sum(self.compute(number)
                  for number in range(1))

    def compute(self, number):
        def innermost(offset):
            return [(lambda: leaf(self.station))() for _ in range(offset + 1)]
        return len(innermost(number))


def leaf(station):
    if station.idle:
        time.sleep(station.in_position(sys._getframe()))
    else:
        for _ in station.in_position(sys._getframe()): pass


# What the further threads run: each its own function, and each thread its own depth.

def thread_in_recursion(station, depth):
    if depth:
        thread_in_recursion(station, depth - 1)
    else:
        leaf(station)


def thread_in_generator(station, depth):
    list(syntax.numbers(depth, lambda: leaf(station)))


def thread_in_lambda(station, depth):
    action = lambda: leaf(station)
    for _ in range(depth):
        action = (lambda inner: lambda: inner())(action)
    action()


THREAD_FUNCTIONS = (thread_in_recursion, thread_in_generator, thread_in_lambda)


def start_threads(station, count):
    for number in range(count):
        thread = threading.Thread(
            name="worker-{}".format(number),
            target=THREAD_FUNCTIONS[number % len(THREAD_FUNCTIONS)],
            args=(station, number),
        )
        thread.daemon = True
        thread.start()
    for _ in range(count):
        station.arrived.acquire()


def parse_arguments():
    parser = argparse.ArgumentParser(description="states its own Python stack, then stays there")
    parser.add_argument("--idle", action="store_true", help="sleep at the leaf")
    parser.add_argument("--threads", type=int, default=0, help="how many further threads")
    parser.add_argument("--depth", type=int, default=3, help="levels of recursion (default 3)")
    parser.add_argument("--seconds", type=float, default=60.0, help="time limit (default 60)")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    position.leave_when_asked(arguments.seconds)
    station = Station(arguments)
    start_threads(station, arguments.threads)
    syntax.walk(Walker(station, arguments.depth))


if __name__ == "__main__":
    main()
