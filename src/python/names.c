/* SPDX-License-Identifier: MIT */
/*
 * Thread names as Python knows them: sys.modules["threading"]._active[ident]._name. Read anew each
 * time, for many threads together: a thread's name may change, and so may the text at an address.
 */
#include <stdlib.h>

#include "pspy/base/cleanup.h"
#include "pspy/python/object.h"
#include "pspy/python/python.h"
#include "threads.h"

#define NAME_LIMIT        1000
#define INTERPRETER_LIMIT 64
#define BATCH             256 /* Thread objects that are read together */

struct naming {
    struct python *python;
    const struct target *target;
    struct python_names *names;
    struct table by_ident; /* of python->threads */
    pid_t first_tid;       /* of the process's first thread, as the target sees it */
};

/* What the Thread objects say. */
struct batch {
    size_t count;
    uint64_t native_ids[BATCH]; /* 0: it has none (up to 3.7) */
    uint64_t idents[BATCH];     /* 0: the native id is enough */
    char *names[BATCH];
};

void python_names_deinit(struct python_names *names)
{
    vec_each (name, &names->names)
        free(*name);
    vec_deinit(&names->names);
}

/* ---- Which thread a Thread object is ---- */

static bool has_ident(const void *context, uint32_t index, const void *key)
{
    const struct python *python = context;

    return python->threads.items[index].thread_id == *(const uint64_t *)key;
}

static void index_threads(struct naming *naming)
{
    for (uint32_t i = 0; i < naming->python->threads.length; i++)
        table_add(&naming->by_ident, hash_mix(naming->python->threads.items[i].thread_id, 0), i);
}

/* An ident is the address of a stack, which the next thread may have got since our list was read:
 * does the thread still have it, now that the name has been read? */
static bool keeps_ident(const struct naming *naming, const struct python_thread *thread)
{
    return naming->python->layout.thread_native_id ||
           threads_pthread_tid(naming->python, naming->target, thread->thread_id) == thread->tid;
}

/*
 * By the kernel's id where the Thread object has it (3.8+), else by the ident. After fork up
 * to 3.12 the first thread still has its parent's kernel id: it keeps its ident.
 */
static uint32_t find_thread(const struct naming *naming, uint64_t ident, uint64_t native_id)
{
    const struct python *python = naming->python;
    const struct python_thread *thread;
    uint32_t found;

    if (native_id && python_find_thread(python, (pid_t)native_id, &thread))
        return (uint32_t)(thread - python->threads.items);
    found = table_find(&naming->by_ident, hash_mix(ident, 0), has_ident, python, &ident);
    if (found == TABLE_NONE)
        return TABLE_NONE;
    thread = &python->threads.items[found];
    if (native_id ? thread->tid == naming->first_tid : keeps_ident(naming, thread))
        return found;
    return TABLE_NONE;
}

/* ---- What the Thread objects say ---- */

static bool is_known(const struct naming *naming, uint64_t native_id)
{
    const struct python_thread *thread;

    return native_id && python_find_thread(naming->python, (pid_t)native_id, &thread);
}

static void read_batch(const struct naming *naming, const struct dict_entry *entries,
                       struct batch *batch)
{
    const struct layout *layout = &naming->python->layout;
    bool is_old = layout->texts == TEXT_BYTES;
    /* 2.7's name is private to the class, and subclasses may well have a _name of their own. */
    const char *const attributes[] = {is_old ? "_Thread__name" : "_name", "_native_id"};
    size_t wanted = is_old ? 1 : 2;
    uint64_t objects[BATCH], values[BATCH * 2], names[BATCH], ints[BATCH] = {0};

    for (size_t i = 0; i < batch->count; i++)
        objects[i] = entries[i].value;
    object_attributes(layout, naming->target, objects, batch->count, attributes, wanted, values);
    for (size_t i = 0; i < batch->count; i++) {
        names[i] = values[wanted * i];
        if (!is_old)
            ints[i] = values[wanted * i + 1];
    }
    object_texts(layout, naming->target, names, batch->count, NAME_LIMIT, batch->names);
    object_longs(layout, naming->target, ints, batch->count, batch->native_ids);
    for (size_t i = 0; i < batch->count; i++)
        ints[i] = is_known(naming, batch->native_ids[i]) ? 0 : entries[i].key;
    object_longs(layout, naming->target, ints, batch->count, batch->idents);
}

static void take_names(const struct naming *naming, struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        uint32_t found = TABLE_NONE;

        if (batch->names[i])
            found = find_thread(naming, batch->idents[i], batch->native_ids[i]);
        if (found == TABLE_NONE) {
            free(batch->names[i]);
            continue;
        }
        free(naming->names->names.items[found]);
        naming->names->names.items[found] = batch->names[i];
    }
}

static void name_active(const struct naming *naming, uint64_t active)
{
    cleanup(dict_entries_deinit) struct dict_entries threads = {VEC_INIT};
    size_t length;

    object_dict_entries(&naming->python->layout, naming->target, active, &threads);
    length = threads.entries.length;
    for (size_t start = 0; start < length; start += BATCH) {
        struct batch batch = {.count = length - start < BATCH ? length - start : BATCH};

        read_batch(naming, threads.entries.items + start, &batch);
        take_names(naming, &batch);
    }
}

static enum err find_active(struct python *python, const struct target *target,
                            uint64_t interpreter, uint64_t *ret)
{
    const struct layout *layout = &python->layout;
    uint64_t modules, threading, dict;

    if (target_read(target, interpreter + layout->interpreter_modules, &modules, 8) != ERR_OK ||
        object_dict_get_again(layout, target, modules, "threading", &python->threading_key,
                              &threading) != ERR_OK ||
        target_read(target, threading + layout->module_dict, &dict, 8) != ERR_OK)
        return ERR_NOT_FOUND;
    return object_dict_get(layout, target, dict, "_active", ret);
}

static void name_interpreters(const struct naming *naming)
{
    struct python *python = naming->python;
    uint64_t interpreter, active;

    if (target_read(naming->target, python->interpreters_at, &interpreter, 8) != ERR_OK)
        return;
    for (unsigned count = 0; interpreter && count < INTERPRETER_LIMIT; count++) {
        if (find_active(python, naming->target, interpreter, &active) == ERR_OK)
            name_active(naming, active);
        if (target_read(naming->target, interpreter + python->layout.interpreter_next, &interpreter,
                        8) != ERR_OK)
            return;
    }
}

void python_thread_names(struct python *python, const struct target *target,
                         struct python_names *ret)
{
    struct naming naming = {python, target, ret, TABLE_INIT,
                            target_namespace_tid(target, target->pid)};

    python_names_deinit(ret);
    for (size_t i = 0; i < python->threads.length; i++)
        vec_push(&ret->names, xstrdup(""));
    index_threads(&naming);
    name_interpreters(&naming);
    table_deinit(&naming.by_ident);
}
