/* SPDX-License-Identifier: MIT */
/*
 * Our rows against libunwind, over ELF files: print_rows [-s EVERY] FILE...
 *
 * At the first and the last byte of every row (of every EVERYth one), a frame is made up: registers
 * and a stack of pseudo-random words that point into the stack. Both take one step from there, and
 * the caller's pc, stack pointer, rbp and rbx must agree. Where we have no row libunwind must have
 * none, and where libunwind says that there is no caller, so must we. Ours of .init and .fini, for
 * which there are no tables, are left out. Prints one JSON object a file:
 *
 *   file, rows, rules, bytes, us       what was compiled, and the microseconds of CPU it took
 *   asked                              places that were compared
 *   exotic                             rows that are left to libunwind
 *   refused                            places where libunwind does not know a register that the
 *                                      information names (xmm), and gives up
 *   refusals: [[at, register, offset]] some of them, and the CFA by our row
 *   differs: [{at, kind, what}]        some of them; `differences` counts all
 */
#include <fcntl.h>
#include <libunwind.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../src/unwind/walk.h"
#include "pspy/base/clock.h"
#include "pspy/base/table.h"
#include "pspy/elf/ehframe.h"
#include "pspy/elf/image.h"

extern int UNW_OBJ(dwarf_search_unwind_table)(unw_addr_space_t space, unw_word_t ip,
                                              unw_dyn_info_t *table, unw_proc_info_t *ret,
                                              int need_unwind_info, void *context);

#define DIFFERENCES 20
#define STACK_BASE  0x7f0000000000u
#define STACK_BYTES (4u << 20)

struct difference {
    uint64_t at;
    unsigned kind;
    const char *what;
    uint64_t ours, theirs;
};

struct refusal {
    uint64_t at;
    unsigned reg;
    int32_t offset;
};

struct checker {
    struct image *image;
    const struct cfi *rows;
    struct ehframe_table table;
    uint64_t low, high;
    bool has_table;
    unw_addr_space_t space;
    struct snapshot stack;
    struct regs regs;
    bool info_was_missing;
    bool memory_was_missing;
    size_t asked, exotic, differences, refused;
    struct difference differs[DIFFERENCES];
    struct refusal refusals[DIFFERENCES];
};

/* ---- libunwind's accessors ---- */

static int find_proc_info(unw_addr_space_t space, unw_word_t ip, unw_proc_info_t *ret,
                          int need_info, void *context)
{
    struct checker *checker = context;
    unw_dyn_info_t info = {
        .format = UNW_INFO_FORMAT_REMOTE_TABLE, .start_ip = checker->low, .end_ip = checker->high};
    int result = -UNW_ENOINFO;

    info.u.rti.segbase = checker->table.header;
    info.u.rti.table_data = checker->table.entries;
    info.u.rti.table_len = checker->table.count * 8ull / sizeof(unw_word_t);
    if (checker->has_table)
        result = UNW_OBJ(dwarf_search_unwind_table)(space, ip, &info, ret, need_info, context);
    if (result < 0)
        checker->info_was_missing = true;
    return result;
}

static void put_unwind_info(unw_addr_space_t space, unw_proc_info_t *info, void *context)
{
    (void)space, (void)info, (void)context;
}

static int get_dyn_info_list(unw_addr_space_t space, unw_word_t *ret, void *context)
{
    (void)space, (void)ret, (void)context;
    return -UNW_ENOINFO;
}

static int access_mem(unw_addr_space_t space, unw_word_t address, unw_word_t *value, int write,
                      void *context)
{
    struct checker *checker = context;

    (void)space;
    if (write)
        return -UNW_EINVAL;
    *value = 0;
    if (snapshot_read(&checker->stack, address, value, 8) == ERR_OK)
        return 0;
    for (size_t size = 8; size > 0; size--) /* a segment may end within a word */
        if (image_read(checker->image, address, value, size))
            return 0;
    /* Data of the file that a loader fills in: a personality routine's address. */
    if (address < STACK_BASE - STACK_BYTES)
        return 0;
    checker->memory_was_missing = true;
    return -UNW_EINVAL;
}

static int access_reg(unw_addr_space_t space, unw_regnum_t number, unw_word_t *value, int write,
                      void *context)
{
    struct checker *checker = context;

    (void)space;
    if (write || number < 0 || number >= checker->regs.arch->count)
        return -UNW_EBADREG;
    *value = checker->regs.value[number];
    return 0;
}

static int access_fpreg(unw_addr_space_t space, unw_regnum_t number, unw_fpreg_t *value, int write,
                        void *context)
{
    (void)space, (void)number, (void)value, (void)write, (void)context;
    return -UNW_EBADREG;
}

static int resume(unw_addr_space_t space, unw_cursor_t *cursor, void *context)
{
    (void)space, (void)cursor, (void)context;
    return -UNW_EINVAL;
}

static int get_proc_name(unw_addr_space_t space, unw_word_t ip, char *name, size_t size,
                         unw_word_t *offset, void *context)
{
    (void)space, (void)ip, (void)name, (void)size, (void)offset, (void)context;
    return -UNW_EINVAL;
}

static unw_accessors_t accessors = {
    .find_proc_info = find_proc_info,
    .put_unwind_info = put_unwind_info,
    .get_dyn_info_list_addr = get_dyn_info_list,
    .access_mem = access_mem,
    .access_reg = access_reg,
    .access_fpreg = access_fpreg,
    .resume = resume,
    .get_proc_name = get_proc_name,
};

/* ---- comparing ---- */

static void differ(struct checker *checker, uint64_t at, const struct cfi_rule *rule,
                   const char *what, uint64_t ours, uint64_t theirs)
{
    if (checker->differences < DIFFERENCES)
        checker->differs[checker->differences] =
            (struct difference){at, rule->kind, what, ours, theirs};
    checker->differences++;
}

static void make_up(struct checker *checker, uint64_t pc)
{
    checker->regs = (struct regs){.arch = cfi_arch_host()};
    for (unsigned i = 0; i < checker->regs.arch->count; i++)
        regs_set(&checker->regs, i,
                 STACK_BASE + STACK_BYTES / 4 + hash_mix(pc, i) % (STACK_BYTES / 64) / 8 * 8);
    regs_set(&checker->regs, checker->regs.arch->pc, pc);
}

static void compare_caller(struct checker *checker, uint64_t pc, const struct cfi_rule *rule,
                           unw_cursor_t *cursor, const struct regs *ours)
{
    const struct {
        int number;
        const char *name;
    } compared[] = {{ours->arch->pc, "pc"},
                    {ours->arch->sp, "sp"},
                    {ours->arch->tracked[CFI_FP], "frame pointer"},
                    {ours->arch->tracked[CFI_BASE], "base"}};

    for (size_t i = 0; i < sizeof(compared) / sizeof(compared[0]); i++) {
        int number = compared[i].number;
        unw_word_t theirs = 0;
        bool they_know = unw_get_reg(cursor, number, &theirs) == 0;

        if (they_know && regs_has(ours, (unsigned)number) && ours->value[number] != theirs) {
            differ(checker, pc, rule, compared[i].name, ours->value[number], theirs);
            return;
        }
        if (they_know && !regs_has(ours, (unsigned)number)) {
            differ(checker, pc, rule, compared[i].name, 0, theirs);
            return;
        }
    }
}

static bool has_no_tables(const struct checker *checker, uint64_t pc)
{
    static const char *const names[] = {".init", ".fini"};
    uint64_t vaddr, size;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (image_section(checker->image, names[i], &vaddr, &size) && pc - vaddr < size)
            return true;
    return false;
}

static void ask(struct checker *checker, uint64_t pc)
{
    const struct cfi_rule *rule = cfi_find(checker->rows, pc);
    struct regs ours;
    unw_cursor_t cursor;
    enum step step;
    int result;

    checker->asked++;
    make_up(checker, pc);
    ours = checker->regs;
    step = walk_step(rule, &checker->stack, &ours);
    checker->info_was_missing = checker->memory_was_missing = false;
    if (step == STEP_EXOTIC)
        return;
    if (unw_init_remote(&cursor, checker->space, checker) < 0)
        abort();
    if (step == STEP_GAP) {
        unw_proc_info_t info;

        if (find_proc_info(checker->space, pc, &info, 0, checker) >= 0)
            differ(checker, pc, rule, "libunwind has information", 0, info.start_ip);
        return;
    }
    result = unw_step(&cursor);
    if (checker->info_was_missing && has_no_tables(checker, pc))
        return;
    if (checker->info_was_missing)
        differ(checker, pc, rule, "libunwind has no information", 0, 0);
    else if (step == STEP_UNREADABLE || checker->memory_was_missing) {
        if (step != STEP_UNREADABLE || !checker->memory_was_missing)
            differ(checker, pc, rule, "memory", step, (uint64_t)result);
    } else if (step == STEP_STOP) {
        if (result > 0)
            differ(checker, pc, rule, "libunwind finds a caller", 0, 0);
    } else if (result == -UNW_EBADREG) {
        if (checker->refused < DIFFERENCES)
            checker->refusals[checker->refused] =
                (struct refusal){pc, rule->kind == CFI_REG ? rule->reg : 99, rule->offset};
        checker->refused++;
    } else if (result <= 0)
        differ(checker, pc, rule, "libunwind finds no caller", ours.value[16], (uint64_t)result);
    else
        compare_caller(checker, pc, rule, &cursor, &ours);
}

static void check_rows(struct checker *checker, size_t every)
{
    const struct cfi *rows = checker->rows;

    for (size_t i = 0; i < rows->count; i++) {
        uint64_t start = rows->low + rows->pc[i];

        checker->exotic += rows->rules[rows->rule[i]].kind == CFI_EXOTIC;
        if (i % every)
            continue;
        ask(checker, start);
        if (i + 1 < rows->count && rows->pc[i + 1] - rows->pc[i] > 1)
            ask(checker, rows->low + rows->pc[i + 1] - 1);
    }
}

/* ---- files ---- */

static void print_answer(const struct checker *checker, const char *path, uint64_t ns)
{
    const struct cfi *rows = checker->rows;
    size_t count = checker->differences < DIFFERENCES ? checker->differences : DIFFERENCES;

    printf(
        "{\"file\": \"%s\", \"rows\": %u, \"rules\": %u, \"bytes\": %zu, \"us\": %llu, \"asked\": "
        "%zu, \"exotic\": %zu, \"differences\": %zu, \"refused\": %zu, \"differs\": [",
        path, rows->count, rows->rule_count,
        (size_t)rows->count * 6 + (size_t)rows->rule_count * sizeof(struct cfi_rule),
        (unsigned long long)ns / 1000, checker->asked, checker->exotic, checker->differences,
        checker->refused);
    for (size_t i = 0; i < count; i++)
        printf("%s{\"at\": \"0x%llx\", \"kind\": %u, \"what\": \"%s\", \"ours\": \"0x%llx\", "
               "\"theirs\": \"0x%llx\"}",
               i ? ", " : "", (unsigned long long)checker->differs[i].at, checker->differs[i].kind,
               checker->differs[i].what, (unsigned long long)checker->differs[i].ours,
               (unsigned long long)checker->differs[i].theirs);
    printf("], \"refusals\": [");
    count = checker->refused < DIFFERENCES ? checker->refused : DIFFERENCES;
    for (size_t i = 0; i < count; i++)
        printf("%s[%llu, %u, %d]", i ? ", " : "", (unsigned long long)checker->refusals[i].at,
               checker->refusals[i].reg, checker->refusals[i].offset);
    puts("]}");
    fflush(stdout);
}

static void find_code(struct checker *checker)
{
    struct image_segment segment;

    checker->low = UINT64_MAX;
    checker->high = 0;
    for (size_t i = 0; image_segment(checker->image, i, &segment); i++) {
        if (!segment.is_executable)
            continue;
        if (segment.vaddr < checker->low)
            checker->low = segment.vaddr;
        if (segment.vaddr + segment.size > checker->high)
            checker->high = segment.vaddr + segment.size;
    }
}

static uint64_t cpu_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

static void check_file(struct checker *checker, const char *path, size_t every)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint64_t start;

    checker->image = NULL;
    checker->asked = checker->exotic = checker->differences = checker->refused = 0;
    if (fd < 0)
        return;
    if (image_open(fd, path, -1, &checker->image, NULL) == ERR_OK) {
        find_code(checker);
        checker->has_table = ehframe_table(checker->image, &checker->table);
        start = cpu_now();
        checker->rows = image_cfi(checker->image);
        start = cpu_now() - start;
        if (checker->rows) {
            check_rows(checker, every);
            print_answer(checker, path, start);
        }
        image_destroy(checker->image);
    }
    close(fd);
    unw_flush_cache(checker->space, 0, 0);
}

static void make_stack(struct checker *checker)
{
    struct window *window = &checker->stack.windows[0];

    snapshot_reserve(&checker->stack, 0, STACK_BYTES);
    window->start = STACK_BASE;
    window->size = STACK_BYTES;
    checker->stack.count = 1;
    for (size_t at = 0; at < STACK_BYTES; at += 8) {
        uint64_t word = STACK_BASE + hash_mix(at, 1) % STACK_BYTES / 8 * 8;

        memcpy(window->bytes + at, &word, 8);
    }
}

int main(int argc, char **argv)
{
    static struct checker checker;
    size_t every = 1;
    int first = 1;

    if (argc > 2 && strcmp(argv[1], "-s") == 0) {
        every = strtoul(argv[2], NULL, 10);
        first = 3;
    }
    if (first >= argc || every == 0) {
        fprintf(stderr, "print_rows: see the head of its source\n");
        return 2;
    }
    make_stack(&checker);
    checker.space = unw_create_addr_space(&accessors, 0);
    unw_set_caching_policy(checker.space, UNW_CACHE_NONE);
    for (int i = first; i < argc; i++)
        check_file(&checker, argv[i], every);
    unw_destroy_addr_space(checker.space);
    snapshot_deinit(&checker.stack);
    return 0;
}
