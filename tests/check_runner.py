# SPDX-License-Identifier: MIT
"""tests/runner.py: which failures are repeated, and what becomes of them."""
import pathlib
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

TESTS = pathlib.Path(__file__).resolve().parent
CONFTEST = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
import runner
def pytest_collection_modifyitems(items):
    runner.note_statistical(items)
"""
# bad(NAME, TIMES): fails the first, second, ... time if its number is in TIMES; each time is one line of the file NAME.
HEAD = """
import os
import pytest
pytestmark = pytest.mark.{kind}
def bad(name, times):
    with open(os.path.join(os.path.dirname(__file__), name), "a+") as file:
        file.write(os.environ.get("PYTEST_XDIST_WORKER", "alone") + "\\n")
        file.seek(0)
        count = len(file.readlines())
        assert count not in times, "chance <&>"
"""
TEST = """
{mark}
def test_{name}():
    bad("{name}.runs", {times})
"""


@pytest.fixture
def run(tmp_path):
    """run(tests=[(name, which of its runs fail, is statistical)], kind="parallel") -> the finished process; `.runs`:
    {name: [where]}, `.unsteady`, `.counts` of (tests, failures), `.properties`."""

    def run_one(tests, kind="parallel", more=()):
        (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n parallel:\n alone:\n statistical:\njunit_family = xunit1\n")
        (tmp_path / "conftest.py").write_text(CONFTEST)
        for file, rows, mark in ("test_a.py", tests, kind), ("test_b.py", more, "alone"):
            (tmp_path / file).write_text(HEAD.format(kind=mark) + "".join(
                TEST.format(name=name, times=times, mark="@pytest.mark.statistical" if statistical else "")
                for name, times, statistical in rows))
        done = subprocess.run([sys.executable, TESTS / "runner.py", tmp_path, tmp_path / "reports", "2"], capture_output=True,
                              text=True, check=False, cwd=tmp_path, env={"PATH": "/usr/bin:/bin", "REPO": str(tmp_path)})
        done.runs = {path.stem: path.read_text().split() for path in tmp_path.glob("*.runs")}
        done.unsteady = (tmp_path / "reports/unsteady.txt").read_text().split()
        trees = [ElementTree.parse(path) for path in sorted((tmp_path / "reports").glob("junit*.xml"))]
        done.counts = [sum(int(suite.get(name)) for tree in trees for suite in tree.iter("testsuite"))
                       for name in ("tests", "failures")]
        done.properties = [each.get("value").splitlines()[0] for tree in trees for each in tree.iter("property")
                           if each.get("name") == "unsteady"]
        return done

    return run_one


@pytest.mark.parametrize("kind", ["parallel", "alone"])
def test_one_that_fails_the_first_time_is_unsteady(run, kind):
    done = run([("good", (), True), ("chance", (1,), True)], kind)
    assert done.returncode == 0, done.stdout
    assert len(done.runs["good"]) == 1 and done.runs["chance"][1:] == ["alone", "alone"]
    assert done.unsteady == ["test_a.py::test_chance"] and "unsteady: test_a.py::test_chance\n" in done.stdout
    assert done.counts == [2, 0] and done.properties and "chance <&>" in done.properties[0]


@pytest.mark.parametrize("times", [(1, 2), (1, 2, 3)], ids=["the second time", "always"])
def test_one_that_fails_again_is_a_failure(run, times):
    done = run([("bad", times, True)])
    assert done.returncode == 1 and done.unsteady == [] and done.counts == [1, 1]
    assert len(done.runs["bad"]) == 2  # the verdict stands when the first repetition fails


def test_one_that_passes_only_once_is_a_failure(run):
    done = run([("odd", (1, 3), True)])
    assert len(done.runs["odd"]) == 3 and done.returncode == 1 and done.unsteady == []


def test_no_other_test_is_repeated(run):
    done = run([("plain", (1,), False), ("chance", (1,), True)])
    assert done.returncode == 1 and done.counts == [2, 1]
    assert len(done.runs["plain"]) == 1 and len(done.runs["chance"]) == 3
    assert done.unsteady == ["test_a.py::test_chance"]


@pytest.mark.parametrize("count, status", [(1, 0), (2, 1)])
def test_more_than_three_fail_the_run(run, count, status):
    """Of both runs of pytest together."""
    done = run([(f"chance{number}", (1,), True) for number in range(2)],
               more=[(f"other{number}", (1,), True) for number in range(count)])
    assert (done.returncode, len(done.unsteady), done.counts[1]) == (status, 2 + count, 0), done.stdout


def test_no_test_at_all_is_no_success(run):
    assert run([]).returncode == 1
