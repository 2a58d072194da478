# SPDX-License-Identifier: MIT
"""A file has at most 520 lines, and a function 60: what is longer is two things."""
from conftest import REPO

FILE_MOST = 520
FUNCTION_MOST = 60
SOURCES = sorted(path for folder in ("src", "include", "tests/unit", "tests/fuzz") for path in (REPO / folder).rglob("*.[ch]"))


def functions(lines):
    """(number of its first line, lines) of each function: its body lies between a { and a } that begin a line."""
    start = None
    for number, line in enumerate(lines):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            head = start - 1
            while head > 0 and lines[head].startswith(" "):
                head -= 1
            yield head + 1, number - head + 1
            start = None


def complaints(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    if len(lines) > FILE_MOST:
        yield f"{path.relative_to(REPO)}: {len(lines)} lines"
    for first, length in functions(lines):
        if length > FUNCTION_MOST:
            yield f"{path.relative_to(REPO)}:{first}: a function of {length} lines"


def test_sizes():
    assert len(SOURCES) > 100
    assert not [complaint for path in SOURCES for complaint in complaints(path)]


def test_functions_are_found():
    text = "static int one(int a,\n               int b)\n{\n    return a;\n}\n\nint two(void)\n{\n" + "    x();\n" * 70 + "}\n"
    assert list(functions(text.splitlines())) == [(1, 5), (7, 73)]
