# SPDX-License-Identifier: MIT
"""Recordings (x.pspy): what convert, report, merge and diff make of them; pspy killed while it writes one."""
import collections
import gzip
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import time

import pytest

EXIT_PSPY = 125

PROGRAM = """
import os, sys, threading, time

def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        sum(range(100))

def work():
    burn(0.4)

thread = threading.Thread(target=work, name="worker")
thread.start()
work()
thread.join()
child = os.fork()
if child == 0:
    burn(0.3)
    os._exit(0)
os.waitpid(child, 0)
"""

SHARES = """
import sys, time

def burn_first(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end: pass
def burn_second(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end: pass
def burn_third(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end: pass

one, two, three = (float(word) for word in sys.argv[1:])
for turn in range(60):
    burn_first(one / 60); burn_second(two / 60); burn_third(three / 60)
"""


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


def folded(text):
    """Counts by stack, root first."""
    counts = collections.Counter()
    for line in text.splitlines():
        stack, count = line.rsplit(" ", 1)
        counts[tuple(stack.split(";"))] += int(count)
    return counts


@pytest.fixture
def convert(run_pspy):
    """convert(path, *options) -> folded stacks."""
    return lambda path, *options: folded(run_pspy(["convert", "-f", "raw", "-o", "-", *options, path], check=0).stdout)


# ---- one run, many pictures ----------------------------------------------------------------------------------------

@pytest.fixture
def recorded(run_pspy, program, tmp_path):
    run_pspy(["record", "-n", "-s", "-i", "-r", "250", "-o", tmp_path / "a.pspy", "-o", tmp_path / "a.txt",
              "-o", tmp_path / "a.speedscope.json", "-o", tmp_path / "a.svg", "--", "/usr/bin/python3", program], check=0)
    return tmp_path / "a.pspy"


def test_convert_gives_what_record_gave(run_pspy, convert, recorded, tmp_path):
    run_pspy(["convert", *(word for suffix in ("txt", "speedscope.json", "svg") for word in ("-o", tmp_path / f"b.{suffix}")),
              recorded], check=0)
    for suffix in ("txt", "speedscope.json", "svg"):
        assert (tmp_path / f"b.{suffix}").read_bytes() == (tmp_path / f"a.{suffix}").read_bytes()
    plain = folded((tmp_path / "a.txt").read_text())
    total = plain.total()
    assert total > 50 and len({stack[0] for stack in plain}) == 1 and any("process" in stack[1] for stack in plain)

    without_roots = collections.Counter()
    for stack, count in convert(recorded, "-t").items():
        assert sum(frame.startswith("thread (") for frame in stack) == 1
        without_roots[tuple(frame for frame in stack if not frame.startswith("thread ("))] += count
    assert without_roots == plain

    without_lines = collections.Counter()
    for stack, count in plain.items():
        without_lines[tuple(re.sub(r":\d+\)$", ")", frame) for frame in stack)] += count
    assert convert(recorded, "--nolineno") == without_lines

    states = convert(recorded, "--states")
    assert states.total() == total and any(stack[-1].startswith("[waiting") for stack in states)
    worker = convert(recorded, "-t", "--include", "thread=^worker$")
    assert worker and all(any(frame.endswith(": worker") for frame in stack) for stack in worker)
    assert convert(recorded, "--python-only").total() == convert(recorded, "--native-only").total() == total
    assert convert(recorded, "--to", "0.2").total() + convert(recorded, "--from", "0.2").total() == total
    functions = convert(recorded, "-F")
    assert functions.total() == total and {"burn (program.py:4)"} == {
        frame for stack in functions for frame in stack if frame.startswith("burn ")}


def test_own_files_are_read_again(pspy, run_pspy, recorded, tmp_path):
    plain = folded((tmp_path / "a.txt").read_text())
    packed = gzip.compress((tmp_path / "a.txt").read_bytes())
    done = subprocess.run([pspy, "convert", "-f", "raw", "-o", "-", "-"], input=packed, capture_output=True,
                          timeout=60, check=True)
    assert folded(done.stdout.decode()) == plain
    again = folded(run_pspy(["convert", "-f", "raw", "-o", "-", tmp_path / "a.speedscope.json"], check=0).stdout)
    assert sum(again.values()) == plain.total()


def test_report(run_pspy, recorded, tmp_path):
    text = run_pspy(["report", recorded], check=0).stdout
    assert max(map(len, text.splitlines())) <= 80 and "burn" in text
    report = json.loads(run_pspy(["report", "-f", "json", recorded], check=0).stdout)
    assert "pspy-report" in json.dumps(report["schema"] if "schema" in report else report)
    run_pspy(["report", "-f", "markdown", "-o", tmp_path / "r.md", recorded], check=0)
    assert "burn" in (tmp_path / "r.md").read_text()


def test_merge(run_pspy, convert, program, tmp_path):
    for name in ("one", "two"):
        run_pspy(["record", "-o", tmp_path / f"{name}.pspy", "--", "/usr/bin/python3", program], check=0)
    both = [convert(tmp_path / f"{name}.pspy") for name in ("one", "two")]
    run_pspy(["merge", "-o", tmp_path / "all.pspy", tmp_path / "one.pspy", tmp_path / "two.pspy"], check=0)
    merged = convert(tmp_path / "all.pspy")
    assert len({stack[0] for stack in merged}) == 2 and all("process" in stack[0] for stack in merged)
    without_roots = collections.Counter()
    for stack, count in merged.items():
        without_roots[stack[1:]] += count
    assert without_roots == both[0] + both[1]


# ---- what has changed ----------------------------------------------------------------------------------------------

@pytest.mark.statistical
def test_diff_of_known_shares(run_pspy, tmp_path):
    path = tmp_path / "shares.py"
    path.write_text(SHARES)
    for name, shares in (("before", ("2.8", "0.8", "0.4")), ("after", ("2.0", "1.6", "0.4"))):
        run_pspy(["record", "-r", "250", "-o", tmp_path / f"{name}.pspy", "--", "/usr/bin/python3", path, *shares], check=0)
    files = [tmp_path / "before.pspy", tmp_path / "after.pspy"]
    found = json.loads(run_pspy(["diff", "-f", "json", *files], check=0).stdout)
    text = run_pspy(["diff", *files], check=0).stdout
    marked = [line for line in text.splitlines() if line.startswith("*")]
    assert found and any("burn_first" in line for line in marked) and any("burn_second" in line for line in marked)
    assert not any("burn_third" in line for line in marked)
    run_pspy(["diff", "--fail-above", "10", *files], check=1)
    run_pspy(["diff", "--fail-above", "40", *files], check=0)
    run_pspy(["diff", "-o", tmp_path / "diff.svg", *files], check=0)
    assert "burn_second" in (tmp_path / "diff.svg").read_text()


def test_no_difference_from_itself(run_pspy, recorded):
    assert "No difference beyond the noise" in run_pspy(["diff", recorded, recorded], check=0).stdout


# ---- killed --------------------------------------------------------------------------------------------------------

SPINNER = """
int depth(int n) { volatile int i; for (i = 0; i < 1000000; i++) ; return n; }
int main(void) { int n = 0; for (;;) n = depth(n); }
"""


def wait_running(pid):
    """The process is not left stopped: it uses more CPU time. A stop would last, so that the deadline says so."""
    def ticks():
        return sum(int(field) for field in pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13])

    before, end = ticks(), time.monotonic() + 60
    while ticks() <= before:
        assert time.monotonic() < end, "it stands still"
        time.sleep(0.005)


def test_killed_at_any_moment(pspy, run_pspy, convert, tmp_path):
    seed = random.randrange(1 << 30)
    print("seed", seed)
    moments = random.Random(seed)
    (tmp_path / "spin.c").write_text(SPINNER)
    subprocess.run(["gcc", "-O1", "-o", tmp_path / "spin", tmp_path / "spin.c"], check=True)
    spinner = subprocess.Popen([tmp_path / "spin"])
    try:
        for turn in range(10):
            path = tmp_path / f"{turn}.pspy"
            started = time.monotonic()
            profiler = subprocess.Popen([pspy, "record", "-r", "200", "-o", path, "-p", str(spinner.pid)], stderr=subprocess.DEVNULL)
            while not path.exists():
                assert time.monotonic() < started + 60, "it hangs"
                time.sleep(0.001)
            time.sleep(moments.choice([0, moments.uniform(0, 3)]))
            profiler.kill()
            profiler.wait()
            done = run_pspy(["report", "-f", "json", path], check=0)
            assert "cut off" in done.stderr
            stacks = convert(path)
            assert not stacks or any("depth" in frame for stack in stacks for frame in stack)
            wait_running(spinner.pid)
    finally:
        spinner.kill()
        spinner.wait()


@pytest.mark.statistical
def test_killed_keeps_all_but_the_last_second(pspy, convert, tmp_path):
    path = tmp_path / "long.pspy"
    profiler = subprocess.Popen([pspy, "record", "-r", "100", "-o", path, "--", sys.executable, "-c", "while True: pass"],
                                stderr=subprocess.DEVNULL)
    time.sleep(4)  # of recording, not of waiting for something
    children = pathlib.Path(f"/proc/{profiler.pid}/task/{profiler.pid}/children").read_text().split()
    profiler.kill()
    profiler.wait()
    for child in children:
        os.kill(int(child), signal.SIGKILL)
    assert convert(path).total() > 200


# ---- bad input -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("content", [b"", b"\x89pspy\r\n\x1a", bytes(range(256)), b'{"$schema": 1}', b"\x1f\x8b\x08broken"])
def test_no_recording(run_pspy, tmp_path, content):
    path = tmp_path / "x.pspy"
    path.write_bytes(content)
    done = run_pspy(["report", path], check=EXIT_PSPY)
    assert not done.stdout and re.fullmatch(r"pspy: [^\n]+\n", done.stderr)


def test_output_is_input(run_pspy, recorded, tmp_path):
    before = recorded.read_bytes()
    (tmp_path / "link.pspy").symlink_to(recorded)
    done = run_pspy(["convert", "-o", tmp_path / "link.pspy", recorded], check=EXIT_PSPY)
    assert "is the file that is read" in done.stderr and recorded.read_bytes() == before


def test_packed_recording(run_pspy, recorded, tmp_path):
    (tmp_path / "x.pspy.gz").write_bytes(gzip.compress(recorded.read_bytes()))
    assert "gunzip" in run_pspy(["report", tmp_path / "x.pspy.gz"], check=EXIT_PSPY).stderr
