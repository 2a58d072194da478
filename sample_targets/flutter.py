# SPDX-License-Identifier: MIT
"""Calls that come and go within microseconds, by functions whose every legal stack is stated.

    flutter.py [--seconds S] [--below N] PART PART ...

The parts run in turn, each one timed by the clock. A PART is KIND[DEPTH][:MICROSECONDS[:LEAF]]:

    deep40        a chain of 40 functions, down and up again
    partial30     the same, each call through C (functools.partial)
    generator20   a chain of generators, resumed by each other's `for`
    delegate20    the same by `yield from`
    calls:9       about 9 us of calls of a function that does nothing
    calls:9:0.5   the same, of a function that counts for about 0.5 us
    loop:22       about 22 us in a loop without a call

--below N puts N frames of a recursion below all that. The first line printed is the call graph: `edges` holds
[caller, line, callee] of every call there is, `functions` the first and last line of each. The last line holds the
`shares` of the parts by the clock, and how much of each is not the part's but the loop's around it (`between`); of
`calls` with LEAF, `leaves` holds bounds of the leaf's share in its part. Works with CPython 2.7 and later.
"""
import argparse
import functools
import json
import os
import re
import signal
import sys
import time

import position

clock = getattr(time, "perf_counter", time.time)
PART = re.compile(r"([a-z]+)(\d*)(?::([\d.]+))?(?::([\d.]+))?$")

SHORTEST = 1e-7  # s; a difference of two measured times may be anything


class Source(object):
    """Text of a program that is written function by function, and its call graph."""

    def __init__(self):
        self.lines, self.functions, self.edges = [], {}, []

    def function(self, name, arguments, *body):
        """`body`: lines, or (line, callee) where a function of the graph is called. Returns the name."""
        self.lines.append("def %s(%s):" % (name, arguments))
        first = len(self.lines)
        for line in body:
            callee = None
            if isinstance(line, tuple):
                line, callee = line
            self.lines.append("    " + line)
            if callee:
                self.edges.append([name, len(self.lines), callee])
        self.functions[name] = [first, len(self.lines)]
        return name

    def run(self, names):
        exec(compile("\n".join(self.lines) + "\n", "flutter_parts.py", "exec"), names)


def write_chain(source, name, depth, call):
    """name_0 calls name_1 on one line of several, and so on: a caller that stands on another line is torn."""
    for level in range(depth):
        this, callee = "%s_%d" % (name, level), "%s_%d" % (name, level + 1)
        if level + 1 < depth:
            source.function(this, "x", "y = x + 1", ("y = " + call % callee, callee), "return y - 1")
        else:
            source.function(this, "x", "return x + 1")
    source.function(name, "n, m", "while n:", ("    %s_0(n)" % name, name + "_0"), "    n -= 1")


def write_deep(source, name, depth):
    write_chain(source, name, depth, "%s(y)")


def write_partial(source, name, depth):
    write_chain(source, name, depth, "partial(%s, y)()")


def write_generators(source, name, depth, resume):
    for level in range(depth):
        this, callee = "%s_%d" % (name, level), "%s_%d" % (name, level + 1)
        if level + 1 < depth:
            source.function(this, "n", "n += 1", *resume(callee))
        else:
            source.function(this, "n", "while n > 0:", "    yield n", "    n -= 1")
    source.function(name, "n, m", ("for x in %s_0(n):" % name, name + "_0"), "    n -= 1")


def write_generator(source, name, depth):
    write_generators(source, name, depth, lambda callee: (("for x in %s(n):" % callee, callee), "    yield x"))


def write_delegate(source, name, depth):
    write_generators(source, name, depth, lambda callee: (("yield from %s(n)" % callee, callee),))


def write_calls(source, name, _depth):
    source.function(name + "_leaf", "m", "while m:", "    m -= 1")
    source.function(name, "n, m", "while n:", ("    %s_leaf(m)" % name, name + "_leaf"), "    n -= 1")


def write_loop(source, name, _depth):
    source.function(name, "n, m", "while n:", "    n -= 1")


KINDS = {"deep": write_deep, "partial": write_partial, "generator": write_generator, "delegate": write_delegate,
         "calls": write_calls, "loop": write_loop}
DEFAULT_TURNS = {"deep": 1, "partial": 1, "generator": 10, "delegate": 10, "calls": 200, "loop": 1000}


def write_flutter(source, parts):
    """The loop around the parts. It reads the clock between them and calls nothing else."""
    body = ["turns = 0", "last = clock()", "while last < end[0]:", "    turns += 1"]
    for index, part in enumerate(parts):
        body += [("    %s(%s_n, %s_m)" % (part.name, part.name, part.name), part.name),
                 "    now = clock()", "    spent[%d] += now - last" % index, "    last = now"]
    source.function("flutter", "end", *(body + ["cycles[0] = turns"]))
    source.function("below", "depth, end", "if depth:", ("    return below(depth - 1, end)", "below"),
                    ("return flutter(end)", "flutter"))


def cheapest(function, *arguments):
    """Seconds of one call; the least of several, as whatever disturbs makes it longer."""
    costs = []
    for _ in range(200):
        start = clock()
        function(*arguments)
        costs.append(clock() - start)
    return min(costs)


class Part(object):
    def __init__(self, index, text):
        match = PART.match(text)
        if not match or match.group(1) not in KINDS:
            sys.exit("flutter.py: %r is no part: KIND[DEPTH][:MICROSECONDS[:LEAF]], KIND one of %s"
                     % (text, ", ".join(sorted(KINDS))))
        self.kind, depth, length, leaf = match.groups()
        self.name = "%s_%s" % (self.kind, "abcdefgh"[index])
        self.depth, self.leaf = int(depth or 1), float(leaf or 0) * 1e-6 if self.kind == "calls" else 0.0
        self.length = float(length or 0) * 1e-6

    def tune(self, names):
        """How often the part's loop turns."""
        function, loop = names[self.name], names["loop_tuning"]
        turn = max(SHORTEST, cheapest(loop, 2000, 0) - cheapest(loop, 1000, 0)) / 1000
        names[self.name + "_m"] = self.turns = int(round(self.leaf / turn))
        self.calls = DEFAULT_TURNS[self.kind]
        if self.length:
            once = max(SHORTEST, cheapest(function, 600, self.turns) - cheapest(function, 300, self.turns)) / 300
            self.calls = max(1, int(round(self.length / once)))
        names[self.name + "_n"] = self.calls

    def leaf_bounds(self, names):
        """At least the leaf's own loop, at most all that is not the calling loop; shares of the part."""
        function, calls = names[self.name], 20 * self.calls
        whole, empty = cheapest(function, calls, self.turns), cheapest(names["loop_tuning"], calls, 0)
        loop = cheapest(function, calls, 2 * self.turns) - whole
        return [loop / whole, 1 - empty / whole]


def between_parts(names, parts):
    """Seconds that the loop itself spends for one part, which the clock counts as the part's."""
    for part in parts:
        names[part.name], names[part.name + "_n"] = names["loop_tuning"], 0
    costs = []
    for _ in range(20):
        start = clock()
        names["flutter"]([start + 0.001])
        costs.append((clock() - start) / max(1, names["cycles"][0]) / len(parts))
    return min(costs)


def parse_arguments():
    parser = argparse.ArgumentParser(description="flutters between branches of calls")
    parser.add_argument("parts", nargs="+", metavar="PART", help="such as deep40 or calls:9")
    parser.add_argument("--seconds", type=float, default=10.0, help="length (default 10)")
    parser.add_argument("--below", type=int, default=0, metavar="N", help="frames of a recursion below")
    return parser.parse_args()


def state(statement):
    sys.stdout.write(json.dumps(statement) + "\n")
    sys.stdout.flush()


def prepare(parts):
    """The functions' namespace and the call graph."""
    source, names = Source(), {"clock": clock, "partial": functools.partial, "spent": [0.0] * len(parts),
                            "cycles": [0]}
    write_loop(source, "loop_tuning", 1)
    for part in parts:
        KINDS[part.kind](source, part.name, part.depth)
    write_flutter(source, parts)
    source.run(names)
    return source, names


def main():
    arguments = parse_arguments()
    parts = [Part(index, text) for index, text in enumerate(arguments.parts)]
    source, names = prepare(parts)
    for part in parts:
        part.tune(names)
    sys.setrecursionlimit(arguments.below + 1000)
    end = [float("inf")]

    def leave(*_):
        end[0] = 0.0

    position.leave_when_asked(0, lambda number: signal.signal(number, leave))
    state({"target": "flutter", "pid": os.getpid(), "python": sys.version.split()[0], "root": "flutter",
           "functions": source.functions, "edges": source.edges, "below": arguments.below,
           "outer": ["main", "<module>"], "parts": [part.name for part in parts]})
    start = clock()
    end[0] = min(end[0], start + arguments.seconds)
    names["below"](arguments.below, end)
    total, spent, turns = clock() - start, list(names["spent"]), names["cycles"][0]
    leaves = {part.name + "_leaf": part.leaf_bounds(names) for part in parts if part.turns}
    state({"target": "flutter", "pid": os.getpid(), "seconds": total,
           "shares": {part.name: used / total for part, used in zip(parts, spent)},
           "between": between_parts(names, parts) * turns / total, "leaves": leaves})


if __name__ == "__main__":
    main()
