# SPDX-License-Identifier: MIT
"""MPI programs: a file for each rank by a template in -o, only some ranks by --ranks, as launchers tell pspy and under Open MPI."""
import json
import os
import re
import shutil
import signal
import subprocess

import pytest
from measure import DEADLINE, children, wait_until

EXIT_PSPY = 125
OPENAT = 257  # the system call on x86-64
PYTHON = "/usr/bin/python3"  # whose mpi4py and NumPy are the distribution's
LAUNCHERS = {
    "Open MPI": ({"PMIX_RANK": "3", "OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_LOCAL_RANK": "1",
                  "OMPI_MCA_ess_base_jobid": "877920257"}, "3.1.877920257"),
    "MPICH in Slurm": ({"PMI_RANK": "12", "MPI_LOCALRANKID": "4", "SLURM_PROCID": "0", "SLURM_LOCALID": "0",
                        "SLURM_JOB_ID": "4711"}, "12.4.4711"),
    "PALS": ({"PALS_RANKID": "7", "PALS_LOCAL_RANKID": "3", "PALS_APID": "f00d-1"}, "7.3.f00d-1"),
    "Flux": ({"FLUX_TASK_RANK": "1", "FLUX_TASK_LOCAL_ID": "0", "FLUX_JOB_ID": "\u01923ETxsR9H"}, "1.0.\u01923ETxsR9H"),
    "Slurm": ({"SLURM_PROCID": "40", "SLURM_LOCALID": "8", "SLURM_JOB_ID": "4711"}, "40.8.4711"),
}
VARIABLES = re.compile("(PMIX?|OMPI|MV2|MPI|PALS|FLUX|JSM|SLURM|PBS|LSB)_")

# Each rank works in a function of its own name, and writes down who it is.
RANKS = """
import json, os, sys, time
from mpi4py import MPI
rank = MPI.COMM_WORLD.rank
with open(f"{sys.argv[1]}/truth.{rank}", "w") as file:
    json.dump({"pid": os.getpid(), "parent": os.getppid()}, file)
exec(f'''
def work_of_{rank}():
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
work_of_{rank}()
''')
MPI.COMM_WORLD.Barrier()
sys.exit(0)
"""


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "out"
    path.mkdir()
    return path


def environment(**variables):
    """Ours without what a launcher around these tests says."""
    return {**{name: value for name, value in os.environ.items() if not VARIABLES.match(name)}, **variables}


def functions(path):
    """The names of all functions of a speedscope file that has samples."""
    profile = json.loads(path.read_text())
    assert profile["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    assert sum(len(each["samples"]) for each in profile["profiles"]) > 0
    return {frame["name"].partition(" (")[0] for frame in profile["shared"]["frames"]}


# ---- names ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("program", [["sh", "-c", "echo $$"], ["env", "sh", "-c", "exec sh -c 'echo $$'"]])
def test_pid_and_host_of_a_program(run_pspy, folder, program):
    done = run_pspy(["record", "-o", "%p.%h.%%.svg", "--", *program], cwd=folder, check=0)
    assert os.listdir(folder) == [f"{int(done.stdout)}.{os.uname().nodename}.%.svg"]
    assert f"to {os.listdir(folder)[0]}\n" in done.stderr


def test_pid_of_a_process(run_pspy, start_target, folder, build):
    target = start_target([build / "sample_targets" / "stack_c"])
    run_pspy(["record", "-d", "0.1", "-o", "%p.%q{X}.txt", "-p", hex(target.pid)], cwd=folder, check=0,
             env=environment(X="a b"))
    assert os.listdir(folder) == [f"{target.pid}.a b.txt"]


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_launchers(run_pspy, folder, launcher):
    variables, name = LAUNCHERS[launcher]
    run_pspy(["record", "-o", "%r.%l.%j.json", "--", "true"], cwd=folder, check=0, env=environment(**variables))
    assert os.listdir(folder) == [f"{name}.json"]
    assert json.loads((folder / f"{name}.json").read_text())["$schema"]


@pytest.mark.parametrize("options, part", [
    (["-o", "%x.svg"], "-o knows no %x"),
    (["-o", "100%.svg"], "write %% for a percent sign"),
    (["-o", "%r.svg"], "start pspy by the launcher"),
    (["-o", "%l.svg"], "leave %l out"),
    (["-o", "%j.svg"], "leave %j out"),
    (["-o", "%q{NOT_SET}.svg"], "that environment variable is not set"),
    (["-o", "%q{FOLDER}/x.svg"], "a slash would lead into another folder"),
    (["--ranks", "0"], "--ranks needs the MPI rank"),
])
def test_no_value(run_pspy, folder, options, part):
    """The program does not start."""
    done = run_pspy(["record", *options, "--", "touch", "started"], cwd=folder, check=EXIT_PSPY,
                    env=environment(FOLDER=str(folder)))
    assert re.fullmatch(r"pspy: [^\n]+\n", done.stderr) and part in done.stderr
    assert os.listdir(folder) == []


def test_ranks_that_write_one_file_are_told(run_pspy, folder):
    done = run_pspy(["record", "-o", "x.svg", "--", "true"], cwd=folder, check=0, env=environment(PMI_RANK="1"))
    assert "%r in the name gives each rank a file of its own" in done.stderr.splitlines()[0]
    done = run_pspy(["record", "-o", "x.%r.svg", "--", "true"], cwd=folder, check=0, env=environment(PMI_RANK="1"))
    assert "%r" not in done.stderr
    run_pspy(["record", "--", "true"], cwd=folder, check=0, env=environment(PMI_RANK="1"))
    assert sum(name.endswith("-rank1.svg") for name in os.listdir(folder)) == 1


# ---- the program waits until its output is open -----------------------------------------------------------------------

@pytest.fixture
def waiting(start, pspy, folder):
    """pspy that waits for a reader of its output, with the program's process."""
    os.mkfifo(folder / "pipe")
    profiler = start([pspy, "record", "-f", "raw", "-o", "pipe", "--", "sh", "-c", "echo $$ >started"], cwd=folder)
    wait_until(lambda: children(profiler.pid), "the program's process")
    profiler.child, = children(profiler.pid)
    return profiler


def test_the_program_runs_when_the_output_is_open(waiting, folder):
    assert not (folder / "started").exists()
    with open(folder / "pipe", encoding="utf-8") as pipe:
        pipe.read()
    assert waiting.wait(DEADLINE).status == 0
    assert int((folder / "started").read_text()) == waiting.child


def waits_for_a_reader(pid):
    """A signal that came before would not end the wait."""
    with open(f"/proc/{pid}/syscall", encoding="ascii") as text:
        call = text.read().split()
    return call[0] == str(OPENAT)


@pytest.mark.parametrize("number, status", [(signal.SIGTERM, EXIT_PSPY), (signal.SIGKILL, -signal.SIGKILL)])
def test_the_program_never_runs_when_pspy_ends_before(waiting, folder, number, status):
    wait_until(lambda: waits_for_a_reader(waiting.pid), "the wait for a reader")
    waiting.signal(number)
    assert waiting.wait(DEADLINE).status == status
    wait_until(lambda: not os.path.exists(f"/proc/{waiting.child}"), "the end of the program's process")
    assert os.listdir(folder) == ["pipe"]


def test_a_process_killed_while_it_waits(waiting, folder):
    """As a program that ends by that signal."""
    os.kill(waiting.child, signal.SIGKILL)
    with open(folder / "pipe", encoding="utf-8") as pipe:
        pipe.read()
    assert waiting.wait(DEADLINE).status == 128 + signal.SIGKILL
    assert os.listdir(folder) == ["pipe"]


# ---- --ranks -------------------------------------------------------------------------------------------------------

def test_a_rank_that_is_left_out(start, pspy, folder):
    """As if pspy were not there: one process, nothing written, its own signals and status."""
    def arrange():
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    program = ["sh", "-c", "echo $$; grep -E '^Sig(Blk|Ign|Cgt):' /proc/self/status; kill -9 $$"]
    bare = start(program, preexec_fn=arrange).wait(DEADLINE)
    profiler = start([pspy, "record", "-o", "x.%r.svg", "--ranks", "0-3,8", "--", *program], cwd=folder,
                     preexec_fn=arrange, env=environment(PMIX_RANK="4"))
    done = profiler.wait(DEADLINE)
    pid, signals = done.stdout.split("\n", 1)
    assert int(pid) == profiler.pid
    assert signals == bare.stdout.split("\n", 1)[1] and signals.count("\n") == 3
    assert (done.status, done.stderr) == (-signal.SIGKILL, "")
    assert os.listdir(folder) == []


def test_a_rank_that_is_recorded(run_pspy, folder):
    done = run_pspy(["record", "-o", "x.%r.svg", "--ranks", "0-3,8", "--", "sh", "-c", "exit 7"], cwd=folder,
                    env=environment(PMIX_RANK="8"))
    assert done.status == 7 and os.listdir(folder) == ["x.8.svg"]


@pytest.mark.parametrize("program, status", [("./nothing", 127), ("/etc/passwd", 126)])
def test_a_program_that_is_not_there_on_a_rank_that_is_left_out(run_pspy, program, status):
    done = run_pspy(["record", "--ranks", "0", "--", program], check=status, env=environment(PMIX_RANK="1"))
    assert re.fullmatch(r"pspy: [^\n]+\n", done.stderr) and program in done.stderr


# ---- Open MPI ------------------------------------------------------------------------------------------------------

@pytest.fixture
def mpirun(start):
    """mpirun(ranks, argv, **arguments) -> Started"""
    remedy = "apt-get install openmpi-bin python3-mpi4py python3-numpy"
    if not shutil.which("mpirun"):
        pytest.skip(f"mpirun is missing: {remedy}")
    if "Open MPI" not in subprocess.run(["mpirun", "--version"], capture_output=True, text=True, check=False).stdout:
        pytest.skip("mpirun is not Open MPI's, whose options this test uses: apt-get install openmpi-bin")
    found = subprocess.run([PYTHON, "-c", "import mpi4py, numpy"], capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip(f"{PYTHON}: {found.stderr.strip().splitlines()[-1]}: {remedy}")

    def run(ranks, argv, **arguments):
        return start(["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", str(ranks), *argv],
                     env=environment(), stdin=subprocess.DEVNULL, **arguments)

    return run


@pytest.mark.statistical
def test_gray_scott(mpirun, start, pspy, folder, repo):
    program = [PYTHON, repo / "sample_targets" / "gray_scott_mpi.py", "--steps", "600"]
    done = mpirun(4, [pspy, "record", "-o", "gs.%r.speedscope.json", "-n", "--", *program], cwd=folder).wait(2 * DEADLINE)
    assert done.status == 0, done.stderr
    serial = start([PYTHON, repo / "sample_targets" / "gray_scott.py", "--steps", "600"]).wait(DEADLINE)
    assert checksums(done.stdout) == pytest.approx(checksums(serial.stdout))
    assert sorted(os.listdir(folder)) == [f"gs.{rank}.speedscope.json" for rank in range(4)]
    for rank in range(4):
        seen = functions(folder / f"gs.{rank}.speedscope.json")
        assert {"main", "simulate", "step"} <= seen, (rank, seen)
        assert {"laplacian", "exchange_halos", "Band.laplacian", "Band.exchange_halos"} & seen, (rank, seen)


def checksums(text):
    return [float(word) for word in re.search(r"checksum u=(\S+) v=(\S+)", text).groups()]


def test_each_rank_is_its_own(mpirun, pspy, folder):
    """The name says of which rank and process the file is, and in it is that rank's function."""
    launcher = mpirun(4, [pspy, "record", "-o", "%r.%l.%p.json", "--ranks", "0,2-3", "--", PYTHON, "-c", RANKS, folder],
                      cwd=folder)
    done = launcher.wait(2 * DEADLINE)
    assert done.status == 0, done.stderr
    truths = [json.loads((folder / f"truth.{rank}").read_text()) for rank in range(4)]
    assert {path.name for path in folder.glob("*.json")} == {f"{rank}.{rank}.{truths[rank]['pid']}.json" for rank in (0, 2, 3)}
    for path in folder.glob("*.json"):
        assert {name for name in functions(path) if name.startswith("work_of_")} == {f"work_of_{path.name[0]}"}
    # Whoever is left out is mpirun's own child; who is recorded is pspy's.
    assert [truth["parent"] == launcher.pid for truth in truths] == [False, True, False, False]
