/* SPDX-License-Identifier: MIT */
/*
 * The least that stopping a thread takes: the yardstick for what a profiler's samples cost. It is
 * interrupted, waited for asleep, its registers are read, it goes on.
 *
 *     empty_stops TID RATE SECONDS [detach]     0 seconds: until SIGINT or SIGTERM
 *
 * `detach`: seized and let go for each stop, as a profiler does that leaves signals alone.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>

static volatile sig_atomic_t over;

static void end(int number)
{
    (void)number;
    over = 1;
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void sleep_until(double when)
{
    struct timespec time = {.tv_sec = (time_t)when,
                            .tv_nsec = (long)((when - (double)(time_t)when) * 1e9)};

    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
}

static int stop_once(pid_t tid, int detach)
{
    struct user_regs_struct registers;
    struct iovec where = {&registers, sizeof(registers)};
    int status, signal_due;

    if ((detach && ptrace(PTRACE_SEIZE, tid, NULL, NULL)) ||
        ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) || waitpid(tid, &status, __WALL) != tid ||
        !WIFSTOPPED(status) || ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &where))
        return 0;
    signal_due = status >> 16 ? 0 : WSTOPSIG(status);
    return ptrace(detach ? PTRACE_DETACH : PTRACE_CONT, tid, NULL, (void *)(intptr_t)signal_due) ==
           0;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = end};
    int detach = argc > 4 && strcmp(argv[4], "detach") == 0;
    unsigned long stops = 0;
    double interval, last, start, next;
    pid_t tid;

    if (argc < 4)
        return 2;
    tid = (pid_t)strtol(argv[1], NULL, 10);
    interval = 1 / strtod(argv[2], NULL);
    last = strtod(argv[3], NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    prctl(PR_SET_TIMERSLACK, 1);
    if (!detach && ptrace(PTRACE_SEIZE, tid, NULL, NULL)) {
        perror("empty_stops");
        return 1;
    }
    printf("empty stops\n");
    fflush(stdout);
    srand48((long)tid);
    next = start = now();
    while (!over && (last <= 0 || now() < start + last)) {
        next += interval * (0.5 + drand48());
        sleep_until(next);
        if (!over && !stop_once(tid, detach))
            break;
        stops++;
    }
    printf("%lu stops in %.3f s\n", stops, now() - start);
    return 0;
}
