/* SPDX-License-Identifier: MIT */
/*
 * Whether the kernel lets us observe a process, and where it does not, which of its rules it is and
 * what to do. The kernel itself only says "no".
 */
#ifndef PSPY_TARGET_ACCESS_H
#define PSPY_TARGET_ACCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "pspy/base/error.h"
#include "pspy/target/live.h"

/* What the kernel decides by; see ptrace(2), "Ptrace access mode checking". */
struct access_facts {
    uid_t user;          /* our real one, by which memory is read */
    uid_t owners[3];     /* the process's real, effective and saved one */
    bool has_capability; /* CAP_SYS_PTRACE is among our effective ones */
    bool is_filtered;    /* seccomp refuses us the calls, whatever the process */
    int ptrace_scope;    /* Yama's; -1: this kernel has none */
    pid_t tracer;        /* of the process; 0: none */
};

/* Owners and tracer from /proc/PID/status. False when one is missing; then nothing is changed. */
bool access_parse_status(const char *status, struct access_facts *ret);

/* Why a process with these facts was refused: a reason with its remedy, appended. */
void access_explain(const struct access_facts *facts, struct strbuf *ret);

/* Fills `why` for a process that the kernel refused. ERR_PERMISSION. */
enum err access_refuse(pid_t pid, struct error *why);

/* Tries what sampling will do: reading memory, and where `stops` holds, ptrace, without stopping
 * anything. ERR_PERMISSION; ERR_OK also for a process that has ended. */
enum err access_check(const struct target *target, bool stops, struct error *why);

#endif
