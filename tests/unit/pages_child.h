/* SPDX-License-Identifier: MIT */
/*
 * Memory that the tests of target/pages.h read: each byte of `area` follows from its place,
 * `aliases` are all the same page. A child has a copy of it, unmaps what it is told to, and may
 * count up in the aliases.
 */
#ifndef PSPY_TESTS_PAGES_CHILD_H
#define PSPY_TESTS_PAGES_CHILD_H

#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pspy/target/live.h"
#include "pspy/target/pages.h"
#include "unit/tap.h"
#define PAGE         4096
#define PATTERNED    6000  /* pages of the area that are filled; the others are zero */
#define AREA_PAGES   80000 /* of address space */
#define ALIASES      700   /* on every second page */
#define KEPT         64    /* readings that a page stays wanted */
#define PAGES_LIMIT  32768
#define LOST_AT_ONCE 9 /* ranges that one reading gives up */

static unsigned char *area, *aliases;
static struct target target;
static pid_t child;
static int orders[2], answers[2];

struct order {
    unsigned char *start; /* NULL: end */
    size_t size;
};

static inline unsigned char byte_at(size_t at)
{
    return (unsigned char)((at * 2654435761u) >> 11);
}

static inline uint64_t address_of(size_t at)
{
    return (uintptr_t)area + at;
}

static inline uint64_t page_at(size_t page)
{
    return address_of(page * PAGE);
}
/* ---- The child ---- */

static inline void obey(void)
{
    struct order order;

    while (read(orders[0], &order, sizeof(order)) == sizeof(order)) {
        char done = 1;

        munmap(order.start, order.size);
        if (write(answers[1], &done, 1) != 1)
            break;
    }
    _exit(0);
}

/* A descendant that shares the page of the aliases. */
static inline pid_t start_counting(void)
{
    pid_t pid = fork();
    _Atomic uint64_t *counter = (_Atomic uint64_t *)(void *)aliases;

    while (pid == 0)
        atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
    return pid;
}

static inline void stop_child(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static inline void unmap(size_t page, size_t count)
{
    struct order order = {area + page * PAGE, count * PAGE};
    char done = 0;

    if (write(orders[1], &order, sizeof(order)) != sizeof(order) || read(answers[0], &done, 1) != 1)
        tap_ok(false, "the child unmaps");
}

static inline bool start_child(void)
{
    if (pipe(orders) != 0 || pipe(answers) != 0)
        return false;
    child = fork();
    if (child == 0) {
        close(orders[1]);
        obey();
    }
    return target_open(child, &target, NULL) == ERR_OK;
}

static inline void end_child(void)
{
    stop_child(child);
    target_close(&target);
    for (int i = 0; i < 2; i++) {
        close(orders[i]);
        close(answers[i]);
    }
}
static inline bool make_memory(void)
{
    int page = memfd_create("test_pages", MFD_CLOEXEC);

    area = mmap(NULL, (size_t)AREA_PAGES * PAGE, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    aliases = mmap(NULL, (size_t)ALIASES * 2 * PAGE, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (page < 0 || area == MAP_FAILED || aliases == MAP_FAILED || ftruncate(page, PAGE) != 0)
        return false;
    for (size_t at = 0; at < (size_t)PATTERNED * PAGE; at++)
        area[at] = byte_at(at);
    for (size_t i = 0; i < ALIASES; i++)
        if (mmap(aliases + 2 * PAGE * i, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, page,
                 0) == MAP_FAILED)
            return false;
    close(page);
    return true;
}

#endif
