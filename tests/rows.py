#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`make check-rows`: every row of every ELF file below some folders against libunwind (tests/unit/print_rows.c).

    tests/rows.py BUILD [FOLDER...]

Prints what differs and the sums; fails if anything differs. A quarter of an hour for a whole Debian.
"""
import bisect
import collections
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

AT_ONCE = 20
KEYS = ("rows", "rules", "bytes", "us", "asked", "exotic", "refused", "differences")


def elf_files(folders):
    seen = set()
    for folder in folders:
        for root, _, names in os.walk(folder):
            for name in names:
                path = os.path.join(root, name)
                if os.path.islink(path) or not os.path.isfile(path):
                    continue
                status = os.stat(path)
                key = (status.st_dev, status.st_ino)
                with open(path, "rb") as file:
                    if key not in seen and file.read(4) == b"\x7fELF":
                        seen.add(key)
                        yield path


def compare(program, paths):
    done = subprocess.run([program, *paths], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"print_rows ends with {done.returncode} among {paths}:\n{done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def by_readelf(path):
    """[(address, CFA)] of every row that binutils' readelf prints: (8, "rsp+16")."""
    text = subprocess.run(["readelf", "-wF", path], capture_output=True, text=True, check=False).stdout
    return sorted((int(found[1], 16), found[2]) for found in re.finditer(r"^([0-9a-f]{16}) (\S+) ", text, re.M))


def check_refusals(answer):
    """libunwind 1.6 gives up where xmm registers are saved: there readelf is asked for the CFA."""
    rows = by_readelf(answer["file"])
    for at, register, offset in answer["refusals"]:
        index = bisect.bisect_right(rows, (at, "~")) - 1
        ours = f"{ {6: 'rbp', 7: 'rsp'}.get(register, register)}+{offset}"
        if index < 0 or rows[index][1] != ours:
            print(f"{answer['file']}: at {at:#x} {ours}, by readelf {rows[index] if index >= 0 else None}", flush=True)
            answer["differences"] += 1


def main():
    program = os.path.join(sys.argv[1], "tests/unit/print_rows")
    files = list(elf_files(sys.argv[2:] or ["/usr/bin", "/usr/sbin", "/usr/lib", "/usr/libexec"]))
    sums = collections.Counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for answers in pool.map(lambda at: compare(program, files[at:at + AT_ONCE]), range(0, len(files), AT_ONCE)):
            for answer in answers:
                sums["files"] += 1
                if answer["refused"]:
                    check_refusals(answer)
                sums.update({key: answer[key] for key in KEYS})
                if answer["differences"]:
                    print(json.dumps(answer), flush=True)
    print(", ".join(f"{key} {value:,}" for key, value in sums.items()))
    return sums["differences"] > 0


if __name__ == "__main__":
    sys.exit(main())
