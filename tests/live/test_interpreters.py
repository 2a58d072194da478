# SPDX-License-Identifier: MIT
"""Interpreters in unusual states: very deep, several in one process, starting, ending."""
import itertools
import os
import re
import subprocess

import pytest
from measure import is_python, launch, record, show

# What a program must have done before its stack is the one that stays.
SAY = """
import itertools, json, os, sys
def say(frame=None, **facts):
    depth = 0
    while frame is not None:
        depth += 1
        frame = frame.f_back
    sys.stdout.write(json.dumps(dict(facts, pid=os.getpid(), depth=depth)) + "\\n")
    sys.stdout.flush()
    return itertools.repeat(None)
"""


def names_of(frames):
    return [frame.name for frame in frames if is_python(frame)]


# ---- deep ----------------------------------------------------------------------------------------------------------

# Up to 3.10 each call needs some 500 bytes of the C stack (more in debug builds), and a thread's can be chosen.
DEEP = SAY + """
import threading
def deepest():
    for _ in say(sys._getframe()): pass
def dig(levels):
    if levels:
        dig(levels - 1)
    else:
        deepest()
levels = 50000
sys.setrecursionlimit(2 * levels)
threading.stack_size(64 << 20)
thread = threading.Thread(target=dig, args=(levels,))
thread.daemon = True
thread.start()
thread.join()
"""


def test_fifty_thousand_frames(start_target, run_pspy, every_python):
    target = start_target([every_python, "-c", DEEP])
    for duration in 0.5, 2, 8:  # the target may have to wait long for a CPU
        recording = record(run_pspy, target.pid, "-r", "50", duration=duration)
        if recording.samples:
            break
    assert recording.samples > 0 and not recording.incomplete, recording.stderr
    # A machine at work may be late; nothing else may be a reason.
    assert not re.search("lost: .*(?:torn|changed|unread|gone)", recording.stderr), recording.stderr
    for frames in recording.stacks:
        runs = [(name, len(list(run))) for name, run in itertools.groupby(names_of(frames))]
        if runs[-1][0] != "deepest":  # a sample of what came before, or of Python 2's main thread, which waits in Python code
            assert runs[-1][0] == "say" or every_python.minor < (3, 0) and runs[-1][0] == "wait"
            continue
        assert runs[-2:] == [("dig", 50001), ("deepest", 1)], runs
        assert len(frames) == target.statement["depth"]


# ---- several in one process ----------------------------------------------------------------------------------------

# Busy where each interpreter has its own GIL. Where they share one, 3.9 to 3.11 do not hand it over in time.
INTERPRETERS = """
import sys, threading, time
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
# Isolated ones have no threads of their own there.
options = {"isolated": False} if (3, 9) <= sys.version_info < (3, 12) else {}
def drive():
    interpreters.run_string(interpreters.create(**options), sys.argv[1])
def outside():
    while True: sys.version_info >= (3, 12) or time.sleep(3600)
thread = threading.Thread(target=drive, name="driver")
thread.daemon = True
thread.start()
outside()
"""
INSIDE = """
import json, os, sys, threading, time
import position
def stand(function):
    frames = position.frames_of(sys._getframe(1))
    os.write(1, (json.dumps({"tid": position.native_id(), "frames": [frame[0] for frame in frames]}) + "\\n").encode())
    return [1] if sys.version_info >= (3, 12) else [3600]
def inside():
    for seconds in stand("inside"):
        while True: seconds == 1 or time.sleep(seconds)
def second():
    for seconds in stand("second"):
        while True: seconds == 1 or time.sleep(seconds)
threading.Thread(target=second, name="worker").start()
inside()
"""


def short(name):
    return name.rpartition(".")[2]


def test_subinterpreters(start_target, run_pspy, repo, every_python):
    """Each thread shows what it runs in every interpreter, the outer one first, and its name in the outer one."""
    question = "import pkgutil, sys; print([m[1] for m in pkgutil.iter_modules()] + list(sys.builtin_module_names))"
    known = subprocess.run([every_python, "-c", question], capture_output=True, text=True, check=True).stdout
    if "'_interpreters'" not in known and "'_xxsubinterpreters'" not in known:
        pytest.skip(f"CPython {every_python.id} has no module that makes interpreters")
    target = start_target([every_python, "-c", INTERPRETERS, INSIDE],
                          env={**os.environ, "PYTHONPATH": str(repo / "sample_targets")})
    driver = ["_bootstrap", "_bootstrap_inner", "run", "drive"]
    stated = {target.pid: ["<module>", "outside"]}
    for statement in target.statement, target.wait_json():
        is_second = statement["frames"][-1] == "second"
        stated[statement["tid"]] = statement["frames"] if is_second else driver + statement["frames"]
    for options in ["-i"], ["-i", "--nonblocking"], ["-i", "-n"]:
        recording = record(run_pspy, target.pid, "-t", *options)
        # Two interpreters' frames of one running thread are not read at one moment: without a stop they may be lost.
        missing = set(stated) - {tid for tid, _ in recording.by_thread}
        assert not missing or "--nonblocking" in options and "changed while read" in recording.stderr, recording.stderr
        for (tid, name), stacks in recording.by_thread.items():
            for frames in stacks:
                found = [short(name) for name in names_of(frames)]
                if tid == target.pid and found[1:2] == ["start"]:
                    continue  # a starved main thread has not heard yet that the other one runs
                assert found[:len(stated[tid])] == stated[tid], f"{options} {name}: {show(frames)}"
                assert set(found[len(stated[tid]):]) <= {"stand", "frames_of", "native_id"}
        names = {name for _, name in recording.by_thread}
        assert names == {"MainThread", "driver", "worker"} or missing, names


# ---- starting and ending -------------------------------------------------------------------------------------------

BURN = """
import atexit, time
clock = getattr(time, "process_time", None) or time.clock
def burn(seconds, clock=clock):
    end = clock() + seconds
    while clock() < end: pass
"""
ENDING = BURN + """
class Last(object):
    def __del__(self, burn=burn):
        burn(0.3)
def at_end():
    burn(0.3)
atexit.register(at_end)
last = Last()
"""


@pytest.mark.statistical
def test_ending(run_pspy, every_python):
    """A handler at the exit, and an object that fades with its module, when the interpreter is half gone."""
    recording = launch(run_pspy, [every_python, "-c", ENDING])
    ends = {tuple(names_of(frames)[-2:]) for frames in recording.stacks}
    fading = "Last.__del__" if every_python.minor >= (3, 11) else "__del__"
    assert {("at_end", "burn"), (fading, "burn")} <= ends, ends


STARTING = BURN + """
def in_program():
    burn(1)
in_program()
"""


@pytest.mark.statistical
def test_attached_at_once(start, run_pspy, every_python):
    """A process that is not even a Python yet becomes one while it is recorded."""
    process = start([every_python, "-c", STARTING])
    recording = record(run_pspy, process.pid, duration="unlimited")  # it ends by itself
    names = {tuple(names_of(frames)) for frames in recording.stacks}
    assert ("<module>", "in_program", "burn") in names, names
