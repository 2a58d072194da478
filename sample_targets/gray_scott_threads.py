# SPDX-License-Identifier: MIT
"""Gray-Scott reaction-diffusion on several threads, each with some of the rows. NumPy releases the GIL in its loops."""
import sys
import threading

from gray_scott_rows import cells, make_parser, parse_arguments, print_result, simulate_rows, split_rows


def run_workers(memory, arguments):
    """Whether all went well."""
    barrier = threading.Barrier(arguments.workers)
    workers = [threading.Thread(target=simulate_rows, name="rows {}-{}".format(*rows),
                                args=(memory, arguments.size, rows, arguments.steps, barrier))
               for rows in split_rows(arguments.size, arguments.workers)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return not barrier.broken


def main():
    arguments = parse_arguments(make_parser("Gray-Scott reaction-diffusion on several threads"))
    memory = bytearray(8 * cells(arguments.size))
    if not run_workers(memory, arguments):
        sys.exit("a worker failed")
    print_result(memory, arguments)


if __name__ == "__main__":
    main()
