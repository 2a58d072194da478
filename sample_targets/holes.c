/* SPDX-License-Identifier: MIT */
/*
 * How long others keep a thread from running, seen by itself: it reads the cycle counter without
 * end and notes each hole between two readings. For each the kernel is asked whether the thread
 * gave its CPU away, which a loop without system calls does only where a tracer stops it, or lost
 * it.
 *
 * A program, and as libholes.so the innermost function of holes.py.
 */
#include "position.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <x86intrin.h>

#include "options.h"

#define OVER_US 3.0 /* shorter than any stop, longer than reading the counter */
#define MOST    200000

struct holes {
    double us[MOST];
    size_t count;
};

static struct holes stops;       /* and nothing else */
static double lost_us, other_us; /* in holes in which it lost the CPU as well; in all others */
static unsigned long lost_count, other_count, stop_count;

static double seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double cycles_per_us(void)
{
    double start = seconds_now(), end;
    uint64_t first = __rdtsc();

    while ((end = seconds_now()) < start + 0.05)
        ;
    return (double)(__rdtsc() - first) / (end - start) / 1e6;
}

/* A stop is one voluntary switch; a hole in which the CPU was lost as well is longer by chance. */
static void note_hole(double us, const struct rusage *before, const struct rusage *after)
{
    long given = after->ru_nvcsw - before->ru_nvcsw, lost = after->ru_nivcsw - before->ru_nivcsw;

    stop_count += (unsigned long)given;
    if (given == 1 && lost == 0 && stops.count < MOST) {
        stops.us[stops.count++] = us;
    } else if (given || lost) {
        lost_us += us;
        lost_count++;
    } else {
        other_us += us;
        other_count++;
    }
}

static int compare(const void *a, const void *b)
{
    double first = *(const double *)a, second = *(const double *)b;

    return (first > second) - (first < second);
}

static double part(double share)
{
    return stops.count ? stops.us[(size_t)(share * (double)(stops.count - 1))] : 0;
}

static void print_statement(double seconds)
{
    double sum = 0;

    for (size_t i = 0; i < stops.count; i++)
        sum += stops.us[i];
    qsort(stops.us, stops.count, sizeof(stops.us[0]), compare);
    printf("{\"target\": \"holes\", \"seconds\": %.3f, \"stops\": %lu, \"clean_stops\": %zu, "
           "\"p10_us\": %.2f, \"median_us\": %.2f, \"p90_us\": %.2f, \"mean_us\": %.2f, "
           "\"lost\": %lu, \"lost_us\": %.0f, \"other\": %lu, \"other_us\": %.0f}\n",
           seconds, stop_count, stops.count, part(0.1), part(0.5), part(0.9),
           stops.count ? sum / (double)stops.count : 0, lost_count, lost_us, other_count, other_us);
    fflush(stdout);
}

/* Says that it is in position, watches until it is asked to leave, states what it saw. */
STATED void holes_watch(void);
STATED void holes_watch(void)
{
    double rate = cycles_per_us(), start;
    struct rusage before, after;
    uint64_t last, now, over = (uint64_t)(OVER_US * rate);

    position_arm(0);
    printf("{\"target\": \"holes\", \"pid\": %d}\n", (int)getpid());
    fflush(stdout);
    start = seconds_now();
    getrusage(RUSAGE_THREAD, &before);
    last = __rdtsc();
    while (!position_over) {
        now = __rdtsc();
        if (now - last > over) {
            getrusage(RUSAGE_THREAD, &after);
            note_hole((double)(now - last) / rate, &before, &after);
            before = after;
            now = __rdtsc(); /* the asking is no hole */
        }
        last = now;
    }
    print_statement(seconds_now() - start);
}

#ifndef HOLES_LIBRARY
STATED void descend(int levels);
STATED void descend(int levels)
{
    if (levels > 0)
        descend(levels - 1);
    else
        holes_watch();
    __asm__ volatile("" ::: "memory");
}

static void *wait_for_ever(void *unused)
{
    for (;;)
        pause();
    return unused;
}

static void start_idle(int count)
{
    pthread_attr_t small;
    pthread_t thread;

    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    while (count-- > 0)
        if (pthread_create(&thread, &small, wait_for_ever, NULL))
            abort();
}

static void *work(void *turns)
{
    while (!position_over) {
        for (unsigned i = 0; i < 10000; i++)
            __asm__ volatile("" : "+r"(i));
        ++*(volatile unsigned long *)turns;
    }
    return NULL;
}

/* Threads that work as long as the program may stay, instead: how much they get done. */
static void work_busily(int count)
{
    unsigned long *turns = calloc((size_t)count, sizeof(*turns)), sum = 0;
    pthread_t *threads = calloc((size_t)count, sizeof(*threads));
    double start = seconds_now();

    position_arm(0);
    for (int i = 0; i < count; i++)
        if (!turns || !threads || pthread_create(&threads[i], NULL, work, &turns[i]))
            abort();
    printf("{\"target\": \"holes\", \"pid\": %d}\n", (int)getpid());
    fflush(stdout);
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        sum += turns[i];
    }
    printf("{\"target\": \"holes\", \"turns_per_second\": %.0f}\n",
           (double)sum / (seconds_now() - start));
    free(turns);
    free(threads);
}

int main(int argc, char **argv)
{
    double levels = 25, idle = 0, busy = 0;
    const struct option_row rows[] = {
        {"--levels", &levels, NULL}, {"--idle", &idle, NULL}, {"--busy", &busy, NULL}};

    OPTIONS_PARSE(argc, argv, rows);
    if (busy > 0) {
        work_busily((int)busy);
        return 0;
    }
    start_idle((int)idle);
    descend((int)levels);
    return 0;
}
#endif
