# SPDX-License-Identifier: MIT
"""High rates: several ticks share one look at code objects and threads. What comes and goes in between must not show up
under the name of what was there before."""
import json
import os
import re

import pytest
from measure import is_python, record, settled, show

UNKNOWN = "[unknown Python function]"
RATES = "1000", "5000", "20000"
WAYS = [], ["--nonblocking"]

# Function number i is called KIND_<i>, stands in KIND_<i>.py, has i % 4 locals and has its loop at line i % 40 + 2. Its
# code is dropped as soon as it returns.
MADE = """
import json, os, sys, time
clock = getattr(time, "perf_counter", time.time)

def make(kind, i, times):
    name = "%s_%d" % (kind, i)
    text = "def %s(n):" % name + "\\n" * (i % 40 + 1) + "  while n: n -= 1\\n"
    text += ["", "  a = n\\n", "  a = b = n\\n", "  a = b = c = n\\n"][i % 4]
    text += "%s(%d)\\n" % (name, times)
    exec(compile(text, "%s.py" % name, "exec"), {})

def announce(**facts):
    sys.stdout.write(json.dumps(dict(facts, pid=os.getpid())) + "\\n")
    sys.stdout.flush()
"""

CHURN = MADE + """
def rounds(kind):
    i = 0
    while True:
        i += 1
        make(kind, i, int(sys.argv[1]))
announce()
rounds("changing")
"""

# Steady for most of a second, then a burst of changes, and again: a round's samples are doubted when it begins.
TURNS = MADE + """
def steady(n):
    end = clock() + n
    while clock() < end: pass

def turns():
    i = 0
    while True:
        i += 1
        make("kept", i, 300000)
        steady(1.2)
        end = clock() + 0.1
        while clock() < end:
            i += 1
            make("brief", i, 20000)
announce()
turns()
"""


def numbered(frame):
    """Whether the frame is one of a made file."""
    return re.fullmatch(r"(?:changing|kept|brief)_\d+", os.path.splitext(frame.file)[0])


def check_made(frames, callers):
    """Callers, make, made <module>, made function: all of one number. Returns whether all were named."""
    frames = [frame for frame in settled(frames) if is_python(frame) or frame.name == UNKNOWN]
    allowed = [*callers, "make"]
    made = [frame for frame in frames if numbered(frame)]
    files = {frame.file for frame in made}
    assert len(files) <= 1 and len(made) <= 2, show(frames)
    for frame in made:
        own = frame.file[:-len(".py")]
        number = int(own.rpartition("_")[2])
        assert frame.name in ("<module>", own), show(frames)
        # No line: the function was gone before its line table could be read. Its last lines are two behind the loop's.
        lines = (0, 1, number % 40 + 2, number % 40 + 3) if frame.name == own else None
        assert lines is None or frame.line in lines, show(frames)
    depth = len(allowed)
    for i, frame in enumerate(frames[:depth]):
        assert frame.name in (allowed[i], UNKNOWN) or (i, frame.name) == (len(callers), "steady"), show(frames)
    assert not any(numbered(frame) for frame in frames[:depth]), show(frames)
    assert len(frames) <= depth + 2, show(frames)
    for frame in frames[depth:depth + 1]:
        assert frame.name in ("<module>", UNKNOWN), show(frames)
    for frame in frames[depth + 1:]:
        assert frame.name == UNKNOWN or numbered(frame) and frame.name != "<module>", show(frames)
    return not any(frame.name == UNKNOWN for frame in frames)


def test_changing_code(start_target, run_pspy, python):
    """Code objects take each other's addresses all the time."""
    for times in 100, 3000:
        target = start_target([python, "-c", CHURN, times])
        for way in WAYS:
            for rate in RATES:
                recording = record(run_pspy, target.pid, "-r", rate, *way, duration=0.3)
                for frames in recording.stacks:
                    check_made(frames, ["<module>", "rounds"])
                assert recording.samples, recording.stderr
        target.kill()


@pytest.mark.thorough  # records for seconds; others here see rounds change, too
@pytest.mark.statistical
def test_steady_code_that_begins_to_change(start_target, run_pspy, python):
    """What the samples of the last round say of dropped code is taken back; little else is unknown."""
    target = start_target([python, "-c", TURNS])
    for way in WAYS:
        recording = record(run_pspy, target.pid, "-r", "5000", *way, duration=3)
        named = sum(count for frames, count in recording.stacks.items() if check_made(frames, ["<module>", "turns"]))
        assert named > recording.samples * 3 / 4, recording.stderr
        steady = recording.self_samples()["steady"]
        assert steady > recording.samples / 2, recording.stderr


def test_last_round(start_target, run_pspy, python):
    """The end comes in the middle of a round."""
    target = start_target([python, "-c", TURNS])
    for _ in range(8):
        recording = record(run_pspy, target.pid, "-r", "5000", duration=0.2)
        for frames in recording.stacks:
            check_made(frames, ["<module>", "turns"])


# Blocked in code that took the place of other code a moment ago; it was steady before, so that there are rounds.
BLOCKED = MADE + """
def steady(n):
    end = clock() + n
    while clock() < end: pass

def waits():
    i = 0
    while True:
        steady(1.2)
        for _ in range(20):
            i += 1
            make("brief", i, 5000)
        i += 1
        name = "brief_%d" % i
        text = "def %s(n):" % name + "\\n" * (i % 40 + 1) + "  sleep(n)\\n%s(0.5)\\n" % name
        exec(compile(text, "%s.py" % name, "exec"), {"sleep": time.sleep})
announce()
waits()
"""


@pytest.mark.thorough  # records for seconds; others here see rounds change, too
@pytest.mark.statistical
def test_blocked_in_new_code(start_target, run_pspy, python):
    """The stack of a thread that does not run is kept: not with a name that is taken back."""
    target = start_target([python, "-c", BLOCKED])
    recording = record(run_pspy, target.pid, "-r", "5000", "-i", duration=4)
    numbers = set()
    for frames, count in recording.stacks.items():
        made = [frame for frame in frames if numbered(frame)]
        assert len({frame.file for frame in made}) <= 1, show(frames)
        for frame in made:
            number = int(frame.file[:-len(".py")].rpartition("_")[2])
            assert frame.name in ("<module>", f"brief_{number}"), show(frames)
            # What ran a loop for a moment cannot have so many samples: 0.1 s of the 4.
            if count > recording.ticks / 40 and len(made) == 2:
                numbers.add(number % 21)
    assert numbers == {0}, recording.stacks.most_common(8)


# Half the time in each; nothing else makes the thread leave its CPU.
BY_TURNS = MADE + """
def busy():
    end = clock() + 0.05
    while clock() < end: pass

def asleep():
    time.sleep(0.05)

announce()
while True:
    busy()
    asleep()
"""


@pytest.mark.statistical
@pytest.mark.parametrize("way", [["-r", "100"], ["-r", "5000"], ["--nonblocking"]], ids=["100", "5000", "nonblocking"])
def test_waiting_after_running(start_target, run_pspy, python, way):
    """A stack that was read while the thread ran says nothing of where it waits afterwards."""
    target = start_target([python, "-c", BY_TURNS])
    shares = record(run_pspy, target.pid, "-i", *way, duration=2).self_samples()
    assert min(shares["busy"], shares["asleep"]) > sum(shares.values()) / 4, shares


# Program number n has functions of that number, stays in them for a moment, and becomes program n + 1.
EXECS = """
import json, os, sys
number = int(sys.argv[1])
if number == 100:
    sys.stdout.write(json.dumps({"pid": os.getpid()}) + "\\n")
    sys.stdout.flush()
text = '''
def outer_%(n)d(times):
    return inner_%(n)d(times)

def inner_%(n)d(times):
    while times: times -= 1
''' % {"n": number}
exec(compile(text, "program_%d.py" % number, "exec"))
globals()["outer_%d" % number](300000)
os.execv(sys.executable, [sys.executable, __file__, str(number + 1 if number < 999 else 101)])
"""


def check_programs(recording):
    """Only functions of one program in each stack; returns which programs were met."""
    programs = set()
    for frames in recording.stacks:
        numbers = {text for frame in frames for text in re.findall(r"(?:outer|inner|program)_(\d+)", str(frame))}
        assert len(numbers) <= 1, show(frames)
        if numbers:
            names = [frame.name.rpartition("_")[0] for frame in frames if re.match("outer_|inner_", frame.name)]
            assert names in ([], ["outer"], ["outer", "inner"]), show(frames)
        programs |= numbers
    return programs


@pytest.mark.thorough  # records for seconds; others here see rounds change, too
@pytest.mark.parametrize("native", [False, True], ids=["python", "native"])
@pytest.mark.parametrize("rate", RATES[:2])
def test_execs(start_target, run_pspy, tmp_path, python, rate, native):
    """A round may begin in one program and end in the next."""
    script = tmp_path / "execs.py"
    script.write_text(EXECS)
    target = start_target([python, script, "100"])
    for duration in 1.5, 5, 20:  # of a machine that may be busy
        programs = check_programs(record(run_pspy, target.pid, "-r", rate, *["-n"] * native, duration=duration))
        if len(programs) > 2:
            break
    assert len(programs) > 2, programs
    for _ in range(5):
        check_programs(record(run_pspy, target.pid, "-r", rate, *["-n"] * native, duration=0.1))
