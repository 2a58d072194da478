# SPDX-License-Identifier: MIT
"""What elf/ answers, compared with binutils and elfutils, for files of this machine and for small ones made here.

`print_elf` (tests/unit/print_elf.c) asks the library; nm, readelf, eu-readelf, objcopy and c++filt say what is true.
"""
import bisect
import glob
import os
import pathlib
import re
import shutil
import subprocess

import pytest

CC = os.environ.get("CC", "gcc").split()
# How a linker may lay out a file's segments.
LAYOUTS = [
    "", "-no-pie", "-static", "-static-pie",
    "-Wl,-z,separate-code", "-Wl,-z,noseparate-code", "-no-pie -Wl,-z,noseparate-code",
    "-Wl,-z,max-page-size=2097152", "-no-pie -Wl,-z,max-page-size=2097152", "-Wl,-z,norelro",
    "-no-pie -Wl,-Ttext-segment=0x10000000", "-Wl,-Ttext-segment=0x200000",
    "-fuse-ld=gold", "-fuse-ld=gold -no-pie", "-fuse-ld=gold -Wl,--rosegment",
    "-fuse-ld=lld", "-fuse-ld=lld -no-pie", "-fuse-ld=lld -Wl,-z,separate-code", "-fuse-ld=lld -Wl,-z,noseparate-code",
    "-fuse-ld=lld -Wl,-z,separate-loadable-segments", "-fuse-ld=lld -Wl,--no-rosegment",
    "-fuse-ld=lld -no-pie -Wl,--image-base=0x7000000", "-fuse-ld=lld -Wl,-z,max-page-size=2097152",
]


def run(*command, stdin=""):
    done = subprocess.run([str(word) for word in command], input=stdin, capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture
def ask(build):
    """ask(mode, arguments..., lines=[...]) -> the lines that print_elf answers."""
    def ask_one(*arguments, lines=()):
        return run(build / "tests/unit/print_elf", *arguments,
                   stdin="".join(f"{line}\n" for line in lines)).splitlines()
    return ask_one


def compile_c(folder, source, *flags, name="program"):
    """The path of what `source` was compiled to. Always gcc or CC, never with sanitizers."""
    path = folder / f"{name}.c"
    path.write_text(source)
    run(*CC, "-g", path, "-o", folder / name, *flags)
    return folder / name


def files_here():
    """Real ELF files of this machine: the C library, C++'s, gdb, a Python library."""
    found = []
    for pattern in ("/lib/*-linux-gnu/libc.so.6", "/usr/lib/*-linux-gnu/libstdc++.so.6", "/usr/bin/gdb",
                    "/usr/lib/*-linux-gnu/libpython3.*.so.1.0", "/usr/bin/python3"):
        found += sorted(glob.glob(pattern))[:1]
    if shutil.which("pyenv"):
        root = subprocess.run(["pyenv", "root"], capture_output=True, text=True, check=False).stdout.strip()
        found += sorted(glob.glob(f"{root}/versions/*/lib/libpython3*.so.1.0"))[-1:]
    return found


def file_id(path):
    return pathlib.Path(path).name


# ---- symbols -------------------------------------------------------------------------------------------------------

# "  1234: 0000000000028a10   321 FUNC    GLOBAL DEFAULT   15 qsort@@GLIBC_2.2.5 (7)"
READELF_SYMBOL = re.compile(r"^\s*\d+: ([0-9a-f]+)\s+(0x[0-9a-f]+|\d+) (FUNC|IFUNC)\s+(\w+)\s+\w+\s+(?:\[.*?\]\s+)?"
                            r"(\w+) (\S+)")


class Function:
    def __init__(self, start, size, bind, name, is_static):
        self.start, self.end, self.name = start, start + size, name
        self.is_sizeless_static = size == 0 and is_static
        base = name.partition("@")[0]
        self.rank = (bind == "LOCAL", len(base) - len(base.lstrip("_")))


def functions_of(path):
    """The functions that readelf finds in both symbol tables, and in those of the debug file."""
    found = []
    for file in [path, *debug_file_of(path)]:
        is_static = False
        for line in run("readelf", "-sW", file).splitlines():
            if line.startswith("Symbol table"):
                is_static = "'.symtab'" in line
            symbol = READELF_SYMBOL.match(line)
            if symbol and symbol.group(5) != "UND" and int(symbol.group(1), 16):
                found.append(Function(int(symbol.group(1), 16), int(symbol.group(2), 0), symbol.group(4),
                                      symbol.group(6), is_static))
    return found


def debug_file_of(path):
    build_id = re.search(r"Build ID: (\w+)", run("readelf", "-nW", path))
    if not build_id:
        return []
    name = f"/usr/lib/debug/.build-id/{build_id.group(1)[:2]}/{build_id.group(1)[2:]}.debug"
    return [name] if os.path.exists(name) else []


class Truth:
    """The innermost functions with a size that cover an address: by the definition, slice by slice."""

    def __init__(self, functions):
        edges = {edge for function in functions for edge in (function.start, function.end)}
        self.edges = sorted(edges)
        self.covers = [[] for _ in self.edges]
        for function in functions:
            for at in range(bisect.bisect_left(self.edges, function.start),
                            bisect.bisect_left(self.edges, function.end)):
                self.covers[at].append(function)

    def innermost(self, address):
        at = bisect.bisect_right(self.edges, address) - 1
        covers = self.covers[at] if at >= 0 else []
        if not covers:
            return []
        start = max(function.start for function in covers)
        end = min(function.end for function in covers if function.start == start)
        return [function for function in covers if (function.start, function.end) == (start, end)]


def section_ends(path):
    """[(start, end)] of all sections with an address."""
    rows = re.findall(r"^\s*\[\s*\d+\] \S+\s+\S+\s+([0-9a-f]+) [0-9a-f]+ ([0-9a-f]+)", run("readelf", "-SW", path), re.M)
    return [(int(start, 16), int(start, 16) + int(size, 16)) for start, size in rows if int(start, 16)]


def check_symbols(path, ask):
    """Between two neighbouring edges every address has the same answer: asking both sides of each edge asks all."""
    functions = functions_of(path)
    truth = Truth([function for function in functions if function.end > function.start])
    sizeless = sorted(function.start for function in functions if function.is_sizeless_static)
    addresses = sorted({edge + step for function in functions for edge in (function.start, function.end)
                        for step in (-1, 0, 1)} | {0, 1, 2**63, 2**64 - 1})
    answers = ask("names", path, lines=[f"{address:x}" for address in addresses])
    assert len(answers) == len(addresses)
    starts = sorted(function.start for function in functions)
    sections = section_ends(path)
    wrong = []
    for address, answer in zip(addresses, answers):
        words = answer.split(" ", 3)
        wanted = truth.innermost(address)
        if len(words) == 4 and int(words[1], 16) in sizeless and \
                not any(function.start >= int(words[1], 16) for function in wanted):
            # From a symbol without a size up to the next symbol or its section's end, and only there.
            start, end = int(words[1], 16), int(words[2], 16)
            after = bisect.bisect_right(starts, start)
            section = next((section for section in sections if section[0] <= start < section[1]), None)
            if not section or end > section[1] or after < len(starts) and end > starts[after]:
                wrong.append((answer, "a symbol without a size reaches too far"))
        elif not wanted:
            if len(words) == 4 and not words[3].endswith("@plt"):  # test_symbol_sources.py has those
                wrong.append((answer, "nothing covers it"))
        elif len(words) != 4 or (int(words[1], 16), int(words[2], 16)) != (wanted[0].start, wanted[0].end):
            wrong.append((answer, f"{wanted[0].name} covers it"))
        else:
            best = min(function.rank for function in wanted)
            if not any(function.name.partition("@")[0] == words[3].partition("@")[0] and function.rank == best
                       for function in wanted):
                wrong.append((answer, f"the best names are {[(f.name, f.rank) for f in wanted]}"))
    assert not wrong, f"{len(wrong)} of {len(addresses)} addresses: {wrong[:10]}"
    return functions


@pytest.mark.parametrize("path", files_here(), ids=file_id)
def test_symbols_of_real_files(path, ask):
    assert len(check_symbols(path, ask)) > 10


SYMBOLS = r"""
#include <stdio.h>
static int chosen(int x) { return x + 1; }
static int (*choose(void))(int) { return chosen; }
int by_cpu(int) __attribute__((ifunc("choose")));
__thread int tls_counter = 3;
int data_here = 4;
int __attribute__((noinline)) plain(int x) { return x * 3 + data_here; }
int alias_of_plain(int) __attribute__((alias("plain")));
int __plain(int) __attribute__((alias("plain")));
extern int weak_one(int) __attribute__((weak, alias("plain")));
__asm__(".text\n.globl sizeless\n.type sizeless,@function\nsizeless: nop; nop; ret\n.p2align 6\n"
        ".globl nested_outer\n.type nested_outer,@function\nnested_outer: nop; nop\n"
        ".type nested_inner,@function\nnested_inner: nop; nop\n.size nested_inner,.-nested_inner\n"
        "nop; ret\n.size nested_outer,.-nested_outer\n.fill 64,1,0xcc\n"
        ".type sized_too,@function\n.type twin,@function\nsized_too: twin: nop; ret\n.size twin,.-twin\n"
        ".fill 32,1,0xcc\n"
        ".section .text.last,\"ax\",@progbits\n.type last_one,@function\nlast_one: nop; ret\n.text\n");
#ifdef VERSIONS
__asm__(".symver old_call,call@V_1\n.symver new_call,call@@V_2\n");
int old_call(int x) { return x; }
int new_call(int x) { return x + 7; }
#endif
int main(void) { return by_cpu(plain(tls_counter)); }
"""
VERSIONS = "V_1 { global: call; local: *; }; V_2 { global: call; main; plain; } V_1;"


@pytest.fixture(params=["", "-ffunction-sections", "-no-pie", "-static"])
def symbols_program(request, tmp_path):
    return compile_c(tmp_path, SYMBOLS, "-O1", *request.param.split())


def test_symbols_of_a_small_program(symbols_program, ask):
    check_symbols(symbols_program, ask)
    values = {name: int(value, 16) for value, name in re.findall(r"^([0-9a-f]+) [tTiW] (\S+)$",
                                                                 run("nm", "--defined-only", symbols_program), re.M)}

    def name_at(address):
        return ask("names", symbols_program, lines=[f"{address:x}"])[0].split(" ")[-1]
    assert name_at(values["plain"]) == "plain"
    assert name_at(values["by_cpu"]) == "by_cpu"
    assert name_at(values["sizeless"] + 2) == "sizeless"
    assert name_at(values["nested_inner"]) == "nested_inner"
    assert name_at(values["nested_inner"] + 2) == "nested_outer"
    assert name_at(values["nested_outer"] + 6) == "-", "a gap behind a function has no name"
    assert name_at(values["twin"] + 1) in ("twin", "sized_too")
    assert name_at(values["twin"] + 2) == "-", "a sizeless alias reaches no further than its twin"
    tls = ask("symbols", symbols_program, lines=["tls_counter"])[0].split()
    assert name_at(int(tls[1], 16)) != "tls_counter"


def test_symbols_of_a_stripped_library(tmp_path, ask):
    (tmp_path / "map").write_text(VERSIONS)
    library = compile_c(tmp_path, SYMBOLS, "-O1", "-shared", "-fPIC", "-DVERSIONS", f"-Wl,--version-script={tmp_path}/map",
                        "-ftls-model=global-dynamic", name="library.so")
    whole = {line.split(" ")[0]: line for line in ask("names", library, lines=[
        row.split()[0].lstrip("0") for row in run("nm", "--defined-only", library).splitlines() if " T " in row])}
    run("strip", library)
    functions = check_symbols(library, ask)
    assert {function.name for function in functions} >= {"call@V_1", "call@@V_2", "plain@@V_2"}
    assert whole
    for function in functions:
        assert ask("names", library, lines=[f"{function.start:x}"])[0].split(" ")[-1] != "-"


def test_sizeless_symbol_of_a_stripped_file(tmp_path, ask):
    """Its neighbours may be missing: it covers nothing."""
    library = compile_c(tmp_path, SYMBOLS, "-O1", "-shared", "-fPIC", name="library.so")
    value = ask("symbols", library, lines=["sizeless"])[0].split()[1]
    assert ask("names", library, lines=[value])[0].endswith(" sizeless")
    run("strip", library)
    assert ask("symbols", library, lines=["sizeless"])[0] == f"sizeless {value}"
    assert ask("names", library, lines=[value]) == [f"{value} -"]


# ---- readable names ------------------------------------------------------------------------------------------------

def mangled_names(path, *flags):
    names = {line.split()[-1].partition("@")[0] for line in run("nm", *flags, path).splitlines() if line.split()}
    return sorted(name for name in names if not name.startswith("_GLOBAL_") and not name.endswith(":"))


def check_names(names, ask):
    """c++filt keeps clone suffixes as "[clone .cold]", which we cut, and does not know some of them behind C names."""
    names = [name for name in names if "." not in name]
    wanted = run("c++filt", "-i", stdin="".join(f"{name}\n" for name in names)).splitlines()
    wrong = [row for row in zip(names, ask("demangle", lines=names), wanted) if row[1] != row[2]]
    assert not wrong, f"{len(wrong)} of {len(names)}: {wrong[:10]}"
    return names


@pytest.mark.parametrize("path", files_here(), ids=file_id)
def test_names_of_real_files(path, ask):
    names = check_names(mangled_names(path, "-D"), ask)
    assert len(names) > 10


@pytest.mark.parametrize("name", ["stack_rust_legacy", "stack_rust_v0", "stack_cpp"])
def test_names_of_the_sample_targets(name, build, ask):
    program = build / "sample_targets" / name
    if not program.exists():
        pytest.skip(f"{name} is not built")
    names = check_names(mangled_names(program), ask)
    assert len([name for name in names if name.startswith(("_ZN", "_R"))]) > 10


@pytest.mark.parametrize("suffix", [".cold", ".part.0", ".constprop.0", ".isra.0.cold", ".lto_priv.0", ".llvm.123"])
def test_clones_are_named_as_their_function(suffix, ask):
    (path,) = glob.glob("/usr/lib/*-linux-gnu/libstdc++.so.6")
    names = [name for name in mangled_names(path, "-D") if "." not in name]
    assert ask("demangle", lines=names) == ask("demangle", lines=[name + suffix for name in names])


# ---- ranges of .eh_frame -------------------------------------------------------------------------------------------

def check_ranges(path, ask):
    """Every edge of every FDE, by readelf; an address in a gap gives none."""
    ranges = sorted({(int(start, 16), int(end, 16)) for start, end in re.findall(
        r"^[0-9a-f]+ [0-9a-f]+ [0-9a-f]+ FDE .* pc=([0-9a-f]+)\.\.([0-9a-f]+)$",
        run("readelf", "--debug-dump=frames,no-follow-links", path), re.M)})
    starts = [start for start, _ in ranges]
    addresses = sorted({edge + step for row in ranges for edge in row for step in (-1, 0, 1)} | {0, 2**64 - 1})
    wrong, gaps = [], 0
    for address, answer in zip(addresses, ask("ranges", path, lines=[f"{address:x}" for address in addresses])):
        at = bisect.bisect_right(starts, address) - 1
        wanted = f"{starts[at]:x}" if at >= 0 and address < ranges[at][1] else "-"
        gaps += wanted == "-"
        if answer != f"{address:x} {wanted}":
            wrong.append((answer, wanted))
    assert not wrong, f"{len(wrong)} of {len(addresses)}: {wrong[:10]}"
    return len(ranges), gaps


@pytest.mark.parametrize("path", files_here(), ids=file_id)
def test_ranges_of_real_files(path, ask):
    ranges, gaps = check_ranges(path, ask)
    assert ranges > 10 and gaps > 10


@pytest.mark.parametrize("flags", LAYOUTS)
def test_ranges_of_each_layout(flags, tmp_path, ask):
    program = compile_c(tmp_path, SYMBOLS, "-O1", *flags.split())
    ranges, _ = check_ranges(program, ask)
    assert ranges >= 5


def test_ranges_without_a_table(tmp_path, ask):
    """As gcc -static leaves it out: pspy makes its own."""
    ranges, _ = check_ranges(compile_c(tmp_path, SYMBOLS, "-O1", "-Wl,--no-eh-frame-hdr"), ask)
    assert ranges >= 5


def test_no_ranges_without_frames(tmp_path, ask):
    program = compile_c(tmp_path, SYMBOLS, "-O1", "-fno-asynchronous-unwind-tables")
    value = ask("symbols", program, lines=["plain"])[0].split()[1]
    assert ask("ranges", program, lines=[value]) == [f"{value} -"]



# ---- where a file is loaded ----------------------------------------------------------------------------------------

# States, as the loader sees it, where each file is; then waits for its end of input.
LOADED = r"""
#define _GNU_SOURCE
#include <link.h>
#include <stdio.h>
#include <unistd.h>
static const char constant[] = "a constant in .rodata";
static int data = 4711;
int marked_function(int x) { return x + data + constant[x]; }
static int state(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size, (void)context;
    printf("%lx %s\n", (unsigned long)info->dlpi_addr, info->dlpi_name);
    return 0;
}
int main(void)
{
    char byte;
    printf("%lx marked_function\n", (unsigned long)marked_function);
    dl_iterate_phdr(state, NULL);
    puts("done");
    fflush(stdout);
    return read(0, &byte, 1) != 0;
}
"""


def stated_biases(process):
    """{"": bias of the program, path: bias of a library, "marked_function": its address}"""
    biases = {}
    while (line := process.lines.get(timeout=30)) != "done\n":
        assert line is not None, "the program ended early"
        value, _, name = line.rstrip("\n").partition(" ")
        biases[name] = int(value, 16)
    return biases


@pytest.mark.parametrize("flags", LAYOUTS)
def test_bias_is_what_the_loader_says(flags, tmp_path, ask, start):
    program = compile_c(tmp_path, LOADED, *flags.split())
    process = start([program])
    stated = stated_biases(process)
    answered = {}
    for line in ask("biases", process.pid):
        bias, _, path = line.partition(" ")
        assert answered.setdefault(path, int(bias, 16)) == int(bias, 16), f"two biases of {path}"
    function = int(ask("symbols", program, lines=["marked_function"])[0].split()[1], 16)
    assert answered.pop(str(program)) == stated[""] == stated["marked_function"] - function
    for path, bias in answered.items():
        names = [name for name in stated if name and (os.path.realpath(name) == path or "vdso" in path == "[vdso]"
                                                      and "vdso" in name)]
        assert [stated[name] for name in names] in ([bias], []), path
        assert names or path.startswith("["), f"{path} is not among {list(stated)}"


@pytest.mark.parametrize("flags", LAYOUTS)
def test_bytes_are_those_of_the_sections(flags, tmp_path, ask):
    """Code and constants come from the file; writable sections and addresses outside give none."""
    program = compile_c(tmp_path, LOADED, *flags.split())
    content = program.read_bytes()
    rows = re.findall(r"^\s*\[\s*\d+\] (\S+)\s+(\S+)\s+([0-9a-f]+) ([0-9a-f]+) ([0-9a-f]+) \S+\s+([A-Z]*)",
                      run("readelf", "-SW", program), re.M)
    wanted = {}
    for name, kind, vaddr, offset, size, letters in rows:
        offset, length = int(offset, 16), int(size, 16)
        if int(vaddr, 16) and length and "T" not in letters:
            is_constant = "W" not in letters and kind != "NOBITS"
            wanted[name, int(vaddr, 16), length] = content[offset:offset + length].hex() if is_constant else "-"
    assert len(wanted) > 10 and "-" in wanted.values()
    assert ask("bytes", program, lines=[f"{vaddr:x} {size:x}" for _, vaddr, size in wanted]) == list(wanted.values())
    assert ask("sections", program, lines=[name for name, _, _ in wanted] + [".absent"]) == \
        [f"{name} {vaddr:x} {size:x}" for name, vaddr, size in wanted] + [".absent -"]
    outside = ["0 ffffff0", "7fffffffffff0000 8", "ffffffffffffffff 1", "ffffffffffffffff 10"]
    assert ask("bytes", program, lines=outside) == ["-"] * 4
