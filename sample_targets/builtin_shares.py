# SPDX-License-Identifier: MIT
"""Spends shares of its CPU time in C functions of the interpreter, and states at the end what it measured."""
import json
import re

import shares

WANTED = {"sort": 0.3, "parse": 0.25, "match": 0.2, "add": 0.15, "join": 0.1}
SLICES = 0.0005, 0.002

WORDS = ["word%d" % (n * 7919 % 10007) for n in range(3000)]
NUMBERS = list(range(5000))
# Little to give back afterwards: that time would be the Python function's.
DOCUMENT = json.dumps([1] * 4000)
PATTERN = re.compile(r"(a+)+b")
LINE = "a" * 12


def sort(turns):
    for _ in range(turns): NUMBERS.sort()


def parse(turns):
    for _ in range(turns): json.loads(DOCUMENT)


def match(turns):
    for _ in range(turns): PATTERN.match(LINE)


def add(turns):
    for _ in range(turns): sum(NUMBERS)


def join(turns):
    for _ in range(turns): ",".join(WORDS)


FUNCTIONS = {"sort": sort, "parse": parse, "match": match, "add": add, "join": join}

if __name__ == "__main__":
    shares.run("builtin_shares", FUNCTIONS, WANTED, SLICES)
