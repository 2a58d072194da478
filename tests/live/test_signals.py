# SPDX-License-Identifier: MIT
"""Signals end the recording, never lose the profile, and reach the program as often as without pspy."""
import errno
import json
import os
import pty
import re
import select
import shutil
import signal
import sys
import time

import pytest
from measure import DEADLINE, is_sampling, status_field, wait_sampling, wait_ticks, wait_until

# Counts the signals it gets; says so once it is told, by SIGUSR1, that no more will come. The names in argv end it.
COUNTER = """
import collections, json, os, signal, sys
got = collections.Counter()
over = False
def note(number, frame):
    global over
    name = signal.Signals(number).name
    got[name] += 1
    over = over or name == "SIGUSR1" or name in sys.argv[1:]
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGQUIT, signal.SIGCONT):
    if signal.getsignal(number) != signal.SIG_IGN:
        signal.signal(number, note)
print(json.dumps({"pid": os.getpid(), "ignored": [name for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGCHLD")
                                                  if signal.getsignal(getattr(signal, name)) == signal.SIG_IGN]}),
      flush=True)
while not over:
    sum(range(1000))
print(json.dumps(got), flush=True)
sys.exit(5)
"""


@pytest.fixture
def counter(tmp_path):
    path = tmp_path / "counter.py"
    path.write_text(COUNTER)
    return [sys.executable, path]


def is_waiting(profiler):
    """pspy has said that it only waits for the program's end."""
    return any("waiting for its end" in line for line in profiler.errors)


def assert_valid(path):
    """A folded profile with samples, and no temporary file beside it."""
    lines = path.read_text().splitlines()
    assert lines and all(int(line.rsplit(" ", 1)[1]) > 0 for line in lines)
    assert sorted(os.listdir(path.parent)) == sorted([path.name])


@pytest.fixture
def profile(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder / "x.txt"


# ---- sent by kill --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_the_recording_of_a_program(start_target, counter, pspy, profile, name):
    """SIGTERM and SIGHUP are passed on once, however often they come; SIGINT is not."""
    profiler = start_target([pspy, "record", "-r", "500", "-o", profile, "--", *counter])
    program = profiler.statement["pid"]
    wait_sampling(profiler.pid, program)
    for _ in range(20):
        profiler.signal(getattr(signal, name))
    wait_until(lambda: is_waiting(profiler), "the end of sampling")
    assert_valid(profile)
    os.kill(program, signal.SIGUSR1)
    done = profiler.wait(DEADLINE)
    assert done.status == 5
    assert json.loads(done.stdout) == {"SIGUSR1": 1, **({name: 1} if name != "SIGINT" else {})}


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_the_recording_of_a_process(start, start_target, counter, pspy, profile, name):
    """Nothing is sent to a process that pspy did not start."""
    target = start_target(counter)
    profiler = start([pspy, "record", "-o", profile, "-r", "500", "-p", str(target.pid)])
    wait_sampling(profiler.pid, target.pid)
    for _ in range(20):
        profiler.signal(getattr(signal, name))
    assert profiler.wait(DEADLINE).status == 0
    assert_valid(profile)
    target.signal(signal.SIGUSR1)
    done = target.wait(DEADLINE)
    assert (done.status, json.loads(done.stdout)) == (5, {"SIGUSR1": 1})


def test_signals_all_at_once(start_target, counter, pspy, profile):
    profiler = start_target([pspy, "record", "-r", "1000", "-n", "-o", profile, "--", *counter])
    wait_sampling(profiler.pid, profiler.statement["pid"])
    for turn in range(60):
        profiler.signal([signal.SIGINT, signal.SIGTERM, signal.SIGHUP][turn % 3])
    wait_until(lambda: is_waiting(profiler), "the end of sampling")
    os.kill(profiler.statement["pid"], signal.SIGUSR1)
    done = profiler.wait(DEADLINE)
    assert done.status == 5
    assert json.loads(done.stdout) == {"SIGTERM": 1, "SIGHUP": 1, "SIGUSR1": 1}
    assert_valid(profile)


def test_a_signal_while_waiting_is_passed_on(start_target, counter, pspy, profile):
    """After the duration pspy only stands for the program."""
    profiler = start_target([pspy, "record", "-d", "0.2", "-o", profile, "--", *counter, "SIGTERM"])
    wait_until(lambda: is_waiting(profiler), "the end of sampling")
    profiler.signal(signal.SIGINT)
    profiler.signal(signal.SIGTERM)
    done = profiler.wait(DEADLINE)
    assert (done.status, json.loads(done.stdout)) == (5, {"SIGTERM": 1})
    assert_valid(profile)


def test_a_program_that_dies_by_the_signal(start_target, repo, pspy, profile):
    profiler = start_target([pspy, "record", "-o", profile, "--", sys.executable, "-c",
                             "print('{}', flush=True)\nwhile True: sum(range(1000))"])
    wait_until(lambda: b"-c" in open(f"/proc/{profiler.pid}/cmdline", "rb").read(), "the start")
    profiler.signal(signal.SIGTERM)
    assert profiler.wait(DEADLINE).status == 128 + signal.SIGTERM
    assert profile.exists()
    assert os.listdir(profile.parent) == [profile.name]


# ---- dispositions --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_an_ignored_signal_stays_ignored_in_the_program(start_target, counter, pspy, profile, name):
    number = getattr(signal, name)
    profiler = start_target([pspy, "record", "-o", profile, "--", *counter],
                            preexec_fn=lambda: signal.signal(number, signal.SIG_IGN))
    program = profiler.statement["pid"]
    assert name in profiler.statement["ignored"]
    wait_sampling(profiler.pid, program)
    is_ignored = int(status_field(profiler.pid, "SigIgn"), 16) >> (number - 1) & 1
    assert is_ignored == (name != "SIGINT")
    profiler.signal(number)
    os.kill(program, number)
    if name == "SIGINT":  # a script's `pspy ... &` ignores it, and `kill -INT` shall end the recording all the same
        wait_until(lambda: is_waiting(profiler), "the end of sampling")
    os.kill(program, signal.SIGUSR1)
    done = profiler.wait(DEADLINE)
    assert (done.status, json.loads(done.stdout)) == (5, {"SIGUSR1": 1})


def test_nohup(start_target, counter, pspy, profile):
    for words in ([shutil.which("nohup"), pspy, "record", "-o", profile, "--", *counter],
                  [pspy, "record", "-o", profile, "--", shutil.which("nohup"), *counter]):
        profiler = start_target(words)
        assert profiler.statement["ignored"] == ["SIGHUP"]
        wait_sampling(profiler.pid, profiler.statement["pid"])
        profiler.signal(signal.SIGHUP)
        os.kill(profiler.statement["pid"], signal.SIGUSR1)
        done = profiler.wait(DEADLINE)
        assert (done.status, json.loads(done.stdout)) == (5, {"SIGUSR1": 1})


def test_ignored_sigchld(start_target, counter, pspy, profile):
    """With it the kernel throws exit statuses away: not so in pspy, but still so in the program."""
    profiler = start_target([pspy, "record", "-o", profile, "--", *counter],
                            preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    assert profiler.statement["ignored"] == ["SIGCHLD"]
    os.kill(profiler.statement["pid"], signal.SIGUSR1)
    assert profiler.wait(DEADLINE).status == 5


@pytest.mark.parametrize("prepare", ["nothing", "blocked", "ignored"])
def test_mask_and_dispositions_are_as_without_pspy(start, pspy, profile, prepare):
    def arrange():
        if prepare == "blocked":
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2, signal.SIGCHLD, signal.SIGWINCH])
        if prepare == "ignored":
            for number in (signal.SIGUSR1, signal.SIGPIPE, signal.SIGCHLD, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)

    program = ["grep", "-E", "^(Sig(Blk|Ign|Cgt)|ShdPnd|NoNewPrivs|Seccomp):", "/proc/self/status"]
    bare = start(program, preexec_fn=arrange).wait(DEADLINE)
    done = start([pspy, "record", "-o", profile, "--", *program], preexec_fn=arrange).wait(DEADLINE)
    assert bare.status == 0 and bare.stdout.count("\n") == 6
    assert done.stdout == bare.stdout


# ---- a terminal ----------------------------------------------------------------------------------------------------

class Terminal:
    """A program as the leader of a terminal's foreground group, as a shell starts it."""

    def __init__(self, argv, **environment):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.environ.update(environment)
                os.execvp(str(argv[0]), [str(word) for word in argv])
            finally:
                os._exit(99)
        self.text, self.status = "", None

    def read(self, timeout=0.1):
        if self.fd < 0 or not select.select([self.fd], [], [], timeout)[0]:
            return False
        try:
            got = os.read(self.fd, 65536)
        except OSError as gone:
            assert gone.errno == errno.EIO
            return False
        self.text += got.decode(errors="replace")
        return bool(got)

    def expect(self, words, count=1):
        end = time.monotonic() + DEADLINE
        while self.text.count(words) < count:
            assert time.monotonic() < end, f"{words!r} never came: {self.text!r}"
            self.read()
        return self.text

    def send(self, keys):
        os.write(self.fd, keys.encode())

    def wait(self):
        """The exit status, as a shell's."""
        end = time.monotonic() + DEADLINE
        while self.status is None:
            assert time.monotonic() < end, f"no end: {self.text!r}"
            self.read(0.02)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                self.status = code if code >= 0 else 128 - code
        while self.read(0):
            pass
        return self.status

    def hang_up(self):
        os.close(self.fd)
        self.fd = -1

    def close(self):
        if self.status is None:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            os.waitpid(self.pid, 0)
        if self.fd >= 0:
            os.close(self.fd)


@pytest.fixture
def terminal():
    opened = []

    def open_one(argv, **environment):
        opened.append(Terminal(argv, **environment))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def statement(screen):
    """The first JSON object on the terminal."""
    screen.expect("}")
    start = screen.text.index("{")
    return json.JSONDecoder().raw_decode(screen.text[start:])[0]


def test_ctrl_c_reaches_the_program_once(terminal, counter, pspy, profile):
    screen = terminal([pspy, "record", "-r", "500", "-o", profile, "--", *counter])
    program = statement(screen)["pid"]
    wait_sampling(screen.pid, program)
    screen.send("\x03")
    screen.expect("waiting for its end")
    assert_valid(profile)
    os.kill(program, signal.SIGUSR1)
    assert screen.wait() == 5
    assert json.loads(re.search(r'\{"SIG[^}]*\}', screen.text)[0]) == {"SIGINT": 1, "SIGUSR1": 1}


def test_ctrl_c_with_a_program_that_ends_by_it(terminal, pspy, profile):
    screen = terminal([pspy, "record", "-o", profile, "--", "sh", "-c", "echo '{}'; while :; do :; done"])
    screen.expect("{}")
    wait_until(lambda: is_sampling(screen.pid), "sampling")
    wait_ticks(screen.pid, 10)
    screen.send("\x03")
    assert screen.wait() == 128 + signal.SIGINT
    assert profile.exists()
    assert "Wrote" in screen.text or "wrote" in screen.text


@pytest.mark.parametrize("leader", ["pspy", "shell"])
def test_hang_up_of_the_terminal_reaches_the_program_once(terminal, counter, pspy, profile, tmp_path, leader):
    """The kernel tells the session's leader, and when that has ended the foreground group, along with a SIGCONT."""
    log = tmp_path / "log"
    script = f'exec "$@" >{log}' if leader == "pspy" else f'"$@" >{log}; :'
    screen = terminal(["sh", "-c", script, "sh", pspy, "record", "-o", profile, "--", *counter])
    wait_until(lambda: log.exists() and log.read_text().endswith("\n"), "the start")
    program = json.loads(log.read_text())["pid"]
    wait_sampling(int(status_field(program, "PPid")), program)
    screen.hang_up()
    wait_until(profile.exists, "the profile")
    os.kill(program, signal.SIGUSR1)
    wait_until(lambda: log.read_text().count("\n") == 2, "the program's end")
    expected = {"SIGHUP": 1, "SIGUSR1": 1, **({} if leader == "pspy" else {"SIGCONT": 1})}
    assert json.loads(log.read_text().splitlines()[1]) == expected
    assert_valid(profile)


@pytest.fixture
def shell(terminal):
    """An interactive shell: job control needs one, as nothing stops in a group that nobody could continue."""
    screen = terminal(["bash", "--norc", "--noprofile", "-i"], PS1="$ ", TERM="dumb")
    screen.expect("$ ")
    return screen


def stop_and_continue(shell, turn, profiler):
    """Ctrl-Z, look, fg."""
    shell.send("\x1a")
    shell.expect("Stopped", turn + 1)
    assert status_field(profiler, "State").startswith("T")
    yield
    shell.send("fg\n")
    wait_until(lambda: not status_field(profiler, "State").startswith("T"), "pspy's continuing")


def test_ctrl_z_and_fg(shell, pspy, profile, repo):
    """Both stop; fg continues both; the profile is whole."""
    target = repo / "sample_targets" / "stack_py.py"
    shell.send(f"{pspy} record -r 500 -o {profile} -- {sys.executable} {target} --seconds 0\n")
    program = statement(shell)["pid"]
    profiler = int(status_field(program, "PPid"))
    wait_sampling(profiler, program)
    for turn in range(3):
        for _ in stop_and_continue(shell, turn, profiler):
            wait_until(lambda: status_field(program, "State").startswith("T"), "the program's stop")
            assert status_field(program, "TracerPid") == "0"
        wait_until(lambda: status_field(program, "State")[0] not in "T", "the program's continuing")
    os.kill(program, signal.SIGTERM)
    shell.expect("wrote")
    shell.send("echo status=$?\n")
    shell.expect("status=0\r\n")
    assert_valid(profile)
    assert "leaf" in profile.read_text()


def test_ctrl_z_leaves_the_process_running(shell, start_target, pspy, profile, repo):
    """It may come while threads are held: they are let go before pspy stops."""
    target = start_target([sys.executable, repo / "sample_targets" / "stack_py.py", "--threads", "3"])
    shell.send(f"{pspy} record -r 2000 -n -i -o {profile} -p {target.pid} & echo pid=$! || :; fg >/dev/null\n")
    wait_until(lambda: shell.read() and "\n" in shell.text.partition("pid=")[2].partition("pid=")[2], "pspy's pid")
    profiler = int(shell.text.rpartition("pid=")[2].split()[0])
    wait_sampling(profiler, target.pid)
    for turn in range(40):
        for _ in stop_and_continue(shell, turn, profiler):
            for tid in os.listdir(f"/proc/{target.pid}/task"):
                assert status_field(f"{target.pid}/task/{tid}", "TracerPid") == "0", f"turn {turn}"
    shell.send("\x03")
    shell.expect("wrote")
    assert_valid(profile)


def test_timeout(start_target, pspy, counter, profile):
    """timeout(1) sends SIGTERM to pspy and then to its group: the program gets that one and at most one from pspy. Its
    time is over when SIGALRM comes, whoever sends it."""
    timeout = start_target(["timeout", "-s", "TERM", "600", pspy, "record", "-o", profile, "--", *counter, "SIGTERM"])
    program = timeout.statement["pid"]
    wait_sampling(int(status_field(program, "PPid")), program)
    timeout.signal(signal.SIGALRM)
    done = timeout.wait(DEADLINE)
    assert done.status == 124
    assert json.loads(done.stdout)["SIGTERM"] in (1, 2)
    assert_valid(profile)
