# SPDX-License-Identifier: MIT
"""Gray-Scott with Data Parallel NumPy: gray_scott.py's step on SYCL arrays. On a CPU it needs `pip install dpnp intel-opencl-rt`,
LD_LIBRARY_PATH=VENV/lib and OCL_ICD_FILENAMES=VENV/lib/libintelocl.so.VERSION."""
import argparse
import json
import os
import time

import dpnp
import gray_scott
import position

gray_scott.np = dpnp  # the model's functions have the same names there


def parse_arguments():
    parser = argparse.ArgumentParser(description="Gray-Scott reaction-diffusion with DPNP")
    parser.add_argument("--size", type=int, default=256, help="cells per side (default 256)")
    parser.add_argument("--steps", type=int, default=2000, help="time steps (default 2000)")
    parser.add_argument("--seconds", type=float, help="time steps for so long, after a JSON line that says it begins")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    u, v = gray_scott.initial_fields(arguments.size)
    done, end = 0, None
    if arguments.seconds:
        u, v = gray_scott.step(u, v)  # its kernels are compiled
        u.sycl_queue.wait()
        position.leave_when_asked(arguments.seconds)
        print(json.dumps({"target": "gray_scott_dpnp", "pid": os.getpid(), "device": u.sycl_device.name}), flush=True)
        done, end = 1, time.monotonic() + arguments.seconds
    while time.monotonic() < end if end else done < arguments.steps:
        u, v = gray_scott.step(u, v)
        done += 1
    print("checksum u={:.9f} v={:.9f}".format(float(u.sum()), float(v.sum())))


if __name__ == "__main__":
    main()
