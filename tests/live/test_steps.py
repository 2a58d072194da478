# SPDX-License-Identifier: MIT
"""The unwinder at every instruction of a program, against a shadow stack (tests/unit/print_steps.c).

What is not right must be honest: a stack that says it is incomplete, or guessed. And it may not be worse than what
libunwind reaches with its own ptrace accessors.
"""
import json
import os
import pathlib
import shutil
import subprocess

import pytest

from conftest import SANITIZED

CC = os.environ.get("CC", "gcc").split()[0]
STEPS = 2000 if SANITIZED else 20000
# In __longjmp the stack pointer is the new frame's before the pc is: no table can describe it.
MIXED = {"__longjmp"}

VARIANTS = [
    f"{CC} -O2 -Wl,-z,lazy",
    f"{CC} -O2 -Wl,-z,now",
    f"{CC} -O0 -Wl,-z,lazy",
    f"{CC} -Os -Wl,-z,lazy -no-pie",
    f"{CC} -O2 -fno-omit-frame-pointer",
    f"{CC} -O2 -fcf-protection=full -Wl,-z,lazy",
    f"{CC} -O3 -mavx2 -fno-plt",
    f"{CC} -O2 -static-pie",
    "gcc -O2 -Wl,-z,lazy -fuse-ld=gold",
    "clang -O0 -Wl,-z,lazy -fuse-ld=lld",
    "clang -O2 -Wl,-z,lazy",
    "clang -O2 -Wl,-z,lazy -fuse-ld=lld",
]


@pytest.fixture
def steps(repo, build, tmp_path):
    """steps(command) -> what print_steps says of a program of this folder, compiled by this command."""
    def run(command, *arguments, source="steps.c", count=STEPS, options=(), env=None):
        compiler = command.split()
        if not shutil.which(compiler[0]):
            pytest.skip(f"no {compiler[0]} here")
        program = tmp_path / "steps"
        subprocess.run([*compiler, str(repo / "tests/live" / source), "-lm", "-ldl", "-o", str(program)], check=True,
                       timeout=60)
        done = subprocess.run([build / "tests/unit/print_steps", *options, str(count), program, *arguments],
                              capture_output=True, text=True, timeout=300, check=False, env=env)
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)
    return run


@pytest.mark.parametrize("command", VARIANTS)
def test_every_instruction(command, steps, record_property):
    answer = steps(command + " -g")
    record_property("right", f"{answer['right']} of {answer['steps']}")
    assert answer["steps"] == STEPS
    assert answer["wrong"] == answer["worse"] == answer["guessed"] == 0, answer
    if "lld" in command:
        # lld's PLT has no tables: a signal there hides the registers of the caller.
        assert answer["right"] >= 0.99 * STEPS, answer
    else:
        assert {place.partition("!")[2] for place in answer["places"]} <= MIXED, answer
        assert answer["right"] >= 0.995 * STEPS, answer
    if not SANITIZED:
        assert answer["restorers"] >= 5, "no signal came"


NO_TABLES = "-fno-asynchronous-unwind-tables -fno-unwind-tables"


@pytest.mark.parametrize("command", [f"gcc -O2 -g0 {NO_TABLES}", f"gcc -O0 -g0 {NO_TABLES}"])
def test_code_without_tables(command, steps):
    """Guesses are said to be guesses."""
    answer = steps(command, count=STEPS // 4)
    assert answer["wrong"] == 0 and answer["worse"] == 0, answer


@pytest.mark.parametrize("flags", ["", "-gz=zlib"])
@pytest.mark.parametrize("level", ["-O0", "-O2"])
def test_tables_for_debuggers(level, flags, steps):
    """Where there is only .debug_frame, it serves."""
    answer = steps(f"gcc {level} -g {flags} {NO_TABLES}")
    assert answer["wrong"] == answer["guessed"] == 0, answer
    assert {place.partition("!")[2] for place in answer["places"]} <= MIXED, answer
    assert answer["right"] >= 0.995 * STEPS, answer


@pytest.fixture
def openblas():
    """The library in NumPy's wheel."""
    numpy = pytest.importorskip("numpy")
    found = sorted((pathlib.Path(numpy.__file__).parent.parent / "numpy.libs").glob("lib*openblas*.so*"))
    if not found:
        pytest.skip("this NumPy brings no OpenBLAS of its own")
    return found[0]


@pytest.mark.parametrize("core", ["Haswell", "Sandybridge", "SkylakeX"])
def test_kernels_without_tables(core, steps, openblas, record_property):
    """OpenBLAS's kernels: what is found is nearly always right, and marked."""
    count = 4000 if SANITIZED else 40000
    answer = steps("gcc -O2", openblas, source="steps_blas.c", count=count, options=["-c"],
                   env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OPENBLAS_CORETYPE": core})
    record_property("right", f"{answer['right']} of {answer['steps']}")
    assert answer["steps"] == count and answer["wrong"] == answer["worse"] == 0, answer
    assert answer["right"] >= 0.999 * count and answer["guessed"] <= 0.001 * count, answer
