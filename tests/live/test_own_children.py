# SPDX-License-Identifier: MIT
"""-s, and what is near pspy itself: children that are not the program's, orphans of the program, pspy below its own target."""
import json
import re
import subprocess
import sys

PIDS = re.compile(r'process (\d+):"')


def pids(text):
    return set(map(int, PIDS.findall(text)))


def test_strangers(start, pspy, tmp_path):
    """A shell that becomes pspy leaves it a child, like `-o >(gzip)` does: the recording neither shows it nor waits for it."""
    path = tmp_path / "profile.txt"
    shell = 'sleep 3600 >/dev/null 2>&1 & exec "$@"'
    program = "import os, json; print(json.dumps({'pid': os.getpid()})); sum(range(10 ** 7))"
    shell = start(["sh", "-c", shell, "sh", pspy, "record", "-s", "-i", "-o", path, "--", sys.executable, "-c", program],
                  stdin=subprocess.DEVNULL)
    statement = shell.wait_json()
    assert shell.wait().status == 0
    assert pids(path.read_text()) == {statement["pid"]}


PARENT = """
import json, os, subprocess, sys
for duration in "0.3", "2", "8":
    pspy = subprocess.Popen([*sys.argv[1:], "-d", duration, "-p", str(os.getpid())])
    if pspy.wait() or os.path.getsize(sys.argv[-1]):
        break
print(json.dumps({"pid": os.getpid()}))
"""


def test_not_itself(start_target, pspy, tmp_path):
    path = tmp_path / "profile.txt"
    target = start_target([sys.executable, "-c", PARENT, pspy, "record", "-s", "-i", "-o", path])
    assert pids(path.read_text()) == {target.statement["pid"]}


ORPHAN = """
import json, os, sys, time
def wait_until(holds):
    end = time.monotonic() + 50
    while not holds() and time.monotonic() < end: time.sleep(0.01)
    return holds()
def is_collected():
    try:
        os.kill(orphan, 0)
    except ProcessLookupError:
        return True
    return False
is_over = wait_until(lambda: os.path.exists(sys.argv[1]))
read, write = os.pipe()
middle = os.fork()
if not middle:
    orphan = os.fork()
    if orphan:
        os.write(write, str(orphan).encode())
    os._exit(0)
os.waitpid(middle, 0)
orphan = int(os.read(read, 20))
print(json.dumps({"is_over": is_over, "is_collected": wait_until(is_collected)}))
"""


def test_orphans_are_collected(run_pspy, tmp_path):
    """Also after the recording, while pspy waits for the program's end."""
    path = tmp_path / "profile.txt"
    done = run_pspy(["record", "-s", "-d", "0.3", "-o", path, "--", sys.executable, "-c", ORPHAN, path], deadline=120, check=0)
    assert json.loads(done.stdout) == {"is_over": True, "is_collected": True}, done.stderr
