/* SPDX-License-Identifier: MIT */
/*
 * How long a walk takes: print_walk PID [ROUNDS]
 *
 * Stops the process's first thread once, copies its stack, and walks it again and again, by our
 * rows and by libunwind with its cache warm. Prints one JSON object: the frames (the same for both,
 * else it says so and fails), ns of CPU a frame for each, the least of five turns; what opening the
 * images of all mappings took, and the first walk, which compiles the tables of the files on the
 * stack; their rows and bytes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../../src/unwind/internal.h"
#include "pspy/base/clock.h"
#include "pspy/target/live.h"
#include "pspy/target/ptrace.h"

#define LIMIT       5000
#define STACK_BYTES (8u << 20)
#define TURNS       5

struct bench {
    struct target target;
    struct module_list modules;
    struct address_space space;
    struct unwinder *unwinder;
    struct snapshot snapshot;
    struct regs regs;
    struct native_stack ours, theirs;
};

static uint64_t cpu_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

static bool take(struct bench *bench, pid_t pid)
{
    struct waiter waiter = {0};
    struct hold hold;
    bool is_good;

    if (hold_ask(pid, &waiter, &hold) != ERR_OK)
        return false;
    is_good = hold_wait(&hold, &waiter, clock_now() + 10 * NS_PER_SECOND) == ERR_OK &&
              target_registers(&bench->target, hold.tid, &bench->regs) == ERR_OK &&
              snapshot_take(&bench->snapshot, &bench->target, regs_sp(&bench->regs) - 128,
                            STACK_BYTES) > 0;
    hold_release(&hold);
    return is_good;
}

static void walk_ours(struct bench *bench)
{
    unwinder_walk(bench->unwinder, &bench->regs, &bench->snapshot, LIMIT, &bench->ours);
}

static void walk_theirs(struct bench *bench)
{
    struct regs regs = bench->regs;

    bench->unwinder->stack = &bench->snapshot;
    vec_reset(&bench->theirs.frames);
    bench->theirs.end = remote_walk(bench->unwinder->remote, &regs, false, LIMIT, &bench->theirs);
}

static double ns_of(struct bench *bench, void (*walk)(struct bench *), size_t rounds)
{
    uint64_t least = UINT64_MAX;

    walk(bench);
    for (int turn = 0; turn < TURNS; turn++) {
        uint64_t start = cpu_now();

        for (size_t i = 0; i < rounds; i++)
            walk(bench);
        start = cpu_now() - start;
        if (start < least)
            least = start;
    }
    return (double)least / (double)rounds;
}

static bool is_same(const struct bench *bench)
{
    size_t count = bench->ours.frames.length;

    if (count != bench->theirs.frames.length || bench->ours.end != bench->theirs.end)
        return false;
    for (size_t i = 0; i < count; i++)
        if (bench->ours.frames.items[i].pc != bench->theirs.frames.items[i].pc ||
            bench->ours.frames.items[i].cfa != bench->theirs.frames.items[i].cfa)
            return false;
    return true;
}

static void print_answer(const struct bench *bench, double ours, double theirs, uint64_t prepare,
                         uint64_t tables)
{
    double frames = (double)bench->ours.frames.length;
    size_t rows = 0, bytes = 0;

    vec_each (module, &bench->modules.modules) {
        const struct cfi *cfi =
            module->image && image_cfi_is_ready(module->image) ? image_cfi(module->image) : NULL;

        if (cfi) {
            rows += cfi->count;
            bytes += cfi->count * (sizeof(cfi->pc[0]) + sizeof(cfi->rule[0])) +
                     cfi->rule_count * sizeof(cfi->rules[0]);
        }
    }
    printf("{\"frames\": %.0f, \"end\": %d, \"ours\": %.1f, \"libunwind\": %.1f, \"prepare_us\": "
           "%.0f, \"tables_us\": %.0f, \"rows\": %zu, \"bytes\": %zu}\n",
           frames, bench->ours.end, ours / frames, theirs / frames, (double)prepare / 1000,
           (double)tables / 1000, rows, bytes);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    size_t rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 2000;
    pid_t pid = argc > 1 ? (pid_t)strtol(argv[1], NULL, 10) : 0;
    double ours, theirs;
    uint64_t prepare, tables;

    address_space_init(&bench.space, &bench.modules);
    if (pid == 0 || target_open(pid, &bench.target, NULL) != ERR_OK ||
        address_space_refresh(&bench.space, &bench.target) != ERR_OK) {
        fprintf(stderr, "print_walk: see the head of its source\n");
        return 2;
    }
    bench.unwinder = unwinder_create(&bench.space, &bench.target);
    prepare = cpu_now();
    unwinder_prepare(bench.unwinder);
    prepare = cpu_now() - prepare;
    if (!take(&bench, pid)) {
        fprintf(stderr, "print_walk: cannot stop %d\n", (int)pid);
        return 1;
    }
    tables = cpu_now();
    walk_ours(&bench);
    tables = cpu_now() - tables;
    ours = ns_of(&bench, walk_ours, rounds);
    theirs = ns_of(&bench, walk_theirs, rounds / 10 + 1);
    if (!is_same(&bench)) {
        fprintf(stderr, "print_walk: the stacks differ\n");
        return 1;
    }
    print_answer(&bench, ours, theirs, prepare, tables);
    unwinder_destroy(bench.unwinder);
    native_stack_deinit(&bench.ours);
    native_stack_deinit(&bench.theirs);
    snapshot_deinit(&bench.snapshot);
    address_space_deinit(&bench.space);
    module_list_deinit(&bench.modules);
    target_close(&bench.target);
    return 0;
}
