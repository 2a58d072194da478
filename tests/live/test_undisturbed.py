# SPDX-License-Identifier: MIT
"""What pspy looks at runs on as if nobody looked: calls, signals, exec, threads, forks, and pspy's own violent end."""
import collections
import json
import os
import random
import re
import signal
import subprocess
import time

import pytest
from measure import DEADLINE, is_sampling, wait_sampling, wait_until

FAST = ["-r", "1000", "-n", "-i"]

COUNT_SIGNALS = r"""
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
static volatile int got, disorder;
static void note(int n, siginfo_t *info, void *c)
{
    (void)n, (void)c;
    disorder += info->si_value.sival_int != got++;
}
int main(void)
{
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_RESTART};
    enum { WANTED = 20000 };
    int status;
    sigaction(SIGRTMIN, &action, NULL);
    printf("{}\n"), fflush(stdout);
    pid_t target = getpid(), sender = fork();
    if (sender == 0) {
        for (int i = 0; i < WANTED; i++)
            while (sigqueue(target, SIGRTMIN, (union sigval){.sival_int = i}) != 0)
                ; /* the queue is full */
        _exit(0);
    }
    while (got < WANTED)
        if (waitpid(sender, &status, WNOHANG) == sender)
            sender = -2; /* nothing is under way any more but what is queued */
    printf("%d signals, %d out of order\n", got, disorder);
    return 0;
}
"""

CHURN = r"""
#include <pthread.h>
#include <stdio.h>
enum { ROUNDS = 400, WIDTH = 8 };
static void *work(void *number)
{
    volatile long sum = 0;
    for (long i = 0; i < 3000 + (long)number; i++)
        sum += i;
    return (void *)sum;
}
int main(void)
{
    pthread_t threads[WIDTH];
    long failures = 0;
    for (long round = 0; round < ROUNDS; round++) {
        for (long i = 0; i < WIDTH; i++)
            failures += pthread_create(&threads[i], NULL, work, (void *)i) != 0;
        for (long i = 0; i < WIDTH; i++) {
            void *sum;
            failures += pthread_join(threads[i], &sum) != 0 || (long)sum != (3000 + i) * (2999 + i) / 2;
        }
    }
    printf("%d threads, %ld failures\n", ROUNDS * WIDTH, failures);
    return failures != 0;
}
"""

# argv: how many more times to exec, how many spinning threads beside the one that execs, whether that is the leader.
EXEC_AGAIN = r"""
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static char **args;
static void *spin(void *unused)
{
    for (volatile unsigned long i = 0;; i++)
        ;
    return unused;
}
static void *again(void *unused)
{
    char left[16], *next[] = {args[0], left, args[2], args[3], NULL};
    snprintf(left, sizeof(left), "%d", atoi(args[1]) - 1);
    for (volatile int i = 0; i < 300000; i++)
        ;
    execv("/proc/self/exe", next);
    perror("execv");
    exit(1);
    return unused;
}
int main(int argc, char **argv)
{
    pthread_t thread;
    args = argv;
    (void)argc;
    if (atoi(argv[1]) == 0) {
        printf("%d at the end\n", getpid());
        return 0;
    }
    for (int i = 0; i < atoi(argv[2]); i++)
        pthread_create(&thread, NULL, spin, NULL);
    if (atoi(argv[3]))
        again(NULL);
    pthread_create(&thread, NULL, again, NULL);
    for (;;)
        pause();
}
"""

FORKS = r"""
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void)
{
    enum { WANTED = 1500 };
    int right = 0, status;
    for (int i = 0; i < WANTED; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(i % 100);
        right += waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == i % 100;
    }
    printf("%d of %d\n", right, WANTED);
    return 0;
}
"""

# Work with a known result, over and over; ends, saying how it went, when stdin closes.
ADD_UP = r"""
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
static volatile int over;
static void *add(void *wrong)
{
    while (!over) {
        unsigned long sum = 0;
        double product = 1;
        for (unsigned long i = 1; i <= 20000; i++) {
            sum += i * i;
            product = product * 1.0000001 + 1e-9;
            __asm__ volatile("" : "+r"(sum), "+x"(product));
        }
        if (sum != 2666866670000ul)
            ++*(long *)wrong;
    }
    return NULL;
}
int main(void)
{
    pthread_t threads[3];
    long wrong[3] = {0};
    struct pollfd in = {.fd = 0, .events = POLLIN};
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, add, &wrong[i]);
    printf("{}\n"), fflush(stdout);
    int answer = poll(&in, 1, -1);
    over = 1;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    printf("poll said %d, %ld wrong\n", answer, wrong[0] + wrong[1] + wrong[2]);
    return 0;
}
"""


@pytest.fixture
def built(tmp_path):
    """built(source) -> the path of the compiled program."""

    def build_one(source):
        path = tmp_path / f"program{len(list(tmp_path.glob('program*.c')))}"
        path.with_suffix(".c").write_text(source)
        subprocess.run([os.environ.get("CC") or "gcc", "-O1", "-g", "-D_GNU_SOURCE", "-pthread", "-o", path,
                        path.with_suffix(".c")], check=True, timeout=60)
        return path

    return build_one


def samples(path):
    """How many samples a folded profile holds."""
    return sum(int(line.rsplit(" ", 1)[1]) for line in path.read_text().splitlines())


def threads_of(pid):
    """[(state, tracer)] of each thread of the process."""
    found = []
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/status", encoding="utf-8") as status:
            fields = dict(line.split(":", 1) for line in status)
        found.append((fields["State"].split()[0], int(fields["TracerPid"])))
    return found


# ---- blocking calls and signals ------------------------------------------------------------------------------------

@pytest.mark.parametrize("mode", ["native", "python", "nonblocking"])
@pytest.mark.parametrize("extra", [[], ["--timer"], ["--block-ms", "1"], ["--alternate"]],
                         ids=["plain", "timer", "short", "alternating"])
def test_blocking_calls_see_nothing(run_pspy, build, output, mode, extra):
    options = {"native": ["-n", "-i"], "python": ["-i"], "nonblocking": ["-i", "--nonblocking"]}[mode]
    program = build / "sample_targets" / "eintr_counter"
    done = run_pspy(["record", "-r", "1000", *options, "-o", output / "x.txt", "--", program, "--seconds", "2", *extra],
                    check=0)
    statement = json.loads(done.stdout)
    if mode != "nonblocking":  # that mode reads Python only, and there is none
        assert samples(output / "x.txt") > 100
    assert statement["calls"] > 20
    assert (statement["unexplained"], statement["errors"]) == (0, 0), statement
    assert all(call["calls"] > 0 for call in statement["by_call"].values())
    if not extra or extra[0] != "--timer":
        assert (statement["eintr"], statement["early"]) == (0, 0), statement
    else:
        assert statement["timer"]["delivered"] > 0


def test_no_queued_signal_is_lost(run_pspy, built, output):
    done = run_pspy(["record", *FAST, "-o", output / "x.txt", "--", built(COUNT_SIGNALS)], check=0)
    assert "20000 signals, 0 out of order" in done.stdout
    assert samples(output / "x.txt") > 0


# ---- a violent end of pspy -----------------------------------------------------------------------------------------

def test_pspy_killed_at_any_moment(start, start_target, built, pspy, output):
    target = start_target([built(ADD_UP)])
    chance = random.Random(20240229)
    for turn in range(40):
        profiler = start([pspy, "record", *FAST, "-p", str(target.pid), "-o", output / f"{turn}.txt"])
        wait_until(lambda pid=profiler.pid: is_sampling(pid, target.pid), "sampling")
        end = time.monotonic() + chance.uniform(0, 0.02)  # the moment is the point: it may be anything
        while time.monotonic() < end:
            pass
        profiler.signal(signal.SIGKILL)
        assert profiler.wait().status == -signal.SIGKILL
        seen = threads_of(target.pid)
        assert not [thread for thread in seen if thread[0] in "tT" or thread[1]], f"turn {turn}: {seen}"
    target.process.stdin.close()
    done = target.wait(DEADLINE)
    assert (done.status, done.stdout) == (0, "poll said 1, 0 wrong\n")


# ---- threads, exec, fork -------------------------------------------------------------------------------------------

def test_threads_come_and_go(run_pspy, built, output):
    done = run_pspy(["record", *FAST, "-o", output / "x.txt", "--", built(CHURN)], check=0)
    assert done.stdout == "3200 threads, 0 failures\n"
    assert samples(output / "x.txt") > 0


@pytest.mark.parametrize("how", ["started", "attached"])
@pytest.mark.parametrize("who", ["alone", "leader", "thread"])
def test_exec_again_and_again(start, built, pspy, output, how, who):
    program = [built(EXEC_AGAIN), "300", "0" if who == "alone" else "3", "0" if who == "thread" else "1"]
    options = [pspy, "record", *FAST, "-o", output / "x.txt"]
    if how == "started":
        profiler = start([*options, "--", *program])
        done = profiler.wait(DEADLINE)
    else:
        target = start(program)
        profiler = start([*options, "-p", str(target.pid)])
        done = target.wait(DEADLINE)
        assert profiler.wait(DEADLINE).status == 0
    assert done.status == 0, done
    assert re.fullmatch(r"\d+ at the end\n", done.stdout), done
    # A program that runs already may be through before pspy has found it, and only what no exec came behind of counts.
    assert how == "attached" or samples(output / "x.txt") > 0 or re.search(r"lost: .*by exec", done.stderr), done.stderr


def test_fork_storm(run_pspy, built, output):
    done = run_pspy(["record", *FAST, "-o", output / "x.txt", "--", built(FORKS)], check=0)
    assert done.stdout == "1500 of 1500\n"


def waits(tid):
    """Whether the thread has come to where it sleeps."""
    with open(f"/proc/{tid}/stat", encoding="ascii") as stat, open(f"/proc/{tid}/syscall", encoding="ascii") as call:
        return stat.read().rpartition(")")[2].split()[0] == "S" and call.read() != "running\n"


# ---- targets that stand still, or are somebody else's --------------------------------------------------------------

@pytest.mark.parametrize("options", [[], ["-n"], ["-i"], ["-n", "-i"]])
def test_a_stopped_target_stays_stopped(run_pspy, start_target, built, output, options):
    target = start_target([built(ADD_UP)])
    wait_until(lambda: waits(target.pid), "poll")
    target.signal(signal.SIGSTOP)
    wait_until(lambda: {state for state, _ in threads_of(target.pid)} == {"T"}, "the stop")
    seen = collections.Counter()
    run_pspy(["record", "-r", "1000", *options, "-d", "0.5", "-p", str(target.pid), "-o", output / "x.txt"], check=0)
    seen.update(threads_of(target.pid))
    assert set(seen) == {("T", 0)}
    # It waits, at the place where it was stopped.
    stacks = (output / "x.txt").read_text().splitlines() if "-i" in options else []
    assert ("-i" in options) == (samples(output / "x.txt") > 0)
    assert not stacks or "-n" not in options or {"add", "poll"} <= {
        word for line in stacks for word in re.findall(r"\w+", line.rsplit(" ", 1)[0])}, stacks
    target.signal(signal.SIGCONT)
    target.process.stdin.close()
    assert target.wait(DEADLINE).stdout == "poll said 1, 0 wrong\n"


def test_a_stop_and_a_continue_while_sampled(start, start_target, built, pspy, output):
    """Stop signals that arrive while a thread is held still stop it, and SIGCONT still continues it."""
    target = start_target([built(ADD_UP)])
    profiler = start([pspy, "record", *FAST, "-p", str(target.pid), "-o", output / "x.txt"])
    wait_sampling(profiler.pid, target.pid)
    for _ in range(30):
        target.signal(signal.SIGSTOP)
        wait_until(lambda: {state for state, _ in threads_of(target.pid)} <= {"T", "t"}, "the stop")
        target.signal(signal.SIGCONT)
        wait_until(lambda: "R" in {state for state, _ in threads_of(target.pid)}, "the program running on")
    profiler.signal(signal.SIGINT)
    assert profiler.wait(DEADLINE).status == 0
    target.process.stdin.close()
    assert target.wait(DEADLINE).stdout == "poll said 1, 0 wrong\n"
