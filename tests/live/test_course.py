# SPDX-License-Identifier: MIT
"""The course's programs: native code stands below the Python line that calls it, threads of libraries are seen, and stacks end
at their root."""
import os
import re
import sys

import pytest
from measure import Recording, is_python, native_frames, show

pytestmark = pytest.mark.statistical

# Program, steps, {Python function: what must be seen in native code below it}, the share of stacks that must end at their root.
# NumPy is the one that runs these tests.
NUMPY = [
    ("blas.py", 40, {"multiply": "gemm|dot|exec_blas|[Mm]atrix", "solve": "gesv|getrf|getrs|exec_blas|solve"}, 0.9),
    ("fft_axes.py", 20, {"along_rows": "fft", "along_columns": "fft"}, 0.9),
    ("broadcasting.py", 15, {"by_loop": "divide", "by_moveaxis": "divide", "by_newaxis": "divide"}, 0.9),
]
# Program, steps, functions of its own from main down, some of them inlined.
NATIVE = [
    ("particles", 60, ["main", "step", "accelerate", "operator()"]),
    ("gray_scott_rust", 300, ["main", "step", "fill_by", "{{closure}}"]),
]


@pytest.fixture
def record(run_pspy, tmp_path):
    """The programs print their checksums: the profile goes to a file."""

    def record_one(*words, **arguments):
        path = tmp_path / "profile.txt"
        done = run_pspy(["record", "-n", "-t", "-r", "300", "-o", path, "--", *words], deadline=120, check=0, **arguments)
        assert "checksum" in done.stdout
        return Recording(done._replace(stdout=path.read_text()))

    return record_one


def share_with_root(recording):
    ends = re.search(r"^pspy: stacks: (\d+) complete(?:.*?(\d+) with a guessed caller)?", recording.stderr, re.M)
    return sum(int(count or 0) for count in ends.groups()) / recording.samples if ends else 1


@pytest.mark.parametrize("program, steps, wanted, whole", NUMPY, ids=[row[0] for row in NUMPY])
def test_numpy(record, repo, program, steps, wanted, whole):
    recording = record(sys.executable, repo / "sample_targets" / program, "--steps", str(steps),
                       env={**os.environ, "OPENBLAS_NUM_THREADS": "2"})
    assert share_with_root(recording) > whole, recording.stderr
    found = {}
    for frames in recording.stacks:
        for name in set(wanted) & {frame.name for frame in frames if frame.file == program}:
            below = frames[[frame.name for frame in frames].index(name) + 1:]
            found.setdefault(name, set()).update(frame.name for frame in native_frames(below))
    for name, pattern in wanted.items():
        assert any(re.search(pattern, native) for native in found.get(name, ())), (name, found.get(name))
    if program == "blas.py":
        alone = [frames for stacks in recording.by_thread.values() for frames in stacks
                 if any("blas_thread_server" in frame.name for frame in frames)]
        assert alone, recording.stderr
        assert not any(is_python(frame) for frames in alone for frame in frames), show(alone[0])


@pytest.mark.parametrize("program, steps, wanted", NATIVE, ids=[row[0] for row in NATIVE])
def test_native(record, build, program, steps, wanted):
    path = build / "sample_targets" / program
    if not path.exists():
        pytest.skip(f"{program} is not built here: its compiler is missing")
    recording = record(path, "--steps", str(steps))
    assert share_with_root(recording) > 0.9, recording.stderr
    assert any(all(any(name in frame.name for frame in frames) for name in wanted) for frames in recording.stacks), \
        [show(frames) for frames in recording.stacks][:5]
