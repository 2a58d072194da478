# SPDX-License-Identifier: MIT
"""Recorded stacks, and whether they are possible: judged by the call graph that flutter.py states."""
import collections
import math
import re

Frame = collections.namedtuple("Frame", "name line")  # line 0: none shown

FOLDED_FRAME = re.compile(r"(?P<name>.*) \([^()]*?(?::(?P<line>\d+))?\)$")
AUSTIN_FRAME = re.compile(r"[^:]*:(?P<name>[^:]*):(?P<line>\d+)$")
MARKERS = ("<GC>",)  # no function: a state
THREAD = re.compile(r"P\d+$|T\d+:\d+$|thread \(|tid:")


def parse(text, pattern):
    """{tuple of Frame, root first: samples}; `pattern` reads one frame, what it does not match is the name."""
    stacks = collections.Counter()
    for line in text.splitlines():
        labels, _, count = line.rpartition(" ")
        if line.startswith("#") or not count.isdigit() or not labels:
            continue
        matches = [(pattern.match(label), label) for label in labels.split(";") if not THREAD.match(label)]
        stacks[tuple(Frame(match["name"], int(match["line"] or 0)) if match else Frame(label, 0)
                     for match, label in matches)] += int(count)
    return stacks


def parse_folded(text):
    """pspy's and py-spy's: root (file.py:3);leaf (file.py:7) 12"""
    return parse(text, FOLDED_FRAME)


def parse_austin(text):
    """Austin's: P1;T0:1;/x/file.py:root:3;/x/file.py:leaf:7 120 - a sample is a line, its number is microseconds."""
    stacks = collections.Counter()
    for line in text.splitlines():
        labels, _, _ = line.rpartition(" ")
        stacks.update(parse(labels + " 1", AUSTIN_FRAME))
    return stacks


class CallGraph:
    """What flutter.py stated: which stacks there can be."""

    def __init__(self, statement):
        self.functions, self.outer = statement["functions"], statement["outer"][::-1]
        self.edges = {(caller, line, callee) for caller, line, callee in statement["edges"]}
        self.callers = {(caller, callee) for caller, _, callee in self.edges}
        self.below = statement["below"] + 1

    def is_outside(self, stack):
        """Taken before or after the fluttering: the main function does something else, or does not run yet."""
        names = [frame.name for frame in stack]
        if names[:len(self.outer)] == self.outer:
            return len(names) == len(self.outer) or names[len(self.outer)] not in self.functions
        return not any(name in self.functions for name in names)

    def fault(self, stack):
        """Why there can be no such stack; None if there can."""
        names = [frame.name for frame in stack]
        first = next(i for i, name in enumerate(names) if name in self.functions)
        if names[:first] != self.outer or names[first] != "below":
            return "root"
        for caller, callee in zip(stack[first:], stack[first + 1:]):
            if (caller.name, callee.name) not in self.callers:
                return "caller"
            if caller.line and (caller.name, caller.line, callee.name) not in self.edges:
                return "line"
        if "flutter" in names and names.count("below") != self.below:
            return "depth"
        begin, end = self.functions[names[-1]]
        return None if not stack[-1].line or begin <= stack[-1].line <= end else "line"


Verdict = collections.namedtuple("Verdict", "judged outside unknown faults example")


def judge(stacks, graph):
    """`faults`: {kind: samples}; `example`: one impossible stack as text; `unknown`: samples with a frame whose function
    the profiler says it does not know, which are not judged."""
    judged, outside, unknown, faults, example = 0, 0, 0, collections.Counter(), ""
    for stack, count in stacks.items():
        if stack[-1].name in MARKERS:
            stack = stack[:-1]
        if any(frame.name.startswith("[unknown") for frame in stack):
            unknown += count
            continue
        if graph.is_outside(stack):
            outside += count
            continue
        judged += count
        fault = graph.fault(stack)
        if fault:
            faults[fault] += count
            example = example or fault + ": " + ";".join("%s:%d" % frame for frame in stack)
    return Verdict(judged, outside, unknown, faults, example)


def shares(stacks, graph, names):
    """{name: share of the fluttering samples in whose stack the function is}, and their number."""
    counts, total = dict.fromkeys(names, 0), 0
    for stack, count in stacks.items():
        if graph.is_outside(stack):
            continue
        seen = {frame.name for frame in stack}
        if "flutter" not in seen:
            continue
        total += count
        for name in names:
            counts[name] += count * (name in seen)
    return {name: count / max(total, 1) for name, count in counts.items()}, total


def bounds(truth):
    """{function: (least, most)} share of the time, of what flutter.py stated. Some more than its due was counted
    as a part's. `between` is that as an empty loop has it, whose code and branches are all in the caches: up to three times
    as much was met by pspy and by py-spy, so four times is allowed; a turn of 2 us thus proves little."""
    between = truth["between"]
    found = {name: (share - 4 * between, share + between) for name, share in truth["shares"].items()}
    for leaf, (least, most) in truth["leaves"].items():
        low, high = found[leaf[:-len("_leaf")]]
        found[leaf] = (low * least, high * most)
    return found


def deviation(measured, low, high, samples):
    """How many standard deviations of the binomial a share lies outside of its bounds."""
    nearest = min(max(measured, low), high)
    return abs(measured - nearest) / math.sqrt(max(nearest * (1 - nearest), 1e-6) / max(samples, 1))
