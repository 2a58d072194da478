# SPDX-License-Identifier: MIT
"""NumPy's inner loops by the names of their ufuncs, compared with the symbols that NumPy's wheels still have."""
import collections
import pathlib
import re
import subprocess
import sys

import numpy
import pytest

from test_elf_tools import run

# How NumPy's sources begin the names of loops, by type; long is as wide as long long here.
TYPES = {"BOOL": "?", "BYTE": "i1", "UBYTE": "u1", "SHORT": "i2", "USHORT": "u2", "INT": "i4", "UINT": "u4", "LONG": "i8",
         "ULONG": "u8", "LONGLONG": "i8", "ULONGLONG": "u8", "HALF": "f2", "FLOAT": "f4", "DOUBLE": "f8",
         "LONGDOUBLE": "f16", "CFLOAT": "c8", "CDOUBLE": "c16", "CLONGDOUBLE": "c32"}
# What NumPy's sources call otherwise than its ufuncs.
OTHERWISE = {("floor_divide", "divide"), ("fmax", "maximum"), ("fmin", "minimum"), ("ldexp", "ldexp_int64")}
SYMBOL = re.compile(rf"^({'|'.join(TYPES)})_(?:qQ_bool_)?([a-z]\w*?)(?:_(?:AVX\w*|X86_V\d|FMA3\w*|SSE\w*|avx\w*|fma\w*|sse\w*))?$")
IDLE = "import numpy, sys; print('{}', flush=True); sys.stdin.read()"
BUSY = """
import time
import numpy as np
a, b, c = np.random.rand(4000), np.random.rand(4000), np.empty(4000)
end = time.monotonic() + 1.5
while time.monotonic() < end:
    for _ in range(100):
        np.add(a, b, out=c)
"""


def loops_of(build, process):
    """{file name: {vaddr: name}}"""
    found = collections.defaultdict(dict)
    for line in run(build / "tests/unit/print_ufuncs", process.pid).splitlines():
        path, vaddr, name = line.rsplit(" ", 2)
        found[path][int(vaddr, 16)] = name
    return found


def test_loops_are_the_functions_that_the_symbols_say(build, start_target):
    process = start_target([sys.executable, "-c", IDLE])
    (path, loops), = [(path, loops) for path, loops in loops_of(build, process).items() if "/_multiarray_umath." in path]
    symbols = collections.defaultdict(set)
    for value, name in re.findall(r"^([0-9a-f]+) [tTwW] (\S+)$", run("nm", "--defined-only", path), re.M):
        symbols[int(value, 16)].add(name)
    if not any("DOUBLE_add" in name for names in symbols.values() for name in names):
        pytest.skip("this NumPy has no symbols")
    assert len(loops) > 500 and all(address in symbols for address in loops), "each begins where a function begins"
    compared, wrong = 0, []
    for address, name in loops.items():
        plain = [match for match in map(SYMBOL.match, symbols[address]) if match]
        shown = re.fullmatch(r"np\.(\w+)<([^>]*)>", name)
        if not plain or not shown:
            continue
        compared += 1
        if not any((shown[1] == match[2] or (shown[1], match[2]) in OTHERWISE) and TYPES[match[1]] == shown[2].partition(",")[0] for match in plain):
            wrong.append((name, [match[0] for match in plain]))
    assert compared > 200 and len(wrong) <= compared // 100, wrong[:20]
    by_name = {name for name in loops.values()}
    assert by_name >= {"np.add<f8>", "np.add<i8>", "np.subtract<f4>", "np.sqrt<f8>", "np.less<f8>", "np.ldexp<f8,i4>"}


def test_loops_of_other_libraries(build, start_target):
    """np.linalg has ufuncs too; a process without NumPy has none."""
    process = start_target([sys.executable, "-c", IDLE.replace("numpy,", "numpy.linalg,")])
    names = {name for loops in loops_of(build, process).values() for name in loops.values()}
    assert {"np.linalg.det<f8>", "np.linalg.solve<f8>"} <= names
    process = start_target([sys.executable, "-c", IDLE.replace("numpy,", "json,")])
    assert not loops_of(build, process)


def strip_numpy(folder):
    """A NumPy that is this one but for the symbols of its library; all else are links."""
    package = pathlib.Path(numpy.__file__).parent
    for part in package, package.parent / "numpy.libs":
        if part.exists():
            run("cp", "-rs", part, folder)
    (library,) = folder.glob("numpy/*core/_multiarray_umath.*.so")
    original = library.resolve()
    library.unlink()
    run("strip", "-o", library, original)


@pytest.mark.statistical
def test_stripped_numpy(run_pspy, output):
    strip_numpy(output)
    (output / "busy.py").write_text(BUSY)
    run_pspy(["record", "-n", "-r", "500", "-f", "raw", "-o", output / "folded", "--", sys.executable, output / "busy.py"],
             check=0, cwd=output)
    weights = collections.Counter()
    line_of_add = BUSY.splitlines().index("        np.add(a, b, out=c)") + 1
    for line in (output / "folded").read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        if stack.startswith(f"<module> (busy.py:{line_of_add})"):  # a busy machine is at the imports for long
            weights[stack.rsplit(";", 1)[-1]] += int(count)
    name, count = max(weights.items(), key=lambda item: item[1])
    assert re.match(r"np\.add<f8> \(numpy/\w+/_multiarray_umath\.", name), weights.most_common(5)
    assert count > sum(weights.values()) / 4
    subprocess.run(["rm", "-rf", output / "numpy", output / "numpy.libs"], check=True)
