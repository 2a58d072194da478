/* SPDX-License-Identifier: MIT */
#include "pspy/cli/signals.h"

#include <errno.h>
#include <unistd.h>

#include "pspy/base/clock.h"

#define REPEAT_PAUSE NS_PER_SECOND

volatile int signals_stop;
volatile int signals_snapshot;

static const struct waiter *volatile forward_to; /* the program that pspy started */
static volatile int forward_later;               /* a signal that came before the program ran */
static bool interrupt_is_ignored;

/* timeout(1) sends a signal to its child and to its group as well: that is one request. */
static bool is_repeated(int number)
{
    static uint64_t last[NSIG];
    uint64_t before = last[number];

    last[number] = clock_now();
    return before && last[number] - before < REPEAT_PAUSE;
}

static void forward(int number)
{
    const struct waiter *waiter = forward_to;

    if (is_repeated(number))
        return;
    if (!waiter)
        forward_later = number;
    else if (!waiter->has_ended)
        kill(waiter->child, number);
}

/* The terminal sends its signals to the program as well, except a hang-up, which the session's
 * leader alone gets. SIGINT says "enough" to pspy alone. */
static bool is_for_program(int number, bool is_from_terminal)
{
    return number != SIGINT && (!is_from_terminal || (number == SIGHUP && getsid(0) == getpid()));
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    int kept = errno;
    bool is_from_terminal = info->si_code == SI_KERNEL;

    (void)context;
    if (number == SIGINT && interrupt_is_ignored && is_from_terminal)
        return;
    if (is_for_program(number, is_from_terminal))
        forward(number);
    signals_stop = 1;
    errno = kept;
}

static void on_snapshot_signal(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info, (void)context;
    signals_snapshot = 1;
}

static const struct {
    int number;
    void (*handle)(int, siginfo_t *, void *);
} handled[] = {
    {SIGINT, on_signal},
    {SIGTERM, on_signal},
    {SIGHUP, on_signal},
    {SIGUSR1, on_snapshot_signal},
};

static bool is_ignored(int number)
{
    struct sigaction action;

    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

/*
 * nohup: a signal that is ignored stays so. But a shell script ignores SIGINT for what it starts
 * with &, and a SIGINT that is sent on purpose (kill -INT) must still end the recording. With
 * SIGCHLD ignored no exit status could be had.
 */
void signals_handle(struct signal_state *ret)
{
    sigset_t child;

    sigemptyset(&ret->ignored);
    for (size_t i = 0; i < sizeof(handled) / sizeof(handled[0]); i++) {
        struct sigaction action = {.sa_sigaction = handled[i].handle, .sa_flags = SA_SIGINFO};
        int number = handled[i].number;

        if (is_ignored(number))
            sigaddset(&ret->ignored, number);
        if (!is_ignored(number) || number == SIGINT)
            sigaction(number, &action, NULL);
    }
    interrupt_is_ignored = sigismember(&ret->ignored, SIGINT);
    if (is_ignored(SIGCHLD))
        sigaddset(&ret->ignored, SIGCHLD);
    signal(SIGCHLD, SIG_DFL);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD); /* waited for, never handled */
    sigprocmask(SIG_BLOCK, &child, &ret->old_mask);
}

void signals_forward_to(const struct waiter *waiter)
{
    forward_to = waiter;
    if (forward_later)
        kill(waiter->child, forward_later);
}
