# SPDX-License-Identifier: MIT
"""Every place that symbols come from: packed ones, debuginfod's cache, compressed sections, stubs, files that are gone.

The files are made here with gcc, objcopy and xz; nm and objdump say what is true, and a process what its functions are.
"""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from test_elf_tools import SYMBOLS, ask, compile_c, run  # noqa: F401, a fixture among them

NOBODY = 65534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root")


def functions_by_nm(path, *flags):
    """{address: {names}}"""
    found = {}
    for value, name in re.findall(r"^([0-9a-f]+) [tTwWi] (\S+)$", run("nm", "--defined-only", *flags, path), re.M):
        found.setdefault(int(value, 16), set()).add(name.partition("@")[0])
    return found


def asked(ask, path, addresses):
    """{address: name}; where there is none, None."""
    rows = [line.split(" ") for line in ask("names", path, lines=[f"{address:x}" for address in addresses])]
    return {int(row[0], 16): row[-1] if row[-1] != "-" else None for row in rows}


# ---- .gnu_debugdata ------------------------------------------------------------------------------------------------

def with_debugdata(folder, program, data=None):
    """The program as Fedora ships it: stripped, its own functions' symbols packed in a section."""
    dynamic = set(run("nm", "-D", "--defined-only", "--format=posix", program).split()[::4])
    own = [line.split()[0] for line in run("nm", "--defined-only", "--format=posix", program).splitlines()
           if line.split()[1] in "tT" and line.split()[0] not in dynamic]
    (folder / "keep").write_text("\n".join(own))
    run("objcopy", "--only-keep-debug", program, folder / "debug")
    run("objcopy", "-S", "--remove-section=.comment", f"--keep-symbols={folder}/keep", folder / "debug", folder / "mini")
    run("xz", "-k", "-f", folder / "mini")
    if data is not None:
        (folder / "mini.xz").write_bytes(data((folder / "mini.xz").read_bytes()))
    shipped = folder / "shipped"
    run("objcopy", "--strip-all", f"--add-section=.gnu_debugdata={folder}/mini.xz", program, shipped)
    return shipped


def test_packed_symbols(tmp_path, ask):
    program = compile_c(tmp_path, SYMBOLS, "-O1")
    shipped = with_debugdata(tmp_path, program)
    wanted = {address: names for address, names in functions_by_nm(program).items()
              if names & {"plain", "chosen", "choose", "main", "nested_outer", "nested_inner", "sizeless"}}
    assert len(wanted) == 7
    got = asked(ask, shipped, wanted)
    assert all(got[address] in names for address, names in wanted.items()), (got, wanted)
    run("objcopy", "--remove-section=.gnu_debugdata", shipped)
    assert not any(asked(ask, shipped, wanted).values())


@pytest.mark.parametrize("damage", [lambda data: data[:len(data) // 2], lambda data: b"", lambda data: b"no xz at all",
                                    lambda data: data[:40] + bytes(40) + data[80:]])
def test_damaged_packed_symbols(damage, tmp_path, ask):
    program = compile_c(tmp_path, SYMBOLS, "-O1")
    shipped = with_debugdata(tmp_path, program, damage)
    address = next(address for address, names in functions_by_nm(program).items() if "plain" in names)
    assert asked(ask, shipped, [address]) == {address: None}


def test_packed_bomb(tmp_path, ask):
    """What unpacks to more than any real file is given up, in bounded memory."""
    program = compile_c(tmp_path, SYMBOLS, "-O1")
    zeros = subprocess.run(["sh", "-c", "head -c 100000000 /dev/zero | xz -0"], capture_output=True, check=True).stdout
    shipped = with_debugdata(tmp_path, program, lambda data: zeros)
    address = next(address for address, names in functions_by_nm(program).items() if "plain" in names)
    assert asked(ask, shipped, [address]) == {address: None}


# ---- debuginfod's cache --------------------------------------------------------------------------------------------

@pytest.fixture
def stripped(tmp_path):
    """(program without symbols, its debug file, its build-id, the address of `plain`)"""
    program = compile_c(tmp_path, SYMBOLS, "-O1", "-Wl,--build-id=sha1")
    run("objcopy", "--only-keep-debug", program, tmp_path / "its.debug")
    address = next(address for address, names in functions_by_nm(program).items() if "plain" in names)
    run("strip", program)
    build_id = re.search(r"Build ID: (\w+)", run("readelf", "-nW", program)).group(1)
    return program, tmp_path / "its.debug", build_id, address


CACHES = [("DEBUGINFOD_CACHE_PATH", ""), ("XDG_CACHE_HOME", "debuginfod_client"), ("HOME", ".cache/debuginfod_client")]


def clean_environment(**variables):
    kept = {name: value for name, value in os.environ.items()
            if name not in {"DEBUGINFOD_CACHE_PATH", "XDG_CACHE_HOME", "HOME", "SUDO_UID", "SUDO_GID"}}
    return {**kept, **variables}


def name_with(build, environment, program, address, *before):
    return subprocess.run([*before, build / "tests/unit/print_elf", "names", program], input=f"{address:x}\n", text=True,
                          capture_output=True, check=True, env=environment).stdout.split()[-1]


@pytest.mark.parametrize("variable, folder", CACHES)
def test_debuginfod_cache(variable, folder, stripped, tmp_path, build):
    program, debug, build_id, address = stripped
    place = tmp_path / "cache" / folder / build_id
    place.mkdir(parents=True)
    environment = clean_environment(**{variable: str(tmp_path / "cache")})
    assert name_with(build, environment, program, address) == "-"
    other = compile_c(tmp_path, SYMBOLS, "-O1", f"-Wl,--build-id=0x{'ab' * 20}", name="other")
    assert address in functions_by_nm(other)
    shutil.copy(other, place / "debuginfo")
    assert name_with(build, environment, program, address) == "-", "another build's file is refused"
    (place / "debuginfo").write_bytes(b"")
    assert name_with(build, environment, program, address) == "-", "what debuginfod leaves where a server had nothing"
    shutil.copy(debug, place / "debuginfo")
    assert name_with(build, environment, program, address) == "plain"
    assert name_with(build, clean_environment(), program, address) == "-"


@as_root
def test_debuginfod_cache_under_sudo(stripped, tmp_path, build):
    """That of the user who called sudo, whose home is not root's."""
    program, debug, build_id, address = stripped
    place = tmp_path / "home/.cache/debuginfod_client" / build_id
    place.mkdir(parents=True)
    shutil.copy(debug, place / "debuginfo")
    (tmp_path / "passwd").write_text(f"root:x:0:0::/root:/bin/sh\ncaller:x:4321:4321::{tmp_path}/home:/bin/sh\n")
    in_namespace = ["unshare", "-m", "sh", "-c", f'mount --bind {tmp_path}/passwd /etc/passwd && exec "$@"', "sh"]
    if subprocess.run([*in_namespace, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespaces here")
    root = clean_environment(HOME="/root")
    assert name_with(build, root, program, address, *in_namespace) == "-"
    assert name_with(build, {**root, "SUDO_UID": "4321", "SUDO_GID": "4321"}, program, address, *in_namespace) == "plain"


# ---- compressed symbol tables --------------------------------------------------------------------------------------

def test_compressed_symbol_table(tmp_path, ask):
    program = compile_c(tmp_path, SYMBOLS, "-O1")
    whole = asked(ask, program, functions_by_nm(program))
    run("eu-elfcompress", "--force", "-t", "zlib", "--name", ".symtab", "--name", ".strtab", program)
    assert re.search(r"\.symtab .*C", run("readelf", "-SW", program))
    assert asked(ask, program, whole) == whole and "plain" in whole.values()


# ---- stubs of the procedure linkage table --------------------------------------------------------------------------

STUBS = r"""
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int (*volatile pointer)(const char *) = puts;
int main(int argc, char **argv)
{
    char *copy = malloc(strlen(argv[0]) + 1);
    printf("%f %d\n", sin(argc), pointer == puts);
    puts(strcpy(copy, argv[0]));
    qsort(copy, 1, 1, (int (*)(const void *, const void *))strcmp);
    free(copy);
    return atoi("0") + getenv("HOME")[0];
}
"""


@pytest.mark.parametrize("flags", [
    "-Wl,-z,lazy", "-Wl,-z,now", "-no-pie -Wl,-z,lazy", "-fcf-protection -Wl,-z,lazy -Wl,-z,ibtplt",
    "-fcf-protection -Wl,-z,now -Wl,-z,ibtplt", "-fuse-ld=lld", "-fuse-ld=lld -Wl,-z,now", "-fuse-ld=gold -Wl,-z,lazy"])
def test_stubs(flags, tmp_path, ask):
    program = compile_c(tmp_path, STUBS, "-O1", "-fno-builtin", "-lm", *flags.split())
    run("strip", program)
    labels = re.findall(r"^([0-9a-f]+) <(\S+@plt)>:", run("objdump", "-d", program), re.M)
    if not labels:
        pytest.skip("objdump knows no stubs of this linker")
    assert len(labels) >= 7
    wanted = {int(address, 16) + step: name for address, name in labels for step in (0, 5, 7)}
    assert asked(ask, program, wanted) == wanted


def test_stub_of_the_loader_has_no_name(tmp_path, ask):
    program = compile_c(tmp_path, STUBS, "-O1", "-fno-builtin", "-lm", "-Wl,-z,lazy")
    run("strip", program)
    first = int(ask("sections", program, lines=[".plt"])[0].split()[1], 16)
    assert asked(ask, program, [first, first + 6]) == {first: None, first + 6: None}
    assert asked(ask, program, [first + 16])[first + 16].endswith("@plt")


# ---- files that are gone or elsewhere ------------------------------------------------------------------------------

LIBRARY = r"""
__attribute__((noinline)) static int hidden_one(int x) { return x * 3; }
int public_one(int x) { return hidden_one(x) + 1; }
void *address_of_hidden(void) { return (void *)hidden_one; }
"""
# Loads a library (also from a memfd), then removes it, then states where its functions and the vdso's are.
LOADER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
static int into_memory(const char *path)
{
    FILE *file = fopen(path, "r");
    char bytes[65536];
    int fd = memfd_create("made up", 0);
    size_t length = fread(bytes, 1, sizeof(bytes), file);
    return write(fd, bytes, length) == (ssize_t)length ? fd : -1;
}
int own_function(void) { return 7; }
int main(int argc, char **argv)
{
    char name[4096];
    void *library;
    snprintf(name, sizeof(name), "%s", argv[1]);
    if (argc > 2 && !strcmp(argv[2], "memfd"))
        snprintf(name, sizeof(name), "/proc/self/fd/%d", into_memory(argv[1]));
    library = dlopen(name, RTLD_NOW);
    if (!library)
        return fprintf(stderr, "%s\n", dlerror()), 1;
    if (argc > 2)
        unlink(argv[1]);
    printf("{\"public_one\": %lu, \"hidden_one\": %lu, \"own_function\": %lu, \"vdso\": %lu}\n",
           (unsigned long)dlsym(library, "public_one"),
           (unsigned long)((void *(*)(void))dlsym(library, "address_of_hidden"))(), (unsigned long)own_function,
           getauxval(AT_SYSINFO_EHDR));
    fflush(stdout);
    return getchar() != EOF;
}
"""


@pytest.fixture
def load(tmp_path, start_target):
    """load(how, *before, library_flags=...) -> (process, what it states)"""
    def load_one(how=None, *before, library_flags=()):
        compile_c(tmp_path, LIBRARY, "-O1", "-shared", "-fPIC", *library_flags, name="library.so")
        program = compile_c(tmp_path, LOADER, "-O1", "-ldl", name="loader")
        for folder in [tmp_path, *tmp_path.parents]:
            if folder.owner() == pathlib.Path.home().owner() and folder != folder.parent:
                folder.chmod(folder.stat().st_mode | 0o777 if folder == tmp_path else folder.stat().st_mode | 0o055)
        process = start_target([*before, program, tmp_path / "library.so", *([how] if how else [])])
        return process, process.statement
    return load_one


def names_in(build, process, addresses, *before):
    """{name asked about: name answered}"""
    text = subprocess.run([*before, build / "tests/unit/print_elf", "process", str(process.pid)], capture_output=True,
                          input="".join(f"{address:x}\n" for address in addresses.values()), text=True, check=True).stdout
    rows = dict(line.split(" ") for line in text.splitlines())
    return {name: rows[f"{address:x}"] for name, address in addresses.items()}


@pytest.mark.parametrize("how", ["deleted", "memfd"])
def test_library_that_is_gone(how, load, build):
    process, stated = load(how)
    stated.pop("vdso")
    wanted = {name: name for name in stated}
    if os.getuid():
        wanted["hidden_one"] = "-"  # the file's own symbols need the right to open map_files
    assert names_in(build, process, stated) == wanted


@as_root
@pytest.mark.parametrize("how", ["deleted", "memfd"])
@pytest.mark.parametrize("hash_style", ["gnu", "sysv"])
def test_library_that_is_gone_without_rights(how, hash_style, load, build):
    """As somebody who may not open /proc/PID/map_files: from memory, where the loader has changed the tables."""
    process, stated = load(how, *AS_NOBODY, library_flags=[f"-Wl,--hash-style={hash_style}"])
    stated.pop("vdso")
    assert names_in(build, process, stated, *AS_NOBODY) == \
        {"own_function": "own_function", "public_one": "public_one", "hidden_one": "-"}


def test_file_without_section_headers(tmp_path, ask):
    """Only the dynamic segment says where its symbols are."""
    for hash_style in "gnu", "sysv":
        library = compile_c(tmp_path, SYMBOLS, "-O1", "-shared", "-fPIC", f"-Wl,--hash-style={hash_style}",
                            "-ftls-model=global-dynamic", name="library.so")
        dynamic = functions_by_nm(library, "-D")
        content = bytearray(library.read_bytes())
        content[0x28:0x30] = bytes(8)
        content[0x3c:0x40] = bytes(4)
        (tmp_path / "bare.so").write_bytes(content)
        got = asked(ask, tmp_path / "bare.so", dynamic)
        for address, names in dynamic.items():
            assert got[address] in names or names <= {"sizeless", "_init", "_fini"}, (got[address], names)
        assert len(dynamic) >= 5


def test_vdso(load, build, tmp_path):
    """Its symbols, by readelf from a copy of its bytes."""
    process, stated = load()
    with open(f"/proc/{process.pid}/mem", "rb") as memory:
        memory.seek(stated["vdso"])
        (tmp_path / "vdso").write_bytes(memory.read(8192))
    rows = re.findall(r"^\s*\d+: ([0-9a-f]+)\s+\d+ FUNC\s+\w+\s+\w+\s+\d+ (\w+)", run("readelf", "-W", "--dyn-syms",
                                                                                       tmp_path / "vdso"), re.M)
    assert len(rows) >= 4
    functions = {}
    for value, name in rows:
        functions.setdefault(stated["vdso"] + int(value, 16), set()).add(name)
    got = names_in(build, process, {address: address for address in functions})
    for address, names in functions.items():
        assert got[address].partition("@")[0] in names, (got[address], names)


def mapped_path(pid, name):
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        return next(line.split()[5] for line in maps if line.rstrip().endswith(name))


@as_root
def test_process_in_another_root(build, tmp_path, start_target):
    """Its files are there only; ours of that name is another one."""
    root = tmp_path / "root"
    (root / "srv").mkdir(parents=True)
    (root / "proc").mkdir()
    program = compile_c(tmp_path, LOADER, "-O1", "-static", name="loader")
    library = compile_c(tmp_path, LIBRARY, "-O1", "-shared", "-fPIC", name="library.so")
    shutil.copy(library, root / "srv/library.so")
    for file in run("ldd", build / "tests/unit/print_elf").split():
        if file.startswith("/") and ("libc.so" in file or "ld-linux" in file):
            (root / file[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, root / file[1:])
    program = compile_c(tmp_path, LOADER, "-O1", "-ldl", name="loader")
    shutil.copy(program, root / "srv/loader")
    run("objcopy", "--only-keep-debug", root / "srv/library.so", root / "srv/library.debug")
    run("objcopy", "--strip-all", f"--add-gnu-debuglink={root}/srv/library.debug", root / "srv/library.so")
    in_root = ["unshare", "-m", "chroot", str(root)]
    if subprocess.run([*in_root, "/srv/loader", "/srv/library.so"], capture_output=True, stdin=subprocess.DEVNULL,
                      check=False).returncode:
        pytest.skip("no mount namespaces here")
    process = start_target([*in_root, "/srv/loader", "/srv/library.so"])
    path = mapped_path(process.pid, "library.so")
    if not pathlib.Path(path).exists() and not (root / path[1:]).exists():
        pytest.skip("we are in a chroot ourselves: the kernel tells paths that neither root has")
    stated = process.statement
    stated.pop("vdso")
    assert names_in(build, process, stated) == {name: name for name in stated}
