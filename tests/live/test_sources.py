# SPDX-License-Identifier: MIT
"""Lines and inlined functions of native code, compared with LLVM's symbolizer (binutils' addr2line 2.40 misnames the
inlined functions of clang's code and of DWARF 5, and elfutils' own reads with the library that pspy uses)."""
import os
import random
import re
import shutil
import subprocess

import pytest

SYMBOLIZER = shutil.which("llvm-symbolizer") or shutil.which("llvm-symbolizer-14")
pytestmark = pytest.mark.skipif(not SYMBOLIZER, reason="no llvm-symbolizer here: apt-get install llvm")
PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
struct point { double x, y; };
static inline double square(double x)
{
    return x * x;
}
static inline double distance(struct point a, struct point b)
{
    return square(a.x - b.x) +
           square(a.y - b.y);
}
double total(const struct point *points, int count)
{
    double sum = 0;
    for (int i = 1; i < count; i++)
        sum += distance(points[i - 1], points[i]);
    return sum;
}
int main(int argc, char **argv)
{
    struct point points[100];
    for (int i = 0; i < 100; i++)
        points[i] = (struct point){i * argc, atof(argv[argc - 1]) + i};
    printf("%f\n", total(points, 100));
    return 0;
}
"""


def text_addresses(program, count):
    """Addresses of instructions within functions, from objdump: what a sample can hit."""
    listing = subprocess.run(["objdump", "-d", "--no-show-raw-insn", "-j", ".text", program], capture_output=True,
                             text=True, check=True).stdout
    addresses = [int(address, 16) for address in re.findall(r"^\s+([0-9a-f]+):\t", listing, re.M)]
    random.Random(1).shuffle(addresses)
    return sorted(addresses[:count])


def blocks(text):
    """{address: [(function, file, line), ...]} of output that begins each block with the address."""
    found, current = {}, None
    for line in text.splitlines():
        if re.fullmatch(r"0x[0-9a-f]+", line):
            current = found.setdefault(int(line, 16), [])
        else:
            current.append(line)
    return found


def symbolizer(program, addresses):
    """[(function, file, line), ...] by address, innermost first; places without a line are not known."""
    text = subprocess.run([SYMBOLIZER, "--functions=linkage", "--inlines", "--no-demangle", "--output-style=GNU",
                           "--addresses", f"--obj={program}"], input="\n".join(map(hex, addresses)),
                          capture_output=True, text=True, check=True).stdout
    truth = {}
    for address, lines in blocks(text).items():
        lines = [line for line in lines if line]
        places = [(function, *place.rsplit(" (", 1)[0].rsplit(":", 1))
                  for function, place in zip(lines[::2], lines[1::2])]
        known = all(line not in "?0" for _, _, line in places)
        truth[address] = [(function, os.path.basename(file), int(line)) for function, file, line in places] if known else []
    return truth


def pspy_lines(build, program, addresses):
    text = subprocess.run([build / "tests/unit/print_sources", program], input="\n".join(map(hex, addresses)),
                          capture_output=True, text=True, check=True).stdout
    return {address: [(line.split(" ", 1)[0], os.path.basename(line.rsplit(":", 1)[0]), int(line.rsplit(":", 1)[1]))
                      for line in lines]
            for address, lines in blocks(text).items()}


def compare(build, program, at_least, asked=None):
    """`asked`: the file that pspy is asked about, where it is another one than what has the truth."""
    addresses = text_addresses(program, 3000)
    truth, seen = symbolizer(program, addresses), pspy_lines(build, asked or program, addresses)
    known = {address: places for address, places in truth.items() if places}
    assert len(known) >= at_least
    wrong = {}
    for address, places in known.items():
        got = seen[address]
        names = [name for name, _, _ in got][:-1]
        expected = [name for name, _, _ in places][:-1]
        if [place[1:] for place in got] != [place[1:] for place in places] or names != expected:
            wrong[hex(address)] = (got, places)
    assert not wrong, f"{len(wrong)} of {len(known)}: {list(wrong.items())[:3]}"
    return max(len(places) for places in known.values())


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("dwarf", ["-gdwarf-4", "-gdwarf-5"])
def test_inlined_chain(build, tmp_path, compiler, dwarf):
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler} here")
    source, program = tmp_path / "points.c", tmp_path / "points"
    source.write_text(PROGRAM)
    subprocess.run([compiler, "-O2", dwarf, "-o", program, source], check=True)
    assert compare(build, program, 20) >= 3, "square in distance in total"


def run(*command):
    subprocess.run([str(word) for word in command], check=True, capture_output=True)


@pytest.fixture
def points(tmp_path):
    source, program = tmp_path / "points.c", tmp_path / "points"
    source.write_text(PROGRAM)
    run("gcc", "-O2", "-g", "-Wl,--build-id=sha1", "-o", program, source)
    return program


@pytest.mark.parametrize("packing", ["none", "zlib", "zlib-gnu"])
@pytest.mark.parametrize("where", ["file", "debug file"])
def test_packed_and_separate_lines(build, tmp_path, points, packing, where):
    asked = tmp_path / "asked"
    if where == "file":
        run("objcopy", f"--compress-debug-sections={packing}", points, asked)
    else:
        run("objcopy", "--only-keep-debug", f"--compress-debug-sections={packing}", points, tmp_path / "its.debug")
        run("objcopy", "--strip-all", f"--add-gnu-debuglink={tmp_path}/its.debug", points, asked)
    assert compare(build, points, 20, asked) >= 3
    if where == "debug file":
        (tmp_path / "its.debug").unlink()
        assert not any(pspy_lines(build, asked, text_addresses(asked, 50)).values())


def test_lines_that_dwz_moved(build, tmp_path, points):
    """What two programs have in common lies in a third file."""
    if not shutil.which("dwz"):
        pytest.skip("no dwz here")
    asked = tmp_path / "asked"
    shutil.copy(points, asked)
    shutil.copy(points, tmp_path / "other")
    run("dwz", "-m", tmp_path / "common.debug", asked, tmp_path / "other")
    sections = subprocess.run(["readelf", "-SW", asked], capture_output=True, text=True, check=True).stdout
    assert ".gnu_debugaltlink" in sections
    assert compare(build, points, 20, asked) >= 3
    (tmp_path / "common.debug").unlink()
    pspy_lines(build, asked, text_addresses(points, 50))


def test_lines_of_the_c_library(build):
    """Debian's separate file, packed, of assembler too; places, not names: glibc's have aliases."""
    library = os.path.realpath("/lib/x86_64-linux-gnu/libc.so.6")
    note = subprocess.run(["readelf", "-nW", library], capture_output=True, text=True, check=False).stdout
    build_id = re.search(r"Build ID: (\w+)", note)
    debug = build_id and f"/usr/lib/debug/.build-id/{build_id[1][:2]}/{build_id[1][2:]}.debug"
    if not debug or not os.path.exists(debug):
        pytest.skip("no debug file of the C library here")
    addresses = text_addresses(library, 300)
    truth, seen = symbolizer(debug, addresses), pspy_lines(build, library, addresses)
    known = [address for address in addresses if truth[address]]
    assert len(known) > 200
    wrong = [(hex(address), seen[address], truth[address]) for address in known
             if [place[1:] for place in seen[address]] != [place[1:] for place in truth[address]]]
    assert not wrong, f"{len(wrong)} of {len(known)}: {wrong[:5]}"


@pytest.mark.parametrize("name", ["gray_scott", "stack_cpp", "shares"])
def test_sample_target(build, name):
    program = build / "sample_targets" / name
    if not program.exists():
        pytest.skip(f"{name} was not built: its compiler is missing")
    compare(build, program, 100)


def test_no_lines_without_debug_information(build, tmp_path):
    source, program = tmp_path / "points.c", tmp_path / "points"
    source.write_text(PROGRAM)
    subprocess.run(["gcc", "-O2", "-g0", "-o", program, source], check=True)
    addresses = text_addresses(program, 50)
    assert not any(pspy_lines(build, program, addresses).values())
