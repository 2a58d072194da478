/* SPDX-License-Identifier: MIT */
/*
 * One thread for each thing that a thread can do, for --seconds of time: burn, sleep, sleep half of
 * the time, run inside the kernel, wait for a pipe, for a lock, for a file to be ready. At the end
 * each states by the kernel's own count how long it lived, ran in its own code and in the kernel,
 * and waited for a CPU.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "options.h"

static double seconds = 2;
static int quiet_pipe[2]; /* nothing comes until the end */
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t start;

struct role {
    const char *name;
    void (*act)(double end);
    pthread_t thread;
    long tid;
    double wall, user, system, ready; /* seconds */
};

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void pause_for(double time)
{
    struct timespec left = {(time_t)time, (long)((time - (double)(time_t)time) * 1e9)};

    nanosleep(&left, NULL);
}

static void burn(double end)
{
    while (now() < end)
        for (volatile int i = 0; i < 10000; i++)
            continue;
}

static void half(double end)
{
    while (now() < end) {
        double since = now();

        burn(since + 0.003 + 0.004 * drand48());
        pause_for(now() - since);
    }
}

static void run_in_kernel(double end)
{
    static char block[1 << 22];
    FILE *zeros = fopen("/dev/zero", "r");

    while (zeros && now() < end)
        if (read(fileno(zeros), block, sizeof(block)) < 0)
            break;
    if (zeros)
        fclose(zeros);
}

static void wait_for_pipe(double end)
{
    char byte;

    (void)end;
    if (read(quiet_pipe[0], &byte, 1) < 0)
        perror("states: read");
}

static void wait_for_poll(double end)
{
    struct pollfd wanted = {quiet_pipe[0], POLLIN, 0};

    (void)end;
    poll(&wanted, 1, -1);
}

static void wait_for_lock(double end)
{
    (void)end;
    pthread_mutex_lock(&held);
    pthread_mutex_unlock(&held);
}

static void sleep_long(double end)
{
    pause_for(end - now());
}

static struct role roles[] = {
    {.name = "burns", .act = burn},           {.name = "half", .act = half},
    {.name = "kernel", .act = run_in_kernel}, {.name = "pipe", .act = wait_for_pipe},
    {.name = "poll", .act = wait_for_poll},   {.name = "lock", .act = wait_for_lock},
    {.name = "sleeps", .act = sleep_long},
};
#define ROLES (sizeof(roles) / sizeof(roles[0]))

static double of_timeval(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static double ready_time(void)
{
    unsigned long long running = 0, ready = 0;
    FILE *file = fopen("/proc/thread-self/schedstat", "r");

    if (!file || fscanf(file, "%llu %llu", &running, &ready) != 2)
        ready = 0;
    if (file)
        fclose(file);
    return (double)ready / 1e9;
}

static void *act(void *argument)
{
    struct role *role = argument;
    struct rusage usage;
    double since;

    role->tid = syscall(SYS_gettid);
    pthread_setname_np(pthread_self(), role->name);
    pthread_barrier_wait(&start);
    since = now();
    role->act(since + seconds);
    role->wall = now() - since;
    getrusage(RUSAGE_THREAD, &usage);
    role->user = of_timeval(usage.ru_utime);
    role->system = of_timeval(usage.ru_stime);
    role->ready = ready_time();
    return NULL;
}

static void state(const struct role *role)
{
    printf("%s{\"name\": \"%s\", \"tid\": %ld, \"wall\": %f, \"user\": %f, \"system\": %f, "
           "\"ready\": %f}",
           role == roles ? "" : ", ", role->name, role->tid, role->wall, role->user, role->system,
           role->ready);
}

int main(int argc, char **argv)
{
    static const struct option_row rows[] = {{"--seconds", &seconds, NULL}};
    bool failed = false;

    options_parse(argc, argv, rows, sizeof(rows) / sizeof(rows[0]));
    failed |= pipe(quiet_pipe) != 0 || pthread_barrier_init(&start, NULL, ROLES + 1) != 0;
    pthread_mutex_lock(&held);
    for (size_t i = 0; i < ROLES; i++)
        failed |= pthread_create(&roles[i].thread, NULL, act, &roles[i]) != 0;
    if (failed) {
        perror("states");
        return 1;
    }
    pthread_barrier_wait(&start);
    pause_for(seconds);
    pthread_mutex_unlock(&held);
    if (write(quiet_pipe[1], "xx", 2) != 2)
        perror("states: write");
    for (size_t i = 0; i < ROLES; i++)
        pthread_join(roles[i].thread, NULL);
    printf("{\"pid\": %d, \"threads\": [", (int)getpid());
    for (size_t i = 0; i < ROLES; i++)
        state(&roles[i]);
    printf("]}\n");
    return 0;
}
