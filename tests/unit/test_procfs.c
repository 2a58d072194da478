/* SPDX-License-Identifier: MIT */
/*
 * procfs.h: real lines, and the same lines torn at every byte. A torn line may be refused, or be
 * understood as far as it goes; a number that was cut must not pass for a whole one.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pspy/base/strbuf.h"
#include "pspy/target/procfs.h"
#include "unit/tap.h"

/* ---- maps ------------------------------------------------------------------------------------ */

static const struct mapping_row {
    const char *line, *path;
    uint64_t start, end, offset, inode;
    uint32_t major, minor;
    bool is_readable, is_executable, is_deleted;
} mapping_rows[] = {
    {"7f12a4c28000-7f12a4dbd000 r-xp 00028000 fe:01 1234                       "
     "/usr/lib/x86_64-linux-gnu/libc.so.6\n",
     "/usr/lib/x86_64-linux-gnu/libc.so.6", 0x7f12a4c28000, 0x7f12a4dbd000, 0x28000, 1234, 0xfe, 1,
     true, true, false},
    {"00400000-00401000 r--p 00000000 08:02 173521      /usr/bin/my dbus daemon\n",
     "/usr/bin/my dbus daemon", 0x400000, 0x401000, 0, 173521, 8, 2, true, false, false},
    {"00651000-00652000 r-xp 00051000 08:02 173521      /srv/two\\012lines\n", "/srv/two\nlines",
     0x651000, 0x652000, 0x51000, 173521, 8, 2, true, true, false},
    /* Only the newline is escaped: any other backslash is the file's own. */
    {"00651000-00652000 r-xp 00051000 08:02 173521      /srv/a\\101b\\x\\\n", "/srv/a\\101b\\x\\",
     0x651000, 0x652000, 0x51000, 173521, 8, 2, true, true, false},
    {"7f0000000000-7f0000001000 r-xp 00000000 00:01 9007199254740993 /memfd:jit code (deleted)\n",
     "/memfd:jit code", 0x7f0000000000, 0x7f0000001000, 0, 9007199254740993, 0, 1, true, true,
     true},
    {"7f0000000000-7f0000001000 r--s 00000000 00:0f 18446744073709551615 /dev/shm/x y\n",
     "/dev/shm/x y", 0x7f0000000000, 0x7f0000001000, 0, UINT64_MAX, 0, 15, true, false, false},
    {"7f12a4dc5000-7f12a4dd2000 rw-p 00000000 00:00 0 \n", "", 0x7f12a4dc5000, 0x7f12a4dd2000, 0, 0,
     0, 0, true, false, false},
    {"7ffd9c9f4000-7ffd9c9f6000 r-xp 00000000 00:00 0                          [vdso]\n", "[vdso]",
     0x7ffd9c9f4000, 0x7ffd9c9f6000, 0, 0, 0, 0, true, true, false},
    {"7ffd9c9d3000-7ffd9c9f4000 ---p 00000000 00:00 0                          [stack]", "[stack]",
     0x7ffd9c9d3000, 0x7ffd9c9f4000, 0, 0, 0, 0, false, false, false},
    {"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n",
     "[vsyscall]", 0xffffffffff600000, 0xffffffffff601000, 0, 0, 0, 0, false, true, false},
    {"7f0000000000-7f0000001000 rw-s 100000000 103:00005 12 /dev/nvidia0 (deleted) (deleted)\n",
     "/dev/nvidia0 (deleted)", 0x7f0000000000, 0x7f0000001000, 0x100000000, 12, 0x103, 5, true,
     false, true},
};

static bool same_numbers(const struct mapping *got, const struct mapping_row *row)
{
    return got->start == row->start && got->end == row->end && got->offset == row->offset &&
           got->inode == row->inode && got->device_major == row->major &&
           got->device_minor == row->minor && got->is_readable == row->is_readable &&
           got->is_executable == row->is_executable;
}

static void test_mappings(void)
{
    for (size_t i = 0; i < sizeof(mapping_rows) / sizeof(mapping_rows[0]); i++) {
        const struct mapping_row *row = &mapping_rows[i];
        struct mapping got = {0};
        char *line = strdup(row->line);

        tap_ok(procfs_parse_mapping(line, &got) && same_numbers(&got, row), "mapping %zu", i);
        tap_is_str(got.path ? got.path : "none", row->path, "its path");
        tap_is_num(got.is_deleted, row->is_deleted, "whether it is deleted");
        free(line);
    }
}

/* Exactly `length` bytes and a NUL on the heap: the address sanitizer sees a read beyond. */
static char *prefix(const char *text, size_t length)
{
    char *copy = malloc(length + 1);

    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

static void test_torn_mappings(void)
{
    for (size_t i = 0; i < sizeof(mapping_rows) / sizeof(mapping_rows[0]); i++) {
        const struct mapping_row *row = &mapping_rows[i];
        bool is_good = true;

        for (size_t length = 0; length < strlen(row->line); length++) {
            struct mapping got = {0}, untouched = {0};
            char *line = prefix(row->line, length);

            if (procfs_parse_mapping(line, &got))
                is_good &= same_numbers(&got, row);
            else
                is_good &= memcmp(&got, &untouched, sizeof(got)) == 0;
            free(line);
        }
        tap_ok(is_good, "mapping %zu torn at every byte", i);
    }
}

static void test_bad_mappings(void)
{
    static const char *const lines[] = {"",
                                        "\n",
                                        "garbage",
                                        "Size:                  4 kB",
                                        "2000-1000 r-xp 0 0:0 0 ",
                                        "1000-1000 r-xp 0 0:0 0 ",
                                        "xyz-1000 r-xp 0 0:0 0 ",
                                        "1000 r-xp 0 0:0 0 /x"};

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct mapping got;
        char *line = strdup(lines[i]);

        tap_ok(!procfs_parse_mapping(line, &got), "no mapping: %zu", i);
        free(line);
    }
}

/* Our own maps: the regions ascend, and one that we make is among them. */
static void test_own_mappings(void)
{
    struct strbuf text = STRBUF_INIT;
    uint64_t before = 0;
    bool is_good = true, is_found = false;
    size_t size = 3 * (size_t)sysconf(_SC_PAGESIZE);
    void *room = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    tap_is_num(strbuf_add_file(&text, "/proc/self/maps", 1 << 24), 0, "our own maps");
    for (char *line = text.text, *next; *line; line = next) {
        struct mapping got;

        next = line + strcspn(line, "\n");
        if (*next)
            *next++ = '\0';
        is_good &= procfs_parse_mapping(line, &got) && got.start >= before;
        before = got.end;
        is_found |=
            got.start <= (uintptr_t)room && got.end >= (uintptr_t)room + size && !got.is_readable;
    }
    tap_ok(is_good, "every line is understood, in ascending order");
    tap_ok(is_found, "our own mapping is there");
    munmap(room, size);
    strbuf_deinit(&text);
}

/* ---- stat ------------------------------------------------------------------------------------ */

#define STAT_TAIL                                                                                  \
    "S 815 4711 815 34816 4711 4194304 1013 0 1 2 5 6 7 8 20 0 3 0 123456789 9999999 1181 "        \
    "18446744073709551615 94110830313472 94110830324801 140725263430800 0 0 0 0 16781312 134 1 0 " \
    "0 17 1 0 0 0 0 0 94110830341744 94110830346400 94111263997952 140725263435178 "               \
    "140725263435229 140725263435229 140725263437801 0\n"

static bool is_wanted_stat(const struct procfs_stat *got)
{
    return got->state == 'S' && got->parent == 815 && got->threads == 3 &&
           got->start_time == 123456789 && got->user == 5 && got->system == 6 && got->has_memory &&
           got->start_code == 94110830313472 && got->start_stack == 140725263430800;
}

static void test_stat(void)
{
    static const char *const names[] = {"cat", "my prog", ") R (", "a) R 1 2",
                                        "((",  "))",      "x\ny",  ""};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct procfs_stat got = {0};
        char text[1024];
        bool is_good = true;

        snprintf(text, sizeof(text), "4711 (%s) " STAT_TAIL, names[i]);
        tap_ok(procfs_parse_stat(text, &got) && is_wanted_stat(&got), "stat of name %zu", i);
        for (size_t length = 0; length < strlen(text); length++) {
            char *torn = prefix(text, length);
            struct procfs_stat part = {0};

            is_good &= !procfs_parse_stat(torn, &part) || is_wanted_stat(&part);
            free(torn);
        }
        tap_ok(is_good, "stat of name %zu torn at every byte", i);
    }
}

static void test_own_stat(void)
{
    struct strbuf text = STRBUF_INIT;
    struct procfs_stat got = {0};

    strbuf_add_file(&text, "/proc/self/stat", 4096);
    tap_ok(procfs_parse_stat(text.text, &got) && got.state == 'R' && got.parent == getppid() &&
               got.threads >= 1,
           "our own stat");
    tap_ok(!procfs_parse_stat("", &got) && !procfs_parse_stat("1 (x", &got) &&
               !procfs_parse_stat("1 (x) S y", &got),
           "no stat");
    strbuf_deinit(&text);
}

/* ---- syscall --------------------------------------------------------------------------------- */

static void check_syscall(const char *text, long number, uint64_t sp, uint64_t pc)
{
    struct procfs_syscall got = {0};
    bool is_good = true;

    tap_ok(procfs_parse_syscall(text, &got) && !got.is_running && got.number == number &&
               got.stack_pointer == sp && got.program_counter == pc,
           "syscall %ld", number);
    for (size_t length = 0; length + 1 < strlen(text); length++) {
        char *torn = prefix(text, length);
        struct procfs_syscall part;

        is_good &=
            !procfs_parse_syscall(torn, &part) ||
            (part.number == number && part.stack_pointer == sp && part.program_counter == pc);
        free(torn);
    }
    tap_ok(is_good, "syscall %ld torn at every byte", number);
}

static void test_schedstat(void)
{
    const char *text = "5117036 402113 31\n";
    struct procfs_schedstat got = {0};

    tap_ok(procfs_parse_schedstat(text, &got) && got.running == 5117036 && got.ready == 402113 &&
               got.timeslices == 31,
           "schedstat");
    tap_ok(procfs_parse_schedstat("0 0 0\n", &got) && got.timeslices == 0,
           "schedstat, not counted");
    for (size_t length = 0; length < strlen(text); length++) {
        char *torn = prefix(text, length);

        tap_ok(!procfs_parse_schedstat(torn, &got), "schedstat, %zu bytes of it", length);
        free(torn);
    }
}

static void test_syscall(void)
{
    struct procfs_syscall got = {0};

    check_syscall("202 0x7f36a8000b60 0x189 0x0 0x0 0x0 0xffffffff 0x7f36b2bfea10 0x7f36b9c9b117\n",
                  202, 0x7f36b2bfea10, 0x7f36b9c9b117);
    check_syscall("0 0x0 0x7ffc00000000 0x1000 0x22 0xffffffff 0x0 0x7ffd1c0f4d88 0x7f9be41140cd\n",
                  0, 0x7ffd1c0f4d88, 0x7f9be41140cd);
    check_syscall("-1 0x7ffd1c0f4d88 0x7f9be41140cd\n", -1, 0x7ffd1c0f4d88, 0x7f9be41140cd);
    check_syscall("-1 0xfffffffffffffff0 0x0\n", -1, 0xfffffffffffffff0, 0);
    tap_ok(procfs_parse_syscall("running\n", &got) && got.is_running, "running");
    for (size_t length = 0; length < strlen("running"); length++) {
        char *torn = prefix("running\n", length);

        tap_ok(!procfs_parse_syscall(torn, &got), "running, %zu bytes of it", length);
        free(torn);
    }
    tap_ok(!procfs_parse_syscall("garbage\n", &got), "garbage");
    tap_ok(!procfs_parse_syscall("7 0x1 0x2\n", &got), "too few arguments");
}

/* ---- status ---------------------------------------------------------------------------------- */

static void test_status(void)
{
    static const char status[] = "Name:\tSigPnd:\nState:\tS (sleeping)\nNSpid:\t4711\t12\n"
                                 "Groups:\t \nSigPndX:\t1\nSigPnd:\t0000000000000400\n"
                                 "Last: x";
    const char *field = procfs_status_field(status, "SigPnd");

    tap_ok(field && strtoull(field, NULL, 16) == 0x400, "a field, not its name as a value");
    field = procfs_status_field(status, "NSpid");
    tap_ok(field && strncmp(field, "4711\t12\n", 8) == 0, "a field of two numbers");
    field = procfs_status_field(status, "Groups");
    tap_ok(field && *field == '\n', "an empty field");
    field = procfs_status_field(status, "Name");
    tap_ok(field && strncmp(field, "SigPnd:\n", 8) == 0, "the first line");
    field = procfs_status_field(status, "Last");
    tap_ok(field && !strcmp(field, "x"), "the last line without a newline");
    tap_ok(!procfs_status_field(status, "Pid"), "the end of another name is not the name");
    tap_ok(!procfs_status_field(status, "NS"), "the start of another name is not the name");
    tap_ok(!procfs_status_field("", "Name"), "an empty text");
    for (size_t length = 0; length < sizeof(status) - 1; length++) {
        char *torn = prefix(status, length);

        procfs_status_field(torn, "Last");
        procfs_status_field(torn, "Nothing");
        free(torn);
    }
}

int main(void)
{
    test_mappings();
    test_torn_mappings();
    test_bad_mappings();
    test_own_mappings();
    test_stat();
    test_own_stat();
    test_schedstat();
    test_syscall();
    test_status();
    return tap_done();
}
