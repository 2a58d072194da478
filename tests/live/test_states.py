# SPDX-License-Identifier: MIT
"""What each thread does at a sample: runs, holds the GIL, waits for it, waits for something else, collects garbage."""
import collections
import json
import math
import os
import re
import time

import pytest
from conftest import PATIENCE
from measure import record, show

# The main thread holds the GIL for good: `in` of an endless iterator runs no bytecode and looks at no signal.
HOLDER = """
import ctypes, itertools, json, os, sys, threading, time
kernel_id = ctypes.CDLL(None).syscall
ids = {}
def wants_the_gil():
    ids["waiting"] = kernel_id(186)
    while True:
        time.sleep(0.001)
def needs_none():
    ids["idle"] = kernel_id(186)
    os.read(os.pipe()[0], 1)
for function in wants_the_gil, needs_none:
    thread = threading.Thread(target=function)
    thread.daemon = True
    thread.start()
while len(ids) < 2:
    time.sleep(0.001)
def blocks_in_read():
    with open("/proc/self/task/%d/syscall" % ids["idle"]) as file:
        return file.read().split()[0] == "0"
while not blocks_in_read():
    time.sleep(0.001)
ids["holding"] = os.getpid()
sys.stdout.write(json.dumps(ids) + "\\n")
sys.stdout.flush()
1 in itertools.repeat(0)
"""


def system_call(pid, tid):
    with open(f"/proc/{pid}/task/{tid}/syscall", encoding="ascii") as file:
        return file.read().split()[0]


def wait_for(condition):
    end = time.monotonic() + 30 * PATIENCE
    while not condition():
        assert time.monotonic() < end, "the target never came into position"
        time.sleep(0.001)


def is_free_threaded(python):
    return python.id.endswith("t")


@pytest.fixture
def holder(start_target, every_python):
    target = start_target([every_python, "-c", HOLDER])
    if not is_free_threaded(every_python):
        futex = "202"
        wait_for(lambda: system_call(target.pid, target.pid) == "running"
                 and system_call(target.pid, target.statement["waiting"]) == futex)
    return target


def functions_by_thread(recording):
    return {tid: {frames[-1].name for frames in stacks} for (tid, _), stacks in recording.by_thread.items()}


@pytest.mark.statistical
def test_threads_states(holder, run_pspy, every_python):
    recording = record(run_pspy, holder.pid, "-i", "-t", duration=0.5)
    found = re.search(r"threads: (\d+) running and (\d+) waiting for a CPU \((\d+) of them with the GIL\), "
                      r"(\d+) waiting for the GIL, (\d+) idle", recording.stderr)
    running, ready, holding, waiting, idle = map(int, found.groups())
    running += ready
    counts = {tid: sum(stacks.values()) for (tid, _), stacks in recording.by_thread.items()}
    assert functions_by_thread(recording) == {holder.statement["holding"]: {"<module>"},
                                              holder.statement["waiting"]: {"wants_the_gil"},
                                              holder.statement["idle"]: {"needs_none"}}
    assert idle >= counts[holder.statement["idle"]] > 0
    if is_free_threaded(every_python):
        assert waiting == 0
        return
    assert holding == counts[holder.statement["holding"]]
    # Every 5 ms the waiting thread runs for a moment, to ask for the GIL once more; on a busy machine it waits for a CPU then,
    # and may do so for most of the time.
    assert waiting + running - holding == counts[holder.statement["waiting"]] < 20 * waiting
    assert idle == counts[holder.statement["idle"]]


@pytest.mark.parametrize("options", [[], ["-i"], ["-n"]], ids=["running", "idle too", "native"])
def test_only_the_holder(holder, run_pspy, every_python, options):
    recording = record(run_pspy, holder.pid, "-g", "-t", *options, duration=0.4)
    tids = {tid for tid, _ in recording.by_thread}
    if is_free_threaded(every_python):  # all that may run Python code
        assert holder.statement["holding"] in tids and holder.statement["idle"] not in tids
    else:
        assert tids == {holder.statement["holding"]}


COLLECTOR = """
import gc, json, sys, time
clock = getattr(time, "perf_counter", time.time)
keep = [[number] for number in range(200000)]
def other(seconds):
    end = clock() + seconds
    while clock() < end:
        pass
def main(seconds):
    begin, collecting = clock(), 0.0
    while clock() - begin < seconds:
        start = clock()
        gc.collect()
        spent = clock() - start
        collecting += spent
        other(spent)
    sys.stdout.write(json.dumps({"share": collecting / (clock() - begin)}) + "\\n")
gc.disable()
main(1.0)
"""


@pytest.mark.statistical
def test_garbage_collection(run_pspy, every_python, tmp_path):
    """`<GC>` stands behind the function that set it off, for as long as it took."""
    path = tmp_path / "profile.txt"
    done = run_pspy(["record", "-r", "400", "-f", "raw", "-o", path, "--", every_python, "-c", COLLECTOR], check=0)
    share = json.loads(done.stdout.splitlines()[-1])["share"]
    inside = outside = 0
    for line in path.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        if ";main (<string>" not in stack:
            continue
        if "<GC>" in stack:
            assert re.search(r";main \([^;]*\);<GC>$", stack), stack
            inside += int(count)
        else:
            outside += int(count)
    samples = inside + outside
    assert samples >= 50, done.stderr
    # The flag is set a little after the call of gc.collect and taken back a little before its end.
    tolerance = 5 * math.sqrt(share * (1 - share) / samples) + 0.03
    assert abs(inside / samples - share) <= tolerance, f"{inside} of {samples}, stated {share:.3f}"


COLUMNS = """
import json, sys
def spin(): return [number for number in range(1000)]
def both(): return (spin(),     spin())
print(json.dumps({}), flush=True)
while True: both()
"""


def test_columns(start_target, run_pspy, python, tmp_path):
    """Which call of a line runs: the columns are those of the source."""
    program = tmp_path / "columns.py"
    program.write_text(COLUMNS)
    target = start_target([python, program])
    line = COLUMNS.splitlines()[3]
    first = line.index("spin()") + 1
    wanted, seen = {str(first), str(line.index("spin()", first) + 1)}, set()
    for duration in "0.7", "3", "9":  # on a busy machine few samples come
        done = run_pspy(["record", "-p", str(target.pid), "-d", duration, "--columns", "-f", "raw", "-o", "-"], check=0)
        seen |= set(re.findall(r";both \(columns\.py:4:(\d+)\);spin", done.stdout))
        if seen >= wanted:
            break
    assert seen == wanted
    assert ":4:" not in run_pspy(["record", "-p", str(target.pid), "-d", "0.3", "-f", "raw", "-o", "-"], check=0).stdout


DEEP = """
import json, sys
sys.setrecursionlimit(10000)
def leaf():
    print(json.dumps({}), flush=True)
    while True: pass
def down(n):
    leaf() if n == 0 else down(n - 1)
down(600)
"""


@pytest.mark.parametrize("limit", [2, 3, 10, 601, 602, 603, 604])
def test_depth_limit(start_target, run_pspy, tmp_path, limit):
    """The stack is <module>, 601 times down, leaf: 603 frames."""
    program = tmp_path / "deep.py"
    program.write_text(DEEP)
    target = start_target([os.environ.get("PYTHON") or "/usr/bin/python3", program])
    recording = record(run_pspy, target.pid, "--max-depth", str(limit), duration=0.2)
    assert recording.samples
    for frames in recording.stacks:
        names = [frame.name for frame in frames]
        whole = ["<module>"] + ["down"] * 601 + ["leaf"]
        wanted = whole if limit >= 603 else [*whole[:limit // 2], "[frames left out]", *whole[limit // 2 - limit:]]
        assert names == wanted, show(frames)
    assert ("truncated" in recording.incomplete) == (limit < 603)


@pytest.mark.statistical
def test_waits_are_named(holder, run_pspy, every_python):
    """Innermost frames of waiting threads; one that runs has none."""
    recording = record(run_pspy, holder.pid, "-i", "-t", "--states", duration=0.5)
    names = functions_by_thread(recording)
    assert names[holder.statement["idle"]] == {"[waiting in read]"}
    assert names[holder.statement["holding"]] <= {"<module>", "[waiting for a CPU]"}
    if not is_free_threaded(every_python):
        assert "[waiting for the GIL]" in names[holder.statement["waiting"]]
        assert names[holder.statement["waiting"]] <= {"[waiting for the GIL]", "wants_the_gil", "[waiting for a CPU]",
                                                      "[running in futex]"}


WAITS = {"pipe": "[waiting in read]", "poll": "[waiting in poll]", "lock": "[waiting in futex]",
         "sleeps": "[waiting in clock_nanosleep]", "half": "[waiting in clock_nanosleep]"}


def states_of(path):
    """{tid: [(state, seconds)]} of a speedscope file that was recorded with --states."""
    data = json.loads(path.read_text())
    names = [frame["name"] for frame in data["shared"]["frames"]]
    found = {}
    for profile in data["profiles"]:
        tid = int(re.search(r"Thread (\d+)", profile["name"])[1])
        leaves = (names[stack[-1]] if stack else None for stack in profile["samples"])
        found[tid] = [("running" if leaf[0] != "[" else leaf, weight / 1e9)
                      for leaf, weight in zip(leaves, profile["weights"]) if leaf]
    return found


def check_split(states, stderr):
    """The summary's percentages are those of the samples."""
    def kind(name):  # "running", "[running in read]", "[waiting]", "[waiting in read]"
        return "waiting" if name.startswith("[waiting") else "system calls" if name.startswith("[") else "native"

    seconds = collections.Counter()
    for samples in states.values():
        for name, weight in samples:
            seconds[kind(name)] += weight
    split = {name: float(share) for name, share in re.findall(
        r"([\w ]+) ([\d.]+) %", re.search(r"^pspy: time: (.*)", stderr, re.M)[1].replace(", ", ","))}
    assert split.keys() == seconds.keys()
    for name, share in split.items():
        assert abs(share - 100 * seconds[name] / sum(seconds.values())) < 0.1


Lifetime = collections.namedtuple("Lifetime", "seconds longest")  # longest: step from one sample to the next


def lifetimes_of(path):
    """{tid: from its first sample on, gaps included}"""
    found = {}
    for profile in json.loads(path.read_text())["profiles"]:
        weights = list(profile["weights"])
        while not profile["samples"][len(profile["weights"]) - len(weights)]:
            weights.pop(0)
        found[int(re.search(r"Thread (\d+)", profile["name"])[1])] = Lifetime(sum(weights) / 1e9, max(weights) / 1e9)
    return found


def check_share(samples, holds, wanted, why):
    weights = [weight for _, weight in samples]
    size = sum(weights) ** 2 / sum(weight ** 2 for weight in weights)  # of as many equal ones
    seen = sum(weight for name, weight in samples if holds(name)) / sum(weights)
    tolerance = 5 * math.sqrt(max(wanted * (1 - wanted), 0.01) / size) + 2 / size
    assert abs(seen - wanted) <= tolerance, f"{seen:.3f} of {len(samples)} samples, stated {wanted:.3f}: {why}"


@pytest.mark.statistical
def test_where_time_goes(run_pspy, build, tmp_path):
    """Threads of which each does another thing, by what the kernel says to them themselves."""
    path = tmp_path / "profile.speedscope.json"
    done = run_pspy(["record", "-i", "-r", "250", "--states", "-o", path, "--", build / "sample_targets/states"], check=0)
    states = states_of(path)
    lifetimes = lifetimes_of(path)
    threads = json.loads(done.stdout)["threads"]
    for thread in threads:
        samples = states[thread["tid"]]
        names = {name for name, _ in samples}
        lives = lifetimes[thread["tid"]]
        assert abs(lives.seconds - thread["wall"]) <= 2 * lives.longest + 0.01, (lives, thread)
        check_share(samples, lambda name: name == "[waiting for a CPU]", thread["ready"] / thread["wall"], thread)
        if thread["name"] in WAITS:  # a sleep goes on under another number after a stop
            assert {name for name in names if name.startswith("[waiting in ")} <= {
                WAITS[thread["name"]], "[waiting in restart_syscall]"}
        if thread["name"] == "kernel":
            check_share(samples, lambda name: name == "[running in read]", thread["system"] / thread["wall"], thread)
        check_share(samples, lambda name: "running" in name, (thread["user"] + thread["system"]) / thread["wall"], thread)
    check_split(states, done.stderr)
    told = {name: float(seconds) for seconds, name in re.findall(
        r"([\d.]+) s (user|system|waiting for a CPU)", re.search(r"^pspy: CPU time: (.*)", done.stderr, re.M)[1])}
    for name, key in ("user", "user"), ("system", "system"), ("waiting for a CPU", "ready"):
        stated = sum(thread[key] for thread in threads)
        assert 0.8 * stated - 0.2 <= told[name] <= stated + 0.1, (name, told, threads)  # less: after the last tick
