# SPDX-License-Identifier: MIT
"""The interpreter's own functions in native profiles: names against what CPython says of itself, shares against its clock."""
import functools
import json
import re
import subprocess
import textwrap

import pytest
from measure import is_python, launch, show
from test_shares import check_shares

# PATH, OFFSET, OWNER, NAME: the C functions of this interpreter's types and modules, as its own objects point to them. A
# method_descriptor holds its type, its names and a PyMethodDef {name, function, ...}; a wrapper_descriptor its slot's function.
FUNCTIONS = r"""
import ctypes, sys
import _json, array, collections, datetime, functools, io, itertools, math, re, time
def word(address):
    return ctypes.c_void_p.from_address(address).value or 0
def place(address):
    for start, end, offset, path in mappings:
        if start <= address < end:
            return path, address - start + offset
def state(definition, owner):
    where = place(word(definition + 8))
    if where:
        name = ctypes.c_char_p.from_address(definition).value.decode()
        print("%s\t%x\t%s\t%s" % (where + (owner, name)))
def walk(type_):
    if type_ not in seen:
        seen.add(type_)
        for name, value in list(vars(type_).items()):
            kind = type(value).__name__
            if kind in ("method_descriptor", "classmethod_descriptor"):
                state(word(id(value) + members), value.__objclass__.__name__)
            elif kind == "wrapper_descriptor":
                where = place(word(id(value) + members + 8))
                if where:
                    print("%s\t%x\t%s\t%s" % (where + (value.__objclass__.__name__, value.__name__)))
        for other in type.__subclasses__(type_):
            walk(other)
mappings, seen, head = [], set(), object.__basicsize__
members = head + (24 if sys.version_info[0] > 2 else 16)
for line in open("/proc/self/maps"):
    words = line.split()
    if len(words) > 5:
        start, end = [int(number, 16) for number in words[0].split("-")]
        mappings.append((start, end, int(words[2], 16), words[5]))
walk(object)
for module in list(sys.modules.values()):
    for value in list(vars(module).values()) if module else []:
        if type(value).__name__ == "builtin_function_or_method" and type(value.__self__).__name__ == "module":
            state(word(id(value) + head), value.__self__.__name__)
"""
KNOWN = {"list.sort", "str.split", "str.join", "sorted", "sum", "len", "math.sin", "list.__getitem__", "int.__mul__"}
# One function under two names, of which the tables of numbers, which are not read of Python 2, hold one.
TWICE = {("float", "__int__"): ["float.__trunc__"]}
COMPARISONS = {"__lt__", "__le__", "__eq__", "__ne__", "__gt__", "__ge__"}
CHANGES = {"__setitem__", "__delitem__"}


@functools.lru_cache(maxsize=None)
def segments(file):
    """(offset, address, size) of what is loaded."""
    headers = subprocess.run(["readelf", "-lW", file], capture_output=True, text=True, check=True, timeout=60).stdout
    return [(int(words[1], 16), int(words[2], 16), int(words[4], 16))
            for words in map(str.split, headers.splitlines()) if words[:1] == ["LOAD"]]


def vaddr_of(file, offset):
    """The address in the file of a byte of it."""
    return next(offset - start + vaddr for start, vaddr, size in segments(file) if start <= offset < start + size)


def is_right(said, owner, name):
    """What the tables say, against the owner and the name that the interpreter's own object states."""
    if " " in said:
        said_owner, _, member = said.partition(" ")
        right = name in {"comparison": COMPARISONS, "item change": CHANGES, "deallocation": set()}[member]
    else:
        said_owner, _, member = said.rpartition(".")
        # One function adds from either side, and a second table may state it under the same name.
        # Python 2's next is called __next__, too.
        right = member in (name, re.sub("^__r", "__", name), f"__{name}__")
    owners = [part.rpartition(".")[2].lstrip("_") for part in said_owner.split("/")]
    # Module _io calls itself io; builtins' names stand alone.
    return right and (owner.rpartition(".")[2].lstrip("_") in owners or said_owner in ("object", ""))


def test_names_of_c_functions(start, build, every_python):
    done = start([every_python, "-c", FUNCTIONS]).wait(60)
    assert done.status == 0, done.stderr
    files = {}
    for path, offset, owner, name in {tuple(line.split("\t")) for line in done.stdout.splitlines()}:
        files.setdefault(every_python.root + path, []).append((int(offset, 16), owner, name))
    wrong, said_of = [], set()
    for file, functions in files.items():
        questions = "".join(f"{vaddr_of(file, offset):x}\n" for offset, _, _ in functions)
        answers = subprocess.run([build / "tests/unit/print_elf", "pynames", file], input=questions, capture_output=True,
                                 text=True, check=True, timeout=120).stdout.splitlines()
        for (_, owner, name), answer in zip(functions, answers, strict=True):
            said = answer.partition(" ")[2]
            said_of.add(said)
            if said not in ("-", *TWICE.get((owner, name), ())) and not is_right(said, owner, name):
                wrong.append((said, owner, name))
    assert not wrong, wrong[:20]
    if every_python.minor > (2, 7):
        assert not KNOWN - said_of, KNOWN - said_of


# Which frame must stand below each function of the target; extension modules with debug information keep their C names.
BUILTINS = {"sort": ["list.sort"], "parse": ["_json.Scanner.__call__"], "match": ["re.Pattern.match"],
            "add": ["sum"], "join": ["str.join"]}
C_NAMES = {"scanner_call": "_json.Scanner.__call__"}


@pytest.mark.statistical
def test_shares_of_c_functions(run_pspy, repo, python, tmp_path):
    """A sample counts for a function only if the C function that has all its time stands there by the name Python knows."""
    path = tmp_path / "profile.txt"
    done = run_pspy(["record", "-n", "-r", "500", "-o", path, "--", python, repo / "sample_targets/builtin_shares.py",
                     "--seconds", "1.5"], check=0)
    statement = json.loads(done.stdout.splitlines()[-1])
    counts, samples = dict.fromkeys(BUILTINS, 0), 0
    for line in path.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [C_NAMES.get(name, name) for name in (frame.partition(" (")[0] for frame in stack.split(";"))]
        if not set(BUILTINS) & set(frames):
            continue
        samples += int(count)
        for name, wanted in BUILTINS.items():
            if name in frames and [frame for frame in frames[frames.index(name):] if frame in wanted] == wanted:
                counts[name] += int(count)
    assert sum(counts.values()) > 0.9 * samples, (counts, samples)
    check_shares({name: count / samples for name, count in counts.items()}, samples, statement, BUILTINS)


LOOKUPS = """
    import time
    TABLE = {str(n): n for n in range(100000)}
    KEYS = list(TABLE)
    def look():
        return sum(map(TABLE.get, KEYS))
    def free():
        return [[n] for n in range(20000)]
    end = time.monotonic() + 1
    while time.monotonic() < end:
        look(), free()
"""


@pytest.mark.statistical
def test_work_without_a_name_of_pythons(run_pspy, python):
    """dict lookups and the like: by CPython's symbols, where it has some."""
    recording = launch(run_pspy, [python, "-c", textwrap.dedent(LOOKUPS)], "-n", "-r", "500")
    below = {tuple(frame.name for frame in frames if not is_python(frame)) for frames in recording.stacks
             if "look" in [frame.name for frame in frames]}
    assert any(names[:3] == ("sum", "map.__next__", "dict.get") for names in below), below
    named = {name for names in below for name in names}
    seen = {frame.name for frames in recording.stacks for frame in frames}
    if not str(python).startswith("/usr/"):
        assert "dict lookup" in named, named
        assert "memory allocation" in seen, seen
    assert "list deallocation" in seen, seen


@pytest.mark.parametrize("options, is_folded", [(["-n"], True), (["--native-all"], False), (["-n", "--native-all"], False)],
                         ids=["folded", "all", "both"])
def test_switch(run_pspy, python, tmp_path, options, is_folded):
    program = tmp_path / "sorting.py"
    program.write_text("import time\nend = time.monotonic() + 0.4\nwhile time.monotonic() < end: sorted(range(5000))\n")
    recording = launch(run_pspy, [python, program], *options)
    sorting = [frames for frames in recording.stacks if "sorting.py" in [frame.file for frame in frames]]
    assert sorting, recording.stderr
    for frames in sorting:
        assert (frames[0].name == "<module>") == is_folded, show(frames)
        assert ("_start" in [frame.name for frame in frames]) != is_folded, show(frames)
    assert not recording.incomplete, recording.stderr
