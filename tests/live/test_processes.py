# SPDX-License-Identifier: MIT
"""-s: every descendant, whatever it was started by, from the first tick of its life on; each by what it states itself."""
import collections
import json
import os
import re
import shutil
import signal
import textwrap

import pytest
from measure import Recording, record

PROCESS = re.compile(r'process (\d+):"(.*)"')

# Children that burn CPU in a function of their own name; the program states their ids when they are in position.
BURN = """
import json, os, signal, subprocess, sys, time
clock = getattr(time, "process_time", None) or time.clock
def burn(seconds):
    end = clock() + seconds
    while clock() < end: pass
def state(**what):
    sys.stdout.write(json.dumps(what) + "\\n")
    sys.stdout.flush()
"""


def processes(recording):
    """{chain of pids, root first: {stack below it: samples}}"""
    found = collections.defaultdict(collections.Counter)
    for frames, count in recording.stacks.items():
        chain = [int(match[1]) for match in map(PROCESS.fullmatch, (frame.name for frame in frames)) if match]
        found[tuple(chain)][tuple(frame.name for frame in frames[len(chain):])] += count
    return found


def lost(recording):
    """Ticks that pspy came too late for, and samples of which nothing came."""
    match = re.search(r"^pspy: lost: (.*)", recording.stderr, re.M)
    return sum(map(int, re.findall(r"\b(\d+) ", match[1]))) if match else 0


def run(run_pspy, argv, *options, check=0):
    """(Recording, the JSON lines that the program printed)"""
    done = run_pspy(["record", "-s", "-f", "raw", "-o", "/dev/stderr", *options, "--", *map(str, argv)], check=check)
    text = "".join(line + "\n" for line in done.stderr.splitlines() if line.startswith("process "))
    statements = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return Recording(done._replace(stdout=text)), statements


def in_function(recording, name):
    """{pid: samples in the function}"""
    found = collections.Counter()
    for chain, stacks in processes(recording).items():
        found[chain[-1]] += sum(count for names, count in stacks.items() if name in names)
    return found


@pytest.mark.statistical
@pytest.mark.parametrize("way", ["fork", "subprocess"])
def test_short_children(run_pspy, python, tmp_path, way):
    """Forty of 30 ms each, one after the other."""
    program = tmp_path / "program.py"
    program.write_text(BURN + textwrap.dedent("""
        def child():
            burn(0.03)
        if sys.argv[1] == "child":
            child()
        elif sys.argv[1] == "fork":
            pids = []
            for _ in range(40):
                pids.append(os.fork())
                if not pids[-1]:
                    child()
                    os._exit(0)
                os.waitpid(pids[-1], 0)
            state(pids=pids)
        else:
            pids = []
            for _ in range(40):
                process = subprocess.Popen([sys.executable, "-S", "-E", __file__, "child"])
                process.wait()
                pids.append(process.pid)
            state(pids=pids)
    """))
    recording, (statement,) = run(run_pspy, [python, program, way])
    found = in_function(recording, "child")
    assert set(found) - {chain[0] for chain in processes(recording)} <= set(statement["pids"])
    assert len(set(statement["pids"]) & set(+found)) >= 40 - lost(recording)
    # Three ticks a child, and more where it waits for a CPU.
    samples = sum(found.values()) + lost(recording)
    assert samples >= 0.8 * 120 - 5 * (120 * 0.2) ** 0.5


POOL = BURN + """
import multiprocessing, threading
def work(number):
    burn(0.1)
    return os.getpid()
if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    pool = multiprocessing.Pool(3)
    pids = set(pool.map(work, range(6), 1))
    pool.close()
    pool.join()
    state(pids=sorted(pids), pid=os.getpid())
"""


@pytest.mark.statistical
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(run_pspy, every_python, tmp_path, method):
    if every_python.minor < (3, 4):
        pytest.skip("this Python has no start methods")
    program = tmp_path / "pool.py"
    program.write_text(POOL)
    recording, (statement,) = run(run_pspy, [every_python, program, method])
    assert set(+in_function(recording, "work")) == set(statement["pids"])
    chains = {chain[-1]: chain for chain in processes(recording)}
    for pid in statement["pids"]:
        assert chains[pid][0] == statement["pid"]
        assert method == "forkserver" or len(chains[pid]) == 2


def test_other_programs(run_pspy, python, build, tmp_path):
    """A shell, a Python below it, a native program below that: each with its own frames."""
    program = tmp_path / "program.py"
    program.write_text(BURN + textwrap.dedent("""
        def python_part():
            burn(0.3)
        python_part()
        sys.exit(subprocess.call(sys.argv[1:]))
    """))
    native = build / "sample_targets/shares"
    recording, _ = run(run_pspy, ["sh", "-c", f"{python} {program} {native} --seconds 0.5; exit 7"], check=7)
    deep = {len(chain): stacks for chain, stacks in processes(recording).items() if stacks}
    assert any("python_part" in names for names in deep[2]), recording.stderr
    assert 3 in deep and not any("python_part" in names for names in deep[3])
    label = next(frame.name for frames in recording.stacks for frame in frames if "shares" in frame.name
                 and frame.name.endswith('--seconds 0.5"') and "sh -c" not in frame.name and "program.py" not in frame.name)
    assert PROCESS.fullmatch(label)[2] == f"{native} --seconds 0.5"


@pytest.mark.statistical
def test_orphan(run_pspy, python, tmp_path):
    """What outlives its parents is sampled to its end, and the recording ends with it; the status is the program's."""
    program = tmp_path / "program.py"
    program.write_text(BURN + textwrap.dedent("""
        def orphan():
            read, write = os.pipe()
            if os.fork():
                os.close(write)
                os.read(read, 1)  # ends when all holders of the other end have: the middle one and nobody else
                return
            pid = os.fork()
            if pid:
                os._exit(0)
            os.close(read)
            os.close(write)
            os.setsid()
            left_behind()
            state(pid=os.getpid(), parent=os.getppid())
            os._exit(0)
        def left_behind():
            burn(0.5)
        orphan()
        sys.exit(3)
    """))
    recording, (statement,) = run(run_pspy, [python, program], check=3)
    assert in_function(recording, "left_behind")[statement["pid"]] > 10, recording.stderr


TREE = BURN + """
def stay():
    while True: burn(1)
pids = [os.getpid()]
read, write = os.pipe()
for _ in range(2):
    if not os.fork():
        if not os.fork():
            os.write(write, json.dumps(os.getpid()).encode() + b"\\n")
            stay()
        os.write(write, json.dumps(os.getpid()).encode() + b"\\n")
        stay()
stated = b""
while stated.count(b"\\n") < 4:
    stated += os.read(read, 1000)
state(pid=os.getpid(), pids=[int(line) for line in stated.split()] + [os.getpid()])
stay()
"""


def test_live_tree(start_target, run_pspy, every_python):
    """Found where it is; all of it runs on."""
    target = start_target([every_python, "-c", TREE])
    for duration in 0.5, 2, 8:
        recording = record(run_pspy, target.pid, "-s", duration=duration)
        found = +in_function(recording, "stay")
        if set(found) == set(target.statement["pids"]):
            break
    assert set(found) == set(target.statement["pids"]), recording.stderr
    assert sorted(map(len, processes(recording))) == [1, 2, 2, 3, 3]
    for pid in target.statement["pids"]:
        with open(f"/proc/{pid}/stat") as file:
            assert file.read().rpartition(")")[2].split()[0] in "RS"
    without = record(run_pspy, target.pid, duration=0.3)
    assert not any(PROCESS.match(frame.name) for frames in without.stacks for frame in frames)


def test_names_in_speedscope(start_target, run_pspy, python, tmp_path):
    target = start_target([python, "-c", TREE])
    output = tmp_path / "profile.speedscope.json"
    wanted = {f'Process {pid} Thread {pid} "MainThread"' for pid in target.statement["pids"]}
    for duration in 1, 5, 20:  # until a busy machine has run each of them
        run_pspy(["record", "-s", "-p", target.pid, "-d", duration, "-o", output], check=0)
        names = {profile["name"] for profile in json.loads(output.read_text())["profiles"]}
        if names == wanted:
            break
    assert names == wanted


# Children that end in known ways, one of them an orphan; each states its id.
ENDS = BURN + """
def child(how):
    state(pid=os.getpid(), ends=how)
    burn(0.1)
    if how < 0: os.kill(os.getpid(), -how)
    os._exit(how)
for how in 0, 3, -signal.SIGKILL, -signal.SIGABRT:
    pid = os.fork()
    if not pid: child(int(how))
    os.waitpid(pid, 0)
pid = os.fork()
if not pid:
    if not os.fork(): child(9)
    os._exit(0)
os.waitpid(pid, 0)
state(pid=os.getpid(), ends=5)
sys.exit(5)
"""


def keeps_exit_statuses():
    """pidfds tell them since Linux 6.15."""
    return tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) >= (6, 15)


@pytest.mark.statistical
def test_exit_statuses(run_pspy, python, tmp_path):
    """In the summary and the Chrome trace; a status that the kernel does not tell is left out, never guessed."""
    path = tmp_path / "trace.json"
    program = tmp_path / "ends.py"
    program.write_text(ENDS)
    done = run_pspy(["record", "-s", "-r", "200", "-f", "chrometrace", "-o", path, "--", python, program], check=5)
    stated = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(stated) == 6
    events = json.loads(path.read_text())["traceEvents"]
    met = {event["pid"] for event in events if event["name"] == "process_name"}
    labels = {event["pid"]: event["args"]["labels"] for event in events if event["name"] == "process_labels"}
    wanted = {process["pid"]: f"exit status {process['ends']}" if process["ends"] >= 0 else
              f"ended by signal {-process['ends']} ({signal.strsignal(-process['ends'])})" for process in stated}
    assert len(met & wanted.keys()) >= 3  # the first ones may be over while pspy still reads the program's files
    if keeps_exit_statuses():
        assert {pid: labels.get(pid) for pid in met & wanted.keys()} == {pid: wanted[pid] for pid in met & wanted.keys()}
    assert all(labels[pid] == text for pid, text in wanted.items() if pid in labels)
    for pid, text in wanted.items():
        assert (f"process {pid}: {text}: " in done.stderr) == (pid in labels and text != "exit status 0")


@pytest.mark.statistical
@pytest.mark.skipif(not shutil.which("strace"), reason="no strace: make check installs it")
@pytest.mark.parametrize("options", [[], ["-n"]], ids=["python", "native"])
def test_another_tracer_on_a_child(run_pspy, python, tmp_path, options):
    """It cannot be stopped then; its Python functions are read all the same. Strace has it stand still for most of its start."""
    program = tmp_path / "burn.py"
    program.write_text(BURN + "burn(1)\nstate(pid=os.getpid())\n")
    recording, (statement,) = run(run_pspy, ["strace", "-o", "/dev/null", python, program], "-r", "200", *options)
    count = in_function(recording, "burn")[statement["pid"]]
    assert count >= 10, recording.stderr
    if options:
        only_python = int(re.search(r"held a process: (\d+) samples show its Python functions only", recording.stderr)[1])
        assert only_python >= 10
