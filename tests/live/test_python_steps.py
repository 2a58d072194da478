# SPDX-License-Identifier: MIT
"""The reader of Python stacks at every instruction of a program (tests/unit/print_python_steps.c): also of those that an
interpreter needs to begin and to end a call. It may say that it cannot tell; what it tells follows from what was before."""
import json
import subprocess

import pytest

from conftest import SANITIZED

STEPS = 10000 if SANITIZED else 30000

# Calls from C at many depths: what the C stack holds of earlier ones is of other frames.
STEPPED = """
import functools, gc, sys

def leaf(n):
    return n

def deep(n, call):
    if n:
        return deep(n - 1, call)
    return call(n)

def by_c(n):
    return functools.partial(leaf, n)()

def key(n):
    return -n

def sorts(n):
    return sorted((1, 2, 3), key=key)

def numbers(n):
    for i in range(3):
        yield leaf(i)

def generates(n):
    return sum(numbers(n))

def fails(n):
    try:
        raise ValueError(n)
    except ValueError:
        return n

class Made(object):
    def __init__(self, n):
        self.n = leaf(n)

    def __lt__(self, other):
        return by_c(self.n) < other.n

def makes(n):
    return sorted([Made(2), Made(1)])

def rounds():
    while True:
        for call in by_c, sorts, generates, fails, makes:
            deep(12, call)
            call(0)
            deep(5, call)

gc.disable()
sys.stdout.write("x")
sys.stdout.flush()
rounds()
"""


@pytest.mark.parametrize("options", [[], ["-n"]], ids=["python", "native"])
def test_every_instruction(every_python, build, record_property, options):
    done = subprocess.run([build / "tests/unit/print_python_steps", *options, str(STEPS), every_python, "-c", STEPPED],
                          capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    record_property("steps", answer)
    assert answer["jumps"] == answer["disagree"] == 0, (answer, done.stderr)
    # A debug build needs thousands of instructions for a call.
    assert answer["changes"] >= STEPS / 6000 and answer["depth"] >= 4, answer
    assert answer["torn"] <= STEPS / 50, answer
