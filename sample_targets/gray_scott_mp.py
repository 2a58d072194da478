# SPDX-License-Identifier: MIT
"""Gray-Scott reaction-diffusion on several processes, each with some of the rows in memory that all share."""
import multiprocessing
import multiprocessing.connection
import sys

from gray_scott_rows import cells, make_parser, parse_arguments, print_result, simulate_rows, split_rows


def run_workers(context, memory, arguments):
    """Whether all went well. The others of one that dies would wait for it for ever."""
    barrier = context.Barrier(arguments.workers)
    workers = [context.Process(target=simulate_rows, args=(memory, arguments.size, rows, arguments.steps, barrier))
               for rows in split_rows(arguments.size, arguments.workers)]
    for worker in workers:
        worker.start()
    running = {worker.sentinel: worker for worker in workers}
    while running:
        for sentinel in multiprocessing.connection.wait(list(running)):
            worker = running.pop(sentinel)
            worker.join()
            if worker.exitcode:
                for other in running.values():
                    other.terminate()
    return not any(worker.exitcode for worker in workers)


def main():
    parser = make_parser("Gray-Scott reaction-diffusion on several processes")
    parser.add_argument("--start", choices=multiprocessing.get_all_start_methods(),
                        help="how a worker comes into being (default: as this Python does it)")
    arguments = parse_arguments(parser)
    context = multiprocessing.get_context(arguments.start)
    memory = context.RawArray("d", cells(arguments.size))
    if not run_workers(context, memory, arguments):
        sys.exit("a worker failed")
    print_result(memory, arguments)


if __name__ == "__main__":
    main()
