# SPDX-License-Identifier: MIT
"""Thousands of threads: those that come and go, those that wait, and one of them that runs now and then."""
import collections
import os
import re
import resource
import subprocess

import pytest
from measure import launch

pytestmark = pytest.mark.statistical

COMING = r"""
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
static double cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
__attribute__((noinline)) static void *coming(void *seconds)
{
    while (cpu() < *(double *)seconds)
        continue;
    return NULL;
}
int main(int argc, char **argv)
{
    long rounds = strtol(argv[1], NULL, 10);
    double brief = 1e-5, longer = 0.05;
    pthread_t threads[100];
    pthread_attr_t attributes;

    (void)argc;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 10);
    for (long round = 0; round < rounds; round++) {
        for (int i = 0; i < 100; i++)
            if (pthread_create(&threads[i], &attributes, coming, i ? &brief : &longer))
                return 1;
        for (int i = 0; i < 100; i++)
            pthread_join(threads[i], NULL);
    }
    return 0;
}
"""

# Turns of 2 ms of CPU time: one by a thread that has every second turn, one by one of many that have one ever.
TURNS = r"""
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <time.h>
#define THREADS 300
static sem_t turns[THREADS], done;
static double cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
__attribute__((noinline)) static void turn(void)
{
    double end = cpu() + 0.002;
    while (cpu() < end)
        continue;
}
static void *take_turns(void *number)
{
    for (;;) {
        while (sem_wait(&turns[(intptr_t)number]))
            continue;
        turn();
        sem_post(&done);
    }
    return NULL;
}
__attribute__((noinline)) static void *often(void *number)
{
    take_turns(number);
    return NULL;
}
__attribute__((noinline)) static void *seldom(void *number)
{
    take_turns(number);
    return NULL;
}
static void give_turn(int number)
{
    struct timespec pause = {0, 3000000};

    nanosleep(&pause, NULL);
    sem_post(&turns[number]);
    while (sem_wait(&done))
        continue;
}
int main(void)
{
    pthread_attr_t attributes;
    pthread_t thread;

    sem_init(&done, 0, 0);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 10);
    for (intptr_t i = 0; i < THREADS; i++) {
        sem_init(&turns[i], 0, 0);
        if (pthread_create(&thread, &attributes, i ? seldom : often, (void *)i))
            return 1;
    }
    for (int i = 1; i < THREADS; i++) {
        give_turn(0);
        give_turn(i);
    }
    return 0;
}
"""

# Three busy threads, more that wait than pspy may have files for.
CROWD = r"""
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
__attribute__((noinline)) static void *busy(void *nothing)
{
    for (volatile unsigned long turns = 0;; turns++)
        continue;
    return nothing;
}
static void *idle(void *nothing)
{
    for (;;)
        pause();
    return nothing;
}
int main(void)
{
    pthread_t thread;

    for (int i = 0; i < 400; i++)
        if (pthread_create(&thread, NULL, i < 397 ? idle : busy, NULL))
            return 1;
    printf("{\"pid\": %d}\n", (int)getpid());
    fflush(stdout);
    pause();
    return 0;
}
"""


@pytest.fixture(scope="module")
def build_c(tmp_path_factory):
    def build(name, text):
        folder = tmp_path_factory.mktemp(name)
        (folder / f"{name}.c").write_text(text)
        subprocess.run([os.environ.get("CC", "gcc"), "-O1", "-g", "-pthread", "-o", folder / name,
                        folder / f"{name}.c"], check=True)
        return folder / name

    return build


def threads_in(outcome, name):
    """The ids of the threads that were met in the function."""
    return set(re.findall(rf"^(?:process [^;]*;)?thread \((\d+)\)[^\n]*;{name} \(", outcome.stdout, re.M))


@pytest.mark.parametrize("options", [[], ["-s"], ["-i"]], ids=["running", "tree", "idle"])
def test_thousands_come_and_go(run_pspy, build_c, options):
    """Of each hundred one runs for five ticks; all are native."""
    rounds = 30
    done = run_pspy(["record", "-f", "raw", "-o", "-", "-t", *options, "--", build_c("coming", COMING), rounds], check=0)
    lost = sum(map(int, re.findall(r"(\d+) (?:too late|by thread end)", done.stderr)))
    assert len(threads_in(done, "coming")) >= rounds - lost, done.stderr


def test_turns_of_threads_that_wait(run_pspy, build_c):
    """Threads that have waited for long have no fewer samples when they run than one that runs all the time."""
    recording = launch(run_pspy, [build_c("turns", TURNS)], "-r", "1000")
    found = collections.Counter()
    for frames, count in recording.stacks.items():
        names = {frame.name for frame in frames}
        found.update({kind: count for kind in ("often", "seldom") if {kind, "turn"} <= names})
    assert found["often"] > 100, recording.stderr
    # They may have more: a thread that comes anew waits longer where other programs want the processors.
    assert found["seldom"] > found["often"] - 5 * sum(found.values()) ** 0.5, (found, recording.stderr)


def few_files():
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300))


def test_more_threads_than_files(start_target, run_pspy, build_c):
    target = start_target([build_c("crowd", CROWD)])
    for duration in 0.3, 1, 5:  # until a busy machine has run each of them
        done = run_pspy(["record", "-p", target.pid, "-d", duration, "-f", "raw", "-o", "-", "-t"], check=0,
                        preexec_fn=few_files)
        if len(threads_in(done, "busy")) == 3:
            break
    assert len(threads_in(done, "busy")) == 3, done.stderr
