# SPDX-License-Identifier: MIT
"""--include and --exclude, against what Python's `re` makes of the stacks and names that a target states."""
import json
import os
import re
import subprocess

import pytest
from measure import record, settled, show, stated_python

pytestmark = pytest.mark.parallel  # they hardly compute

EXIT_PSPY = 125
LEFT_OUT = re.compile(r"^pspy: left out by --include and --exclude: (\d+) of (\d+) samples$", re.M)

# Four threads that wait, each in functions of its own, in two files.
MAIN = """
import sys, threading
import position, station

def read(): fetch()
def fetch(): station.wait(sys._getframe())
def compute():
    for _ in station.stated(sys._getframe()): station.closed.acquire()

position.leave_when_asked(120)
for name, work in [("reader-1", read), ("reader-2", fetch), ("Gr\\u00f6\\u00dfe", compute)]:
    threading.Thread(target=work, name=name, daemon=True).start()
station.lead(3)
"""
STATION = """
import sys, threading
import position

others, arrived, closed = [], threading.Semaphore(0), threading.Lock()
closed.acquire()

def stated(frame):
    others.append(position.describe_thread(position.frames_of(frame), "idle"))
    arrived.release()
    return [None]

def wait(_caller):
    for _ in stated(sys._getframe()): closed.acquire()

def lead(count):
    for _ in range(count): arrived.acquire()
    for _ in announce(sys._getframe()): closed.acquire()

def announce(frame):
    me = position.describe_thread(position.frames_of(frame), "idle")
    position.announce("filters", [me] + others)
    return [None]
"""

RULES = [
    [],
    ["+thread=^reader"],
    ["-thread=reader"],
    ["+thread=1$"],
    ["+thread=^Gr..e$"],
    ["+thread=^(reader-2|MainThread)$"],
    ["+function=^read$"],
    ["+function=^(fetch|lead)$"],
    ["+function=fetch", "-function=^read$"],
    ["+function=^read$", "+function=^compute$"],
    ["+function=^compute$", "+thread=reader"],
    ["+module=/station[.]py$"],
    ["-module=/station[.]py$"],
    ["+module=/threading[.]py$", "-thread=1"],
    ["+module=/main[.]py$", "+function=[^o]wait|fetch", "-thread=2"],
    ["+function=main[.]py"],
    ["+thread=a|e", "+module=.", "+function=.", "-function=^$"],
]


def options_of(rules):
    return [f"--{'include' if rule[0] == '+' else 'exclude'}={rule[1:]}" for rule in rules]


def stays(thread, rules):
    """What the manual says, in Python."""
    texts = {
        "thread": [thread["name"]],
        "module": [file for _, _, file, _ in thread["frames"]],
        "function": [qualname or name for name, qualname, _, _ in thread["frames"]],
    }

    def fits(rule):
        what, _, expression = rule[1:].partition("=")
        return any(re.search(expression, text) for text in texts[what])

    included = {}
    for rule in rules:
        if rule[0] == "+":
            what = rule[1:].partition("=")[0]
            included[what] = included.get(what, False) or fits(rule)
    return all(included.values()) and not any(fits(rule) for rule in rules if rule[0] == "-")


def left_out(recording):
    """(samples that were left out, all samples)"""
    return tuple(map(int, LEFT_OUT.search(recording.stderr).groups()))


def check_counts(recording, count, some_left_out):
    """The summary's figures are those of what was written, and of the samples that are not there."""
    gone, everything = left_out(recording)
    assert gone + recording.samples == everything
    assert (gone > 0) == some_left_out
    assert f"pspy: {recording.samples} sample{'s' * (recording.samples != 1)} in " in recording.stderr
    assert ("the profile is empty" in recording.stderr) == (count == 0)
    assert not recording.incomplete, recording.stderr


@pytest.fixture
def waiting(start_target, repo, tmp_path):
    """waiting(python) -> the target, in position; its statement has the four threads."""
    (tmp_path / "main.py").write_text(MAIN)
    (tmp_path / "station.py").write_text(STATION)

    def start(python):
        path = f"{repo / 'sample_targets'}:{tmp_path}"
        return start_target([python, tmp_path / "main.py"], env={**os.environ, "PYTHONPATH": path})

    return start


@pytest.fixture
def native_target(start_target, build):
    path = build / "sample_targets" / "stack_threads"
    return lambda program=path: start_target([program, "--idle", "--threads", "3"])


# ---- which samples stay --------------------------------------------------------------------------------------------

def test_what_stays(waiting, run_pspy, python):
    target = waiting(python)
    threads = {(thread["tid"], thread["name"]): thread for thread in target.statement["threads"]}
    assert len(threads) == 4
    for rules in RULES:
        recording = record(run_pspy, target.pid, "-i", "-t", *options_of(rules), duration=0.2)
        truth = {key: stated_python(thread) for key, thread in threads.items() if stays(thread, rules)}
        assert set(recording.by_thread) == set(truth), rules
        for key, stacks in recording.by_thread.items():
            for frames in stacks:
                assert settled(frames) == truth[key], show(frames)
        if rules:
            check_counts(recording, len(truth), len(truth) < len(threads))
        else:
            assert "left out" not in recording.stderr


def test_roots_are_no_functions(waiting, run_pspy, python):
    """What -s and -t put at the root holds the command line and the threads' names."""
    target = waiting(python)
    for expression in "^process", r"main[.]py", r"^thread \(", "reader":
        recording = record(run_pspy, target.pid, "-i", "-t", "-s", f"--exclude=function={expression}", duration=0.2)
        assert recording.samples and left_out(recording)[0] == 0, (expression, recording.stderr)
        assert all(frames[0].name.startswith(f"process {target.pid}:") for frames in recording.stacks)
        assert any("main.py" in frames[0].name for frames in recording.stacks)


def test_native_functions(native_target, run_pspy):
    target = native_target()
    threads = target.statement["threads"]
    assert len(threads) == 4
    for thread in threads:
        for frame in thread["frames"]:
            recording = record(run_pspy, target.pid, "-i", "-t", f"--include=function=^{frame['name']}$", duration=0.2)
            assert set(recording.by_thread) == {(thread["tid"], thread["name"])}
            check_counts(recording, 1, True)


def test_native_modules(native_target, run_pspy, repo, tmp_path):
    """By the program's path, and by the source's where it knows lines."""
    target = native_target()
    plain, source = tmp_path / "plain", repo / "sample_targets/stack_threads.c"
    subprocess.run(["strip", "-g", "-o", plain, f"/proc/{target.pid}/exe"], check=True)
    program = os.readlink(f"/proc/{target.pid}/exe")
    for pid, files, others in (target.pid, (source, program), (plain,)), (native_target(plain).pid, (plain,), (source, program)):
        for file in files:
            recording = record(run_pspy, pid, "-i", "-t", f"--include=module=^{file}$", duration=0.2)
            assert len(recording.by_thread) == 4, recording.stderr
            check_counts(recording, 4, False)
        for file in others:
            recording = record(run_pspy, pid, "-i", "-t", f"--include=module=^{file}$", duration=0.2)
            check_counts(recording, 0, True)


# ---- what is written -----------------------------------------------------------------------------------------------

def test_formats(waiting, run_pspy, tmp_path):
    target = waiting("/usr/bin/python3")
    kept = {thread["tid"] for thread in target.statement["threads"] if thread["name"].startswith("reader")}

    def write(output_format, expression):
        path = tmp_path / output_format
        recording = record(run_pspy, target.pid, "-i", "-o", path, "-f", output_format, "--include", expression, duration=0.2)
        gone, everything = left_out(recording)
        assert 0 < gone <= everything
        return path.read_text()

    events = json.loads(write("chrometrace", "thread=^reader"))["traceEvents"]
    assert {event["tid"] for event in events if event["ph"] == "B"} == kept
    speedscope = json.loads(write("speedscope", "thread=^reader"))
    assert len(speedscope["profiles"]) == 2
    assert {"fetch", "wait"} < {frame["name"] for frame in speedscope["shared"]["frames"]}
    flamegraph = write("flamegraph", "thread=^reader")
    assert "fetch" in flamegraph and "compute" not in flamegraph


@pytest.mark.parametrize("output_format", ["flamegraph", "speedscope", "raw", "chrometrace"])
def test_nothing_stays(native_target, run_pspy, tmp_path, output_format):
    path = tmp_path / "out"
    recording = record(run_pspy, native_target().pid, "-i", "-o", path, "-f", output_format, "--include=thread=nobody",
                       duration=0.2)
    gone, everything = left_out(recording)
    assert 0 < gone == everything
    assert "pspy: no sample fits --include and --exclude: the profile is empty; one without them " in recording.stderr
    assert "hottest" not in recording.stderr and "-i shows waiting" not in recording.stderr
    text = path.read_text()
    if output_format == "speedscope":
        assert [profile["samples"] for profile in json.loads(text)["profiles"]] == [[[]]]  # an empty stack
    elif output_format == "chrometrace":
        assert {event["ph"] for event in json.loads(text)["traceEvents"]} == {"M"}
    else:
        assert "leaf_1" not in text


@pytest.mark.parametrize("rule", ["+read", "+file=x", "-thread=", "-function=read(", "+module=[a"])
def test_a_bad_rule_runs_nothing(run_pspy, tmp_path, rule):
    mark = tmp_path / "ran"
    done = run_pspy(["record", "-o", tmp_path / "out.svg", *options_of(["+thread=a", rule]), "--", "touch", mark],
                    check=EXIT_PSPY)
    assert re.fullmatch(r"pspy: --(include|exclude) needs [^\n]+\n", done.stderr)
    assert not list(tmp_path.iterdir())
