# SPDX-License-Identifier: MIT
"""Which threads are sampled, under which name, and that no thread shows another one's stack."""
import os

import pytest
from measure import record, settled, show, stated_python


@pytest.fixture
def threads_py(start_target, repo):
    return lambda python, *arguments: start_target([python, repo / "sample_targets/stack_py.py", *arguments])


def check_threads(recording, statement):
    """Each thread under its kernel id and Python's name, with its own stack only. Returns the ids seen."""
    stated = {(thread["tid"], thread["name"]): stated_python(thread) for thread in statement["threads"]}
    assert recording.by_thread, recording.stderr
    for thread, stacks in recording.by_thread.items():
        assert thread in stated, f"{thread} is not among {list(stated)}"
        for frames in stacks:
            assert settled(frames) == stated[thread], show(frames)
    assert not recording.incomplete, recording.stderr
    return {tid for tid, _ in recording.by_thread}


def test_idle_threads(threads_py, run_pspy, every_python):
    target = threads_py(every_python, "--idle", "--threads", "5")
    for options in [], ["--nonblocking"]:
        seen = check_threads(record(run_pspy, target.pid, "-t", "-i", *options, duration=0.2), target.statement)
        assert seen == {thread["tid"] for thread in target.statement["threads"]}


@pytest.mark.statistical
def test_busy_threads(threads_py, run_pspy, every_python):
    """Where they share a GIL one runs at any moment, and the others mostly wait for it."""
    target = threads_py(every_python, "--threads", "3")
    check_threads(record(run_pspy, target.pid, "-t"), target.statement)
    for options in [], ["--nonblocking"]:
        seen = check_threads(record(run_pspy, target.pid, "-t", "-i", *options), target.statement)
        assert seen == {thread["tid"] for thread in target.statement["threads"]}


def test_without_t_no_thread_is_named(threads_py, run_pspy, python):
    target = threads_py(python, "--idle", "--threads", "2")
    recording = record(run_pspy, target.pid, "-i")
    assert not recording.by_thread
    assert {tuple(stated_python(thread)) for thread in target.statement["threads"]} == set(recording.stacks)


# ---- -g ------------------------------------------------------------------------------------------------------------

ONE_BUSY = """
import threading, time, os, sys, json, itertools
import position
position.leave_when_asked(60)
def sleeper():
    time.sleep(3600)
def holder():
    for _ in stated(sys._getframe()): pass
def stated(frame):
    position.announce("inline", [position.describe_thread(position.frames_of(frame), "busy")])
    return itertools.repeat(None)
for number in range(3):
    threading.Thread(target=sleeper, name=f"sleeper-{number}", daemon=True).start()
holder()
"""


def test_gil_holder_only(start_target, run_pspy, repo, python):
    target = start_target([python, "-c", ONE_BUSY], env={**os.environ, "PYTHONPATH": str(repo / "sample_targets")})
    recording = record(run_pspy, target.pid, "-g", "-i", "-t")
    assert check_threads(recording, target.statement) == {target.pid}


@pytest.mark.statistical
def test_gil_one_thread_a_tick(threads_py, run_pspy, python):
    target = threads_py(python, "--threads", "3")
    recording = record(run_pspy, target.pid, "-g", "-i", "-t", duration=1)
    check_threads(recording, target.statement)
    # Three threads want it. Between the looks at two of them it may be handed over.
    assert recording.samples <= 1.2 * recording.ticks + 1, recording.stderr


def test_gil_released(start_target, run_pspy, repo, python):
    """A thread that computes without the GIL is running, but no holder."""
    target = start_target([python, repo / "sample_targets/stack_mixed.py", "--release-gil"],
                          env={**os.environ, "PYTHONPATH": str(python.extensions())})
    recording = record(run_pspy, target.pid, "-g")
    assert recording.samples == 0
    assert "no thread was met holding the GIL" in recording.stderr
    assert record(run_pspy, target.pid).samples > 0


# ---- threads that come and go, and names ---------------------------------------------------------------------------

CHURN = """
import json, os, threading, time
# Each thread has the number in its name, its function's name and its loop's line in common.
functions = []
for number in range(8):
    text = "\\n" * number + f"def work_{number}():\\n  for _ in range(40000): pass\\n"
    scope = {}
    exec(compile(text, f"work_{number}.py", "exec"), scope)
    functions.append(scope[f"work_{number}"])
print(json.dumps({"pid": os.getpid()}), flush=True)
while True:
    started = [threading.Thread(target=function, name=f"churn-{number}") for number, function in enumerate(functions)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
"""


@pytest.mark.parametrize("options", [[], ["-n"], ["--nonblocking"]], ids=["stopped", "native", "nonblocking"])
def test_threads_that_come_and_go(start_target, run_pspy, python, options):
    """A thread state's memory and a kernel id are used again by the next thread."""
    target = start_target([python, "-c", CHURN])
    for duration in 0.7, 3, 9:  # on a busy machine few samples come
        recording = record(run_pspy, target.pid, "-t", "-i", "-r", "400", *options, duration=duration)
        seen = check_workers(recording, target.pid)
        if seen:
            break
    assert seen > 0, recording.stderr


def check_workers(recording, pid):
    """How many samples are of the functions, each under its own file, line and thread's name."""
    seen = 0
    for (tid, name), stacks in recording.by_thread.items():
        name = name or ""
        for frames, count in stacks.items():
            work = [frame for frame in frames if frame.name.startswith("work_")]
            assert len(work) <= 1, show(frames)
            assert (tid == pid) == (frames[0].name not in ("Thread._bootstrap", "clone3")) or not work
            for frame in work:
                number = int(frame.name.rpartition("_")[2])
                assert frame.file == f"work_{number}.py" and frame.line in (number + 1, number + 2), show(frames)
                # Threads that were over before their names were read have none, or the kernel's.
                is_named = name.startswith("churn")
                assert not is_named or frame.name == name.replace("churn-", "work_"), (name, show(frames))
                seen += count
    return seen


FORKED = """
import json, os, position, sys, itertools, threading
def stated(frame):
    position.announce("inline", [position.describe_thread(position.frames_of(frame), "busy")])
    return itertools.repeat(None)
def child():
    for _ in stated(sys._getframe()): pass
position.leave_when_asked(60)
if os.fork():
    os.wait()
else:
    child()
"""


def test_name_after_fork(start_target, run_pspy, repo, every_python):
    """Up to 3.12 the Thread object of a forked child has its parent's kernel id."""
    target = start_target([every_python, "-c", FORKED], env={**os.environ, "PYTHONPATH": str(repo / "sample_targets")})
    recording = record(run_pspy, target.statement["pid"], "-t")
    assert check_threads(recording, target.statement) == {target.statement["pid"]}


RENAMED = """# -*- coding: utf-8 -*-
import threading, time, json, os, sys
import position
class Named(threading.Thread):
    __slots__ = ("extra",)
    def __init__(self, name):
        threading.Thread.__init__(self, name=name)
        self.extra = 1
        for number in range(40):
            setattr(self, "attribute_%d" % number, number)
    def run(self):
        nap()
def nap():
    ids[threading.current_thread()] = position.native_id()
    time.sleep(3600)
ids = {threading.current_thread(): position.native_id()}
names = ["plain", "größe", "日本語", "🐍", "a" * 60, "semi;colon", "tab\\tname", "paren (x)"]
threads = [Named(name) for name in names]
threads += [threading.Thread(target=nap, name=name + "-2") for name in names]
for thread in threads:
    thread.daemon = True
    thread.start()
while len(ids) <= len(threads):
    time.sleep(0.01)
threads[0].name = "renamed"
sys.stdout.write(json.dumps({"names": {tid: thread.name for thread, tid in ids.items()}}) + "\\n")
sys.stdout.flush()
position.leave_when_asked(60)
time.sleep(3600)
"""


def test_names(start_target, run_pspy, repo, tmp_path, every_python):
    """As threading has them, whatever the characters and whether attributes lie in a dict or in the object."""
    (tmp_path / "renamed.py").write_text(RENAMED, encoding="utf-8")
    target = start_target([every_python, tmp_path / "renamed.py"],
                          env={**os.environ, "PYTHONPATH": str(repo / "sample_targets")})
    recording = record(run_pspy, target.pid, "-t", "-i")
    found = dict(recording.by_thread.keys())
    wanted = {int(tid): name.replace(";", ":").replace("\t", " ") for tid, name in target.statement["names"].items()}
    assert found == wanted
