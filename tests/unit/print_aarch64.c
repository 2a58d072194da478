/* SPDX-License-Identifier: MIT */
/*
 * aarch64's rows and walk against the truth, where no such machine is:
 *
 *   print_aarch64 COUNT FUNCTION SOCKET QEMU ARGUMENTS... PROGRAM
 *
 * QEMU runs PROGRAM, an executable at a fixed address, under our control by gdb's remote protocol;
 * `-B 0` makes the program's addresses those of QEMU's own process, so that its memory is read
 * from there. COUNT instructions are stepped from main() on, of a dynamic program from its first,
 * and at each the walk is compared with a shadow stack: a call pushes its return address and the
 * stack pointer, which are both back when it returns. A signal pushes where the program was, and
 * where the handler returns to. With COUNT 0 the program runs until it is in FUNCTION, and the pcs
 * of the walk are printed. Else one JSON object:
 *
 *   steps                     instructions that were compared
 *   right                     all return addresses, up to where the program began
 *   honest                    not right, but the walk says that it did not reach the end
 *   guessed                   wrong, but said to be guessed
 *   wrong                     wrong, and nothing says so
 *   signals, signed           signals that came; steps with a signed return address on the way
 *   places: {function: count} where it was not right
 */
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pspy/elf/symtab.h"
#include "pspy/target/live.h"
#include "pspy/unwind/unwinder.h"

#define LIMIT        200
#define STACK_BYTES  65536
#define LINK         30
#define SYSTEM_CALL  0xd4000001 /* svc #0, with its number in x8: */
#define RT_SIGRETURN 139
#define TRAP         5 /* gdb's number of SIGTRAP */

/* Addresses have 39 bits in QEMU's process, and a signature is above. */
#define SIGNATURE ((1ull << 55) - (1ull << 48))

struct call {
    uint64_t pc; /* where it returns to */
    uint64_t sp; /* the stack pointer then; 0: any */
};

struct place {
    char name[80];
    size_t count;
};

struct stepper {
    pid_t pid;
    int socket;
    char received[4096]; /* what came, read up to `at` */
    size_t at, got;
    char packet[4096]; /* the last answer */
    struct target target;
    struct module_list modules;
    struct address_space space;
    struct unwinder *unwinder;
    struct snapshot snapshot;
    struct native_stack stack;
    struct image *program;
    struct regs regs, before;
    VEC(struct call) calls; /* the newest last */
    VEC(struct place) places;
    size_t steps, right, honest, guessed, wrong, signals, signed_steps;
};

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "print_aarch64: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- the remote protocol: $text#checksum, each answered by + ---- */

static char receive(struct stepper *stepper)
{
    if (stepper->at == stepper->got) {
        ssize_t got = read(stepper->socket, stepper->received, sizeof(stepper->received));

        if (got <= 0)
            fail("QEMU is gone");
        stepper->got = (size_t)got;
        stepper->at = 0;
    }
    return stepper->received[stepper->at++];
}

static void ask(struct stepper *stepper, const char *text)
{
    char message[128];
    unsigned sum = 0;
    size_t length = 0;
    char letter;

    for (const char *at = text; *at; at++)
        sum += (unsigned char)*at;
    length = (size_t)snprintf(message, sizeof(message), "$%s#%02x", text, sum & 0xff);
    if (write(stepper->socket, message, length) != (ssize_t)length)
        fail("write");
    while (receive(stepper) != '$')
        ;
    length = 0;
    while ((letter = receive(stepper)) != '#')
        if (length + 1 < sizeof(stepper->packet))
            stepper->packet[length++] = letter;
    stepper->packet[length] = '\0';
    receive(stepper);
    receive(stepper);
    if (write(stepper->socket, "+", 1) != 1)
        fail("write");
}

/* The numbers come as bytes, the lowest first: x0-x30, sp, pc. */
static void read_regs(struct stepper *stepper)
{
    struct regs *regs = &stepper->regs;

    stepper->before = *regs;
    ask(stepper, "g");
    *regs = (struct regs){.arch = cfi_arch_find(EM_AARCH64), .signature = SIGNATURE};
    for (unsigned number = 0; number < regs->arch->count; number++) {
        char digits[17] = {0};

        memcpy(digits, stepper->packet + (size_t)16 * number, 16);
        regs_set(regs, number, __builtin_bswap64(strtoull(digits, NULL, 16)));
    }
}

/* T05thread:... or S05; the signal's number by gdb. */
static int go(struct stepper *stepper, const char *how)
{
    ask(stepper, how);
    if (stepper->packet[0] != 'T' && stepper->packet[0] != 'S') {
        fprintf(stderr, "print_aarch64: %s: %s\n", how, stepper->packet);
        exit(1);
    }
    stepper->packet[3] = '\0';
    return (int)strtol(stepper->packet + 1, NULL, 16);
}

static void run_to(struct stepper *stepper, uint64_t address)
{
    char text[64], on[16] = "c";
    int number;

    snprintf(text, sizeof(text), "Z0,%llx,4", (unsigned long long)address);
    ask(stepper, text);
    while ((number = go(stepper, on)) != TRAP)
        snprintf(on, sizeof(on), "vCont;C%02x", (unsigned)number);
    text[0] = 'z';
    ask(stepper, text);
    read_regs(stepper);
}

/* ---- starting ---- */

static void start_qemu(struct stepper *stepper, const char *path, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    unlink(path);
    stepper->pid = fork();
    if (stepper->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execvp(argv[0], argv);
        _exit(127);
    }
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    stepper->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    while (connect(stepper->socket, (struct sockaddr *)&address, sizeof(address)) != 0) {
        if (waitpid(stepper->pid, NULL, WNOHANG) != 0)
            fail("QEMU ended");
        usleep(1000);
    }
    ask(stepper, "?");
    ask(stepper, "qSupported"); /* how registers are sent */
    ask(stepper, "qXfer:features:read:target.xml:0,ffb");
}

static void open_program(struct stepper *stepper, const char *path)
{
    FILE *file = fopen(path, "re");

    if (!file || image_open(fileno(file), path, -1, &stepper->program, NULL) != ERR_OK)
        fail(path);
    fclose(file);
}

static uint64_t symbol(const struct stepper *stepper, const char *name)
{
    uint64_t address;

    if (!image_symbol(stepper->program, name, &address))
        fail(name);
    return address;
}

/* For QEMU's own process the program's code is data: what the files call code is marked as such. */
static void look_at_mappings(struct stepper *stepper)
{
    struct address_space *space = &stepper->space;

    if (address_space_refresh(space, &stepper->target) != ERR_OK)
        fail("mappings");
    for (size_t i = 0; i < space->regions.length; i++) {
        struct region *region = &space->regions.items[i];
        struct image *image = region_image(space, &stepper->target, region);
        uint64_t bias;

        region->is_executable =
            image && image_machine(image) == EM_AARCH64 &&
            image_bias(image, region->start, region->offset, region->end - region->start, &bias);
        region->bias_was_tried = false;
    }
    space->generation++;
}

/* ---- the truth ---- */

static uint32_t instruction_at(const struct stepper *stepper, uint64_t pc)
{
    uint32_t word = 0;

    target_read(&stepper->target, pc, &word, sizeof(word));
    return word;
}

/* bl, or blr in any form */
static bool is_call(uint32_t word)
{
    return word >> 26 == 0x25 || (word & 0xfefff000) == 0xd63f0000;
}

static void pop_calls(struct stepper *stepper)
{
    const struct call *newest;

    while (stepper->calls.length) {
        newest = &stepper->calls.items[stepper->calls.length - 1];
        if (newest->pc != regs_pc(&stepper->regs) ||
            (newest->sp && newest->sp != regs_sp(&stepper->regs)))
            return;
        stepper->calls.length--;
    }
}

/* The handler's first instruction was executed already. */
static void deliver(struct stepper *stepper, int number)
{
    struct call interrupted = {regs_pc(&stepper->regs), regs_sp(&stepper->regs)};
    char text[16];

    snprintf(text, sizeof(text), "vCont;S%02x", (unsigned)number);
    if (go(stepper, text) != TRAP)
        fail("no handler");
    read_regs(stepper);
    vec_push(&stepper->calls, interrupted);
    vec_push(&stepper->calls, ((struct call){stepper->regs.value[LINK] & ~SIGNATURE, 0}));
    stepper->signals++;
}

/* QEMU steps over a system call and the instruction that comes next: that one's pc. After a
 * handler it is where the program was interrupted. */
static uint64_t last_executed(struct stepper *stepper, uint64_t pc)
{
    if (instruction_at(stepper, pc) != SYSTEM_CALL)
        return pc;
    if (stepper->regs.value[8] != RT_SIGRETURN)
        return pc + 4;
    return stepper->calls.items[--stepper->calls.length].pc;
}

static void step(struct stepper *stepper)
{
    uint64_t pc = last_executed(stepper, regs_pc(&stepper->regs));
    uint32_t word = instruction_at(stepper, pc);
    int number = go(stepper, "s");

    read_regs(stepper);
    pop_calls(stepper);
    if (is_call(word) && regs_pc(&stepper->regs) != pc)
        vec_push(&stepper->calls, ((struct call){pc + 4, regs_sp(&stepper->regs)}));
    if (number != TRAP)
        deliver(stepper, number);
}

/* To main() by what calls it: of a static program, which takes long to get there. */
static void run_to_main(struct stepper *stepper)
{
    static const char *const way[] = {"__libc_start_main", "__libc_start_call_main", "main"};
    uint64_t address;

    for (size_t i = 0; i < 3; i++) {
        if (!image_symbol(stepper->program, way[i], &address))
            return;
        run_to(stepper, address);
        vec_push(&stepper->calls,
                 ((struct call){stepper->regs.value[LINK], regs_sp(&stepper->regs)}));
    }
}

/* ---- comparing ---- */

static void walk(struct stepper *stepper)
{
    snapshot_reset(&stepper->snapshot);
    snapshot_take(&stepper->snapshot, &stepper->target, regs_sp(&stepper->regs) - 128, STACK_BYTES);
    unwinder_walk(stepper->unwinder, &stepper->regs, &stepper->snapshot, LIMIT, &stepper->stack);
}

static bool is_true(const struct stepper *stepper)
{
    const struct native_frame *frames = stepper->stack.frames.items;
    size_t calls = stepper->calls.length;

    if (stepper->stack.frames.length != calls + 1 || stepper->stack.end != WALK_ROOT ||
        frames[0].pc != regs_pc(&stepper->regs))
        return false;
    for (size_t i = 0; i < calls; i++)
        if (frames[calls - i].pc != stepper->calls.items[i].pc)
            return false;
    return true;
}

static void describe(const struct stepper *stepper)
{
    fprintf(stderr, "step %zu: end %d\n  truth %llx", stepper->steps, stepper->stack.end,
            (unsigned long long)regs_pc(&stepper->regs));
    for (size_t i = stepper->calls.length; i-- > 0;)
        fprintf(stderr, " %llx", (unsigned long long)stepper->calls.items[i].pc);
    fprintf(stderr, "\n  found");
    vec_each (frame, &stepper->stack.frames)
        fprintf(stderr, " %llx", (unsigned long long)frame->pc);
    fputc('\n', stderr);
}

static void note_place(struct stepper *stepper)
{
    const struct native_frame *frame = &stepper->stack.frames.items[0];
    struct image *image =
        frame->module == MODULE_NONE ? NULL : stepper->modules.modules.items[frame->module].image;
    const struct symbol *found = image ? symtab_find(image_symtab(image), frame->offset) : NULL;
    struct place place = {.count = 1};

    snprintf(place.name, sizeof(place.name), "%s", found ? found->name : "?");
    vec_each (known, &stepper->places)
        if (strcmp(known->name, place.name) == 0) {
            known->count++;
            return;
        }
    vec_push(&stepper->places, place);
}

static void compare(struct stepper *stepper)
{
    walk(stepper);
    if (stepper->stack.end == WALK_UNMAPPED) {
        look_at_mappings(stepper);
        walk(stepper);
    }
    stepper->steps++;
    stepper->signed_steps += (stepper->regs.value[LINK] & SIGNATURE) != 0;
    if (is_true(stepper)) {
        stepper->right++;
        return;
    }
    if (getenv("STEPS_DESCRIBE"))
        describe(stepper);
    note_place(stepper);
    if (stepper->stack.end != WALK_ROOT)
        stepper->honest++;
    else if (stepper->stack.is_guessed)
        stepper->guessed++;
    else
        stepper->wrong++;
}

static void print_answer(const struct stepper *stepper)
{
    const char *between = "";

    printf("{\"steps\": %zu, \"right\": %zu, \"honest\": %zu, \"guessed\": %zu, \"wrong\": %zu, "
           "\"signals\": %zu, \"signed\": %zu, \"places\": {",
           stepper->steps, stepper->right, stepper->honest, stepper->guessed, stepper->wrong,
           stepper->signals, stepper->signed_steps);
    vec_each (place, &stepper->places) {
        printf("%s\"%s\": %zu", between, place->name, place->count);
        between = ", ";
    }
    puts("}}");
}

static void finish(struct stepper *stepper)
{
    kill(stepper->pid, SIGKILL);
    waitpid(stepper->pid, NULL, 0);
    close(stepper->socket);
    unwinder_destroy(stepper->unwinder);
    native_stack_deinit(&stepper->stack);
    snapshot_deinit(&stepper->snapshot);
    address_space_deinit(&stepper->space);
    module_list_deinit(&stepper->modules);
    image_destroy(stepper->program);
    target_close(&stepper->target);
    vec_deinit(&stepper->calls);
    vec_deinit(&stepper->places);
}

int main(int argc, char **argv)
{
    static struct stepper stepper;
    size_t count = argc > 5 ? strtoul(argv[1], NULL, 10) : 0;

    if (argc < 6) {
        fprintf(stderr, "print_aarch64: see the head of its source\n");
        return 2;
    }
    open_program(&stepper, argv[argc - 1]);
    start_qemu(&stepper, argv[3], argv + 4);
    if (target_open(stepper.pid, &stepper.target, NULL) != ERR_OK)
        fail("target_open");
    address_space_init(&stepper.space, &stepper.modules);
    stepper.unwinder = unwinder_create(&stepper.space, &stepper.target);
    run_to(&stepper, image_entry(stepper.program));
    if (count) {
        run_to_main(&stepper);
        look_at_mappings(&stepper);
        for (; stepper.steps < count; step(&stepper))
            compare(&stepper);
        print_answer(&stepper);
    } else {
        run_to(&stepper, symbol(&stepper, argv[2]));
        look_at_mappings(&stepper);
        walk(&stepper);
        vec_each (frame, &stepper.stack.frames)
            printf("%llx\n", (unsigned long long)frame->pc);
    }
    finish(&stepper);
    return 0;
}
