# SPDX-License-Identifier: MIT
"""Spends shares of its CPU time in hot, warm and cold, and states at the end what it measured."""
import argparse
import json
import os
import random
import signal
import sys
import time

import position

WANTED = {"hot": 0.6, "warm": 0.3, "cold": 0.1}
# Seconds of a slice, from and to; random, so that no sampler beats in time with it.
SLICES = 0.001, 0.020


def hot(turns):
    while turns: turns -= 1


def warm(turns):
    while turns: turns -= 1


def cold(turns):
    while turns: turns -= 1


FUNCTIONS = {"hot": hot, "warm": warm, "cold": cold}


class Ledger:
    """The CPU time each function used, by the thread's own clock, and how long it took with waits for a CPU."""

    def __init__(self, target, functions, wanted, slices):
        self.target, self.functions, self.wanted, self.lengths = target, functions, wanted, slices
        self.cpu = dict.fromkeys(wanted, 0.0)
        self.wall = dict.fromkeys(wanted, 0.0)
        self.slices = dict.fromkeys(wanted, 0)
        self.start_cpu = cpu_time()
        self.start_wall = time.monotonic()
        self.turns_per_second = dict.fromkeys(wanted, 100.0)  # a guess; each slice corrects it
        self.over = False

    def most_wanting(self):
        """The function furthest behind its share: every second of the run has about the same."""
        total = sum(self.cpu.values())
        return max(self.wanted, key=lambda name: self.wanted[name] * total - self.cpu[name])

    def run_slice(self, name):
        turns = int(random.uniform(*self.lengths) * self.turns_per_second[name]) + 1
        function = self.functions[name]
        before, begin = cpu_time(), time.monotonic()
        function(turns)
        used = cpu_time() - before
        self.cpu[name] += used
        self.wall[name] += time.monotonic() - begin
        self.slices[name] += 1
        if used > 0.0:
            self.turns_per_second[name] = turns / used

    def statement(self):
        total = cpu_time() - self.start_cpu
        return {
            "target": self.target, "language": "python", "pid": os.getpid(),
            "shares": {name: cpu / total for name, cpu in self.cpu.items()},
            "wall_shares": {name: wall / sum(self.wall.values()) for name, wall in self.wall.items()},
            "other": 1.0 - sum(self.cpu.values()) / total,
            "cpu_seconds": self.cpu, "slices": self.slices,
            "total_cpu_seconds": total, "wall_seconds": time.monotonic() - self.start_wall,
        }


def cpu_time():
    return time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID)


def work(ledger, seconds):
    while not ledger.over and time.monotonic() - ledger.start_wall < seconds:
        ledger.run_slice(ledger.most_wanting())


def parse_arguments():
    parser = argparse.ArgumentParser(description="spends CPU time in named functions")
    parser.add_argument("--seconds", type=float, default=10.0, help="length (default 10)")
    return parser.parse_args()


def run(target, functions, wanted, slices):
    arguments = parse_arguments()
    ledger = Ledger(target, functions, wanted, slices)

    def end(_signum, _frame):
        ledger.over = True

    position.leave_when_asked(0, lambda signum: signal.signal(signum, end))
    work(ledger, arguments.seconds)
    sys.stdout.write(json.dumps(ledger.statement()) + "\n")


if __name__ == "__main__":
    run("shares", FUNCTIONS, WANTED, SLICES)
