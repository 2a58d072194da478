# SPDX-License-Identifier: MIT
"""Python stacks, alone and merged with C's: every sample must show exactly what the target states of itself."""
import json
import math
import os
import re
import textwrap

import pytest
from measure import (Frame, children, is_python, launch, native_frames, python_frames, record, settled, show,
                     stated_python, within_package)

ROOT_FUNCTIONS = {"_start", "__libc_start_main", "__libc_start_call_main", "main", "Py_BytesMain", "Py_RunMain",
                  "clone3", "start_thread", "Py_Main"}
UNKNOWN = "[unknown Python function]"


@pytest.fixture
def stack_py(start_target, repo):
    """stack_py(python, arguments...) -> stack_py.py in position."""
    return lambda python, *arguments: start_target([python, repo / "sample_targets/stack_py.py", *arguments])


@pytest.fixture
def inline(start_target, repo, tmp_path):
    """inline(python, text) -> a program of the test's own in position; it can import the sample targets' position.py."""

    def start_one(python, text, *arguments):
        path = tmp_path / "inline_target.py"
        path.write_text("# -*- coding: utf-8 -*-\n" + textwrap.dedent(text), encoding="utf-8")
        return start_target([python, path, *arguments],
                            env={**os.environ, "PYTHONPATH": str(repo / "sample_targets")})

    return start_one


def check_order(frames):
    """C's root functions stand outside of all Python frames."""
    first = next(i for i, frame in enumerate(frames) if is_python(frame))
    assert first > 0, show(frames)
    assert not any(frame.name in ROOT_FUNCTIONS for frame in native_frames(frames[first:])), show(frames)


def check_folded(frames):
    """What runs Python stands nowhere."""
    assert is_python(frames[0]), show(frames)
    assert not any(frame.name in ROOT_FUNCTIONS or re.match("_?Py(Eval|Object|Run)_", frame.name)
                   for frame in native_frames(frames)), show(frames)


CHECKS = {"-n": check_folded, "--native-all": check_order}


def check_exact(recording, thread, options=(), root=""):
    """Every sample shows the stated frames, and no other Python frame."""
    check = next((CHECKS[option] for option in options if option in CHECKS), None)
    truth = stated_python(thread, root)
    assert recording.samples > 0, recording.stderr
    for frames in map(settled, recording.stacks):
        assert python_frames(frames) == truth, f"{show(frames)}\nstated: {show(truth)}"
        if check:
            check(frames)
        else:
            assert len(frames) == len(truth), show(frames)
    assert not recording.incomplete, recording.stderr


# ---- what a stack shows --------------------------------------------------------------------------------------------

# The target's stack stands still: what is read without stopping it must be right as well.
WAYS = [], ["-n"], ["--nonblocking"]


def test_busy(stack_py, run_pspy, every_python):
    target = stack_py(every_python)
    for options in (*WAYS, ["--native-all"]):
        recording = record(run_pspy, target.pid, *options, duration=0.2)
        check_exact(recording, target.statement["threads"][0], options)


def test_idle(stack_py, run_pspy, every_python):
    target = stack_py(every_python, "--idle")
    for options in WAYS:
        recording = record(run_pspy, target.pid, "-i", *options, duration=0.2)
        check_exact(recording, target.statement["threads"][0], options)


def test_waiting_threads_are_left_out_without_i(stack_py, run_pspy, python):
    recording = record(run_pspy, stack_py(python, "--idle").pid, duration=0.2)
    assert recording.samples == 0
    assert "no thread was met running" in recording.stderr


FIRST_LINES = """
import json, sys
def walk(code, file):
    found.append([getattr(code, "co_qualname", code.co_name), file, code.co_firstlineno])
    for constant in code.co_consts:
        if hasattr(constant, "co_code"):
            walk(constant, file)
found = []
for file in sys.argv[1:]:
    with open(file, "rb") as source:
        walk(compile(source.read(), file, "exec"), file)
print(json.dumps({"first": found}))
"""


def test_function_lines(stack_py, run_pspy, start_target, every_python):
    """-F: the lines that the same interpreter's compiler gives the functions."""
    target = stack_py(every_python, "--threads", "1")
    files = {file for thread in target.statement["threads"] for _, _, file, _ in thread["frames"]}
    compiled = start_target([every_python, "-c", FIRST_LINES, *files]).statement["first"]
    allowed = {(qualname, within_package(file), line) for qualname, file, line in compiled}
    recording = record(run_pspy, target.pid, "-F", duration=0.2)
    truths = [[(frame.name, frame.file) for frame in stated_python(thread)] for thread in target.statement["threads"]]
    assert recording.samples
    for frames in map(settled, recording.stacks):
        assert [(frame.name, frame.file) for frame in frames] in truths, show(frames)
        assert all(frame in allowed for frame in frames), show(frames)


def test_no_lines(stack_py, run_pspy, python):
    target = stack_py(python)
    recording = record(run_pspy, target.pid, "--nolineno")
    truth = tuple(frame._replace(line=0) for frame in stated_python(target.statement["threads"][0]))
    assert {tuple(settled(frames)) for frames in recording.stacks} == {truth}


def test_full_filenames(stack_py, run_pspy, python):
    target = stack_py(python, "--idle", "--threads", "1")
    recording = record(run_pspy, target.pid, "--full-filenames", "-i", duration=0.2)
    truths = {tuple(Frame(qualname or name, file, line) for name, qualname, file, line in thread["frames"])
              for thread in target.statement["threads"]}
    assert set(recording.stacks) == truths


def test_kinds(stack_py, run_pspy, python):
    """The categories of a Chrome trace: the program's own, the library's, the interpreter's."""
    target = stack_py(python, "--idle", "--threads", "1")
    done = run_pspy(["record", "-p", str(target.pid), "-d", "0.2", "-i", "--native-all", "-f", "chrometrace", "-o", "-"],
                    check=0)
    kinds = {(event["name"], event["cat"]) for event in json.loads(done.stdout)["traceEvents"] if event["ph"] == "B"}
    assert {("leaf", "python"), ("Thread.run", "stdlib"), ("Py_RunMain", "interpreter")} <= kinds
    assert ("clock_nanosleep", "native") in kinds
    assert not {kind for _, kind in kinds} - {"python", "stdlib", "interpreter", "native"}


# ---- merged with C -------------------------------------------------------------------------------------------------

def stated_mixed(statement):
    return [Frame(frame["qualname"] or frame["name"], os.path.basename(frame["file"]), frame["line"])
            if frame["kind"] == "python" else frame["name"] for frame in statement["threads"][0]["frames"]]


@pytest.mark.parametrize("arguments", [[], ["--release-gil"]], ids=["gil", "released"])
def test_mixed(start_target, run_pspy, repo, every_python, arguments):
    """Python's frames and those of the C functions that are stated are the stated list, no more, no less."""
    target = start_target([every_python, repo / "sample_targets/stack_mixed.py", *arguments],
                          env={**os.environ, "PYTHONPATH": str(every_python.extensions())})
    truth = stated_mixed(target.statement)
    for option, check in CHECKS.items():
        recording = record(run_pspy, target.pid, option, duration=0.2)
        assert recording.samples and not recording.incomplete
        for frames in map(settled, recording.stacks):
            found = [frame if is_python(frame) else frame.name for frame in frames
                     if is_python(frame) or frame.name in truth]
            assert found == truth, show(frames)
            check(frames)
    only_python = tuple(frame for frame in truth if isinstance(frame, Frame))
    assert {tuple(settled(frames)) for frames in record(run_pspy, target.pid, duration=0.2).stacks} == {only_python}


# ---- deep stacks, generators, coroutines ---------------------------------------------------------------------------

STAY = """
import json, os, sys, itertools
import position

def stay():
    for _ in stated(sys._getframe()): pass

def stated(frame):
    position.announce("inline", [position.describe_thread(position.frames_of(frame), "busy")])
    return itertools.repeat(None)

position.leave_when_asked(60)
"""

DEEP = {
    "pure": """
        def go(n):
            return go(n - 1) if n else stay()
        sys.setrecursionlimit(5000)
        go(990)
    """,
    "sorted": """
        def go(n):
            if n == 0:
                return stay()
            sorted([n], key=lambda n: go(n - 1))
        sys.setrecursionlimit(5000)
        go(490)
    """,
    "reduce": """
        import functools
        def go(n, _=0):
            return functools.reduce(lambda a, b: go(n - 1), (1, 2)) if n else stay()
        sys.setrecursionlimit(5000)
        go(490)
    """,
    "very deep": """
        def go(n):
            return go(n - 1) if n else stay()
        sys.setrecursionlimit(10000)
        go(6000)
    """,
    "generators": """
        def deepest():
            yield (stay() for _ in range(1))
        def middle(n):
            if n:
                yield from middle(n - 1)
            else:
                for inner in deepest():
                    yield from inner
        def outer():
            yield sum(x or 0 for x in middle(30))
        list(map(lambda f: next(f()), [outer]))
    """,
    "coroutines": """
        import asyncio
        async def innermost():
            await asyncio.sleep(0)
            stay()
        async def level(n):
            async with asyncio.Lock():
                return await (level(n - 1) if n else innermost())
        async def ticks():
            await innermost()
            yield 1
        async def main():
            await asyncio.gather(asyncio.sleep(1000), level(20))
        asyncio.run(main())
    """,
    "async generator": """
        import asyncio
        async def ticks():
            await asyncio.sleep(0)
            yield stay()
        async def main():
            return [value async for value in ticks()]
        asyncio.run(main())
    """,
    "protocols": """
        import operator
        class Odd:
            def __getattr__(self, name):
                return self[name]
            def __getitem__(self, key):
                return self + 1
            def __add__(self, other):
                return str(self)
            def __repr__(self):
                return self == 1 and ""
            def __eq__(self, other):
                with self:
                    return True
            def __enter__(self):
                return type("Meta", (), {"__init_subclass__": None, "__new__": lambda cls: stay()})()
            def __exit__(self, *exc):
                pass
        operator.attrgetter("name")(Odd())
    """,
    "destructor": """
        class Fading:
            def __del__(self):
                stay()
        def drop():
            x = Fading()
            x = None
        drop()
    """,
    "class body and exec": """
        def build():
            class Body:
                attribute = [exec("stay()", globals()) for _ in (1,)]
        eval("build()")
    """,
}


@pytest.mark.parametrize("native", [False, True], ids=["python", "native"])
@pytest.mark.parametrize("kind", DEEP)
def test_calls_of_every_sort(inline, run_pspy, python, kind, native):
    target = inline(python, STAY + textwrap.dedent(DEEP[kind]))
    options = ["--native-all"] * native
    recording = record(run_pspy, target.pid, *options, duration=0.3)
    check_exact(recording, target.statement["threads"][0], options)


# Calls through C of every sort in one stack, in words that 2.7 knows; what it does not know follows behind.
EVERY_CALL = """
import ctypes, functools

def recursion(n):
    return recursion(n - 1) if n else through_sorted(20)

def through_sorted(n):
    if n:
        return sorted([n], key=lambda n: through_sorted(n - 1))
    through_callback(5)

def through_callback(n):
    ctypes.CFUNCTYPE(None)(lambda: through_callback(n - 1) if n else through_partial(20))()

def through_partial(n):
    return functools.partial(through_partial, n - 1)() if n else list(generator(10))

def generator(n):
    for value in generator(n - 1) if n else (through_destructor() for _ in (1,)):
        yield value

class Fading(object):
    def __del__(self):
        through_class_body()

def through_destructor():
    fading = Fading()
    fading = None

def through_class_body():
    class Body(object):
        attribute = [eval("through_coroutines()", globals()) for _ in (1,)]

if sys.version_info < (3, 6):
    through_coroutines = stay
else:
    exec('''
import asyncio
async def innermost():
    await asyncio.sleep(0)
    for _ in delegate(5): pass
async def level(n):
    async with asyncio.Lock():
        return await (level(n - 1) if n else innermost())
async def ticks():
    yield await level(10)
async def main():
    async for _ in ticks(): pass
def delegate(n):
    yield from delegate(n - 1) if n else (stay() for _ in (1,))
def through_coroutines():
    loop = asyncio.new_event_loop()
    loop.run_until_complete(loop.create_task(main()))
''')

sys.setrecursionlimit(5000)
recursion(400)
"""


def test_all_calls_in_one_stack(inline, run_pspy, every_python):
    target = inline(every_python, STAY + EVERY_CALL)
    for options in (*WAYS, ["--native-all"]):
        recording = record(run_pspy, target.pid, *options, duration=0.2)
        check_exact(recording, target.statement["threads"][0], options, every_python.root)


def test_python_signal_handler(inline, run_pspy, python):
    """A handler that Python runs in between: above the code that it interrupted."""
    target = inline(python, STAY + textwrap.dedent("""
        import signal
        def handler(number, frame):
            stay()
        def interrupted():
            os.kill(os.getpid(), signal.SIGUSR1)
            for _ in itertools.repeat(None): pass
        signal.signal(signal.SIGUSR1, handler)
        interrupted()
    """))
    for options in ([], ["--native-all"]):
        recording = record(run_pspy, target.pid, *options, duration=0.3)
        check_exact(recording, target.statement["threads"][0], options)


# ---- code that comes and goes --------------------------------------------------------------------------------------

# Function number i is called changing_<i>, stands in generated_<i>.py and has its loop at line i % 40 + 2.
CHANGING = """
import json, os, sys, time
def rounds():
    i = 0
    while True:
        i += 1
        name = "changing_%d" % i
        text = "def %s(n):" % name + "\\n" * (i % 40 + 1) + "  while n: n -= 1\\n" + "%s(3000)\\n" % name
        exec(compile(text, "generated_%d.py" % i, "exec"), {})
sys.stdout.write(json.dumps({"pid": os.getpid()}) + "\\n")
sys.stdout.flush()
rounds()
"""


def check_changing(frames):
    """<module>, rounds, generated <module>, changing_<i>: names of what was gone before it could be read are lacking, but
    none belongs to another place. Returns whether the function was met and named."""
    assert [frame.name for frame in frames[:2]] == ["<module>", "rounds"][:len(frames)], show(frames)
    numbers = {int(frame.file[len("generated_"):-len(".py")]) for frame in frames if frame.file.startswith("generated_")}
    assert len(frames) <= 4 and len(numbers) <= 1, show(frames)
    for frame in frames[2:3]:
        assert frame.name == UNKNOWN or frame.name == "<module>" and numbers, show(frames)
    for frame in frames[3:]:
        if frame.name != UNKNOWN:
            number, = numbers
            # No line: the function was gone before its line table could be read.
            assert frame.name == f"changing_{number}" and frame.line in (0, 1, number % 40 + 2), show(frames)
    return len(frames) == 4 and not frames[3].name.startswith("[")


def named_enough(recording, options):
    """Nearly all the time goes into these functions, and nearly each of them can be named; or it is said how many were gone
    before they were read."""
    seen = sum(count for frames, count in recording.stacks.items()
               if check_changing([frame for frame in frames if is_python(frame) or frame.name == UNKNOWN]))
    torn = re.search(r"(\d+) changed while read", recording.stderr)
    assert torn is None or "--nonblocking" in options, recording.stderr
    torn = int(torn[1]) if torn else 0
    samples = recording.samples + torn
    return samples and seen + torn > samples / 2 - 5 * math.sqrt(samples) / 2


def test_names_of_short_lived_code(start_target, run_pspy, every_python):
    """Code objects take each other's addresses: no name may appear with another one's file or line."""
    target = start_target([every_python, "-c", CHANGING])
    for options in WAYS:
        # While the target waits for a CPU all samples are alike, so a busy machine gets more time.
        for duration in 0.5, 1, 4:
            recording = record(run_pspy, target.pid, "-r", "500", *options, duration=duration)
            if named_enough(recording, options):
                break
        assert named_enough(recording, options), recording.stderr


# ---- programs that start, chroots, namespaces ----------------------------------------------------------------------

BURN = """
import time
def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end: pass
"""


def test_start_through_an_exec_chain(run_pspy, repo, python, tmp_path):
    """The same process is env, sh, env, sh and then Python; site's code runs before the program does."""
    (tmp_path / "sitecustomize.py").write_text(BURN + "def before_main():\n    burn(0.2)\nbefore_main()\n")
    (tmp_path / "program.py").write_text(BURN + "def in_program():\n    burn(0.3)\nin_program()\n")
    recording = launch(run_pspy, [repo / "sample_targets/exec_chain.sh", python, tmp_path / "program.py"],
                       env={**os.environ, "PYTHONPATH": str(tmp_path)})
    names = {tuple(frame.name for frame in frames if is_python(frame)) for frames in recording.stacks}
    assert ("<module>", "in_program", "burn") in names, names
    starting = [stack for stack in names if "before_main" in stack]
    assert starting and all("main" in stack for stack in starting), names  # site.py's main() imports sitecustomize


def may_unshare(run):
    if run.status:
        pytest.skip(f"namespaces cannot be made here: {run.stderr.strip()}")


@pytest.fixture
def unshared(start, repo, python):
    """unshared(options, script) -> the process inside new namespaces and its statement; skips where not permitted."""

    def start_one(options, argv):
        may_unshare(start(["unshare", *options, "true"]).wait())
        outer = start(["unshare", *options, *argv])
        statement = outer.wait_json()
        return outer, statement

    return start_one


def namespace_tid(pid, tid):
    with open(f"/proc/{pid}/task/{tid}/status", encoding="utf-8") as status:
        return int(next(line for line in status if line.startswith("NSpid")).split()[-1])


def test_pid_namespace(unshared, run_pspy, repo, python):
    outer, statement = unshared(["--mount", "--pid", "--fork", "--mount-proc"],
                                [python, repo / "sample_targets/stack_py.py", "--threads", "3"])
    pid, = children(outer.pid)
    assert statement["pid"] == 1
    recording = record(run_pspy, pid, "-t", duration=1)
    stated = {thread["name"]: thread for thread in statement["threads"]}
    assert recording.by_thread
    for (tid, name), stacks in recording.by_thread.items():
        assert namespace_tid(pid, tid) == stated[name]["tid"]
        assert all(settled(frames) == stated_python(stated[name]) for frames in stacks)


@pytest.mark.parametrize("native", [False, True], ids=["python", "native"])
def test_chroot(unshared, run_pspy, repo, python, tmp_path, native):
    script = 'mount --rbind / "$1" && cd "$1" && shift && exec chroot . "$@"'
    outer, statement = unshared(["--mount"], ["sh", "-c", script, "sh", tmp_path, python,
                                              repo / "sample_targets/stack_py.py"])
    options = ["--native-all"] * native
    recording = record(run_pspy, outer.pid, *options)
    check_exact(recording, statement["threads"][0], options)
    if native:
        assert all("Py_RunMain" in [frame.name for frame in frames] for frames in recording.stacks)
