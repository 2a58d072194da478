# SPDX-License-Identifier: MIT
"""Whatever pspy reads of an interpreter, it neither crashes nor loops, and takes no more than a bounded number of reads
and bytes (fuzz_python.c has the bounds and says which round failed)."""
import glob
import json
import os
import pathlib
import re
import subprocess
import time

ROUNDS = 200 if os.environ.get("SAN") else 600
DEADLINE = 900


def fuzz(build, pid, seed, rounds=ROUNDS):
    done = subprocess.run([build / "tests/fuzz/fuzz_python", str(pid), str(seed), str(rounds)],
                          capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 0, f"seed {seed}: {done.stderr[-4000:]}"
    return json.loads(done.stdout)


def switches(pid):
    """How often each thread gave up or lost its CPU; None while one of them wants to run."""
    found = []
    for path in sorted(glob.glob(f"/proc/{pid}/task/*/status")):
        text = pathlib.Path(path).read_text()
        if not re.search(r"^State:\s+S", text, re.M):
            return None
        found.append((path, *re.findall(r"ctxt_switches:\s+(\d+)", text)))
    return found


def wait_blocked(pid, deadline=60):
    """Until no thread has run for longer than any waits for the GIL before it asks again (5 ms)."""
    end, last = time.monotonic() + deadline, None
    while time.monotonic() < end:
        now = switches(pid)
        if now and now == last:
            return
        last = now
        time.sleep(0.05)
    raise AssertionError(f"process {pid} does not come to rest")


def test_damaged_memory(every_python, repo, build, start_target):
    target = start_target([every_python, repo / "tests/fuzz/target.py"])
    wait_blocked(target.pid)
    results = fuzz(build, target.pid, 1)
    assert results["rounds"] == ROUNDS
    check_undamaged(results["clean"], every_python.minor)
    # The damage reaches all that it is meant to reach.
    for what in "root", "unreadable", "torn", "known", "unknown", "opened", "healed":
        assert results[what] > 0, what
    assert results["opened"] < results["openings"]


def check_undamaged(sample, minor):
    """Without damage all is found: else the rest would show nothing."""
    lines = sample.splitlines()
    functions = [line.rpartition("target.py:")[0].split()[0].rpartition(".")[2] for line in lines if "target.py:" in line]
    assert functions.count("recurse") == 901
    assert functions.count("generate") == 31
    assert functions.count("call_back") == functions.count("__lt__") + 1 == 21
    assert any(line.startswith("long_" * 300) for line in lines)
    assert {"MainThread", "plain", "last", "np.add<f4>", "np.add<f8>"} <= set(lines)
    assert minor < (3, 0) or any(line.startswith("grüße_你好 ") for line in lines)
