# SPDX-License-Identifier: MIT
"""Fortran's and Cython's functions under the names of their sources, with the sources' lines.

Of Fortran gdb says what is true; of Cython its own C code, which names each function for tracebacks, and the .pyx file.
"""
import os
import re
import shutil
import subprocess
import sys

import pytest

from conftest import make_quietly
from test_elf_tools import ask, run  # noqa: F401, a fixture among them
from test_sources import blocks

needs_gfortran = pytest.mark.skipif(not shutil.which("gfortran"), reason="no gfortran here: apt-get install gfortran")
SMALL = ("--size", "64", "--steps", "41")


def functions_of(path):
    """[(start, end, symbol)] of the file's own functions."""
    rows = re.findall(r"^([0-9a-f]+) ([0-9a-f]+) [tT] (\S+)$", run("nm", "-S", "--defined-only", path), re.M)
    return [(int(start, 16), int(start, 16) + int(size, 16), symbol) for start, size, symbol in rows]


def sources_at(build, path, addresses, *more):
    """{address: [(function, file, line), ...]} innermost first."""
    text = subprocess.run([build / "tests/unit/print_sources", path, *more], input="\n".join(map(hex, addresses)),
                          capture_output=True, text=True, check=True).stdout
    return {address: [(line.split(" ")[0], *line.split(" ", 1)[1].rsplit(":", 1)) for line in lines]
            for address, lines in blocks(text).items()}


def folded_frames(text):
    """Every distinct frame of folded stacks, as [name, place]."""
    frames = {frame for line in text.splitlines() for frame in line.rsplit(" ", 1)[0].split(";")}
    return [re.fullmatch(r"(.*?)(?: \((.*)\))?", frame).groups() for frame in frames]


# ---- Fortran -------------------------------------------------------------------------------------------------------

@needs_gfortran
def test_fortran_names(build, ask):
    program = build / "sample_targets/gray_scott_fortran"
    own = [(start, symbol) for start, _, symbol in functions_of(program) if re.match("__grid_MOD_|MAIN__|square|simulate_", symbol)]
    assert len(own) == 6
    asked = [argument for start, _ in own for argument in
             ("-ex", f"python print(gdb.block_for_pc({start:#x}).function.print_name)")]
    truth = run("gdb", "-nx", "-batch", *asked, program).splitlines()
    sources = sources_at(build, program, [start for start, _ in own])
    for (start, symbol), wanted in zip(own, truth):
        name = ask("demangle", lines=[sources[start][-1][0]])[0]
        assert name == wanted.replace("seed::square", "square"), symbol


@needs_gfortran
def test_fortran_profile(build, run_pspy, output):
    done = run_pspy(["record", "-r", "500", "-f", "raw", "-o", output / "folded", "--",
                     build / "sample_targets/gray_scott_fortran", "--size", "128", "--steps", "1000"], check=0)
    assert done
    stacks = (output / "folded").read_text()
    assert re.search(r";gray_scott \(gray_scott_fortran.f90:\d+\);simulate \(gray_scott_fortran.f90:\d+\);"
                     r"grid::step \(gray_scott_fortran.f90:\d+\)", stacks)
    assert not re.search(r"_MOD_|MAIN__|simulate_", stacks)


# ---- Cython --------------------------------------------------------------------------------------------------------

PYX = '''
from libc.math cimport sin

ctypedef fused real:
    float
    double

cdef double helper(double x) nogil:
    return sin(x) * x

cpdef double both(double x):
    return helper(x)

def update_all(n):
    cdef double s = 0
    cdef int i
    for i in range(n):
        s += helper(i)
    return s

def fused_one(real x, int n):
    cdef int i
    cdef real y = 0
    for i in range(n):
        y += x * i
    return y

cdef real cfused(real x):
    return x * 2

cdef class Point:
    cdef double x

    def __init__(self, x):
        self.x = x

    cdef double norm(self):
        return self.x * cfused(self.x)

    def length(self, n):
        cdef double s = 0
        for i in range(n):
            s += self.norm()
        return s

    @property
    def prop(self):
        return self.x

class Plain:
    def method(self, f):
        return [f(i) for i in range(10)]

    def second(self):
        return list(map(lambda x: x + 1, [2]))

def outer(n):
    def closure(k):
        return k + n
    return closure(1)

def a_b():
    return 1

def with_digits_2x(n):
    return [n]

def second(n):
    return n + 1

def sixteen_letters_long(n):
    return n + 1

def twenty_letters_which(n):
    return n + 1
'''


@pytest.fixture(scope="module")
def cython_module(tmp_path_factory):
    """(folder, the module's file): pkg.mod, compiled here without optimisation, so that every function is there."""
    folder = tmp_path_factory.mktemp("cython")
    (folder / "pkg").mkdir()
    (folder / "pkg/__init__.py").write_text("")
    (folder / "pkg/mod.pyx").write_text(PYX)
    run(sys.executable, "-m", "cython", "-3", "-w", folder, "pkg/mod.pyx")
    include = subprocess.run(["/usr/bin/python3", "-c", "import sysconfig; print(sysconfig.get_path('include'))"],
                             capture_output=True, text=True, check=True).stdout.strip()
    run("gcc", "-O0", "-g", "-w", "-fPIC", "-shared", "-isystem", include, "-idirafter", os.path.dirname(include),
        folder / "pkg/mod.c", "-o", folder / "pkg/mod.so")
    return folder, folder / "pkg/mod.so"


def traceback_names(c_code):
    """{symbol of a function: what its traceback calls it}, by the C code."""
    names, current = {}, None
    for line in c_code.splitlines():
        start = re.match(r"(?:static|CYTHON_\w+) .*?\b((?:__pyx_fuse_[\d_]+)?__pyx_(?:pw|pf|f)_\w+)\(.*\{$", line)
        current = start[1] if start else None if line == "}" else current
        traceback = re.search(r'__Pyx_AddTraceback\("([\w.]+)"', line)
        if traceback and current:
            names.setdefault(current, traceback[1])
    return names


def test_cython_names(cython_module, ask):
    folder, module = cython_module
    wanted = traceback_names((folder / "pkg/mod.c").read_text())
    symbols = {symbol for _, _, symbol in functions_of(module)}
    asked = sorted(symbol for symbol in wanted if symbol in symbols and not re.search("_cython__|unpickle|_[45]fused_one", symbol))
    assert len(asked) >= 15
    got = dict(zip(asked, ask("cython", module, lines=asked)))
    wrong = {symbol: (got[symbol], wanted[symbol]) for symbol in asked
             if got[symbol].replace(".__get__", "") != wanted[symbol].replace(".__get__", "")}
    assert not wrong
    assert ask("cython", module, lines=["__pyx_pymod_exec_mod", "__pyx_tp_new_3pkg_3mod_Point"]) == \
        ["mod.<module>", "pkg.mod.Point.tp_new"]
    assert ask("cython", module, lines=["__pyx_array___pyx_pf_15View_dot_MemoryView_5array___cinit__"]) == \
        ["View.MemoryView.array.__cinit__"]
    none = ["main", "__Pyx_AddTraceback", "__pyx_pw_", "__pyx_pw_3", "__pyx_pw_3pk", "__pyx_pf_999999999999_x", "__pyx_f_x",
            "__pyx_tp_new_", "__pyx_fuse_0", "__pyx_pymod_exec_"]
    assert ask("cython", module, lines=none) == ["-"] * len(none)


def test_number_that_is_a_length(ask, tmp_path):
    """The body number 6 of update_all, or the first function `all` within `update`: the wrapper's symbol tells."""
    for wrapper, wanted in ("__pyx_pw_3mod_7update_all", "mod.update_all"), ("__pyx_pw_3mod_6update_1all", "mod.update.all"):
        (tmp_path / "x.c").write_text(f"void __pyx_pf_3mod_6update_all(void) {{}}\nvoid {wrapper}(void) {{}}\n")
        run("gcc", "-shared", "-fPIC", "-o", tmp_path / "x.so", tmp_path / "x.c")
        assert ask("cython", tmp_path / "x.so", lines=["__pyx_pf_3mod_6update_all", wrapper]) == [wanted, wanted]


def line_ranges(source):
    """{dotted name: (first line, last line)} of a .pyx file's functions: by indentation, as Python has it."""
    ranges, scopes = {}, []
    lines = source.splitlines()
    for number, line in enumerate(lines, 1):
        start = re.match(r"( *)(?:cpdef|cdef|def|class|cdef class)\b.*?(\w+)\(.*:$|( *)(?:cdef )?class (\w+):$", line)
        if not start:
            continue
        indent, name = len(start[1] or start[3] or ""), start[2] or start[4]
        scopes = [scope for scope in scopes if scope[0] < indent] + [(indent, name)]
        last = number
        for after, text in enumerate(lines[number:], number + 1):
            if text.strip() and len(text) - len(text.lstrip()) <= indent:
                break
            last = after if text.strip() else last
        ranges[".".join(["pkg", "mod", *(scope[1] for scope in scopes)])] = (number, last)
    return ranges


def test_cython_lines(build, cython_module, ask):
    """Each place of each function's code is of a line of that function; each line that returns is met."""
    folder, module = cython_module
    ranges = line_ranges(PYX)
    lines = PYX.splitlines()
    functions = [row for row in functions_of(module) if re.search("__pyx_(pf_3pkg_3mod_(?!4fused_one|both$)|f_3pkg_3mod_)", row[2])]
    checked = 0
    for (start, end, symbol), name in zip(functions, ask("cython", module, lines=[row[2] for row in functions])):
        if name not in ranges:
            continue
        first, last = ranges[name]
        found = sources_at(build, module, range(start, end), "cython")
        places = {places[-1][1:] for places in found.values() if places}
        assert {file for file, _ in places} == {str(folder / "pkg/mod.pyx")}, symbol
        met = {int(line) for _, line in places}
        assert met <= set(range(first, last + 1)), (symbol, met, first, last)
        # Of a function with others inside the last lines may be theirs.
        if not any(other.startswith(name + ".") for other in ranges):
            assert {number for number in range(first, last + 1) if "return" in lines[number - 1]} <= met, symbol
        checked += 1
    assert checked >= 12


def test_cython_lines_of_other_files(build, tmp_path):
    """A C file that is not Cython's, one that is gone, and one with damaged marks: the C lines stay."""
    code = '/* "x.pyx":7\n */\nint f(int x)\n{\n    return x + 1;\n}\n'
    marked = '/* Generated by Cython 3 */\n' + code
    for text, wanted in ((code, ("y.c", "4")), (marked, ("x.pyx", "7")), (marked.replace(":7", ":7x"), ("y.c", "5")),
                         (marked.replace(":7", ":99999999999999"), ("y.c", "5")), (marked.replace('"x', 'x'), ("y.c", "5"))):
        (tmp_path / "y.c").write_text(text)
        run("gcc", "-g", "-shared", "-fPIC", "-o", tmp_path / "y.so", tmp_path / "y.c")
        (start,) = [start for start, _, symbol in functions_of(tmp_path / "y.so") if symbol == "f"]
        (_, file, line), = sources_at(build, tmp_path / "y.so", [start], "cython")[start]
        assert (os.path.basename(file), line) == wanted, text
    (tmp_path / "y.c").unlink()
    (_, file, line), = sources_at(build, tmp_path / "y.so", [start], "cython")[start]
    assert (os.path.basename(file), line) == ("y.c", "5")


@pytest.mark.statistical
def test_cython_profile(build, run_pspy, output, repo):
    folder = make_quietly(["make", "-s", "-C", repo / "sample_targets", "cython", "PYTHON=/usr/bin/python3",
                           f"CYTHON={sys.executable} -m cython", f"OUT={build / 'sample_targets'}"]).split()[-1]
    program = repo / "sample_targets/gray_scott_cython/gray_scott_cython.py"
    environment = {**os.environ, "PYTHONPATH": folder}
    assert run(build / "sample_targets/gray_scott", *SMALL) == subprocess.run(
        ["/usr/bin/python3", program, *SMALL], env=environment, capture_output=True, text=True, check=True).stdout
    run_pspy(["record", "-n", "-r", "500", "-f", "raw", "-o", output / "folded", "--", "/usr/bin/python3", program, "--size",
              "128", "--steps", "1000"], check=0, env=environment)
    source = (repo / "sample_targets/gray_scott_cython/gray_scott_step.pyx").read_text().splitlines()
    frames = [(name, place) for name, place in folded_frames((output / "folded").read_text()) if name.startswith("gray_scott_step")]
    names = {name for name, _ in frames}
    assert names >= {"gray_scott_step.Model.step", "gray_scott_step.Model.update_row", "gray_scott_step.laplacian"}
    (row,) = [number for number, text in enumerate(source, 1) if "self.update_row(" in text]
    assert ("gray_scott_step.Model.step", f"gray_scott_step.pyx:{row}") in frames
    assert not re.search("__pyx_p[wf]_", (output / "folded").read_text())


@needs_gfortran
def test_fortran_computes_the_same(build):
    assert run(build / "sample_targets/gray_scott_fortran", *SMALL) == run(build / "sample_targets/gray_scott", *SMALL)
