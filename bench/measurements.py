# SPDX-License-Identifier: MIT
"""What is measured. Each function yields (row, profiler's name, value); a value is a number, or a text where there is none.

A number is compared with pspy's of the same row. Each target is one process for all the profilers of a row, one after the
other.
"""
import json
import subprocess
import time

import disturbance
import stacks
from processes import Target, Unable

FASTEST = 1000000


def each(profilers, python, take):
    """(name, take(profiler)) for those that serve the interpreter; what one is unable to do is its value."""
    for profiler in profilers:
        if not profiler.serves(python):
            continue
        try:
            yield profiler.name, take(profiler)
        except (Unable, subprocess.SubprocessError) as why:
            yield profiler.name, str(why)


def with_loss(number, recording, form="%s"):
    """The number, and how many of the wanted samples are lost, if any."""
    lost = sum(recording.lost.values())
    share = lost / max(1, lost + recording.samples)
    return number, form % (f"{100 * share:.3g} % lost" if lost else "")


def stacks_of(recording):
    if not recording.stacks:
        raise Unable("no stacks to read")
    return recording


def refused(recording):
    """Samples that were taken and failed, by any cause but being late."""
    failed = sum(count for cause, count in recording.lost.items() if cause != "too late")
    return f", {100 * failed / (failed + recording.samples):.2g} % failed" if failed else ""


def rate(bench, python):
    """Samples a second at full speed"""
    for every in (20, 1):
        for depth in (10, 100):
            with Target(python.command("calls_at_depth.py", "--depth", depth, "--every", every, "--seconds", 0)) as target:
                def take(profiler):
                    done = profiler.record(target.pid, FASTEST, bench.seconds)
                    # At full speed what was not taken is no loss; a busy machine does not change the CPU of one sample.
                    return done.samples / done.seconds, f"{1e6 * done.cpu / max(1, done.samples):.1f} us of CPU each" + refused(done)
                for name, value in each(bench.profilers, python, take):
                    yield f"a call in {every} us, depth {depth}", name, value


def delivered(bench, python):
    """Of the wanted samples, % delivered"""
    for wanted in (1000, 10000):
        with Target(python.command("calls_at_depth.py", "--depth", 100, "--every", 20, "--seconds", 0)) as target:
            def take(profiler):
                done = profiler.record(target.pid, wanted, bench.seconds)
                return with_loss(100 * done.samples / (wanted * done.seconds), done)
            for name, value in each(bench.profilers, python, take):
                yield f"{wanted} a second, depth 100", name, value


FLUTTERS = {
    "calls": ("deep40", "deep60"),
    "calls and a loop": ("calls:9", "loop:22", "deep30"),
    "through C": ("partial30", "deep40"),
    "generators": ("generator20", "deep40"),
    "delegating generators": ("delegate20", "generator10", "deep10"),
}


def flutter_parts(python, parts):
    return [part for part in parts if not (python.minor == "2.7" and part.startswith("delegate"))]


def torn(bench, python):
    """Impossible stacks in 100,000 samples"""
    for title, parts in FLUTTERS.items():
        arguments = ("--seconds", 1e6, "--below", 20, *flutter_parts(python, parts))
        with Target(python.command("flutter.py", *arguments)) as target:
            graph = stacks.CallGraph(target.statement)

            def take(profiler):
                done = stacks_of(profiler.record(target.pid, bench.torn_rate, bench.seconds))
                verdict = stacks.judge(done.stacks, graph)
                bad = sum(verdict.faults.values())
                bench.note(python, title, profiler, done, verdict)
                return with_loss(1e5 * bad / max(1, verdict.judged), done, f"of {verdict.judged} %s")
            for name, value in each(bench.profilers, python, take):
                yield title, name, value


DUTIES = (("calls:9", "loop:22"), ("calls:22", "loop:9"), ("calls:3", "loop:28"), ("calls:1", "loop:1"),
          ("calls:9:0.5", "loop:22"), ("calls:9", "deep40", "loop:5"))


def shares(bench, python):
    """Shares of time: the worst function's distance from the truth, in standard deviations"""
    for wanted in (100, 1000):
        for parts in DUTIES:
            def take(profiler, parts=parts, wanted=wanted):
                with Target(python.command("flutter.py", "--seconds", 1e6, *parts)) as target:
                    statement = target.statement
                    done = stacks_of(profiler.record(target.pid, wanted, bench.share_seconds))
                    truth = stacks.bounds(target.finish())
                measured, samples = stacks.shares(done.stacks, stacks.CallGraph(statement), list(truth))
                worst = max(truth, key=lambda name: stacks.deviation(measured[name], *truth[name], samples))
                low, high = truth[worst]
                return with_loss(stacks.deviation(measured[worst], low, high, samples), done,
                                 f"{worst} {100 * measured[worst]:.1f} %% for {100 * (low + high) / 2:.1f} of {samples} %s")
            for name, value in each(bench.profilers, python, take):
                yield f"{' '.join(parts)} at {wanted}", name, value


def cpu(bench, python):
    """CPU of the profiler at 1 kHz, % of a core"""
    for frames in (10, 100):
        with Target(python.command("calls_at_depth.py", "--depth", frames, "--every", 20, "--seconds", 0)) as target:
            def take(profiler):
                short, long = two_lengths(profiler, target.pid, 1000, bench.seconds)
                value = 100 * (long.cpu - short.cpu) / (long.seconds - short.seconds)
                return with_loss(value, long, f"{long.samples / long.seconds:.0f} a second %s")
            for name, value in each(bench.profilers, python, take):
                yield f"depth {frames}", name, value


def two_lengths(profiler, pid, wanted, seconds):
    """What starting and writing cost is in both."""
    short, long = (profiler.record(pid, wanted, length) for length in (1, 1 + seconds))
    if long.samples <= short.samples or long.seconds <= short.seconds:
        raise Unable(f"{long.samples} samples")
    return short, long


def depth(bench, python):
    """CPU of one sample, us"""
    for frames in (100, 1000, 3000):
        with Target(python.command("calls_at_depth.py", "--depth", frames, "--every", 20, "--seconds", 0)) as target:
            def take(profiler):
                short, long = two_lengths(profiler, target.pid, 500, bench.seconds)
                value = 1e6 * (long.cpu - short.cpu) / (long.samples - short.samples)
                return with_loss(value, long, f"{100 * deepest(long, frames):.3g} %% whole %s")
            for name, value in each(bench.profilers, python, take):
                yield f"depth {frames}", name, value


def deepest(recording, frames):
    """The share of the samples that have all frames of the recursion."""
    whole = sum(count for stack, count in recording.stacks.items()
                if sum(frame.name == "down" for frame in stack) == frames)
    return whole / max(1, recording.samples)


def memory(bench, python):
    """PSS of the profiler, MB, recording NumPy at 100 a second"""
    numpy = bench.with_numpy(python)
    for native in (False, True):
        def take(profiler, native=native):
            done = profiler.record(process.pid, 100, bench.memory_seconds, native)
            return with_loss(done.pss / 1e6, done, f"{done.samples} samples %s")

        command = numpy.command("gray_scott.py", "--size", 128, "--steps", 10 ** 9)
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
            try:
                time.sleep(2)  # NumPy is loaded; nothing rests on it
                for name, value in each(bench.profilers, python, take):
                    yield "with native code" if native else "Python only", name, value
            finally:
                process.kill()


def recursion(bench, python):
    """Recursion of 50,000 frames at 50 Hz: % of the wanted samples that are whole"""
    with Target(python.command("calls_at_depth.py", "--depth", 50000, "--every", 20, "--seconds", 0)) as target:
        def take(profiler):
            done = profiler.record(target.pid, 50, bench.seconds)
            whole = deepest(done, 50000) * done.samples
            return with_loss(100 * whole / (50 * done.seconds), done,
                             f"{done.samples} samples, {whole:.0f} whole %s")
        for name, value in each(bench.profilers, python, take):
            yield "50,000 frames", name, value


def unwind(bench, python):
    """ns of CPU for a frame of a native stack, by pspy's rows and by libunwind with its cache warm, on one stack"""
    numpy = bench.with_numpy(python)
    program = bench.build / "tests" / "unit" / "print_walk"
    if not program.exists():
        raise Unable("make unit builds what it needs")
    command = numpy.command("gray_scott.py", "--size", 128, "--steps", 10 ** 9)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        try:
            time.sleep(2)  # NumPy is loaded; nothing rests on it
            done = subprocess.run([program, str(process.pid)], capture_output=True, text=True, check=False)
        finally:
            process.kill()
    if done.returncode:
        raise Unable(done.stderr.strip())
    found = json.loads(done.stdout)
    row = f"{found['frames']} frames of NumPy"
    yield row, "pspy", (found["ours"], "")
    yield row, "libunwind", (found["libunwind"], "")
    row = "its tables, ms"
    yield row, "pspy", (found["tables_us"] / 1000, f"{found['rows']} rows, {found['bytes'] / found['rows']:.2f} bytes each with their rules")


ALL = {"rate": rate, "delivered": delivered, "torn": torn, "shares": shares, "cpu": cpu, "depth": depth, "memory": memory,
       "recursion": recursion, "holes": disturbance.holes, "threads": disturbance.threads,
       "slowdown": disturbance.slowdown, "busy": disturbance.busy, "events": disturbance.events, "unwind": unwind}
