# SPDX-License-Identifier: MIT
"""What every test has at hand.

* `tests/unit/test_*.c`: each program of that name under BUILD/tests/unit is run once; every TAP line it prints is one
  test here. A crash, a missing plan or a missing program is a failing test.
* `pspy` (path), `repo`, `build` (paths), `run_pspy(args)`, `start_target(argv)`.
* `python` (parametrised): a few CPythons that differ much, for most tests; `every_python`: each that is here, for what is
  the core of reading Python. `python.extensions()`, `python.headers()`, `python.with_numpy()`.
* Whatever a test starts through these is killed when it ends.

`make test` says by the environment what to test: PSPY, BUILD, REPO, SAN, CC, WIDTH; alone, `pytest tests` takes `build`.
CONTRIBUTING.md says what the marks `statistical` and `thorough` mean.
"""
import collections
import fcntl
import functools
import glob
import json
import os
import pathlib
import queue
import re
import shutil
import signal
import subprocess
import threading
import time
import uuid

import pytest

import runner

REPO = pathlib.Path(os.environ.get("REPO") or pathlib.Path(__file__).resolve().parent.parent)
BUILD = pathlib.Path(os.environ.get("BUILD") or REPO / "build").resolve()
PSPY = pathlib.Path(os.environ.get("PSPY") or BUILD / "pspy")
SANITIZED = bool(os.environ.get("SAN"))
# A deadline says "this hangs", never "this is slow": generous, and more so with sanitizers.
PATIENCE = 4 if SANITIZED else 1
# tests/pythons.sh makes them; shared by all builds.
MADE_PYTHONS = REPO / "build-pythons"
SHAPES = ("2.7", "3.8", "3.10", "3.11", "3.12", "3.13t", "3.15")
# What `python` stands for, the distribution's own where it has one; and what `every_python` is to have at least.
FEW_PYTHONS = ("3.11", "3.12", "3.13")
# What `make check` tests with: the distribution's own, and these, whose structs differ most.
NARROW_PYTHONS = ("2.7", "3.8", "3.11", "3.13")
# "few": what `make check` runs; "rest": what it leaves out; "all".
WIDTH = os.environ.get("WIDTH") or "all"
WANTED_PYTHONS = ("2.7", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15", "3.13t", "3.11d",
                  "3.15d")

PARALLEL_FOLDERS = ("browser", "fuzz", "layout")
PARALLEL_FILES = ("test_aarch64", "test_builds", "test_code_frames", "test_debug_files", "test_elf_tools", "test_native",
                  "test_stacks", "test_steps", "test_symbol_sources", "test_unrunnable", "test_unwind_rows")

# Whoever started us (nohup, a shell's "&") may have ignored signals, and what is ignored is inherited.
for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
    signal.signal(number, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.pthread_sigmask(signal.SIG_SETMASK, ())

os.environ.update(REPO=str(REPO), BUILD=str(BUILD), PSPY=str(PSPY))
if SANITIZED:
    os.environ.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")


# ---- C unit tests: TAP lines become items ---------------------------------------------------------------------------

TAP_LINE = re.compile(r"^(?P<bad>not )?ok\b\s*(?P<number>\d+)?\s*(?:-\s*)?(?P<name>[^#]*?)\s*(?:#\s*(?P<why>.*))?$")
TAP_PLAN = re.compile(r"^1\.\.(\d+)\s*(?:#\s*(?P<why>.*))?$")
TapResult = collections.namedtuple("TapResult", "name passed why skip")


def parse_tap(output, status, program):
    """The results a TAP stream states, and a failing one for whatever is wrong with the stream itself."""
    results, planned, notes, skipped_all = [], None, [], None
    for line in output.splitlines():
        plan, result = TAP_PLAN.match(line), TAP_LINE.match(line)
        if plan:
            planned, skipped_all = int(plan.group(1)), plan.group("why")
        elif result:
            why = result.group("why") or ""
            skip = why[4:].strip(" :-") or "no reason given" if why.upper().startswith("SKIP") else None
            name = result.group("name") or f"test {len(results) + 1}"
            passed = not result.group("bad")
            text = "\n".join(notes + [why]) if not passed else why
            results.append(TapResult(name, passed, text, skip if passed else None))
            notes = []
        elif line.startswith("Bail out!"):
            results.append(TapResult("stream", False, line, None))
        else:
            notes.append(line)
    failed = sum(not result.passed for result in results)
    problem = None
    if status < 0:
        problem = f"ended by signal {signal.Signals(-status).name}"
    elif planned is None:
        problem = "printed no plan (1..N): it ended early"
    elif planned != len(results):
        problem = f"planned {planned} tests and ran {len(results)}"
    elif status and not failed:
        problem = f"every line says ok, but the exit status is {status}"
    if problem:
        results.append(TapResult("stream", False, f"{program} {problem}\n" + "\n".join(notes[-40:]), None))
    elif planned == 0:
        results.append(TapResult("all", True, "", re.sub("(?i)^skip[: -]*", "", skipped_all or "") or "no tests"))
    return results


def run_unit_program(program):
    if not program.exists():
        return [TapResult("stream", False, f"{program} is not built: run `make unit` or `make test`", None)]
    try:
        done = subprocess.run([program], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              cwd=REPO, timeout=120 * PATIENCE, errors="replace", start_new_session=True)
    except subprocess.TimeoutExpired as late:
        output = (late.output or b"").decode(errors="replace")
        return [TapResult("stream", False, f"{program} did not end in {late.timeout} s\n{output[-4000:]}", None)]
    return parse_tap(done.stdout, done.returncode, program.name)


class UnitFile(pytest.File):
    """tests/unit/test_NAME.c, run while it is collected: only its output says what tests it has."""

    def collect(self):
        seen = collections.Counter()
        for result in run_unit_program(BUILD / "tests" / "unit" / self.path.stem):
            seen[result.name] += 1
            name = result.name if seen[result.name] == 1 else f"{result.name} ({seen[result.name]})"
            yield UnitItem.from_parent(self, name=name, result=result)


class UnitItem(pytest.Item):
    def __init__(self, *, result, **arguments):
        super().__init__(**arguments)
        self.result = result

    def runtest(self):
        if self.result.skip is not None:
            pytest.skip(f"{self.path.stem}, {self.name}: {self.result.skip}")
        if not self.result.passed:
            raise UnitFailure(self.result.why)

    def repr_failure(self, excinfo, style=None):
        if isinstance(excinfo.value, UnitFailure):
            return f"not ok - {self.result.name}\n{excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self):
        return self.path, 0, f"{self.path.stem}: {self.name}"


class UnitFailure(Exception):
    pass


def pytest_collect_file(file_path, parent):
    if WIDTH != "rest" and file_path.suffix == ".c" and file_path.name.startswith("test_") and file_path.parent.name == "unit":
        return UnitFile.from_parent(parent, path=file_path)
    return None


# ---- the interpreters ----------------------------------------------------------------------------------------------

FACTS = """
import json, platform, sys, sysconfig
build = "d" * hasattr(sys, "gettotalrefcount") + "t" * bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
print(json.dumps([platform.python_implementation(), platform.python_version(), build, sysconfig.get_paths()["include"]]))
"""


class Python:
    """One CPython: `path`, `version` ("3.12.1"), `minor` (3, 12), `build` ("t" free-threaded, "d" debug, ""), `root` (its
    files lie below it; "" for this machine's own); str() is the path."""

    def __init__(self, path, version, build="", include="", root=""):
        self.path, self.version, self.build, self.root, self.include = path, version, build, root, root + include
        self.minor = tuple(int(part) for part in version.split(".")[:2])
        self.kind = ".".join(map(str, self.minor)) + build

    def __str__(self):
        return str(self.path)

    __fspath__ = __str__

    def __repr__(self):
        return f"<CPython {self.id} at {self.path}>"

    @property
    def id(self):
        where = "-sid" if self.root else "-usr" if str(self.path).startswith("/usr/") else ""
        return self.version + self.build + where

    def with_numpy(self):
        """The same interpreter in a virtual environment that has NumPy; made once, under BUILD/venvs."""
        return Python(virtual_environment(self, ("numpy",)), self.version)

    def extensions(self):
        """The folder of the sample targets' extension modules for it: a target that needs them wants PYTHONPATH."""
        return extension_folder(str(self), self.root)

    def headers(self):
        """What a compiler needs to find its headers; Debian's pyconfig.h names the real one from the folder above."""
        return ["-isystem", self.include, "-idirafter", os.path.dirname(self.include)]


def python_paths():
    root = ""
    if shutil.which("pyenv"):
        root = subprocess.run(["pyenv", "root"], capture_output=True, text=True, check=False).stdout.strip()
    return [*(sorted(glob.glob(f"{root}/versions/*/bin/python")) if root else []), "/usr/bin/python3",
            *sorted(glob.glob(f"{MADE_PYTHONS}/bin/python*"))]


def ask_python(path):
    """The interpreter, or why there is none."""
    try:
        answer = subprocess.run([path, "-c", FACTS], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return f"{path}: {(getattr(error, 'stderr', '') or str(error)).strip()}"
    implementation, version, build, include = json.loads(answer)
    # A command that enters another root says by its place which one.
    real = pathlib.Path(path).resolve()
    root = str(real.parents[1]) if real.parent.name == "commands" else ""
    return Python(path, version, build, include, root) if implementation == "CPython" else f"{path}: {implementation}"


@functools.lru_cache(maxsize=None)
def every_answer():
    return tuple(ask_python(path) for path in python_paths())


def pythons_here():
    found = [python for python in every_answer() if isinstance(python, Python)]
    return sorted(found, key=lambda python: (python.minor, python.build, python.id))


def few_pythons():
    """One for each version of the few: the distribution's, else the newest."""
    return [max(those, key=lambda python: (python.id.endswith("-usr"), python.version))
            for kind in FEW_PYTHONS for those in [[python for python in pythons_here() if python.kind == kind]] if those]


@functools.lru_cache(maxsize=None)
def narrow_pythons():
    """What `make check` tests with: none that tests/pythons.sh has made, and one for each kind, the distribution's first."""
    found = {}
    for python in pythons_here():
        is_own = python.id.endswith("-usr")
        if MADE_PYTHONS not in pathlib.Path(python.path).parents and (is_own or python.kind in NARROW_PYTHONS):
            if is_own or not found.get(python.kind, python).id.endswith("-usr"):
                found[python.kind] = python
    return list(found.values())


def missing_pythons():
    """[line]: what is not tested here, and why where that is known."""
    here = {python.kind for python in pythons_here()}
    lines = [kind for kind in WANTED_PYTHONS if kind not in here]
    lines += [answer for answer in every_answer() if not isinstance(answer, Python)]
    try:
        lines += (MADE_PYTHONS / "missing").read_text().splitlines()
    except OSError:
        lines += ["tests/pythons.sh has made none"]
    return lines


@functools.lru_cache(maxsize=None)
def virtual_environment(python, packages):
    """The path of the interpreter in BUILD/venvs/VERSION, made on first use."""
    folder = BUILD / "venvs" / python.id
    ready, interpreter = folder / "ready", folder / "bin" / "python3"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{folder}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists() or ready.read_text() != " ".join(packages):
            make_quietly([str(python), "-m", "venv", "--clear", str(folder)])
            make_quietly([str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages])
            ready.write_text(" ".join(packages))
    return interpreter


@functools.lru_cache(maxsize=None)
def extension_folder(interpreter, root):
    printed = make_quietly(["make", "-s", "-C", str(REPO / "sample_targets"), "callback", f"PYTHON={interpreter}",
                            f"ROOT={root}", f"OUT={BUILD / 'sample_targets'}"])
    return pathlib.Path(printed.split()[-1])


def make_quietly(command):
    """What the command printed. One at a time: several processes may test, and want the same files made."""
    with open(BUILD / "make.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def core_pythons():
    """All; with sanitizers, which take their time, one for each shape of CPython's structs."""
    return [python for python in pythons_here() if not SANITIZED or python.kind in SHAPES
            and (python.kind != "3.11" or python in few_pythons())]


@pytest.fixture
def most_of_three():
    """most_of_three(check): two of three calls must pass. For what a program states of itself, which a busy machine may spoil
    once: a profiler that favours something is off each time."""
    def judge(check):
        faults = []
        for _ in range(3):
            try:
                check()
            except AssertionError as fault:
                faults.append(str(fault))
        assert len(faults) <= 1, faults

    return judge


def pytest_generate_tests(metafunc):
    for name, pythons in ("python", few_pythons), ("every_python", core_pythons):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, pythons(), ids=[python.id for python in pythons()])


def is_thorough(item):
    """Whether only `make check-all` runs it: by its mark, or by an interpreter that `make check` does without."""
    arguments = getattr(item, "callspec", None) and item.callspec.params or {}
    interpreters = [value for value in arguments.values() if isinstance(value, Python)]
    return bool(item.get_closest_marker("thorough")) or any(value.id not in {python.id for python in narrow_pythons()}
                                                            for value in interpreters)


def pytest_collection_modifyitems(config, items):
    """What measures no shares or rates is marked: `make test` runs several of these at a time."""
    runner.note_statistical(items)
    if WIDTH != "all":
        left_out = [item for item in items if is_thorough(item) != (WIDTH == "rest")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if is_thorough(item) == (WIDTH == "rest")]
    for item in items:
        if ("every_python" in getattr(item, "fixturenames", ()) or item.path.parent.name in PARALLEL_FOLDERS
                or item.path.stem in PARALLEL_FILES):
            item.add_marker("parallel")


def pytest_report_header():
    few = few_pythons()
    return [f"pspy: {PSPY}" + (" (sanitizers: " + os.environ["SAN"] + ")" if SANITIZED else ""),
            "CPythons, all tests: " + (", ".join(python.id for python in few) or "none"),
            f"width: {WIDTH}; CPythons in make check: " + ", ".join(python.id for python in narrow_pythons()),
            "CPythons, core tests too: " + ", ".join(python.id for python in core_pythons() if python not in few),
            *(f"CPythons, not here: {line}" for line in missing_pythons())]


# ---- paths ---------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="session")
def pspy():
    return PSPY


@pytest.fixture(scope="session")
def repo():
    return REPO


@pytest.fixture(scope="session")
def build():
    return BUILD


@pytest.fixture
def output(tmp_path):
    """A folder for what the test writes."""
    return tmp_path


# ---- running things ------------------------------------------------------------------------------------------------

MARK = "TEST_PROCESS_MARK"
Outcome = collections.namedtuple("Outcome", "status stdout stderr")


class Started:
    """A process in a session of its own whose output is read all the time, so that it never blocks on a pipe."""

    def __init__(self, argv, **arguments):
        self.argv = [str(word) for word in argv]
        arguments.setdefault("cwd", REPO)
        # A pipe that nobody writes to: sample targets leave when it closes, so none outlives the tests.
        arguments.setdefault("stdin", subprocess.PIPE)
        # Inherited by all descendants, also those that leave the session.
        self.mark = f"{MARK}={uuid.uuid4().hex}"
        arguments["env"] = {**(arguments.get("env") or os.environ), MARK: self.mark.partition("=")[2]}
        self.process = subprocess.Popen(self.argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        errors="replace", start_new_session=True, **arguments)
        self.lines, self.errors = queue.Queue(), []
        self.readers = [threading.Thread(target=self.read_lines, daemon=True),
                        threading.Thread(target=self.read_errors, daemon=True)]
        for reader in self.readers:
            reader.start()

    @property
    def pid(self):
        return self.process.pid

    def read_lines(self):
        with self.process.stdout as stream:
            for line in stream:
                self.lines.put(line)
        self.lines.put(None)

    def read_errors(self):
        with self.process.stderr as stream:
            self.errors.extend(stream)

    def wait_json(self, deadline=30):
        """The next line of stdout that is a JSON object; what a sample target prints once it is in position."""
        end = time.monotonic() + deadline * PATIENCE
        while True:
            try:
                line = self.lines.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"{self.argv} printed no JSON line in {deadline * PATIENCE} s; "
                                     f"its errors: {''.join(self.errors)[-2000:]}") from None
            if line is None:
                self.process.wait(5)
                self.readers[1].join(5)
                raise AssertionError(f"{self.argv} ended with status {self.process.returncode} before it was in "
                                     f"position; its errors: {''.join(self.errors)[-2000:]}")
            if line.lstrip().startswith("{"):
                try:
                    return json.loads(line)
                except ValueError:
                    continue

    def wait(self, deadline=60):
        """Waits for the end; (status, stdout, stderr), stdout without the lines already taken."""
        try:
            self.process.wait(deadline * PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.argv} did not end in {deadline * PATIENCE} s; "
                                 f"its errors: {''.join(self.errors)[-2000:]}") from None
        for reader in self.readers:
            reader.join(10)
        text = []
        while not self.lines.empty():
            line = self.lines.get()
            if line is not None:
                text.append(line)
        return Outcome(self.process.returncode, "".join(text), "".join(self.errors))

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """Ends the process and all that it started."""
        if self.process.stdin:
            try:
                self.process.stdin.close()
            except OSError:
                pass
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        self.process.wait(30)
        for pid in marked_processes(self.mark):
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass


def marked_processes(mark):
    """The processes whose environment holds exactly this NAME=value."""
    found = []
    for path in glob.glob("/proc/[0-9]*/environ"):
        try:
            with open(path, "rb") as environment:
                if mark.encode() in environment.read().split(b"\0"):
                    found.append(int(path.split("/")[2]))
        except OSError:
            continue
    return found


@pytest.fixture
def start():
    """start(argv, **popen_arguments) -> Started; killed, with its descendants, when the test ends."""
    running = []

    def start_one(argv, **arguments):
        running.append(Started(argv, **arguments))
        return running[-1]

    yield start_one
    for process in reversed(running):
        process.kill()


@pytest.fixture
def start_target(start):
    """start_target(argv, deadline=30) -> Started that is in position; `.statement` is the JSON it printed."""

    def start_one(argv, deadline=30, **arguments):
        target = start(argv, **arguments)
        target.statement = target.wait_json(deadline)
        return target

    return start_one


@pytest.fixture
def run_pspy(start):
    """run_pspy(args, deadline=60, check=None) -> (status, stdout, stderr); check=N asserts the status."""

    def run(args, deadline=60, check=None, **arguments):
        arguments.setdefault("stdin", subprocess.DEVNULL)
        outcome = start([PSPY, *args], **arguments).wait(deadline)
        if SANITIZED:
            assert "ERROR: AddressSanitizer" not in outcome.stderr, outcome.stderr
            assert "LeakSanitizer" not in outcome.stderr, outcome.stderr
            assert "runtime error:" not in outcome.stderr, outcome.stderr
        if check is not None:
            assert outcome.status == check, f"status {outcome.status}\n{outcome.stdout[-2000:]}\n{outcome.stderr[-4000:]}"
        return outcome

    return run
