# SPDX-License-Identifier: MIT
"""What `pspy record -o` writes, of a real program: every format tells the same story, and every path is treated well.

The program spends its CPU time for a second: two thirds in heavy, one third in light, both called by main.
"""
import gzip
import json
import math
import os
import re
import subprocess
import sys
import threading
import xml.etree.ElementTree as ElementTree

import pytest

PROGRAM = """
import sys, time

def light(end):
    while time.thread_time() < end:
        pass

def heavy(end):
    while time.thread_time() < end:
        pass

def main():
    for turn in range(20):
        heavy(time.thread_time() + 0.0333)
        light(time.thread_time() + 0.0167)

open("started", "w").close()
main()
"""
EXIT_PSPY = 125
SAMPLES = re.compile(r"^pspy: (\d+) samples", re.M)


@pytest.fixture
def record(run_pspy, tmp_path):
    """record(options, check=0) -> (outcome, samples the summary states); runs in tmp_path."""
    (tmp_path / "program.py").write_text(PROGRAM)

    def run(options, check=0, **arguments):
        outcome = run_pspy(["record", *options, "--", sys.executable, "program.py"], check=check, cwd=tmp_path, **arguments)
        stated = SAMPLES.search(outcome.stderr)
        return outcome, int(stated.group(1)) if stated else None

    return run


# ---- readers: each gives (samples, share of heavy, share of light) -------------------------------------------------

def shares(counts):
    """From [(function names of a stack, weight)]."""
    total = sum(weight for _, weight in counts)
    return tuple(sum(weight for names, weight in counts if name in names) / total for name in ("heavy", "light"))


def bare(label):
    return label.split(" (")[0]


def read_raw(text):
    lines = [line.rsplit(" ", 1) for line in text.splitlines()]
    stacks = [stack for stack, _ in lines]
    assert stacks == sorted(set(stacks), key=lambda stack: stack.encode())
    return sum(int(count) for _, count in lines), *shares(
        [([bare(label) for label in stack.split(";")], int(count)) for stack, count in lines])


def read_flamegraph(text):
    group = "{http://www.w3.org/2000/svg}g"
    frames = [element for element in ElementTree.fromstring(text).iter(group) if element.get("data-n")]
    total, own = int(frames[0].get("data-n")), {}
    for frame in frames:
        name = bare(frame[0].text)
        own[name] = own.get(name, 0) + int(frame.get("data-n"))
    return total, own["heavy"] / total, own["light"] / total


def read_speedscope(text):
    content = json.loads(text)
    names = [frame["name"] for frame in content["shared"]["frames"]]
    rows = []
    for profile in content["profiles"]:
        assert sum(profile["weights"]) == profile["endValue"]
        rows += [([names[index] for index in stack], weight)
                 for stack, weight in zip(profile["samples"], profile["weights"]) if stack]
    return len(rows), *shares(rows)


def read_chrometrace(text):
    """Samples cannot be counted in a trace; time can."""
    begun, spent = {}, {}
    for event in json.loads(text)["traceEvents"]:
        track = begun.setdefault((event["pid"], event.get("tid")), [])
        if event["ph"] == "B":
            track.append(event)
        elif event["ph"] == "E":
            begin = track.pop()
            assert begin["name"] == event["name"] and begin["ts"] <= event["ts"]
            if not track:
                spent["all"] = spent.get("all", 0) + event["ts"] - begin["ts"]
            spent[begin["name"]] = spent.get(begin["name"], 0) + event["ts"] - begin["ts"]
    assert not any(begun.values())
    return None, spent["heavy"] / spent["all"], spent["light"] / spent["all"]


READERS = {"flamegraph": ("x.svg", read_flamegraph), "speedscope": ("x.speedscope.json", read_speedscope),
           "raw": ("x.txt", read_raw), "chrometrace": ("x.json", read_chrometrace)}


# ---- the formats ----------------------------------------------------------------------------------------------------

@pytest.mark.statistical
@pytest.mark.parametrize("output_format", READERS)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_same_story(record, tmp_path, output_format, packed):
    name, read = READERS[output_format]
    path = tmp_path / (name + ".gz" * packed)
    _, stated = record(["-r", "500", "-f", output_format, "-o", path])
    content = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    samples, heavy, light = read(content.decode())
    assert samples in (stated, None)
    assert heavy / (heavy + light) == pytest.approx(2 / 3, abs=5 * math.sqrt(2 / 9 / stated) + 0.01)
    assert heavy + light > 0.6, "the rest is the interpreter's start"


@pytest.mark.parametrize("name, begin", [
    ("a.svg", b"<?xml"), ("a.json", b'{"$schema"'), ("a.speedscope.json", b'{"$schema"'), ("a.svg.gz", b"\x1f\x8b")])
def test_suffix_chooses_the_format(record, tmp_path, name, begin):
    record(["-o", name])
    assert (tmp_path / name).read_bytes().startswith(begin)


# ---- the paths ------------------------------------------------------------------------------------------------------

def test_nothing_else_is_left(record, tmp_path):
    record(["-o", "a.svg"])
    assert sorted(os.listdir(tmp_path)) == ["a.svg", "program.py", "started"]


@pytest.mark.parametrize("path", ["-", "/dev/stdout"])
def test_standard_output(record, path):
    outcome, stated = record(["-f", "raw", "-o", path])
    assert read_raw(outcome.stdout)[0] == stated


def test_fifo(record, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    got = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "fifo").read_text()))
    reader.start()
    _, stated = record(["-f", "raw", "-o", "fifo"])
    reader.join(30)
    assert read_raw(got[0])[0] == stated


def test_replaced_file_keeps_mode_and_link(record, tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "real.txt").chmod(0o640)
    (tmp_path / "link.txt").symlink_to("real.txt")
    record(["-o", "link.txt"])
    assert (tmp_path / "link.txt").is_symlink() and (tmp_path / "real.txt").stat().st_mode & 0o777 == 0o640
    assert read_raw((tmp_path / "real.txt").read_text())[0] > 0


@pytest.mark.parametrize("path, words", [
    ("none/a.svg", ["none/", "create it first"]), (".", ["is a directory", "name a file"])])
def test_bad_path_is_said_before_the_program_starts(record, tmp_path, path, words):
    outcome, _ = record(["-o", path], check=EXIT_PSPY)
    assert all(word in outcome.stderr for word in words)
    assert not (tmp_path / "started").exists()


def test_full_disk(record, tmp_path):
    outcome, _ = record(["-f", "raw", "-o", "/dev/full"], check=EXIT_PSPY)
    assert "free some space" in outcome.stderr


def test_reader_gone(tmp_path, pspy):
    """`pspy ... | head -0`: one sentence, no signal."""
    (tmp_path / "program.py").write_text(PROGRAM)
    ends = os.pipe()
    os.close(ends[0])
    done = subprocess.run([pspy, "record", "-f", "raw", "-o", "-", "--", sys.executable, "program.py"], cwd=tmp_path,
                          stdin=subprocess.DEVNULL, stdout=ends[1], stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(ends[1])
    assert done.returncode == EXIT_PSPY and "closed it before" in done.stderr
