# SPDX-License-Identifier: MIT
"""`make test`: the tests in two runs of pytest, then once more those whose verdict chance may have made.

First come the tests that want the machine for themselves, then those of which several may run at a time. When both runs
are over, each failed test that carries the mark `statistical` is run again, alone, twice. One that passes both times is
unsteady: it counts as passed, is named in the last lines, and has a property "unsteady" in the report. One that fails
again is a failure, and so is every other test that failed. More than MOST_UNSTEADY unsteady tests fail the run.

    runner.py TESTS REPORTS PROCESSES [argument of pytest]...

REPORTS gets junit.xml, junit-parallel.xml and unsteady.txt, a line for each unsteady test.
"""
import os
import pathlib
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

MOST_UNSTEADY = 3
# A run in which more statistical tests fail has failed for certain: which of them are unsteady says little then.
MOST_REPEATED = 12
NO_TESTS = 5  # pytest's status when a choice leaves no test
PARALLEL_FOLDERS = ("browser", "fuzz", "layout", "live")


def note_statistical(items):
    """Writes into the report which tests are statistical, and how each is called."""
    for item in items:
        if item.get_closest_marker("statistical"):
            item.user_properties.append(("statistical", item.nodeid))


class Runner:
    def __init__(self, tests, reports, processes, arguments):
        self.tests, self.reports = pathlib.Path(tests).resolve(), pathlib.Path(reports).resolve()
        self.processes, self.arguments = processes, arguments
        self.junits = [self.reports / "junit.xml", self.reports / "junit-parallel.xml"]
        self.list = self.reports / "unsteady.txt"

    def run(self):
        """0 when some tests ran and none failed."""
        self.reports.mkdir(parents=True, exist_ok=True)
        for path in (*self.junits, self.list):
            path.unlink(missing_ok=True)
        folders = [path for name in PARALLEL_FOLDERS for path in [self.tests / name] if path.is_dir()]
        statuses = [self.pytest(self.tests, "-m", "not parallel", f"--junit-xml={self.junits[0]}", *self.arguments),
                    self.pytest(*(folders or [self.tests]), "-m", "parallel", "-n", self.processes,
                                f"--junit-xml={self.junits[1]}", *self.arguments)]
        failed = [name for path in self.junits for name in failed_statistical(path)]
        unsteady = self.repeat(list(dict.fromkeys(failed)))
        # What pytest says else, like an interruption, no repetition changes.
        only_failures = all(status in (0, 1, NO_TESTS) for status in statuses)
        left = sum([forgive(path, unsteady) for path in self.junits])
        self.tell(unsteady)
        return int(not (only_failures and left == 0 and len(unsteady) <= MOST_UNSTEADY
                        and any(status != NO_TESTS for status in statuses)))

    def pytest(self, *arguments):
        return subprocess.run([sys.executable, "-m", "pytest", *map(str, arguments), "-o",
                               f"cache_dir={self.reports / 'pytest_cache'}"], check=False).returncode

    def repeat(self, names):
        """Those of the tests that pass twice, alone."""
        if names:
            print(f"\n{len(names)} statistical tests failed; each runs again alone:", *names, sep="\n  ", flush=True)
        if len(names) > MOST_REPEATED:
            print(f"{len(names) - MOST_REPEATED} of them stay failures without another run: this run has failed anyway")
        return [name for name in names[:MOST_REPEATED]
                if all(self.pytest(self.tests / name) == 0 for _ in range(2))]

    def tell(self, unsteady):
        self.list.write_text("".join(f"{name}\n" for name in unsteady), encoding="utf-8")
        for name in unsteady:
            print(f"unsteady: {name}")
        if len(unsteady) > MOST_UNSTEADY:
            print(f"{len(unsteady)} tests are unsteady; more than {MOST_UNSTEADY} fail the run")


def parse(path):
    try:
        return ElementTree.parse(path)
    except (OSError, ElementTree.ParseError):  # no run, or a broken-off one, which its status tells
        return None


def statistical_name(case):
    return next((each.get("value") for each in case.iter("property") if each.get("name") == "statistical"), None)


def bad_parts(case):
    return [part for part in case if part.tag in ("failure", "error")]


def failed_statistical(path):
    tree = parse(path)
    return [] if tree is None else [statistical_name(case) for case in tree.iter("testcase")
                                    if bad_parts(case) and statistical_name(case)]


def forgive(path, unsteady):
    """Makes the unsteady tests of the report passed ones; how many failures are left."""
    tree = parse(path)
    if tree is None:
        return 0
    left = 0
    for suite in tree.iter("testsuite"):
        for case in suite.iter("testcase"):
            for part in bad_parts(case):
                if statistical_name(case) not in unsteady:
                    left += 1
                    continue
                ElementTree.SubElement(case.find("properties"), "property", name="unsteady", value=part.get("message", ""))
                case.remove(part)
                count = "failures" if part.tag == "failure" else "errors"
                suite.set(count, str(int(suite.get(count)) - 1))
    tree.write(path, encoding="utf-8", xml_declaration=True)
    return left


if __name__ == "__main__":
    os.chdir(os.environ.get("REPO", "."))
    sys.exit(Runner(*sys.argv[1:4], sys.argv[4:]).run())
