# SPDX-License-Identifier: MIT
"""aarch64's rows and walk, run in QEMU: at every instruction against a shadow stack (tests/unit/print_aarch64.c), and
against gdb's backtrace.

Only gcc's programs: what clang 14 writes is not exact within prologues and epilogues (asynchronous tables came to its
aarch64 with 15).
"""
import json
import shutil
import subprocess

import pytest

from conftest import SANITIZED

GCC, GDB, QEMU = "aarch64-linux-gnu-gcc", "gdb-multiarch", "qemu-aarch64"
ROOT = "/usr/aarch64-linux-gnu"
# Instructions, of which QEMU steps some 1000 a second; a turn of the program's loop takes 1100 (2000 with -O0).
STEPS = 700 if SANITIZED else 2000
# Before its main() a dynamic program takes 1600 instructions if it binds lazily, else 1000.
STEPS_BEFORE = 1600

pytestmark = pytest.mark.skipif(not all(map(shutil.which, [GCC, GDB, QEMU])),
                                reason=f"needs {GCC}, {GDB} and {QEMU}")


def compile_program(repo, folder, *options):
    program = folder / "steps"
    subprocess.run([GCC, *options, "-no-pie", repo / "tests/live/steps_aarch64.c", "-o", program], check=True,
                   timeout=60)
    return program


def print_aarch64(build, folder, program, *options, count=0, function="main"):
    """The environment is empty: a C library looks through it at its start."""
    socket = folder / "socket"
    done = subprocess.run([build / "tests/unit/print_aarch64", str(count), function, socket, shutil.which(QEMU), "-B",
                           "0", "-L", ROOT, "-g", socket, *options, program], capture_output=True, text=True,
                          timeout=120, check=False, env={})
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize("options, signs", [
    ("-O2 -static", False),
    ("-O0 -static -mbranch-protection=pac-ret+leaf+b-key", True),
    ("-O2 -static -mbranch-protection=standard", True),
    ("-Os -static -fomit-frame-pointer", False),
])
def test_every_instruction(options, signs, repo, build, tmp_path, record_property):
    program = compile_program(repo, tmp_path, *options.split())
    answer = json.loads(print_aarch64(build, tmp_path, program, "-cpu", "max", count=STEPS))
    record_property("right", f"{answer['right']} of {answer['steps']}")
    assert answer["right"] == answer["steps"] == STEPS, answer
    assert (answer["signed"] > 0) == signs
    if not SANITIZED:
        assert answer["signals"] >= 1


# Of the C library's assembler some has no tables, some has wrong ones: nothing says in _dl_runtime_resolve's first
# instruction that the PLT stub pushed something; _start's table covers __wrap_main as well.
WITHOUT_TABLES = {"_init", "call_weak_fn"}
WRONG_TABLES = {"?": 7, "_start": 2}


@pytest.mark.parametrize("binding", ["lazy", "now"])
def test_dynamic_program(binding, repo, build, tmp_path, record_property):
    """PLT stubs, and the loader's resolver that they lead to."""
    if SANITIZED:
        pytest.skip("takes the same ways as without sanitizers")
    program = compile_program(repo, tmp_path, "-O2", f"-Wl,-z,{binding}", "-mbranch-protection=standard")
    count = STEPS + STEPS_BEFORE
    answer = json.loads(print_aarch64(build, tmp_path, program, "-cpu", "max", count=count))
    record_property("right", f"{answer['right']} of {answer['steps']}")
    places = answer["places"]
    assert answer["right"] >= 0.995 * count, answer
    assert places.keys() <= WITHOUT_TABLES | WRONG_TABLES.keys(), answer
    assert answer["wrong"] <= sum(min(places.get(name, 0), most) for name, most in WRONG_TABLES.items()), answer


# gdb 13 does not get on with SVE's registers in a signal frame.
WITHOUT_SVE = ["-cpu", "cortex-a72"]
GDB_COMMANDS = """
set pagination off
set confirm off
set height 0
set backtrace past-main on
handle SIGUSR1 nostop noprint pass
target remote {socket}
break *{function}
continue
python
frame = gdb.newest_frame()
while frame:
    print("pc", hex(frame.pc()))
    frame = frame.older()
end
kill
"""


def gdb_pcs(folder, program, function):
    socket, script = folder / "socket", folder / "script"
    script.write_text(GDB_COMMANDS.format(socket=socket, function=function))
    with subprocess.Popen([shutil.which(QEMU), *WITHOUT_SVE, "-g", socket, program], env={}) as qemu:
        try:
            while not socket.exists():
                assert qemu.poll() is None
            done = subprocess.run([GDB, "-nx", "-batch", "-iex", "set debuginfod enabled off", "-x", script, program],
                                  capture_output=True, text=True, timeout=60, check=False)
        finally:
            qemu.kill()
            socket.unlink(missing_ok=True)
    return [int(line.split()[1], 16) for line in done.stdout.splitlines() if line.startswith("pc 0x")], done.stderr


@pytest.mark.parametrize("function", ["ascending", "leaf", "rest"])
def test_as_gdb_sees_it(function, repo, build, tmp_path):
    """Called back by qsort; a leaf; and out of a signal handler."""
    program = compile_program(repo, tmp_path, "-O2", "-static", "-DWITHOUT_TIMER=1")
    pcs, errors = gdb_pcs(tmp_path, program, function)
    assert len(pcs) >= 5, errors
    ours = [int(line, 16) for line in print_aarch64(build, tmp_path, program, *WITHOUT_SVE, function=function).split()]
    assert ours == pcs
