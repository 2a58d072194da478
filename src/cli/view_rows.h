/* SPDX-License-Identifier: MIT */
/* The rows of struct view_choices for a command's option table. */
#ifndef PSPY_CLI_VIEW_ROWS_H
#define PSPY_CLI_VIEW_ROWS_H

#include "pspy/cli/view_choices.h"

/* Headings that several tables have. */
#define OUTPUT "Output"
#define SHOWN  "Which samples are shown"
#define FRAMES "What the stacks show"
#define OTHER  "Other"

/* The row that ends each table. */
#define HELP_ROW(type, member)                                                                     \
    {                                                                                              \
        OPTION_STOP(type, member), .letter = 'h', .name = "help", .group = OTHER,                  \
                                   .help = "show this help",                                       \
    }

/* The values of --by. */
extern const struct choice view_units[];

/* `type` is the command's struct of values, `member` its struct view_choices, `heading` where the
 * rows stand in the help. Which samples are shown: */
#define FILTER_ROWS(type, member, heading)                                                         \
    {                                                                                              \
        OPTION_LIST(type, member.include),                                                         \
        .name = "include",                                                                         \
        .value_name = "WHAT=REGEX",                                                                \
        .group = heading,                                                                          \
        .help = "only samples that match; WHAT is thread, process, state, module, function or "    \
                "line, such as thread=^worker, module=numpy or function=^read; may be given "      \
                "several times",                                                                   \
        .manual =                                                                                  \
            "Keep only samples that match: thread=REGEX by the thread's name, process=REGEX "      \
            "by the command line or the pid of its process, state=REGEX by what the thread "       \
            "did (running, waiting for a CPU, waiting for the GIL or idle; also garbage "          \
            "collection), module=REGEX by the file of any frame of the stack, function=REGEX "     \
            "by the name of any frame of the stack, line=REGEX by the FILE:LINE of any frame, "    \
            "where FILE is the full path or the file as it is shown. REGEX is a POSIX "            \
            "extended regular expression, as in regex(7), that may match anywhere in the "         \
            "text. The file of a module is the full path of the source file, as far as it is "     \
            "known, and for native code also that of the executable or library. The frames of "    \
            "processes and threads that --subprocesses and --threads put at the root are no "      \
            "functions. The option may be given several times: then for each WHAT that is "        \
            "given one of its expressions must match. Stacks stay whole, with the callers of "     \
            "what matched.",                                                                       \
    },                                                                                             \
        {                                                                                          \
            OPTION_LIST(type, member.exclude),                                                     \
            .name = "exclude",                                                                     \
            .value_name = "WHAT=REGEX",                                                            \
            .group = heading,                                                                      \
            .help = "no samples that match, see --include; may be given several times",            \
            .manual =                                                                              \
                "Leave out samples that match, also those that --include would keep. WHAT and "    \
                "REGEX are those of --include. The option may be given several times: one "        \
                "match suffices.",                                                                 \
        },                                                                                         \
        {                                                                                          \
            OPTION_DURATION(type, member.from),                                                    \
            .name = "from",                                                                        \
            .value_name = "SECONDS",                                                               \
            .default_text = "0",                                                                   \
            .group = heading,                                                                      \
            .help = "show samples from then on",                                                   \
            .manual = "Show only samples that were taken this many seconds after the recording's " \
                      "start or later. The recording itself is not shortened.",                    \
        },                                                                                         \
    {                                                                                              \
        OPTION_DURATION(type, member.to),                                                          \
            .name = "to", .value_name = "SECONDS", .default_text = "the end", .group = heading,    \
            .help = "show samples from before then",                                               \
            .manual =                                                                              \
                "Show only samples that were taken earlier than this many seconds after the "      \
                "recording's start.",                                                              \
    }

/* What their stacks show: */
#define VIEW_ROWS(type, member, heading)                                                           \
    {                                                                                              \
        OPTION_FLAG(type, member.native),                                                          \
        .letter = 'n',                                                                             \
        .name = "native",                                                                          \
        .group = heading,                                                                          \
        .help = "also C, C++ and Fortran functions",                                               \
        .manual = "Show the native functions that Python calls, such as those of extension "       \
                  "modules and the libraries below them, in their place among the Python "         \
                  "functions. Of the interpreter's own functions those are shown that Python's "   \
                  "programmers know, by the name they know: list.sort, sorted, dict lookup. The "  \
                  "others' time is their caller's.",                                               \
    },                                                                                             \
        {                                                                                          \
            OPTION_FLAG(type, member.native_all),                                                  \
            .name = "native-all",                                                                  \
            .group = heading,                                                                      \
            .help = "the same with all of the interpreter's C functions",                          \
            .manual =                                                                              \
                "As --native, but with all functions of the Python interpreter itself and the "    \
                "frames from which it was started, by the names they have in C.",                  \
        },                                                                                         \
        {                                                                                          \
            OPTION_FLAG(type, member.threads),                                                     \
            .letter = 't',                                                                         \
            .name = "threads",                                                                     \
            .group = heading,                                                                      \
            .help = "a root for each thread: thread (TID): name",                                  \
            .manual =                                                                              \
                "Put a frame \"thread (TID): name\" at the root of each stack, so that each "      \
                "thread has a tree of its own.",                                                   \
        },                                                                                         \
        {                                                                                          \
            OPTION_FLAG(type, member.function),                                                    \
            .letter = 'F',                                                                         \
            .name = "function",                                                                    \
            .group = heading,                                                                      \
            .help = "each function's first line, not the line that runs",                          \
            .manual = "Give each function with the line where it begins instead of the line that " \
                      "runs, so that all samples of a function fall together.",                    \
        },                                                                                         \
        {                                                                                          \
            OPTION_FLAG(type, member.nolineno),                                                    \
            .name = "nolineno",                                                                    \
            .group = heading,                                                                      \
            .help = "no line numbers",                                                             \
            .manual = "Leave out line numbers.",                                                   \
        },                                                                                         \
        {                                                                                          \
            OPTION_FLAG(type, member.columns),                                                     \
            .name = "columns",                                                                     \
            .group = heading,                                                                      \
            .help = "columns too: name (file:line:column)",                                        \
            .manual =                                                                              \
                "Show at which column of its line a Python function is, in bytes from 1, as far "  \
                "as its bytecode says it (CPython 3.11 and later): which call of a long "          \
                "expression takes the time.",                                                      \
        },                                                                                         \
        {                                                                                          \
            OPTION_FLAG(type, member.states),                                                      \
            .name = "states",                                                                      \
            .group = heading,                                                                      \
            .help = "what a thread waits for, and system calls, as innermost frames",              \
            .manual =                                                                              \
                "End the stack of a thread that waits with a frame that says for what: "           \
                "\"[waiting "                                                                      \
                "for the GIL]\", \"[waiting for a CPU]\", \"[waiting in read]\". With --native, "  \
                "and for native programs, also that of one that runs inside the kernel: "          \
                "\"[running in write]\". Threads that wait are sampled with --idle only, except "  \
                "for a CPU. A flamegraph has a colour for each, and says their shares. The "       \
                "kernel tells how long a thread waited for a CPU, and not just when: those "       \
                "samples are the ones next to it.",                                                \
        },                                                                                         \
        {                                                                                          \
            OPTION_INTEGER(type, member.max_depth),                                                \
            .name = "max-depth",                                                                   \
            .value_name = "FRAMES",                                                                \
            .default_text = "100000",                                                              \
            .min = 2,                                                                              \
            .max = 1000000,                                                                        \
            .group = heading,                                                                      \
            .help = "leave out the middle of deeper stacks",                                       \
            .manual =                                                                              \
                "Of a stack with more frames than this keep both ends, with a frame \"[frames "    \
                "left out]\" between them.",                                                       \
        },                                                                                         \
        {                                                                                          \
            OPTION_FLAG(type, member.full_filenames),                                              \
            .name = "full-filenames",                                                              \
            .group = heading,                                                                      \
            .help = "full paths instead of paths within their package",                            \
            .manual =                                                                              \
                "Show the full paths of source files. Without this option they begin at their "    \
                "package: json/decoder.py.",                                                       \
        },                                                                                         \
        {                                                                                          \
            OPTION_FLAG(type, member.python_only),                                                 \
            .name = "python-only",                                                                 \
            .group = heading,                                                                      \
            .help = "no native functions; what has no others is [native]",                         \
            .manual = "Leave out native functions. A stack without any Python function keeps its " \
                      "roots and one frame \"[native]\": no sample is lost.",                      \
        },                                                                                         \
        {                                                                                          \
            OPTION_FLAG(type, member.native_only),                                                 \
            .name = "native-only",                                                                 \
            .group = heading,                                                                      \
            .help = "no Python functions; what has no others is [Python]",                         \
            .manual = "Leave out Python functions. A stack without any native function keeps its " \
                      "roots and one frame \"[Python]\": no sample is lost.",                      \
        },                                                                                         \
    {                                                                                              \
        OPTION_CHOICE(type, member.by),                                                            \
            .name = "by", .value_name = "UNIT", .default_text = "samples", .group = heading,       \
            .help = "what folded stacks count",                                                    \
            .manual = "What the number behind a folded stack is.", .choices = view_units,          \
    }

#endif
