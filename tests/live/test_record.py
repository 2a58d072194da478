# SPDX-License-Identifier: MIT
"""What `pspy record` does around the sampling: output, the program's surroundings and exit status, odd targets."""
import errno
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

import pytest
from measure import DEADLINE, status_field, wait_sampling, wait_ticks, wait_until
from test_shares import check_shares

EXIT_PSPY = 125
FORMATS = ["flamegraph", "speedscope", "raw", "chrometrace"]

# Runs on a 64-bit kernel without any 32-bit library: announces itself, then burns time.
PROGRAM_32 = """
static void say(const char *text, int length)
{
    int answer;
    __asm__ volatile("int $0x80" : "=a"(answer) : "a"(4), "b"(1), "c"(text), "d"(length) : "memory");
}
void _start(void)
{
    say("{}\\n", 3);
    for (;;)
        ;
}
"""


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "out"
    path.mkdir()
    return path


@pytest.fixture
def shares(build):
    return build / "sample_targets" / "shares"


def state(pid):
    return status_field(pid, "State")[0]


def one_sentence(outcome):
    """The text of the only line on stderr."""
    lines = outcome.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("pspy: "), outcome.stderr
    return lines[0][len("pspy: "):]


def assert_valid(path, output_format):
    text = path.read_text()
    if output_format == "flamegraph":
        assert ElementTree.fromstring(text).tag.endswith("svg")
    elif output_format == "raw":
        assert all(re.fullmatch(r".+ \d+", line) for line in text.splitlines())
    else:
        assert json.loads(text) is not None


# ---- the output ----------------------------------------------------------------------------------------------------

@pytest.mark.skipif(os.geteuid() != 0, reason="changes its user")
def test_a_folder_that_may_not_be_written(start, pspy, tmp_path, folder):
    """The program is not started."""
    open_to_nobody(tmp_path)
    mark = folder / "started"
    folder.chmod(0o755)
    done = start(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", pspy, "record", "-o", folder / "x.svg",
                  "--", "touch", mark]).wait(DEADLINE)
    assert done.status == EXIT_PSPY
    assert "Permission denied" in one_sentence(done)
    assert os.listdir(folder) == []


def open_to_nobody(path):
    """pytest's folders are the owner's alone."""
    while path != path.parent:
        path.chmod(path.stat().st_mode | 0o055)
        if not (path.parent.stat().st_uid == os.geteuid() and path.parent.name.startswith(("pytest", "test"))):
            break
        path = path.parent


@pytest.mark.parametrize("name", ["no/such/folder/x.svg", "", ".", "x.svg/y"])
def test_a_path_that_cannot_be(run_pspy, folder, name):
    (folder / "x.svg").write_text("old")
    done = run_pspy(["record", "-o", name, "--", "touch", "started"], cwd=folder, check=EXIT_PSPY)
    one_sentence(done)
    assert os.listdir(folder) == ["x.svg"]
    assert (folder / "x.svg").read_text() == "old"


@pytest.mark.parametrize("link", [False, True])
def test_old_content_stays_until_the_new_is_whole(start, start_target, pspy, folder, link, repo):
    real = folder / "real"
    real.mkdir()
    path = real / "x.txt"
    path.write_text("old\n")
    given = folder / "link.txt" if link else path
    if link:
        given.symlink_to("real/x.txt")
    target = start_target([sys.executable, repo / "sample_targets" / "stack_py.py"])
    profiler = start([pspy, "record", "-o", given, "-p", str(target.pid)])
    wait_sampling(profiler.pid, target.pid)
    assert path.read_text() == "old\n"
    assert len(os.listdir(real)) == 2  # the temporary file is beside the real one
    profiler.signal(signal.SIGINT)
    assert profiler.wait(DEADLINE).status == 0
    assert "leaf" in path.read_text()
    assert os.listdir(real) == ["x.txt"]
    assert given.is_symlink() == link


@pytest.mark.parametrize("program,status", [(["/etc/passwd"], 126), (["./nothing"], 127), (["no-such-program"], 127),
                                            (["/"], 126), (["/etc/passwd/x"], 127)])
def test_a_program_that_cannot_start(run_pspy, folder, program, status):
    (folder / "x.svg").write_text("old")
    done = run_pspy(["record", "-o", "x.svg", "--", *program], cwd=folder, check=status)
    assert program[0] in one_sentence(done)
    assert os.listdir(folder) == ["x.svg"] and (folder / "x.svg").read_text() == "old"


def test_default_name(run_pspy, start_target, folder, shares):
    stamp = r"-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d[+-]\d{4}"
    run_pspy(["record", "-d", "0.1", "--kill", "--", shares], cwd=folder)
    assert re.fullmatch(f"shares{stamp}.svg", os.listdir(folder)[0])
    shutil.rmtree(folder)
    folder.mkdir()
    target = start_target([sys.executable, "-c", "print('{}', flush=True)\nwhile True: pass"])
    run_pspy(["record", "-d", "0.1", "-f", "speedscope", "-p", hex(target.pid)], cwd=folder, check=0)
    assert re.fullmatch(f"{target.pid}{stamp}.speedscope.json", os.listdir(folder)[0])


def test_unknown_suffix_is_said(run_pspy, folder, shares):
    done = run_pspy(["record", "-d", "0.1", "--kill", "-o", folder / "x.prof", "--", shares])
    assert f"'{folder}/x.prof' names no format" in done.stderr.splitlines()[0]
    assert_valid(folder / "x.prof", "flamegraph")
    done = run_pspy(["record", "-d", "0.1", "--kill", "-f", "raw", "-o", folder / "x.prof", "--", shares])
    assert "names no format" not in done.stderr
    assert_valid(folder / "x.prof", "raw")
    done = run_pspy(["record", "-d", "0.1", "--kill", "-f", "raw", "-o", folder / "x.json", "--", shares])
    assert_valid(folder / "x.json", "raw")


# ---- the program's surroundings ------------------------------------------------------------------------------------

SURROUNDINGS = """
import json, os, resource, sys
def link(number):
    path = os.readlink(f"/proc/self/fd/{number}")
    return path.split(":")[0] if path.startswith(("pipe:", "socket:")) else path
print(json.dumps({
    "fds": {number: link(number) for number in sorted(os.listdir("/proc/self/fd"))[:-1]},
    "session": os.getsid(0) == os.getsid(os.getppid()), "group": os.getpgrp() == os.getpgid(os.getppid()),
    "cwd": os.getcwd(), "umask": os.umask(0), "nice": os.nice(0), "argv": sys.argv,
    "limits": [resource.getrlimit(number) for number in range(16)],
    "environment": {name: value for name, value in os.environ.items() if name not in ("_", "TEST_PROCESS_MARK")},
    "stdin": sys.stdin.read(), "ids": [os.getresuid(), os.getresgid(), os.getgroups()],
    "affinity": sorted(os.sched_getaffinity(0)), "oom": open("/proc/self/oom_score_adj").read(),
}))
print("to stderr", file=sys.stderr)
"""


def test_surroundings_are_as_without_pspy(pspy, folder, tmp_path):
    program = [sys.executable, "-c", SURROUNDINGS, "word", "two words", ""]
    environment = {**os.environ, "ODD": "a\nb=c", "EMPTY": ""}

    def run(prefix):
        with open(tmp_path / "extra", "w", encoding="ascii") as extra:  # one more descriptor: it is handed on as well
            done = subprocess.run([*prefix, *program], input="typed\nlines", capture_output=True, text=True,
                                  timeout=DEADLINE, check=True, cwd=folder, env=environment, pass_fds=[extra.fileno()],
                                  preexec_fn=lambda: (os.setsid(), os.umask(0o027)))
        return json.loads(done.stdout), done.stderr

    bare, _ = run(["env"])  # as pspy, a process between
    seen, errors = run([pspy, "record", "-o", tmp_path / "x.svg", "--"])
    bare.pop("session"), bare.pop("group")
    assert seen.pop("session") and seen.pop("group")
    assert seen == bare
    assert seen["stdin"] == "typed\nlines"
    assert len(seen["fds"]) == 4
    assert "to stderr\n" in errors


def test_output_is_the_programs_own(run_pspy, folder):
    done = run_pspy(["record", "-o", folder / "x.svg", "--", "sh", "-c", "echo out; echo err >&2"], check=0)
    assert done.stdout == "out\n"
    assert done.stderr.splitlines().count("err") == 1
    assert all(line.startswith(("pspy: ", "  ", "err")) for line in done.stderr.splitlines())


# ---- status --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("options,status", [(["--status", "0"], 0), (["--status", "3"], 3), (["--status", "255"], 255),
                                            (["--signal", "15"], 143), (["--signal", "9"], 137),
                                            (["--signal", "6"], 134)])
@pytest.mark.parametrize("after", [None, "0.3"], ids=["at-once", "sampled"])
def test_the_status_is_the_programs(run_pspy, build, repo, folder, options, status, after):
    program = [build / "sample_targets" / "exit_now"] if after is None else [
        sys.executable, repo / "sample_targets" / "exit_status.py", "--after", after]
    run_pspy(["record", "-r", "500", "-o", folder / "x.txt", "--", *program, *options], check=status)
    assert_valid(folder / "x.txt", "raw")
    assert (folder / "x.txt").stat().st_size > 0 or after is None
    assert os.listdir(folder) == ["x.txt"]


@pytest.mark.parametrize("output_format", FORMATS)
def test_an_empty_profile_is_valid(run_pspy, start, build, folder, output_format):
    done = run_pspy(["record", "-f", output_format, "-o", folder / "x", "--", build / "sample_targets" / "exit_now"],
                    check=0)
    assert_valid(folder / "x", output_format)
    assert "the profile is empty" in done.stderr
    target = start(["cat"])  # waits for ever, by the first read at the latest
    wait_until(lambda: state(target.pid) == "S" and open(f"/proc/{target.pid}/syscall", encoding="ascii").read()
               .startswith("0 0x0 "), "the read")
    done = run_pspy(["record", "-f", output_format, "-d", "0.1", "-o", folder / "y", "-p", str(target.pid)], check=0)
    assert_valid(folder / "y", output_format)
    assert "-i shows waiting threads too" in done.stderr


def test_a_shell_and_nohup(run_pspy, folder):
    run_pspy(["record", "-o", folder / "x.svg", "--", "sh", "-c", "exit 7"], check=7)
    run_pspy(["record", "-o", folder / "x.svg", "--", "nohup", "sh", "-c", "exit 8"], check=8)
    run_pspy(["record", "-o", folder / "x.svg", "--", "sh", "-c", "kill -TERM $$"], check=143)


def test_children_left_behind(run_pspy, start, folder, pspy, tmp_path):
    """A program that ends before its children: pspy ends with it, and they run on."""
    words = (f"sh -c 'while ! test -e go; do sleep 0.02; done; echo done >{tmp_path}/late' "
             "</dev/null >/dev/null 2>&1 & exit 4")
    run_pspy(["record", "-o", folder / "x.svg", "--", "sh", "-c", words], cwd=tmp_path, check=4)
    assert not (tmp_path / "late").exists()
    (tmp_path / "go").write_text("")
    wait_until((tmp_path / "late").exists, "the child's end")


# ---- duration ------------------------------------------------------------------------------------------------------

def test_the_program_runs_on_after_the_duration(start, pspy, folder):
    """The profile is there while the program still runs; its status is pspy's."""
    path = folder / "x.txt"
    script = f"import os, sys\nwhile not os.path.exists({str(path)!r}): pass\nprint(sys.stdin.read())\nsys.exit(9)"
    profiler = start([pspy, "record", "-d", "0.25", "-o", path, "--", sys.executable, "-c", script])
    wait_until(path.exists, "the profile")
    assert_valid(path, "raw")
    assert path.stat().st_size > 0
    wait_until(lambda: any("waiting for its end" in line for line in profiler.errors), "the notice")
    assert profiler.process.poll() is None
    profiler.process.stdin.write("end")
    profiler.process.stdin.close()
    done = profiler.wait(DEADLINE)
    assert (done.status, done.stdout) == (9, "end\n")


def test_duration_is_wall_clock_and_may_be_a_fraction(run_pspy, folder, shares):
    """A duration in ticks, as py-spy counts it, would be longer when ticks come late."""
    done = run_pspy(["record", "-d", "0.5", "-r", "10000", "--kill", "-o", folder / "x.txt", "--", shares])
    seconds = float(re.search(r"samples in ([\d.]+) s", done.stderr)[1])
    assert seconds >= 0.5
    done = run_pspy(["record", "-d", "0.3", "-r", "0.01", "--kill", "-o", folder / "x.txt", "--", shares])
    assert float(re.search(r"0 samples in ([\d.]+) s", done.stderr)[1]) >= 0.3


@pytest.mark.statistical
def test_ticks_before_the_end_are_counted(start, start_target, pspy, folder, repo):
    """Also those for which pspy had no CPU until the duration was over."""
    target = start_target([sys.executable, repo / "sample_targets" / "stack_py.py"])
    profiler = start([pspy, "record", "-d", "2", "-o", folder / "x.txt", "-p", str(target.pid)])
    wait_sampling(profiler.pid, target.pid)
    profiler.signal(signal.SIGSTOP)
    time.sleep(2.1)  # longer than the duration
    profiler.signal(signal.SIGCONT)
    done = profiler.wait(DEADLINE)
    taken, late = (int(re.search(words, done.stderr)[1]) for words in (r"pspy: (\d+) samples", r"(\d+) too late"))
    assert 150 < taken + late < 250, done.stderr


def test_kill_ends_the_program(run_pspy, folder):
    run_pspy(["record", "-d", "0.2", "--kill", "-o", folder / "x.txt", "--", sys.executable, "-c", "while True: pass"],
             check=143)
    assert (folder / "x.txt").stat().st_size > 0
    done = run_pspy(["record", "-d", "0.2", "--kill", "-o", folder / "x.txt", "--", sys.executable, "-c",
                     "import signal, sys, time\n"
                     "signal.signal(15, lambda *_: (print('asked'), sys.exit(11)))\nwhile True: time.sleep(0.01)"],
                    check=11)
    assert done.stdout == "asked\n"


# ---- processes that cannot be profiled, or end --------------------------------------------------------------------

def test_no_such_process(run_pspy, folder):
    limit = int(open("/proc/sys/kernel/pid_max", encoding="ascii").read())
    assert "no process" in one_sentence(run_pspy(["record", "-p", str(limit + 1)], cwd=folder, check=EXIT_PSPY))
    assert os.listdir(folder) == []


def test_a_zombie(run_pspy, folder):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    try:
        wait_until(lambda: state(pid) == "Z", "the child's end")
        assert "zombie" in one_sentence(run_pspy(["record", "-p", str(pid)], cwd=folder, check=EXIT_PSPY))
    finally:
        os.waitpid(pid, 0)
    assert os.listdir(folder) == []


@pytest.mark.skipif(not os.path.exists("/proc/2/comm") or open("/proc/2/comm", encoding="ascii").read() != "kthreadd\n",
                    reason="no threads of the kernel to be seen here")
def test_a_kernel_thread(run_pspy, folder):
    assert "kernel" in one_sentence(run_pspy(["record", "-p", "2"], cwd=folder, check=EXIT_PSPY))


def test_a_32_bit_program(run_pspy, start_target, folder, tmp_path):
    source, program = tmp_path / "small.c", tmp_path / "small"
    source.write_text(PROGRAM_32)
    made = subprocess.run([os.environ.get("CC") or "gcc", "-m32", "-O1", "-nostdlib", "-static", "-fno-pic", "-no-pie",
                           "-fno-stack-protector", "-o", program, source], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no 32-bit programs here: {made.stderr[-200:]}")
    target = start_target([program])
    for options in ([], ["-n", "-i"]):
        done = run_pspy(["record", *options, "-d", "1", "-p", str(target.pid)], cwd=folder, check=EXIT_PSPY)
        assert "32-bit" in one_sentence(done)
    assert state(target.pid) == "R"


def test_a_process_that_ends(start, start_target, pspy, folder, repo):
    target = start_target([sys.executable, repo / "sample_targets" / "stack_py.py", "--threads", "3"])
    profiler = start([pspy, "record", "-r", "1000", "-n", "-o", folder / "x.txt", "-p", str(target.pid)])
    wait_sampling(profiler.pid, target.pid)
    target.kill()
    assert profiler.wait(DEADLINE).status == 0
    assert_valid(folder / "x.txt", "raw")
    assert os.listdir(folder) == ["x.txt"]


def tracer_of(pid):
    return int(status_field(pid, "TracerPid"))


@pytest.mark.parametrize("tracer", ["strace", "gdb"])
def test_a_process_that_is_traced_already(run_pspy, start, start_target, folder, tracer):
    """Refused, as it could not be stopped; --nonblocking reads. The tracer's hold is not touched."""
    if not shutil.which(tracer):
        pytest.skip(f"{tracer} is not here")
    target = start_target([sys.executable, "-c", "print('{}', flush=True)\nwhile True: pass"])
    words = {"strace": ["strace", "-o", "/dev/null", "-p", str(target.pid)],
             "gdb": ["gdb", "-nx", "-batch", "-p", str(target.pid), "-ex", "continue"]}[tracer]
    start(words)
    wait_until(lambda: tracer_of(target.pid), "the tracer")
    holder = tracer_of(target.pid)
    # -i: the tracer may still be at its beginning, and the program stopped.
    words = ["record", "-i", "-r", "500", "-d", "0.5", "-o", "x.txt", "-p", str(target.pid)]
    for options in ([], ["-n"]):
        sentence = one_sentence(run_pspy([*words, *options], cwd=folder, check=EXIT_PSPY))
        assert f"another tracer, process {holder}" in sentence and "--nonblocking" in sentence
        assert os.listdir(folder) == []
    run_pspy([*words, "--nonblocking"], cwd=folder, check=0)
    assert "<module>" in (folder / "x.txt").read_text()
    assert tracer_of(target.pid) == holder


def test_a_tracer_that_comes_later(start, start_target, pspy, folder):
    """Native samples are counted as held from then on."""
    if not shutil.which("strace"):
        pytest.skip("strace is not here")
    target = start_target([sys.executable, "-c", "print('{}', flush=True)\nwhile True: pass"])
    profiler = start([pspy, "record", "-r", "20", "-n", "-o", "x.txt", "-p", str(target.pid)], cwd=folder)
    wait_sampling(profiler.pid, target.pid)
    attach = ["strace", "-o", "/dev/null", "-p", str(target.pid)]
    holder = start(attach)

    def is_held():
        nonlocal holder
        if holder.process.poll() is not None:  # it came while pspy held the thread
            holder = start(attach)
        return tracer_of(target.pid) == holder.pid

    wait_until(is_held, "the tracer")
    # Each of these ticks finds it held, and is counted when pspy ends.
    wait_ticks(profiler.pid, 20)
    profiler.signal(signal.SIGINT)
    done = profiler.wait(DEADLINE)
    assert done.status == 0
    assert int(re.search(r"(\d+) held by another tracer", done.stderr)[1]) > 0
    assert tracer_of(target.pid) == holder.pid


def test_pspy_itself(start, pspy, folder):
    """The shell's id is pspy's after exec."""
    done = start(["sh", "-c", f'exec {pspy} record -d 1 -p $$'], cwd=folder).wait(DEADLINE)
    assert done.status == EXIT_PSPY
    assert "pspy itself" in one_sentence(done)
    assert os.listdir(folder) == []


# ---- what is told --------------------------------------------------------------------------------------------------

def test_the_summary_tells_the_truth(run_pspy, folder, repo):
    target = repo / "sample_targets" / "shares.py"
    done = run_pspy(["record", "-r", "400", "-o", folder / "x.txt", "--", sys.executable, target, "--seconds", "3"],
                    check=0)
    hottest = re.findall(r"^ +([\d.]+) %  (\w+) \(shares\.py", done.stderr, re.M)
    found = {name: float(percent) / 100 for percent, name in hottest}
    assert [name for _, name in hottest][:3] == ["hot", "warm", "cold"]
    stated = re.search(r"^pspy: (\d+) samples in ([\d.]+) s; ([\d.]+) ticks a second of 400 wanted", done.stderr, re.M)
    counted = sum(int(line.rsplit(" ", 1)[1]) for line in (folder / "x.txt").read_text().splitlines())
    assert int(stated[1]) == counted
    check_shares(found, counted, json.loads(done.stdout))
    assert f"wrote folded stacks to {folder}/x.txt\n" in done.stderr
    assert len(re.findall(r"^ +[\d.]+ %  ", done.stderr, re.M)) <= 5
    lost = re.search(r"lost: (.*)", done.stderr)[1]
    assert lost == "none" or re.fullmatch(r"\d+ [a-z ]+(, \d+ [a-z ]+)*", lost)


def test_a_hint_is_told_once_for_each_format(run_pspy, folder):
    paths = [folder / name for name in ("a.svg", "b.svg", "c.txt")]
    outputs = [word for path in paths for word in ("-o", path)]
    done = run_pspy(["record", *outputs, "--", sys.executable, "-c", "pass"])
    assert re.findall(r"^pspy: wrote .* to (.*)$", done.stderr, re.M) == [str(path) for path in paths]
    assert done.stderr.count("Open it in a web browser.") == 1
    assert done.stderr.count("One stack a line") == 1


@pytest.mark.statistical
def test_ticks_are_taken_or_counted(start, pspy, folder, shares):
    """Also if pspy itself stood still for some time; and none comes close upon another one."""
    target, rate, seconds = start([shares, "--seconds", "60"]), 1000, 1.5
    profiler = start([pspy, "record", "-p", str(target.pid), "-r", str(rate), "-d", str(seconds), "-o",
                      folder / "x.speedscope.json"])
    time.sleep(0.5)
    profiler.signal(signal.SIGSTOP)
    time.sleep(0.2)
    profiler.signal(signal.SIGCONT)
    done = profiler.wait()
    length, ticks = re.search(r"in ([\d.]+) s; ([\d.]+) ticks a second", done.stderr).groups()
    late = re.search(r"lost: .*?(\d+) too late", done.stderr)
    wanted = rate * float(length)
    # An interval is 0.5 to 1.5 of the mean; what is due last may be neither taken nor late yet.
    assert abs(float(length) * float(ticks) + int(late[1]) - wanted) < 5 * (wanted / 12) ** 0.5 + 0.005 * rate + 3
    assert int(late[1]) >= 0.19 * rate
    document = json.loads((folder / "x.speedscope.json").read_text())
    weights = document["profiles"][0]["weights"]
    assert document["profiles"][0]["unit"] == "nanoseconds" and min(weights[:-1]) >= 0.5e9 / rate, sorted(weights)[:9]


def test_no_control_codes_when_piped(run_pspy, folder, shares):
    done = run_pspy(["record", "-d", "1.2", "--kill", "-o", folder / "x.txt", "--", shares])
    assert not set(done.stderr) & {"\r", "\033"}


class Terminal:
    """A program on a terminal of its own, for output only."""

    def __init__(self, argv):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.execvp(str(argv[0]), [str(word) for word in argv])
            finally:
                os._exit(99)

    def read_all(self):
        end, text = time.monotonic() + DEADLINE, ""
        while time.monotonic() < end:
            if not select.select([self.fd], [], [], 0.2)[0]:
                continue
            try:
                got = os.read(self.fd, 65536)
            except OSError as gone:
                assert gone.errno == errno.EIO
                break
            text += got.decode(errors="replace")
        os.close(self.fd)
        return text, os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


PROGRESS = r"\r\033\[Kpspy: (\d+\.\d) s, (\d+) samples, ([\d.]+) ticks a second, (\d+) lost"


@pytest.mark.statistical
def test_progress_on_a_terminal(start_target, pspy, folder, repo):
    target = start_target([sys.executable, repo / "sample_targets" / "stack_py.py"])
    text, status = Terminal([pspy, "record", "-d", "2.3", "-o", folder / "x.txt", "-p", str(target.pid)]).read_all()
    assert status == 0
    lines = re.findall(PROGRESS, text)
    assert len(lines) >= 2
    assert [float(line[0]) for line in lines] == sorted(float(line[0]) for line in lines)
    assert int(lines[-1][1]) >= int(lines[0][1]) > 0
    assert max(len(line[0]) for line in re.finditer(PROGRESS, text)) < 100
    after = re.split(PROGRESS, text)[-1]
    assert after.startswith("\r\033[K")  # erased before the summary
    assert "\033" not in after[len("\r\033[K"):]


def test_progress_of_a_silent_program(pspy, folder):
    text, status = Terminal([pspy, "record", "-o", folder / "x.txt", "--", sys.executable, "-c",
                             "import time\nend = time.time() + 2\nwhile time.time() < end: pass"]).read_all()
    assert status == 0
    assert re.search(PROGRESS, text)
    assert re.search(r"lost\r\npspy: wrote|lost\r\n", text)


@pytest.mark.statistical
def test_progress_of_a_program_behind_a_script(pspy, folder, tmp_path):
    """As behind pyenv's python3: what the script wrote into a pipe is not the program's output."""
    script = tmp_path / "python3"
    script.write_text(f'#!/bin/bash\ncat >/dev/null <<<"{"x" * 300}"\nexec {sys.executable} "$@"\n')
    script.chmod(0o755)
    text, status = Terminal([pspy, "record", "-o", folder / "x.txt", "--", script, "-c",
                             "import time\nend = time.time() + 2\nwhile time.time() < end: pass"]).read_all()
    assert status == 0
    assert len(re.findall(PROGRESS, text)) >= 2


def test_progress_leaves_the_programs_output_alone(pspy, folder):
    """A prompt without a newline, behind which a line would be written over and over."""
    text, status = Terminal([pspy, "record", "-o", folder / "x.txt", "--", sys.executable, "-c",
                             "import time\nprint('Name: ', end='', flush=True)\nend = time.time() + 2\n"
                             "while time.time() < end: pass\nprint('and the end', end='', flush=True)"]).read_all()
    assert status == 0
    assert text.startswith("Name: and the endpspy: ")
    assert "\033" not in text
