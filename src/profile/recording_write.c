/* SPDX-License-Identifier: MIT */
/*
 * Tables that only grow are written from where the last call ended. Rows that change (modules,
 * processes, threads) are compared with what was written of them; facts with the bytes they made.
 */
#include <string.h>

#include "recording_writer.h"

#define CHUNK_WANTED (1 << 20) /* bytes after which a table goes on in another chunk */

struct recording_writer *recording_writer_create(recording_write_fn *write, void *context)
{
    struct recording_writer *writer = xcalloc(1, sizeof(*writer));

    writer->write = write;
    writer->context = context;
    recording_packer_init(&writer->packer);
    return writer;
}

void recording_writer_destroy(struct recording_writer *writer)
{
    if (!writer)
        return;
    strbuf_deinit(&writer->raw);
    strbuf_deinit(&writer->facts);
    recording_packer_deinit(&writer->packer);
    for (size_t i = 0; i < CHANGING_TABLES; i++)
        vec_deinit(&writer->rows[i]);
    vec_deinit(&writer->traits);
    vec_deinit(&writer->leaf_of);
    free(writer);
}

static void write_header(struct recording_writer *writer)
{
    struct strbuf header = STRBUF_INIT;

    if (writer->has_header)
        return;
    strbuf_add(&header, RECORDING_MAGIC, RECORDING_MAGIC_LENGTH);
    recording_put_fixed(&header, RECORDING_MAJOR, 2);
    recording_put_fixed(&header, RECORDING_MINOR, 2);
    recording_hand_over(writer, &header);
    strbuf_deinit(&header);
    writer->has_header = true;
}

/* ---- facts -------------------------------------------------------------------------------------
 */

static void put_fact(struct strbuf *out, unsigned tag, const void *bytes, size_t length)
{
    recording_put(out, tag);
    recording_put(out, length);
    strbuf_add(out, bytes, length);
}

static void put_fact_text(struct strbuf *out, unsigned tag, const struct profile *profile,
                          string_id string)
{
    const char *text = profile_text(profile, string);

    put_fact(out, tag, text, strnlen(text, FACT_LARGEST));
}

static void put_fact_number(struct strbuf *out, unsigned tag, uint64_t number)
{
    struct strbuf bytes = STRBUF_INIT;

    recording_put(&bytes, number);
    put_fact(out, tag, bytes.text, bytes.length);
    strbuf_deinit(&bytes);
}

/* IEEE 754, eight bytes. */
static void put_fact_double(struct strbuf *out, unsigned tag, double number)
{
    struct strbuf bytes = STRBUF_INIT;
    uint64_t bits;

    memcpy(&bits, &number, sizeof(bits));
    recording_put_fixed(&bytes, bits, sizeof(bits));
    put_fact(out, tag, bytes.text, bytes.length);
    strbuf_deinit(&bytes);
}

static uint64_t fact_flags(const struct recording_facts *facts)
{
    return (facts->native ? FACT_IS_NATIVE : 0u) |
           (facts->subprocesses ? FACT_HAS_SUBPROCESSES : 0u) | (facts->idle ? FACT_IS_IDLE : 0u) |
           (facts->gil ? FACT_IS_GIL : 0u) | (facts->nonblocking ? FACT_IS_NONBLOCKING : 0u) |
           (facts->saw_python ? FACT_SAW_PYTHON : 0u) |
           (facts->python_is_guessed ? FACT_PYTHON_IS_GUESSED : 0u) |
           (facts->is_counted ? FACT_IS_COUNTED : 0u) |
           (facts->has_no_states ? FACT_HAS_NO_STATES : 0u);
}

static void put_facts(struct strbuf *out, const struct profile *profile)
{
    const struct recording_facts *facts = &profile->facts;

    put_fact_text(out, FACT_TITLE, profile, facts->title);
    put_fact_text(out, FACT_HOST, profile, facts->host);
    put_fact_text(out, FACT_EXPORTER, profile, facts->exporter);
    put_fact_text(out, FACT_PYTHON, profile, facts->python);
    put_fact_text(out, FACT_PYTHON_WHY, profile, facts->python_why);
    put_fact_number(out, FACT_START_WALL, facts->start_wall);
    put_fact_double(out, FACT_RATE, facts->rate);
    put_fact_double(out, FACT_LOWEST_RATE, facts->lowest_rate);
    put_fact_double(out, FACT_MAX_OVERHEAD, facts->max_overhead);
    put_fact_number(out, FACT_DELAY, facts->delay);
    put_fact_number(out, FACT_END, facts->end);
    put_fact_number(out, FACT_FLAGS, fact_flags(facts));
}

/* Where the bytes differ from those that were written last. */
static void write_facts(struct recording_writer *writer, const struct profile *profile)
{
    struct strbuf *last = &writer->facts;

    put_facts(&writer->raw, profile);
    if (last->length == writer->raw.length &&
        memcmp(last->text, writer->raw.text, last->length) == 0) {
        strbuf_reset(&writer->raw);
        return;
    }
    strbuf_reset(last);
    strbuf_add(last, writer->raw.text, writer->raw.length);
    recording_end_chunk(writer, CHUNK_FACTS, CHUNK_CRITICAL);
}

/* Those that have changed: all begin at 0. */
static void write_counters(struct recording_writer *writer, const struct profile *profile)
{
    const struct recording_facts *facts = &profile->facts;
    uint64_t now[COUNTERS_ALL] = {
        [COUNTER_DURATION] = facts->duration,
        [COUNTER_TICKS] = facts->ticks,
        [COUNTER_WITHOUT_NATIVE] = facts->without_native,
    };

    memcpy(&now[COUNTER_LOSSES], facts->losses, sizeof(facts->losses));
    for (unsigned tag = 0; tag < COUNTERS_ALL; tag++)
        if (now[tag] != writer->counters[tag])
            put_fact_number(&writer->raw, tag, now[tag]);
    memcpy(writer->counters, now, sizeof(now));
    if (writer->raw.length)
        recording_end_chunk(writer, CHUNK_COUNTERS, CHUNK_CRITICAL);
}

/* ---- tables ------------------------------------------------------------------------------------
 */

/* Each writes rows from *next on into a chunk's bytes, until it is full. */
typedef void write_rows_fn(struct recording_writer *writer, const struct profile *profile,
                           size_t *next);

static bool is_full(const struct recording_writer *writer)
{
    return writer->raw.length >= CHUNK_WANTED;
}

static void put_strings(struct recording_writer *writer, const struct profile *profile,
                        size_t *next)
{
    for (; *next < profile->strings.offsets.length && !is_full(writer); ++*next) {
        const char *text = profile_text(profile, (string_id){(uint32_t)*next});
        size_t length = strnlen(text, STRING_LARGEST);

        recording_put(&writer->raw, length);
        strbuf_add(&writer->raw, text, length);
    }
}

static void put_info(struct strbuf *out, const struct frame_info *info)
{
    const uint64_t fields[FRAME_FIELDS] = {
        info->kind,          info->fold,       info->flags,        info->name.v,
        info->python_name.v, info->file.v,     info->short_file.v, info->module.v,
        info->line,          info->first_line, info->column,
    };

    for (size_t i = 0; i < FRAME_FIELDS; i++)
        recording_put(out, fields[i]);
}

static void put_address(struct strbuf *out, const struct native_ref *ref)
{
    recording_put(out, FRAME_IS_ADDRESS);
    recording_put(out, ref->module);
    recording_put(out, ref->is_return);
    recording_put(out, ref->offset);
    for (size_t i = 4; i < FRAME_FIELDS; i++)
        recording_put(out, 0);
}

static void put_frames(struct recording_writer *writer, const struct profile *profile, size_t *next)
{
    recording_put(&writer->raw, FRAME_FIELDS);
    for (; *next < profile->frames.length && !is_full(writer); ++*next) {
        frame_id frame = {(uint32_t)*next};
        const struct native_ref *ref = profile_frame_ref(profile, frame);

        if (ref)
            put_address(&writer->raw, ref);
        else
            put_info(&writer->raw, profile_frame_info(profile, frame));
    }
}

static void put_names(struct recording_writer *writer, const struct profile *profile, size_t *next)
{
    for (; *next < profile->names.length && !is_full(writer); ++*next) {
        const struct frame_names *names = &profile->names.items[*next];

        recording_put(&writer->raw, names->frame.v);
        recording_put(&writer->raw, names->count);
        for (uint32_t i = 0; i < names->count; i++)
            recording_put(&writer->raw, profile->named.items[names->first + i].v);
    }
}

static void put_stacks(struct recording_writer *writer, const struct profile *profile, size_t *next)
{
    for (; *next < profile->stacks.length && !is_full(writer); ++*next) {
        const struct stack_node *stack = &profile->stacks.items[*next];

        recording_put(&writer->raw, *next - stack->parent.v);
        recording_put(&writer->raw, stack->frame.v);
    }
}

static void put_programs(struct recording_writer *writer, const struct profile *profile,
                         size_t *next)
{
    recording_put(&writer->raw, PROGRAM_FIELDS);
    for (; *next < profile->programs.length && !is_full(writer); ++*next) {
        const struct profile_program *program = &profile->programs.items[*next];

        recording_put(&writer->raw, program->process);
        recording_put(&writer->raw, program->parent == PROFILE_NONE ? 0 : program->parent + 1ull);
        recording_put(&writer->raw, program->command.v);
        recording_put(&writer->raw, program->since);
    }
}

static void write_table(struct recording_writer *writer, const struct profile *profile,
                        enum chunk_type type, write_rows_fn *rows, size_t length, size_t *next)
{
    while (*next < length) {
        recording_put(&writer->raw, *next);
        rows(writer, profile, next);
        recording_end_chunk(writer, type, CHUNK_CRITICAL);
    }
}

/* ---- rows that change --------------------------------------------------------------------------
 */

static uint64_t zigzag(int64_t number)
{
    return (uint64_t)number << 1 ^ (uint64_t)(number >> 63);
}

static void module_row(const struct profile *profile, size_t index, uint64_t *ret)
{
    const struct profile_module *module = &profile->modules.items[index];

    ret[0] = module->path.v;
    ret[1] = module->build_id.v;
    ret[2] = module->flags;
}

static void process_row(const struct profile *profile, size_t index, uint64_t *ret)
{
    const struct profile_process *process = &profile->processes.items[index];

    ret[0] = zigzag(process->pid);
    ret[1] = zigzag(process->rank);
    ret[2] = process->host.v;
    ret[3] = process->command.v;
    ret[4] = process->has_status;
    ret[5] = zigzag(process->status);
}

static void thread_row(const struct profile *profile, size_t index, uint64_t *ret)
{
    const struct profile_thread *thread = &profile->threads.items[index];

    ret[0] = thread->process;
    ret[1] = zigzag(thread->tid);
    ret[2] = thread->name.v;
    ret[3] = thread->user;
    ret[4] = thread->system;
    ret[5] = thread->ready;
}

typedef void row_fn(const struct profile *profile, size_t index, uint64_t *ret);

static const struct {
    enum chunk_type type;
    size_t fields;
    row_fn *row;
} changing[] = {
    {CHUNK_MODULES, MODULE_FIELDS, module_row},
    {CHUNK_PROCESSES, PROCESS_FIELDS, process_row},
    {CHUNK_THREADS, THREAD_FIELDS, thread_row},
};
_Static_assert(sizeof(changing) / sizeof(changing[0]) == CHANGING_TABLES, "each is remembered");

/* Whether the row is new or another one than before; remembers it. */
static bool has_changed(written_rows *last, size_t index, const uint64_t *row, size_t fields)
{
    uint64_t *before;

    while (last->length < (index + 1) * fields)
        vec_push(last, UINT64_MAX);
    before = &last->items[index * fields];
    if (memcmp(before, row, fields * sizeof(row[0])) == 0)
        return false;
    memcpy(before, row, fields * sizeof(row[0]));
    return true;
}

static void write_changing(struct recording_writer *writer, const struct profile *profile,
                           size_t table, size_t length)
{
    size_t fields = changing[table].fields;
    uint64_t row[8];

    for (size_t i = 0; i < length; i++) {
        changing[table].row(profile, i, row);
        if (!has_changed(&writer->rows[table], i, row, fields))
            continue;
        if (!writer->raw.length)
            recording_put(&writer->raw, fields);
        recording_put(&writer->raw, i);
        for (size_t field = 0; field < fields; field++)
            recording_put(&writer->raw, row[field]);
        if (is_full(writer))
            recording_end_chunk(writer, changing[table].type, CHUNK_CRITICAL);
    }
    if (writer->raw.length)
        recording_end_chunk(writer, changing[table].type, CHUNK_CRITICAL);
}

/* ---- all ---------------------------------------------------------------------------------------
 */

bool recording_write(struct recording_writer *writer, const struct profile *profile)
{
    write_header(writer);
    write_facts(writer, profile);
    if (writer->strings == 0)
        writer->strings = writer->stacks = 1; /* the empty ones are there */
    write_table(writer, profile, CHUNK_STRINGS, put_strings, profile->strings.offsets.length,
                &writer->strings);
    write_changing(writer, profile, 0, profile->modules.length);
    write_table(writer, profile, CHUNK_FRAMES, put_frames, profile->frames.length, &writer->frames);
    write_table(writer, profile, CHUNK_NAMES, put_names, profile->names.length, &writer->names);
    write_table(writer, profile, CHUNK_STACKS, put_stacks, profile->stacks.length, &writer->stacks);
    write_changing(writer, profile, 1, profile->processes.length);
    write_table(writer, profile, CHUNK_PROGRAMS, put_programs, profile->programs.length,
                &writer->programs);
    write_changing(writer, profile, 2, profile->threads.length);
    recording_write_samples(writer, profile);
    write_counters(writer, profile);
    return !writer->has_failed;
}

bool recording_finish(struct recording_writer *writer, const struct profile *profile)
{
    recording_write(writer, profile);
    recording_put(&writer->raw, writer->samples);
    recording_end_chunk(writer, CHUNK_END, CHUNK_CRITICAL);
    return !writer->has_failed;
}
