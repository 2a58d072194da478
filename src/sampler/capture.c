/* SPDX-License-Identifier: MIT */
/*
 * Taking the state of threads. Of a thread on a CPU the Python frames are read while it runs, if
 * readings of it are usually whole; else, and for native frames, it is stopped (stops.c).
 *
 * A thread that is blocked in a system call is not stopped, because some calls would return EINTR:
 * /proc/PID/task/TID/syscall gives its stack pointer and pc. Its other registers are unknown then;
 * the few stacks that need them are taken by a stop, if the call is one that goes on after it.
 */
#include "internal.h"

#include <errno.h>
#include <sys/syscall.h>

#include "pspy/base/clock.h"

#define TRUSTED_READINGS 50
#define STOPS_PER_SECOND 2000
#define FIRST_STACK_ROOM (256 * 1024)

/* How much stack is copied: all of it up to these bounds. A mapping larger than any stack is a heap
 * that holds stacks (coroutines), whose end says nothing. */
#define RED_ZONE              128
#define MAIN_STACK_LIMIT      (64u << 20)
#define THREAD_STACK_LIMIT    (8u << 20)
#define LARGEST_STACK_MAPPING (64u << 20)
#define UNKNOWN_STACK_LIMIT   (256u << 10)

/* What is walked while the thread stands still, and copied where that walk is not enough. */
#define STOPPED_FRAMES 4096
#define FURTHER_STACKS 3

struct piece {
    uint64_t start;
    size_t size;
};

void capture_deinit(struct capture *capture)
{
    snapshot_deinit(&capture->snapshot);
    python_stack_deinit(&capture->python);
    native_stack_deinit(&capture->native);
}

static struct capture *add_capture(struct process *process, size_t thread)
{
    struct capture *capture;

    if (process->captures_used == process->captures.length) {
        struct capture fresh = {0};

        snapshot_reserve(&fresh.snapshot, 0, FIRST_STACK_ROOM);
        vec_push(&process->captures, fresh);
    }
    capture = &process->captures.items[process->captures_used++];
    capture->thread = thread;
    capture->state_count = 0;
    capture->hold = (struct hold){0};
    capture->is_due = capture->is_taken = capture->has_python = capture->has_native =
        capture->is_walked = false;
    capture->is_cached = false;
    capture->state = STATE_RUNNING;
    capture->call = 0;
    capture->timeslices = 0;
    capture->stops = 0;
    snapshot_reset(&capture->snapshot);
    return capture;
}

static size_t stack_room(const struct process *process, uint64_t sp)
{
    const struct region *region = address_space_find(&process->space, sp);
    uint64_t room, limit = THREAD_STACK_LIMIT;

    if (!region)
        return UNKNOWN_STACK_LIMIT;
    room = region->end - sp;
    if (region->is_stack)
        limit = MAIN_STACK_LIMIT;
    else if (region->end - region->start > LARGEST_STACK_MAPPING)
        limit = UNKNOWN_STACK_LIMIT;
    return room < limit ? room : limit;
}

/* What is copied of the stack. Below sp lies the red zone of leaf functions, and behind `leave` the
 * saved rbp. */
static struct piece stack_piece(const struct process *process, const struct capture *capture)
{
    uint64_t sp = regs_sp(&capture->regs);

    return (struct piece){sp - RED_ZONE, RED_ZONE + stack_room(process, sp)};
}

static void copy_stack(struct process *process, struct capture *capture)
{
    struct piece piece = stack_piece(process, capture);

    snapshot_take(&capture->snapshot, process->target, piece.start, piece.size);
}

/* Reads the Python half; of a thread that stands still the stack along with it, if `local` is
 * given. False: the stack is still to be read. */
static bool read_python(struct process *process, struct capture *capture, bool is_stopped,
                        const struct iovec *local, const struct iovec *remote)
{
    struct python_walk how = {.is_stopped = is_stopped,
                              .wants_anchors = process->setup->options.native,
                              .limit = FRAME_LIMIT,
                              .stack_local = local,
                              .stack_remote = remote};
    bool has_stack =
        python_walk(&process->python, process->target, capture->states, capture->state_count, &how,
                    &process->threads.items[capture->thread].view, &capture->python);

    /* The thread state may have been listed when it was not filled yet: it is listed anew. */
    if (capture->python.end == PYTHON_UNREADABLE)
        process->met_python_thread = false;
    capture->has_python =
        capture->python.end != PYTHON_UNREADABLE || capture->python.frames.length > 0;
    return has_stack;
}

/* Both halves in one system call. */
static void copy_both(struct process *process, struct capture *capture)
{
    struct piece piece = stack_piece(process, capture);
    struct iovec local, remote;

    snapshot_plan(&capture->snapshot, piece.start, piece.size, &local, &remote);
    if (read_python(process, capture, true, &local, &remote))
        snapshot_add(&capture->snapshot, &remote, piece.size);
    else
        snapshot_take(&capture->snapshot, process->target, piece.start, piece.size);
}

/* Copies what the sample of a thread that stands still needs. */
void capture_copy_state(struct process *process, struct capture *capture)
{
    bool native = process->setup->options.native;

    capture->is_walked = false;
    snapshot_reset(&capture->snapshot);
    capture->snapshot.live = process->target;
    if (!capture->state_count) {
        copy_stack(process, capture);
    } else if (native) {
        copy_both(process, capture);
    } else {
        read_python(process, capture, true, NULL, NULL);
        if (!capture->has_python || capture->python.frames.length == 0)
            copy_stack(process, capture);
    }
    capture->has_native = native || !capture->has_python || capture->python.frames.length == 0;
}

void capture_walk(struct process *process, struct capture *capture)
{
    unwinder_walk(process->unwinder, &capture->regs, &capture->snapshot, FRAME_LIMIT,
                  &capture->native);
    capture->is_walked = true;
}

void capture_make_room(struct capture *capture)
{
    for (size_t i = 1; i <= FURTHER_STACKS; i++)
        snapshot_reserve(&capture->snapshot, i, UNKNOWN_STACK_LIMIT);
    vec_reserve(&capture->native.frames, STOPPED_FRAMES);
}

/* The stack at `sp`, unless it is copied already. */
static void copy_further(struct process *process, struct capture *capture, uint64_t sp)
{
    struct snapshot *snapshot = &capture->snapshot;

    if (snapshot->count <= FURTHER_STACKS && !snapshot_holds(snapshot, sp))
        snapshot_take(snapshot, process->target, sp - RED_ZONE, UNKNOWN_STACK_LIMIT);
}

void capture_walk_stopped(struct process *process, struct capture *capture)
{
    struct native_stack *native = &capture->native;

    capture->is_walked = unwinder_walk_prepared(process->unwinder, &capture->regs,
                                                &capture->snapshot, STOPPED_FRAMES, native);
    if (capture->is_walked)
        return;
    vec_each (frame, &native->frames) {
        copy_further(process, capture, frame->sp);
        if (frame->cfa != UINT64_MAX)
            copy_further(process, capture, frame->cfa);
    }
}

/* Calls that go on by themselves after a stop. All others may return EINTR. Newer architectures
 * lack the older calls. */
static bool call_survives_stop(long number)
{
    switch (number) {
#ifdef SYS_poll
    case SYS_poll:
#endif
    case SYS_ppoll:
#ifdef SYS_select
    case SYS_select:
#endif
    case SYS_pselect6:
    case SYS_nanosleep:
    case SYS_clock_nanosleep:
    case SYS_futex:
#ifdef SYS_pause
    case SYS_pause:
#endif
    case SYS_wait4:
    case SYS_waitid:
    case SYS_restart_syscall:
        return true;
    default:
        return false;
    }
}

static bool same_call(const struct procfs_syscall *a, const struct procfs_syscall *b)
{
    return !a->is_running && !b->is_running && a->number == b->number &&
           a->stack_pointer == b->stack_pointer && a->program_counter == b->program_counter;
}

bool capture_is_torn(const struct capture *capture)
{
    return capture->has_python && capture->python.end == PYTHON_TORN;
}

/* False if the thread runs after all, or its stack needs registers: it is to be stopped. */
static bool take_blocked(struct process *process, struct capture *capture,
                         const struct procfs_syscall *before)
{
    struct thread *thread = &process->threads.items[capture->thread];
    struct procfs_syscall after;
    struct procfs_schedstat sched;

    capture->regs = regs_of_place(cfi_arch_host(), before->program_counter, before->stack_pointer);
    capture->regs.signature = regs_host_signature();
    capture_copy_state(process, capture);
    capture->snapshot.live = NULL;
    if (thread_files_syscall(&thread->files, &after) != ERR_OK || !same_call(before, &after) ||
        thread_files_schedstat(&thread->files, &sched) != ERR_OK ||
        capture->timeslices != sched.timeslices)
        return false;
    if (capture_is_torn(capture)) {
        if (before->number < 0 || call_survives_stop(before->number)) /* < 0: a page fault */
            return false;
        process_lose(process, LOSS_TORN);
        return true;
    }
    if (capture->has_native) {
        capture_walk(process, capture);
        if (capture->native.end == WALK_NO_REGISTER && call_survives_stop(before->number))
            return false;
    }
    capture->is_taken = true;
    return true;
}

/* Reads a running thread's Python frames. False: it is to be stopped for them. */
static bool take_running(struct process *process, struct capture *capture)
{
    read_python(process, capture, false, NULL, NULL);
    if (capture->python.end == PYTHON_ROOT || capture->python.end == PYTHON_TRUNCATED)
        capture->is_taken = capture->python.frames.length > 0;
    return capture->is_taken;
}

/*
 * A thread whose stack is torn is met by chance in the middle of calls. Stopping it then shows
 * where it is a little later: if only torn readings were made up for so, code with many calls would
 * lose to code with few. And where readings are torn often, one may look whole by chance. So they
 * are trusted only after many in a row were whole, and until then the thread is stopped for each
 * sample; unless there are so many samples that it would be slowed down.
 */
static bool is_trusted(const struct process *process, const struct thread *thread)
{
    return thread->whole_readings >= TRUSTED_READINGS ||
           process->setup->options.rate > STOPS_PER_SECOND;
}

static void note_reading(struct thread *thread, enum python_end end)
{
    if (end == PYTHON_TORN)
        thread->whole_readings = 0;
    else
        thread->whole_readings++;
}

/* Whether another tracer, such as strace, keeps us from stopping the thread. Its Python half can
 * still be read. */
static bool is_traced(const struct process *process, const struct thread *thread)
{
    return process->sampler->now < thread->traced_until;
}

static void take_python(struct process *process, struct capture *capture)
{
    struct thread *thread = &process->threads.items[capture->thread];
    bool is_nonblocking = process->setup->options.nonblocking || is_traced(process, thread);
    bool was_trusted = is_trusted(process, thread);
    bool is_whole = take_running(process, capture);

    note_reading(thread, capture->python.end);
    if (is_whole && (was_trusted || is_nonblocking))
        return;
    capture->is_taken = false;
    if (!is_nonblocking)
        capture->is_due = true;
    else if (capture->python.end != PYTHON_ROOT)
        process_lose(process, capture->python.end == PYTHON_TORN ? LOSS_TORN : LOSS_UNREADABLE);
}

/* The thread state that holds the GIL comes first for this. */
static bool holds_gil(const struct process *process, const struct python_thread *states,
                      size_t count)
{
    bool holds = false;

    for (size_t i = 0; i < count && !holds; i++)
        python_holds_gil(&process->python, process->target, &states[i], &holds);
    return holds;
}

/* Whether the thread has not run since the given look, at which it was blocked. */
static bool has_not_run(const struct thread *thread, uint64_t timeslices)
{
    return thread->timeslices && thread->timeslices == timeslices;
}

/* A call that ends at a time goes on under another number after a stop, with its arguments. */
static bool waits_for_gil(const struct process *process, const struct capture *capture, long number,
                          uint64_t argument)
{
    if (number != SYS_futex && number != SYS_restart_syscall)
        return false;
    for (size_t i = 0; i < capture->state_count; i++)
        if (python_waits_for_gil(&process->python, &capture->states[i], argument))
            return true;
    return false;
}

static void set_call(const struct process *process, struct capture *capture, long number,
                     uint64_t argument, bool is_blocked)
{
    capture->call = (uint32_t)(number + 1);
    if (is_blocked)
        capture->state =
            waits_for_gil(process, capture, number, argument) ? STATE_GIL : STATE_BLOCKED;
}

/* It may have begun to wait meanwhile: then our stop has ended its call, with EINTR or one of the
 * kernel's own four numbers that let it go on. */
void capture_note_call(const struct process *process, struct capture *capture)
{
    int64_t result = (int64_t)capture->regs.value[capture->regs.arch->result];
    bool is_blocked = result == -EINTR || (result <= -512 && result >= -516);

    if (capture->state == STATE_RUNNING && capture->regs.call)
        set_call(process, capture, (long)capture->regs.call - 1, capture->regs.argument,
                 is_blocked);
}

/* Begins a capture of the thread, in the way that disturbs it least. */
static void take(struct process *process, struct capture *capture,
                 const struct procfs_syscall *call)
{
    const struct sampler_options *options = &process->setup->options;
    const struct thread *thread = &process->threads.items[capture->thread];

    if (!call->is_running)
        set_call(process, capture, call->number, call->argument, true);
    else if (has_not_run(thread, thread->blocked_timeslices))
        capture->state = STATE_READY; /* it was woken */
    if (capture->is_cached) {
        capture->is_taken = true;
        return;
    }
    if (!call->is_running && take_blocked(process, capture, call))
        return;
    capture->is_taken = false;
    if (capture->state_count && (!options->native || is_traced(process, thread)))
        take_python(process, capture);
    else
        capture->is_due = true;
}

/* Whether the thread is of a kind that the options ask for. */
static bool is_wanted(const struct process *process, size_t count)
{
    const struct sampler_options *options = &process->setup->options;

    if (count == 0 && (options->gil || options->nonblocking))
        return false;
    return count || options->native || !process->has_python || !process->python.threads.length;
}

/* Where the thread is blocked, if it is. False: that is not known, or it waits for pspy itself. */
static bool ask_call(struct process *process, struct thread *thread, struct procfs_syscall *ret)
{
    if (thread_files_syscall(&thread->files, ret) != ERR_OK)
        return false;
    if (!ret->is_running && ret->number < 0 && stops_is_unanswered(process, thread->tid)) {
        process_lose(process, LOSS_STOP_TIMEOUT);
        return false;
    }
    if (!ret->is_running)
        thread->blocked_timeslices = thread->timeslices;
    return true;
}

/* Begins one thread's sample, or skips the thread. */
static void begin(struct process *process, size_t index)
{
    const struct sampler_options *options = &process->setup->options;
    struct thread *thread = &process->threads.items[index];
    const struct python_thread *states = NULL;
    struct procfs_schedstat sched;
    struct procfs_syscall call;
    struct capture *capture;
    size_t count = 0;

    if (thread->state == 'Z' || thread->state == 'X' || !process_look(process, thread) ||
        (!options->idle && thread->is_asleep))
        return;
    if (process->has_python)
        count = python_find_thread(&process->python, thread->inner_tid, &states);
    process->met_python_thread |= count > 0;
    if (!is_wanted(process, count))
        return;
    capture = add_capture(process, index);
    capture->states = states;
    capture->state_count = count;
    capture->is_cached =
        options->idle && !options->gil && has_not_run(thread, thread->cached_timeslices);
    if (capture->is_cached && thread->is_asleep) {
        capture->is_taken = true;
        capture->state = thread->cached.state;
        capture->call = thread->cached.call;
        return;
    }
    if (options->idle && thread_files_schedstat(&thread->files, &sched) == ERR_OK)
        capture->timeslices = sched.timeslices;
    if (!ask_call(process, thread, &call) || (!call.is_running && !options->idle) ||
        (options->gil && !holds_gil(process, states, count)))
        process->captures_used--;
    else
        take(process, capture, &call);
}

void capture_all(struct process *process)
{
    for (size_t i = 0; i < process->threads.length; i++)
        begin(process, i);
}
