/* SPDX-License-Identifier: MIT */
/*
 * Shows whether a profiler disturbs: blocks in calls that a stop may end early with EINTR
 * (epoll_wait, recv with SO_RCVTIMEO, semtimedop and sigtimedwait are never restarted by the
 * kernel; ppoll and nanosleep are, when all goes well) and counts what they return. An EINTR
 * without a signal handler having run is "unexplained": somebody else's doing.
 *
 * Between the calls it works for 0.1 to 2.1 ms; with --alternate for 20 to 300 us, and the waits
 * are as short as the calls allow: so it is met entering them all the time.
 *
 * --timer adds a 1 ms setitimer(ITIMER_REAL) and counts its signals. The kernel starts the timer
 * anew only when a signal is taken, so a few of the expected ones are always missing on a busy
 * machine; compare with an undisturbed run.
 */
#include "position.h"

#include <errno.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "options.h"

#define TIMER_US 1000

struct waiter {
    int epoll;
    int semaphores; /* a set with one semaphore that nobody raises */
    int socket;     /* that nobody sends to */
};

struct counts {
    unsigned long calls, eintr, unexplained, errors, early;
};

struct call {
    const char *name;
    double slack;                                       /* seconds that it may end early */
    int (*block)(const struct waiter *waiter, long ns); /* 0: the time is over; else the errno */
    struct counts counts;
};

static volatile sig_atomic_t signals_seen, timer_signals;

static void note_signal(int signum)
{
    signals_seen++;
    if (signum == SIGALRM)
        timer_signals++;
    else
        position_over = 1;
}

static struct timespec timespec_of(long ns)
{
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

static int block_epoll_wait(const struct waiter *waiter, long ns)
{
    struct epoll_event event;

    return epoll_wait(waiter->epoll, &event, 1, (int)(ns / 1000000)) < 0 ? errno : 0;
}

static int block_ppoll(const struct waiter *waiter, long ns)
{
    struct timespec timeout = timespec_of(ns);

    (void)waiter;
    return ppoll(NULL, 0, &timeout, NULL) < 0 ? errno : 0;
}

static int block_semtimedop(const struct waiter *waiter, long ns)
{
    struct timespec timeout = timespec_of(ns);
    struct sembuf lower = {.sem_op = -1};

    return semtimedop(waiter->semaphores, &lower, 1, &timeout) == 0 || errno == EAGAIN ? 0 : errno;
}

/* The kernel counts this timeout in ticks of up to 10 ms, as much as that it may be early. */
static int block_recv(const struct waiter *waiter, long ns)
{
    struct timeval timeout = {.tv_usec = ns / 1000 % 1000000, .tv_sec = ns / 1000000000};
    char byte;

    setsockopt(waiter->socket, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    return recv(waiter->socket, &byte, 1, 0) >= 0 || errno == EAGAIN ? 0 : errno;
}

static int block_sigtimedwait(const struct waiter *waiter, long ns)
{
    struct timespec timeout = timespec_of(ns);
    sigset_t set;

    (void)waiter;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2); /* that nobody sends */
    return sigtimedwait(&set, NULL, &timeout) >= 0 || errno == EAGAIN ? 0 : errno;
}

static int block_nanosleep(const struct waiter *waiter, long ns)
{
    struct timespec timeout = timespec_of(ns);

    (void)waiter;
    return nanosleep(&timeout, NULL) < 0 ? errno : 0;
}

static struct call calls[] = {
    {.name = "epoll_wait", .block = block_epoll_wait, .slack = 0.001},
    {.name = "ppoll", .block = block_ppoll, .slack = 0.001},
    {.name = "semtimedop", .block = block_semtimedop, .slack = 0.001},
    {.name = "recv", .block = block_recv, .slack = 0.011},
    {.name = "sigtimedwait", .block = block_sigtimedwait, .slack = 0.001},
    {.name = "nanosleep", .block = block_nanosleep, .slack = 0.001},
};
#define CALLS (sizeof(calls) / sizeof(calls[0]))

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void make_call(struct call *call, const struct waiter *waiter, long ns)
{
    struct counts *counts = &call->counts;
    sig_atomic_t signals_before = signals_seen;
    double start = now();
    int answer = call->block(waiter, ns);

    counts->calls++;
    if (answer == EINTR) {
        counts->eintr++;
        counts->unexplained += signals_before == signals_seen;
    } else if (answer) {
        counts->errors++;
    } else {
        counts->early += now() - start < (double)ns / 1e9 - call->slack;
    }
}

static void counts_add(struct counts *sum, const struct counts *counts)
{
    sum->calls += counts->calls;
    sum->eintr += counts->eintr;
    sum->unexplained += counts->unexplained;
    sum->errors += counts->errors;
    sum->early += counts->early;
}

static void burn(double seconds)
{
    for (double end = now() + seconds; now() < end && !position_over;)
        ;
}

/* xorshift; in [0, 1) */
static double random_unit(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (double)(*state >> 11) / 9007199254740992.0;
}

static void run(const struct waiter *waiter, double end, double block_ms, int alternate)
{
    uint64_t seed = (uint64_t)(end * 1e9) | 1;

    for (size_t i = 0; now() < end && !position_over; i = (i + 1) % CALLS) {
        /* Whole milliseconds: epoll_wait has nothing finer. */
        long ms = alternate ? 1 : 1 + (long)(random_unit(&seed) * (2 * block_ms - 1));

        make_call(&calls[i], waiter, ms * 1000000);
        burn(alternate ? 0.00002 + random_unit(&seed) * 0.00028
                       : 0.0001 + random_unit(&seed) * 0.002);
    }
}

static void print_counts(const struct counts *counts)
{
    printf("\"calls\": %lu, \"eintr\": %lu, \"unexplained\": %lu, \"errors\": %lu, \"early\": %lu",
           counts->calls, counts->eintr, counts->unexplained, counts->errors, counts->early);
}

static void print_statement(double elapsed, int timer)
{
    struct counts total = {0};

    printf("{\"target\": \"eintr_counter\", \"pid\": %d, \"seconds\": %.3f, \"by_call\": {",
           (int)getpid(), elapsed);
    for (size_t i = 0; i < CALLS; i++) {
        printf("%s\"%s\": {", i ? ", " : "", calls[i].name);
        print_counts(&calls[i].counts);
        printf("}");
        counts_add(&total, &calls[i].counts);
    }
    printf("}, ");
    print_counts(&total);
    if (timer)
        printf(", \"timer\": {\"interval_us\": %d, \"expected\": %lu, \"delivered\": %d}", TIMER_US,
               (unsigned long)(elapsed * 1e6 / TIMER_US), (int)timer_signals);
    printf("}\n");
}

static void handle_signals(void)
{
    const int signums[] = {SIGALRM, SIGTERM, SIGIO};
    struct sigaction action = {.sa_handler = note_signal};

    for (size_t i = 0; i < sizeof(signums) / sizeof(signums[0]); i++)
        sigaction(signums[i], &action, NULL);
    position_watch_stdin();
}

static void set_timer(long us)
{
    struct itimerval timer = {.it_interval.tv_usec = us, .it_value.tv_usec = us};

    setitimer(ITIMER_REAL, &timer, NULL);
}

int main(int argc, char **argv)
{
    double seconds = 10, block_ms = 5, start;
    int timer = 0, alternate = 0, pair[2];
    const struct option_row rows[] = {
        {"--seconds", &seconds, NULL},
        {"--block-ms", &block_ms, NULL},
        {"--timer", NULL, &timer},
        {"--alternate", NULL, &alternate},
    };
    struct waiter waiter;

    OPTIONS_PARSE(argc, argv, rows);
    waiter.epoll = epoll_create1(EPOLL_CLOEXEC);
    waiter.semaphores = semget(IPC_PRIVATE, 1, 0600);
    if (waiter.epoll < 0 || waiter.semaphores < 0 ||
        socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair)) {
        perror("eintr_counter");
        return 1;
    }
    waiter.socket = pair[0];
    handle_signals();
    start = now();
    if (timer)
        set_timer(TIMER_US);
    run(&waiter, start + seconds, block_ms, alternate);
    set_timer(0);
    print_statement(now() - start, timer);
    semctl(waiter.semaphores, 0, IPC_RMID);
    return 0;
}
