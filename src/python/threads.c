/* SPDX-License-Identifier: MIT */
/*
 * The lists of interpreters and of their thread states. A new thread state is put at its list's
 * head, so unchanged heads mean that no thread was added.
 *
 * A new thread's state carries its creator's ids until the thread itself has run (up to 3.12). It
 * has no frames then, and the list is read again soon.
 *
 * Up to 3.10 a state has only the thread's pthread_self(): the address of glibc's struct pthread,
 * which has the kernel's id in it.
 */
#include "threads.h"

#include <stdlib.h>
#include <string.h>

#define INTERPRETER_LIMIT  4096
#define THREAD_LIMIT       100000
#define THREAD_STATE_LIMIT 2048

/* struct pthread of glibc 2.4 to 2.41 on x86-64, 64-bit (nptl/descr.h): the header's 704 bytes, the
 * list's 16, then tid. musl has it at 48. Where neither fits, the main thread's is looked for. */
#define GLIBC_TID_AT     720
#define MUSL_TID_AT      48
#define PTHREAD_TID_ROOM 1024

static enum err read_word(const struct target *target, uint64_t address, uint64_t *ret)
{
    return target_read(target, address, ret, sizeof(*ret));
}

static uint64_t word_at(const unsigned char *bytes, size_t at)
{
    uint64_t word;

    memcpy(&word, bytes + at, sizeof(word));
    return word;
}

/* ---- Kernel ids of threads ---- */

static bool has_tid_at(const unsigned char *pthread, size_t at, pid_t tid)
{
    int32_t found;

    memcpy(&found, pthread + at, sizeof(found));
    return found == tid;
}

/* Learns the place from the main thread's, whose id is known. */
static void learn_tid_place(struct python *python, const unsigned char *pthread, pid_t main_tid)
{
    static const uint32_t likely[] = {GLIBC_TID_AT, MUSL_TID_AT};

    for (size_t i = 0; i < sizeof(likely) / sizeof(likely[0]); i++)
        if (has_tid_at(pthread, likely[i], main_tid)) {
            python->pthread_tid_at = likely[i];
            return;
        }
    for (uint32_t at = 0; at + 4 <= PTHREAD_TID_ROOM; at += 4)
        if (has_tid_at(pthread, at, main_tid)) {
            python->pthread_tid_at = at;
            return;
        }
}

pid_t threads_pthread_tid(const struct python *python, const struct target *target,
                          uint64_t pthread_at)
{
    uint32_t at = python->pthread_tid_at ? python->pthread_tid_at : GLIBC_TID_AT;
    int32_t tid;

    return target_read(target, pthread_at + at, &tid, sizeof(tid)) == ERR_OK && tid > 0 ? tid : 0;
}

static void learn_from_threads(struct python *python, const struct target *target)
{
    pid_t main_tid = target_namespace_tid(target, target->pid);
    unsigned char pthread[PTHREAD_TID_ROOM];

    for (size_t i = python->threads.length; i-- > 0 && !python->pthread_tid_at;)
        if (target_read(target, python->threads.items[i].thread_id, pthread, sizeof(pthread)) ==
            ERR_OK)
            learn_tid_place(python, pthread, main_tid);
}

static void find_tids(struct python *python, const struct target *target)
{
    if (!python->pthread_tid_at)
        learn_from_threads(python, target);
    vec_each (thread, &python->threads)
        thread->tid = threads_pthread_tid(python, target, thread->thread_id);
}

/* ---- The lists ---- */

/* Links that lead in a circle (Brent's search): they are damaged. */
struct circle {
    uint64_t mark;
    unsigned steps, until;
};

static bool is_closed(struct circle *circle, uint64_t address)
{
    if (address == circle->mark)
        return true;
    if (++circle->steps > circle->until) {
        circle->mark = address;
        circle->until = 2 * circle->steps;
    }
    return false;
}

static enum err read_thread(const struct python *python, const struct target *target,
                            uint64_t state, struct python_thread *ret, uint64_t *ret_next)
{
    const struct layout *layout = &python->layout;
    unsigned char bytes[THREAD_STATE_LIMIT];

    if (layout->thread_size > sizeof(bytes) ||
        target_read(target, state, bytes, layout->thread_size) != ERR_OK)
        return ERR_UNREADABLE;
    *ret_next = word_at(bytes, layout->thread_next);
    ret->state = state;
    ret->thread_id = word_at(bytes, layout->thread_id);
    ret->tid = layout->thread_native_id ? (pid_t)word_at(bytes, layout->thread_native_id) : 0;
    return ERR_OK;
}

static uint64_t find_gil(const struct python *python, const struct target *target,
                         uint64_t interpreter)
{
    const struct layout *layout = &python->layout;
    uint64_t gil = 0;

    if (layout->gil == GIL_RUNTIME)
        return python->runtime + layout->runtime_gil;
    if (layout->gil == GIL_INTERPRETER)
        read_word(target, interpreter + layout->interpreter_gil, &gil);
    return gil;
}

static enum err read_threads_of(struct python *python, const struct target *target,
                                uint64_t interpreter)
{
    uint64_t state, gil = find_gil(python, target, interpreter);
    struct circle circle = {0};

    if (read_word(target, interpreter + python->layout.interpreter_threads, &state) != ERR_OK)
        return ERR_UNREADABLE;
    while (state) {
        struct python_thread thread = {
            .interpreter = interpreter, .gil = gil, .rank = (uint32_t)python->threads.length};
        uint64_t next;

        if (is_closed(&circle, state) || python->threads.length == THREAD_LIMIT)
            return ERR_TORN;
        if (read_thread(python, target, state, &thread, &next) != ERR_OK)
            return ERR_UNREADABLE;
        vec_push(&python->threads, thread);
        state = next;
    }
    return ERR_OK;
}

/* Changes whenever a thread of any interpreter was added at its list's head. */
static enum err read_heads(const struct python *python, const struct target *target, uint64_t *ret)
{
    uint64_t interpreter, seen = 0;
    struct circle circle = {0};

    if (read_word(target, python->interpreters_at, &interpreter) != ERR_OK)
        return ERR_UNREADABLE;
    while (interpreter) {
        uint64_t head;

        if (is_closed(&circle, interpreter) || circle.steps > INTERPRETER_LIMIT)
            return ERR_TORN;
        if (read_word(target, interpreter + python->layout.interpreter_threads, &head) != ERR_OK ||
            read_word(target, interpreter + python->layout.interpreter_next, &interpreter) !=
                ERR_OK)
            return ERR_UNREADABLE;
        seen = hash_mix(seen, head);
    }
    *ret = seen;
    return ERR_OK;
}

static enum err read_lists(struct python *python, const struct target *target)
{
    uint64_t interpreter;
    enum err err = read_word(target, python->interpreters_at, &interpreter);

    vec_reset(&python->threads);
    for (unsigned count = 0; err == ERR_OK && interpreter && count < INTERPRETER_LIMIT; count++) {
        err = read_threads_of(python, target, interpreter);
        if (err == ERR_OK)
            err = read_word(target, interpreter + python->layout.interpreter_next, &interpreter);
    }
    return err;
}

static int compare_states(const void *a, const void *b)
{
    const struct python_thread *first = a, *second = b;

    return first->state < second->state ? -1 : first->state > second->state;
}

/* The states of one thread: the newest first, which is the innermost. */
static int compare_threads(const void *a, const void *b)
{
    const struct python_thread *first = a, *second = b;

    if (first->tid != second->tid)
        return first->tid < second->tid ? -1 : 1;
    return first->rank < second->rank ? -1 : first->rank > second->rank;
}

/* A list that was damaged or changed while it was read may name a state twice. */
static void drop_twins(struct python *python)
{
    size_t kept = 0;

    vec_sort(&python->threads, compare_states);
    vec_each (thread, &python->threads) {
        if (kept == 0 || python->threads.items[kept - 1].state != thread->state)
            python->threads.items[kept++] = *thread;
    }
    python->threads.length = kept;
}

static void sort_threads(struct python *python)
{
    if (python->threads.length == 0)
        return;
    drop_twins(python);
    vec_sort(&python->threads, compare_threads);
}

static bool are_settled(const struct python *python)
{
    for (size_t i = 0; i < python->threads.length; i++) {
        const struct python_thread *thread = &python->threads.items[i];

        if (thread->tid == 0 ||
            (i && thread->tid == thread[-1].tid && thread->interpreter == thread[-1].interpreter))
            return false;
    }
    return true;
}

enum err python_refresh_threads(struct python *python, const struct target *target, bool force)
{
    uint64_t heads;
    enum err err = read_heads(python, target, &heads);

    if (err != ERR_OK)
        return err;
    if (heads == python->newest_thread && !force && !python->threads_unsettled)
        return ERR_OK;
    python->newest_thread = heads;
    if (python->gil_lock_at)
        read_word(target, python->gil_lock_at, &python->gil_at);
    err = read_lists(python, target);
    if (!python->layout.thread_native_id)
        find_tids(python, target);
    sort_threads(python);
    python->threads_unsettled = err != ERR_OK || !are_settled(python);
    return err;
}

size_t python_find_thread(const struct python *python, pid_t tid,
                          const struct python_thread **ret_first)
{
    size_t low = 0, high = python->threads.length, count = 0;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (python->threads.items[middle].tid < tid)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_first = python->threads.items + low;
    while (low + count < python->threads.length && python->threads.items[low + count].tid == tid)
        count++;
    return count;
}

/* ---- The GIL ---- */

static bool is_within(uint64_t address, uint64_t start, uint64_t size)
{
    return start && address - start < size;
}

bool python_waits_for_gil(const struct python *python, const struct python_thread *thread,
                          uint64_t address)
{
    return is_within(address, python->gil_at, python->gil_size) ||
           is_within(address, thread->gil, python->layout.gil_size);
}

/* Reads the holder of the GIL at `gil`. */
static enum err read_gil(const struct python *python, const struct target *target, uint64_t gil,
                         uint64_t *ret)
{
    uint32_t locked;
    uint64_t holder;

    if (target_read(target, gil + python->layout.gil_locked, &locked, sizeof(locked)) != ERR_OK ||
        read_word(target, gil + python->layout.gil_holder, &holder) != ERR_OK)
        return ERR_UNREADABLE;
    /* The last holder stays in place after it let go: `locked` decides. -1: not created yet. */
    *ret = locked == 1 ? holder : 0;
    return ERR_OK;
}

static enum err is_attached(const struct python *python, const struct target *target,
                            const struct python_thread *thread, bool *ret)
{
    uint32_t attached;

    if (target_read(target, thread->state + python->layout.thread_attached, &attached,
                    sizeof(attached)) != ERR_OK)
        return ERR_UNREADABLE;
    *ret = attached == 1;
    return ERR_OK;
}

enum err python_holds_gil(const struct python *python, const struct target *target,
                          const struct python_thread *thread, bool *ret)
{
    uint64_t holder = 0;
    enum err err = ERR_OK;

    if (python->layout.gil == GIL_NONE)
        return is_attached(python, target, thread, ret);
    if (python->gil_holder_at)
        err = read_word(target, python->gil_holder_at, &holder);
    else if (thread->gil)
        err = read_gil(python, target, thread->gil, &holder);
    if (err == ERR_OK)
        *ret = holder == thread->state;
    return err;
}
