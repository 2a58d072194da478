# SPDX-License-Identifier: MIT
"""Starting targets and profilers, and what the kernel says of them."""
import collections
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time

import stacks

Recording = collections.namedtuple("Recording", "samples seconds cpu lost ends stacks pss")
REPO = pathlib.Path(__file__).resolve().parent.parent
TARGETS = REPO / "sample_targets"


class Unable(Exception):
    """A profiler cannot do it; its own words."""


class Python:
    """An interpreter: `path` starts it, `executable` is it (within its own root, if it has one)."""

    def __init__(self, path):
        self.path = str(path)
        question = "import sys; print('%d.%d.%d' % sys.version_info[:3] + getattr(sys, 'abiflags', '')); print(sys.executable)"
        done = subprocess.run([self.path, "-c", question], stdout=subprocess.PIPE, text=True, check=True, timeout=60)
        self.version, self.executable = done.stdout.split()
        self.minor = ".".join(self.version.split(".")[:2])

    def command(self, script, *arguments):
        return [self.path, str(TARGETS / script), *map(str, arguments)]


class Target:
    """A sample target that has said it is in position; leaves when told."""

    def __init__(self, argv, environment=None):
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, **(environment or {})})
        self.statement = self.read_statement()
        self.pid = self.process.pid

    def read_statement(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise Unable(f"{self.process.args} said nothing")

    def finish(self):
        """What it states at its end, if it does."""
        self.process.send_signal(signal.SIGTERM)
        rest = self.process.communicate(timeout=60)[0]
        lines = [line for line in rest.splitlines() if line.startswith("{")]
        return json.loads(lines[-1]) if lines else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def pss(pid):
    """Proportional set size, bytes; 0 if it is gone."""
    try:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1]) * 1024


class Profiler:
    """One program and its options. The subclasses say how it is called and what it prints."""
    native_option = ()

    def __init__(self, name, words, options=()):
        self.name, self.words, self.options = name, list(words), list(options)

    def serves(self, _python):
        """Whether it knows this interpreter at all."""
        return True

    def record(self, pid, rate, seconds, native=False):
        """Samples the process for so long."""
        with tempfile.TemporaryDirectory(prefix="pspy-bench-") as folder:
            out = pathlib.Path(folder) / "out"
            argv = self.command(pid, rate, seconds, out) + list(self.native_option if native else ())
            text, elapsed, cpu, memory = run_for(argv, seconds, pathlib.Path(folder) / "log")
            profile = out.read_text(errors="replace") if out.exists() else ""
        return self.result(text, profile, elapsed, cpu, memory)


def run_for(argv, seconds, log):
    """What it printed, seconds from its first word to the end, its CPU seconds, its memory shortly before the end."""
    with open(log, "wb") as stream:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream)
    begin = started = time.monotonic()
    while time.monotonic() - begin < seconds:
        if started == begin and log.stat().st_size:
            started = time.monotonic()
        if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            break
        time.sleep(0.02)
    elapsed, memory = time.monotonic() - started, pss(process.pid)
    os.kill(process.pid, signal.SIGINT)  # send_signal() might collect it, and its CPU time with it
    killed = time.monotonic() + 60
    while not os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        if time.monotonic() > killed:
            os.kill(process.pid, signal.SIGKILL)
        time.sleep(0.02)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return log.read_text(errors="replace"), elapsed, usage.ru_utime + usage.ru_stime, memory


class Pspy(Profiler):
    native_option = ("-n",)
    COUNTS = re.compile(r"^pspy: (\d+) samples? in ([\d.]+) s", re.M)
    LOST = re.compile(r"^pspy: lost: (.+)$", re.M)
    ENDS = re.compile(r"^pspy: stacks: (.+)$", re.M)

    def command(self, pid, rate, seconds, out):
        return [*self.words, "record", "-p", str(pid), "-r", f"{min(rate, self.fastest()):.0f}", "-f", "raw", "-o",
                str(out), *self.options]

    def fastest(self):
        """The highest rate it takes; it names it when it is asked for more."""
        if not hasattr(self, "limit"):
            done = subprocess.run([*self.words, "record", "-r", "999999999", "-p", "1"], capture_output=True, text=True)
            found = re.search(r"to ([\d.e+]+)", done.stderr)
            self.limit = float(found[1]) if found else 200000.0
        return self.limit

    def result(self, text, profile, _elapsed, cpu, memory):
        found = self.COUNTS.search(text)
        if not found:
            raise Unable(last_line(text))
        return Recording(int(found[1]), float(found[2]), cpu, counts_of(self.LOST.search(text)),
                         counts_of(self.ENDS.search(text)), stacks.parse_folded(profile), memory)


def counts_of(match):
    """{"too late": 3} of "3 too late, 1 by thread end"."""
    parts = [part.strip().split(" ", 1) for part in match[1].split(",")] if match else []
    return {part[1]: int(part[0]) for part in parts if len(part) == 2 and part[0].isdigit()}


def last_line(text):
    lines = [line.strip() for line in re.sub(r"\x1b\[[\d;]*m", "", text).splitlines() if line.strip()]
    return next((line for line in lines if "rror" in line), lines[-1] if lines else "it said nothing")[:120]


class PySpy(Profiler):
    native_option = ("-n",)
    COUNTS = re.compile(r"Samples: (\d+) Errors: (\d+)")

    def command(self, pid, rate, seconds, out):
        return [*self.words, "record", "-p", str(pid), "-r", f"{rate:.0f}", "-f", "raw", "-o", str(out), *self.options]

    def result(self, text, profile, elapsed, cpu, memory):
        found = self.COUNTS.search(text)
        if not found:
            raise Unable(last_line(text))
        return Recording(int(found[1]), elapsed, cpu, {"errors": int(found[2])}, {}, stacks.parse_folded(profile), memory)


def launch_words(profiler, program, out):
    """The program started by the profiler, its children too, 100 samples a second."""
    return [*map(str, profiler.words), "record", "-s", "-r", "100", "-f", "raw", "-o", str(out),
            *(["-d", "unlimited"] if isinstance(profiler, PySpy) else []), *profiler.options, "--", *program]


class Events:
    """Processes and threads that end at once (events.c): a program in C, the same in a Python."""

    def __init__(self, build):
        self.folder = build / "bench"
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, options in (("events", ()), ("libevents.so", ("-fPIC", "-shared"))):
            subprocess.run([os.environ.get("CC") or "cc", "-O2", "-pthread", *options, "-o", self.folder / name, REPO / "bench" / "events.c"],
                           check=True)

    def commands(self, python, kind, count):
        load = f"import ctypes; ctypes.CDLL({str(self.folder / 'libevents.so')!r}).measure({int(kind == 'threads')}, {count})"
        return {"C": [str(self.folder / "events"), kind, str(count)], "Python": [python.path, "-c", load]}

    def run(self, argv):
        """What the program states at its end."""
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        stated = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if not stated:
            raise Unable(last_line(done.stderr) if done.stderr else "the program said nothing")
        return json.loads(stated[-1])


class EmptyStops(Profiler):
    """Takes nothing but the time that stopping takes (empty_stops.c). Of a process's first thread."""
    name = "empty stops"

    def __init__(self, build):
        super().__init__(self.name, [build / "bench" / "empty_stops"])
        self.words[0].parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([os.environ.get("CC") or "cc", "-O2", "-o", self.words[0], REPO / "bench" / "empty_stops.c"], check=True)

    def command(self, pid, rate, _seconds, _out):
        return [str(self.words[0]), str(pid), str(rate), "0"]

    def result(self, text, _profile, _elapsed, cpu, memory):
        found = re.search(r"(\d+) stops in ([\d.]+)", text)
        if not found:
            raise Unable(last_line(text))
        return Recording(int(found[1]), float(found[2]), cpu, {}, {}, {}, memory)


class Austin(Profiler):
    """Its statistics are coloured: the colours go first. From 4.0 on its stacks come in a binary form, which is not read."""
    DURATION = re.compile(r"(?:Sampling|Total) duration[\s.:]*?([\d.]+) ?s")
    ERRORS = re.compile(r"Error rate[\s.:]*(\d+)/(\d+)")

    def command(self, pid, rate, seconds, out):
        return [*self.words, "-i", str(max(1, round(1e6 / rate))), "-o", str(out), *self.options, "-p", str(pid)]

    def result(self, text, profile, elapsed, cpu, memory):
        text = re.sub(r"\x1b\[[\d;]*m", "", text)
        found, duration = self.ERRORS.search(text), self.DURATION.search(text)
        if not found:
            raise Unable("takes no samples")
        invalid, all_samples = int(found[1]), int(found[2])
        return Recording(all_samples - invalid, float(duration[1]) if duration else elapsed, cpu, {"invalid": invalid}, {},
                         stacks.parse_austin("" if profile.startswith("MOJ") else profile), memory)


class Tachyon(Profiler):
    """CPython 3.15's own; it profiles processes of the interpreter that runs it, within their own root."""
    native_option = ("--native",)
    COUNTS = re.compile(r"Captured ([\d,]+) samples in ([\d.]+)")
    ERRORS = re.compile(r"Error rate: ([\d.]+)")

    def serves(self, python):
        return python.minor == "3.15"

    def command(self, pid, rate, seconds, out):
        return ["nsenter", "-t", str(pid), "-m", "-r", *self.words, "-m", "profiling.sampling", "attach", "-r", f"{rate:.0f}", "-d", f"{seconds:g}", "--collapsed",
                "-o", str(out), *self.options, str(pid)]

    def result(self, text, profile, elapsed, cpu, memory):
        found, errors = self.COUNTS.search(text), self.ERRORS.search(text)
        if not found:
            raise Unable(last_line(text))
        samples = int(found[1].replace(",", ""))
        lost = round(samples * float(errors[1]) / 100) if errors else 0
        return Recording(samples - lost, float(found[2]), cpu, {"errors": lost}, {},
                         stacks.parse(profile, stacks.AUSTIN_FRAME), memory)
