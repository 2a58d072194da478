/* SPDX-License-Identifier: MIT */
/*
 * unwinder.h on a child of ours that stands still. The child states the truth: each function writes
 * its return address into shared memory. libunwind's ptrace accessors are asked as well. What
 * happens at every single instruction is in tests/live/test_steps.py.
 */
#include <libunwind-ptrace.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pspy/base/clock.h"
#include "pspy/elf/symtab.h"
#include "pspy/target/live.h"
#include "pspy/target/ptrace.h"
#include "pspy/unwind/unwinder.h"
#include "unit/tap.h"

#define LIMIT 300
#define apart __attribute__((noinline))

/* ---- the child ------------------------------------------------------------------------------- */

struct statement {
    volatile uint64_t returns[100]; /* outermost first */
    volatile size_t depth;
    volatile pid_t tid;
    volatile bool may_end; /* never, but the compiler cannot know */
};

static struct statement *stated;
static volatile int after_call; /* written behind a call, so that it is no jump */

static void state(const void *return_address)
{
    stated->returns[stated->depth] = (uintptr_t)return_address;
    stated->depth = stated->depth + 1;
}

#define STATE() state(__builtin_return_address(0))

apart static void stand_still(void)
{
    STATE();
    stated->tid = gettid();
    while (!stated->may_end)
        pause();
}

apart static void inner(int depth)
{
    STATE();
    if (depth)
        inner(depth - 1);
    else
        stand_still();
    after_call++;
}

apart static int by_qsort(const void *left, const void *right)
{
    STATE();
    inner(1);
    after_call++;
    return *(const char *)left - *(const char *)right;
}

static void *run_plain(void *argument)
{
    STATE();
    inner(3);
    after_call++;
    return argument;
}

static void *run_deep(void *argument)
{
    STATE();
    inner(60);
    after_call++;
    return argument;
}

static void *run_qsort(void *argument)
{
    char letters[] = "ba";

    STATE();
    qsort(letters, 2, 1, by_qsort);
    after_call++;
    return argument;
}

static void on_signal(int number)
{
    STATE();
    inner(number > 0);
    after_call++;
}

static void *run_signal(void *argument)
{
    STATE();
    signal(SIGUSR1, on_signal);
    raise(SIGUSR1);
    after_call++;
    return argument;
}

static void *run_other_stack(void *argument)
{
    static char room[65536] __attribute__((aligned(16)));
    stack_t stack = {.ss_sp = room, .ss_size = sizeof(room)};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};

    STATE();
    sigaltstack(&stack, NULL);
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    after_call++;
    return argument;
}

static void *run_thread(void *argument)
{
    pthread_t thread;

    pthread_create(&thread, NULL, run_plain, NULL);
    pthread_join(thread, NULL);
    return argument;
}

/* ---- looking at it --------------------------------------------------------------------------- */

struct child {
    pid_t pid;
    struct hold hold;
    struct waiter waiter;
    struct target target;
    struct module_list modules;
    struct address_space space;
    struct unwinder *unwinder;
    struct snapshot snapshot;
    struct native_stack stack;
    struct regs regs;
};

static bool child_start(struct child *child, void *(*run)(void *))
{
    *child = (struct child){0};
    memset(stated, 0, sizeof(*stated));
    child->pid = fork();
    if (child->pid == 0) {
        run(NULL);
        _exit(0);
    }
    while (!stated->tid)
        usleep(1000);
    address_space_init(&child->space, &child->modules);
    if (target_open(child->pid, &child->target, NULL) != ERR_OK ||
        address_space_refresh(&child->space, &child->target) != ERR_OK ||
        hold_ask(stated->tid, &child->waiter, &child->hold) != ERR_OK ||
        hold_wait(&child->hold, &child->waiter, clock_now() + 10 * NS_PER_SECOND) != ERR_OK ||
        target_registers(&child->target, child->hold.tid, &child->regs) != ERR_OK)
        return false;
    child->unwinder = unwinder_create(&child->space, &child->target);
    return true;
}

static void child_end(struct child *child)
{
    hold_release(&child->hold);
    kill(child->pid, SIGKILL);
    waitpid(child->pid, NULL, 0);
    unwinder_destroy(child->unwinder);
    native_stack_deinit(&child->stack);
    snapshot_deinit(&child->snapshot);
    address_space_deinit(&child->space);
    module_list_deinit(&child->modules);
    target_close(&child->target);
}

static void walk(struct child *child, size_t window, size_t limit)
{
    snapshot_reset(&child->snapshot);
    if (window)
        snapshot_take(&child->snapshot, &child->target, regs_sp(&child->regs) - 128, window);
    else
        child->snapshot.live = &child->target;
    unwinder_walk(child->unwinder, &child->regs, &child->snapshot, limit, &child->stack);
}

/* ---- checks ---------------------------------------------------------------------------------- */

/* The stated return addresses in order; other frames (libc's) may stand between. */
static bool has_stated(const struct child *child)
{
    size_t next = stated->depth;

    vec_each (frame, &child->stack.frames)
        if (next && frame->is_return && frame->pc == stated->returns[next - 1])
            next--;
    return next == 0;
}

static bool is_consistent(const struct child *child)
{
    const struct native_frame *frames = child->stack.frames.items;
    size_t count = child->stack.frames.length;

    for (size_t i = 0; i < count; i++) {
        const struct region *region =
            address_space_find(&child->space, frames[i].pc - frames[i].is_return);

        if (frames[i].cfa != (i + 1 < count ? frames[i + 1].sp : UINT64_MAX) || !region ||
            region->module != frames[i].module || !region->is_executable ||
            (region->has_bias && frames[i].offset != frames[i].pc - region->bias))
            return false;
    }
    return count > 0 && !frames[0].is_return && frames[0].sp == regs_sp(&child->regs);
}

static bool agrees_with_libunwind(const struct child *child)
{
    unw_addr_space_t space = unw_create_addr_space(&_UPT_accessors, 0);
    struct UPT_info *context = _UPT_create(child->hold.tid);
    unw_cursor_t cursor;
    size_t count = 0;
    bool is_same = unw_init_remote(&cursor, space, context) == 0;

    do {
        unw_word_t pc = 0;

        unw_get_reg(&cursor, UNW_REG_IP, &pc);
        if (pc == 0)
            break;
        is_same = is_same && count < child->stack.frames.length &&
                  child->stack.frames.items[count].pc == pc;
        count++;
    } while (is_same && unw_step(&cursor) > 0);
    _UPT_destroy(context);
    unw_destroy_addr_space(space);
    return is_same && count == child->stack.frames.length;
}

static void check_place(void *(*run)(void *), const char *what)
{
    struct child child;

    if (tap_ok(child_start(&child, run), "%s: stopped", what)) {
        walk(&child, 0, LIMIT);
        tap_is_num(child.stack.end, WALK_ROOT, "its stack is whole");
        tap_ok(stated->depth >= 3 && has_stated(&child), "%s: what the child states", what);
        tap_ok(is_consistent(&child), "%s: frames adjoin, modules and offsets fit", what);
        tap_ok(agrees_with_libunwind(&child), "%s: as libunwind by ptrace", what);
        tap_ok(!child.stack.is_guessed, "%s: nothing is guessed", what);
    }
    child_end(&child);
}

static bool is_same(const struct native_stack *a, const struct native_stack *b)
{
    return a->end == b->end && a->frames.length == b->frames.length &&
           memcmp(a->frames.items, b->frames.items,
                  a->frames.length * sizeof(a->frames.items[0])) == 0;
}

/* By tables that are there already, and with no more room than was given. */
static void test_prepared(void)
{
    struct native_stack stack = {.end = WALK_NO_INFO};
    struct native_frame *room;
    struct child child;

    child_start(&child, run_signal);
    vec_reserve(&stack.frames, LIMIT);
    room = stack.frames.items;
    unwinder_prepare(child.unwinder);
    snapshot_take(&child.snapshot, &child.target, regs_sp(&child.regs) - 128, 65536);
    tap_ok(!unwinder_walk_prepared(child.unwinder, &child.regs, &child.snapshot, LIMIT, &stack),
           "tables that no walk has used are not compiled while a thread stands still");
    unwinder_walk(child.unwinder, &child.regs, &child.snapshot, LIMIT, &child.stack);
    tap_ok(unwinder_walk_prepared(child.unwinder, &child.regs, &child.snapshot, LIMIT, &stack) &&
               is_same(&stack, &child.stack) && has_stated(&child),
           "afterwards the walk is the same");
    tap_ok(!unwinder_walk_prepared(child.unwinder, &child.regs, &child.snapshot, 3, &stack) &&
               stack.end == WALK_TRUNCATED && stack.frames.length == 3,
           "up to the limit");
    tap_ok(!unwinder_walk_prepared(child.unwinder, &child.regs, &child.snapshot, 100 * LIMIT,
                                   &stack) &&
               stack.frames.items == room,
           "never with more room than there is");
    native_stack_deinit(&stack);
    child_end(&child);
}

static void test_names(void)
{
    struct child child;
    size_t found = 0;

    child_start(&child, run_plain);
    walk(&child, 65536, LIMIT);
    tap_ok(child.stack.end == WALK_ROOT && has_stated(&child), "a copy of the stack is enough");
    vec_each (frame, &child.stack.frames) {
        struct image *image = child.modules.modules.items[frame->module].image;
        const struct symbol *symbol =
            image ? symtab_find(image_symtab(image), frame->offset - frame->is_return) : NULL;

        found += symbol && strncmp(symbol->name, "inner", 5) == 0;
    }
    tap_is_num((long long)found, 4, "inner() is there four times by name");
    child_end(&child);
}

static void test_ends(void)
{
    struct child child;
    bool is_good = true;

    child_start(&child, run_deep);
    for (size_t limit = 1; limit < 60; limit += 7) {
        walk(&child, 0, limit);
        is_good &= child.stack.end == WALK_TRUNCATED && child.stack.frames.length == limit;
    }
    tap_ok(is_good, "a limit truncates, and the stack says so");
    is_good = true;
    for (size_t window = 128 + 8; window < 900; window += 8) {
        walk(&child, window, LIMIT);
        is_good &= child.stack.end != WALK_ROOT && !has_stated(&child);
    }
    tap_ok(is_good, "a short copy is never taken for a whole stack");
    walk(&child, 256, LIMIT);
    tap_is_num(child.stack.end, WALK_UNREADABLE, "it is said to be unreadable");
    child_end(&child);
}

/* A blocked thread shows its stack pointer and pc only. */
static void test_few_registers(void)
{
    struct thread_files files = THREAD_FILES_INIT;
    struct procfs_syscall now = {0};
    struct child child;

    child_start(&child, run_plain);
    hold_release(&child.hold);
    thread_files_open(&child.target, child.pid, &files);
    do
        usleep(1000);
    while (thread_files_syscall(&files, &now) == ERR_OK && now.is_running);
    child.regs.known = 1ull << child.regs.arch->sp | 1ull << child.regs.arch->pc;
    child.regs.value[child.regs.arch->tracked[CFI_FP]] = 0xdead;
    tap_ok(now.stack_pointer == regs_sp(&child.regs) && now.program_counter == regs_pc(&child.regs),
           "syscall says what the registers say");
    walk(&child, 65536, LIMIT);
    tap_ok(child.stack.end == WALK_ROOT ? has_stated(&child) : child.stack.end == WALK_NO_REGISTER,
           "two registers: the whole stack, or it says what is missing");
    thread_files_close(&files);
    child_end(&child);
}

/* ---- garbage --------------------------------------------------------------------------------- */

/* A stack of random words, many of them addresses of code and of the stack. */
static void make_garbage(struct rng *rng, const struct child *child, struct snapshot *snapshot)
{
    struct window *window = &snapshot->windows[0];
    size_t regions = child->space.regions.length;

    for (size_t at = 0; at + 8 <= window->size; at += 8) {
        const struct region *region = &child->space.regions.items[rng_next(rng) % regions];
        uint64_t word = rng_next(rng), kind = rng_next(rng) % 4;

        if (kind == 0)
            word = region->start + word % (region->end - region->start);
        else if (kind == 1)
            word = window->start + word % window->size / 8 * 8;
        else if (kind == 2)
            continue;
        memcpy(window->bytes + at, &word, 8);
    }
}

static void test_garbage(void)
{
    struct rng rng = {11};
    struct child child;
    size_t longest = 0;

    child_start(&child, run_deep);
    for (int round = 0; round < 3000; round++) {
        struct regs good = child.regs;

        snapshot_reset(&child.snapshot);
        snapshot_take(&child.snapshot, &child.target, regs_sp(&good) - 128, 8192);
        make_garbage(&rng, &child, &child.snapshot);
        for (unsigned i = 0; i < good.arch->count; i++)
            if (i != good.arch->sp && rng_next(&rng) % 3 == 0)
                memcpy(&child.regs.value[i],
                       child.snapshot.windows[0].bytes + rng_next(&rng) % 1000 * 8, 8);
        unwinder_walk(child.unwinder, &child.regs, &child.snapshot, LIMIT, &child.stack);
        if (child.stack.frames.length > longest)
            longest = child.stack.frames.length;
        child.regs = good;
    }
    memset(child.snapshot.windows[0].bytes, 0xff, child.snapshot.windows[0].size);
    unwinder_walk(child.unwinder, &child.regs, &child.snapshot, LIMIT, &child.stack);
    tap_ok(child.stack.end == WALK_UNMAPPED, "nor is there code at the last address");
    tap_ok(longest <= LIMIT && longest > 1, "3000 stacks of garbage: an end every time");
    walk(&child, 0, LIMIT);
    tap_ok(child.stack.end == WALK_ROOT && has_stated(&child), "afterwards all is as before");
    child_end(&child);
}

int main(void)
{
    sigset_t child_signal;

    sigemptyset(&child_signal);
    sigaddset(&child_signal, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child_signal, NULL);
    stated = mmap(NULL, sizeof(*stated), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check_place(run_plain, "plain calls");
    check_place(run_deep, "60 calls deep");
    check_place(run_qsort, "a callback of the C library");
    check_place(run_signal, "a signal handler");
    check_place(run_other_stack, "a handler on another stack");
    check_place(run_thread, "another thread");
    test_prepared();
    test_names();
    test_ends();
    test_few_registers();
    test_garbage();
    return tap_done();
}
