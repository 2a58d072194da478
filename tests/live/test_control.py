# SPDX-License-Identifier: MIT
"""When sampling begins, how much it may cost, what is written meanwhile, and what is ended; by what the targets state."""
import gzip
import json
import os
import re
import signal
import sys
import time

import pytest
from measure import wait_sampling, wait_until

pytestmark = pytest.mark.parallel  # they hardly compute

SPIN = "import sys, time; end = time.perf_counter() + float(sys.argv[1])\nwhile time.perf_counter() < end: pass"

# Runs in `early` until it is told to go on, then in `late` until it is told to end.
STAGES = """
import json, os, sys, threading
stage = 0
def listen():
    global stage
    for line in sys.stdin: stage += 1
threading.Thread(target=listen, daemon=True).start()
def state(name):
    print(json.dumps({"pid": os.getpid(), "stage": name}), flush=True)
def early():
    state("early")
    while stage < 1: sum(range(100))
def late():
    state("late")
    while stage < 2: sum(range(100))
early()
late()
"""


@pytest.fixture
def start_stages(start_target, tmp_path_factory):
    path = tmp_path_factory.mktemp("target") / "stages.py"
    path.write_text(STAGES)
    return lambda: start_target([sys.executable, path], stdin=-1)


@pytest.fixture
def stages(start_stages):
    return start_stages()


def go_on(target):
    target.process.stdin.write("next\n")
    target.process.stdin.flush()


def test_delay_start(start_stages, start, pspy, tmp_path):
    """What the program did before is not there."""
    path = tmp_path / "profile.txt"
    for delay in 2, 8, 30:
        stages = start_stages()
        started = time.monotonic()
        profiler = start([pspy, "record", "--delay-start", str(delay), "-r", "500", "-o", path, "-p", str(stages.pid)])
        go_on(stages)
        assert stages.wait_json()["stage"] == "late"
        if time.monotonic() - started < delay:
            break
    wait_sampling(profiler.pid, stages.pid)
    go_on(stages)
    assert profiler.wait().status == 0
    assert "late (" in path.read_text() and "early (" not in path.read_text()


def test_delay_that_is_too_long(run_pspy, tmp_path):
    path = tmp_path / "profile.txt"
    done = run_pspy(["record", "--delay-start", "3600", "-o", path, "--", sys.executable, "-c", "exit(3)"], check=3)
    assert "ended before --delay-start was over" in done.stderr and "fewer seconds" in done.stderr
    assert path.read_text() == ""


def test_a_signal_ends_the_delay(stages, start, pspy, tmp_path):
    profiler = start([pspy, "record", "--delay-start", "3600", "-o", tmp_path / "x.txt", "-p", str(stages.pid)])
    wait_until(lambda: sigusr1_is_caught(profiler.pid), "its handlers")
    profiler.signal(signal.SIGINT)
    assert profiler.wait().status == 0


def sigusr1_is_caught(pid):
    """/proc says so: before that, the signal would end pspy."""
    with open(f"/proc/{pid}/status") as status:
        caught = re.search(r"^SigCgt:\s*(\w+)", status.read(), re.M)[1]
    return int(caught, 16) >> (signal.SIGUSR1 - 1) & 1


def said(profiler, words):
    return any(words in line for line in profiler.errors)


@pytest.mark.parametrize("name, first, second", [
    ("gs.txt", "gs.1.txt", "gs.2.txt"),
    ("gs.speedscope.json.gz", "gs.1.speedscope.json.gz", "gs.2.speedscope.json.gz"),
])
def test_snapshots(stages, start, pspy, tmp_path, name, first, second):
    """Each holds what was recorded until then, the last all; nothing else is left in the folder."""
    profiler = start([pspy, "record", "-s", "-r", "500", "-o", tmp_path / name, "-p", str(stages.pid)])
    wait_sampling(profiler.pid, stages.pid)
    profiler.signal(signal.SIGUSR1)
    wait_until(lambda: said(profiler, first), "the first snapshot")
    go_on(stages)
    assert stages.wait_json()["stage"] == "late"
    wait_sampling(profiler.pid, stages.pid)
    profiler.signal(signal.SIGUSR1)
    wait_until(lambda: said(profiler, second), "the second snapshot")
    go_on(stages)
    assert profiler.wait().status == 0
    assert sorted(os.listdir(tmp_path)) == sorted([name, first, second])
    texts = [read(tmp_path / file) for file in (first, second, name)]
    assert [re.search(r"\bearly\b", text) is not None for text in texts] == [True, True, True]
    assert [re.search(r"\blate\b", text) is not None for text in texts] == [False, True, True]
    if name.endswith(".txt"):
        counts = [sum(int(line.rsplit(" ", 1)[1]) for line in text.splitlines()) for text in texts]
        assert 0 < counts[0] < counts[1] <= counts[2]


def read(path):
    return gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()


def test_no_snapshot_into_a_pipe(stages, start, pspy):
    profiler = start([pspy, "record", "-f", "raw", "-o", "-", "-p", str(stages.pid)])
    wait_sampling(profiler.pid, stages.pid)
    profiler.signal(signal.SIGUSR1)
    wait_until(lambda: said(profiler, "no snapshot of '-': it is no regular file"), "the answer")
    go_on(stages)
    go_on(stages)
    done = profiler.wait()
    assert done.status == 0 and "early" in done.stdout


def ticks(stderr):
    found = re.search(r"in ([\d.]+) s; ([\d.]+) ticks a second", stderr)
    return float(found[1]) * float(found[2])


@pytest.mark.statistical
def test_max_overhead(run_pspy, tmp_path):
    """A limit that any rate exceeds leaves far less ticks than one that none does."""
    def record(limit):
        return run_pspy(["record", "-r", "1000", "--max-overhead", limit, "-o", tmp_path / "x.txt", "--", sys.executable, "-c",
                         SPIN, "3"], check=0).stderr

    low, high = record("0.01"), record("100")
    assert float(re.search(r"--max-overhead 0.01 lowered the rate, at the lowest to ([\d.]+) ticks a second", low)[1]) < 500
    assert "lowered the rate" not in high
    assert ticks(low) < ticks(high) / 2


SPINNERS = """
import json, os
for _ in range(8):
    if not os.fork(): break
else:
    print(json.dumps({}), flush=True)
while True: pass
"""


@pytest.mark.statistical
def test_duration_on_a_busy_machine(start_target, run_pspy, tmp_path):
    """Wall-clock time, with more spinning processes than processors: each tick that was due in it came or is counted."""
    spinners = start_target([sys.executable, "-c", SPINNERS])
    done = run_pspy(["record", "-d", "2", "-r", "200", "-o", tmp_path / "x.txt", "-p", str(spinners.pid)], check=0)
    seconds = float(re.search(r"in ([\d.]+) s;", done.stderr)[1])
    missed = re.search(r"(\d+) too late", done.stderr)
    due = ticks(done.stderr) + (int(missed[1]) if missed else 0)
    assert seconds >= 2
    assert abs(due - 400) <= 5 * 400 ** 0.5 * 0.3 + 5  # the intervals' spread is 0.29 of one


# Three generations; the youngest takes no notice of SIGTERM.
TREE = """
import json, os, signal, sys
read, write = os.pipe()
pids = [os.getpid()]
for generation in range(2):
    pid = os.fork()
    if pid: break
    pids.append(os.getpid())
if len(pids) == 3:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(json.dumps({"pids": pids}), flush=True)
while True: signal.pause()
"""


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_kill_ends_descendants(start_target, pspy, tmp_path):
    profiler = start_target([pspy, "record", "-s", "-i", "--kill", "-o", tmp_path / "x.txt", "--", sys.executable, "-c", TREE])
    profiler.signal(signal.SIGINT)
    assert profiler.wait().status == 128 + signal.SIGTERM
    assert [pid for pid in profiler.statement["pids"] if is_alive(pid)] == []


@pytest.mark.statistical
def test_nothing_is_replayed(stages, start, pspy, tmp_path):
    """While pspy stands still it samples nothing, and afterwards it does not make up for that: speedscope's time axis goes
    on, with nothing in the gap. (SIGSTOP may meet pspy while a thread stands still for it: not so with --nonblocking.)"""
    path = tmp_path / "x.speedscope.json"
    profiler = start([pspy, "record", "--nonblocking", "-r", "200", "-o", path, "-p", str(stages.pid)])
    wait_sampling(profiler.pid, stages.pid)
    profiler.signal(signal.SIGSTOP)
    stopped = time.monotonic()
    go_on(stages)
    assert stages.wait_json()["stage"] == "late"
    wait_until(lambda: time.monotonic() > stopped + 1, "a second")
    stood = time.monotonic() - stopped
    profiler.signal(signal.SIGCONT)
    wait_sampling(profiler.pid, stages.pid)
    go_on(stages)
    done = profiler.wait()
    data = json.loads(path.read_text())
    thread = max(data["profiles"], key=lambda profile: len(profile["samples"]))
    assert sum(thread["weights"]) == thread["endValue"] - thread["startValue"]
    gaps = [weight for stack, weight in zip(thread["samples"], thread["weights"]) if not stack]
    assert max(gaps) / 1e9 > stood - 0.2
    missed = int(re.search(r"(\d+) too late", done.stderr)[1])
    assert missed >= 0.5 * 200 * stood
