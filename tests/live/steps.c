/* SPDX-License-Identifier: MIT */
/*
 * A program to be single-stepped by tests/unit/print_steps.c: from the breakpoint on it does, again
 * and again, what makes stacks hard to unwind. It never ends by itself. Arguments are ignored.
 */
#define _GNU_SOURCE
#include <alloca.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#define apart __attribute__((noinline))

static volatile int sink;
static jmp_buf back;

static int ascending(const void *left, const void *right)
{
    return *(const int *)left - *(const int *)right;
}

apart static void sort_some(void)
{
    int numbers[] = {5, 3, 9, 1, 7, 2, 8};

    qsort(numbers, 7, sizeof(numbers[0]), ascending);
    sink += numbers[3];
}

apart static int fibonacci(int n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

apart static int deep(int n)
{
    volatile char room[200];

    room[n] = (char)n;
    return n ? deep(n - 1) + room[n] : sink;
}

apart static int tail(int n)
{
    return fibonacci(n);
}

apart static void fill(char *room, size_t size)
{
    memset(room, 'x', size);
    room[size - 1] = '\0';
    sink += (int)strlen(room);
}

apart static void use_alloca(size_t size)
{
    fill(alloca(size), size);
}

apart static void use_aligned(void)
{
    char room[256] __attribute__((aligned(64)));

    fill(room, sizeof(room));
}

/* Its last instruction is a call: the return address is another function's, or nobody's. */
apart static void leap(void)
{
    longjmp(back, 1);
}

apart static void jump(int depth)
{
    if (depth == 0)
        leap();
    jump(depth - 1);
    sink++;
}

/* No signal within longjmp: there two stacks are mixed. */
apart static void jump_back(void)
{
    sigset_t alarm;

    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    sigprocmask(SIG_BLOCK, &alarm, NULL);
    if (setjmp(back) == 0)
        jump(3);
    sigprocmask(SIG_UNBLOCK, &alarm, NULL);
}

static void on_signal(int number)
{
    sink += fibonacci(2) + number;
}

apart static int sum(int count, ...)
{
    va_list args;
    int total = 0;

    va_start(args, count);
    while (count--)
        total += va_arg(args, int);
    va_end(args);
    return total;
}

apart static void call_library(void)
{
    static char from[3000], to[3000];
    struct timespec now;
    char text[100];
    void *memory = malloc(100);

    memcpy(to, from, sizeof(to));
    memmove(to + 1, to, sizeof(to) - 1);
    free(memory);
    snprintf(text, sizeof(text), "%s %d %.3f", "text", sink, sin(sink));
    sink += (int)strtol("123", NULL, 10);
    sink += (int)strtod("12.5", NULL);
    clock_gettime(CLOCK_MONOTONIC, &now);
    sink += (int)time(NULL);
}

int main(void)
{
    struct itimerval often = {{0, 30000}, {0, 30000}};

    signal(SIGUSR1, on_signal);
    signal(SIGALRM, on_signal);
    __asm__ volatile("int3");
    setitimer(ITIMER_REAL, &often, NULL);
    for (;;) {
        sort_some();
        sink += fibonacci(4) + deep(12) + tail(3);
        use_alloca(100 + (size_t)sink % 7);
        use_aligned();
        jump_back();
        raise(SIGUSR1);
        sink += sum(3, 1, 2, 3);
        call_library();
    }
}
