# SPDX-License-Identifier: MIT
"""Native stacks that are hard to unwind, against what the programs state and what gdb finds."""
import os
import re
import shutil
import sys

import pytest
from measure import launch, python_frames, record, show
from test_native import check_chain, check_whole, compile_c, gdb_chains, only, stated  # pylint: disable=unused-import

SPIN = """
    #include "position.h"
    #include <alloca.h>
    #include <stdlib.h>
    static void spin(const char *what) {
        position_announce(what);
        for (volatile unsigned long n = 0; !position_over;) n = n + 1;
    }
"""

# A frame of 320 KB, one of variable size, one that is aligned by way of another register than rbp (DRAP), and one that
# is both.
FRAMES = SPIN + """
    STATED static void use(char *room, int size) { memset(room, size, size); }
    STATED static void leaf(void) { POSITION_ENTER(); spin("frames"); POSITION_LEAVE(); }
    STATED static void aligned(void) {
        char room[300] __attribute__((aligned(64)));
        POSITION_ENTER(); use(room, sizeof room); leaf(); use(room, 3); POSITION_LEAVE();
    }
    STATED static void both(int size) {
        char room[300] __attribute__((aligned(128))), *more = alloca(size);
        POSITION_ENTER(); use(more, size); aligned(); use(room, 3); POSITION_LEAVE();
    }
    STATED static void variable(int size) {
        char room[size];
        POSITION_ENTER(); use(room, size); both(2 * size); use(room, size); POSITION_LEAVE();
    }
    STATED static void large(void) {
        char room[320 * 1024];
        POSITION_ENTER(); use(room, sizeof room); variable(1000); use(room, 3); POSITION_LEAVE();
    }
    int main(void) { POSITION_ENTER(); position_arm(60); large(); POSITION_LEAVE(); return 0; }
"""


@pytest.mark.parametrize("compiler, flags", [("gcc", "-O0"), ("gcc", "-O2 -mavx2"), ("clang", "-O0"), ("clang", "-O2")])
def test_large_and_aligned_frames(compile_c, start_target, run_pspy, monkeypatch, compiler, flags):
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler} here")
    monkeypatch.setattr("test_native.CC", compiler)
    target = start_target([compile_c("frames", FRAMES, *flags.split())])
    recording = record(run_pspy, target.pid, "-n")
    check_whole(recording)
    truth = stated(target.statement["threads"][0])
    assert truth == ["main", "large", "variable", "both", "aligned", "leaf"]
    for frames in recording.stacks:
        assert only(frames, truth) == truth, show(frames)


COROUTINE = SPIN + """
    #include <ucontext.h>
    static ucontext_t outside, inside;
    STATED static void inner(void) { spin("coroutine"); __asm__ volatile(""); }
    static void body(void) { swapcontext(&inside, &outside); inner(); __asm__ volatile(""); }
    STATED static void switcher(void) { swapcontext(&outside, &inside); __asm__ volatile(""); }
    int main(void) {
        static char room[65536];
        position_arm(60);
        getcontext(&inside);
        inside.uc_stack.ss_sp = room, inside.uc_stack.ss_size = sizeof room, inside.uc_link = &outside;
        makecontext(&inside, body, 0);
        switcher();
        switcher();
        return 0;
    }
"""


def test_coroutine(compile_c, start_target, run_pspy):
    """On a stack of its own, which ends where makecontext() made it begin: whole, without what switched to it."""
    recording = record(run_pspy, start_target([compile_c("coroutine", COROUTINE)]).pid, "-n")
    assert recording.samples and not recording.incomplete, recording.stderr
    for frames in recording.stacks:
        assert only(frames, ["main", "switcher", "body", "inner"]) == ["body", "inner"], show(frames)
        assert len(frames) <= 4, show(frames)


VFORK = SPIN + """
    #include <sys/wait.h>
    STATED static void in_child(void) { POSITION_ENTER(); spin("vfork"); POSITION_LEAVE(); }
    STATED static void in_parent(void) {
        POSITION_ENTER();
        if (vfork() == 0) { in_child(); _exit(0); }
        POSITION_LEAVE();
    }
    int main(void) { POSITION_ENTER(); position_arm(60); in_parent(); POSITION_LEAVE(); return 0; }
"""


def test_vfork(compile_c, start_target, run_pspy):
    """The child runs on its parent's stack."""
    target = start_target([compile_c("vfork", VFORK)])
    child = target.statement["pid"]
    assert child != target.pid
    recording = record(run_pspy, child, "-n")
    check_whole(recording)
    for frames in recording.stacks:
        assert only(frames, ["main", "in_parent", "in_child"]) == ["main", "in_parent", "in_child"], show(frames)


EXCEPTIONS = SPIN + """
    #include <stdexcept>
    struct guard {
        STATED ~guard() { POSITION_ENTER(); spin("exceptions"); POSITION_LEAVE(); }
    };
    STATED static void thrower(int depth) {
        guard kept;
        if (depth == 0) throw std::runtime_error("thrown");
        thrower(depth - 1);
        __asm__ volatile("");
    }
    STATED static void catcher(void) {
        POSITION_ENTER();
        try { thrower(0); } catch (const std::exception &e) { __asm__ volatile("" :: "r"(e.what())); }
        POSITION_LEAVE();
    }
    int main() { POSITION_ENTER(); position_arm(60); catcher(); POSITION_LEAVE(); return 0; }
"""

SQLITE = SPIN + """
    #include <sqlite3.h>
    static int on_row(void *none, int count, char **values, char **names) { spin("sqlite"); return 0; }
    int main(void) {
        sqlite3 *base;
        position_arm(60);
        sqlite3_open(":memory:", &base);
        sqlite3_exec(base, "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 9)"
                           " SELECT max(x), sum(x * x) FROM n GROUP BY x % 2 ORDER BY 1", on_row, 0, 0);
        return 0;
    }
"""


@pytest.mark.parametrize("name, text, suffix, flags, header", [
    ("exceptions", EXCEPTIONS, ".cc", ["-lstdc++"], "stdlib.h"),
    ("sqlite", SQLITE, ".c", ["-lsqlite3"], "sqlite3.h")], ids=["exceptions", "sqlite"])
def test_gdb_sees_the_same_frames(compile_c, start_target, run_pspy, gdb_chains, name, text, suffix, flags, header):
    """In a destructor while an exception flies; in the callback of a query."""
    if not os.path.exists(f"/usr/include/{header}"):
        pytest.skip(f"no {header} here")
    target = start_target([compile_c(name, text, *flags, suffix=suffix)])
    recording = record(run_pspy, target.pid, "-n")
    check_whole(recording)
    chain = [re.sub(r" \[clone .*", "", name) for name in gdb_chains(target.pid)[target.pid]]
    for frames in recording.stacks:
        check_chain(frames, chain)


# Three greenlets, at depths of their own, each started from another depth of the first one.
GREENLETS = """
import time
import greenlet

def spin(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end: pass

def inner(depth):
    if depth: return inner(depth - 1)
    while True:
        spin(0.03)
        main.switch()

def green_a():
    inner(5)

def green_b():
    inner(2)

def deep(depth, other):
    if depth: return deep(depth - 1, other)
    other.switch()

def driver():
    for _ in range(8):
        deep(10, a)
        deep(3, b)
        spin(0.03)
        a.switch()

main = greenlet.getcurrent()
a, b = greenlet.greenlet(green_a), greenlet.greenlet(green_b)
driver()
"""


@pytest.mark.statistical
@pytest.mark.parametrize("options", [[], ["-n"]], ids=["python", "native"])
def test_greenlets(run_pspy, tmp_path, options):
    """Each has a stack of its own, which begins where it was started; nothing of another one's is in it."""
    program = tmp_path / "greenlets.py"
    program.write_text(GREENLETS)
    recording = launch(run_pspy, [sys.executable, program], "-r", "200", *options)
    allowed = {"green_a": ["green_a", *["inner"] * 6], "green_b": ["green_b", *["inner"] * 3],
               "<module>": ["<module>", "driver"]}
    seen = dict.fromkeys(allowed, 0)
    for frames, count in recording.stacks.items():
        names = [frame.name for frame in python_frames(frames) if frame.file == "greenlets.py"]
        if "spin" in names:
            assert names == [*allowed[names[0]], "spin"], show(frames)
            seen[names[0]] += count
    # 30 ms each: 16 of a, 8 of b, 8 of the driver's own, six samples each; a busy machine loses ticks.
    assert all(count > 5 for count in seen.values()), recording.stderr
