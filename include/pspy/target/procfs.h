/* SPDX-License-Identifier: MIT */
/*
 * Parsers for the text of /proc: pure functions of a string, so that a recorded folder can stand
 * for a machine. The formats are those of proc(5). Must not open anything.
 */
#ifndef PSPY_TARGET_PROCFS_H
#define PSPY_TARGET_PROCFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pspy/target/mapping.h"

/* Parses one line of /proc/PID/maps, which it changes. The path stays in the line: escapes undone,
 * " (deleted)" cut off.
 *   7f12a4c28000-7f12a4dbd000 r-xp 00028000 fe:01 1234 [spaces] /usr/lib/x86_64-linux-gnu/libc.so.6
 */
bool procfs_parse_mapping(char *line, struct mapping *ret);

struct procfs_stat {
    char state; /* R S D T t Z X ... */
    int parent;
    int threads;
    uint64_t start_time;   /* clock ticks since boot: with the pid it names a process for good */
    uint64_t user, system; /* CPU time in clock ticks, as much as was counted until now */
    bool has_memory;       /* not so while it ends, and in a zombie */
    uint64_t start_code;   /* these two are random from exec to exec; 0 without permission */
    uint64_t start_stack;
};

/* Parses /proc/PID/stat or /proc/PID/task/TID/stat; the name in it may hold spaces and brackets:
 *   1234 (python3) R 1 ...
 */
bool procfs_parse_stat(const char *text, struct procfs_stat *ret);

struct procfs_syscall {
    bool is_running;   /* on a CPU or waiting for one; nothing else is known then */
    long number;       /* -1: blocked outside a system call */
    uint64_t argument; /* the call's first */
    uint64_t stack_pointer, program_counter;
};

/* Parses /proc/PID/task/TID/syscall: "running", "-1 SP PC" or "NR A0 A1 A2 A3 A4 A5 SP PC". */
bool procfs_parse_syscall(const char *text, struct procfs_syscall *ret);

struct procfs_schedstat {
    uint64_t running;    /* ns on a CPU */
    uint64_t ready;      /* ns waiting for one, until it was last put on one */
    uint64_t timeslices; /* how often it was put on a CPU */
};

/* Parses /proc/PID/task/TID/schedstat, these three; all 0 where the kernel does not count:
 *   5117036 402113 31
 */
bool procfs_parse_schedstat(const char *text, struct procfs_schedstat *ret);

/* The value behind "Name:" in a /proc/PID/status text, up to the line's end; NULL if absent. */
const char *procfs_status_field(const char *text, const char *name);

/* Undoes the escape of maps, which writes a newline as \012 and all else as it is, in place. */
void procfs_unescape(char *text);

#endif
