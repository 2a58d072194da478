/* SPDX-License-Identifier: MIT */
/*
 * cfi.h: the rows of functions whose call frame information is written down below, and of damaged
 * sections. That rows say the same as libunwind is in tests/live/test_unwind_rows.py.
 */
#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../src/unwind/walk.h"
#include "pspy/base/cleanup.h"
#include "pspy/base/clock.h"
#include "pspy/elf/image.h"
#include "unit/tap.h"

/* ---- stated rows ----------------------------------------------------------------------------- */

/* Each nop is one byte: row N of stated_rows is at stated_code + N. */
__asm__(".text\n"
        ".globl stated_code, stated_end\n"
        "stated_code:\n"
        ".cfi_startproc\n"
        "nop\n" /* 0: rsp+8 */
        ".cfi_def_cfa_offset 16\n"
        ".cfi_offset %rbp, -16\n"
        "nop\n" /* 1 */
        ".cfi_remember_state\n"
        ".cfi_def_cfa_register %rbp\n"
        ".cfi_offset %rbx, -400\n"
        "nop\n" /* 2 */
        ".cfi_remember_state\n"
        ".cfi_restore %rbx\n"
        ".cfi_def_cfa %rsp, 8\n"
        "nop\n" /* 3 */
        ".cfi_restore_state\n"
        "nop\n" /* 4: as 2 */
        ".cfi_restore_state\n"
        "nop\n" /* 5: as 1 */
        ".cfi_def_cfa %r10, 0\n"
        "nop\n"                                   /* 6 */
        ".cfi_escape 0x0f, 3, 0x76, 0x78, 0x06\n" /* def_cfa_expression: breg6 -8; deref */
        ".cfi_escape 0x10, 6, 2, 0x76, 0\n"       /* expression rbp: breg6 0 */
        "nop\n"                                   /* 7 */
        ".cfi_escape 0x0f, 6, 0x77, 0xa0, 0x01, 0x06, 0x23, 8\n" /* *(rsp+160)+8 */
        "nop\n"                                                  /* 8 */
        ".cfi_def_cfa %rsp, 70000\n"
        ".cfi_register %rip, %rdi\n"
        "nop\n"                             /* 9 */
        ".cfi_escape 0x14, 3, 2\n"          /* val_offset rbx 2 * -8 */
        "nop\n"                             /* 10 */
        ".cfi_escape 0x16, 6, 2, 0x77, 8\n" /* val_expression rbp: breg7 8 */
        "nop\n"                             /* 11: exotic */
        ".cfi_same_value %rbp\n"
        ".cfi_undefined %rip\n"
        "nop\n" /* 12: the outermost frame */
        ".cfi_offset %rip, -8\n"
        ".cfi_offset %rsp, -24\n"
        "nop\n" /* 13: exotic */
        ".cfi_same_value %rsp\n"
        ".cfi_undefined %rbx\n"
        "nop\n" /* 14 */
        ".cfi_endproc\n"
        "stated_end:\n"
        "nop\n");

extern const char stated_code[], stated_end[];

#define RULE(kind_, reg_, offset_, offset2_, ra, fp, base)                                         \
    {                                                                                              \
        .kind = kind_, .reg = reg_, .offset = offset_, .offset2 = offset2_, .how = {ra, fp, base}, \
    }
#define AT_CFA CFI_AT_CFA

static const struct stated {
    struct cfi_rule rule;
    int16_t saved[CFI_TRACKED];
} stated_rows[] = {
    {RULE(CFI_REG, 7, 8, 0, AT_CFA, CFI_SAME, CFI_SAME), {-8, 0, 0}},
    {RULE(CFI_REG, 7, 16, 0, AT_CFA, AT_CFA, CFI_SAME), {-8, -16, 0}},
    {RULE(CFI_REG, 6, 16, 0, AT_CFA, AT_CFA, AT_CFA), {-8, -16, -400}},
    {RULE(CFI_REG, 7, 8, 0, AT_CFA, AT_CFA, CFI_SAME), {-8, -16, 0}},
    {RULE(CFI_REG, 6, 16, 0, AT_CFA, AT_CFA, AT_CFA), {-8, -16, -400}},
    {RULE(CFI_REG, 7, 16, 0, AT_CFA, AT_CFA, CFI_SAME), {-8, -16, 0}},
    {RULE(CFI_REG, 10, 0, 0, AT_CFA, AT_CFA, CFI_SAME), {-8, -16, 0}},
    {RULE(CFI_DEREF, 6, -8, 0, AT_CFA, CFI_AT_FP, CFI_SAME), {-8, 0, 0}},
    {RULE(CFI_DEREF, 7, 160, 8, AT_CFA, CFI_AT_FP, CFI_SAME), {-8, 0, 0}},
    {RULE(CFI_REG, 7, 70000, 0, CFI_IN_REG, CFI_AT_FP, CFI_SAME), {5, 0, 0}},
    {RULE(CFI_REG, 7, 70000, 0, CFI_IN_REG, CFI_AT_FP, CFI_IS_CFA), {5, 0, -16}},
    {RULE(CFI_EXOTIC, 0, 0, 0, 0, 0, 0), {0}},
    {RULE(CFI_STOP, 0, 0, 0, 0, 0, 0), {0}},
    {RULE(CFI_EXOTIC, 0, 0, 0, 0, 0, 0), {0}},
    {RULE(CFI_REG, 7, 70000, 0, AT_CFA, CFI_SAME, CFI_UNDEFINED), {-8, 0, 0}},
    {RULE(CFI_GAP, 0, 0, 0, 0, 0, 0), {0}},
};

static struct image *open_self(void)
{
    cleanup(cleanup_close) int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct image *image = NULL;

    image_open(fd, "/proc/self/exe", -1, &image, NULL);
    return image;
}

static void test_stated(void)
{
    struct image *image = open_self();
    const struct cfi *cfi = image_cfi(image);
    uint64_t start = 0;

    tap_ok(image_symbol(image, "stated_code", &start), "the function is found");
    tap_is_num(stated_end - stated_code + 1, sizeof(stated_rows) / sizeof(stated_rows[0]),
               "its length is known");
    for (size_t i = 0; i < sizeof(stated_rows) / sizeof(stated_rows[0]); i++) {
        struct cfi_rule wanted = stated_rows[i].rule;

        memcpy(wanted.saved, stated_rows[i].saved, sizeof(wanted.saved));
        tap_ok(memcmp(cfi_find(cfi, start + i), &wanted, sizeof(wanted)) == 0, "stated row %zu", i);
    }
    tap_is_num(cfi_find(cfi, cfi->low - 1)->kind, CFI_GAP, "nothing before the code");
    tap_is_num(cfi_find(cfi, UINT64_MAX)->kind, CFI_GAP, "nothing far behind it");
    image_destroy(image);
}

/* ---- sections by hand ------------------------------------------------------------------------ */

static const struct cfi_arch *arch(void)
{
    return cfi_arch_find(EM_X86_64);
}

struct bytes {
    unsigned char at[400];
    size_t size;
};

static void add(struct bytes *bytes, const void *what, size_t size)
{
    memcpy(bytes->at + bytes->size, what, size);
    bytes->size += size;
}

/* A .debug_frame with one CIE, def_cfa rsp 8; offset rip -8, and functions of 16 bytes each. */
static struct bytes debug_frame(const uint64_t *starts, size_t count, unsigned char offset)
{
    static const unsigned char cie[] = {16, 0,    0,  0,    0xff, 0xff, 0xff, 0xff, 3, 0,
                                        1,  0x78, 16, 0x0c, 7,    8,    0x90, 1,    0, 0};
    struct bytes bytes = {.size = 0};

    add(&bytes, cie, sizeof(cie));
    for (size_t i = 0; i < count; i++) {
        const uint32_t head[] = {4 + 16 + 4, 0};
        const uint64_t range[] = {starts[i], 16};
        const unsigned char code[] = {0x0e, offset, 0, 0};

        add(&bytes, head, sizeof(head));
        add(&bytes, range, sizeof(range));
        add(&bytes, code, sizeof(code));
    }
    return bytes;
}

static struct cfi_section section_of(const struct bytes *bytes)
{
    return (struct cfi_section){bytes->at, bytes->size, 0, true};
}

static void test_order(void)
{
    const uint64_t first[] = {0x1040, 0x1000, 0x1008, 0x5000}, second[] = {0x1010, 0x1018, 0x1060};
    struct bytes one = debug_frame(first, 4, 24), two = debug_frame(second, 3, 32);
    const struct cfi_section sections[] = {section_of(&one), section_of(&two)};
    struct cfi *cfi = cfi_compile(arch(), 0x1000, 0x2000, sections, 2);
    static const struct {
        uint64_t at;
        int offset; /* 0: nothing is there */
    } wanted[] = {{0x1000, 24}, {0x1008, 24}, {0x1017, 24}, {0x1018, 32}, {0x1027, 32},
                  {0x1028, 0},  {0x103f, 0},  {0x1040, 24}, {0x104f, 24}, {0x1050, 0},
                  {0x1060, 32}, {0x1070, 0},  {0x5000, 0}};
    bool is_right = true;

    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        const struct cfi_rule *rule = cfi_find(cfi, wanted[i].at);

        is_right = is_right && rule->offset == wanted[i].offset &&
                   rule->kind == (wanted[i].offset ? CFI_REG : CFI_GAP);
    }
    tap_ok(is_right, "sorted; overlaps end where the next begins; a second section fills gaps");
    cfi_destroy(cfi);
}

/* ---- damage ---------------------------------------------------------------------------------- */

static bool is_sane(const struct cfi *cfi, const struct snapshot *stack, struct rng *rng)
{
    for (uint32_t i = 0; i < cfi->count; i++)
        if ((i ? cfi->pc[i] <= cfi->pc[i - 1] : cfi->pc[i] != 0) || cfi->rule[i] >= cfi->rule_count)
            return false;
    for (uint32_t i = 0; i < cfi->rule_count; i++) {
        struct regs regs = {.arch = cfi->arch, .known = (uint32_t)rng_next(rng)};

        if (cfi->rules[i].kind > CFI_SIGNAL)
            return false;
        for (unsigned reg = 0; reg < cfi->arch->count; reg++)
            regs.value[reg] = stack->windows[0].start + rng_next(rng) % 4096;
        walk_step(&cfi->rules[i], stack, &regs);
    }
    return true;
}

/* Bytes changed, and cut anywhere: rows in order, rules that can be followed, no crash. */
static void damage(const char *path, bool is_debug_frame)
{
    cleanup(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct snapshot stack = {.count = 0};
    struct rng rng = {5};
    struct image *image = NULL;
    uint64_t vaddr, size;
    unsigned char *bytes, *copy;
    bool all_sane = true;

    if (fd < 0 || image_open(fd, path, -1, &image, NULL) != ERR_OK ||
        !image_section(image, ".eh_frame", &vaddr, &size)) {
        image_destroy(image);
        tap_ok(true, "%s # SKIP no such file here", path);
        return;
    }
    size = size < 20000 ? size : 20000;
    bytes = malloc(size);
    image_read(image, vaddr, bytes, size);
    snapshot_reserve(&stack, 0, 4096);
    memset(stack.windows[0].bytes, 0x11, 4096);
    stack.windows[0].start = 0x7000;
    stack.windows[0].size = 4096;
    stack.count = 1;
    for (int round = 0; round < 300 && all_sane; round++) {
        size_t cut = round % 3 ? size : rng_next(&rng) % size;
        struct cfi_section section = {NULL, cut, vaddr, is_debug_frame};
        struct cfi *cfi;

        copy = malloc(cut + 1); /* exactly as long as is told: sanitizers see what is read behind */
        memcpy(copy, bytes, cut);
        for (int i = 0; i < 40 && cut; i++)
            copy[rng_next(&rng) % cut] = (unsigned char)rng_next(&rng);
        section.bytes = copy;
        cfi = cfi_compile(arch(), round % 2 ? 0 : vaddr - 0x1000000, UINT64_MAX, &section, 1);
        all_sane = is_sane(cfi, &stack, &rng);
        cfi_destroy(cfi);
        free(copy);
    }
    tap_ok(all_sane, "300 damaged copies of %s as %s", path,
           is_debug_frame ? ".debug_frame" : ".eh_frame");
    free(bytes);
    snapshot_deinit(&stack);
    image_destroy(image);
}

int main(void)
{
    test_stated();
    test_order();
    damage("/proc/self/exe", false);
    damage("/proc/self/exe", true);
    damage("/lib/x86_64-linux-gnu/libc.so.6", false);
    damage("/lib64/ld-linux-x86-64.so.2", false);
    return tap_done();
}
