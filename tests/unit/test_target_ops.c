/* SPDX-License-Identifier: MIT */
/*
 * target.h, module.h, snapshot.h and unwinder.h over a target that is no process: its memory is an
 * array, its one thread's registers are made up, and one of its two mappings is this program's own
 * code, at addresses where nothing is. Its pid is one that no process can have, so whoever asked
 * the kernel would learn nothing.
 */
#include "pspy/target/target.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pspy/base/cleanup.h"
#include "pspy/target/module.h"
#include "pspy/target/procfs.h"
#include "pspy/target/snapshot.h"
#include "pspy/unwind/unwinder.h"
#include "tap.h"

#define PID   INT_MAX
#define TID   (INT_MAX - 1)
#define CODE  0x5a0000000000ull
#define STACK 0x5b0000000000ull
#define WORDS 512
#define SP    256 /* index of the word that it points to */
#define TEXT  16  /* of the word where a text stands */

struct fake {
    uint64_t words[WORDS];
    struct mapping code;
    uint64_t moved; /* from our own addresses of code to the target's */
    unsigned closed, opened;
};

/* ---- how it answers -------------------------------------------------------------------------- */

static void fake_close(struct target *target)
{
    struct fake *fake = target->state;

    fake->closed++;
}

static size_t fake_read(const struct target *target, const struct iovec *local, size_t local_count,
                        const struct iovec *remote, size_t remote_count)
{
    const struct fake *fake = target->state;
    size_t total = 0;

    for (size_t i = 0; i < remote_count && i < local_count; i++) {
        uint64_t at = (uint64_t)(uintptr_t)remote[i].iov_base - STACK;
        size_t size = remote[i].iov_len;

        if (at >= sizeof(fake->words))
            break;
        if (size > sizeof(fake->words) - at)
            size = sizeof(fake->words) - at;
        memcpy(local[i].iov_base, (const char *)fake->words + at, size);
        total += size;
        if (size < remote[i].iov_len)
            break;
    }
    return total;
}

static enum err fake_mappings(const struct target *target, mapping_visitor *visit, void *context)
{
    const struct fake *fake = target->state;
    const struct mapping stack = {
        .start = STACK, .end = STACK + sizeof(fake->words), .is_readable = true, .path = "[stack]"};

    visit(context, &fake->code);
    visit(context, &stack);
    return ERR_OK;
}

static enum err fake_threads(const struct target *target, struct tid_list *ret)
{
    (void)target;
    vec_reset(&ret->tids);
    vec_push(&ret->tids, TID);
    return ERR_OK;
}

static pid_t fake_namespace_tid(const struct target *target, pid_t tid)
{
    (void)target;
    return tid == TID ? 1 : tid;
}

static void fake_thread_comm(const struct target *target, pid_t tid, struct strbuf *ret)
{
    (void)target;
    if (tid == TID)
        strbuf_add(ret, "stored", 6);
}

static void first(void)
{
    tap_count++;
}

static void second(void)
{
    tap_failures++;
}

static void third(void)
{
    tap_count--;
}

static uint64_t address_of(void (*function)(void))
{
    return (uint64_t)(uintptr_t)function;
}

static enum err fake_registers(const struct target *target, pid_t tid, struct regs *ret)
{
    const struct fake *fake = target->state;

    if (tid != TID)
        return ERR_GONE;
    *ret = regs_of_place(cfi_arch_host(), address_of(first) + fake->moved,
                         STACK + SP * sizeof(fake->words[0]));
    return ERR_OK;
}

static int fake_open_file(const struct target *target, const char *path)
{
    (void)target;
    (void)path;
    return -1;
}

static int fake_open_mapping(const struct target *target, const struct mapping *mapping)
{
    struct fake *fake = target->state;

    if (mapping->start != CODE)
        return -1;
    fake->opened++;
    return open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
}

static enum err fake_stat(const struct target *target, struct procfs_stat *ret)
{
    (void)target;
    *ret = (struct procfs_stat){.state = 't', .threads = 1, .start_time = 4711};
    return ERR_OK;
}

static enum err fake_owner(const struct target *target, uid_t *ret)
{
    (void)target;
    *ret = 4711;
    return ERR_OK;
}

static void fake_command(const struct target *target, struct strbuf *ret)
{
    (void)target;
    strbuf_add(ret, "stored -x", 9);
}

static void fake_executable(const struct target *target, struct strbuf *ret)
{
    (void)target;
    strbuf_add(ret, "/bin/stored", 11);
}

static const struct target_ops fake_ops = {
    .close = fake_close,
    .read = fake_read,
    .mappings = fake_mappings,
    .threads = fake_threads,
    .namespace_tid = fake_namespace_tid,
    .thread_comm = fake_thread_comm,
    .registers = fake_registers,
    .open_file = fake_open_file,
    .open_mapping = fake_open_mapping,
    .stat = fake_stat,
    .owner = fake_owner,
    .command = fake_command,
    .executable = fake_executable,
};

/* ---- what it holds --------------------------------------------------------------------------- */

/* Where our own code is mapped, by the kernel's word. */
static bool find_code(struct fake *fake, char *line, size_t size)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    struct mapping mapping;
    bool is_found = false;

    while (maps && !is_found && fgets(line, (int)size, maps)) {
        line[strcspn(line, "\n")] = '\0';
        is_found = procfs_parse_mapping(line, &mapping) && address_of(first) >= mapping.start &&
                   address_of(first) < mapping.end;
    }
    if (maps)
        fclose(maps);
    fake->moved = CODE - mapping.start;
    fake->code = mapping;
    fake->code.start += fake->moved;
    fake->code.end += fake->moved;
    return is_found;
}

/* As if third had just called second, and that first: the return address is on top at a function's
 * first instruction, and is looked up one byte before. Nobody called third. */
static void fill_stack(struct fake *fake)
{
    fake->words[SP] = address_of(second) + fake->moved + 1;
    fake->words[SP + 1] = address_of(third) + fake->moved + 1;
    memcpy(&fake->words[TEXT], "a text", 7);
}

/* ---- the tests ------------------------------------------------------------------------------- */

static void test_answers(const struct target *target)
{
    cleanup(strbuf_deinit) struct strbuf command = STRBUF_INIT, path = STRBUF_INIT,
                                         comm = STRBUF_INIT, text = STRBUF_INIT;
    cleanup(tid_list_deinit) struct tid_list list = {.tids = VEC_INIT};
    struct procfs_stat stat;
    uint64_t word = 0;
    uid_t owner = 0;

    target_command(target, &command);
    target_executable(target, &path);
    tap_is_str(command.text, "stored -x", "its command");
    tap_is_str(path.text, "/bin/stored", "its executable");
    tap_ok(target_threads(target, &list) == ERR_OK && list.tids.length == 1 &&
               list.tids.items[0] == TID && target_namespace_tid(target, TID) == 1,
           "its thread");
    target_thread_comm(target, TID, &comm);
    tap_is_str(comm.text, "stored", "its thread's name");
    tap_ok(target_stat(target, &stat) == ERR_OK && stat.start_time == 4711, "its identity");
    tap_ok(target_owner(target, &owner) == ERR_OK && owner == 4711, "its owner");
    tap_ok(target_read(target, STACK + (SP + 2) * sizeof(word) - 4, &word, sizeof(word)) == ERR_OK,
           "its memory");
    tap_ok(target_read(target, STACK + WORDS * sizeof(word) - 4, &word, sizeof(word)) ==
                   ERR_UNREADABLE &&
               target_read(target, CODE, &word, sizeof(word)) == ERR_UNREADABLE,
           "what it does not hold is unreadable");
    tap_ok(target_read_text(target, STACK + TEXT * sizeof(word), 100, &text) == ERR_OK &&
               strcmp(text.text, "a text") == 0,
           "a text in it");
    tap_ok(target_open_file(target, "/etc/passwd") == -1, "no file of ours");
}

static void test_space(struct address_space *space, const struct target *target)
{
    const struct fake *fake = target->state;
    struct code_place place;

    tap_ok(address_space_refresh(space, target) == ERR_OK && space->regions.length == 2,
           "its mappings");
    tap_ok(address_space_find(space, STACK)->is_stack && !address_space_find(space, 0x1000),
           "found by address");
    tap_ok(address_space_place(space, target, address_of(first) + fake->moved, &place) &&
               place.image && fake->opened == 1,
           "the image behind its code");
}

static void test_walk(struct address_space *space, const struct target *target)
{
    const struct fake *fake = target->state;
    struct unwinder *unwinder = unwinder_create(space, target);
    struct native_stack stack = {.end = WALK_NO_INFO};
    struct snapshot snapshot = {.count = 0};
    struct regs regs;

    tap_ok(target_registers(target, TID, &regs) == ERR_OK &&
               target_registers(target, PID, &regs) == ERR_GONE,
           "its thread's registers");
    target_registers(target, TID, &regs);
    tap_ok(snapshot_take(&snapshot, target, regs_sp(&regs) - 128, 65536) ==
               128 + (WORDS - SP) * sizeof(fake->words[0]),
           "a copy of its stack, as far as that goes");
    unwinder_walk(unwinder, &regs, &snapshot, 100, &stack);
#if defined(__x86_64__)
    tap_ok(stack.end == WALK_ROOT && stack.frames.length == 3, "a walk to the root");
    tap_ok(stack.frames.length == 3 && stack.frames.items[1].pc == fake->words[SP] &&
               stack.frames.items[2].pc == fake->words[SP + 1] &&
               stack.frames.items[2].sp == regs_sp(&regs) + 16,
           "by the return addresses");
#endif
    tap_ok(stack.frames.length > 0 && stack.frames.items[0].module != MODULE_NONE &&
               stack.frames.items[0].pc == address_of(first) + fake->moved,
           "from where the thread stands");
    native_stack_deinit(&stack);
    snapshot_deinit(&snapshot);
    unwinder_destroy(unwinder);
}

int main(void)
{
    static struct fake fake;
    struct target target = {.ops = &fake_ops, .state = &fake, .pid = PID, .root_fd = -1};
    struct module_list modules = {.modules = VEC_INIT};
    struct address_space space;
    char line[PATH_MAX + 200];

    if (!tap_ok(find_code(&fake, line, sizeof(line)), "our own code is found"))
        return tap_done();
    fill_stack(&fake);
    test_answers(&target);
    address_space_init(&space, &modules);
    test_space(&space, &target);
    test_walk(&space, &target);
    address_space_deinit(&space);
    module_list_deinit(&modules);
    target_close(&target);
    target_close(&target);
    tap_ok(fake.closed == 1 && !target.ops, "closed once");
    return tap_done();
}
