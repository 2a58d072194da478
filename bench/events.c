/* SPDX-License-Identifier: MIT */
/*
 * What a process and a thread cost that end at once, one after the other: from fork to the return
 * of waitpid, from pthread_create to that of pthread_join; and of this what comes behind the last
 * thing that the child does. A program, and a library for a Python to load, which py-spy wants.
 *
 *     events processes|threads COUNT
 *
 * prints {"mean_us": 301.5, "median_us": 288.1, "wait_us": 40.2, "wait_p99_us": 61.0}
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LIMIT 100000

void measure(int of_threads, long count);

static volatile double *ended; /* shared with the children */
static double whole[LIMIT], waited[LIMIT];

static double now_us(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static void *end_thread(void *nothing)
{
    *ended = now_us();
    return nothing;
}

static void one_thread(void)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, end_thread, NULL))
        abort();
    pthread_join(thread, NULL);
}

static void one_process(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        *ended = now_us();
        _exit(0);
    }
    if (pid < 0 || waitpid(pid, NULL, 0) != pid)
        abort();
}

static int compare(const void *a, const void *b)
{
    double first = *(const double *)a, second = *(const double *)b;

    return (first > second) - (first < second);
}

void measure(int of_threads, long count)
{
    struct timespec moment = {0, 500000000};
    double sum = 0;
    void *place;

    if (count < 1 || count > LIMIT)
        return;
    place = mmap(NULL, sizeof(*ended), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (place == MAP_FAILED)
        return;
    ended = place;
    nanosleep(&moment, NULL); /* a profiler has begun by then */
    for (long i = 0; i < count; i++) {
        double begin = now_us(), end;

        if (of_threads)
            one_thread();
        else
            one_process();
        end = now_us();
        whole[i] = end - begin;
        waited[i] = end - *ended;
        sum += whole[i];
    }
    qsort(whole, (size_t)count, sizeof(whole[0]), compare);
    qsort(waited, (size_t)count, sizeof(waited[0]), compare);
    printf("{\"mean_us\": %.1f, \"median_us\": %.1f, \"wait_us\": %.1f, \"wait_p99_us\": %.1f}\n",
           sum / (double)count, whole[count / 2], waited[count / 2], waited[count * 99 / 100]);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    measure(strcmp(argv[1], "threads") == 0, strtol(argv[2], NULL, 10));
    return 0;
}
