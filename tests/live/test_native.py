# SPDX-License-Identifier: MIT
"""Native stacks and names, against what the targets state, gdb and nm."""
import json
import os
import re
import shutil
import subprocess
import textwrap

import pytest
from measure import Frame, is_python, is_subsequence, launch, python_frames, record, show

CC = os.environ.get("CC") or "cc"
NOTICE = "no Python ran in this program"
TARGETS = ["stack_c", "stack_cpp", "stack_rust_legacy", "stack_rust_v0"]


@pytest.fixture
def native_target(start_target, build):
    def start_one(name, *arguments):
        path = build / "sample_targets" / name
        if not path.exists():
            pytest.skip(f"{name} is not built here: its compiler is missing")
        return start_target([path, *arguments])

    return start_one


@pytest.fixture
def compile_c(tmp_path, repo):
    """compile_c(name, text, flags...) -> the program, or with -shared the library, in a folder of the test's own."""

    def build_one(name, text, *flags, suffix=".c"):
        source = tmp_path / f"{name}{suffix}"
        source.write_text(textwrap.dedent(text))
        subprocess.run([*CC.split(), "-O2", "-g", "-fomit-frame-pointer", "-w", f"-I{repo / 'sample_targets'}",
                        f"-L{tmp_path}", f"-Wl,-rpath,{tmp_path}", "-o", tmp_path / name, source, *flags],
                       check=True, timeout=120)
        return tmp_path / name

    return build_one


def stated(thread):
    return [frame["name"] for frame in thread["frames"]]


def names(frames):
    return [frame.name for frame in frames]


def only(frames, wanted):
    """The names that are among `wanted`: what is between them is unstated (libraries, inlined functions)."""
    return [frame.name for frame in frames if frame.name in wanted]


def check_whole(recording):
    assert recording.samples > 0, recording.stderr
    assert not recording.incomplete, recording.stderr
    for frames in recording.stacks:
        assert frames[0].name in ("_start", "clone3", "clone"), show(frames)
        assert frames[0].name not in names(frames[1:]), show(frames)


# ---- stacks --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("options", [[], ["-n"], ["-n", "-i"]], ids=["plain", "native", "idle"])
@pytest.mark.parametrize("name", TARGETS)
def test_stated_stack(native_target, run_pspy, name, options):
    target = native_target(name)
    recording = record(run_pspy, target.pid, *options)
    check_whole(recording)
    truth = stated(target.statement["threads"][0])
    for frames in recording.stacks:
        assert only(frames, truth) == truth, show(frames)
    assert (NOTICE in recording.stderr) == (options == []), recording.stderr


@pytest.mark.parametrize("flags", [["-static"], ["-static", "-s"]], ids=" ".join)
def test_static_program(compile_c, start_target, run_pspy, repo, flags):
    """gcc -static leaves out the table by which unwind information is found; stripped, only places are left."""
    target = start_target([compile_c("whole", (repo / "sample_targets/stack_c.c").read_text(), *flags)])
    recording = record(run_pspy, target.pid)
    assert recording.samples > 0 and not recording.incomplete, recording.stderr
    truth = stated(target.statement["threads"][0])
    for frames in recording.stacks:
        if "-s" in flags:
            assert len(frames) >= len(truth) and all(frame.name.startswith("whole+0x") for frame in frames), show(frames)
        else:
            assert only(frames, truth) == truth, show(frames)


# What else the section holds runs between the halves that crti.o and crtn.o bring, which have no tables.
FIRST_OR_LAST = r"""
#include <stdio.h>
#include <unistd.h>
__asm__(".section " SECTION "\n call own_part\n .text");
void spin(void) { for (volatile int i = 0;; i++); }
void own_part(void)
{
    printf("{\"pid\": %d}\n", (int)getpid());
    fflush(stdout);
    spin();
}
int main(void) { return 0; }
"""


@pytest.mark.parametrize("flags", [[], ["-static"]], ids=["dynamic", "static"])
@pytest.mark.parametrize("section, symbol", [(".init", "_init"), (".fini", "_fini")])
def test_first_and_last_code(compile_c, start_target, run_pspy, section, symbol, flags):
    target = start_target([compile_c("program", FIRST_OR_LAST, f'-DSECTION="{section}"', *flags)])
    recording = record(run_pspy, target.pid, "-n")
    check_whole(recording)
    for frames in recording.stacks:
        assert [name for name in names(frames) if name in ("_start", symbol, "own_part", "spin")] == [
            "_start", symbol, "own_part", "spin"], show(frames)


@pytest.mark.parametrize("arguments", [[], ["--idle"]], ids=["busy", "idle"])
def test_stated_threads(native_target, run_pspy, arguments):
    target = native_target("stack_threads", "--threads", "6", *arguments)
    recording = record(run_pspy, target.pid, "-n", "-t", "-i")
    check_whole(recording)
    truths = {(thread["tid"], thread["name"]): stated(thread) for thread in target.statement["threads"]}
    assert set(recording.by_thread) == set(truths)
    for thread, stacks in recording.by_thread.items():
        for frames in stacks:
            assert only(frames, sum(truths.values(), [])) == truths[thread], show(frames)


# ---- gdb's opinion -------------------------------------------------------------------------------------------------

GDB_WALK = r"""
import gdb, json
def symbol(pc):
    text = gdb.execute(f"info symbol {pc}", to_string=True)
    return text.split(" in section")[0].rsplit(" + ", 1)[0] if " in section" in text else ""
threads = {}
for thread in gdb.selected_inferior().threads():
    thread.switch()
    frame, chain = gdb.newest_frame(), []
    while frame is not None:
        # What gdb infers of inlined functions and of tail calls has no frame in memory.
        if frame.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
            chain.append(symbol(frame.pc() - (len(chain) > 0)))
        frame = frame.older()
    threads[thread.ptid[1]] = chain[::-1]
print("CHAINS" + json.dumps(threads))
"""


@pytest.fixture
def gdb_chains(tmp_path):
    """gdb_chains(pid) -> {tid: names by symbol, root first}"""

    def ask(pid):
        if not shutil.which("gdb"):
            pytest.skip("gdb is not here")
        script = tmp_path / "walk.py"
        script.write_text(GDB_WALK)
        done = subprocess.run(["gdb", "-batch", "-nx", "-iex", "set debuginfod enabled off", "-ex",
                               "set print asm-demangle on", "-ex", "set backtrace past-main on", "-ex",
                               "set backtrace past-entry on", "-p", str(pid), "-x", script],
                              capture_output=True, text=True, timeout=240, check=False, stdin=subprocess.DEVNULL)
        found = re.search(r"^CHAINS(.*)$", done.stdout, re.M)
        if not found:
            pytest.skip(f"gdb cannot look here: {done.stderr[-300:]}")
        return {int(tid): chain for tid, chain in json.loads(found[1]).items()}

    return ask


def check_chain(frames, chain):
    """Each frame that gdb finds in memory, in order; between them only inlined functions, which have a source line."""
    wanted = [plain(function) for function in chain]
    found = [frame._replace(name=plain(frame.name)) for frame in frames]
    assert is_subsequence(wanted, names(found)), f"{show(found)}\ngdb: {wanted}"
    rest = [frame.name for frame in found if not frame.line]
    assert is_subsequence(rest, wanted), f"{show(found)}\ngdb: {wanted}"


def plain(name):
    """Without what distinguishes one alias or version of a libc function from another."""
    return re.sub(r"(_impl|_time64|64|\.(constprop|isra|part)(\.\d+)?|\.cold)$", "", name.partition("@")[0].lstrip("_"))


@pytest.mark.parametrize("name, arguments", [("stack_c", []), ("stack_threads", ["--threads", "3"]),
                                             ("stack_threads", ["--threads", "3", "--idle"])])
def test_gdb_sees_the_same_chain(native_target, run_pspy, gdb_chains, name, arguments):
    """Function by function, from the entry code to the leaf."""
    target = native_target(name, *arguments)
    recording = record(run_pspy, target.pid, "-n", "-t", "-i")
    chains = gdb_chains(target.pid)
    assert {tid for tid, _ in recording.by_thread} == set(chains)
    for (tid, _), stacks in recording.by_thread.items():
        for frames in stacks:
            check_chain(frames, chains[tid])


LOOP = Frame("_PyEval_EvalFrameDefault", "", 0)


def test_gdb_sees_the_same_chain_below_python(start_target, run_pspy, repo, python, gdb_chains):
    """Each run of Python frames stands where gdb has one frame of the interpreter's loop."""
    target = start_target([python, repo / "sample_targets/stack_mixed.py"],
                          env={**os.environ, "PYTHONPATH": str(python.extensions())})
    recording = record(run_pspy, target.pid, "--native-all")
    chain = gdb_chains(target.pid)[target.pid]
    files = {frame.file for frames in recording.stacks for frame in frames}
    is_named = chain.count(LOOP.name) > 3 and any(file.startswith("libpython") for file in files)
    for frames in recording.stacks:
        if "announce" in names(frames):  # not in position yet
            continue
        found = []
        for frame in frames:
            if not is_python(frame):
                found.append(frame)
            elif found[-1:] != [LOOP]:
                found.append(LOOP)
        if is_named:
            check_chain(found, chain)
        else:  # a stripped interpreter: gdb's names are its neighbours'
            assert len([frame for frame in found if not frame.line]) <= len(chain) <= len(found), (show(found), chain)


# ---- names: debug files, stripped files, libc ----------------------------------------------------------------------

HIDDEN = """
    #include "position.h"
    STATED static void hidden_leaf(void) {
        POSITION_ENTER(); position_announce("hidden");
        for (volatile unsigned long n = 0; !position_over;) n = n + 1;
        POSITION_LEAVE();
    }
    STATED static void hidden_middle(void) { POSITION_ENTER(); hidden_leaf(); POSITION_LEAVE(); }
    STATED void exported_unused(void) { POSITION_ENTER(); POSITION_LEAVE(); }
    int main(void) {
        POSITION_ENTER(); position_arm(60); hidden_middle(); exported_unused(); POSITION_LEAVE(); return 0;
    }
"""


HIDDEN_NAMES = ["main", "hidden_middle", "hidden_leaf", "exported_unused"]


def binutils(*command):
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not here")
    words = [str(word) for word in command]
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stdout


def split_debug(program, debug):
    """Moves the symbols of a program to a file of their own."""
    debug.parent.mkdir(parents=True, exist_ok=True)
    binutils("objcopy", "--only-keep-debug", program, debug)
    binutils("strip", program)


@pytest.mark.parametrize("folder", ["", ".debug"], ids=["beside", "in .debug"])
def test_debuglink(compile_c, start_target, run_pspy, tmp_path, folder):
    program = compile_c("hidden", HIDDEN, "-Wl,--build-id=none")
    debug = tmp_path / folder / "hidden.debug"
    split_debug(program, debug)
    binutils("objcopy", f"--add-gnu-debuglink={debug}", program)
    target = start_target([program])
    recording = record(run_pspy, target.pid, "-n")
    check_whole(recording)
    for frames in recording.stacks:
        assert only(frames, HIDDEN_NAMES) == stated(target.statement["threads"][0]), show(frames)


def test_debuglink_with_another_content(compile_c, start_target, run_pspy, tmp_path):
    """A debug file of another build is not believed."""
    other = compile_c("other", HIDDEN.replace("hidden_leaf", "wrong_leaf").replace("hidden_middle", "wrong_middle"))
    program = compile_c("hidden", HIDDEN, "-Wl,--build-id=none")
    debug = tmp_path / "hidden.debug"
    split_debug(program, debug)
    binutils("objcopy", f"--add-gnu-debuglink={debug}", program)
    binutils("objcopy", "--only-keep-debug", other, debug)
    recording = record(run_pspy, start_target([program]).pid, "-n")
    assert recording.samples
    for frames in recording.stacks:
        assert not any("wrong" in name or "hidden_" in name for name in names(frames)), show(frames)


def test_debug_file_by_build_id(compile_c, start, run_pspy, tmp_path):
    """In /usr/lib/debug/.build-id of the target's own root: a mount namespace of its own keeps ours as it is."""
    program = compile_c("hidden", HIDDEN, "-Wl,--build-id=sha1")
    build_id = re.search(r"Build ID: ([0-9a-f]+)", binutils("readelf", "-n", program))[1]
    split_debug(program, tmp_path / "debug/.build-id" / build_id[:2] / f"{build_id[2:]}.debug")
    if start(["unshare", "--mount", "true"]).wait().status or not os.path.isdir("/usr/lib/debug"):
        pytest.skip("no mount namespace can be made here, or there is no /usr/lib/debug to mount on")
    target = start(["unshare", "--mount", "sh", "-c", 'mount --bind "$1" /usr/lib/debug && exec "$2"', "sh",
                    tmp_path / "debug", program])
    statement = target.wait_json()
    recording = record(run_pspy, target.pid, "-n")
    for frames in recording.stacks:
        assert only(frames, HIDDEN_NAMES) == stated(statement["threads"][0]), show(frames)
    assert recording.samples


def test_stripped_names_are_places(compile_c, start_target, run_pspy, tmp_path):
    """Where a function begins by the unwind table, the same in each run; nm of the unstripped twin knows it."""
    program = compile_c("hidden", HIDDEN, "-rdynamic")
    starts = {int(address, 16): name for address, _, name in
              (line.split() for line in binutils("nm", "--defined-only", program).splitlines())}
    binutils("strip", program)
    found = []
    for _ in range(2):
        target = start_target([program])
        recording = record(run_pspy, target.pid, "-n", duration=0.2)
        check_whole(recording)
        found.append({tuple(name for name in names(frames) if "hidden" in name or name in ("main", "exported_unused"))
                      for frames in recording.stacks})
        target.kill()
    assert found[0] == found[1]
    (chain,) = found[0]
    decoded = [starts[int(name.partition("+0x")[2], 16)] if "+0x" in name else name for name in chain]
    assert decoded == ["main", "hidden_middle", "hidden_leaf"], chain


def test_internal_names_of_libc(native_target, run_pspy):
    """Known only by libc's debug file, where that is installed; else a place, never a neighbour's name."""
    target = native_target("stack_threads", "--threads", "1", "--idle")
    recording = record(run_pspy, target.pid, "-n", "-i")
    libc = next(line.split()[-1] for line in open(f"/proc/{target.pid}/maps", encoding="utf-8") if "/libc.so" in line)
    build_id = re.search(r"Build ID: ([0-9a-f]+)", binutils("readelf", "-n", libc))[1]
    has_debug = os.path.exists(f"/usr/lib/debug/.build-id/{build_id[:2]}/{build_id[2:]}.debug")
    for frames in recording.stacks:
        if frames[0].name == "_start":
            assert (frames[2].name == "__libc_start_call_main") if has_debug else "+0x" in frames[2].name, show(frames)


# ---- where unwinding is hard ---------------------------------------------------------------------------------------

DEEP = """
    #include "position.h"
    #include <pthread.h>
    #include <stdlib.h>
    #include <errno.h>
    static void announce(int depth) {
        printf("{\\"pid\\": %d, \\"depth\\": %d}\\n", getpid(), depth); fflush(stdout);
    }
    STATED int sink(char *room) { __asm__ volatile("" :: "r"(room) : "memory"); return 0; }
    STATED int recurse(int level, int depth) {
        char room[200];
        int result = sink(room);
        if (level < depth)
            return result + recurse(level + 1, depth) + sink(room);
        announce(depth);
        for (volatile unsigned long n = 0; !position_over;) n = n + 1;
        return sink(room);
    }
    static void *body(void *depth) { recurse(1, *(int *)depth); return 0; }
    int main(int argc, char **argv) {
        int depth = atoi(argv[2]);
        pthread_t thread;
        position_arm(60);
        if (atoi(argv[1]))
            pthread_create(&thread, 0, body, &depth), pthread_join(thread, 0);
        else
            body(&depth);
        return 0;
    }
"""


@pytest.mark.parametrize("thread", [0, 1], ids=["main", "thread"])
@pytest.mark.parametrize("depth", [4000, 20000])
def test_deep_recursion(compile_c, start_target, run_pspy, thread, depth):
    """A megabyte of stack, and five."""
    target = start_target([compile_c("deep", DEEP, "-pthread"), thread, depth])
    recording = record(run_pspy, target.pid, "-n")
    check_whole(recording)
    for frames in recording.stacks:
        assert names(frames).count("recurse") == depth
        assert only(frames, ["main", "body", "recurse"])[-1] == "recurse"


SIGNALS = """
    #include "position.h"
    #include <stdlib.h>
    #include <errno.h>
    static volatile int *nowhere;
    STATED void in_handler(void) {
        position_announce("signals");
        for (volatile unsigned long n = 0; !position_over;) n = n + 1;
    }
    static void handler(int number) { POSITION_ENTER(); in_handler(); POSITION_LEAVE(); }
    STATED void interrupted(int how) {
        POSITION_ENTER();
        if (how == 0) raise(SIGUSR1);
        if (how == 1) nowhere = 0, *nowhere = 1;
        if (how == 2) kill(getpid(), SIGUSR1);
        POSITION_LEAVE();
    }
    int main(int argc, char **argv) {
        struct sigaction action = {.sa_handler = handler, .sa_flags = atoi(argv[2]) ? SA_ONSTACK : 0};
        stack_t other = {.ss_sp = malloc(65536), .ss_size = 65536};
        POSITION_ENTER();
        position_arm(60);
        sigaltstack(&other, 0);
        sigaction(SIGUSR1, &action, 0);
        sigaction(SIGSEGV, &action, 0);
        interrupted(atoi(argv[1]));
        POSITION_LEAVE();
        return 0;
    }
"""


@pytest.mark.parametrize("stack", [0, 1], ids=["same stack", "sigaltstack"])
@pytest.mark.parametrize("how", [0, 1, 2], ids=["raise", "fault", "kill"])
def test_in_a_signal_handler(compile_c, start_target, run_pspy, how, stack):
    """A walk goes through the signal's frame to what was interrupted, onto the other stack where there is one."""
    target = start_target([compile_c("signals", SIGNALS), how, stack])
    recording = record(run_pspy, target.pid, "-n")
    assert recording.samples
    complete = 0
    for frames, count in recording.stacks.items():
        found = only(frames, ["main", "interrupted", "handler", "in_handler"])
        if frames[0].name == "_start":
            assert found == ["main", "interrupted", "handler", "in_handler"], show(frames)
            complete += count
        else:  # the first sample, for which only the handler's own stack was copied
            assert found in (["handler", "in_handler"], ["interrupted", "handler", "in_handler"]), show(frames)
    assert recording.samples - complete <= stack, recording.stderr


def test_library_loaded_late(compile_c, run_pspy):
    """The library comes when the sampling runs already, and takes part in the stacks at once."""
    library = compile_c("liblate.so", """
        #include <time.h>
        static int step(void) { for (volatile int n = 0; n < 1000; n = n + 1); return 1; }
        __attribute__((noinline)) int late_leaf(double seconds) {
            int sum = 0;
            for (clock_t end = clock() + seconds * CLOCKS_PER_SEC; clock() < end;) sum += step();
            return sum;
        }
        int late_entry(double seconds) { return late_leaf(seconds) + 1; }
    """, "-shared", "-fPIC")
    program = compile_c("loader", """
        #include <dlfcn.h>
        #include <stdio.h>
        #include <time.h>
        __attribute__((noinline)) int early(void) {
            int sum = 0;
            for (clock_t end = clock() + 0.2 * CLOCKS_PER_SEC; clock() < end;) sum++;
            return sum;
        }
        __attribute__((noinline)) int run_late(const char *path) {
            void *library = dlopen(path, RTLD_NOW);
            int (*entry)(double) = (int (*)(double))dlsym(library, "late_entry");
            return entry(0.3) + 1;
        }
        int main(int argc, char **argv) { return early() + run_late(argv[1]) == 0; }
    """, "-ldl")
    recording = launch(run_pspy, [program, library], "-n")
    seen = 0
    for frames, count in recording.stacks.items():
        if "late_leaf" in names(frames):
            wanted = ["main", "run_late", "late_entry", "late_leaf"]
            assert only(frames, wanted) == wanted, show(frames)
            assert frames[0].name == "_start"
            seen += count
    assert seen > 0, recording.stderr
    assert "unmapped" not in str(recording.stacks)


def test_plt(compile_c, start_target, run_pspy):
    """A third of the time goes through the stubs to a library; each stack is whole."""
    compile_c("libtiny.so", "int tiny(int a) { return a + 1; }", "-shared", "-fPIC")
    target = start_target([compile_c("plt", """
        #include "position.h"
        int tiny(int);
        STATED void caller(void) {
            POSITION_ENTER();
            position_announce("plt");
            while (!position_over) tiny(1), tiny(2), tiny(3), tiny(4);
            POSITION_LEAVE();
        }
        int main(void) { POSITION_ENTER(); position_arm(60); caller(); POSITION_LEAVE(); return 0; }
    """, "-ltiny", "-Wl,-z,lazy")])
    recording = record(run_pspy, target.pid, "-n", "-r", "500")
    check_whole(recording)
    leaves = set()
    for frames in recording.stacks:
        inner = names(frames)
        assert inner[inner.index("main"):][:2] == ["main", "caller"], show(frames)
        leaves.add(tuple(inner[inner.index("caller") + 1:]))
    assert ("tiny",) in leaves
    assert all(len(leaf) <= 1 for leaf in leaves), leaves


NO_CFI = """
    #include "position.h"
    STATED void bare_leaf(void) {
        for (volatile unsigned long n = 0; !position_over;) n = n + 1;
    }
    STATED void bare_middle(void) { bare_leaf(); __asm__ volatile("" ::: "memory"); }
"""
NO_CFI_MAIN = """
    #include "position.h"
    void bare_leaf(void), bare_middle(void);
    STATED void with_info(int which) {
        position_announce("bare");
        which ? bare_middle() : bare_leaf();
        __asm__ volatile("" ::: "memory");
    }
    int main(int argc, char **argv) { position_arm(60); with_info(argc > 1); return 0; }
"""


@pytest.mark.parametrize("arguments", [[], ["middle"]], ids=["leaf", "two levels"])
@pytest.mark.parametrize("pointer", ["-fomit-frame-pointer", "-fno-omit-frame-pointer"])
def test_code_without_unwind_information(compile_c, start_target, run_pspy, tmp_path, arguments, pointer):
    """The truth, marked as guessed, or an honest end: never a function that is not there."""
    compile_c("bare.o", NO_CFI, "-c", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-g0", pointer)
    target = start_target([compile_c("bare", NO_CFI_MAIN, tmp_path / "bare.o"), *arguments])
    recording = record(run_pspy, target.pid, "-n")
    truth = ["main", "with_info", *["bare_middle"] * len(arguments), "bare_leaf"]
    assert recording.samples, recording.stderr
    for frames in recording.stacks:
        found = only(frames, ["main", "with_info", "bare_middle", "bare_leaf"])
        assert is_subsequence(found, truth) and found[-1] == "bare_leaf", show(frames)
        if frames[0].name == "_start":
            # A scan may pass over a function without information, never over one that has it.
            assert found == truth or (found[:2] == truth[:2] and "guessed" in recording.incomplete), show(frames)
        else:
            assert recording.incomplete, recording.stderr
    if not arguments:
        assert any(only(frames, truth) == truth for frames in recording.stacks), recording.stderr


def test_python_above_code_without_unwind_information(compile_c, start_target, run_pspy, repo, python, tmp_path):
    """Where the native walk cannot go on, the Python frames stay."""
    library = compile_c("libbare.so", NO_CFI + "static int unused;", "-shared", "-fPIC", "-g0",
                        "-fno-asynchronous-unwind-tables", "-fno-unwind-tables")
    target = start_target([python, "-c", textwrap.dedent(f"""
        import ctypes, json, os, sys
        sys.path.insert(0, {str(repo / 'sample_targets')!r})
        import position
        def outer():
            return inner()
        def inner():
            position.announce("bare", [])
            library.bare_middle()
        library = ctypes.CDLL({str(library)!r})
        position.leave_when_asked(60)
        outer()
    """)])
    recording = record(run_pspy, target.pid, "-n")
    settled = 0
    for frames, count in recording.stacks.items():
        assert names(python_frames(frames))[:3] == ["<module>", "outer", "inner"], show(frames)
        if frames[-1].name == "bare_leaf":
            settled += count
            assert names(python_frames(frames)) == ["<module>", "outer", "inner"], show(frames)
            assert not any(frame.name in ("_start", "main") for frame in frames[1:]), show(frames)
    assert settled > 0, recording.stderr


# ---- files that go away --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("what", ["deleted", "replaced"])
def test_program_file_goes_away(compile_c, start_target, run_pspy, what):
    """pip upgrades a library, make links a program anew: the names of what runs, never of the new file."""
    program = compile_c("hidden", HIDDEN)
    target = start_target([program])
    program.unlink()
    if what == "replaced":
        compile_c("hidden", HIDDEN.replace("hidden_leaf", "wrong_leaf").replace("hidden_middle", "wrong_middle")
                  .replace("POSITION_ENTER(); position_arm", "for (volatile int i = 0; i < 9; i++); position_arm"))
    recording = record(run_pspy, target.pid, "-n")
    check_whole(recording)
    for frames in recording.stacks:
        found = only(frames, HIDDEN_NAMES) or [name for name in names(frames) if name.startswith("hidden+0x")]
        assert found == stated(target.statement["threads"][0]) or all("+0x" in name for name in found), show(frames)


def test_python_is_deleted(start_target, run_pspy, repo, python, tmp_path):
    """An interpreter whose executable was removed while it runs, as an upgrade does."""
    library = subprocess.run([python, "-c", "import sysconfig; print(sysconfig.get_config_var('LIBDIR'))"],
                             capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    prefix = subprocess.run([python, "-c", "import sys; print(sys.base_prefix)"], capture_output=True, text=True,
                            check=True, timeout=60).stdout.strip()
    copy = tmp_path / "interp"
    shutil.copy(os.path.realpath(python), copy)
    target = start_target([copy, repo / "sample_targets/stack_py.py"],
                          env={**os.environ, "LD_LIBRARY_PATH": library, "PYTHONHOME": prefix})
    copy.unlink()
    recording = record(run_pspy, target.pid)
    truth = [frame[1] for frame in target.statement["threads"][0]["frames"]]
    assert recording.samples, recording.stderr
    for frames in recording.stacks:
        assert names(frames)[:len(truth)] == truth, show(frames)
