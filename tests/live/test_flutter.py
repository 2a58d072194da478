# SPDX-License-Identifier: MIT
"""Programs whose calls come and go within microseconds: no stack that cannot be, and shares as their clock says."""
import json
import pathlib
import sys

import pytest

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import stacks

SIGMAS = 5
BELOW = 20
BRANCHES = {"calls": ["deep40", "deep60", "calls:5"], "through C": ["partial30", "deep40"],
            "generators": ["generator20", "deep20"], "delegates": ["delegate20", "generator10"]}


def record(run_pspy, python, repo, output, options, arguments):
    """{stack: samples} of a run of flutter.py from its start to its end; its call graph and its last statement."""
    path = repo / "sample_targets/flutter.py"
    done = run_pspy(["record", "-f", "raw", "-o", output / "profile", *options, "--", python, path, *arguments], check=0)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return stacks.parse_folded((output / "profile").read_text()), stacks.CallGraph(lines[0]), lines[-1]


@pytest.mark.parametrize("branches", BRANCHES)
def test_every_stack_is_possible(run_pspy, every_python, repo, output, branches):
    if branches == "delegates" and every_python.minor < (3, 3):
        pytest.skip("this Python has no `yield from`")
    recorded, graph, _ = record(run_pspy, every_python, repo, output, ["-r", "2000"],
                                ["--seconds", "1", "--below", str(BELOW), *BRANCHES[branches]])
    verdict = stacks.judge(recorded, graph)
    assert verdict.judged >= 50, recorded
    assert not verdict.faults, verdict.example
    # What ran last, the program may have taken with it.
    assert verdict.unknown <= verdict.judged / 10
    check_checker(recorded, graph)


def check_checker(recorded, graph):
    """What the judge must see: of each possible stack a spliced, a cut and a shifted one are impossible."""
    whole = [stack for stack in recorded if stack[-1].name in graph.functions and len(stack) > BELOW + 10
             and not any(frame.name.startswith("[") for frame in stack)]
    other = max(whole, key=len)
    for stack in whole[:50]:
        shifted = stack[:-2] + (stack[-2]._replace(line=10**6), stack[-1])
        for wrong in (stack[:-3] + stack[-2:], stack[3:], shifted):
            assert graph.fault(wrong), wrong
        if stack[BELOW + 4].name != other[BELOW + 4].name:
            assert graph.fault(stack[:-1] + other[len(stack) - 1:]), (stack, other)


@pytest.mark.thorough  # records for seconds; test_shares.py has a shorter one of the kind
@pytest.mark.statistical
@pytest.mark.parametrize("parts", [["calls:9:0.5", "loop:22"], ["calls:3", "loop:28"]], ids=["9 of 31", "3 of 31"])
@pytest.mark.parametrize("rate", [100, 1000])
def test_shares(run_pspy, python, repo, output, most_of_three, parts, rate):
    """By function, the leaves' too, where stopping the program is allowed."""
    def check():
        recorded, graph, truth = record(run_pspy, python, repo, output, ["-r", str(rate)], ["--seconds", "2", *parts])
        expected = stacks.bounds(truth)
        measured, samples = stacks.shares(recorded, graph, list(expected))
        assert samples >= 50
        faults = [f"{name}: {measured[name]:.4f} of {samples} samples, stated {low:.4f} to {high:.4f}"
                  for name, (low, high) in expected.items()
                  if stacks.deviation(measured[name], low, high, samples) > SIGMAS]
        assert not faults

    most_of_three(check)
