# SPDX-License-Identifier: MIT
"""perf map files: CPython's trampolines between its functions, and a program that writes a map of its own code."""
import os
import re
import shutil

import pytest
from measure import python_frames, record, settled, show, stated_python

FIRST_WITH_TRAMPOLINES = (3, 12)


@pytest.fixture
def without_map():
    """Removes the maps of the processes that are named to it: they outlive them."""
    pids = []
    yield pids.append
    for pid in pids:
        try:
            os.unlink(f"/tmp/perf-{pid}.map")
        except FileNotFoundError:
            pass


def test_trampolines_are_walked_and_not_shown(start_target, run_pspy, repo, every_python, without_map):
    """-X perf: the target's stack, the way to the root through a trampoline at each function, and none of them shown."""
    if every_python.minor < FIRST_WITH_TRAMPOLINES:
        pytest.skip("has no trampolines")
    target = start_target([every_python, "-X", "perf", repo / "sample_targets" / "stack_py.py"])
    without_map(target.pid)
    root = every_python.root
    with open(f"/proc/{target.pid}/root/tmp/perf-{target.pid}.map", encoding="utf-8") as lines:
        assert any(" py::" in line for line in lines)
    for duration in 0.3, 2, 8:  # the target may have to wait long for a CPU
        recording = record(run_pspy, target.pid, "-n", "--native-all", duration=duration)
        if recording.samples:
            break
    assert recording.samples > 0 and not recording.incomplete, recording.stderr
    wanted = stated_python(target.statement["threads"][0], root)
    for frames in recording.stacks:
        assert frames[0].name == "_start", show(frames)
        assert settled(python_frames(frames))[:len(wanted) - 1] == wanted[:-1], show(frames)
        assert not [frame for frame in frames if frame.name.startswith("py::")], show(frames)


NODE = """
function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
for (let i = 0; i < 200; i++) fib(15);
console.log(JSON.stringify({pid: process.pid}));
process.stdin.on("end", () => process.exit(0)).resume();
(function work() { for (let i = 0; i < 20; i++) fib(20); setImmediate(work); })();
"""


@pytest.mark.statistical
def test_names_of_a_runtimes_own_code(start_target, run_pspy, tmp_path, without_map):
    """node says the names of what it compiled; its machine code has no tables, so the callers are guessed, and counted so."""
    node = shutil.which("node") or pytest.skip("no node here")
    program = tmp_path / "program.js"
    program.write_text(NODE)
    target = start_target([node, "--perf-basic-prof", program], cwd=tmp_path)
    without_map(target.pid)
    for duration in 0.5, 2, 8:  # the target may have to wait long for a CPU
        recording = record(run_pspy, target.pid, "-n", duration=duration)
        if recording.samples > 10:
            break
    assert recording.samples > 10, recording.stderr
    named = sum(count for name, count in recording.self_samples().items() if re.match(rf"(?:JS|LazyCompile):\W?fib {program}:2", name))
    assert named > 0.7 * recording.samples, recording.self_samples()
