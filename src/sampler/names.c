/* SPDX-License-Identifier: MIT */
/* Names of threads: Python's own, else the kernel's; and of NumPy's loops. */
#include "internal.h"

#include <string.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/clock.h"
#include "pspy/profile/paths.h"

#define NUMPY             "_multiarray_umath." /* the library that holds its ufuncs */
#define FIRST_LOOPS_PAUSE (50 * NS_PER_MS)
#define LOOPS_PAUSE       (10 * NS_PER_SECOND)

static const char *python_name(const struct process *process, const struct python_names *names,
                               const struct thread *thread)
{
    const struct python_thread *found;

    if (!process->has_python)
        return "";
    for (size_t i = python_find_thread(&process->python, thread->inner_tid, &found); i-- > 0;) {
        const char *name = names->names.items[found + i - process->python.threads.items];

        if (*name)
            return name;
    }
    return "";
}

/* For a thread that Python knows no name for (yet, or any more): a name it once had stays. */
static const char *fallback_name(const struct process *process, const struct thread *thread,
                                 struct strbuf *comm)
{
    const struct profile *profile = process->setup->profile;

    if (profile->threads.items[thread->profile_thread].name.v != STRING_EMPTY.v &&
        process->setup->profile->facts.saw_python)
        return "";
    target_thread_comm(process->target, thread->tid, comm);
    return comm->text;
}

void process_name_threads(struct process *process)
{
    struct profile *profile = process->setup->profile;
    struct python_names names = {VEC_INIT};

    if (process->has_python)
        python_thread_names(&process->python, process->target, &names);
    vec_each (thread, &process->threads) {
        cleanup(strbuf_deinit) struct strbuf comm = STRBUF_INIT;
        const char *name;

        if (thread->profile_thread == TABLE_NONE)
            continue;
        name = python_name(process, &names, thread);
        if (*name == '\0')
            name = fallback_name(process, thread, &comm);
        if (*name)
            profile->threads.items[thread->profile_thread].name = profile_string(profile, name);
    }
    python_names_deinit(&names);
    process->names_wanted = false;
}

static bool has_numpy(const struct process *process)
{
    vec_each (module, &process->sampler->modules.modules)
        if (strncmp(path_base(module->path), NUMPY, strlen(NUMPY)) == 0)
            return true;
    return false;
}

/* Soon after NumPy's library is there its import has ended; more libraries with loops may join. */
void process_read_loops(struct process *process, uint64_t now)
{
    if (!process->setup->options.native || !process->has_python || now < process->next_loops)
        return;
    process->next_loops = now + FIRST_LOOPS_PAUSE;
    if (!has_numpy(process))
        return;
    process->loops_pause = 2 * process->loops_pause + FIRST_LOOPS_PAUSE;
    if (ufunc_loops_read(&process->python, &process->space, process->target,
                         &process->sampler->loops) ||
        process->loops_pause > LOOPS_PAUSE)
        process->loops_pause = LOOPS_PAUSE;
    process->next_loops = now + process->loops_pause;
}
