# SPDX-License-Identifier: MIT
"""Every way in which a CPython may be built, packed, hidden or lost: is it found, and rightly?

`print_detect` (tests/unit/print_detect.c) says what pspy finds; the program itself (ctypes, id, sys) and nm of the
file before it was stripped say what is true.
"""
import os
import pathlib
import platform
import re
import shutil
import subprocess
import tempfile
import time

import pytest
from measure import record, wait_until

CC = (os.environ.get("CC") or "gcc").split()
NOBODY = 65534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
FOUND, NONE, UNREADABLE, NOT_STARTED = 0, 2, 3, 4
FUTEX = 202
EVAL_LOOP = re.compile(r"_PyEval_EvalFrameDefault(\..*)?")
EVAL_LOOP_2 = re.compile(r"PyEval_EvalFrameEx(\..*)?")
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do that")
NEEDS_X86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="reads code of x86-64")

# Nothing is imported, so that it runs where no extension module can be loaded. It stays in the line that reads.
STATE = """
import sys
places = {"version": sys.hexversion, "code_type": id(type((lambda: 0).__code__))}
%s
def outer():
    inner(1)
def inner(depth):
    if depth:
        return inner(depth - 1)
    frame, stack = sys._getframe(), []
    while frame:
        stack.insert(0, '["%%s", %%d]' %% (frame.f_code.co_name, frame.f_lineno))
        frame = frame.f_back
    stack[-1] = '["inner", %%d]' %% (sys._getframe().f_lineno + 3)
    rest = ", ".join(['"%%s": %%d' %% pair for pair in places.items()])
    sys.stdout.write('{"stack": [%%s], %%s}\\n' %% (", ".join(stack), rest)); sys.stdout.flush()
    sys.stdin.readline()
outer()
"""
PLAIN = STATE % ""
WITH_CTYPES = STATE % """
import ctypes
for name in "_PyRuntime", "_PyThreadState_Current":
    try:
        places[name] = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, name))
    except ValueError:
        pass
ctypes.pythonapi.PyInterpreterState_Head.restype = ctypes.c_void_p
places["head"] = ctypes.pythonapi.PyInterpreterState_Head()
"""
SPINNING = STATE % """
import threading
def spin():
    while True:
        pass
for i in range(2):
    thread = threading.Thread(target=spin)
    thread.daemon = True
    thread.start()
"""


def run(*command, **arguments):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300, check=False,
                          **arguments)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture
def detect(build):
    """detect(pid, before=[command words]) -> (status, {field: value}, message)"""

    def ask(pid, program=build / "tests/unit/print_detect", before=()):
        done = subprocess.run([*before, program, str(pid)], capture_output=True, text=True, timeout=240, check=False)
        fields = {"eval_loop": set(), "threads": set()}
        for line in done.stdout.splitlines():
            name, _, value = line.partition(" ")
            if name == "eval_loop":
                fields[name].add(tuple(map(int, value.split())))
            elif name == "thread":
                fields["threads"].add(int(value))
            else:
                fields[name] = value if name == "path" else int(value, 0)
        return done.returncode, fields, done.stderr

    return ask


def read_word(pid, address):
    with open(f"/proc/{pid}/mem", "rb") as memory:
        memory.seek(address)
        return int.from_bytes(memory.read(8), "little")


def symbols_of(path):
    """{name: (address, size)} by nm, of .symtab and .dynsym."""
    found = {}
    for arguments in ["-S"], ["-D", "-S"]:
        for line in run("nm", "--defined-only", *arguments, path).splitlines():
            words = line.split()
            if len(words) == 4:
                found.setdefault(words[3].partition("@")[0], (int(words[0], 16), int(words[1], 16)))
    return found


def check_statement(found, target):
    """What pspy found against what the program says."""
    status, fields, message = found
    stated = target.statement
    assert status == FOUND, message
    assert fields["version"] == stated["version"], hex(stated["version"])
    assert not fields["is_guessed"]
    if fields["code_type"]:
        assert fields["code_type"] == stated["code_type"]
    if "head" in stated:
        assert read_word(target.pid, fields["interpreters_at"]) == stated["head"]
        assert fields["runtime"] == stated.get("_PyRuntime", 0)
        if "_PyThreadState_Current" in stated:
            assert fields["gil_holder_at"] == stated["_PyThreadState_Current"]


def check_stack(run_pspy, target, pid=None):
    """Every sample of the main thread, which is idle, shows the stated frames; or, before it has gone on to there, the line that
    states them."""
    recording = record(run_pspy, pid or target.pid, "-i")
    wanted = tuple(tuple(frame) for frame in target.statement["stack"])
    stating = (*wanted[:-1], (wanted[-1][0], wanted[-1][1] - 1))
    shown = {tuple((frame.name, frame.line) for frame in stack) for stack in recording.stacks}
    assert {wanted} <= shown <= {wanted, stating}, recording.stderr


def check_symbols(fields, stated, symbols, stripped):
    """What pspy found against the symbols of the file it was not given."""
    bias = stated["code_type"] - symbols["PyCode_Type"][0]
    if "_PyRuntime" in symbols:
        assert fields["runtime"] == bias + symbols["_PyRuntime"][0]
    else:
        assert fields["interpreters_at"] == bias + symbols["interp_head"][0]
        if not stripped:
            assert fields["collecting_at"] == bias + symbols["collecting"][0]
    for name in ("gil_mutex", "gil_cond", "switch_mutex", "switch_cond"):
        if name in symbols and fields["gil_at"]:
            assert 0 <= bias + symbols[name][0] - fields["gil_at"] < fields["gil_size"]
    if "interpreter_lock" in symbols and fields["gil_lock_at"]:
        assert fields["gil_lock_at"] == bias + symbols["interpreter_lock"][0]
    pattern = EVAL_LOOP if "_PyEval_EvalFrameDefault" in symbols else EVAL_LOOP_2
    loops = {(bias + address, bias + address + size) for name, (address, size) in symbols.items()
             if pattern.fullmatch(name) and size}
    assert loops
    assert fields["eval_loop"] <= loops if stripped else fields["eval_loop"] == loops


# ---- as they are ---------------------------------------------------------------------------------------------------

def test_as_it_is(every_python, start_target, run_pspy, detect):
    target = start_target([every_python, "-c", WITH_CTYPES])
    check_statement(detect(target.pid), target)
    check_stack(run_pspy, target)


def futexes(pid):
    """The addresses that the threads of a process wait on at this moment."""
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/syscall", encoding="ascii") as file:
            words = file.read().split()
        if words[0] == str(FUTEX) and int(tid) != pid:
            yield int(words[1], 16)


@NEEDS_X86
def test_who_waits_for_the_gil(every_python, start_target, detect):
    """Two threads that want nothing but the GIL wait within the bytes that are said to be its."""
    target = start_target([every_python, "-c", SPINNING])
    status, fields, message = detect(target.pid)
    assert status == FOUND, message
    if not fields["gil_at"]:
        assert every_python.minor >= (3, 12), "only from 3.12 on each interpreter has its own"
        return
    seen, end = [], time.monotonic() + 60
    while len(seen) < 20 and time.monotonic() < end:
        seen += futexes(target.pid)
    assert len(seen) >= 20
    outside = [hex(address) for address in seen if not 0 <= address - fields["gil_at"] < fields["gil_size"]]
    assert not outside, fields


def test_starting_is_waited_for(every_python, start, detect):
    """From the first moment on: none yet, not started, found; never another answer, never a wrong version."""
    target = start([every_python, "-c", PLAIN])
    answers, end = [], time.monotonic() + 60
    while (not answers or answers[-1][0] != FOUND) and time.monotonic() < end:
        answers.append(detect(target.pid))
    target.statement = target.wait_json()
    assert {status for status, _, _ in answers} <= {FOUND, NONE, NOT_STARTED}, answers
    check_statement(answers[-1], target)


# ---- copies: stripped, renamed, deleted, replaced ------------------------------------------------------------------

class Copy:
    """An interpreter's own files copied to a folder: `program`, `library` (or None), `origin` (the file with the
    symbols), `environment` to run it in."""

    def __init__(self, python, folder, start_target, name="python"):
        target = start_target([python, "-c", PLAIN])
        mapped = re.findall(r"(/\S*/libpython\S*)$", pathlib.Path(f"/proc/{target.pid}/maps").read_text(), re.MULTILINE)
        program = os.readlink(f"/proc/{target.pid}/exe")
        if os.stat(f"/proc/{target.pid}/root").st_ino != os.stat("/").st_ino:
            pytest.skip("its files lie in another root")
        prefix = run(python, "-c", "import sys; print(sys.prefix)").strip()
        self.environment = {**os.environ, "LD_LIBRARY_PATH": str(folder), "PYTHONHOME": prefix}
        self.program = folder / name
        shutil.copyfile(program, self.program)
        self.program.chmod(0o755)
        self.library, self.origin = None, program
        if mapped:
            self.library, self.origin = folder / os.path.basename(mapped[0]), mapped[0]
            shutil.copyfile(mapped[0], self.library)

    @property
    def holder(self):
        return self.library or self.program

    def arguments(self, code):
        return [self.program, "-c", code]


def test_stripped_and_renamed(every_python, start_target, run_pspy, detect, tmp_path):
    copy = Copy(every_python, tmp_path, start_target, "my app")
    symbols = symbols_of(copy.origin)
    run("strip", "--strip-all", copy.holder)
    target = start_target(copy.arguments(WITH_CTYPES), env=copy.environment)
    found = detect(target.pid)
    check_statement(found, target)
    assert found[1]["path"] == str(copy.holder)
    assert found[1]["code_type"]
    if "PyCode_Type" in symbols:
        check_symbols(found[1], target.statement, symbols, stripped=True)
    check_stack(run_pspy, target)


@NEEDS_X86
def test_code_gives_variables_away(every_python, start_target, detect, tmp_path):
    """What strip takes from Pythons without _PyRuntime is found in the code of exported functions."""
    copy = Copy(every_python, tmp_path, start_target)
    symbols = symbols_of(copy.origin)
    if "interp_head" not in symbols:
        return
    run("strip", "--strip-all", copy.holder)
    target = start_target(copy.arguments(PLAIN), env=copy.environment)
    status, fields, message = detect(target.pid)
    assert status == FOUND, message
    bias = target.statement["code_type"] - symbols["PyCode_Type"][0]
    assert fields["interpreters_at"] == bias + symbols["interp_head"][0]
    assert fields["collecting_at"] == bias + symbols["collecting"][0]
    assert fields["gil_lock_at"] == (bias + symbols["interpreter_lock"][0] if "interpreter_lock" in symbols else 0)
    if "gil_cond" in symbols:
        parts = [bias + symbols[name][0] for name in ("gil_mutex", "gil_cond", "switch_mutex", "switch_cond")]
        assert fields["gil_at"] == min(parts)
        assert fields["gil_at"] + fields["gil_size"] > max(parts)


@NEEDS_ROOT
@pytest.mark.parametrize("fate", ["deleted", "replaced"])
def test_file_is_gone(every_python, start_target, run_pspy, detect, tmp_path, fate):
    copy = Copy(every_python, tmp_path, start_target)
    target = start_target(copy.arguments(WITH_CTYPES), env=copy.environment)
    for path in filter(None, (copy.program, copy.library)):
        path.unlink()
        if fate == "replaced":
            shutil.copyfile(shutil.which("sleep"), path)
    check_statement(detect(target.pid), target)
    check_stack(run_pspy, target)


@pytest.fixture
def open_folder():
    """A folder that everyone may enter, unlike tmp_path."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        yield pathlib.Path(folder)


@pytest.fixture
def open_detect(detect, build, open_folder):
    """detect for a process of nobody's, asked by nobody."""
    program = shutil.copy(build / "tests/unit/print_detect", open_folder)
    return lambda pid: detect(pid, program, AS_NOBODY)


def add_standard_library(folder, python, prefix):
    """The modules without which no Python starts: single files, and the folder of encodings."""
    origin = pathlib.Path(prefix, "lib", f"python{python.kind.rstrip('d')}")
    home = folder / "lib" / origin.name
    (home / "lib-dynload").mkdir(parents=True)
    for path in origin.glob("*.py"):
        shutil.copy(path, home)
    for name in ("encodings", "collections", "re", "importlib"):
        if (origin / name).is_dir():
            shutil.copytree(origin / name, home / name)
    return folder


@NEEDS_ROOT
def test_library_is_gone_for_its_user(every_python, start_target, open_detect, open_folder):
    """Who may not open the mapped file reads what is mapped of it."""
    copy = Copy(every_python, open_folder, start_target)
    home = add_standard_library(open_folder, every_python, copy.environment["PYTHONHOME"])
    target = start_target([*AS_NOBODY, *copy.arguments(PLAIN)], env={**copy.environment, "PYTHONHOME": str(home)})
    for path in filter(None, (copy.program, copy.library)):
        path.unlink()
    found = open_detect(target.pid)
    check_statement(found, target)
    assert found[1]["path"] == str(copy.holder)


def test_memory_file(start_target, run_pspy, detect, python, tmp_path):
    """A program that was never on a disk."""
    copy = Copy(python, tmp_path, start_target)
    script = f"""
import os, sys
file = os.memfd_create("strange")
os.write(file, open({str(copy.program)!r}, "rb").read())
os.execve(file, ["python", "-c", {PLAIN!r}], dict(os.environ, **{copy.environment!r}))
"""
    target = start_target([python, "-c", script])
    found = detect(target.pid)
    check_statement(found, target)
    check_stack(run_pspy, target)


# ---- other roots and namespaces ------------------------------------------------------------------------------------

def make_root(folder, python, start_target):
    """A root directory that holds the interpreter and the libraries it needs; the environment to run it in."""
    copy = Copy(python, folder, start_target)
    add_standard_library(folder, python, copy.environment["PYTHONHOME"])
    listed = run("ldd", copy.program, env={**os.environ, "LD_LIBRARY_PATH": str(folder)})
    for path in re.findall(r"(/\S+) \(", listed):
        if not path.startswith(str(folder)):
            (folder / path[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / path[1:])
    return {"PYTHONHOME": "/", "LD_LIBRARY_PATH": "/"}


OTHER_ROOTS = {
    "chroot": ["chroot"],
    "mounts": ["unshare", "--mount", "chroot"],
    "pids": ["unshare", "--mount", "--pid", "--fork", "--kill-child", "chroot"],
}


def descendant(pid):
    """The process that runs the program itself: --fork leaves one above it."""
    while True:
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if not children:
            return pid
        pid = int(children[0])


@NEEDS_ROOT
@pytest.mark.parametrize("kind", OTHER_ROOTS)
def test_another_root(python, start_target, run_pspy, detect, tmp_path, kind):
    environment = make_root(tmp_path, python, start_target)
    target = start_target([*OTHER_ROOTS[kind], tmp_path, "/python", "-c", PLAIN], env={**os.environ, **environment})
    pid = descendant(target.pid)
    check_statement(detect(pid), target)
    check_stack(run_pspy, target, pid)


@NEEDS_ROOT
def test_another_root_for_its_user(python, start_target, run_pspy, open_detect, open_folder):
    environment = make_root(open_folder, python, start_target)
    target = start_target(["chroot", f"--userspec={NOBODY}:{NOBODY}", open_folder, "/python", "-c", PLAIN],
                          env={**os.environ, **environment})
    check_statement(open_detect(target.pid), target)
    check_stack(run_pspy, target)


# ---- ways to start -------------------------------------------------------------------------------------------------

def test_virtual_environment(python, start_target, run_pspy, detect, tmp_path):
    run(python, "-m", "venv", "--without-pip", tmp_path / "venv")
    target = start_target([tmp_path / "venv/bin/python", "-c", WITH_CTYPES])
    check_statement(detect(target.pid), target)
    check_stack(run_pspy, target)


def test_zipapp(python, start_target, detect, tmp_path):
    (tmp_path / "app").mkdir()
    (tmp_path / "app/__main__.py").write_text(WITH_CTYPES)
    run(python, "-m", "zipapp", tmp_path / "app", "-p", python, "-o", tmp_path / "app.pyz")
    target = start_target([tmp_path / "app.pyz"])
    check_statement(detect(target.pid), target)


def test_perf_support(python, start_target, run_pspy, detect):
    if python.minor < (3, 12):
        pytest.skip("it came with 3.12")
    target = start_target([python, "-X", "perf", "-c", WITH_CTYPES])
    found = detect(target.pid)
    pathlib.Path(f"/tmp/perf-{target.pid}.map").unlink(missing_ok=True)
    check_statement(found, target)
    check_stack(run_pspy, target)


# ---- embedded ------------------------------------------------------------------------------------------------------

class Embedded:
    """The programs that embed one Python, where its headers and static library are here."""

    def __init__(self, python, build, repo):
        facts = "import os, sys, sysconfig as s; v = s.get_config_var; " \
                "print(os.path.join(v('LIBPL') or '', v('LIBRARY') or '')); print(s.get_path('include')); print(sys.prefix)"
        library, include, prefix = run(python, "-c", facts).splitlines()
        if python.id.endswith("-sid") or not os.path.isfile(library) or not os.path.isfile(f"{include}/Python.h"):
            pytest.skip("no static library or no headers of it here")
        printed = run("make", "-s", "-C", repo / "sample_targets", "embed", f"PYTHON={python}",
                      f"OUT={build / 'embed' / python.id}")
        self.folder = pathlib.Path(printed.split()[-1])
        self.environment = {**os.environ, "PYTHONHOME": prefix}
        self.library, self.include = library, include


@pytest.fixture(scope="session")
def embedded(build, repo):
    made = {}

    def of(python):
        if python.id not in made:
            made[python.id] = Embedded(python, build, repo)
        return made[python.id]

    return of


def drop_section_headers(path):
    """As sstrip does: e_shoff, e_shentsize, e_shnum and e_shstrndx of the ELF header become 0."""
    with open(path, "r+b") as file:
        for at, size in (40, 8), (58, 6):
            file.seek(at)
            file.write(bytes(size))


@pytest.mark.parametrize("fate", ["whole", "stripped", "headless"])
@pytest.mark.parametrize("kind", ["static", "hidden"])
def test_embedded(every_python, embedded, start_target, run_pspy, detect, tmp_path, kind, fate):
    """A program that holds Python, with and without exporting its symbols."""
    programs = embedded(every_python)
    path = pathlib.Path(shutil.copy(programs.folder / kind, tmp_path / "server"))
    symbols = symbols_of(path)
    if fate != "whole":
        run("strip", "--strip-all", path)
    if fate == "headless":
        drop_section_headers(path)
    target = start_target([path, PLAIN], env=programs.environment)
    status, fields, message = detect(target.pid)
    check_statement((status, fields, message), target)
    assert fields["path"] == str(path)
    check_symbols(fields, target.statement, symbols, stripped=fate != "whole")
    check_stack(run_pspy, target)


def test_late_and_finalized(every_python, embedded, start_target, detect):
    """A program that starts Python when asked to, and ends it before it ends itself."""
    programs = embedded(every_python)
    kind = "shared" if (programs.folder / "shared").exists() else "static"
    target = start_target([programs.folder / kind, "--late", PLAIN], env=programs.environment)
    status, _, message = detect(target.pid)
    assert (status, "not started" in message) == (NOT_STARTED, True), message
    target.process.stdin.write("start\n")
    target.process.stdin.flush()
    target.statement = target.wait_json()
    check_statement(detect(target.pid), target)
    target.process.stdin.write("end\n")
    target.process.stdin.flush()
    assert target.wait_json() == {"ended": True}
    assert detect(target.pid)[0] == NOT_STARTED


HOST = """
#include <dlfcn.h>
int main(int argc, char **argv)
{
    void *plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    int (*run)(int, char **) = plugin ? (int (*)(int, char **))dlsym(plugin, "run") : 0;

    return run ? run(argc - 1, argv + 1) : 3;
}
"""


def test_plugin(python, embedded, repo, start_target, run_pspy, detect, tmp_path):
    """Python inside a library that a program loads under a name that says nothing."""
    programs = embedded(python)
    if python.id.endswith("-usr"):
        pytest.skip("its static library is not for shared libraries")
    (tmp_path / "host.c").write_text(HOST)
    run(*CC, "-o", tmp_path / "host", tmp_path / "host.c", "-ldl")
    run(*CC, "-shared", "-fPIC", "-Dmain=run", "-isystem", programs.include, "-o", tmp_path / "module.so",
        repo / "sample_targets/embed.c", programs.library, "-lpthread", "-ldl", "-lutil", "-lm")
    target = start_target([tmp_path / "host", tmp_path / "module.so", PLAIN], env=programs.environment)
    found = detect(target.pid)
    check_statement(found, target)
    assert found[1]["path"] == str(tmp_path / "module.so")
    check_stack(run_pspy, target)


def test_second_library(start_target, run_pspy, detect, python, tmp_path):
    """A Python that only lies there, not started, is not the one that runs."""
    other = next((path for path in pathlib.Path("/").glob("root/.pyenv/versions/*/lib/libpython*.so.1.0")
                  if f"python{python.minor[0]}.{python.minor[1]}" not in path.name), None)
    if not other:
        pytest.skip("no other libpython here")
    code = WITH_CTYPES.replace("import ctypes\n", f"import ctypes\nctypes.CDLL({str(other)!r}, ctypes.RTLD_LOCAL)\n")
    target = start_target([python, "-c", code])
    check_statement(detect(target.pid), target)
    check_stack(run_pspy, target)


# ---- what is no CPython, or none that can be read ------------------------------------------------------------------

def test_no_python(start, detect):
    target = start(["sleep", "60"])
    status, _, message = detect(target.pid)
    assert (status, message) == (NONE, f"no Python interpreter in process {target.pid}\n")


@pytest.mark.parametrize("name,kind", [("pypy3.10", "PyPy"), ("micropython", "MicroPython")])
def test_other_implementations(start, detect, tmp_path, name, kind):
    program = tmp_path / name
    shutil.copy(shutil.which("sleep"), program)
    target = start([program, "60"])
    # An exec is told of before the program is mapped.
    wait_until(lambda: str(program) in pathlib.Path(f"/proc/{target.pid}/maps").read_text(), "the program")
    status, _, message = detect(target.pid)
    assert status == UNREADABLE
    assert message == f"process {target.pid} runs {kind}, and pspy reads the frames of CPython only\n"


OLD = """
#include <stdio.h>
static void *interp_head;
void *_PyThreadState_Current;
void *PyInterpreterState_Head(void) { return interp_head; }
const char *Py_GetVersion(void)
{
    static char text[250];

    snprintf(text, sizeof(text), "%%.80s (%%.80s) %%.80s", "%s", "build", "compiler");
    return text;
}
int main(void)
{
    puts("{}");
    fflush(stdout);
    getchar();
    return Py_GetVersion()[0] == 0 || PyInterpreterState_Head() != 0;
}
"""


@pytest.mark.parametrize("version", ["2.6.9", "3.5.10", "3.0.1"])
def test_versions_before_all_rows(start_target, detect, tmp_path, version):
    (tmp_path / "old.c").write_text(OLD % version)
    run(*CC, "-O2", "-Wl,--export-dynamic", "-o", tmp_path / "python", tmp_path / "old.c")
    target = start_target([tmp_path / "python"])
    status, _, message = detect(target.pid)
    assert status == UNREADABLE
    assert f"CPython {version.rpartition('.')[0]} " in message
    assert message.count("\n") == 1
