/* SPDX-License-Identifier: MIT */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/clock.h"

#define REFRESH_PAUSE         NS_PER_SECOND
#define REFRESH_SHARE         20 /* early ones take at most one part of so many of the time */
#define FIRST_DETECTION_PAUSE (2 * NS_PER_MS)
#define LONG_DETECTION_PAUSE  (20 * NS_PER_MS)
#define LAST_DETECTION_PAUSE  NS_PER_SECOND
#define CHURN_TIME            NS_PER_SECOND

static void expect_python(struct process *process)
{
    process->gave_up_python = false;
    process->next_detection = 0;
    process->detection_pause = FIRST_DETECTION_PAUSE;
    process->next_loops = 0;
    process->loops_pause = 0;
}

/* Times of a recording are those of its ticks. */
static uint64_t since_start(const struct sampler *sampler)
{
    return sampler->now > sampler->schedule.start ? sampler->now - sampler->schedule.start : 0;
}

static void note_program(struct process *process)
{
    struct profile *profile = process->setup->profile;
    cleanup(strbuf_deinit) struct strbuf command = STRBUF_INIT;
    struct profile_program program = {.process = process->profile_process,
                                      .parent = process->parent_program,
                                      .since = since_start(process->sampler)};

    target_command(process->target, &command);
    program.command = profile_string(profile, command.text);
    process->program = profile_add_program(profile, &program);
}

struct process *process_create(struct sampler *sampler, struct target *target,
                               const struct process *parent)
{
    struct process *process = xcalloc(1, sizeof(*process));

    process->sampler = sampler;
    process->setup = &sampler->setup;
    process->target = target;
    address_space_init(&process->space, &sampler->modules);
    process->unwinder = unwinder_create(&process->space, process->target);
    process->profile_process = profile_add_process(process->setup->profile, target->pid);
    process->parent_program = parent ? parent->program : PROFILE_NONE;
    process->confirmed = process->setup->profile->samples.length;
    /* An exec between the two is noticed, and the command read again. */
    target_stat(process->target, &process->identity);
    note_program(process);
    expect_python(process);
    return process;
}

static void forget_thread(struct process *process, struct thread *thread)
{
    times_tell(process->setup->profile, thread);
    thread_files_close(&thread->files);
    python_view_deinit(&thread->view);
    vec_deinit(&thread->path);
}

static void forget_threads(struct process *process)
{
    vec_each (thread, &process->threads)
        forget_thread(process, thread);
    vec_reset(&process->threads);
}

void process_destroy(struct process *process)
{
    forget_threads(process);
    vec_deinit(&process->threads);
    table_deinit(&process->thread_index);
    vec_each (capture, &process->captures)
        capture_deinit(capture);
    vec_deinit(&process->captures);
    vec_deinit(&process->unanswered);
    vec_deinit(&process->code_frames);
    vec_deinit(&process->merged.frames);
    if (process->has_python)
        python_close(&process->python);
    unwinder_destroy(process->unwinder);
    address_space_deinit(&process->space);
    if (process->target != process->setup->target) {
        target_close(process->target);
        free(process->target);
    }
    free(process);
}

static bool same_program(const struct procfs_stat *now, const struct procfs_stat *before)
{
    return !now->has_memory ||
           (now->start_code == before->start_code && now->start_stack == before->start_stack);
}

static void take_back_samples(struct process *process)
{
    size_t first = process->confirmed;
    size_t dropped = profile_drop_samples(process->setup->profile, first, process->profile_process);

    for (size_t i = 0; i < dropped; i++)
        process_lose(process, LOSS_EXEC);
    /* The others' samples have moved towards the front, by no more than that. */
    vec_each (other, &process->sampler->processes) {
        size_t *confirmed = &(*other)->confirmed;

        if (*confirmed > first)
            *confirmed = *confirmed - first > dropped ? *confirmed - dropped : first;
    }
}

void process_confirm(struct process *process)
{
    struct procfs_stat now;

    if (target_stat(process->target, &now) == ERR_OK && !same_program(&now, &process->identity))
        take_back_samples(process);
    process->confirmed = process->setup->profile->samples.length;
}

/* After an exec nothing that was known about memory holds; the threads' samples go on. */
static void start_anew(struct process *process, const struct procfs_stat *identity)
{
    note_program(process);
    if (process->has_python)
        python_close(&process->python);
    process->has_python = false;
    vec_reset(&process->code_frames);
    unwinder_destroy(process->unwinder);
    address_space_deinit(&process->space);
    address_space_init(&process->space, &process->sampler->modules);
    process->unwinder = unwinder_create(&process->space, process->target);
    memset(process->known_frames, 0, sizeof(process->known_frames));
    vec_each (thread, &process->threads) {
        thread->cached_timeslices = thread->blocked_timeslices = 0;
        python_view_deinit(&thread->view);
        thread->view = (struct python_view){.cframe = 0};
    }
    process->next_refresh = process->earliest_refresh = 0;
    process->identity = *identity;
    expect_python(process);
}

void process_lose(struct process *process, enum loss_cause cause)
{
    process->setup->profile->facts.losses[cause]++;
}

void process_refresh(struct process *process, uint64_t now)
{
    address_space_refresh(&process->space, process->target);
    if (process->setup->options.native)
        unwinder_prepare(process->unwinder);
    process->next_refresh = now + REFRESH_PAUSE;
}

bool process_refresh_early(struct process *process)
{
    uint64_t start = clock_now(), end;

    if (start < process->earliest_refresh)
        return false;
    process_refresh(process, start);
    end = clock_now();
    process->earliest_refresh = end + REFRESH_SHARE * (end - start);
    return true;
}

static void note_version(struct process *process)
{
    struct profile *profile = process->setup->profile;
    uint32_t version = process->python.full_version;
    char text[16];

    snprintf(text, sizeof(text), "%u.%u.%u", version >> 24, version >> 16 & 0xff,
             version >> 8 & 0xff);
    profile->facts.saw_python = true;
    profile->facts.python_is_guessed |= process->python.is_guessed;
    profile->facts.python = profile_string(profile, text);
}

static void note_why_not(struct process *process, const struct error *why)
{
    struct profile *profile = process->setup->profile;

    profile->facts.python_why = profile_string(profile, why->message);
}

static void lengthen_pause(struct process *process, uint64_t limit)
{
    process->detection_pause += process->detection_pause / 4;
    if (process->detection_pause > limit)
        process->detection_pause = limit;
}

/* An interpreter may appear long after the start (an embedding program), so looking never ends, but
 * becomes rare. */
static void detect_python(struct process *process, uint64_t now)
{
    struct error why = ERROR_INIT;

    if (process->has_python || process->gave_up_python || now < process->next_detection)
        return;
    process_refresh(process, now);
    switch (python_open(&process->space, process->target, &process->python, &why)) {
    case ERR_OK:
        process->has_python = true;
        process->met_python_thread = false;
        modules_tell(process->sampler);
        note_version(process);
        return;
    case ERR_UNSUPPORTED:
        process->gave_up_python = true;
        note_why_not(process, &why);
        return;
    case ERR_INVALID: /* it is there, and most likely about to start */
        lengthen_pause(process, LONG_DETECTION_PAUSE);
        break;
    default:
        lengthen_pause(process, LAST_DETECTION_PAUSE);
    }
    process->next_detection = now + process->detection_pause;
}

void process_begin_codes(struct process *process, uint64_t now)
{
    if (process->is_trusting) {
        python_check_round(&process->python, process->target);
        if (process->python.doubted.length) {
            process->churn_end = now + CHURN_TIME;
            stacks_doubt(process, process->confirmed);
        }
    }
    process->is_trusting = process->sampler->has_rounds && now >= process->churn_end;
    python_begin_round(&process->python, process->is_trusting);
}

enum err process_update(struct process *process, uint64_t now)
{
    struct procfs_stat identity;
    enum err err = target_stat(process->target, &identity);

    if (err != ERR_OK)
        return err;
    process->thread_count = (size_t)identity.threads;
    if (!same_program(&identity, &process->identity)) {
        take_back_samples(process);
        start_anew(process, &identity);
    }
    if (now >= process->next_refresh)
        process_refresh(process, now);
    detect_python(process, now);
    if (process->has_python) {
        /* A forked child that has not run yet still has its parent's ids. */
        python_refresh_threads(&process->python, process->target, !process->met_python_thread);
        process_begin_codes(process, now);
    }
    process->confirmed = process->setup->profile->samples.length;
    return ERR_OK;
}

static uint64_t hash_tid(pid_t tid)
{
    return hash_mix((uint64_t)tid, 0);
}

static void index_threads(struct process *process)
{
    table_clear(&process->thread_index);
    for (size_t i = 0; i < process->threads.length; i++)
        table_add(&process->thread_index, hash_tid(process->threads.items[i].tid), (uint32_t)i);
}

static bool has_tid(const void *context, uint32_t index, const void *key)
{
    const struct process *process = context;

    return process->threads.items[index].tid == *(const pid_t *)key;
}

/* Of those that were there when they were indexed. */
static const struct thread *find_thread(const struct process *process, pid_t tid)
{
    uint32_t found = table_find(&process->thread_index, hash_tid(tid), has_tid, process, &tid);

    return found == TABLE_NONE ? NULL : &process->threads.items[found];
}

/* Opens the files of a thread that is new, or that took an ended one's id. */
static void meet_thread(struct process *process, pid_t tid, uint64_t tick, uint64_t now)
{
    struct thread thread = {.tid = tid,
                            .inner_tid = target_namespace_tid(process->target, tid),
                            .seen = tick,
                            .files = THREAD_FILES_INIT,
                            .profile_thread = TABLE_NONE};
    struct procfs_stat stat;

    if (thread_files_open(process->target, tid, &thread.files) != ERR_OK)
        return;
    if (thread_files_stat(&thread.files, &stat) != ERR_OK) {
        thread_files_close(&thread.files);
        return;
    }
    thread.start_time = stat.start_time;
    thread.state = stat.state;
    times_begin(process->sampler, &thread, &stat);
    vec_push(&process->threads, thread);
    if (process->has_threads)
        process->churn_end = now + CHURN_TIME;
}

bool process_look(struct process *process, struct thread *thread)
{
    uint64_t tick = process->setup->profile->facts.ticks;
    struct procfs_schedstat sched;

    if (thread->looked == tick)
        return true;
    thread->looked = tick;
    if (thread_files_schedstat(&thread->files, &sched) != ERR_OK)
        return false;
    times_note_sched(thread, &sched, process->sampler->now);
    return true;
}

/* A descriptor of /proc stays with the thread it was opened for: reading it fails once that ended.
 * Of a thread that is asleep nothing more is read: it costs a program with many threads nothing
 * that most of them wait. */
static bool look_at(struct process *process, struct thread *thread, uint64_t tick)
{
    struct procfs_stat stat;

    if (!process_look(process, thread))
        return false;
    thread->seen = tick;
    if (thread->is_asleep)
        return true;
    if (thread_files_stat(&thread->files, &stat) != ERR_OK || stat.start_time != thread->start_time)
        return false;
    thread->state = stat.state;
    times_note_stat(thread, &stat);
    return true;
}

static void drop_unseen(struct process *process, uint64_t tick)
{
    size_t kept = 0;

    for (size_t i = 0; i < process->threads.length; i++) {
        struct thread *thread = &process->threads.items[i];

        if (thread->seen != tick)
            forget_thread(process, thread);
        else if (kept++ != i)
            process->threads.items[kept - 1] = *thread;
    }
    process->threads.length = kept;
}

/* The threads that are not known yet. */
static enum err meet_new(struct process *process, uint64_t tick, uint64_t now)
{
    cleanup(tid_list_deinit) struct tid_list list = {VEC_INIT};
    enum err err = target_threads(process->target, &list);

    if (err != ERR_OK)
        return err;
    index_threads(process);
    vec_each (tid, &list.tids) {
        const struct thread *thread = find_thread(process, *tid);

        if (!thread || thread->seen != tick)
            meet_thread(process, *tid, tick, now);
    }
    return ERR_OK;
}

/* Listing is needed only if there are others than the known ones: as many as the process had before
 * these were found alive are all of them. */
enum err process_list_threads(struct process *process, uint64_t tick, uint64_t now)
{
    size_t alive = 0;
    enum err err = ERR_OK;

    vec_each (thread, &process->threads)
        alive += look_at(process, thread, tick);
    if (alive != process->thread_count || !process->has_threads)
        err = meet_new(process, tick, now);
    drop_unseen(process, tick);
    process->has_threads = true;
    return err;
}
