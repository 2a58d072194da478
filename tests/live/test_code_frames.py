# SPDX-License-Identifier: MIT
"""Unwind information made from code (machine/codeframes) against the compiler's own, for a whole library; instruction lengths
(machine/x86) against objdump by the way: a wrong length would make all that follows nonsense. readelf decodes both tables."""
import bisect
import collections
import re
import subprocess

import pytest

LIBRARY = "/lib/x86_64-linux-gnu/libc.so.6"
SAVED = ("rbx", "rbp", "r12", "r13", "r14", "r15")


def run(command, **arguments):
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, **arguments).stdout


def read_rows(path):
    """{(start, end): [(pc, {"CFA": "rsp+16", "rbx": "c-16"})]}"""
    # Its exit status is 1 where it does not like something else of the file.
    text = subprocess.run(["readelf", "-W", "--debug-dump=frames-interp", str(path)], capture_output=True, text=True,
                          errors="replace", check=False).stdout
    found, rows, columns = {}, None, []
    for line in text.splitlines():
        head = re.match(r"\w+ \w+ \w+ (FDE|CIE)(?: .*pc=(\w+)\.\.(\w+))?", line)
        words = line.split()
        if head:
            rows = found.setdefault((int(head[2], 16), int(head[3], 16)), []) if head[1] == "FDE" else None
        elif words[:1] == ["LOC"]:
            columns = words[1:]
        elif rows is not None and len(words) > 1 and re.fullmatch("[0-9a-f]{16}", words[0]):
            rows.append((int(words[0], 16), dict(zip(columns, words[1:]))))
    return found


def row_at(rows, pc):
    index = bisect.bisect_right([row[0] for row in rows], pc) - 1
    return rows[index][1] if index >= 0 else None


def compare(found, wanted):
    """How a made row stands to the compiler's."""
    if found["CFA"] == wanted["CFA"]:
        # Just pushed or popped, a register is in both places: either may be given.
        bad = [name for name in SAVED if "u" not in (found.get(name, "u"), wanted.get(name, "u"))
               and found[name] != wanted[name]]
        return f"{bad} wrong" if bad else "same"
    if wanted["CFA"] == "exp" or found["CFA"][:3] != wanted["CFA"][:3]:
        return "another register"
    return "CFA wrong"


def test_frames_made_from_code_are_the_compilers(build, output):
    """Every row, of every function of the C library that can be followed."""
    section = re.search(rb"\.eh_frame +\w+ +(\w+)", run(["readelf", "-SW", LIBRARY]))
    if not section:
        pytest.skip(f"{LIBRARY} is not this machine's C library")
    wanted = read_rows(LIBRARY)
    ranges = "".join(f"{start:x} {end - start:x}\n" for start, end in wanted)
    made, copy = output / "frames", output / "copy.so"
    made.write_bytes(run([build / "tests/unit/print_frames", LIBRARY, section[1].decode()], input=ranges.encode()))
    run(["objcopy", "--update-section", f".eh_frame={made}", LIBRARY, copy])
    starts, seen = sorted(wanted), collections.Counter()
    found = read_rows(copy)
    for (start, end), rows in found.items():
        function = starts[bisect.bisect_right(starts, (start, 1 << 63)) - 1]
        assert function[0] <= start < end <= function[1]
        for pc in {row[0] for row in rows + wanted[function] if start <= row[0] < end}:
            ours, its = row_at(rows, pc), row_at(wanted[function], pc)
            if ours and its:
                verdict = compare(ours, its)
                seen[verdict] += 1
                assert "wrong" not in verdict, (hex(pc), ours, its)
    covered = sum(end - start for start, end in found) / sum(end - start for start, end in wanted)
    print(f"{covered:.1%} of the code followed; rows: {dict(seen)}")
    assert covered > 0.6 and seen["same"] > 10000 and seen["another register"] < 0.02 * seen["same"]
