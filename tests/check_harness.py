# SPDX-License-Identifier: MIT
"""The test set-up itself: a harness that cannot fail proves nothing."""
import os
import subprocess
import sys
import time

import pytest
from conftest import Started, marked_processes, parse_tap


def verdicts(output, status=0):
    return [(result.name, "skip" if result.skip else "pass" if result.passed else "fail")
            for result in parse_tap(output, status, "program")]


def test_tap_results():
    text = "1..4\nok 1 - first\nnot ok 2 - second # 3 is not 4\nok 3 - third # SKIP no kernel\nok 4\n"
    assert verdicts(text, 1) == [("first", "pass"), ("second", "fail"), ("third", "skip"), ("test 4", "pass")]
    assert parse_tap(text, 1, "program")[1].why == "3 is not 4"
    assert parse_tap(text, 1, "program")[2].skip == "no kernel"


def test_tap_notes_before_a_failure_are_shown():
    assert "# got 5" in parse_tap("# got 5\nnot ok 1 - a\n1..1\n", 1, "program")[0].why


@pytest.mark.parametrize("text, status, why", [
    ("ok 1 - a\n", 0, "no plan"),
    ("1..2\nok 1 - a\n", 0, "planned 2"),
    ("1..1\nok 1 - a\n", -11, "SIGSEGV"),
    ("1..1\nok 1 - a\n", 1, "exit status is 1"),
    ("", 0, "no plan"),
    ("Bail out! no disk\n", 1, "Bail out"),
])
def test_tap_broken_streams_fail(text, status, why):
    results = parse_tap(text, status, "program")
    assert any(not result.passed and why in result.why for result in results)


def test_tap_whole_program_skipped():
    assert parse_tap("1..0 # SKIP not this machine\n", 0, "program")[0].skip == "not this machine"


def test_start_target_waits_for_its_json(start_target):
    target = start_target([sys.executable, "-c", "print('noise'); print('{\"pid\": 7}', flush=True); input()"])
    assert target.statement == {"pid": 7}
    target.process.stdin.close()
    assert target.wait(20).status == 1


def test_start_target_says_why_it_did_not_come(start_target):
    with pytest.raises(AssertionError, match="status 3.*broken"):
        start_target([sys.executable, "-c", "import sys; sys.stderr.write('broken\\n'); sys.exit(3)"])
    with pytest.raises(AssertionError, match="no JSON line"):
        start_target(["sleep", "60"], deadline=0.2)


def test_descendants_are_killed():
    """Also one that left the session and whose parent is gone."""
    script = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n" \
             "        print('{\"pid\": %d}' % os.getpid(), flush=True)\n        time.sleep(600)\n    os._exit(0)\ntime.sleep(600)"
    started = Started([sys.executable, "-c", script])
    orphan = started.wait_json()["pid"]
    assert orphan in marked_processes(started.mark)
    started.kill()
    end = time.monotonic() + 20
    while marked_processes(started.mark) and time.monotonic() < end:
        time.sleep(0.01)
    assert not marked_processes(started.mark)


def test_install_deps_wants_nothing_that_is_there(repo):
    """A package is listed when its probe fails, and only then."""
    script = str(repo / "tests" / "install-deps.sh")
    bare = subprocess.run(["/bin/sh", script, "--list", "build"], capture_output=True, text=True, check=True,
                          env={**os.environ, "CC": "no-such-compiler"}).stdout.split()
    assert "no-such-compiler" in bare and "libelf-dev" in bare
    here = subprocess.run(["/bin/sh", script, "--list", "build"], capture_output=True, text=True, check=True,
                          env={**os.environ, "CC": "gcc"}).stdout.split()
    assert here == []
