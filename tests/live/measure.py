# SPDX-License-Identifier: MIT
"""Reading what pspy measured, and what a sample target stated."""
import collections
import os
import re
import time

import conftest

DEADLINE = 30 * conftest.PATIENCE  # seconds; says "it hangs", never "it is slow"

Frame = collections.namedtuple("Frame", "name file line")  # file "", line 0: none shown

LABEL = re.compile(r"(?P<name>.+) \((?P<file>[^()]*?)(?::(?P<line>\d+))?\)")
COUNTS = re.compile(r"^pspy: (\d+) samples? in ([\d.]+) s; ([\d.]+) ticks a second", re.M)
INCOMPLETE = re.compile(r"^pspy: stacks: (.+)$", re.M)


def parse_frame(label):
    match = LABEL.fullmatch(label)
    return Frame(match["name"], match["file"], int(match["line"] or 0)) if match else Frame(label, "", 0)


def is_python(frame):
    return frame.file.endswith(".py") or frame.file.startswith("<")


class Recording:
    """`stacks`: {tuple of Frame, root first: samples}; `by_thread` the same under (tid, name), recorded with -t."""

    def __init__(self, outcome):
        self.stderr = outcome.stderr
        self.stacks = collections.Counter()
        self.by_thread = collections.defaultdict(collections.Counter)
        for line in outcome.stdout.splitlines():
            text, _, count = line.rpartition(" ")
            self.add(text.split(";"), int(count))

    def add(self, labels, count):
        thread = re.fullmatch(r"thread \((\d+)\)(?:: (.*))?", labels[0])
        frames = tuple(parse_frame(label) for label in labels[1 if thread else 0:])
        self.stacks[frames] += count
        if thread:
            self.by_thread[int(thread[1]), thread[2]][frames] += count

    @property
    def samples(self):
        return sum(self.stacks.values())

    @property
    def ticks(self):
        _, seconds, rate = COUNTS.search(self.stderr).groups()
        return float(seconds) * float(rate)

    @property
    def incomplete(self):
        """What the summary says about stacks' ends; "" if all are complete."""
        match = INCOMPLETE.search(self.stderr)
        return match[1] if match else ""

    def self_samples(self):
        """{function: samples in itself}"""
        totals = collections.Counter()
        for frames, count in self.stacks.items():
            totals[frames[-1].name] += count
        return totals


def record(run_pspy, pid, *options, duration=0.3, **arguments):
    """Profiles a running process, into folded stacks unless the options say -o; once more and longer where a busy machine
    gave pspy no CPU in that time."""
    for _ in range(4):
        output = [] if "-o" in options else ["-f", "raw", "-o", "-"]
        done = run_pspy(["record", "-p", str(pid), "-d", str(duration), *output, *options], check=0, **arguments)
        recording = Recording(done)
        if duration == "unlimited" or recording.ticks > 1.5:
            break
        duration *= 3
    return recording


def launch(run_pspy, argv, *options, check=0, **arguments):
    """Profiles a program from its start, to its end or for as long as -d says."""
    done = run_pspy(["record", "-f", "raw", "-o", "-", *options, "--", *map(str, argv)], check=check, **arguments)
    return Recording(done)


def python_frames(frames):
    return [frame for frame in frames if is_python(frame)]


def native_frames(frames):
    return [frame for frame in frames if not is_python(frame)]


def within_package(file, root=""):
    """The path from the outermost package on that the file belongs to; its name if it belongs to none."""
    start = os.path.dirname(file)
    while os.path.exists(os.path.join(f"{root}{start}", "__init__.py")):
        start = os.path.dirname(start)
    return os.path.relpath(file, start) if os.path.isabs(file) else file


def stated_python(thread, root=""):
    """The thread's Python frames as pspy shows them by default; `root` is that of the process."""
    return [Frame(qualname or name, within_package(file, root), line)
            for name, qualname, file, line in thread["frames"]]


# What a target runs between its statement and the place where it then stays.
# The names before 3.11 come without their class.
ANNOUNCING = {"Station.in_position", "Station.announce", "in_position", "announce", "stated"}


def settled(frames):
    """The stack without the rest of the announcement, for a sample that came before that was over."""
    end = next((i for i, frame in enumerate(frames) if frame.name in ANNOUNCING and is_python(frame)), len(frames))
    return list(frames[:end])


def is_subsequence(wanted, found):
    rest = iter(found)
    return all(item in rest for item in wanted)


def show(frames):
    return "; ".join(f"{frame.name} ({frame.file}:{frame.line})" for frame in frames)


def children(pid):
    """The processes that a process started."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as text:
            found += [int(word) for word in text.read().split()]
    return found


# ---- a recording under way ------------------------------------------------------------------------------------------

def wait_until(holds, what):
    end = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < end, f"never came: {what}"
        time.sleep(0.002)


def status_field(pid, name):
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        return next(line.split(None, 1)[1].strip() for line in status if line.startswith(name + ":"))


def is_sampling(profiler, target="[0-9]+"):
    """pspy opens the files of the target's threads when it takes its first samples."""
    wanted = re.compile(f"/proc/{target}/task/[0-9]+/schedstat")
    try:
        links = [os.readlink(f"/proc/{profiler}/fd/{number}") for number in os.listdir(f"/proc/{profiler}/fd")]
    except OSError:
        return False
    return any(map(wanted.fullmatch, links))


def wait_ticks(profiler, count):
    """pspy sleeps between two ticks."""
    def sleeps():
        return int(status_field(profiler, "voluntary_ctxt_switches"))

    first = sleeps()
    wait_until(lambda: sleeps() >= first + count, "ticks")


def wait_sampling(profiler, target):
    """Until some samples are taken: the first one alone may be lost, of a thread that a busy machine does not let run."""
    wait_until(lambda: is_sampling(profiler, target), "sampling")
    wait_ticks(profiler, 10)
