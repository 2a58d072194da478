# SPDX-License-Identifier: MIT
"""What a stop is: few system calls, no signal changed, each thread on a CPU, however many there are."""
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from measure import record, show

CALLS = 4  # that pspy may make while a thread stands still
LEARNING = 6  # stops until it knows where a thread's frames lie, and which code objects stay

# Expirations of a timer of 1 ms: each is told by a signal or, while one of it is pending, counted with that. How many are
# missing by the clock, when it was looked at soonest after a signal, of the last hundreds.
TIMER = r"""
#include <signal.h>
#include <stdio.h>
#include <time.h>
enum { WANTED = 1500, INTERVAL = 1000000 };
static volatile int told, strange;
static volatile long long start, missing = 1000000;
static long long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000ll + time.tv_nsec;
}
static void note(int number, siginfo_t *info, void *context)
{
    long long due = (now() - start) / INTERVAL;
    (void)number, (void)context;
    told += 1 + info->si_overrun;
    strange += info->si_code != SI_TIMER || info->si_value.sival_int != 4711 || told > due + 1;
    if (told > WANTED / 2 && due - told < missing)
        missing = due - told;
}
int main(void)
{
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 4711};
    struct itimerspec each = {{0, INTERVAL}, {0, INTERVAL}}, off = {{0, 0}, {0, 0}};
    timer_t timer;
    sigaction(SIGRTMIN, &action, NULL);
    timer_create(CLOCK_MONOTONIC, &event, &timer);
    start = now();
    timer_settime(timer, 0, &each, NULL);
    while (told < WANTED)
        ;
    timer_settime(timer, 0, &off, NULL);
    printf("{\"told\": %d, \"strange\": %d, \"missing\": %lld}\n", told, strange, missing);
    return 0;
}
"""

# Threads that the interpreter knows nothing of, in a library.
UNKNOWN = r"""
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>
static void *work_in_c(void *tid)
{
    *(volatile int *)tid = (int)syscall(SYS_gettid);
    for (volatile unsigned long i = 0;; i++)
        ;
    return tid;
}
void start(int count, volatile int *tids)
{
    pthread_t thread;
    for (int i = 0; i < count; i++) {
        tids[i] = 0;
        pthread_create(&thread, NULL, work_in_c, (void *)&tids[i]);
        while (!tids[i])
            ;
    }
}
void start_openmp(int count, volatile int *tids)
{
    #pragma omp parallel num_threads(count)
    for (volatile unsigned long i = 0;; i++)
        if (i == 1)
            __atomic_store_n(&tids[__atomic_fetch_add(&tids[count], 1, __ATOMIC_SEQ_CST)], (int)syscall(SYS_gettid),
                             __ATOMIC_SEQ_CST);
}
"""

START_UNKNOWN = """
import ctypes, json, sys, threading, time
import position
position.leave_when_asked(60)
library = ctypes.CDLL(sys.argv[1])
tids = (ctypes.c_int * 5)()
if sys.argv[2] == "start":
    library.start(3, tids)
else:
    threading.Thread(target=library.start_openmp, args=(3, tids), daemon=True).start()
    while not all(tids[:3]):
        time.sleep(0.001)
print(json.dumps({"tids": tids[:3]}), flush=True)
time.sleep(3600)
"""

# argv: how many threads work. Each adds up numbers of which the sum is known; says how it went when stdin ends.
BUSY = r"""
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
static volatile int over;
static volatile long sums;
static void *add(void *wrong)
{
    while (!over) {
        unsigned long sum = 0;
        for (unsigned long i = 1; i <= 20000; i++) {
            sum += i * i;
            __asm__ volatile("" : "+r"(sum));
        }
        *(long *)wrong += sum != 2666866670000ul;
        __atomic_fetch_add(&sums, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}
int main(int argc, char **argv)
{
    enum { MOST = 64 };
    int count = argc > 1 ? atoi(argv[1]) : 1;
    pthread_t threads[MOST];
    long wrong[MOST] = {0}, all = 0;
    struct pollfd in = {.fd = 0, .events = POLLIN};
    for (int i = 0; i < count; i++)
        pthread_create(&threads[i], NULL, add, &wrong[i]);
    printf("{}\n"), fflush(stdout);
    poll(&in, 1, -1);
    over = 1;
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        all += wrong[i];
    }
    printf("%ld wrong, some done: %d\n", all, sums > 0);
    return 0;
}
"""


@pytest.fixture
def built(tmp_path):
    """built(source, *options) -> the path of what the compiler made."""

    def build_one(source, *options):
        path = tmp_path / f"program{len(list(tmp_path.glob('program*.c')))}"
        path.with_suffix(".c").write_text(source)
        subprocess.run([os.environ.get("CC") or "gcc", "-O1", "-g", "-D_GNU_SOURCE", "-pthread", "-o", path,
                        path.with_suffix(".c"), *options], check=True, timeout=60)
        return path

    return build_one


# ---- system calls --------------------------------------------------------------------------------------------------

def stops_in(trace):
    """For each stop what was called until the thread was let go, by strace's output."""
    stops, inside = [], None
    for line in trace.splitlines():
        call = re.match(r"(\w+)\(", line)
        if not call:
            continue
        if inside is not None:
            inside.append(line)
            if "PTRACE_DETACH" in line:
                stops.append(inside)
                inside = None
        elif call[1] == "wait4" and "WIFSTOPPED" in line:
            inside = []
    return stops


# Something stands on the stack that the handler's own stack leads to, of a library that says nothing of how it is unwound.
OUTER = """
int outer(int (*inner)(int)) { return inner(1) + 1; }
"""
ON_ANOTHER_STACK = """
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int outer(int (*inner)(int));
static volatile unsigned long turns;
__attribute__((noipa)) static void handler(int number)
{
    printf("{\\"pid\\": %d}\\n", (int)getpid());
    fflush(stdout);
    alarm(60);
    for (;;) turns++;
}
__attribute__((noipa)) static int inner(int number) { return raise(SIGUSR1) + number; }
int main(void)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    stack_t other = {.ss_sp = malloc(65536), .ss_size = 65536};
    sigaltstack(&other, 0);
    sigaction(SIGUSR1, &action, 0);
    return outer(inner) + 1;
}
"""


def trace(pspy, pid, rate, output):
    """What strace tells of the stops of a recording, without the first ones' learning; and the recording's stacks."""
    done = subprocess.run(["strace", "-o", output / "trace", pspy, "record", "-n", "-r", str(rate), "-d", "0.8", "-p", str(pid),
                           "-o", output / "x.txt"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    stops = stops_in((output / "trace").read_text())
    assert len(stops) > LEARNING + 5, done.stderr
    return stops, (output / "x.txt").read_text()


def check_calls(pspy, pid, rate, output):
    for calls in trace(pspy, pid, rate, output)[0][LEARNING:]:
        assert len(calls) <= CALLS, "\n".join(calls)
        assert all(call.startswith(("ptrace(", "process_vm_readv(")) for call in calls), "\n".join(calls)


@pytest.fixture
def traceable():
    """Where pspy can be looked at by strace."""
    if os.environ.get("SAN"):
        pytest.skip("a sanitizer makes calls of its own, and does not run under strace")
    if not shutil.which("strace"):
        pytest.skip("strace is not here")


@pytest.mark.parametrize("rate", [100, 1000])
def test_few_calls_while_python_is_stopped(traceable, start_target, pspy, repo, build, output, python, rate):
    """Stack, thread state and Python frames come together; names and all else when it runs again."""
    target = start_target([python, repo / "sample_targets" / "holes.py", "--library", build / "sample_targets" / "libholes.so"])
    check_calls(pspy, target.pid, rate, output)


def test_few_calls_while_native_code_is_stopped(traceable, start_target, pspy, build, output):
    check_calls(pspy, start_target([build / "sample_targets" / "holes"]).pid, 1000, output)


# What may be called for a walk that goes from one stack to another: memory of our own comes by brk and without a file.
WALKS = r"ptrace\(|process_vm_readv\(|brk\(|munmap\(|mremap\(|mmap\([^)]*MAP_ANONYMOUS"


@pytest.mark.parametrize("tables", [["-fasynchronous-unwind-tables"], ["-fno-asynchronous-unwind-tables", "-g0", "-Wl,--build-id"]],
                         ids=["tables", "none, a debug file is looked for"])
def test_nothing_is_loaded_while_a_thread_stands_on_another_stack(traceable, start_target, pspy, built, output, tables):
    """Neither for the first walk that leads to the other stack nor later. With what is loaded afterwards it goes through."""
    library = built(OUTER, "-shared", "-fPIC", *tables)
    target = start_target([built(ON_ANOTHER_STACK, library)])
    stops, stacks = trace(pspy, target.pid, 100, output)
    for calls in stops:
        assert all(re.match(WALKS, call) for call in calls), "\n".join(calls)
    whole = sum(int(line.rpartition(" ")[2]) for line in stacks.splitlines() if re.search("main.*;outer.*;inner.*;handler", line))
    assert whole >= len(stops) - LEARNING, stacks


# ---- signals -------------------------------------------------------------------------------------------------------

@pytest.mark.statistical
def test_each_expiration_of_a_timer_is_told(traceable, start, pspy, built, output):
    """Signals come before the thread is asked to stop, and while it stands still: strace makes both last."""
    done = start(["strace", "-o", output / "trace", "-e", "inject=ptrace:delay_enter=1500", pspy, "record", "-r", "200", "-n",
                  "-o", output / "x.txt", "--", built(TIMER, "-lrt")]).wait(60)
    assert done.status == 0, done.stderr
    signals = [line for line in (output / "trace").read_text().splitlines() if re.match("wait4.*WIFSTOPPED.*SIGRT_", line)]
    assert len(signals) > 10, done.stderr
    statement = json.loads(done.stdout)
    assert (statement["strange"], statement["missing"]) == (0, 0), statement


# ---- whom ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["start", "start_openmp"], ids=["pthread", "OpenMP"])
def test_threads_that_python_does_not_know(start_target, run_pspy, repo, built, kind):
    options = ["-shared", "-fPIC"] + (["-fopenmp"] if kind == "start_openmp" else [])
    try:
        library = built(UNKNOWN, *options)
    except subprocess.CalledProcessError:
        pytest.skip("this compiler has no OpenMP")
    target = start_target([sys.executable, "-c", START_UNKNOWN, library, kind],
                          env={**os.environ, "PYTHONPATH": str(repo / "sample_targets")})
    recording = record(run_pspy, target.pid, "-n", "-t", duration=1)
    found = {tid: stacks for (tid, _), stacks in recording.by_thread.items()}
    name = "work_in_c" if kind == "start" else "start_openmp"
    for tid in target.statement["tids"]:
        assert tid in found, (target.statement, list(recording.by_thread))
        for frames in found[tid]:
            assert frames[-1].name.startswith(name), show(frames)


@pytest.mark.statistical
@pytest.mark.parametrize("times", [1, 2])
def test_as_many_busy_threads_as_processors_and_twice_as_many(start_target, run_pspy, built, times):
    """Each tick has a sample of each, or says why not; their work goes on and is right."""
    count = times * os.cpu_count()
    target = start_target([built(BUSY), str(count)])
    recording = record(run_pspy, target.pid, "-n", "-t", duration=1)
    late = re.search(r"lost: .*?(\d+) not stopped in time", recording.stderr)
    due = recording.samples + int(late[1] if late else 0)
    assert len(recording.by_thread) == count, recording.stderr
    assert abs(due - round(recording.ticks) * count) <= count, recording.stderr
    target.process.stdin.close()
    assert target.wait().stdout == "0 wrong, some done: 1\n"
