/* SPDX-License-Identifier: MIT */
/*
 * A program to be single-stepped by tests/unit/print_aarch64.c. It does again and again, in few
 * instructions, what makes stacks hard to unwind; it never ends by itself.
 */
#define _GNU_SOURCE
#include <alloca.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <ucontext.h>

#ifndef WITHOUT_TIMER
#define WITHOUT_TIMER 0
#endif
#define apart __attribute__((noinline))

/* What src/cfi/cfi_arch.c says of the kernel's signal frame. */
_Static_assert(sizeof(siginfo_t) + offsetof(ucontext_t, uc_mcontext) + offsetof(mcontext_t, regs) ==
                   312,
               "x0");
_Static_assert(offsetof(mcontext_t, sp) - offsetof(mcontext_t, regs) == 31 * 8, "sp");
_Static_assert(offsetof(mcontext_t, pc) - offsetof(mcontext_t, regs) == 32 * 8, "pc");

static volatile int sink;

/* Without unwind tables. */
int bare(int number);
__asm__(".text\n"
        ".global bare\n"
        ".type bare, %function\n"
        "bare: mov w1, #5\n"
        "1: add w0, w0, w1\n"
        "subs w1, w1, #1\n"
        "b.ne 1b\n"
        "ret\n"
        ".size bare, .-bare\n");

static int ascending(const void *left, const void *right)
{
    return *(const int *)left - *(const int *)right;
}

apart static void sort_some(void)
{
    int numbers[] = {3, 1, 2};

    qsort(numbers, 3, sizeof(numbers[0]), ascending);
    sink += numbers[1];
}

apart static int leaf(int n)
{
    return n * sink + 3;
}

apart static int fibonacci(int n)
{
    return n < 2 ? leaf(n) : fibonacci(n - 1) + fibonacci(n - 2);
}

apart static int deep(int n)
{
    volatile char room[9000];

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

/* Where gdb is asked, at the end of some calls. */
apart void rest(void)
{
    __asm__ volatile("");
}

static void on_signal(int number)
{
    sink += fibonacci(1) + number;
    rest();
}

static int (*volatile indirect)(int) = tail;

int main(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct itimerval often = {{0, 70000}, {0, 70000}};

    sigfillset(&action.sa_mask);
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    if (!WITHOUT_TIMER)
        setitimer(ITIMER_REAL, &often, NULL);
    for (;;) {
        sort_some();
        sink += indirect(3) + deep(1) + bare(2);
        use_alloca(40 + (size_t)(sink & 7));
        use_aligned();
        raise(SIGUSR1);
    }
}
