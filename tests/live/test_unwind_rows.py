# SPDX-License-Identifier: MIT
"""The rows of unwind tables against libunwind (tests/unit/print_rows.c), over ELF files of this machine.

`make check-rows` asks for all of them; here some are chosen, each time the same.
"""
import json
import os
import pathlib
import subprocess

import pytest

from conftest import SANITIZED

FOLDERS = ["/usr/bin", "/usr/lib/x86_64-linux-gnu"]
ALWAYS = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2",
          "/usr/lib/x86_64-linux-gnu/libcrypto.so.3", "/usr/bin/python3"]
FILES = 6 if SANITIZED else 40
LARGEST = 3_000_000


def is_elf(path):
    if path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST:
        return False
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def some_files():
    found = sorted(path for folder in FOLDERS if os.path.isdir(folder) for path in pathlib.Path(folder).iterdir()
                   if is_elf(path))
    return [path for path in ALWAYS if os.path.exists(path)] + [str(path) for path in found[::len(found) // FILES + 1]]


@pytest.fixture
def compare(build):
    """compare(options...) -> print_rows' answers."""
    def ask(*options):
        done = subprocess.run([build / "tests/unit/print_rows", *options], capture_output=True, text=True, timeout=200,
                              check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return [json.loads(line) for line in done.stdout.splitlines()]
    return ask


def test_rows_agree_with_libunwind(compare):
    answers = compare("-s", "60" if SANITIZED else "5", *some_files())
    assert len(answers) > FILES // 2 and sum(answer["asked"] for answer in answers) > 2000
    for answer in answers:
        assert not answer["differences"], answer
        assert answer["exotic"] <= 0.001 * answer["rows"] + 4, answer
        assert answer["bytes"] <= 6 * answer["rows"] + 20 * answer["rules"]
