/* SPDX-License-Identifier: MIT */
/*
 * Descendants. At each look every thread that may have run is asked for its children, so a process
 * is sampled from the first tick of its life on: as likely as any other that runs at that time.
 * Nothing is traced for that: a fork costs what it always costs, and a program that gains
 * privileges gains them. What lives between two looks only is not seen.
 *
 * A process whose parent has ended is known all the same if it was met before. For the others, of a
 * program that pspy started, pspy is the one that inherits orphans.
 */
#include "internal.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/xmalloc.h"

/* What pspy never adds: itself, found below a shell that it was told to look at, and the children
 * that it had before it started one. A shell that becomes pspy leaves it its own, such as what
 * reads pspy's output, which ends only after pspy. */
static bool is_stranger(const struct tid_list *strangers, pid_t pid)
{
    if (pid == getpid())
        return true;
    vec_each (stranger, &strangers->tids) {
        if (*stranger == pid)
            return true;
    }
    return false;
}

static uint64_t hash_pid(pid_t pid)
{
    return hash_mix((uint64_t)pid, 0);
}

static bool has_pid(const void *context, uint32_t index, const void *key)
{
    const struct sampler *sampler = context;

    return sampler->processes.items[index]->target->pid == *(const pid_t *)key;
}

static bool is_known(struct sampler *sampler, pid_t pid)
{
    struct table *index = &sampler->process_index;

    while (index->used < sampler->processes.length)
        table_add(index, hash_pid(sampler->processes.items[index->used]->target->pid),
                  (uint32_t)index->used);
    return table_find(index, hash_pid(pid), has_pid, sampler, &pid) != TABLE_NONE;
}

static void add(struct sampler *sampler, pid_t pid, const struct process *parent)
{
    struct target *target;
    struct error why;

    if (is_known(sampler, pid) || is_stranger(sampler->setup.strangers, pid))
        return;
    target = xcalloc(1, sizeof(*target));
    if (target_open(pid, target, &why) == ERR_OK)
        vec_push(&sampler->processes, process_create(sampler, target, parent));
    else
        free(target);
}

/* A thread that is still where it was found blocked has no new children, once it was asked there.
 */
static bool may_have_new(struct thread *thread)
{
    bool is_blocked = thread->timeslices && thread->timeslices == thread->blocked_timeslices;
    bool was_asked = is_blocked && thread->asked_timeslices == thread->timeslices;

    thread->asked_timeslices = is_blocked ? thread->timeslices : 0;
    return !was_asked;
}

void children_find(struct process *process)
{
    cleanup(tid_list_deinit) struct tid_list list = {VEC_INIT};

    vec_each (thread, &process->threads) {
        if (may_have_new(thread))
            target_children(process->target, thread->tid, &list);
    }
    vec_each (pid, &list.tids)
        add(process->sampler, *pid, process);
}

/* A zombie of ours; a process that we only trace is its parent's to collect. */
static bool collect(pid_t pid)
{
    siginfo_t info = {0};
    int status;

    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == pid && waitpid(pid, &status, WNOHANG) == pid;
}

void children_adopt(struct sampler *sampler)
{
    cleanup(tid_list_deinit) struct tid_list list = {VEC_INIT};
    pid_t started = sampler->setup.waiter->child;

    if (!started)
        return;
    target_own_children(&list);
    vec_each (pid, &list.tids) {
        if (*pid != started && !collect(*pid))
            add(sampler, *pid, sampler->processes.length ? sampler->processes.items[0] : NULL);
    }
}

/* Sends the signal to the processes of the list that are no strangers, and asks for their children.
 * Their number. */
static size_t signal_all(const struct tid_list *list, const struct tid_list *strangers, int number,
                         struct tid_list *ret_children)
{
    size_t count = 0;

    vec_each (pid, &list->tids) {
        cleanup(tid_list_deinit) struct tid_list threads = {VEC_INIT};
        struct target target;
        struct error why;

        if (is_stranger(strangers, *pid) || target_open(*pid, &target, &why) != ERR_OK)
            continue;
        if (target_threads(&target, &threads) == ERR_OK)
            vec_each (tid, &threads.tids)
                target_children(&target, *tid, ret_children);
        target_close(&target);
        count += kill(*pid, number) == 0;
    }
    return count;
}

size_t sampler_signal_descendants(const struct waiter *waiter, const struct tid_list *strangers,
                                  int number)
{
    struct tid_list list = {VEC_INIT};
    size_t count = 0;

    sampler_collect_orphans(waiter);
    target_own_children(&list);
    while (list.tids.length) {
        struct tid_list children = {VEC_INIT};

        count += signal_all(&list, strangers, number, &children);
        tid_list_deinit(&list);
        list = children;
    }
    tid_list_deinit(&list);
    return count;
}

void sampler_collect_orphans(const struct waiter *waiter)
{
    cleanup(tid_list_deinit) struct tid_list list = {VEC_INIT};

    target_own_children(&list);
    vec_each (pid, &list.tids) {
        if (*pid != waiter->child)
            collect(*pid);
    }
}
