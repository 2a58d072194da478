/* SPDX-License-Identifier: MIT */
/*
 * Stopping threads for a moment. All that are due are asked in one go, and whichever stands first
 * is served first, so that none stands still while another one waits for a CPU.
 *
 * While a thread stands still three system calls are made: its registers, its stack with its Python
 * frames, and the one that lets it go; more only where frames lie elsewhere than before. It is
 * waited for by looking again and again for 15 us, within which most threads on a CPU stop, and
 * then asleep: the CPU may be the one that the thread needs.
 */
#include "internal.h"

#include <errno.h>
#include <time.h>

#include "pspy/base/clock.h"

#define TRACED_TIME      NS_PER_SECOND
#define STOP_DEADLINE    NS_PER_SECOND     /* it may wait for a CPU as long */
#define AFTER_THE_END    (100 * NS_PER_MS) /* of the recording's time */
#define LATE             (2 * NS_PER_MS)
#define STOPS_FOR_SAMPLE 8
#define ASKED_MEANWHILE  3               /* threads: asking takes some us, a stop 15 */
#define MOMENT           (5 * NS_PER_US) /* asked at once, it would stop where it stands */

/* Our interrupt may have ended a blocking call with EINTR: let the program not see it. */
static void repair_call(const struct process *process, const struct hold *hold)
{
    if (hold_stands_interrupted(hold) && !target_signal_pending(process->target, hold->tid))
        hold_restart_call(hold);
}

/* Whether an earlier interrupt of the thread still waits for its stop. */
bool stops_is_unanswered(const struct process *process, pid_t tid)
{
    vec_each (hold, &process->unanswered) {
        if (hold->tid == tid)
            return true;
    }
    return false;
}

static bool is_held(const struct process *process, pid_t tid)
{
    for (size_t i = 0; i < process->captures_used; i++)
        if (process->captures.items[i].hold.tid == tid &&
            process->captures.items[i].hold.state == HOLD_ASKED)
            return true;
    return stops_is_unanswered(process, tid);
}

/* A thread that we held is gone. If it called exec it is there under the process's id, and still
 * held. */
static void follow_exec(struct process *process)
{
    pid_t leader = process->target->pid;
    struct hold hold;

    if (!is_held(process, leader) && hold_adopt(leader, &hold))
        vec_push(&process->unanswered, hold);
}

/* Ctrl-Z stops us, and must not while threads stand still that wait for us, or will: one that did
 * not stop in time still stops some time. */
static void block_stop_signals(struct process *process)
{
    static const int numbers[] = {SIGTSTP, SIGTTIN, SIGTTOU};
    sigset_t set;

    if (process->is_asking)
        return;
    process->is_asking = true;
    if (process->sampler->asking++)
        return;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        sigaddset(&set, numbers[i]);
    sigprocmask(SIG_BLOCK, &set, &process->sampler->old_mask);
}

static void allow_stop_signals(struct process *process)
{
    if (process->is_asking && --process->sampler->asking == 0)
        sigprocmask(SIG_SETMASK, &process->sampler->old_mask, NULL);
    process->is_asking = false;
}

static void ask(struct process *process, struct capture *capture)
{
    struct thread *thread = &process->threads.items[capture->thread];
    enum err err;

    if (stops_is_unanswered(process, thread->tid)) {
        process_lose(process, LOSS_STOP_TIMEOUT);
        return;
    }
    if (thread->walk_stopped)
        capture_make_room(capture);
    err = hold_ask(thread->tid, process->setup->waiter, &capture->hold);
    if (err == ERR_OK)
        return;
    process_lose(process, err == ERR_GONE ? LOSS_THREAD_GONE : LOSS_TRACED);
    if (err == ERR_PERMISSION)
        thread->traced_until = process->sampler->now + TRACED_TIME;
}

/* Longer each time: it may have to wait for a CPU. */
static void let_it_run(unsigned stops)
{
    struct timespec moment = clock_timespec(MOMENT << stops);

    nanosleep(&moment, NULL);
}

/*
 * The thread may stand between the two instructions that a generator needs to return to its caller,
 * of which nothing is left to read then, or those that an eval call needs to begin. It goes on for
 * a moment and is stopped again: that is so rare that it favours nothing.
 */
static void stop_again(struct process *process, struct capture *capture)
{
    capture->is_taken = false;
    if (++capture->stops == STOPS_FOR_SAMPLE) {
        process_lose(process, LOSS_TORN);
        return;
    }
    let_it_run(capture->stops);
    ask(process, capture);
}

static void take_stopped(struct process *process, struct capture *capture)
{
    enum err err = target_registers(process->target, capture->hold.tid, &capture->regs);

    if (err == ERR_OK) {
        capture_copy_state(process, capture);
        if (capture->has_native && process->threads.items[capture->thread].walk_stopped)
            capture_walk_stopped(process, capture);
        capture->is_taken = true;
        /* Nearly no thread stands so; the registers are known, so the others cost no more calls. */
        if ((int64_t)capture->regs.value[capture->regs.arch->result] == -EINTR)
            repair_call(process, &capture->hold);
    } else {
        process_lose(process, err == ERR_GONE ? LOSS_THREAD_GONE : LOSS_UNREADABLE);
    }
    hold_release(&capture->hold);
    capture->snapshot.live = NULL;
    if (err != ERR_OK)
        return;
    capture_note_call(process, capture);
    if (capture_is_torn(capture))
        stop_again(process, capture);
}

/* Takes the thread's state if it stands still by now. `since`: when all were asked. */
static void serve_one(struct process *process, struct capture *capture, uint64_t since)
{
    if (capture->hold.state != HOLD_ASKED)
        return;
    switch (hold_poll(&capture->hold, process->setup->waiter)) {
    case ERR_OK:
        take_stopped(process, capture);
        break;
    case ERR_TIMEOUT:
        if (clock_now() - since < LATE || hold_check(&capture->hold))
            break;
        /* fall through */
    default:
        process_lose(process, LOSS_THREAD_GONE);
        follow_exec(process);
    }
}

/* A thread that waits for a CPU stands where it stood at the tick. Giving it up soon would favour
 * those that get theirs sooner. */
static uint64_t stop_deadline(const struct sampler *sampler, uint64_t since)
{
    uint64_t end = sampler->schedule.end;
    uint64_t last = end < UINT64_MAX - AFTER_THE_END ? end + AFTER_THE_END : UINT64_MAX;
    uint64_t deadline = since + STOP_DEADLINE;

    if (deadline > last)
        deadline = last;
    return deadline > since + AFTER_THE_END ? deadline : since + AFTER_THE_END;
}

/* False if the thread is gone. */
static bool settle(struct process *process, struct hold *hold)
{
    enum err err = hold_poll(hold, process->setup->waiter);

    if (err == ERR_OK) {
        repair_call(process, hold);
        hold_release(hold);
        return true;
    }
    return err == ERR_TIMEOUT && hold_check(hold);
}

static void settle_all(struct process *process, uint64_t deadline)
{
    uint64_t since = clock_now();
    size_t left;

    do {
        bool is_gone = false;

        left = 0;
        for (size_t i = 0; i < process->unanswered.length; i++) {
            struct hold *hold = &process->unanswered.items[i];

            is_gone |= !settle(process, hold);
            if (hold->state != HOLD_NONE)
                process->unanswered.items[left++] = *hold;
        }
        process->unanswered.length = left;
        if (is_gone)
            follow_exec(process);
        left = process->unanswered.length;
        if (left && clock_now() < deadline)
            hold_pause(since, deadline);
    } while (left && clock_now() < deadline);
}

/* Whether threads are still waited for. */
static bool serve_all(struct process *process, uint64_t since)
{
    bool is_waiting = false;

    for (size_t i = 0; i < process->captures_used; i++) {
        struct capture *capture = &process->captures.items[i];

        serve_one(process, capture, since);
        is_waiting |= capture->hold.state == HOLD_ASKED;
    }
    return is_waiting;
}

/* Serves whichever thread of any process stands still, until none is left or the deadline has
 * passed. */
static void serve(struct sampler *sampler)
{
    uint64_t since = clock_now(), deadline = stop_deadline(sampler, since);
    bool is_waiting;

    do {
        is_waiting = false;
        vec_each (process, &sampler->processes)
            is_waiting |= serve_all(*process, since);
        if (!is_waiting)
            return;
        /* An exec that we wait for may itself wait for us to collect a thread it has killed. */
        vec_each (process, &sampler->processes)
            settle_all(*process, 0);
        hold_pause(since, deadline);
    } while (clock_now() < deadline);
}

static void give_up_on_late(struct process *process)
{
    for (size_t i = 0; i < process->captures_used; i++) {
        struct capture *capture = &process->captures.items[i];

        if (capture->hold.state != HOLD_ASKED)
            continue;
        vec_push(&process->unanswered, capture->hold);
        process_lose(process, LOSS_STOP_TIMEOUT);
    }
}

/* Asks all that are due; those that stand still while others are asked are served at once. */
static void ask_all(struct process *process)
{
    for (size_t i = 0, asked = 0; i < process->captures_used; i++) {
        if (!process->captures.items[i].is_due)
            continue;
        ask(process, &process->captures.items[i]);
        if (asked++ >= ASKED_MEANWHILE)
            serve_one(process, &process->captures.items[i - ASKED_MEANWHILE], clock_now());
    }
}

static bool is_any_due(const struct process *process)
{
    for (size_t i = 0; i < process->captures_used; i++)
        if (process->captures.items[i].is_due)
            return true;
    return false;
}

void stops_take(struct sampler *sampler)
{
    bool is_asking = false;

    vec_each (process, &sampler->processes) {
        if (!is_any_due(*process))
            continue;
        block_stop_signals(*process);
        ask_all(*process);
        is_asking = true;
    }
    if (!is_asking)
        return;
    serve(sampler);
    vec_each (process, &sampler->processes) {
        give_up_on_late(*process);
        if (!(*process)->unanswered.length)
            allow_stop_signals(*process);
    }
}

void stops_settle(struct process *process, uint64_t deadline)
{
    settle_all(process, deadline);
    if (!process->unanswered.length || deadline) /* what is left after a deadline is left so */
        allow_stop_signals(process);
}
