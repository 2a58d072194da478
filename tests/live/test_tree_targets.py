# SPDX-License-Identifier: MIT
"""Gray-Scott on several processes and on several threads: each worker is seen doing its rows, and only with -s those that are
processes."""
import collections
import functools
import itertools
import re
import subprocess
import sys

import conftest
import pytest
from measure import native_frames, parse_frame, show

TARGETS = conftest.REPO / "sample_targets"
WORKERS = 3
# Each worker computes for half a second or so, with NumPy and without; a step takes it longer than the barrier.
SIZES = {True: ("--size", "1024", "--steps", "120"), False: ("--size", "96", "--steps", "150")}
# How many processes lie between the program and a worker, and what the command of the nearest to the program shows.
STARTS = {"fork": (0, "gray_scott_mp"), "spawn": (0, "spawn_main"), "forkserver": (1, "multiprocessing.forkserver")}
PROCESS = re.compile(r'process (\d+):"(.*)"')
THREAD = re.compile(r"thread \((\d+)\): (.*)")
LOOPS = re.compile("multiply|add|subtract")
# The one that runs these tests, with NumPy; and those whose stacks and processes differ most from its.
PYTHONS = ["numpy", *(pytest.param(kind, marks=pytest.mark.thorough) for kind in ("3.8", "3.14"))]

pytestmark = pytest.mark.parallel

Stack = collections.namedtuple("Stack", "processes threads frames")  # the first two: [match], root first


@pytest.fixture(params=PYTHONS)
def interpreter(request):
    return find_interpreter(request.param)


def find_interpreter(kind):
    if kind == "numpy":
        return sys.executable
    found = next((str(python) for python in conftest.pythons_here() if python.kind == kind), None)
    return found or pytest.skip(f"no CPython {kind} here")


@functools.lru_cache(maxsize=None)
def has_numpy(interpreter):
    return subprocess.run([interpreter, "-c", "import numpy"], capture_output=True, check=False).returncode == 0


@functools.lru_cache(maxsize=None)
def single_checksum(interpreter):
    """What the program with one process and one thread prints for the same grid."""
    program = "gray_scott.py" if has_numpy(interpreter) else "gray_scott_loops.py"
    return subprocess.run([interpreter, TARGETS / program, *SIZES[has_numpy(interpreter)]], check=True, text=True,
                          stdout=subprocess.PIPE, timeout=120 * conftest.PATIENCE).stdout


def split_stack(labels):
    """Processes come first, then the thread."""
    processes = list(itertools.takewhile(bool, map(PROCESS.fullmatch, labels)))
    threads = list(itertools.takewhile(bool, map(THREAD.fullmatch, labels[len(processes):])))
    return Stack(processes, threads, list(map(parse_frame, labels[len(processes) + len(threads):])))


@pytest.fixture
def record(run_pspy, tmp_path):
    """[Stack] of a run that did all its work."""
    def record_one(interpreter, program, options, *words):
        path = tmp_path / "profile.txt"
        done = run_pspy(["record", "-r", "200", *options, "-o", path, "--", interpreter, TARGETS / program,
                         "--workers", str(WORKERS), *SIZES[has_numpy(interpreter)], *words], deadline=120, check=0)
        assert done.stdout == single_checksum(interpreter)
        stacks = [split_stack(line.rpartition(" ")[0].split(";")) for line in path.read_text().splitlines()]
        assert stacks, done.stderr
        return stacks
    return record_one


def steps(stack):
    """The frames from the time step down; none elsewhere."""
    names = [frame.name if frame.file == "gray_scott_rows.py" else "" for frame in stack.frames]
    if "step_rows" not in names:
        return ()
    start = names.index("step_rows")
    assert names[start - 1] == "simulate_rows", show(stack.frames)
    return stack.frames[start:]


def by_worker(stacks, of):
    """{who: [the frames from the time step down]}"""
    found = collections.defaultdict(list)
    for stack in stacks:
        if steps(stack):
            found[of(stack)].append(steps(stack))
    return found


@pytest.mark.statistical
@pytest.mark.parametrize("method", STARTS)
def test_processes(record, interpreter, method):
    stacks = record(interpreter, "gray_scott_mp.py", ["-s", "-n"], "--start", method)
    between, command = STARTS[method]
    assert len({stack.processes[0][1] for stack in stacks}) == 1
    workers = by_worker(stacks, lambda stack: tuple(match[0] for match in stack.processes))
    assert len(workers) == len({chain[-1] for chain in workers}) == WORKERS, list(workers)
    for chain, below in workers.items():
        assert len(chain) == 2 + between and "gray_scott_mp.py" in chain[0] and command in chain[1], chain
        if has_numpy(interpreter):
            assert any(LOOPS.search(frame.name) for frames in below for frame in native_frames(frames)), \
                [show(frames) for frames in below]


def test_one_process_without_s(record):
    stacks = record(sys.executable, "gray_scott_mp.py", [], "--start", "fork")
    assert not any(stack.processes for stack in stacks)
    assert not any(steps(stack) for stack in stacks)


@pytest.mark.statistical
@pytest.mark.parametrize("options", [["-t"], ["-t", "-s"]], ids=["threads", "subprocesses"])
def test_threads(record, interpreter, options):
    stacks = record(interpreter, "gray_scott_threads.py", options)
    workers = by_worker(stacks, lambda stack: stack.threads[0].groups())
    assert {len(stack.processes) for stack in stacks if steps(stack)} == {int("-s" in options)}
    size = int(SIZES[has_numpy(interpreter)][1])
    bounds = [size * number // WORKERS for number in range(WORKERS + 1)]
    assert sorted(name for _, name in workers) == sorted(map("rows {}-{}".format, bounds, bounds[1:]))
    assert len({tid for tid, _ in workers}) == WORKERS
