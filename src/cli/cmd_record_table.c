/* SPDX-License-Identifier: MIT */
/* The options of `pspy record`. Their names, letters and defaults are py-spy's, so that habits and
 * scripts carry over. */
#include "formats_table.h"
#include "pspy/cli/record_options.h"
#include "view_rows.h"

#define TARGET   "What to profile"
#define SAMPLING "Sampling"
#define PROGRAM  "The program that pspy starts"

typedef struct record_options values;

static const struct option_spec table[] = {
    {
        OPTION_PID(values, pid),
        .letter = 'p',
        .name = "pid",
        .value_name = "PID",
        .group = TARGET,
        .help = "a process that runs already (decimal or 0x hex)",
        .manual = "Profile the process with this id, which runs already. The id is decimal, or "
                  "hexadecimal after 0x. The process goes on when pspy is done. This takes root, "
                  "CAP_SYS_PTRACE, or the process's own user where "
                  "/proc/sys/kernel/yama/ptrace_scope is 0 or missing.",
    },
    {
        OPTION_FLAG(values, subprocesses),
        .letter = 's',
        .name = "subprocesses",
        .group = TARGET,
        .help = "also its children, and theirs",
        .manual =
            "Profile all descendants of the process as well, those that run already and those "
            "that it starts: other Pythons and native programs too. A frame \"process PID: "
            "command\" for each process from the first one on stands at the root of each "
            "stack. The recording ends when all of them have ended.",
    },
    {
        OPTION_FILES(values, output_texts),
        .letter = 'o',
        .name = "output",
        .value_name = "FILE",
        .default_text = "PROGRAM-TIME.svg",
        .group = OUTPUT,
        .help = "write the profile there; - is standard output; in it %r is the MPI rank, %l the "
                "rank on this host, %p the pid, %h the host, %j the job, %q{VAR} a variable",
        .manual = "Write the profile to this file; - is standard output. A name that ends with .gz "
                  "gives a compressed file. In the name %p is the process id of the program that "
                  "is recorded, %h the host's name, %r the MPI rank, %l the rank on this host, %j "
                  "the job's id, %q{VARIABLE} an environment variable, and %% a percent sign; rank "
                  "and job are what mpirun, srun or another launcher tells pspy by environment "
                  "variables. A value may have no slash. Without this option the name is made of "
                  "the program's name or the process id, the local time as in "
                  "2025-12-24T18-30-00+0100, the MPI rank if there is one and the format's usual "
                  "suffix, in the current folder.",
    },
    {
        OPTION_CHOICE(values, format_choice),
        .letter = 'f',
        .name = "format",
        .value_name = "FORMAT",
        .default_text = "by FILE's suffix",
        .group = OUTPUT,
        .help = "one of these",
        .manual = "Write the profile in this format. Without this option the suffix of the output "
                  "file decides: .svg is a flamegraph, .json is speedscope, .txt, .folded and "
                  ".collapsed are raw, each also with .gz behind it. Any other name gives a "
                  "flamegraph.",
        .choices = format_choices,
    },
    {
        OPTION_FLAG(values, flame),
        .name = "flame",
        .group = OUTPUT,
        .help = "flamegraph with the root at the bottom, not the top",
        .manual = "Draw the flamegraph with its root at the bottom and the flames growing upwards. "
                  "Without this option it is an icicle: the root is at the top.",
    },
    {
        OPTION_NUMBER(values, rate),
        .letter = 'r',
        .name = "rate",
        .value_name = "RATE",
        .default_text = "100",
        .min = 0.01,
        .max = 1000000,
        .group = SAMPLING,
        .help = "samples a second, such as 500 or 0.5",
        .manual = "Take this many samples a second on average, 0.01 to 1000000. The intervals vary "
                  "at random, so that a program with a rhythm of its own is seen fairly.",
    },
    {
        OPTION_DURATION(values, duration),
        .letter = 'd',
        .name = "duration",
        .value_name = "SECONDS",
        .default_text = "unlimited",
        .group = SAMPLING,
        .help = "how long, such as 30 or 0.5",
        .manual = "Sample for this many seconds of wall-clock time; fractions are allowed, and "
                  "\"unlimited\" is until the program ends or pspy is told to stop.",
    },
    {
        OPTION_DURATION(values, delay_start),
        .name = "delay-start",
        .value_name = "SECONDS",
        .default_text = "0",
        .group = SAMPLING,
        .help = "leave out the program's first seconds",
        .manual = "Begin to sample only after this many seconds of wall-clock time, such as those "
                  "that a program takes to read its data. --duration counts from then on.",
    },
    {
        OPTION_NUMBER(values, max_overhead),
        .name = "max-overhead",
        .value_name = "PERCENT",
        .default_text = "no limit",
        .min = 0.01,
        .max = 100,
        .group = SAMPLING,
        .help = "lower the rate where pspy needs more of a CPU",
        .manual = "Lower the rate where pspy itself would use more than this share of one "
                  "processor, in percent, over half a second or more. The program is never held up "
                  "for longer than pspy works. Samples carry the time that they stand for, but a "
                  "flamegraph counts them: it shows less of the times with a lower rate.",
    },
    {
        OPTION_FLAG(values, idle),
        .letter = 'i',
        .name = "idle",
        .group = SAMPLING,
        .help = "also samples of threads that wait",
        .manual = "Keep samples of threads that do not run: that sleep, or wait for a lock, a file "
                  "or the network. Without this option only running threads count.",
    },
    {
        OPTION_FLAG(values, gil),
        .letter = 'g',
        .name = "gil",
        .group = SAMPLING,
        .help = "only the thread that holds the GIL",
        .manual = "Keep only samples of the thread that holds Python's global interpreter lock. "
                  "With --idle also while it waits and holds the lock.",
    },
    FILTER_ROWS(values, view, SAMPLING),
    {
        OPTION_FLAG(values, nonblocking),
        .name = "nonblocking",
        .group = SAMPLING,
        .help = "never stop the program; some samples are lost",
        .manual = "Never stop a thread to sample it. A thread that goes on is read twice, and the "
                  "sample is lost where the two differ, which is more often in code that calls "
                  "much. Not possible with --native.",
    },
    VIEW_ROWS(values, view, FRAMES),
    {
        OPTION_STRING(values, ranks),
        .name = "ranks",
        .value_name = "LIST",
        .default_text = "all",
        .group = PROGRAM,
        .help = "record only these MPI ranks, such as 0-3,8",
        .manual = "Where mpirun, srun or another launcher starts pspy, record only the programs "
                  "with these MPI ranks, such as 0-3,8. On the others the program runs as if pspy "
                  "were not there.",
    },
    {
        OPTION_FLAG(values, kill),
        .name = "kill",
        .group = PROGRAM,
        .help = "end it when the duration is over",
        .manual = "End the program that pspy started when the duration is over: SIGTERM, and "
                  "SIGKILL five seconds later; with --subprocesses also all that it started. "
                  "Without this option it runs on. A process given by --pid is never ended.",
    },
    {
        OPTION_FLAG(values, as_root),
        .name = "as-root",
        .group = PROGRAM,
        .help = "under sudo, start it as root, not as the user",
        .manual = "When pspy runs under sudo, start the program as root. Without this option it "
                  "runs as the user who called sudo.",
    },
    HELP_ROW(values, help),
    OPTIONS_END,
};

static const char *const usages[] = {
    "[options] -p PID",
    "[options] [--] PROGRAM [ARGUMENT...]",
    NULL,
};

static const char *const description[] = {
    "Records where a program spends its time, and writes the profile when the program ends, the "
    "duration is over or Ctrl-C is pressed. The signal USR1 writes what was recorded so far into a "
    "file of its own, FILE.1.svg, FILE.2.svg and so on, while the recording goes on.",
    NULL,
};

static const struct example examples[] = {
    {"pspy record -o profile.svg -- python3 app.py", "a flame graph of a program from its start"},
    {"pspy record -p 1234 -d 30 -o profile.json", "30 seconds of a process, for speedscope.app"},
    {"pspy record -n -t -p 1234", "with C, C++ and Fortran functions, a tree for each thread"},
    {"mpirun -n 4 pspy record -o 'p.%r.svg' -- python3 app.py", "each MPI rank into its own file"},
    {NULL, NULL},
};

const struct command cmd_record = {
    .name = "record",
    .summary = "record a profile and write it to a file",
    .usages = usages,
    .description = description,
    .table = table,
    .operand = OPERAND_PROGRAM,
    .examples = examples,
    .run = record_run,
};
