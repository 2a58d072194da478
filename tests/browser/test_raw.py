# SPDX-License-Identifier: MIT
"""Folded stacks: the lines, and speedscope's importer of them."""
from browser.test_speedscope import SANDWICH, open_in_speedscope, read_sandwich  # noqa: F401 (a fixture)


def test_lines(emit):
    assert emit("known", "raw", "known.txt").read_text() == (
        "main (app.py:1);idle (app.py:1) 3\n"
        "main (app.py:1);inner (app.py:1) 5\n"
        "main (app.py:1);work (app.py:1) 4\n"
        "main (app.py:1);work (app.py:1);inner (app.py:1) 3\n")


def test_hostile_names_make_no_lines(emit):
    lines = emit("hostile", "raw", "hostile.txt").read_text().splitlines()
    assert len(lines) == 21
    assert all(line.startswith("main (app.py:1);") and line.count(";") == 1 and line.endswith(") 1") for line in lines)


def test_sorted_and_merged(emit):
    stacks = [line.rsplit(b" ", 1)[0] for line in emit("realistic", "raw", "realistic.txt").read_bytes().splitlines()]
    assert stacks == sorted(set(stacks))


def test_another_importer_reads_it(emit, open_in_speedscope):  # noqa: F811
    rows = open_in_speedscope(emit("known", "raw", "known.txt"), SANDWICH)[3]
    assert set(read_sandwich(rows, units={"": 1})) == {"main (app.py:1)", "idle (app.py:1)", "inner (app.py:1)", "work (app.py:1)"}
