# SPDX-License-Identifier: MIT
"""Code that Numba compiles at run time: whole stacks, names as Numba itself gives them, and shares."""
import collections
import math
import os
import sys

import pytest
from measure import is_python, python_frames, record, show

ANNOUNCED = 120  # seconds to compile everything
LONG = 600  # the target ends when the test does
SIZE = 256

numba = pytest.importorskip("numba")
pytestmark = pytest.mark.statistical


@pytest.fixture
def start_numba(start_target, repo):
    def start_one(size, *arguments):
        # A thread of OpenMP's that waits would else spin, and on a busy machine do little more.
        return start_target([sys.executable, repo / "sample_targets" / "gray_scott_numba.py", "--state", "--seconds", LONG,
                             "--size", size, *arguments], deadline=ANNOUNCED, env={**os.environ, "OMP_WAIT_POLICY": "passive"})

    return start_one


def signature(function):
    return f"__main__.{function['name']}({', '.join(function['arguments'])})"


def check_complete(recording):
    assert recording.samples > 20, recording.stderr
    assert not recording.incomplete, recording.stderr


def test_numba_stacks(start_numba, run_pspy):
    """Every sample reaches the root; below Python's own frames stands what Numba says it compiled; a recursion is as deep as
    the sum has halves; the shares are those that the target measures."""
    target = start_numba(SIZE)
    recording = record(run_pspy, target.pid, "-n", duration=3)
    target.process.stdin.close()
    functions = {function["name"]: signature(function) for function in target.statement["called"]}
    found, depths = collections.Counter(), collections.Counter()
    check_complete(recording)
    for frames, count in recording.stacks.items():
        names = [frame.name for frame in frames]
        called = [name for name in names if name.startswith("__main__.") and name.endswith(" [Python wrapper]")]
        if not called:
            continue
        name = called[0].removesuffix(" [Python wrapper]")
        assert name in functions.values() and len(called) == 1, show(frames)
        python = [frame.name.rpartition(".")[2] for frame in python_frames(frames)]
        assert python == ["<module>", "main", "step", "call"] and not is_python(frames[-1]), show(frames)
        found[name] += count
        if frames[-1].name == name == functions["pairwise_sum"]:
            depths[names.count(name)] += count
    deepest = 1 + math.log2(SIZE * SIZE / 64)
    assert set(found) == set(functions.values()), found
    assert max(depths) == depths.most_common(1)[0][0] == deepest, depths
    check_shares(target, functions, found)


def check_shares(target, functions, found):
    shares, samples = target.wait_json()["shares"], sum(found.values())
    for name, share in shares.items():
        error = 5 * math.sqrt(share * (1 - share) / samples)
        assert abs(found[functions[name]] / samples - share) < error, (name, share, samples, found)


def check_lines(target, frames):
    """Whether there are functions of rows with lines, which must be their own. Some instructions have none."""
    found = [(frame, function) for frame in frames for function in target.statement["rows"]
             if frame.name.startswith(f"__main__.{function['name']}(") and frame.line]
    for frame, function in found:
        assert frame.file == os.path.basename(target.statement["file"]), show(frames)
        assert function["first_line"] <= frame.line <= function["last_line"], show(frames)
    return bool(found)


def test_numba_parallel_loops(start_numba, run_pspy):
    """The loops over a prange under the name of their function, on all threads, and with lines where they were compiled
    with them; the interpreter above them on the thread that is its own."""
    target = start_numba(4 * SIZE, "--parallel", "--debug")
    recording = record(run_pspy, target.pid, "-n", "-t", duration=3)
    step = next(function for function in target.statement["called"] if function["name"] == "parallel_step")
    loops, threads, lines = collections.Counter(), set(), 0
    check_complete(recording)
    for (tid, _), stacks in recording.by_thread.items():
        for frames, count in stacks.items():
            bodies = [frame for frame in frames if frame.name.startswith(f"{signature(step)} [prange ")
                      and not frame.name.endswith("[gufunc]")]
            assert not [frame for frame in frames if "gufunc_0x" in frame.name], show(frames)
            if not bodies:
                continue
            loops[bodies[0].name] += count
            threads.add(tid)
            assert (tid == target.pid) == bool([frame for frame in frames if frame.name == "main"]), show(frames)
            lines += count * check_lines(target, frames)
    assert sorted(loops) == [f"{signature(step)} [prange {number}]" for number in (1, 2)], loops
    assert lines > sum(loops.values()) / 2, (lines, loops)
    assert len(threads) == min(2, len(os.sched_getaffinity(0))), threads
