# SPDX-License-Identifier: MIT
"""Times the steps of gray_scott.py, to show what a profiler makes longer.

It announces itself by a line and steps on. At the end (SIGTERM, stdin) it states by how much stops made it slower: the
median of the steps during which it was stopped (it gave its CPU away, which NumPy does only where a tracer stops it), over
that of the others, times their number. Steps during which another program had the CPU do not count.
"""
import argparse
import json
import os
import resource
import signal
import time

import gray_scott
import position


def switches():
    """How often the thread gave its CPU away, and how often it lost it."""
    usage = resource.getrusage(resource.RUSAGE_THREAD)
    return usage.ru_nvcsw, usage.ru_nivcsw


def watch(size, is_over):
    """[(seconds, stops)] of the steps."""
    u, v = gray_scott.initial_fields(size)
    steps = []
    before, last = switches(), time.perf_counter()
    while not is_over:
        u, v = gray_scott.step(u, v)
        now, after = time.perf_counter(), switches()
        if after[1] == before[1]:
            steps.append((now - last, after[0] - before[0]))
        before, last = after, time.perf_counter()
    return steps


def median(values):
    return sorted(values)[len(values) // 2] if values else 0.0


def state(steps):
    plain, stopped = ([seconds for seconds, stops in steps if bool(stops) == wanted] for wanted in (False, True))
    step = median(plain)
    return {"target": "gray_scott_timed", "steps": len(steps), "step_us": 1e6 * step, "stopped": len(stopped),
            "slower": (median(stopped) - step) * len(stopped) / (step * len(steps)) if plain and stopped else 0.0}


def main():
    parser = argparse.ArgumentParser(description="times the steps of gray_scott.py")
    parser.add_argument("--size", type=int, default=96, help="cells per side (default 96)")
    arguments = parser.parse_args()
    is_over = []
    position.leave_when_asked(0, lambda number: signal.signal(number, lambda *_: is_over.append(True)))
    print(json.dumps({"target": "gray_scott_timed", "pid": os.getpid()}), flush=True)
    print(json.dumps(state(watch(arguments.size, is_over))), flush=True)


if __name__ == "__main__":
    main()
