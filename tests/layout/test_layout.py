# SPDX-License-Identifier: MIT
"""pspy's tables of CPython's structs against CPython's own headers: of each interpreter here as it is, and of the debug
and free-threaded builds that its headers describe."""
import os
import re
import shutil
import subprocess

import pytest

TABLE_BYTES = 888
TABLE_SINCE = (3, 13)
# Compiled with these, headers say what another build would have: letter of print_layout, option, first version.
DEBUG, FREE_THREADED = ("d", "-DPy_DEBUG", (2, 7)), ("t", "-DPy_GIL_DISABLED", (3, 13))
RUNTIME = """
import ctypes, json, sys
runtime = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime"))
print(json.dumps({"runtime": runtime}), flush=True)
sys.stdin.read()
"""


def pairs(text):
    return {name: int(value) for name, value in (line.split() for line in text.splitlines())}


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def compile_with(every_python):
    """compile_with(arguments of the compiler): with the interpreter's headers."""
    if not os.path.exists(f"{every_python.include}/frameobject.h"):
        pytest.skip(f"no headers of {every_python} here")
    compiler = (os.environ.get("CC") or "cc").split()
    return lambda *arguments, headers=every_python.headers(): run(*compiler, *headers, *arguments)


@pytest.fixture
def stated_by(compile_with, repo, tmp_path):
    """stated_by(arguments): {field: offset} by the headers."""
    def compile_and_run(*arguments, **others):
        # Not internal/ itself: 3.11 has files of the same name in both folders.
        compile_with(*arguments, "-o", tmp_path / "offsets", repo / "tests/layout/offsets.c", **others)
        return pairs(run(tmp_path / "offsets"))
    return compile_and_run


@pytest.fixture
def table_by(compile_with, every_python, repo, tmp_path):
    """table_by(arguments): the table of offsets by the headers."""
    def compile_and_take(*arguments):
        compile_with(*arguments, "-isystem", f"{every_python.include}/internal", "-c", "-o", tmp_path / "table.o",
                     repo / "tests/layout/table.c")
        run("objcopy", "-O", "binary", "--only-section=.table", tmp_path / "table.o", tmp_path / "table")
        return (tmp_path / "table").read_bytes()[:TABLE_BYTES]
    return compile_and_take


@pytest.fixture
def shown_by_pspy(every_python, build, tmp_path):
    """shown_by_pspy(build's letters, table): {field: offset}."""
    def show(letters, table=None):
        arguments = []
        if table:
            (tmp_path / "read").write_bytes(table)
            arguments = [tmp_path / "read"]
        return pairs(run(build / "tests/unit/print_layout", every_python.version, letters, *arguments))
    return show


def read_table(python, start_target):
    """The table of offsets of a running interpreter, where there is one."""
    if python.minor < TABLE_SINCE:
        return None
    target = start_target([python, "-c", RUNTIME])
    with open(f"/proc/{target.pid}/mem", "rb") as memory:
        memory.seek(target.statement["runtime"])
        return memory.read(TABLE_BYTES)


def test_offsets(every_python, start_target, shown_by_pspy, stated_by, tmp_path):
    stated = stated_by()
    assert shown_by_pspy(every_python.build, read_table(every_python, start_target)) == stated
    if every_python.minor == (3, 7):
        early = stated_by(headers=["-isystem", headers_before_3_7_4(every_python, tmp_path)])
        assert early["runtime_gil"] != stated["runtime_gil"]
        assert shown_by_pspy(every_python.build + "e") == early


def headers_before_3_7_4(python, tmp_path):
    """A copy with what 3.7.4 changed (python/cpython#13335) undone."""
    shutil.copytree(python.include, tmp_path / "early")
    file = tmp_path / "early/objimpl.h"
    late, early = "    long double dummy;", "    double dummy;"
    assert late in file.read_text()
    file.write_text(file.read_text().replace(late, early))
    return tmp_path / "early"


@pytest.mark.parametrize("changes", [[DEBUG], [FREE_THREADED], [DEBUG, FREE_THREADED]],
                         ids=["debug", "free-threaded", "both"])
def test_offsets_of_other_builds(every_python, changes, table_by, shown_by_pspy, stated_by):
    changes = [change for change in changes if every_python.minor >= change[2]]
    letters = every_python.build + "".join(letter for letter, _, _ in changes)
    options = [option for _, option, _ in changes]
    table = table_by(*options) if every_python.minor >= TABLE_SINCE else None
    assert shown_by_pspy(letters, table) == stated_by(*options)


def test_no_field_is_forgotten(stated_by, repo):
    text = (repo / "include/pspy/python/layout.h").read_text()
    body = re.sub(r"/\*.*?\*/", "", re.search(r"struct layout \{(.*?)\n\};", text, re.S)[1], flags=re.S)
    fields = {name for names in re.findall(r"uint32_t ([^;]+);", body) for name in re.split(r"[,\s]+", names)}
    # text_width is found in the target: no header of ours knows it.
    assert fields - {"version", "text_width"} | {"texts"} == set(stated_by())
