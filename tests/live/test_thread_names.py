# SPDX-License-Identifier: MIT
"""Threads' names, as each version's threading module has them."""
import json
import os
import subprocess

import pytest
from measure import record, show

# Runs under every version; TIDS tells the kernel's id of a thread also where Python does not know it (up to 3.7).
COMMON = r"""
from __future__ import print_function
import ctypes, json, os, sys, threading, time
old = sys.version_info[0] == 2
def kernel_id():
    return ctypes.CDLL(None).syscall(186 if os.uname()[4] == "x86_64" else 178)
def announce(**statement):
    print(json.dumps(dict(statement, pid=os.getpid())))
    sys.stdout.flush()
"""

NAMED = COMMON + r"""
tids, ready = {}, threading.Semaphore(0)
def work():
    tids[threading.current_thread()] = kernel_id()
    ready.release()
    time.sleep(3600)
class Named(threading.Thread):
    def __init__(self, name, how):
        threading.Thread.__init__(self, name=name)
        self.daemon = True
        if how == "many":
            for number in range(60):
                setattr(self, "attribute_%d" % number, number)
        elif how == "dict":
            self.seen = vars(self)
        elif how == "own":
            self.name_, self.__name, self._ident_ = "wrong", "wrong", 5
    def run(self):
        work()
class Slotted(Named):
    __slots__ = ("extra",)
class Odd(Named, dict):
    __hash__ = object.__hash__
names = ["plain", "a" * 60, "b" * 999, "semi:colon", "paren (x)", "", " ", "renamed"]
names += [b"gr\xc3\xb6\xc3\x9fe", b"\xff?"] if old else [u"gr\xf6\xdfe", u"\u65e5\u672c\u8a9e", u"\U0001f40d", u"\udcc3\udcb6", u"\ud800"]
threads = [Named(name, how) for name in names for how in ("plain", "many", "dict", "own")]
threads += [Slotted("slotted", "plain"), Odd("odd", "plain"), threading.Thread(target=work, name="bare")]
threads[-1].daemon = True
for thread in threads:
    thread.start()
for thread in threads:
    ready.acquire()
tids[threading.current_thread()] = kernel_id()
for thread in threads:
    if thread.name == "renamed":
        thread.name = "anew"
if old: # as no API of 2.7 lets one do
    threads[0]._Thread__name = u"\u65e5\U0001f40d"
said = []
for thread in tids:
    name = thread.name
    said.append([tids[thread], "points" if not isinstance(name, bytes) else "bytes",
                 [ord(c) for c in name] if not (old and thread is threads[0]) else [0x65e5, 0x1f40d]])
announce(said=said)
time.sleep(3600)
"""


def shown(kind, numbers):
    """As the folded stacks show a name; what is undecodable in Python is tried as UTF-8."""
    if kind == "bytes":
        text = bytes(numbers).decode("utf-8", "replace")
    else:
        text = "".join(map(chr, numbers)).encode("utf-8", "surrogatepass").decode("utf-8", "surrogatepass")
        text = text.replace("\ud800", "\ufffd").encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return text.replace(";", ":")


def test_names(start_target, run_pspy, every_python):
    """Whatever the characters, and wherever the attributes lie."""
    target = start_target([every_python, "-c", NAMED])
    recording = record(run_pspy, target.statement["pid"], "-t", "-i")
    wanted = {tid: shown(kind, numbers) for tid, kind, numbers in target.statement["said"]}
    found = dict(recording.by_thread.keys())
    assert len(wanted) > 30 and set(found) == set(wanted)
    # A thread without a name of its own gets the kernel's, which is no matter of Python's.
    assert {tid: name for tid, name in found.items() if wanted[tid].strip()} == \
           {tid: name for tid, name in wanted.items() if name.strip()}


CHURN = COMMON + r"""
functions = []
for number in range(8):
    text = "\n" * number + "def work_%d():\n  for _ in range(400): (lambda: [0 for _ in range(100)])()\n" % number
    scope = {}
    exec(compile(text, "work_%d.py" % number, "exec"), scope)
    functions.append(scope["work_%d" % number])
announce()
end = time.time() + 60
while time.time() < end:
    started = [threading.Thread(target=function, name="churn-%d" % number) for number, function in enumerate(functions)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
"""


def test_names_of_threads_that_come_and_go(start_target, run_pspy, every_python):
    """The next thread gets the memory of one that ended, its stack and so its ident, but never its name."""
    target = start_target([every_python, "-c", CHURN])
    recording = record(run_pspy, target.statement["pid"], "-t", "-i", "-r", "400", duration=1)
    works = 0
    for (_, name), stacks in recording.by_thread.items():
        for frames in stacks:
            work = {frame.name for frame in frames if frame.name.startswith("work_") and "." not in frame.name}
            works += len(work)
            if (name or "").startswith("churn-"):
                assert work <= {name.replace("churn-", "work_")}, (name, show(frames))
    assert works > 0


FORKED = COMMON + r"""
threads = [threading.Thread(target=time.sleep, args=(3600,), name="of the parent") for _ in range(3)]
def fork():
    threading.current_thread().name = "forking"
    if os.fork():
        time.sleep(3600)
    other = threading.Thread(target=time.sleep, args=(3600,), name="other")
    other.daemon = True
    other.start()
    announce(name=threading.current_thread().name)
    time.sleep(3600)
for thread in threads + [threading.Thread(target=fork)]:
    thread.daemon = True
    thread.start()
time.sleep(3600)
"""


def test_names_after_fork_in_a_thread(start_target, run_pspy, every_python):
    """The thread that forked is the child's first; its Thread object has the parent's kernel id up to 3.12."""
    target = start_target([every_python, "-c", FORKED])
    pid = target.statement["pid"]
    found = dict(record(run_pspy, pid, "-t", "-i").by_thread.keys())
    assert found.pop(pid) == target.statement["name"]
    assert list(found.values()) == ["other"]


CROWD = COMMON + r"""
import types
threading.stack_size(65536)
modules = sys.modules
module = modules.pop("threading")
for number in range(5000):
    modules["module_%d" % number] = types.ModuleType("module_%d" % number)
modules["threading"] = module
tids, ready = {}, threading.Semaphore(0)
def run(name):
    tids[name] = kernel_id()
    ready.release()
    time.sleep(3600)
for number in range(600):
    thread = threading.Thread(target=run, args=("crowd-%d" % number,), name="crowd-%d" % number)
    thread.daemon = True
    thread.start()
for number in range(600):
    ready.acquire()
announce(tids=tids)
time.sleep(3600)
"""


def test_names_of_many_threads(start_target, run_pspy, python):
    """More than are read at once, and a threading module behind 5,000 others."""
    target = start_target([python, "-c", CROWD], deadline=60)
    found = dict(record(run_pspy, target.statement["pid"], "-t", "-i", "-r", "10").by_thread.keys())
    del found[target.statement["pid"]]
    assert found == {tid: name for name, tid in target.statement["tids"].items()}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a namespace of processes")
def test_names_in_another_namespace_of_processes(start_target, run_pspy, every_python):
    """The target knows its threads by other ids than we do."""
    target = start_target(["unshare", "--fork", "--pid", "--mount-proc", "--kill-child", every_python, "-c", NAMED])
    children = subprocess.run(["pgrep", "-P", str(target.pid)], capture_output=True, text=True, check=True).stdout.split()
    recording = record(run_pspy, int(children[0]), "-t", "-i")
    names = sorted(name for tid, name in recording.by_thread if name and name.strip())
    stated = json.loads(json.dumps(target.statement["said"]))
    assert names and set(names) >= {shown(kind, numbers) for _, kind, numbers in stated if len(numbers) > 1}
