# SPDX-License-Identifier: MIT
"""Data Parallel NumPy on a CPU: `make check-dpnp`, because its packages take 2.9 GB. DPNP comes from the environment that the
test's own interpreter is of."""
import collections
import glob
import os
import pathlib
import sys

import pytest

sys.path.append(str(pathlib.Path(__file__).parents[1] / "live"))
from measure import record, show  # noqa: E402  pylint: disable=wrong-import-position

COMPILED = 120  # seconds to compile the first kernels
KERNELS = "dpnp::tensor::kernels::"
SCHEDULER = "tbb::detail::"


@pytest.fixture
def dpnp_target(start_target, repo):
    libraries = pathlib.Path(sys.prefix) / "lib"
    runtime = [path for path in sorted(glob.glob(f"{libraries}/libintelocl.so.*")) if not os.path.islink(path)]
    assert runtime, f"{libraries} has no OpenCL runtime"
    return start_target([sys.executable, repo / "sample_targets" / "gray_scott_dpnp.py", "--size", 600, "--seconds", 600],
                        deadline=COMPILED,
                        env={**os.environ, "LD_LIBRARY_PATH": str(libraries), "OCL_ICD_FILENAMES": runtime[-1]})


def test_dpnp_is_whole(dpnp_target, run_pspy):
    """All threads that work are sampled, those that Python does not know too; every stack reaches its root; the kernels that
    were compiled at run time stand under the names that SYCL gave them, run by TBB's scheduler."""
    recording = record(run_pspy, dpnp_target.pid, "-n", "-t", duration=10)
    kernels, threads = collections.Counter(), collections.Counter()
    assert recording.samples > 50, recording.stderr
    for (tid, name), stacks in recording.by_thread.items():
        for frames, count in stacks.items():
            assert frames[0].name in ("<module>", "clone3", "__clone3", "clone"), (name, show(frames))
            names = [frame.name for frame in frames]
            threads[tid] += count
            if names[-1].startswith(KERNELS):
                kernels[names[-1].partition("<")[0].removeprefix(KERNELS)] += count
                # A thread that waits for the work, Python's or SYCL's own, takes part in it.
                assert any(SCHEDULER in known for known in names), show(frames)
            assert not names[-1].startswith("[anonymous"), show(frames)
    print(recording.stderr, dict(threads), dict(kernels))
    assert len(threads) >= 2 and len(kernels) >= 1, (threads, kernels)
