/* SPDX-License-Identifier: MIT */
/*
 * The reader of Python stacks at every instruction: print_python_steps [-n] COUNT PROGRAM
 ARGUMENTS...
 *
 * PROGRAM is a CPython that writes a byte to stdout when it is in position. Then COUNT of its
 * instructions are single-stepped, and behind each its stack is read in both ways: as that of a
 * thread that stands still, and as that of one that runs, whose copies are the same here. From one
 * instruction to the next a stack gains or loses one frame at most, so whatever else happens is
 * wrong. With -n the native stack is walked too, and what is judged is the merged one, of the
 * thread that stands still: there a native frame may come or go as well, and Python frames take the
 * place of one. Prints one JSON object:
 *
 *   steps, torn  instructions; those that it was said of that the frames cannot be told there
 *   jumps        stacks that are further away from the one before, in either way
 *   disagree     instructions at which the two ways tell different stacks
 *   changes      stacks that are one frame away from the one before
 *   depth        the most frames of a stack

 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/sampler/merge.h"
#include "pspy/target/live.h"
#include "pspy/target/ptrace.h"

#define STACK_BYTES (1u << 20)
#define RED_ZONE    128
#define LIMIT       1000
#define NATIVE_AWAY 3

enum way { STOPPED, RUNNING, WAYS };

struct reading {
    struct python_view view;
    struct python_stack stack;
    VEC(uint64_t) before, now; /* root first: frames' addresses, of native ones the CFA */
    bool is_whole;
};

struct stepper {
    pid_t pid;
    struct target target;
    struct module_list modules;
    struct address_space space;
    struct python python;
    bool is_native;
    struct unwinder *unwinder;
    struct snapshot snapshot;
    struct regs regs;
    struct native_stack native;
    struct merged_stack merged;
    struct reading readings[WAYS];
    size_t torn, jumps, changes, disagree, depth;
};

static _Noreturn void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void start(struct stepper *stepper, char **argv)
{
    int ends[2];
    char byte;

    if (pipe(ends) != 0)
        fail("pipe");
    stepper->pid = fork();
    if (stepper->pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execv(argv[0], argv);
        _exit(127);
    }
    close(ends[1]);
    if (read(ends[0], &byte, 1) != 1)
        fail("print_python_steps: the program is not in position");
    if (ptrace(PTRACE_SEIZE, stepper->pid, NULL, (void *)PTRACE_O_EXITKILL) != 0 ||
        ptrace(PTRACE_INTERRUPT, stepper->pid, NULL, NULL) != 0)
        fail("print_python_steps: seize");
}

static void wait_stop(const struct stepper *stepper)
{
    int status;

    if (waitpid(stepper->pid, &status, 0) < 0 || !WIFSTOPPED(status))
        fail("print_python_steps: the program ended");
}

static void open_python(struct stepper *stepper)
{
    struct error why = ERROR_INIT;

    address_space_init(&stepper->space, &stepper->modules);
    if (target_open(stepper->pid, &stepper->target, &why) != ERR_OK ||
        address_space_refresh(&stepper->space, &stepper->target) != ERR_OK ||
        python_open(&stepper->space, &stepper->target, &stepper->python, &why) != ERR_OK) {
        fprintf(stderr, "%s\n", why.message);
        exit(1);
    }
    python_begin_round(&stepper->python, false);
    python_refresh_threads(&stepper->python, &stepper->target, true);
    if (stepper->python.threads.length != 1)
        fail("print_python_steps: not one thread");
    stepper->unwinder = unwinder_create(&stepper->space, &stepper->target);
}

#define ATTEMPTS 20 /* where the frames lie is to be learnt; we may be put off the CPU */

static void read_stack(struct stepper *stepper, enum way way)
{
    struct reading *reading = &stepper->readings[way];
    struct python_walk how = {.is_stopped = way == STOPPED, .wants_anchors = true, .limit = LIMIT};

    for (int i = 0; i < (way == STOPPED ? 1 : ATTEMPTS); i++) {
        python_walk(&stepper->python, &stepper->target, stepper->python.threads.items, 1, &how,
                    &reading->view, &reading->stack);
        if (reading->stack.end != PYTHON_TORN)
            break;
    }
    reading->is_whole = reading->stack.end == PYTHON_ROOT;
    python_resolve(&stepper->python, &stepper->target, &reading->stack);
    vec_reset(&reading->now);
    for (size_t i = reading->stack.frames.length; i-- > 0;)
        vec_push(&reading->now, reading->stack.frames.items[i].address);
}

/* False if the native half is not whole. */
static bool merge_native(struct stepper *stepper, struct reading *reading)
{
    const struct python *python = &stepper->python;
    struct hold hold = {.tid = stepper->pid, .state = HOLD_STOPPED};
    struct merge_loops loops = {NULL, 0};

    if (python->layout.anchors == ANCHORS_COUNTED)
        loops = (struct merge_loops){python->eval_loops.items, python->eval_loops.length};
    if (target_registers(&stepper->target, hold.tid, &stepper->regs) != ERR_OK)
        fail("print_python_steps: registers");
    snapshot_reset(&stepper->snapshot);
    snapshot_take(&stepper->snapshot, &stepper->target, regs_sp(&stepper->regs) - RED_ZONE,
                  STACK_BYTES);
    unwinder_walk(stepper->unwinder, &stepper->regs, &stepper->snapshot, LIMIT, &stepper->native);
    merge_stacks(&stepper->native, &reading->stack, loops, &stepper->merged);
    vec_reset(&reading->now);
    for (size_t i = stepper->merged.frames.length; i-- > 0;) {
        struct merged_frame frame = stepper->merged.frames.items[i];

        vec_push(&reading->now, frame.is_python ? reading->stack.frames.items[frame.index].address
                                                : stepper->native.frames.items[frame.index].cfa);
    }
    return stepper->native.end == WALK_ROOT;
}

/* How many frames are to be popped and pushed to come from one stack to the other. */
static size_t distance(const struct reading *reading)
{
    size_t same = 0, before = reading->before.length, now = reading->now.length;

    while (same < before && same < now && reading->before.items[same] == reading->now.items[same])
        same++;
    return before - same + (now - same);
}

static void show(const char *what, const uint64_t *frames, size_t count)
{
    fprintf(stderr, "%s:", what);
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, " %" PRIx64, frames[i]);
    fprintf(stderr, "\n");
}

static void judge(struct stepper *stepper, struct reading *reading)
{
    size_t away = reading->before.length ? distance(reading) : 0;

    if (!reading->is_whole)
        return;
    stepper->changes += away > 0;
    if (away > (stepper->is_native ? NATIVE_AWAY : 1) && stepper->jumps++ == 0) {
        show("before", reading->before.items, reading->before.length);
        show("now", reading->now.items, reading->now.length);
    }
    if (reading->now.length > stepper->depth)
        stepper->depth = reading->now.length;
    vec_reset(&reading->before);
    vec_each (address, &reading->now)
        vec_push(&reading->before, *address);
}

static bool do_agree(const struct reading *a, const struct reading *b)
{
    return !a->is_whole || !b->is_whole ||
           (a->now.length == b->now.length &&
            memcmp(a->now.items, b->now.items, a->now.length * sizeof(uint64_t)) == 0);
}

static void look_at_both(struct stepper *stepper)
{
    struct reading *reading = &stepper->readings[STOPPED];

    read_stack(stepper, STOPPED);
    reading->is_whole &= merge_native(stepper, reading);
    judge(stepper, reading);
    stepper->torn += !reading->is_whole;
}

static void look(struct stepper *stepper)
{
    if (stepper->is_native) {
        look_at_both(stepper);
        return;
    }
    for (int way = 0; way < WAYS; way++) {
        read_stack(stepper, way);
        judge(stepper, &stepper->readings[way]);
    }
    stepper->torn += !stepper->readings[STOPPED].is_whole || !stepper->readings[RUNNING].is_whole;
    stepper->disagree += !do_agree(&stepper->readings[STOPPED], &stepper->readings[RUNNING]);
}

static void stepper_deinit(struct stepper *stepper)
{
    for (int way = 0; way < WAYS; way++) {
        python_view_deinit(&stepper->readings[way].view);
        python_stack_deinit(&stepper->readings[way].stack);
        vec_deinit(&stepper->readings[way].before);
        vec_deinit(&stepper->readings[way].now);
    }
    native_stack_deinit(&stepper->native);
    vec_deinit(&stepper->merged.frames);
    snapshot_deinit(&stepper->snapshot);
    unwinder_destroy(stepper->unwinder);
    python_close(&stepper->python);
    address_space_deinit(&stepper->space);
    module_list_deinit(&stepper->modules);
    target_close(&stepper->target);
}

int main(int argc, char **argv)
{
    struct stepper stepper = {.pid = 0};
    size_t count;

    if (argc > 1 && strcmp(argv[1], "-n") == 0) {
        stepper.is_native = true;
        argv++;
        argc--;
    }
    if (argc < 3) {
        fprintf(stderr, "usage: print_python_steps [-n] COUNT PROGRAM ARGUMENTS...\n");
        return 2;
    }
    count = strtoul(argv[1], NULL, 10);
    start(&stepper, argv + 2);
    wait_stop(&stepper);
    open_python(&stepper);
    for (size_t i = 0; i < count; i++) {
        look(&stepper);
        if (ptrace(PTRACE_SINGLESTEP, stepper.pid, NULL, NULL) != 0)
            fail("print_python_steps: step");
        wait_stop(&stepper);
    }
    printf("{\"steps\": %zu, \"torn\": %zu, \"jumps\": %zu, \"disagree\": %zu, \"changes\": %zu, "
           "\"depth\": %zu}\n",
           count, stepper.torn, stepper.jumps, stepper.disagree, stepper.changes, stepper.depth);
    stepper_deinit(&stepper);
    kill(stepper.pid, SIGKILL);
    return 0;
}
