/* SPDX-License-Identifier: MIT */
/*
 * The unwinder against the truth, at every instruction: print_steps [-c] COUNT PROGRAM ARGUMENTS...
 *
 * Single-steps PROGRAM from its entry point, and compares at COUNT instructions from its own
 * breakpoint (int3) on. With -c it runs up to there, and libunwind says what called main(). The
 * truth is a shadow stack: a call pushes its return address, a signal pushes the restorer and the
 * interrupted pc, and what lies below the stack pointer is popped. libunwind's own ptrace accessors
 * are asked wherever we are wrong, and at every 100th step. Prints one JSON object:
 *
 *   steps, right
 *   honest       not the truth, but the end of the walk says that it is not complete
 *   guessed      not the truth, marked as guessed
 *   wrong        not the truth, passed as a fact
 *   worse        of these three: libunwind was right there
 *   asked, libunwind_right  how often libunwind was asked at such a step, and was right
 *   places       {symbol: number of steps} where we are not right
 *   restorers    signals that were delivered
 */
#include <elf.h>
#include <libunwind-ptrace.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pspy/elf/symtab.h"
#include "pspy/target/live.h"
#include "pspy/target/ptrace.h"
#include "pspy/unwind/unwinder.h"

#define LIMIT       500
#define STACK_BYTES 32768
#define ASK_EVERY   100

struct call {
    uint64_t slot; /* popped once the stack pointer is above it */
    uint64_t pc;   /* to return to */
};

struct place {
    char name[80];
    size_t count;
};

struct stepper {
    struct hold hold;
    struct target target;
    struct module_list modules;
    struct address_space space;
    struct unwinder *unwinder;
    struct snapshot snapshot;
    struct native_stack stack;
    struct regs regs, before;
    VEC(struct call) calls; /* the newest last */
    unw_addr_space_t oracle_space;
    struct UPT_info *oracle;
    VEC(struct place) places;
    size_t steps, right, honest, guessed, wrong, worse, asked, libunwind_right, restorers;
};

static _Noreturn void fail(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t sp_of(const struct stepper *stepper)
{
    return regs_sp(&stepper->regs);
}

static uint64_t word_at(const struct stepper *stepper, uint64_t address)
{
    uint64_t word = 0;

    target_read(&stepper->target, address, &word, sizeof(word));
    return word;
}

/* ---- running ----------------------------------------------------------------------------------
 */

/* The signal it stopped with; ends us when it ended. */
static int wait_stop(const struct stepper *stepper)
{
    int status;

    if (waitpid(stepper->hold.tid, &status, 0) < 0 || !WIFSTOPPED(status))
        fail("print_steps: the program ended");
    return WSTOPSIG(status);
}

static void read_regs(struct stepper *stepper)
{
    stepper->before = stepper->regs;
    if (target_registers(&stepper->target, stepper->hold.tid, &stepper->regs) != ERR_OK)
        fail("print_steps: registers");
}

/* The program's entry point, by the kernel's AT_ENTRY. */
static uint64_t entry_of(pid_t pid)
{
    struct {
        uint64_t type, value;
    } pair = {0};
    char path[64];
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/auxv", pid);
    file = fopen(path, "re");
    while (file && fread(&pair, sizeof(pair), 1, file) == 1 && pair.type != AT_ENTRY)
        ;
    if (!file || pair.type != AT_ENTRY)
        fail("print_steps: auxv");
    fclose(file);
    return pair.value;
}

/* Past the dynamic loader: a breakpoint at the entry point, and away with it. */
static void run_to_entry(struct stepper *stepper)
{
    pid_t pid = stepper->hold.tid;
    uintptr_t entry = entry_of(pid);
    struct user_regs_struct user;
    long code = ptrace(PTRACE_PEEKTEXT, pid, (void *)entry, NULL);

    ptrace(PTRACE_POKETEXT, pid, (void *)entry, (void *)((code & ~0xffl) | 0xcc));
    ptrace(PTRACE_CONT, pid, NULL, NULL);
    if (wait_stop(stepper) != SIGTRAP)
        fail("print_steps: the entry point");
    ptrace(PTRACE_POKETEXT, pid, (void *)entry, (void *)code);
    ptrace(PTRACE_GETREGS, pid, NULL, &user);
    user.rip = entry;
    ptrace(PTRACE_SETREGS, pid, NULL, &user);
}

static void start(struct stepper *stepper, char **argv)
{
    pid_t pid = fork();

    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        execv(argv[0], argv);
        _exit(127);
    }
    stepper->hold = (struct hold){.tid = pid, .state = HOLD_STOPPED};
    wait_stop(stepper); /* of exec */
    ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)PTRACE_O_EXITKILL);
    run_to_entry(stepper);
    if (target_open(pid, &stepper->target, NULL) != ERR_OK)
        fail("print_steps: target_open");
    address_space_init(&stepper->space, &stepper->modules);
    if (address_space_refresh(&stepper->space, &stepper->target) != ERR_OK)
        fail("print_steps: mappings");
    stepper->unwinder = unwinder_create(&stepper->space, &stepper->target);
    stepper->oracle_space = unw_create_addr_space(&_UPT_accessors, 0);
    unw_set_caching_policy(stepper->oracle_space, UNW_CACHE_GLOBAL);
    stepper->oracle = _UPT_create(pid);
    read_regs(stepper);
}

/* ---- the truth --------------------------------------------------------------------------------
 */

/* Prefixes, then e8 or ff /2. */
static bool is_call(const struct stepper *stepper, uint64_t pc)
{
    unsigned char code[15] = {0};
    size_t at = 0;

    target_read_some(&stepper->target, pc, code, sizeof(code));
    while (at < 10 && code[at] &&
           (strchr("\x66\x67\xf2\xf3\x2e\x3e\x64\x65", code[at]) || (code[at] & 0xf0) == 0x40))
        at++;
    return code[at] == 0xe8 || (code[at] == 0xff && (code[at + 1] >> 3 & 7) == 2);
}

static void pop_calls(struct stepper *stepper)
{
    while (stepper->calls.length &&
           stepper->calls.items[stepper->calls.length - 1].slot < sp_of(stepper))
        stepper->calls.length--;
}

static void note_step(struct stepper *stepper)
{
    bool was_call = sp_of(stepper) == regs_sp(&stepper->before) - 8 &&
                    is_call(stepper, regs_pc(&stepper->before));

    pop_calls(stepper);
    if (was_call)
        vec_push(&stepper->calls,
                 ((struct call){sp_of(stepper), word_at(stepper, sp_of(stepper))}));
}

/* The handler stands at its first instruction, the restorer's address on top of the stack. */
static void note_signal(struct stepper *stepper)
{
    vec_push(&stepper->calls,
             ((struct call){regs_sp(&stepper->before) - 1, regs_pc(&stepper->before)}));
    vec_push(&stepper->calls, ((struct call){sp_of(stepper), word_at(stepper, sp_of(stepper))}));
    stepper->restorers++;
}

static void step(struct stepper *stepper)
{
    int number;

    if (ptrace(PTRACE_SINGLESTEP, stepper->hold.tid, NULL, NULL) != 0)
        fail("print_steps: step");
    number = wait_stop(stepper);
    if (number == SIGTRAP) {
        read_regs(stepper);
        note_step(stepper);
        return;
    }
    /* The instruction may or may not have been executed: note it, then deliver the signal. */
    read_regs(stepper);
    if (regs_pc(&stepper->regs) != regs_pc(&stepper->before))
        note_step(stepper);
    if (ptrace(PTRACE_SINGLESTEP, stepper->hold.tid, NULL, (void *)(intptr_t)number) != 0 ||
        wait_stop(stepper) != SIGTRAP)
        fail("print_steps: signal");
    read_regs(stepper);
    note_signal(stepper);
}

/* ---- libunwind --------------------------------------------------------------------------------
 */

/* Fills pcs[] from the innermost frame on; the count. */
static size_t ask_libunwind(const struct stepper *stepper, uint64_t *pcs)
{
    unw_cursor_t cursor;
    size_t count = 0;

    if (unw_init_remote(&cursor, stepper->oracle_space, stepper->oracle) != 0)
        return 0;
    do {
        unw_word_t pc = 0;

        unw_get_reg(&cursor, UNW_REG_IP, &pc);
        if (pc == 0)
            break;
        pcs[count++] = pc;
    } while (count < LIMIT && unw_step(&cursor) > 0);
    return count;
}

static bool is_true(const struct stepper *stepper, const uint64_t *pcs, size_t count)
{
    size_t calls = stepper->calls.length;

    if (count != calls + 1 || pcs[0] != regs_pc(&stepper->regs))
        return false;
    for (size_t i = 1; i < count; i++)
        if (pcs[i] != stepper->calls.items[calls - i].pc)
            return false;
    return true;
}

static bool is_libunwind_right(const struct stepper *stepper)
{
    uint64_t pcs[LIMIT];

    return is_true(stepper, pcs, ask_libunwind(stepper, pcs));
}

/* From the entry point to the program's own breakpoint. */
static void step_to_breakpoint(struct stepper *stepper)
{
    unsigned char code = 0;

    for (size_t i = 0; code != 0xcc; i++) {
        if (i == 1000000)
            fail("print_steps: no breakpoint");
        target_read(&stepper->target, regs_pc(&stepper->regs), &code, 1);
        step(stepper);
    }
}

/* What is on the stack at the breakpoint, in ordinary code, by libunwind. */
static void run_to_breakpoint(struct stepper *stepper)
{
    VEC(struct call) found = VEC_INIT;
    unw_cursor_t cursor;

    if (ptrace(PTRACE_CONT, stepper->hold.tid, NULL, NULL) != 0 || wait_stop(stepper) != SIGTRAP)
        fail("print_steps: no breakpoint");
    read_regs(stepper);
    address_space_refresh(&stepper->space, &stepper->target);
    if (unw_init_remote(&cursor, stepper->oracle_space, stepper->oracle) != 0)
        fail("print_steps: libunwind");
    while (unw_step(&cursor) > 0) {
        unw_word_t pc = 0, sp = 0;

        unw_get_reg(&cursor, UNW_REG_IP, &pc);
        unw_get_reg(&cursor, UNW_REG_SP, &sp);
        vec_push(&found, ((struct call){sp - 8, pc}));
    }
    while (found.length)
        vec_push(&stepper->calls, found.items[--found.length]);
    vec_deinit(&found);
}

/* ---- comparing --------------------------------------------------------------------------------
 */

static void walk(struct stepper *stepper)
{
    snapshot_reset(&stepper->snapshot);
    snapshot_take(&stepper->snapshot, &stepper->target, sp_of(stepper) - 128, STACK_BYTES);
    stepper->snapshot.live = &stepper->target;
    unwinder_walk(stepper->unwinder, &stepper->regs, &stepper->snapshot, LIMIT, &stepper->stack);
}

static void note_place(struct stepper *stepper)
{
    const struct native_frame *frame = &stepper->stack.frames.items[0];
    struct module *modules = stepper->modules.modules.items;
    struct image *image = frame->module == MODULE_NONE ? NULL : modules[frame->module].image;
    const struct symbol *symbol = image ? symtab_find(image_symtab(image), frame->offset) : NULL;
    struct place place = {.count = 1};

    snprintf(place.name, sizeof(place.name), "%s!%s", image ? image_name(image) : "?",
             symbol ? symbol->name : "?");
    vec_each (known, &stepper->places)
        if (strcmp(known->name, place.name) == 0) {
            known->count++;
            return;
        }
    vec_push(&stepper->places, place);
}

static void describe(const struct stepper *stepper)
{
    fprintf(stderr, "step %zu: end %d guessed %d\n  truth", stepper->steps, stepper->stack.end,
            stepper->stack.is_guessed);
    for (size_t i = stepper->calls.length; i-- > 0;)
        fprintf(stderr, " %llx", (unsigned long long)stepper->calls.items[i].pc);
    fprintf(stderr, "\n  found");
    vec_each (frame, &stepper->stack.frames)
        fprintf(stderr, " %llx+%llx", (unsigned long long)frame->pc,
                (unsigned long long)frame->offset);
    fputc('\n', stderr);
}

static void compare(struct stepper *stepper)
{
    const struct native_stack *stack = &stepper->stack;
    uint64_t pcs[LIMIT];
    bool is_right;

    for (size_t i = 0; i < stack->frames.length; i++)
        pcs[i] = stack->frames.items[i].pc;
    is_right = is_true(stepper, pcs, stack->frames.length) && stack->end == WALK_ROOT;
    stepper->steps++;
    if (stepper->steps % ASK_EVERY == 0) {
        stepper->asked++;
        stepper->libunwind_right += is_libunwind_right(stepper);
    }
    if (is_right) {
        stepper->right++;
        return;
    }
    if (getenv("STEPS_DESCRIBE"))
        describe(stepper);
    note_place(stepper);
    stepper->worse += is_libunwind_right(stepper);
    if (stack->end != WALK_ROOT)
        stepper->honest++;
    else if (stack->is_guessed)
        stepper->guessed++;
    else
        stepper->wrong++;
}

static void print_answer(const struct stepper *stepper)
{
    const char *between = "";

    printf("{\"steps\": %zu, \"right\": %zu, \"honest\": %zu, \"guessed\": %zu, \"wrong\": %zu, "
           "\"worse\": %zu, \"asked\": %zu, \"libunwind_right\": %zu, \"restorers\": %zu, "
           "\"places\": {",
           stepper->steps, stepper->right, stepper->honest, stepper->guessed, stepper->wrong,
           stepper->worse, stepper->asked, stepper->libunwind_right, stepper->restorers);
    vec_each (place, &stepper->places) {
        printf("%s\"%s\": %zu", between, place->name, place->count);
        between = ", ";
    }
    puts("}}");
}

static void finish(struct stepper *stepper)
{
    kill(stepper->hold.tid, SIGKILL);
    waitpid(stepper->hold.tid, NULL, 0);
    _UPT_destroy(stepper->oracle);
    unw_destroy_addr_space(stepper->oracle_space);
    unwinder_destroy(stepper->unwinder);
    native_stack_deinit(&stepper->stack);
    snapshot_deinit(&stepper->snapshot);
    address_space_deinit(&stepper->space);
    module_list_deinit(&stepper->modules);
    target_close(&stepper->target);
    vec_deinit(&stepper->calls);
    vec_deinit(&stepper->places);
}

int main(int argc, char **argv)
{
    static struct stepper stepper;
    bool runs = argc > 1 && strcmp(argv[1], "-c") == 0;
    size_t count;

    argv += runs;
    argc -= runs;
    if (argc < 3) {
        fprintf(stderr, "print_steps: see the head of its source\n");
        return 2;
    }
    count = strtoul(argv[1], NULL, 10);
    start(&stepper, argv + 2);
    if (runs)
        run_to_breakpoint(&stepper);
    else
        step_to_breakpoint(&stepper);
    while (stepper.steps < count) {
        walk(&stepper);
        if (stepper.stack.end == WALK_UNMAPPED) {
            address_space_refresh(&stepper.space, &stepper.target);
            walk(&stepper);
        }
        compare(&stepper);
        step(&stepper);
    }
    print_answer(&stepper);
    finish(&stepper);
    return 0;
}
