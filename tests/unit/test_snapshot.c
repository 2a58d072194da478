/* SPDX-License-Identifier: MIT */
/* snapshot.h and the reading functions of target.h, on our own memory: a process may read itself.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pspy/target/live.h"
#include "pspy/target/snapshot.h"
#include "unit/tap.h"

#define PAGE 4096

static struct target self;
static unsigned char *pages; /* two pages, then none */

static uint64_t address_of(const void *where)
{
    return (uintptr_t)where;
}

static bool holds(const struct snapshot *snapshot, size_t at, size_t size)
{
    unsigned char bytes[2 * PAGE];

    return snapshot_read(snapshot, address_of(pages) + at, bytes, size) == ERR_OK &&
           memcmp(bytes, pages + at, size) == 0;
}

static void test_windows(void)
{
    struct snapshot snapshot = {0};
    uint64_t start = address_of(pages);
    unsigned char before;

    tap_ok(!holds(&snapshot, 0, 1), "an empty snapshot holds nothing");
    tap_is_num((long long)snapshot_take(&snapshot, &self, start + 100, 200), 200, "200 bytes");
    tap_ok(holds(&snapshot, 100, 200) && holds(&snapshot, 299, 1), "all of them are there");
    tap_ok(!holds(&snapshot, 99, 1) && !holds(&snapshot, 99, 2) && !holds(&snapshot, 300, 1) &&
               !holds(&snapshot, 299, 2) && !holds(&snapshot, 100, 201),
           "and nothing beside them");
    before = pages[150]++;
    tap_ok(snapshot_read(&snapshot, start + 150, &before, 1) == ERR_OK && before + 1 == pages[150],
           "it is a copy");
    tap_is_num(snapshot_read(&snapshot, UINT64_MAX, &before, 1), ERR_UNREADABLE,
               "the last address");
    tap_is_num(snapshot_read(&snapshot, start + 100, &before, SIZE_MAX), ERR_UNREADABLE,
               "a huge size");
    tap_is_num((long long)snapshot_take(&snapshot, &self, start + PAGE, PAGE), PAGE,
               "another page");
    tap_ok(holds(&snapshot, PAGE, PAGE) && holds(&snapshot, 200, 50), "two windows");
    snapshot_reset(&snapshot);
    tap_ok(!holds(&snapshot, 200, 50), "reset forgets");
    snapshot_deinit(&snapshot);
}

static void test_ends(void)
{
    struct snapshot snapshot = {0};
    uint64_t start = address_of(pages);
    unsigned char byte;

    tap_is_num((long long)snapshot_take(&snapshot, &self, start + 2 * PAGE - 8, 100), 8,
               "only what is mapped");
    tap_ok(holds(&snapshot, 2 * PAGE - 8, 8), "up to the last byte");
    tap_is_num(snapshot_read(&snapshot, start + 2 * PAGE - 8, &byte, 9), ERR_UNREADABLE,
               "not beyond");
    tap_is_num((long long)snapshot_take(&snapshot, &self, start + 2 * PAGE, 100), 0,
               "nothing mapped");
    tap_is_num((long long)snapshot_take(&snapshot, &self, start, 0), 0, "no bytes");
    tap_is_num((long long)snapshot.count, 1, "a failure takes no window");
    for (size_t i = snapshot.count; i < SNAPSHOT_WINDOWS; i++)
        snapshot_take(&snapshot, &self, start + 8 * i, 8);
    tap_is_num((long long)snapshot_take(&snapshot, &self, start, 8), 0, "no window is left");
    tap_ok(holds(&snapshot, 8 * (SNAPSHOT_WINDOWS - 1), 8), "the last window");
    snapshot_deinit(&snapshot);
}

/* The copy is made by somebody else. */
static void test_planned(void)
{
    struct snapshot snapshot = {0};
    struct iovec local, remote;
    uint64_t start = address_of(pages);

    tap_ok(!snapshot_plan(&snapshot, start, 0, &local, &remote), "no bytes to plan for");
    tap_ok(snapshot_plan(&snapshot, start + 100, 50, &local, &remote) && snapshot.count == 0,
           "a plan is no copy");
    tap_is_num((long long)target_read_vector(&self, &local, &remote, 1), 50, "read by its places");
    snapshot_add(&snapshot, &remote, 50);
    tap_ok(snapshot.count == 1 && holds(&snapshot, 100, 50), "added");
    snapshot_plan(&snapshot, start, 10, &local, &remote);
    snapshot_add(&snapshot, &remote, 0);
    tap_ok(snapshot.count == 1 && holds(&snapshot, 100, 50), "nothing was read: nothing is added");
    for (size_t i = 1; i < SNAPSHOT_WINDOWS; i++)
        snapshot_take(&snapshot, &self, start + 8 * i, 8);
    tap_ok(!snapshot_plan(&snapshot, start, 8, &local, &remote), "no window is left to plan");
    snapshot_deinit(&snapshot);
}

static void test_live(void)
{
    struct snapshot snapshot = {.live = &self};
    unsigned char byte = 0;

    tap_ok(holds(&snapshot, 5, 2 * PAGE - 5), "live: what no copy holds is read");
    tap_is_num(snapshot_read(&snapshot, address_of(pages) + 2 * PAGE, &byte, 1), ERR_UNREADABLE,
               "live: an unmapped address");
    snapshot_reset(&snapshot);
    tap_ok(!holds(&snapshot, 5, 1), "reset ends that");
    snapshot_deinit(&snapshot);
}

/* The room is made before a thread is stopped. */
static void test_room(void)
{
    struct snapshot snapshot = {0};
    const unsigned char *room;

    snapshot_reserve(&snapshot, 0, PAGE);
    room = snapshot.windows[0].bytes;
    snapshot_take(&snapshot, &self, address_of(pages), PAGE);
    tap_ok(snapshot.windows[0].bytes == room && holds(&snapshot, 0, PAGE), "reserved room is used");
    snapshot_reset(&snapshot);
    snapshot_take(&snapshot, &self, address_of(pages), 10);
    tap_ok(snapshot.windows[0].bytes == room, "reset keeps it");
    snapshot_deinit(&snapshot);
}

static void test_text(void)
{
    struct strbuf text = STRBUF_INIT;
    char *at = (char *)pages;

    memset(pages, 'x', 2 * PAGE);
    memcpy(at, "hello", 6);
    tap_is_num(target_read_text(&self, address_of(at), 100, &text), ERR_OK, "a short text");
    tap_is_str(text.text, "hello", "is read to its end");
    strbuf_reset(&text);
    at[2 * PAGE - 1] = '\0';
    tap_is_num(target_read_text(&self, address_of(at + 100), 3 * PAGE, &text), ERR_OK,
               "a text up to the last mapped byte");
    tap_is_num((long long)text.length, 2 * PAGE - 101, "its length");
    tap_is_num(target_read_text(&self, address_of(at + 100), 50, &text), ERR_UNREADABLE, "a limit");
    at[2 * PAGE - 1] = 'x';
    tap_is_num(target_read_text(&self, address_of(at + 100), 3 * PAGE, &text), ERR_UNREADABLE,
               "a text without an end");
    strbuf_deinit(&text);
}

static void test_gone(void)
{
    struct target target;
    struct procfs_stat now;
    struct error why = ERROR_INIT;
    pid_t pid = fork();
    char byte;

    if (pid == 0)
        for (;;)
            pause();
    tap_is_num(target_open(pid, &target, &why), ERR_OK, "a child");
    tap_ok(target_stat(&target, &now) == ERR_OK && now.parent == getpid(), "its stat");
    kill(pid, SIGKILL);
    waitid(P_PID, (id_t)pid, NULL, WEXITED | WNOWAIT);
    tap_is_num(target_stat(&target, &now), ERR_GONE, "a zombie is gone");
    waitpid(pid, NULL, 0);
    tap_is_num(target_stat(&target, &now), ERR_GONE, "and so it is afterwards");
    tap_is_num(target_read(&target, address_of(pages), &byte, 1), ERR_GONE, "its memory");
    target_close(&target);
    tap_is_num(target_open(pid, &target, &why), ERR_GONE, "no such process");
    tap_ok(strstr(why.message, "there is no process") != NULL, "its sentence");
}

int main(void)
{
    pages = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(pages + 2 * PAGE, PAGE);
    for (int i = 0; i < 2 * PAGE; i++)
        pages[i] = (unsigned char)(i * 31 >> 3);
    if (target_open(getpid(), &self, NULL) != ERR_OK)
        return 1;
    test_windows();
    test_ends();
    test_planned();
    test_live();
    test_room();
    test_text();
    test_gone();
    target_close(&self);
    return tap_done();
}
