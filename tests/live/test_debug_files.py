# SPDX-License-Identifier: MIT
"""Separate debug files: found by build-id or link, in another root directory, and refused where they do not fit."""
import os
import pathlib
import re
import shutil

import pytest

from test_elf_tools import LOADED, SYMBOLS, ask, compile_c, run  # noqa: F401, a fixture among them


@pytest.fixture
def stripped(tmp_path):
    """A root directory with /srv/program, stripped, and its debug file beside the root."""
    root = tmp_path / "root"
    (root / "srv").mkdir(parents=True)
    program = compile_c(tmp_path, SYMBOLS, "-Wl,--build-id=sha1")
    debug = tmp_path / "program.debug"
    run("objcopy", "--only-keep-debug", program, debug)
    run("objcopy", "--strip-all", f"--add-gnu-debuglink={debug}", program, root / "srv/program")
    return root, root / "srv/program", debug


def build_id_path(root, program):
    build_id = re.search(r"Build ID: (\w+)", run("readelf", "-nW", program)).group(1)
    return root / "usr/lib/debug/.build-id" / build_id[:2] / f"{build_id[2:]}.debug"


def place(debug, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(debug, path)
    return str(path)


def other_build(tmp_path):
    """A debug file of another program: neither build-id nor CRC fit."""
    program = compile_c(tmp_path, LOADED, "-Wl,--build-id=sha1", name="other")
    run("objcopy", "--only-keep-debug", program, tmp_path / "other.debug")
    return tmp_path / "other.debug"


def test_no_debug_file(stripped, ask):
    root, program, _ = stripped
    assert ask("debugfile", program, root) == ["-"]


def test_debug_file_by_build_id(stripped, tmp_path, ask):
    root, program, debug = stripped
    path = build_id_path(root, program)
    place(other_build(tmp_path), path)
    assert ask("debugfile", program, root) == ["-"], "another build's debug file is refused"
    path.write_bytes(b"no ELF file")
    assert ask("debugfile", program, root) == ["-"]
    path.unlink()
    path.mkdir()
    assert ask("debugfile", program, root) == ["-"]
    path.rmdir()
    assert ask("debugfile", program, root) == ["-"]
    assert ask("debugfile", program, root) != [place(debug, path)]
    assert ask("debugfile", program, root) == [str(path)]


FOLDERS = ["srv", "srv/.debug", "usr/lib/debug/srv"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_debug_file_by_link(folder, stripped, tmp_path, ask):
    root, program, debug = stripped
    path = root / folder / "program.debug"
    place(other_build(tmp_path), path)
    assert ask("debugfile", program, root) == ["-"], "the CRC must fit"
    place(debug, path)
    assert ask("debugfile", program, root) == [str(path)]
    with open(path, "ab") as file:
        file.write(b"x")
    assert ask("debugfile", program, root) == ["-"], "the CRC is that of the whole file"


def test_debug_file_after_one_with_a_wrong_crc(stripped, tmp_path, ask):
    root, program, debug = stripped
    place(other_build(tmp_path), root / FOLDERS[0] / "program.debug")
    path = place(debug, root / FOLDERS[2] / "program.debug")
    assert ask("debugfile", program, root) == [path]
    wrong = place(other_build(tmp_path), build_id_path(root, program))
    assert ask("debugfile", program, root) == [path], "nor does a wrong build-id end the search"
    place(debug, pathlib.Path(wrong))
    assert ask("debugfile", program, root) == [wrong], "the build-id comes first"


def test_debug_file_in_our_own_root(stripped, ask):
    """A container's program whose debug file only we have: by link, beside the file of the same path."""
    _, program, debug = stripped
    path = place(debug, program.parent / "program.debug")
    assert ask("debugfile", program, "/") == [path]
    assert ask("debugfile", program, "/proc") == [path], "the other root is looked at first, then ours"


def test_debug_symbols_are_used(stripped, ask):
    _, program, debug = stripped
    value = ask("symbols", debug, lines=["plain"])[0].split()[1]
    assert ask("names", program, lines=[value]) == [f"{value} -"]
    place(debug, program.parent / "program.debug")
    assert ask("names", program, lines=[value])[0].endswith(" plain")
    sizeless = ask("symbols", debug, lines=["sizeless"])[0].split()[1]
    assert ask("names", program, lines=[sizeless])[0].endswith(" sizeless")


def test_debug_file_of_a_debug_file(stripped, ask):
    """Sections without content (NOBITS), .gnu_debuglink among them: no crash."""
    root, program, _ = stripped
    run("objcopy", "--only-keep-debug", program, root / "srv/hollow")
    content = bytearray(program.read_bytes())
    index = int(re.search(r"\[\s*(\d+)\] \.gnu_debuglink", run("readelf", "-SW", program)).group(1))
    header = int.from_bytes(content[0x28:0x30], "little") + 64 * index
    content[header + 4:header + 8] = (8).to_bytes(4, "little")  # sh_type = SHT_NOBITS
    (root / "srv/odd").write_bytes(content)
    for name in ("hollow", "odd"):
        assert ask("debugfile", root / "srv" / name, root) == ["-"]
        assert ask("names", root / "srv" / name, lines=["1000", "1139"])


def test_root_directory_is_kept(tmp_path, ask):
    """Symlinks, absolute or with .., stay inside the root directory."""
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/hostname").write_text("inner")
    (root / "absolute").symlink_to("/etc/hostname")
    (root / "up").symlink_to("../../../../etc/hostname")
    (root / "folder").symlink_to("/etc")
    for name in ("/absolute", "/up", "/folder/hostname", "/etc/../../etc/hostname", "/../etc/hostname"):
        assert ask("open", root, name) == [str(root / "etc/hostname")], name
    (root / "dangling").symlink_to("/etc/passwd")
    assert ask("open", root, "/dangling") == ["-"]
    assert ask("open", root, "/etc/passwd") == ["-"]


def test_debug_file_through_an_absolute_symlink(stripped, ask):
    root, program, debug = stripped
    path = place(debug, root / "store/program.debug")
    link = build_id_path(root, program)
    link.parent.mkdir(parents=True)
    link.symlink_to("/store/program.debug")
    assert ask("debugfile", program, root) == [path]


@pytest.mark.parametrize("target", ["fifo", "/dev/zero"])
def test_debug_file_that_is_none(target, stripped, ask):
    """A pipe without a writer would block, a device would never end."""
    root, program, _ = stripped
    path = root / "srv/program.debug"
    os.mkfifo(path) if target == "fifo" else path.symlink_to(target)
    assert ask("debugfile", program, "/") == ["-"]
