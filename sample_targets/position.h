/* SPDX-License-Identifier: MIT */
/*
 * What the self-describing C and C++ targets share: each function states itself when it is entered,
 * the innermost one announces the stack as a JSON line on stdout, then burns CPU until asked to
 * leave.
 */
#ifndef SAMPLE_TARGETS_POSITION_H
#define SAMPLE_TARGETS_POSITION_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

/* A stated function must keep its frame and its name: no inlining, no clones (f.constprop.0), no
 * noreturn deduction. */
#if defined(__clang__)
#define STATED __attribute__((noinline))
#else
#define STATED __attribute__((noipa))
#endif

#define POSITION_DEPTH 32

struct position {
    const char *name[POSITION_DEPTH];
    int depth;
};

static __thread struct position position_mine;
static volatile sig_atomic_t position_over;

/* To be used as the first and the last thing of a stated function; what follows a call keeps it
 * from being a jump. */
#define POSITION_ENTER() position_enter(__func__)
#define POSITION_LEAVE() position_leave()

static inline void position_enter(const char *name)
{
    if (position_mine.depth < POSITION_DEPTH)
        position_mine.name[position_mine.depth] = name;
    position_mine.depth++;
}

static inline void position_leave(void)
{
    position_mine.depth--;
    __asm__ volatile("" ::: "memory");
}

static inline pid_t position_tid(void)
{
    return (pid_t)syscall(SYS_gettid);
}

static inline void position_end(int signum)
{
    (void)signum;
    position_over = 1;
}

/* A pipe's end is told by SIGIO: it needs neither a thread nor a check in the busy loop. */
static inline void position_watch_stdin(void)
{
    struct pollfd already = {.fd = 0, .events = POLLIN, .revents = 0};
    struct stat status;

    if (fstat(0, &status) || !(S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode)))
        return;
    fcntl(0, F_SETOWN, getpid());
    fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_ASYNC);
    if (poll(&already, 1, 0) > 0)
        position_over = 1;
}

static inline struct itimerval position_limit(double seconds)
{
    struct itimerval limit;

    memset(&limit, 0, sizeof(limit));
    limit.it_value.tv_sec = (time_t)seconds;
    limit.it_value.tv_usec = (suseconds_t)((seconds - (double)limit.it_value.tv_sec) * 1e6);
    return limit;
}

/*
 * Sets position_over at SIGTERM, when stdin (a pipe or socket) closes or speaks, or after the time
 * limit. With 0 seconds there is no limit and SIGALRM is left alone.
 */
static inline void position_arm(double seconds)
{
    struct itimerval limit = position_limit(seconds);
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_handler = position_end;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGIO, &action, NULL);
    if (seconds > 0) {
        sigaction(SIGALRM, &action, NULL);
        setitimer(ITIMER_REAL, &limit, NULL);
    }
    position_watch_stdin();
}

static inline void position_print_thread(const struct position *position, pid_t tid,
                                         const char *name, const char *state)
{
    printf("{\"tid\": %d, \"name\": \"%s\", \"state\": \"%s\", \"frames\": [", (int)tid, name,
           state);
    for (int i = 0; i < position->depth && i < POSITION_DEPTH; i++)
        printf("%s{\"kind\": \"native\", \"name\": \"%s\"}", i ? ", " : "", position->name[i]);
    printf("]}");
}

/* The calling thread is the only one, and busy. */
static inline void position_announce(const char *target)
{
    printf("{\"target\": \"%s\", \"pid\": %d, \"threads\": [", target, (int)getpid());
    position_print_thread(&position_mine, position_tid(), target, "busy");
    printf("]}\n");
    fflush(stdout);
}

#endif
