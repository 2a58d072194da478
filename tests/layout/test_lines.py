# SPDX-License-Identifier: MIT
"""pspy's line tables against what each interpreter says itself: the line, and from 3.11 on the column, of every byte
of the code of many functions."""
import subprocess

import pytest


def run(*command, **arguments):
    done = subprocess.run([str(word) for word in command], capture_output=True, timeout=300, check=False, **arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def shape_of(version):
    if version >= (3, 11):
        return "locations"
    if version >= (3, 10):
        return "ranges"
    return "signed" if version >= (3, 6) else "unsigned"


# Runs in each interpreter: writes the tables of all code objects and what they should say.
TABLES = r"""
import ast, ctypes, os, struct, sys

def truth(code):
    # (line, column) of every byte of the code, and of the one behind it.
    size = len(code.co_code)
    if hasattr(code, "co_positions"):
        said = [(line or 0, 0 if column is None else column + 1) for line, _, column, _ in code.co_positions()]
        assert len(said) <= size // 2
        said += [(0, 0)] * (size // 2 - len(said))
        return [said[byte // 2] for byte in range(size)] + [(0, 0)]
    line_of, code = ctypes.pythonapi.PyCode_Addr2Line, ctypes.py_object(code)
    return [(max(line_of(code, byte), 0), 0) for byte in range(size + 1)]

def write(code):
    table = code.co_linetable if hasattr(code, "co_linetable") else code.co_lnotab
    tables.write(struct.pack("III", code.co_firstlineno, len(table), len(code.co_code)) + table)
    wanted.write(" ".join("%d:%d" % place for place in truth(code)) + "\n")

def walk(code):
    write(code)
    for constant in code.co_consts:
        if isinstance(constant, type(code)):
            walk(constant)

def far():
    # Steps of more than 127 and 255 lines, both ways, and of 70,000; each call's line is above its arguments'.
    yield "x = (1,\n" + "\n" * 70000 + "2, g)\n" + "def f():\n  return [\n" + "\n" * 300 + "f(\n\n1) for _ in x]\n"
    for gap in 1, 126, 127, 128, 129, 254, 255, 256, 257, 511, 1000:
        lines = "\n" * gap
        yield "def f():\n a(b(" + lines + "c(),\n" + lines + "d(1," + lines + "e)))" + lines + "\n return f\nf()\n"
        yield "x = 1" + lines + "y = [" + lines + "x, " + lines + "(x + " + lines + "y)(x)]\n"

def wide():
    # Much code on one line, and the line that follows; columns that need one byte, two and more.
    for count in 1, 40, 63, 64, 84, 85, 86, 127, 128, 300, 5000:
        yield "(" + "g(x), " * count + ")\ny\n" + "x = y; " * count + "\nif x:\n  y(1,\n 2)\n"
        yield "def f(x):\n  return x" + ".a(x)" * min(count, 50) + "\n"

def odd():
    yield ""
    yield "\n\n\n"
    yield "# -*- coding: utf-8 -*-\ndef f(x):\n  u'\xc3\xa4\xe2\x82\xac'; f(u'\xf0\x9f\x90\x8d\xf0\x9f\x90\x8d', x(1))\n"
    yield "@a\n@b(\n 1,\n 2)\n\n@c\ndef f(x=\n  g(1)):\n  pass\n\n@d\n\nclass C(\n object):\n  '''doc'''\n  x = 1\n\n\n  y = 2\n"
    yield "def f(x):\n try:\n  with x as y:\n   for z in y:\n    yield z\n except (A,\n   B):\n  raise\n finally:\n  g()\n"
    yield "f = lambda x: (\n x(\n1) or\n[i\nfor i\nin x\nif i])\ng = {a:\nb for a\nin f for\nb in a}\nassert f(\n1), g(\n2)\n"
    yield "def f(x):\n if __debug__:\n  x()\n while x:\n  if x.y:\n   continue\n  x = (x\n   if x else\n  y)\n else:\n  return\n"

def shuffled():
    # As generated code has it: each statement stands somewhere else.
    tree = ast.parse("a()\nb(c(d, [\ne\n]))\n" * 2 + "def f(x): return [g(\ny) for y in x]\nf(a)\n" * 100)
    for number, node in enumerate(ast.walk(tree)):
        if hasattr(node, "lineno"):
            node.lineno = node.end_lineno = 1 + number * 7919 % 1009
            node.end_col_offset = node.col_offset + 3
    yield tree

def library():
    folder = os.path.dirname(os.__file__)
    for name in ("argparse", "ast", "decimal", "_pydecimal", "dataclasses", "enum", "inspect", "pickle", "subprocess",
                 "tarfile", "typing", "asyncio/base_events", "turtle", "http/client", "lib-tk/turtle", "zipfile"):
        path = os.path.join(folder, name + ".py")
        if os.path.exists(path):
            with open(path, "rb") as source:
                yield source.read()

def bytes_of(text):
    return text.encode("latin-1") if isinstance(text, type(u"")) else text

with open(sys.argv[1] + "/tables", "wb") as tables, open(sys.argv[1] + "/wanted", "w") as wanted:
    for sources in far(), wide(), odd(), shuffled(), library():
        for source in sources:
            walk(compile(bytes_of(source), "source.py", "exec"))
    if hasattr(walk.__code__, "co_linetable"):
        write(walk.__code__.replace(co_linetable=b""))
"""


@pytest.mark.parametrize("options", [[], ["-O"], ["-X", "no_debug_ranges"]], ids=["plain", "optimized", "no columns"])
def test_lines_of_every_byte(every_python, build, tmp_path, options):
    version = every_python.minor
    if "no_debug_ranges" in options and version < (3, 11):
        pytest.skip("no columns before 3.11")
    run(every_python, *options, "-c", TABLES, tmp_path)
    with open(tmp_path / "tables", "rb") as tables:
        found = run(build / "tests/unit/print_lines", shape_of(version), stdin=tables).decode().splitlines()
    wanted = (tmp_path / "wanted").read_text().splitlines()
    check_truth(wanted, version, options)
    assert len(found) == len(wanted)
    for number, (mine, its) in enumerate(zip(found, wanted)):
        assert mine == its, f"code object {number}"


def check_truth(wanted, version, options):
    """The sources reach what they are meant to reach."""
    codes = [[tuple(int(part) for part in place.split(":")) for place in text.split()] for text in wanted]
    steps = [now[0] - before[0] for places in codes for before, now in zip(places, places[1:]) if now[0] and before[0]]
    columns = {column for places in codes for _, column in places}
    assert len(codes) > 1000
    assert max(line for places in codes for line, _ in places) > 70000
    assert max(steps) > 65535
    assert version < (3, 6) or min(steps) < -255, "only 2.7's lines never go back"
    if version >= (3, 11) and "no_debug_ranges" not in options:
        assert {1, 100, 1000} <= columns and max(columns) > 10000
    else:
        assert columns == {0}
