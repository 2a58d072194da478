/* SPDX-License-Identifier: MIT */
/*
 * States the native stacks of N threads, each in functions of its own, then stays there: the
 * threads burn CPU or, with --idle, sleep; main blocks in pthread_join. Prints one line, when all
 * of them are in position.
 */
#include "position.h"

#include <pthread.h>
#include <semaphore.h>
#include <time.h>

#include "options.h"

#define WORKERS(X)                                                                                 \
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define MOST_WORKERS 16

struct worker {
    pthread_t thread;
    struct position position;
    pid_t tid;
    char name[16]; /* what the kernel's comm can hold */
};

static struct worker workers[MOST_WORKERS];
static sem_t arrived;
static int idle;

/* Called by the innermost function, whose frame it then leaves alone. */
static void arrive(int number)
{
    workers[number].position = position_mine;
    workers[number].tid = position_tid();
    sem_post(&arrived);
}

static void rest(void)
{
    struct timespec pause = {.tv_sec = 1};

    while (!position_over)
        nanosleep(&pause, NULL);
}

/* worker_7 -> work_7 -> leaf_7: no two threads share a function. */
#define DEFINE_WORKER(n)                                                                           \
    STATED void leaf_##n(void);                                                                    \
    STATED void work_##n(void);                                                                    \
    STATED void *worker_##n(void *unused);                                                         \
    void leaf_##n(void)                                                                            \
    {                                                                                              \
        POSITION_ENTER();                                                                          \
        arrive(n);                                                                                 \
        if (idle)                                                                                  \
            rest();                                                                                \
        for (volatile unsigned long turns = 0; !position_over;)                                    \
            turns = turns + 1;                                                                     \
        POSITION_LEAVE();                                                                          \
    }                                                                                              \
    void work_##n(void)                                                                            \
    {                                                                                              \
        POSITION_ENTER();                                                                          \
        leaf_##n();                                                                                \
        POSITION_LEAVE();                                                                          \
    }                                                                                              \
    void *worker_##n(void *unused)                                                                 \
    {                                                                                              \
        POSITION_ENTER();                                                                          \
        work_##n();                                                                                \
        POSITION_LEAVE();                                                                          \
        return unused;                                                                             \
    }
WORKERS(DEFINE_WORKER)

#define WORKER_ROW(n) worker_##n,
static void *(*const worker_functions[MOST_WORKERS])(void *) = {WORKERS(WORKER_ROW)};

static void start_workers(int count)
{
    for (int i = 0; i < count; i++) {
        int failed = pthread_create(&workers[i].thread, NULL, worker_functions[i], NULL);

        if (failed) {
            fprintf(stderr, "stack_threads: pthread_create: %s\n", strerror(failed));
            exit(1);
        }
        snprintf(workers[i].name, sizeof(workers[i].name), "worker-%d", i);
        pthread_setname_np(workers[i].thread, workers[i].name);
    }
    for (int i = 0; i < count; i++) {
        while (sem_wait(&arrived))
            ;
    }
}

static void announce(int count)
{
    printf("{\"target\": \"stack_threads\", \"pid\": %d, \"threads\": [", (int)getpid());
    position_print_thread(&position_mine, position_tid(), "stack_threads", "idle");
    for (int i = 0; i < count; i++) {
        printf(", ");
        position_print_thread(&workers[i].position, workers[i].tid, workers[i].name,
                              idle ? "idle" : "busy");
    }
    printf("]}\n");
    fflush(stdout);
}

STATED void wait_for_workers(int count);
void wait_for_workers(int count)
{
    POSITION_ENTER();
    announce(count);
    for (int i = 0; i < count; i++)
        pthread_join(workers[i].thread, NULL);
    POSITION_LEAVE();
}

int main(int argc, char **argv)
{
    double seconds = 60, threads = 4;
    const struct option_row rows[] = {
        {"--seconds", &seconds, NULL},
        {"--threads", &threads, NULL},
        {"--idle", NULL, &idle},
    };
    int count;

    OPTIONS_PARSE(argc, argv, rows);
    count = threads < 1 ? 1 : threads > MOST_WORKERS ? MOST_WORKERS : (int)threads;
    sem_init(&arrived, 0, 0);
    position_arm(seconds);
    POSITION_ENTER();
    start_workers(count);
    wait_for_workers(count);
    POSITION_LEAVE();
    return 0;
}
