/* SPDX-License-Identifier: MIT */
/*
 * Until the end, times in the joined profile are of the wall clock, since the epoch, so that a
 * recording that began before those already there moves none of their samples. Each recording is a
 * run of samples in the order of time, which join_finish merges (join_order.c).
 */
#include "pspy/profile/join.h"

#include <string.h>

#include "join_internal.h"
#include "pspy/base/cleanup.h"

/* From numbers of one recording to those of the joined profile. */
struct mapping {
    struct join *join;
    const struct profile *from;
    string_id *strings;
    uint32_t *modules;
    frame_id *frames;
    stack_id *stacks;
    uint32_t first_process, first_thread, first_program;
};

struct join *join_create(struct profile *into)
{
    struct join *join = xcalloc(1, sizeof(*join));

    join->into = into;
    join->start = UINT64_MAX;
    return join;
}

void join_destroy(struct join *join)
{
    if (!join)
        return;
    vec_deinit(&join->runs);
    table_deinit(&join->modules);
    free(join);
}

/* ---- what cannot be joined ---------------------------------------------------------------------
 */

static int first_pid(const struct profile *profile)
{
    return profile->processes.length ? profile->processes.items[0].pid : 0;
}

static enum err check_same(const struct join *join, const struct profile *from,
                           const struct join_source *source, struct error *why)
{
    const char *host = profile_text(from, from->facts.host);

    vec_each (run, &join->runs)
        if (from->facts.start_wall && run->start == from->facts.start_wall &&
            run->pid == first_pid(from) && !strcmp(profile_text(join->into, run->host), host))
            return error_set(why, ERR_INVALID,
                             "%s is the same recording as one named before it (process %d, same "
                             "host, same start): name each recording once",
                             source->path, run->pid);
    return ERR_OK;
}

static enum err check_clocks(const struct join *join, const struct profile *from,
                             const struct join_source *source, struct error *why)
{
    const struct recording_facts *ours = &join->into->facts, *theirs = &from->facts;

    if (!join->runs.length)
        return ERR_OK;
    if (ours->is_counted != theirs->is_counted)
        return error_set(why, ERR_INVALID,
                         "%s %s, unlike the files before it: profiles with times and profiles that "
                         "only count samples cannot be merged",
                         source->path,
                         theirs->is_counted ? "only counts samples" : "has times for its samples");
    if (!join->runs.items[0].start != !theirs->start_wall)
        return error_set(why, ERR_INVALID,
                         "%s %s when it began, unlike the files before it: their samples cannot be "
                         "put on one time axis; merge .pspy recordings only, or none",
                         source->path, theirs->start_wall ? "says" : "does not say");
    return check_same(join, from, source, why);
}

/* ---- strings, modules, frames, stacks ----------------------------------------------------------
 */

static string_id map_string(const struct mapping *map, string_id string)
{
    return map->strings[string.v];
}

static void map_strings(struct mapping *map)
{
    size_t count = map->from->strings.offsets.length;

    map->strings = xreallocarray(NULL, count + 1, sizeof(map->strings[0]));
    map->strings[0] = STRING_EMPTY;
    for (uint32_t i = 1; i < count; i++)
        map->strings[i] = profile_string(map->join->into, profile_text(map->from, (string_id){i}));
}

static bool module_equal(const void *context, uint32_t index, const void *key)
{
    const struct profile *profile = context;
    const struct profile_module *a = &profile->modules.items[index], *b = key;

    return a->path.v == b->path.v && a->build_id.v == b->build_id.v;
}

/* Nothing says that two files without a build id are the same file, or that two runs made the same
 * code at the same place: such modules stay apart. */
static uint32_t map_module(struct join *join, struct profile_module module)
{
    uint64_t hash = hash_mix(module.path.v, module.build_id.v);
    uint32_t index = TABLE_NONE;

    if (!module.build_id.v || (module.flags & MODULE_JIT))
        return profile_add_module(join->into, &module);
    index = table_find(&join->modules, hash, module_equal, join->into, &module);
    if (index == TABLE_NONE) {
        index = profile_add_module(join->into, &module);
        table_add(&join->modules, hash, index);
    }
    join->into->modules.items[index].flags |= module.flags;
    return index;
}

static void map_modules(struct mapping *map)
{
    size_t count = map->from->modules.length;

    map->modules = xreallocarray(NULL, count + 1, sizeof(map->modules[0]));
    for (size_t i = 0; i < count; i++) {
        struct profile_module module = map->from->modules.items[i];

        module.path = map_string(map, module.path);
        module.build_id = map_string(map, module.build_id);
        map->modules[i] = map_module(map->join, module);
    }
}

static frame_id map_frame(const struct mapping *map, frame_id frame)
{
    const struct native_ref *ref = profile_frame_ref(map->from, frame);
    struct frame_info info = *profile_frame_info(map->from, frame);

    if (ref) {
        struct native_ref there = *ref;

        there.module = map->modules[ref->module];
        return profile_frame_native(map->join->into, &there);
    }
    info.name = map_string(map, info.name);
    info.python_name = map_string(map, info.python_name);
    info.file = map_string(map, info.file);
    info.short_file = map_string(map, info.short_file);
    info.module = map_string(map, info.module);
    return profile_frame(map->join->into, &info);
}

/* Two recordings may know different things of an address, by the debug files at hand: the longer
 * list of names stays. */
static void map_names(const struct mapping *map, frame_id frame)
{
    struct profile *into = map->join->into;
    const struct frame_names *names = profile_frame_names(map->from, frame);
    const struct frame_names *known = profile_frame_names(into, map->frames[frame.v]);
    VEC(frame_id) mapped = VEC_INIT;

    if (!names || (known && known->count >= names->count))
        return;
    for (uint32_t i = 0; i < names->count; i++)
        vec_push(&mapped, map->frames[map->from->named.items[names->first + i].v]);
    profile_name_frame(into, map->frames[frame.v], mapped.items, mapped.length);
    vec_deinit(&mapped);
}

static void map_frames(struct mapping *map)
{
    uint32_t count = (uint32_t)map->from->frames.length;

    map->frames = xreallocarray(NULL, count + 1, sizeof(map->frames[0]));
    for (uint32_t i = 0; i < count; i++)
        map->frames[i] = map_frame(map, (frame_id){i});
    for (uint32_t i = 0; i < count; i++)
        map_names(map, (frame_id){i});
}

/* A parent comes before its children. */
static void map_stacks(struct mapping *map)
{
    size_t count = map->from->stacks.length;

    map->stacks = xreallocarray(NULL, count, sizeof(map->stacks[0]));
    map->stacks[0] = STACK_EMPTY;
    for (size_t i = 1; i < count; i++) {
        const struct stack_node *node = &map->from->stacks.items[i];

        map->stacks[i] =
            profile_stack(map->join->into, map->stacks[node->parent.v], map->frames[node->frame.v]);
    }
}

/* ---- processes, threads, samples ---------------------------------------------------------------
 */

static bool has_program(const struct profile *profile, uint32_t process)
{
    vec_each (program, &profile->programs)
        if (program->process == process)
            return true;
    return false;
}

static void take_processes(struct mapping *map, const struct join_source *source)
{
    const struct profile *from = map->from;
    struct profile *into = map->join->into;

    map->first_process = (uint32_t)into->processes.length;
    vec_each (process, &from->processes) {
        struct profile_process there = *process;

        if (there.rank < 0)
            there.rank = source->rank;
        there.host = map_string(map, process->host.v ? process->host : from->facts.host);
        there.command = map_string(map, process->command);
        vec_push(&into->processes, there);
    }
    map->first_thread = (uint32_t)into->threads.length;
    vec_each (thread, &from->threads) {
        struct profile_thread there = *thread;

        there.process += map->first_process;
        there.name = map_string(map, thread->name);
        vec_push(&into->threads, there);
    }
}

/* Programs are in the order of time; a process that has none gets one, to have a root. */
static void take_programs(struct mapping *map)
{
    const struct profile *from = map->from;
    struct profile *into = map->join->into;

    map->first_program = (uint32_t)into->programs.length;
    vec_each (program, &from->programs) {
        struct profile_program there = *program;

        there.process += map->first_process;
        if (there.parent != PROFILE_NONE)
            there.parent += map->first_program;
        there.command = map_string(map, program->command);
        there.since += from->facts.start_wall;
        vec_push(&into->programs, there);
    }
    for (uint32_t i = 0; i < from->processes.length; i++) {
        string_id command = from->processes.items[i].command;
        struct profile_program there = {.process = map->first_process + i,
                                        .parent = PROFILE_NONE,
                                        .since = from->facts.start_wall};

        there.command = map_string(map, command.v ? command : from->facts.title);
        if (!has_program(from, i))
            vec_push(&into->programs, there);
    }
}

static void take_samples(struct mapping *map)
{
    struct profile *into = map->join->into;

    vec_each (sample, &map->from->samples) {
        struct sample there = *sample;

        there.time += map->from->facts.start_wall;
        there.thread += map->first_thread;
        there.stack = map->stacks[sample->stack.v];
        profile_add_sample(into, &there);
    }
}

/* ---- facts -------------------------------------------------------------------------------------
 */

/* What the first recording says, and where a later one says something else, both: "3.11.2, 3.12.1".
 */
static string_id both(struct profile *into, string_id known, string_id text)
{
    cleanup(strbuf_deinit) struct strbuf list = STRBUF_INIT;

    if (!known.v || !text.v)
        return known.v ? known : text;
    if (strstr(profile_text(into, known), profile_text(into, text)))
        return known;
    strbuf_addf(&list, "%s, %s", profile_text(into, known), profile_text(into, text));
    return profile_string(into, list.text);
}

static void take_first_facts(const struct mapping *map)
{
    struct recording_facts *facts = &map->join->into->facts;

    *facts = map->from->facts;
    facts->title = map_string(map, facts->title);
    facts->host = map_string(map, facts->host);
    facts->exporter = map_string(map, facts->exporter);
    facts->python = map_string(map, facts->python);
    facts->python_why = map_string(map, facts->python_why);
}

static void sum_facts(struct recording_facts *facts, const struct recording_facts *more)
{
    facts->ticks += more->ticks;
    for (int cause = 0; cause < LOSS_CAUSES; cause++)
        facts->losses[cause] += more->losses[cause];
    facts->without_native += more->without_native;
    if (more->end == RECORDING_CUT_OFF)
        facts->end = RECORDING_CUT_OFF;
    if (more->rate > facts->rate)
        facts->rate = more->rate;
    if (more->max_overhead > facts->max_overhead)
        facts->max_overhead = more->max_overhead;
    if (more->lowest_rate > 0 &&
        (facts->lowest_rate <= 0 || more->lowest_rate < facts->lowest_rate))
        facts->lowest_rate = more->lowest_rate;
    facts->native |= more->native;
    facts->idle |= more->idle;
    facts->gil &= more->gil;
    facts->nonblocking |= more->nonblocking;
    facts->saw_python |= more->saw_python;
    facts->python_is_guessed |= more->python_is_guessed;
    facts->has_no_states |= more->has_no_states;
}

static void take_facts(const struct mapping *map)
{
    struct join *join = map->join;
    struct recording_facts *facts = &join->into->facts;
    const struct recording_facts *more = &map->from->facts;

    if (!join->runs.length) {
        take_first_facts(map);
    } else {
        sum_facts(facts, more);
        if (more->start_wall < join->start)
            facts->delay = more->delay;
        facts->python = both(join->into, facts->python, map_string(map, more->python));
        if (!facts->python_why.v)
            facts->python_why = map_string(map, more->python_why);
        if (facts->host.v != map_string(map, more->host).v)
            facts->host = STRING_EMPTY;
        join->has_other_titles |= facts->title.v != map_string(map, more->title).v;
    }
    if (more->start_wall < join->start)
        join->start = more->start_wall;
    if (more->start_wall + more->duration > join->end)
        join->end = more->start_wall + more->duration;
}

enum err join_add(struct join *join, const struct profile *from, const struct join_source *source,
                  struct error *why)
{
    struct mapping map = {.join = join, .from = from};
    struct joined run = {.pid = first_pid(from), .start = from->facts.start_wall};
    enum err err = check_clocks(join, from, source, why);

    if (err)
        return err;
    map_strings(&map);
    map_modules(&map);
    map_frames(&map);
    map_stacks(&map);
    take_processes(&map, source);
    take_programs(&map);
    run.next = join->into->samples.length;
    take_samples(&map);
    run.end = join->into->samples.length;
    take_facts(&map);
    run.host = map_string(&map, from->facts.host);
    vec_push(&join->runs, run);
    free(map.strings);
    free(map.modules);
    free(map.frames);
    free(map.stacks);
    return ERR_OK;
}

static void finish_title(struct join *join)
{
    struct recording_facts *facts = &join->into->facts;
    cleanup(strbuf_deinit) struct strbuf title = STRBUF_INIT;

    strbuf_add_text(&title, profile_text(join->into, facts->title));
    if (join->has_other_titles)
        strbuf_addf(&title, " and %zu more recording%s", join->runs.length - 1,
                    join->runs.length > 2 ? "s" : "");
    else
        strbuf_addf(&title, " (%zu recordings)", join->runs.length);
    facts->title = profile_string(join->into, title.text);
}

void join_finish(struct join *join)
{
    struct recording_facts *facts = &join->into->facts;

    if (join->runs.length) {
        join_order_samples(join);
        join_order_programs(join);
        facts->start_wall = join->start;
        facts->duration = join->end - join->start;
        facts->subprocesses = true;
    }
    if (join->runs.length > 1)
        finish_title(join);
    join_destroy(join);
}
