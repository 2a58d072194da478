# SPDX-License-Identifier: MIT
"""What profiling with native code takes from the program, beside empty stops at the same rate and py-spy.

An empty stop is the least there is: interrupted, waited for asleep, registers read, let go. All of a row are taken in
turns. Where it is permitted everything here runs with real-time priority, so that it is measured as on an idle machine.
"""
import contextlib
import os
import statistics
import subprocess
import tempfile
import time

from processes import EmptyStops, Events, Pspy, PySpy, Target, Unable, launch_words

PRIORITY = 10


@contextlib.contextmanager
def preferred():
    """Targets and profilers that are started within come before all other programs, if we may."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except PermissionError:
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@contextlib.contextmanager
def preferred_session():
    """Our session's programs come before others' and share the processors as usual, if we may and the kernel groups so."""
    try:
        with open("/proc/self/autogroup", "w", encoding="ascii") as nice:
            nice.write("-20")
    except OSError:
        yield
        return
    try:
        yield
    finally:
        time.sleep(0.2)  # the kernel takes another value only some time later
        with open("/proc/self/autogroup", "w", encoding="ascii") as nice:
            nice.write("0")


def build_targets(bench):
    subprocess.run(["make", "-s", "-C", "sample_targets", "native", f"OUT={bench.build / 'sample_targets'}"], check=True,
                   cwd=bench.repo, stdout=subprocess.DEVNULL)
    return bench.build / "sample_targets"


def tracers(bench):
    """pspy, empty stops, py-spy; those that are here."""
    named = [profiler for profiler in bench.profilers if type(profiler) in (Pspy, PySpy) and not profiler.options]
    return sorted(named, key=lambda profiler: profiler.name)[:1] + [EmptyStops(bench.build)] + \
        sorted(named, key=lambda profiler: profiler.name)[1:]


def undisturbed(command, seconds):
    """What the target sees by itself."""
    with Target(command) as running:
        time.sleep(seconds)
        return running.finish()


def statement_of(command, tracer, rate, seconds):
    """What the target saw while it was traced, and what the tracer says."""
    with Target(command) as running:
        recording = tracer.record(running.pid, rate, seconds, True)
        return running.finish(), recording


def in_turns(bench, command, rate):
    """{tracer's name: [(statement, recording)], or its own words}"""
    found, taking = {}, tracers(bench)
    with preferred():
        for _ in range(bench.turns):
            for tracer in taking:
                if isinstance(found.get(tracer.name), str):
                    continue
                try:
                    found.setdefault(tracer.name, []).append(statement_of(command, tracer, rate, bench.seconds))
                except (Unable, subprocess.SubprocessError) as why:
                    found[tracer.name] = str(why)
    return found


def median_of(results, name):
    return statistics.median(statement[name] for statement, _ in results)


def against_empty(value, found, of):
    """"1.03 of an empty stop", if there are any."""
    empty = found.get(EmptyStops.name)
    return f"{value / of(empty):.2f} of empty stops" if empty and not isinstance(empty, str) else ""


def rows(title, found, of, more=lambda results: ""):
    for name, results in found.items():
        if isinstance(results, str):
            yield title, name, results
        else:
            yield title, name, (of(results), "; ".join(filter(None, (against_empty(of(results), found, of), more(results)))))


def holes(bench, python):
    """What one sample with native code keeps the program from running, us"""
    targets = build_targets(bench)
    command = python.command("holes.py", "--library", targets / "libholes.so")

    def quantiles(results):
        return f"p10 {median_of(results, 'p10_us'):.0f}, p90 {median_of(results, 'p90_us'):.0f}"

    found = in_turns(bench, command, 500)
    yield from rows("30 Python and some 30 native frames, 500 a second", found,
                    lambda results: median_of(results, "median_us"), quantiles)


def threads(bench, python):
    """Threads of which one runs, 100 a second: what its stops take of its time, %"""
    targets = build_targets(bench)
    for idle in (0, 63, 158):
        def of(results):
            return statistics.median(100 * statement["clean_stops"] * statement["mean_us"] / 1e6 / statement["seconds"]
                                     for statement, _ in results)

        def used(results):
            return f"{100 * statistics.median(done.cpu / done.seconds for _, done in results):.1f} % of a core"
        for kind, command in (("C", [str(targets / "holes"), "--idle", str(idle)]),
                              ("Python", python.command("holes.py", "--library", targets / "libholes.so", "--idle", idle))):
            found = in_turns(bench, command, 100)
            yield from rows(f"{idle + 1} threads, {kind}", found, of, used)


def slowdown(bench, python):
    """A NumPy program, with native code: how much longer it takes, %"""
    command = bench.with_numpy(python).command("gray_scott_timed.py")
    for rate in (100, 1000):
        found = in_turns(bench, command, rate)

        def of(results):
            return 100 * median_of(results, "slower")

        def came(results, rate=rate):
            return f"{100 * statistics.median(done.samples / done.seconds for _, done in results) / rate:.0f} % of the samples"
        yield from rows(f"{rate} a second", found, of, came)


def busy(bench, python):
    """Busy threads, 100 a second: work that is done of what is done without a profiler, %"""
    del python  # native threads
    targets, processors = build_targets(bench), os.cpu_count()
    pspy = next((profiler for profiler in bench.profilers if profiler.name == "pspy"), None)
    for count in (processors, 2 * processors):
        command = [str(targets / "holes"), "--busy", str(count)]
        plain, found = [], []
        with preferred_session():
            for _ in range(bench.turns if pspy else 0):
                plain.append(undisturbed(command, bench.seconds)["turns_per_second"])
                found.append(statement_of(command, pspy, 100, bench.seconds))
        if found:
            ticks = statistics.median(done.samples / done.seconds / count for _, done in found)
            yield f"{count} threads, {processors} processors", "pspy", \
                (100 * median_of(found, "turns_per_second") / statistics.median(plain), f"{ticks:.0f} % of the ticks")


def take_events(programs, plain, profiled, turns):
    """What the program states by itself and below each profiler, in turns: ([statement], {name: [statement] or its words})."""
    own, found = [], {}
    with preferred(), tempfile.TemporaryDirectory(prefix="pspy-bench-") as folder:
        for _ in range(turns):
            own.append(programs.run(plain))
            for profiler in profiled:
                if isinstance(found.get(profiler.name), str):
                    continue
                try:
                    statement = programs.run(launch_words(profiler, plain, f"{folder}/out"))
                    found.setdefault(profiler.name, []).append(statement)
                except Unable as why:
                    found[profiler.name] = str(why)
    return own, found


def events(bench, python):
    """Processes and threads that end at once, one after the other, with -s at 100 a second: us that each takes longer"""
    programs = Events(bench.build)
    profilers = {"Python": [profiler for profiler in tracers(bench) if not isinstance(profiler, EmptyStops)]}
    profilers["C"] = [profiler for profiler in profilers["Python"] if isinstance(profiler, Pspy)]

    def median(statements, name):
        return statistics.median(statement[name] for statement in statements)
    for kind, count in ("processes", 5000), ("threads", 20000):
        for language, command in programs.commands(python, kind, count).items():
            own, found = take_events(programs, command, profilers[language], bench.turns)
            for name, statements in found.items():
                if isinstance(statements, str):
                    yield f"{kind}, {language}", name, statements
                    continue
                before, after = median(own, "mean_us"), median(statements, "mean_us")
                yield f"{kind}, {language}", name, \
                    (after - before, f"{after:.0f} of {before:.0f} us, {after / before:.2f}; from the child's end to the parent's return "
                     f"{median(statements, 'wait_us'):.0f} of {median(own, 'wait_us'):.0f} us, "
                     f"p99 {median(statements, 'wait_p99_us'):.0f} of {median(own, 'wait_p99_us'):.0f}")
