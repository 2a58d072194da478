# SPDX-License-Identifier: MIT
"""What no interpreter here shows: 3.14's and 3.15's free-threaded builds, whose threads run copies of the bytecode of their
own, and interpreters built with tail calls. made_up.c lays the memory of such a process out by CPython's headers and
says what is in it; pspy must read the same."""
import os
import re

import pytest
from conftest import MADE_PYTHONS, make_quietly
from measure import is_python, record

VERSIONS = ["3.14", "3.15"]
BUILDS = {"gil": [], "free-threaded": ["-DPy_GIL_DISABLED"]}


def make_up(repo, tmp_path, version, flags):
    """The path of the program."""
    include = MADE_PYTHONS / "sid/usr/include" / f"python{version}"
    if not (include / "internal/pycore_debug_offsets.h").exists():
        pytest.skip(f"no headers of CPython {version} here: see {MADE_PYTHONS}/missing")
    program = tmp_path / "made_up"
    make_quietly([*(os.environ.get("CC") or "cc").split(), "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-DNDEBUG", "-rdynamic",
                  *flags, "-isystem", str(include), "-isystem", f"{include}/internal",
                  "-idirafter", str(include.parent), "-pthread", "-o", str(program), str(repo / "tests/live/made_up.c")])
    return program


@pytest.fixture(params=[(version, build) for version in VERSIONS for build in BUILDS], ids="-".join)
def made_up(request, repo, tmp_path, start_target):
    """The running process."""
    version, build = request.param
    return start_target([make_up(repo, tmp_path, version, BUILDS[build])])


def ask(process, line):
    process.process.stdin.write(line + "\n")
    process.process.stdin.flush()
    return process.wait_json()


def compare(seen, truth):
    assert len(seen["threads"]) == len(truth["threads"])
    stated = {thread["tid"]: thread for thread in truth["threads"]}
    for thread in seen["threads"]:
        assert thread == stated[thread["tid"]]


@pytest.mark.parametrize("how", ["stopped", "running"])
def test_made_up_memory(made_up, start, build, how):
    reader = start([build / "tests/unit/print_stacks", str(made_up.pid)])
    truth = made_up.statement
    compare(ask(reader, how), truth)
    # Another index than those that the reader knows, and one that stands for another copy than before.
    changed = ask(made_up, "change")
    assert [frame["line"] for frame in changed["threads"][1]["frames"]] != [
        frame["line"] for frame in truth["threads"][1]["frames"]]
    compare(ask(reader, how), changed)


def stated_python(thread):
    return [(frame["name"], frame["line"]) for frame in reversed(thread["frames"])]


def check_native(frames, thread):
    """Each call's frames stand together, where its eval loop is called by call_c and calls it; no piece of it is seen."""
    names = [frame.name for frame in frames]
    expected = ["call_c"]
    for call in reversed(range(len(thread["anchors"]))):
        expected += [frame["name"] for frame in reversed(thread["frames"]) if frame["call"] == call] + ["call_c"]
    start = names.index("call_c")
    assert names[start:start + len(expected)] == expected
    assert not any(name.startswith(("_TAIL_CALL_", "_PyEval_")) for name in names), names


@pytest.mark.parametrize("options", [[], ["-n"]], ids=["plain", "native"])
def test_recorded(made_up, run_pspy, options):
    recording = record(run_pspy, made_up.pid, "-i", "-t", "--full-filenames", *options)
    seen = {tid: stacks for (tid, name), stacks in recording.by_thread.items()}
    named = {tid: name for tid, name in recording.by_thread}
    assert set(seen) == {thread["tid"] for thread in made_up.statement["threads"]}, recording.stderr
    for thread in made_up.statement["threads"]:
        assert named[thread["tid"]] == thread["name"]
        for frames in seen[thread["tid"]]:
            assert [(frame.name, frame.line) for frame in frames if is_python(frame)] == stated_python(thread)
            if options:
                check_native(frames, thread)


def test_links_in_a_circle(made_up, run_pspy):
    """They are no stack, however often they are read."""
    ask(made_up, "circle")
    recording = record(run_pspy, made_up.pid, "-i", "-t", "--full-filenames")
    right = made_up.statement["threads"][0]
    assert {tid for tid, _ in recording.by_thread} == {right["tid"]}
    assert all([(frame.name, frame.line) for frame in frames if is_python(frame)] == stated_python(right)
               for frames in recording.stacks)
    assert re.search(r"^pspy: lost: .*changed while read", recording.stderr, re.M), recording.stderr


@pytest.mark.parametrize("stated, is_newer", [("0x030f00f0", False), ("0x031000f0", True)], ids=["3.15", "3.16"])
def test_a_newer_version_is_tried_and_said(repo, tmp_path, start_target, run_pspy, stated, is_newer):
    """By 3.15's order of the offsets, which is what its runtime has."""
    target = start_target([make_up(repo, tmp_path, "3.15", [f"-DSTATED_VERSION={stated}"])])
    recording = record(run_pspy, target.pid, "-i", "-t", "--full-filenames")
    assert ("CPython 3.16.0 is newer than this pspy knows" in recording.stderr) == is_newer
    for thread in target.statement["threads"]:
        stacks = next(stacks for (tid, _), stacks in recording.by_thread.items() if tid == thread["tid"])
        for frames in stacks:
            assert [(frame.name, frame.line) for frame in frames if is_python(frame)] == stated_python(thread)
