/* SPDX-License-Identifier: MIT */
#include "pspy/target/ptrace.h"

#include <errno.h>
#include <linux/elf.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>

#include "machine.h"
#include "process.h"
#include "pspy/base/clock.h"
#include "pspy/base/vec.h"

/* A stop takes 10 to 15 us when the thread runs on another CPU. Spinning longer than that would
 * take the CPU from the thread we wait for; blocking costs a wake-up. */
#define SPIN_NS (15 * NS_PER_US)

static enum err code_of(int number)
{
    return number == ESRCH ? ERR_GONE : ERR_PERMISSION;
}

static long ask(int request, pid_t tid, uintptr_t data)
{
    return ptrace((enum __ptrace_request)request, tid, NULL, (void *)data);
}

static void note_exit(struct waiter *waiter, pid_t tid, int status)
{
    if (waiter->child == tid) {
        waiter->has_ended = true;
        waiter->status = status;
    }
}

/* All threads that are HOLD_ASKED, for the handler below. It changes only while SIGCHLD is blocked.
 */
static VEC(pid_t) held;
static struct waiter *seizing_for;

static void become(struct hold *hold, enum hold_state state)
{
    for (size_t i = 0; hold->state == HOLD_ASKED && i < held.length; i++)
        if (held.items[i] == hold->tid)
            held.items[i--] = held.items[--held.length];
    if (state == HOLD_ASKED)
        vec_push(&held, hold->tid);
    hold->state = state;
}

/* waitid tells of stops too, whether one asks for them or not: those are for hold_poll. */
static bool is_dead(pid_t tid)
{
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)tid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 &&
           info.si_pid == tid &&
           (info.si_code == CLD_EXITED || info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED);
}

static void collect_dead(int number)
{
    int kept = errno, status;

    (void)number;
    vec_each (tid, &held) {
        if (is_dead(*tid) && waitpid(*tid, &status, WNOHANG | __WALL) == *tid)
            note_exit(seizing_for, *tid, status);
    }
    errno = kept;
}

/* While a process execs, seizing one of its threads waits for the exec to be over; and the exec
 * waits until we have collected those of its threads that it killed while we held them. A handler
 * does that meanwhile: each such death sends SIGCHLD. */
static long seize(pid_t tid, struct waiter *waiter)
{
    static const struct sigaction action = {.sa_handler = collect_dead, .sa_flags = SA_RESTART};
    sigset_t child;
    long answer;
    int number;

    seizing_for = waiter;
    sigaction(SIGCHLD, &action, NULL);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_UNBLOCK, &child, NULL);
    answer = ask(PTRACE_SEIZE, tid, 0);
    number = errno;
    sigprocmask(SIG_BLOCK, &child, NULL);
    errno = number;
    return answer;
}

enum err hold_ask(pid_t tid, struct waiter *waiter, struct hold *ret)
{
    struct hold hold = {.tid = tid};
    enum err err;

    become(&hold, HOLD_ASKED); /* it may die before seize returns */
    if (seize(tid, waiter) != 0) {
        err = code_of(errno);
        become(&hold, HOLD_NONE);
        return err;
    }
    /* Fails only for a thread that has just ended, and waiting tells that as well. */
    ask(PTRACE_INTERRUPT, tid, 0);
    *ret = hold;
    return ERR_OK;
}

static bool is_ours(pid_t tid)
{
    return ask(PTRACE_INTERRUPT, tid, 0) == 0 || errno != ESRCH;
}

bool hold_adopt(pid_t tid, struct hold *ret)
{
    if (!is_ours(tid))
        return false;
    *ret = (struct hold){.tid = tid};
    become(ret, HOLD_ASKED);
    return true;
}

bool hold_check(struct hold *hold)
{
    if (is_ours(hold->tid))
        return true;
    become(hold, HOLD_NONE);
    return false;
}

static enum err take(struct hold *hold, struct waiter *waiter, int status)
{
    int event = status >> 16;

    if (!WIFSTOPPED(status)) {
        note_exit(waiter, hold->tid, status);
        become(hold, HOLD_NONE);
        return ERR_GONE;
    }
    become(hold, HOLD_STOPPED);
    hold->signal = 0;
    if (event == 0)
        hold->signal = WSTOPSIG(status); /* a signal came first: deliver it at the release */
    return ERR_OK;
}

enum err hold_poll(struct hold *hold, struct waiter *waiter)
{
    int status;
    pid_t got = waitpid(hold->tid, &status, WNOHANG | __WALL);

    if (got == hold->tid)
        return take(hold, waiter, status);
    if (got == 0 || errno == EINTR)
        return ERR_TIMEOUT;
    become(hold, HOLD_NONE);
    return ERR_GONE;
}

static void wait_for_child_signal(uint64_t deadline)
{
    uint64_t now = clock_now();
    struct timespec left = clock_timespec(deadline > now ? deadline - now : 0);
    sigset_t child;

    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigtimedwait(&child, NULL, &left);
}

void hold_pause(uint64_t since, uint64_t deadline)
{
    uint64_t now = clock_now();
    uint64_t soon = now + 2 * NS_PER_MS; /* another wait may have eaten our signal */

    if (now - since >= SPIN_NS)
        wait_for_child_signal(soon < deadline ? soon : deadline);
}

enum err hold_wait(struct hold *hold, struct waiter *waiter, uint64_t deadline)
{
    uint64_t since = clock_now();
    enum err err;

    while ((err = hold_poll(hold, waiter)) == ERR_TIMEOUT && clock_now() < deadline)
        hold_pause(since, deadline);
    return err;
}

/* A thread that is killed while we hold it (by the exec or exit of another one) takes no more
 * requests, and that exec waits for us to collect the dead. */
void hold_release(struct hold *hold)
{
    bool is_dying = hold->state == HOLD_STOPPED &&
                    ask(PTRACE_DETACH, hold->tid, (uintptr_t)hold->signal) != 0 && errno == ESRCH;

    become(hold, is_dying ? HOLD_ASKED : HOLD_NONE);
}

static bool get_user_regs(pid_t tid, struct user_regs_struct *ret)
{
    struct iovec where = {ret, sizeof(*ret)};

    return ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &where) == 0 &&
           where.iov_len == sizeof(*ret);
}

enum err live_registers(const struct target *target, pid_t tid, struct regs *ret)
{
    struct user_regs_struct user;
    struct iovec where = {&user, sizeof(user)};

    (void)target;
    if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &where) != 0)
        return code_of(errno);
    if (where.iov_len != sizeof(user)) /* 68 bytes: a 32-bit program */
        return ERR_UNSUPPORTED;
    *ret = machine_regs(&user);
    return ERR_OK;
}

bool hold_stands_interrupted(const struct hold *hold)
{
    struct user_regs_struct user;

    return hold->signal == 0 && get_user_regs(hold->tid, &user) && machine_is_interrupted(&user);
}

bool hold_restart_call(const struct hold *hold)
{
    struct user_regs_struct user;
    struct iovec where = {&user, sizeof(user)};

    if (hold->signal || !get_user_regs(hold->tid, &user) || !machine_is_interrupted(&user) ||
        !machine_restart_call(&user))
        return false;
    return ptrace(PTRACE_SETREGSET, hold->tid, (void *)NT_PRSTATUS, &where) == 0;
}

/* Looks before it takes: a wait for the child's end would also take, and so lose, its ptrace stop.
 */
void waiter_poll(struct waiter *waiter)
{
    int status;

    if (waiter->child && !waiter->has_ended && is_dead(waiter->child) &&
        waitpid(waiter->child, &status, WNOHANG) == waiter->child)
        note_exit(waiter, waiter->child, status);
}

/* A thread may have been in the kernel all the time until its sampling was over. */
static void release_late(struct waiter *waiter)
{
    for (size_t i = held.length; i-- > 0;) {
        struct hold hold = {.tid = held.items[i], .state = HOLD_ASKED};

        if (hold_poll(&hold, waiter) == ERR_OK)
            hold_release(&hold);
    }
}

void waiter_pause(struct waiter *waiter, uint64_t deadline)
{
    uint64_t soon = clock_now() + 100 * NS_PER_MS;

    release_late(waiter);
    wait_for_child_signal(soon < deadline ? soon : deadline);
    waiter_poll(waiter);
}
