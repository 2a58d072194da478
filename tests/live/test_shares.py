# SPDX-License-Identifier: MIT
"""Shares of time: what pspy counts agrees with what the target's own CPU clock says."""
import json
import math

import pytest

pytestmark = pytest.mark.statistical

FUNCTIONS = ("hot", "warm", "cold")
SIGMAS = 5


def check_shares(counted, samples, statement, functions=FUNCTIONS):
    """`counted`: {function: its share of the samples}. Five standard deviations of the binomial.

    Only what the functions had is shared out: how long the interpreter takes to start is not the target's to state.
    A thread that waits for a CPU runs, for pspy, and waits with it: on a busy machine the truth lies between the shares of
    CPU and those of elapsed time."""
    assert samples >= 50, samples  # of 500 that were due: a busy machine gives pspy few CPUs
    seen, stated = (sum(shares.get(name, 0) for name in functions) for shares in (counted, statement["shares"]))
    counted = {name: counted.get(name, 0) / seen for name in functions}
    samples *= seen
    for name in functions:
        wanted = statement["shares"][name] / stated
        if "wall_shares" in statement:
            low, high = sorted((wanted, statement["wall_shares"][name] / sum(statement["wall_shares"].values())))
            wanted = min(max(low, counted[name]), high)
        # What is spent outside of the three is in none of the truths, but may be next to any.
        tolerance = SIGMAS * math.sqrt(wanted * (1 - wanted) / samples) + abs(statement["other"])
        assert abs(counted.get(name, 0) - wanted) <= tolerance, \
            f"{name}: {counted.get(name, 0):.3f} of {samples} samples, stated {wanted:.3f}, tolerance {tolerance:.3f}"


def raw_shares(text):
    counts = {}
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        names = [frame.partition(" ")[0] for frame in stack.split(";")]
        name = next((name for name in reversed(names) if name in FUNCTIONS), names[-1])
        counts[name] = counts.get(name, 0) + int(count)
    samples = sum(counts.values())
    return {name: count / samples for name, count in counts.items()}, samples


def speedscope_shares(text):
    document = json.loads(text)
    names = [frame["name"] for frame in document["shared"]["frames"]]
    weights, samples = {}, 0
    for profile in document["profiles"]:
        for stack, weight in zip(profile["samples"], profile["weights"]):
            if not stack:
                continue
            name = next((names[i] for i in reversed(stack) if names[i] in FUNCTIONS), names[stack[-1]])
            weights[name] = weights.get(name, 0) + weight
            samples += 1
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}, samples


SHARES_OF = {"raw": raw_shares, "speedscope": speedscope_shares}


def measure(run_pspy, tmp_path, argv, form, options):
    """The program runs from pspy's start to its end, so both speak of the same seconds."""
    path = tmp_path / "profile"
    done = run_pspy(["record", "-r", "500", "-f", form, "-o", path, *options, "--", *argv], check=0)
    statement = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    shares, samples = SHARES_OF[form](path.read_text())
    check_shares(shares, samples, statement)


@pytest.mark.parametrize("form, options", [("raw", []), ("raw", ["-n"]), ("raw", ["--nonblocking"]),
                                           ("speedscope", [])],
                         ids=["raw", "native", "nonblocking", "speedscope"])
def test_python(run_pspy, repo, python, tmp_path, form, options):
    measure(run_pspy, tmp_path, [python, repo / "sample_targets/shares.py", "--seconds", "1"], form, options)


@pytest.mark.parametrize("form", SHARES_OF)
def test_native(run_pspy, build, tmp_path, form):
    measure(run_pspy, tmp_path, [build / "sample_targets/shares", "--seconds", "1"], form, ["-n"])


FLUTTER = """
import json, time
def calls(n):
    for _ in range(n):
        leaf()
def leaf():
    pass
def loop(n):
    while n: n -= 1
def clock():
    return time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID)
def cost(function, n, times):
    start = clock()
    for _ in range(times):
        function(n)
    return (clock() - start) / times
def flutter(times):
    for _ in range(times):
        calls(100)
        loop(300)
# No call of the kernel while it flutters: what each part costs is measured before and after.
before = cost(calls, 100, 2000), cost(loop, 300, 2000)
start, times = clock(), int(1.2 / sum(before))
flutter(times)
spent = clock() - start
after = cost(calls, 100, 2000), cost(loop, 300, 2000)
costs = [(a + b) / 2 * times / spent for a, b in zip(before, after)]
wander = sum(abs(a - b) for a, b in zip(before, after)) / sum(before)
print(json.dumps({"shares": dict(zip(("calls", "loop"), costs)), "other": abs(1 - sum(costs)) + wander}), flush=True)
"""


@pytest.mark.parametrize("options", [[], ["-n"]], ids=["stopped", "native"])
def test_fluttering_python(run_pspy, python, tmp_path, most_of_three, options):
    """Calls that come and go within microseconds are neither favoured nor passed over."""
    path, program = tmp_path / "profile", tmp_path / "flutter.py"
    program.write_text(FLUTTER)

    def check():
        done = run_pspy(["record", "-r", "500", "-f", "raw", "-o", path, *options, "--", python, program], check=0)
        statement = json.loads(done.stdout.splitlines()[-1])
        counts, samples = {"calls": 0, "loop": 0}, 0
        for line in path.read_text().splitlines():
            stack, _, count = line.rpartition(" ")
            if ";flutter (" not in stack:
                continue
            samples += int(count)
            for name in counts:
                if f";{name} (" in stack:
                    counts[name] += int(count)
        check_shares({name: count / samples for name, count in counts.items()}, samples, statement, counts)

    most_of_three(check)
