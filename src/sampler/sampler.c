/* SPDX-License-Identifier: MIT */
/* One look after the other. A sample stands for the time since the tick before it. */
#include "pspy/sampler/sampler.h"

#include <limits.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "internal.h"
#include "pspy/base/cleanup.h"
#include "pspy/base/clock.h"

#define NAMES_PAUSE       NS_PER_SECOND
#define FIRST_NAMES_PAUSE (50 * NS_PER_MS)
#define NAMES_SHARE       50 /* reading names takes at most one part of so many of the time */
#define SETTLE_TIME       (5 * NS_PER_SECOND)
#define DEAD_TIME         (10 * NS_PER_MS)
#define SHORT_INTERVAL    (4 * NS_PER_MS)
#define ROUND             (10 * NS_PER_MS)
#define LONGEST_WEIGHT    10 /* intervals: what happened while pspy stood still is not known */

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void name_threads(struct process *process, uint64_t now)
{
    uint64_t soon = later(now + FIRST_NAMES_PAUSE, process->earliest_names), start, end;

    if (process->names_wanted && process->next_names > soon)
        process->next_names = soon;
    if (now < process->next_names)
        return;
    start = clock_now();
    process_name_threads(process);
    end = clock_now();
    process->earliest_names = end + NAMES_SHARE * (end - start);
    process->next_names = later(start + NAMES_PAUSE, process->earliest_names);
}

static enum err begin_round(struct process *process, uint64_t now)
{
    enum err err;

    if (process->sampler->has_rounds && now < process->next_round && now >= process->churn_end)
        return ERR_OK;
    process->next_round = now + ROUND;
    err = process_update(process, now);
    if (err == ERR_OK)
        err = process_list_threads(process, process->profile->facts.ticks, now);
    if (err == ERR_OK && process->options->subprocesses)
        children_find(process);
    return err;
}

/* What can be read of a process while it runs. */
static void look(struct process *process, uint64_t now)
{
    process->captures_used = 0;
    stops_settle(process, 0);
    switch (begin_round(process, now)) {
    case ERR_OK:
        capture_all(process);
        break;
    case ERR_GONE:
        process->has_ended = true;
        break;
    default:
        break;
    }
}

static void add_samples(struct process *process, uint64_t now, uint64_t weight)
{
    jitlist_advance(&process->space, process->target);
    for (size_t i = 0; i < process->captures_used; i++)
        if (process->captures.items[i].is_taken)
            stacks_add_sample(process, &process->captures.items[i],
                              now - process->sampler->schedule.start, weight);
    if (!process->sampler->has_rounds)
        process_confirm(process);
    name_threads(process, now);
    process_read_loops(process, now);
}

/* The threads' times as of now. */
static void update_times(struct process *process)
{
    struct procfs_stat stat;

    vec_each (thread, &process->threads) {
        if (thread_files_stat(&thread->files, &stat) == ERR_OK)
            times_note_stat(thread, &stat);
        times_tell(process->profile, thread);
    }
}

/* Our own child's status is what waiting for it says. */
static void note_status(struct process *process)
{
    struct profile_process *told = &process->profile->processes.items[process->profile_process];
    const struct waiter *waiter = process->waiter;

    waiter_poll(process->waiter);
    told->status = waiter->status;
    told->has_status = waiter->child == process->target->pid
                           ? waiter->has_ended
                           : target_exit_status(process->target, &told->status);
}

/* What is still to be learnt of a process, which may have ended. */
static void end_process(struct process *process, uint64_t patience)
{
    if (process->has_python && !process->has_ended)
        process_begin_codes(process, clock_now());
    process_confirm(process);
    stops_settle(process, clock_now() + patience);
    process_name_threads(process);
    update_times(process);
    if (process->has_ended)
        note_status(process);
    else
        process_read_loops(process, UINT64_MAX);
    process_destroy(process);
}

static void sweep_ended(struct sampler *sampler)
{
    size_t kept = 0;

    vec_each (process, &sampler->processes) {
        if ((*process)->has_ended)
            end_process(*process, DEAD_TIME);
        else
            sampler->processes.items[kept++] = *process;
    }
    if (kept < sampler->processes.length)
        table_clear(&sampler->process_index);
    sampler->processes.length = kept;
}

/* What no process may take back any more. */
static void settle_samples(const struct sampler *sampler)
{
    struct profile *profile = sampler->setup.profile;
    size_t settled = profile->samples.length;

    vec_each (process, &sampler->processes)
        if ((*process)->confirmed < settled)
            settled = (*process)->confirmed;
    if (settled > profile->settled)
        profile->settled = settled;
}

/* One look at all processes; those that are found on the way are looked at as well. */
static void tick(struct sampler *sampler, uint64_t now)
{
    struct schedule *schedule = &sampler->schedule;
    uint64_t weight = now - schedule->last;

    if (weight > LONGEST_WEIGHT * schedule->interval)
        weight = LONGEST_WEIGHT * schedule->interval;
    sampler->now = now;
    sampler->setup.profile->facts.ticks++;
    if (sampler->setup.options.subprocesses)
        children_adopt(sampler);
    for (size_t i = 0; i < sampler->processes.length; i++)
        look(sampler->processes.items[i], now);
    sweep_ended(sampler);
    stops_take(sampler);
    vec_each (process, &sampler->processes)
        add_samples(*process, now, weight);
    schedule->last = now;
    settle_samples(sampler);
}

static void adapt(struct sampler *sampler, uint64_t now)
{
    struct recording_facts *facts = &sampler->setup.profile->facts;
    const struct schedule *schedule = &sampler->schedule;
    double rate;

    schedule_adapt(&sampler->schedule, now);
    rate = (double)NS_PER_SECOND / (double)schedule->interval;
    if (schedule->interval > schedule->wanted &&
        (facts->lowest_rate <= 0 || rate < facts->lowest_rate))
        facts->lowest_rate = rate;
}

static bool is_any_alive(const struct sampler *sampler)
{
    struct procfs_stat state;

    vec_each (process, &sampler->processes) {
        if (target_stat((*process)->target, &state) != ERR_GONE)
            return true;
    }
    return false;
}

/* Whether nothing is left to be sampled: without subprocesses the program has ended, with them also
 * all that it left behind. */
static bool all_ended(struct sampler *sampler)
{
    if (!sampler->setup.options.subprocesses)
        return sampler->setup.waiter->has_ended || !is_any_alive(sampler);
    if (is_any_alive(sampler))
        return false;
    children_adopt(sampler);
    return !is_any_alive(sampler);
}

/* ---- steps -------------------------------------------------------------------------------------
 */

static enum sampler_event end_as(struct sampler *sampler, enum recording_end end)
{
    struct recording_facts *facts = &sampler->setup.profile->facts;

    facts->end = (uint8_t)end;
    if (sampler->has_begun)
        facts->duration = clock_now() - sampler->schedule.start;
    return SAMPLER_ENDED;
}

static void begin(struct sampler *sampler)
{
    struct profile *profile = sampler->setup.profile;

    schedule_init(&sampler->schedule, &sampler->setup.options, sampler->setup.watch);
    sampler->has_rounds = sampler->schedule.interval < SHORT_INTERVAL;
    sampler->end = sampler->schedule.end;
    sampler->start_ticks = times_now();
    profile->facts.start_wall = clock_wall();
    vec_push(&sampler->processes, process_create(sampler, sampler->setup.target, NULL));
    sampler->has_begun = true;
}

/* Nothing is looked at before the first tick. False: there is nothing left to be sampled. */
static bool wait_for_start(struct sampler *sampler, uint64_t deadline)
{
    const struct waiter *waiter = sampler->setup.waiter;
    const struct schedule unwatched = {.watch = -1};
    struct procfs_stat state;

    if (waiter->has_ended && !sampler->setup.options.subprocesses)
        return false;
    if (!waiter->child && target_stat(sampler->setup.target, &state) == ERR_GONE)
        return false;
    schedule_sleep_until(&unwatched, sampler->begin < deadline ? sampler->begin : deadline);
    return true;
}

static uint64_t soonest(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* False: a tick is due. */
static bool sleep_towards_tick(const struct sampler *sampler, uint64_t now, uint64_t deadline)
{
    uint64_t next = schedule_next(&sampler->schedule);

    if (now >= next)
        return false;
    schedule_sleep_until(&sampler->schedule,
                         soonest(soonest(next, sampler->schedule.end), deadline));
    return true;
}

/* Whether all has ended, asked while the next tick is some time away. */
static bool ended_meanwhile(struct sampler *sampler, uint64_t since)
{
    uint64_t next = soonest(schedule_next(&sampler->schedule), sampler->schedule.end);

    return next > since + SCHEDULE_LONGEST_SLEEP && all_ended(sampler);
}

enum sampler_event sampler_next(struct sampler *sampler, uint64_t deadline)
{
    struct profile *profile = sampler->setup.profile;

    for (;;) {
        uint64_t now = clock_now();

        if (*sampler->setup.stop)
            return end_as(sampler, RECORDING_STOPPED);
        waiter_poll(sampler->setup.waiter);
        if (!sampler->has_begun && now >= sampler->begin)
            begin(sampler);
        if (sampler->has_begun && sampler->setup.waiter->has_ended && all_ended(sampler))
            return end_as(sampler, RECORDING_EXITED);
        if (sampler->has_begun && now >= sampler->end) {
            schedule_count_missed(&sampler->schedule, profile, sampler->end);
            return end_as(sampler, RECORDING_DURATION);
        }
        if (schedule_is_called(&sampler->schedule))
            return SAMPLER_WATCHED;
        if (now >= deadline)
            return SAMPLER_DEADLINE;
        if (!sampler->has_begun) {
            if (!wait_for_start(sampler, deadline))
                return end_as(sampler, RECORDING_EXITED);
            continue;
        }
        if (sleep_towards_tick(sampler, now, deadline)) {
            if (ended_meanwhile(sampler, now))
                return end_as(sampler, RECORDING_EXITED);
            continue;
        }
        adapt(sampler, now);
        tick(sampler, now);
        if (sampler->processes.length == 0 && all_ended(sampler))
            return end_as(sampler, RECORDING_EXITED);
        schedule_advance(&sampler->schedule, profile, clock_now());
    }
}

/* ---- what the profile is told ------------------------------------------------------------------
 */

static void set_facts(struct sampler *sampler)
{
    const struct sampler_options *options = &sampler->setup.options;
    struct profile *profile = sampler->setup.profile;
    struct recording_facts *facts = &profile->facts;
    char host[HOST_NAME_MAX + 1] = "";

    gethostname(host, sizeof(host) - 1);
    facts->host = profile_string(profile, host);
    facts->exporter = profile_string(profile, "pspy " PSPY_VERSION);
    facts->rate = options->rate;
    facts->delay = options->delay;
    facts->max_overhead = options->max_overhead;
    facts->native = options->native;
    facts->subprocesses = options->subprocesses;
    facts->idle = options->idle;
    facts->gil = options->gil;
    facts->nonblocking = options->nonblocking;
    facts->start_wall = clock_wall();
}

static struct profile_module described(struct profile *profile, const struct module *module)
{
    struct profile_module ret = {.path = profile_string(profile, module->path)};
    cleanup(strbuf_deinit) struct strbuf id = STRBUF_INIT;

    if (module->is_interpreter)
        ret.flags |= MODULE_INTERPRETER;
    if (module->is_jit)
        ret.flags |= MODULE_JIT;
    if (module->image && !module->is_jit && image_build_id(module->image, &id))
        ret.build_id = profile_string(profile, id.text);
    return ret;
}

void sampler_tell_modules(struct sampler *sampler)
{
    struct profile *profile = sampler->setup.profile;

    for (size_t i = profile->modules.length; i < sampler->modules.modules.length; i++) {
        struct profile_module told = described(profile, &sampler->modules.modules.items[i]);

        profile_add_module(profile, &told);
    }
}

/* An image may be opened, and an interpreter be found, long after the mapping was seen. */
static void update_modules(struct sampler *sampler)
{
    struct profile *profile = sampler->setup.profile;

    sampler_tell_modules(sampler);
    for (size_t i = 0; i < profile->modules.length; i++) {
        const struct module *module = &sampler->modules.modules.items[i];
        struct profile_module *told = &profile->modules.items[i];

        if ((module->image && !module->is_jit && !told->build_id.v) || module->is_interpreter)
            *told = described(profile, module);
    }
}

void sampler_tell(struct sampler *sampler)
{
    update_modules(sampler);
    if (!sampler->has_begun)
        return;
    sampler->setup.profile->facts.duration = clock_now() - sampler->schedule.start;
    vec_each (process, &sampler->processes) {
        update_times(*process);
        process_name_threads(*process);
    }
}

struct sampler_progress sampler_progress(const struct sampler *sampler)
{
    const struct profile *profile = sampler->setup.profile;

    return (struct sampler_progress){
        .elapsed = sampler->has_begun ? clock_now() - sampler->schedule.start : 0,
        .samples = profile->samples.length,
        .ticks = profile->facts.ticks,
        .lost = profile_lost(profile)};
}

struct module_list *sampler_modules(struct sampler *sampler)
{
    return &sampler->modules;
}

const struct ufunc_loops *sampler_loops(const struct sampler *sampler)
{
    return &sampler->loops;
}

/* ---- beginning and end -------------------------------------------------------------------------
 */

struct sampler *sampler_create(const struct sampler_setup *setup)
{
    struct sampler *sampler = xcalloc(1, sizeof(*sampler));

    sampler->setup = *setup;
    sampler->schedule = (struct schedule){.watch = -1, .child = -1};
    sampler->begin = clock_now() + setup->options.delay;
    prctl(PR_SET_TIMERSLACK, 1);
    target_raise_descriptors();
    set_facts(sampler);
    return sampler;
}

void sampler_finish(struct sampler *sampler)
{
    struct profile *profile = sampler->setup.profile;

    vec_each (process, &sampler->processes) {
        struct procfs_stat state;

        (*process)->has_ended = target_stat((*process)->target, &state) == ERR_GONE;
        end_process(*process, SETTLE_TIME);
    }
    vec_reset(&sampler->processes);
    update_modules(sampler);
    profile->settled = profile->samples.length;
}

void sampler_destroy(struct sampler *sampler)
{
    if (!sampler)
        return;
    vec_each (process, &sampler->processes)
        process_destroy(*process);
    vec_deinit(&sampler->processes);
    table_deinit(&sampler->process_index);
    schedule_deinit(&sampler->schedule);
    ufunc_loops_deinit(&sampler->loops);
    module_list_deinit(&sampler->modules);
    free(sampler);
}
