/* SPDX-License-Identifier: MIT */
/* What the chunks of a recording say, into a profile. Nothing of the file is believed: each number
 * is compared with the table that it points into. */
#include <string.h>

#include "recording_reader.h"

#define FIELDS_MOST 64

/* What a row takes of our memory: itself, its places in indices, and the room that arrays grow by.
 */
enum {
    STRING_COST = 64,
    STRING_BYTE_COST = 4, /* a NUL becomes three bytes */
    MODULE_COST = 24,
    FRAME_COST = 128,
    NAMES_COST = 24,
    NAME_COST = 8,
    STACK_COST = 64,
    ROW_COST = 96, /* of processes, programs and threads */
};

bool reader_count(struct reader *reader, struct chunk_bytes *bytes, uint64_t memory)
{
    reader->memory += memory;
    if (reader->memory > reader->memory_limit)
        bytes->is_bad = true;
    return !bytes->is_bad;
}

/* ---- bytes -------------------------------------------------------------------------------------
 */

uint64_t bytes_number(struct chunk_bytes *bytes)
{
    uint64_t number = 0;

    for (unsigned shift = 0; shift < 64 && bytes->at < bytes->end; shift += 7) {
        unsigned char byte = *bytes->at++;

        number |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return number;
    }
    bytes->is_bad = true;
    bytes->at = bytes->end;
    return 0;
}

static int64_t unzigzag(uint64_t number)
{
    return (int64_t)(number >> 1 ^ -(number & 1));
}

uint64_t bytes_amount(struct chunk_bytes *bytes)
{
    uint64_t number = bytes_number(bytes);

    if (number <= INT64_MAX)
        return number;
    bytes->is_bad = true;
    return 0;
}

uint32_t bytes_index(struct chunk_bytes *bytes, size_t limit)
{
    uint64_t number = bytes_number(bytes);

    if (number < limit)
        return (uint32_t)number;
    bytes->is_bad = true;
    return 0;
}

const unsigned char *bytes_take(struct chunk_bytes *bytes, uint64_t length)
{
    const unsigned char *taken = bytes->at;

    if (length > (size_t)(bytes->end - bytes->at)) {
        bytes->is_bad = true;
        return NULL;
    }
    bytes->at += length;
    return taken;
}

bool bytes_are_left(const struct chunk_bytes *bytes)
{
    return !bytes->is_bad && bytes->at < bytes->end;
}

/* ---- facts -------------------------------------------------------------------------------------
 */

/* The bytes of one fact, and its tag. */
static unsigned next_fact(struct chunk_bytes *bytes, struct chunk_bytes *ret)
{
    uint64_t tag = bytes_number(bytes), length = bytes_number(bytes);
    const unsigned char *value = bytes_take(bytes, length);

    *ret = (struct chunk_bytes){.at = value, .end = value ? value + length : NULL};
    return value && tag <= UINT32_MAX ? (unsigned)tag : 0;
}

/* Never below 0, and finite. */
static double fact_double(struct chunk_bytes *value)
{
    const unsigned char *bytes = bytes_take(value, 8);
    uint64_t bits = 0;
    double number;

    for (size_t i = 8; bytes && i-- > 0;)
        bits = bits << 8 | bytes[i];
    memcpy(&number, &bits, sizeof(number));
    return number > 0 && number < 1e18 ? number : 0;
}

static void set_flags(struct recording_facts *facts, uint64_t flags)
{
    facts->native = flags & FACT_IS_NATIVE;
    facts->subprocesses = flags & FACT_HAS_SUBPROCESSES;
    facts->idle = flags & FACT_IS_IDLE;
    facts->gil = flags & FACT_IS_GIL;
    facts->nonblocking = flags & FACT_IS_NONBLOCKING;
    facts->saw_python = flags & FACT_SAW_PYTHON;
    facts->python_is_guessed = flags & FACT_PYTHON_IS_GUESSED;
    facts->is_counted = flags & FACT_IS_COUNTED;
    facts->has_no_states = flags & FACT_HAS_NO_STATES;
}

static void set_text_fact(struct reader *reader, unsigned tag, struct chunk_bytes *value)
{
    struct recording_facts *facts = &reader->profile->facts;
    size_t length = (size_t)(value->end - value->at);
    string_id *const texts[] = {
        [FACT_TITLE] = &facts->title,           [FACT_HOST] = &facts->host,
        [FACT_EXPORTER] = &facts->exporter,     [FACT_PYTHON] = &facts->python,
        [FACT_PYTHON_WHY] = &facts->python_why,
    };

    if (reader_count(reader, value, STRING_COST + STRING_BYTE_COST * length))
        *texts[tag] = profile_string_n(reader->profile, (const char *)value->at, length);
}

static bool take_facts(struct reader *reader, struct chunk_bytes *bytes)
{
    struct recording_facts *facts = &reader->profile->facts;

    while (bytes_are_left(bytes)) {
        struct chunk_bytes value;
        unsigned tag = next_fact(bytes, &value);

        if (tag >= FACT_TITLE && tag <= FACT_PYTHON_WHY)
            set_text_fact(reader, tag, &value);
        else if (tag == FACT_START_WALL)
            facts->start_wall = bytes_amount(&value);
        else if (tag == FACT_RATE)
            facts->rate = fact_double(&value);
        else if (tag == FACT_LOWEST_RATE)
            facts->lowest_rate = fact_double(&value);
        else if (tag == FACT_MAX_OVERHEAD)
            facts->max_overhead = fact_double(&value);
        else if (tag == FACT_DELAY)
            facts->delay = bytes_amount(&value);
        else if (tag == FACT_END)
            facts->end = (uint8_t)bytes_index(&value, RECORDING_ENDS);
        else if (tag == FACT_FLAGS)
            set_flags(facts, bytes_number(&value));
        bytes->is_bad |= value.is_bad;
    }
    return !bytes->is_bad;
}

static bool take_counters(struct reader *reader, struct chunk_bytes *bytes)
{
    struct recording_facts *facts = &reader->profile->facts;

    while (bytes_are_left(bytes)) {
        struct chunk_bytes value;
        unsigned tag = next_fact(bytes, &value);

        if (tag == COUNTER_DURATION)
            facts->duration = bytes_amount(&value);
        else if (tag == COUNTER_TICKS)
            facts->ticks = bytes_amount(&value);
        else if (tag == COUNTER_WITHOUT_NATIVE)
            facts->without_native = bytes_amount(&value);
        else if (tag >= COUNTER_LOSSES && tag < COUNTER_LOSSES + LOSS_CAUSES)
            facts->losses[tag - COUNTER_LOSSES] = bytes_amount(&value);
        bytes->is_bad |= value.is_bad;
    }
    return !bytes->is_bad;
}

/* ---- tables ------------------------------------------------------------------------------------
 */

/* A table goes on where it ended. */
static bool begins_at(struct chunk_bytes *bytes, size_t length)
{
    return bytes_number(bytes) == length && !bytes->is_bad;
}

static uint64_t field_count(struct chunk_bytes *bytes, size_t least)
{
    uint64_t fields = bytes_number(bytes);

    if (fields < least || fields > FIELDS_MOST)
        bytes->is_bad = true;
    return fields;
}

/* A row's fields; those that this version does not know are left out. */
static void read_row(struct chunk_bytes *bytes, uint64_t fields, uint64_t *ret, size_t known)
{
    for (uint64_t i = 0; i < fields && !bytes->is_bad; i++) {
        uint64_t number = bytes_number(bytes);

        if (i < known)
            ret[i] = number;
    }
}

static string_id string_at(const struct reader *reader, struct chunk_bytes *bytes, uint64_t number)
{
    if (number < reader->strings.length)
        return reader->strings.items[number];
    bytes->is_bad = true;
    return STRING_EMPTY;
}

/* The file's frame of that number, which must have a frame_info. */
static frame_id info_at(const struct reader *reader, struct chunk_bytes *bytes)
{
    uint32_t number = bytes_index(bytes, reader->frames.length);
    frame_id frame = number < reader->frames.length ? reader->frames.items[number] : FRAME_NONE;

    if (frame.v == FRAME_NONE.v || profile_frame_ref(reader->profile, frame))
        bytes->is_bad = true;
    return frame;
}

static uint32_t limited(struct chunk_bytes *bytes, uint64_t number, uint64_t limit)
{
    if (number < limit)
        return (uint32_t)number;
    bytes->is_bad = true;
    return 0;
}

static bool take_strings(struct reader *reader, struct chunk_bytes *bytes)
{
    if (!begins_at(bytes, reader->strings.length))
        return false;
    while (bytes_are_left(bytes)) {
        uint64_t length = bytes_number(bytes);
        const unsigned char *text = bytes_take(bytes, length);

        if (text && reader_count(reader, bytes, STRING_COST + STRING_BYTE_COST * length))
            vec_push(&reader->strings,
                     profile_string_n(reader->profile, (const char *)text, (size_t)length));
    }
    return !bytes->is_bad;
}

static bool take_modules(struct reader *reader, struct chunk_bytes *bytes)
{
    struct profile *profile = reader->profile;
    uint64_t fields = field_count(bytes, MODULE_FIELDS), row[MODULE_FIELDS];

    while (bytes_are_left(bytes)) {
        uint32_t index = bytes_index(bytes, profile->modules.length + 1);
        struct profile_module module;

        read_row(bytes, fields, row, MODULE_FIELDS);
        if (!reader_count(reader, bytes, MODULE_COST))
            return false;
        module = (struct profile_module){.path = string_at(reader, bytes, row[0]),
                                         .build_id = string_at(reader, bytes, row[1]),
                                         .flags = (uint8_t)row[2]};
        if (index < profile->modules.length)
            profile->modules.items[index] = module;
        else
            profile_add_module(profile, &module);
    }
    return !bytes->is_bad;
}

static frame_id add_address(struct reader *reader, struct chunk_bytes *bytes, const uint64_t *row)
{
    struct native_ref ref = {.module = limited(bytes, row[1], reader->profile->modules.length),
                             .is_return = row[2] != 0,
                             .offset = row[3]};

    return bytes->is_bad ? FRAME_NONE : profile_frame_native(reader->profile, &ref);
}

static frame_id add_info(struct reader *reader, struct chunk_bytes *bytes, const uint64_t *row)
{
    struct frame_info info = {.kind = (enum frame_kind)limited(bytes, row[0], FRAME_KINDS),
                              .fold = (uint8_t)limited(bytes, row[1], FOLD_CLASSES),
                              .flags = (uint8_t)row[2],
                              .name = string_at(reader, bytes, row[3]),
                              .python_name = string_at(reader, bytes, row[4]),
                              .file = string_at(reader, bytes, row[5]),
                              .short_file = string_at(reader, bytes, row[6]),
                              .module = string_at(reader, bytes, row[7]),
                              .line = limited(bytes, row[8], UINT32_MAX),
                              .first_line = limited(bytes, row[9], UINT32_MAX),
                              .column = limited(bytes, row[10], UINT32_MAX)};

    return bytes->is_bad ? FRAME_NONE : profile_frame(reader->profile, &info);
}

static bool take_frames(struct reader *reader, struct chunk_bytes *bytes)
{
    uint64_t fields, row[FRAME_FIELDS];

    if (!begins_at(bytes, reader->frames.length))
        return false;
    fields = field_count(bytes, FRAME_FIELDS);
    while (bytes_are_left(bytes)) {
        frame_id frame;

        read_row(bytes, fields, row, FRAME_FIELDS);
        if (!reader_count(reader, bytes, FRAME_COST))
            return false;
        frame = row[0] == FRAME_IS_ADDRESS ? add_address(reader, bytes, row)
                                           : add_info(reader, bytes, row);
        if (!bytes->is_bad)
            vec_push(&reader->frames, frame);
    }
    return !bytes->is_bad;
}

static bool take_one_name(struct reader *reader, struct chunk_bytes *bytes)
{
    uint32_t number = bytes_index(bytes, reader->frames.length);
    uint64_t count = bytes_number(bytes);
    VEC(frame_id) names = VEC_INIT;
    frame_id frame;

    if (bytes->is_bad || count > (size_t)(bytes->end - bytes->at) ||
        !reader_count(reader, bytes, NAMES_COST + NAME_COST * count))
        return false;
    frame = reader->frames.items[number];
    for (uint64_t i = 0; i < count && !bytes->is_bad; i++)
        vec_push(&names, info_at(reader, bytes));
    if (!profile_frame_ref(reader->profile, frame))
        bytes->is_bad = true;
    if (!bytes->is_bad)
        profile_name_frame(reader->profile, frame, names.items, names.length);
    vec_deinit(&names);
    return !bytes->is_bad;
}

static bool take_names(struct reader *reader, struct chunk_bytes *bytes)
{
    bool is_good = begins_at(bytes, reader->profile->names.length);

    while (is_good && bytes_are_left(bytes))
        is_good = take_one_name(reader, bytes);
    return is_good && !bytes->is_bad;
}

static bool take_stacks(struct reader *reader, struct chunk_bytes *bytes)
{
    if (!begins_at(bytes, reader->stacks.length))
        return false;
    while (bytes_are_left(bytes)) {
        uint64_t distance = bytes_number(bytes);
        uint32_t frame = bytes_index(bytes, reader->frames.length);
        stack_id parent;

        if (distance == 0 || distance > reader->stacks.length ||
            !reader_count(reader, bytes, STACK_COST))
            return false;
        parent = reader->stacks.items[reader->stacks.length - distance];
        vec_push(&reader->stacks,
                 profile_stack(reader->profile, parent, reader->frames.items[frame]));
    }
    return !bytes->is_bad;
}

/* ---- processes and threads ---------------------------------------------------------------------
 */

static bool take_processes(struct reader *reader, struct chunk_bytes *bytes)
{
    struct profile *profile = reader->profile;
    uint64_t fields = field_count(bytes, PROCESS_FIELDS), row[PROCESS_FIELDS];

    while (bytes_are_left(bytes)) {
        uint32_t index = bytes_index(bytes, profile->processes.length + 1);

        read_row(bytes, fields, row, PROCESS_FIELDS);
        if (!reader_count(reader, bytes, ROW_COST))
            return false;
        if (index == profile->processes.length)
            profile_add_process(profile, 0);
        profile->processes.items[index] =
            (struct profile_process){.pid = (int)unzigzag(row[0]),
                                     .rank = (int)unzigzag(row[1]),
                                     .host = string_at(reader, bytes, row[2]),
                                     .command = string_at(reader, bytes, row[3]),
                                     .has_status = row[4] != 0,
                                     .status = (int)unzigzag(row[5])};
    }
    return !bytes->is_bad;
}

static bool take_programs(struct reader *reader, struct chunk_bytes *bytes)
{
    struct profile *profile = reader->profile;
    uint64_t fields, row[PROGRAM_FIELDS];

    if (!begins_at(bytes, profile->programs.length))
        return false;
    fields = field_count(bytes, PROGRAM_FIELDS);
    while (bytes_are_left(bytes)) {
        struct profile_program program;
        string_id command;

        read_row(bytes, fields, row, PROGRAM_FIELDS);
        if (!reader_count(reader, bytes, ROW_COST))
            return false;
        program = (struct profile_program){
            .process = limited(bytes, row[0], profile->processes.length),
            .parent = limited(bytes, row[1], profile->programs.length + 1) - 1u,
            .command = string_at(reader, bytes, row[2]),
            .since = row[3]};
        if (bytes->is_bad)
            return false;
        /* What the process's own row says of its command stays. */
        command = profile->processes.items[program.process].command;
        profile_add_program(profile, &program);
        profile->processes.items[program.process].command = command;
    }
    return !bytes->is_bad;
}

static bool take_threads(struct reader *reader, struct chunk_bytes *bytes)
{
    struct profile *profile = reader->profile;
    uint64_t fields = field_count(bytes, THREAD_FIELDS), row[THREAD_FIELDS];

    while (bytes_are_left(bytes)) {
        uint32_t index = bytes_index(bytes, profile->threads.length + 1), process;

        read_row(bytes, fields, row, THREAD_FIELDS);
        process = limited(bytes, row[0], profile->processes.length);
        if (!reader_count(reader, bytes, ROW_COST))
            return false;
        if (index == profile->threads.length)
            profile_add_thread(profile, process, 0);
        profile->threads.items[index] =
            (struct profile_thread){.process = process,
                                    .tid = (int)unzigzag(row[1]),
                                    .name = string_at(reader, bytes, row[2]),
                                    .user = row[3],
                                    .system = row[4],
                                    .ready = row[5]};
    }
    return !bytes->is_bad;
}

/* ---- chunks ------------------------------------------------------------------------------------
 */

static bool take_end(struct reader *reader, struct chunk_bytes *bytes)
{
    reader->has_ended = bytes_number(bytes) == reader->profile->samples.length;
    return reader->has_ended;
}

bool reader_take_chunk(struct reader *reader, unsigned type, unsigned flags,
                       struct chunk_bytes *bytes)
{
    static bool (*const takers[])(struct reader *, struct chunk_bytes *) = {
        [CHUNK_FACTS] = take_facts,         [CHUNK_STRINGS] = take_strings,
        [CHUNK_MODULES] = take_modules,     [CHUNK_FRAMES] = take_frames,
        [CHUNK_NAMES] = take_names,         [CHUNK_STACKS] = take_stacks,
        [CHUNK_PROCESSES] = take_processes, [CHUNK_PROGRAMS] = take_programs,
        [CHUNK_THREADS] = take_threads,     [CHUNK_SAMPLES] = reader_take_samples,
        [CHUNK_COUNTERS] = take_counters,   [CHUNK_END] = take_end,
    };

    if (type < sizeof(takers) / sizeof(takers[0]) && takers[type])
        return takers[type](reader, bytes);
    reader->is_unknown = flags & CHUNK_CRITICAL;
    return true;
}
