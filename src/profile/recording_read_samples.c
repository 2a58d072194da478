/* SPDX-License-Identifier: MIT */
/* The columns of samples; recording_write_samples.c says how they lie. */
#include "recording_reader.h"

#define TRAITS_MOST 1000000
#define SAMPLE_COST 16 /* of our memory: most of them lie in a file */
#define TRAIT_COST  12
#define LEAF_COST   8

/* The columns of one chunk; freed together. */
struct columns {
    size_t count; /* samples */
    uint64_t *times;
    uint64_t *distances; /* of each sample's tick from the tick before */
    uint64_t *weights;
    uint32_t *threads, *traits;
};

static void columns_init(struct columns *columns, size_t count)
{
    columns->count = count;
    columns->times = xcalloc(count, sizeof(columns->times[0]));
    columns->distances = xcalloc(count, sizeof(columns->distances[0]));
    columns->weights = xcalloc(count, sizeof(columns->weights[0]));
    columns->threads = xcalloc(count, sizeof(columns->threads[0]));
    columns->traits = xcalloc(count, sizeof(columns->traits[0]));
}

static void columns_deinit(struct columns *columns)
{
    free(columns->times);
    free(columns->distances);
    free(columns->weights);
    free(columns->threads);
    free(columns->traits);
}

static bool take_traits(struct reader *reader, struct chunk_bytes *bytes)
{
    uint64_t count = bytes_number(bytes);

    if (count > (size_t)(bytes->end - bytes->at) || reader->traits.length + count > TRAITS_MOST ||
        !reader_count(reader, bytes, TRAIT_COST * count))
        return false;
    for (uint64_t i = 0; i < count && !bytes->is_bad; i++) {
        struct sample_trait trait = {.end = (uint8_t)bytes_index(bytes, STACK_ENDS),
                                     .state = (uint8_t)bytes_index(bytes, SAMPLE_STATES),
                                     .flags = (uint8_t)bytes_index(bytes, UINT8_MAX + 1),
                                     .call = (uint16_t)bytes_index(bytes, UINT16_MAX + 1)};

        vec_push(&reader->traits, trait);
    }
    return !bytes->is_bad;
}

static bool take_leaves(struct reader *reader, struct chunk_bytes *bytes)
{
    uint64_t count = bytes_number(bytes);

    if (count > (size_t)(bytes->end - bytes->at) || !reader_count(reader, bytes, LEAF_COST * count))
        return false;
    for (uint64_t i = 0; i < count && !bytes->is_bad; i++) {
        uint32_t stack = bytes_index(bytes, reader->stacks.length);

        vec_push(&reader->leaves, reader->stacks.items[stack]);
    }
    return !bytes->is_bad;
}

static uint64_t plane_number(const unsigned char *planes, uint64_t ticks, uint64_t tick)
{
    uint64_t number = 0;

    for (size_t i = TIME_PLANES; i-- > 0;)
        number = number << 8 | planes[i * ticks + tick];
    return number;
}

/* Times never go back, and do not wrap. */
static bool set_ticks(struct reader *reader, struct chunk_bytes *bytes, struct chunk_bytes counts,
                      uint64_t ticks, struct columns *columns)
{
    const unsigned char *planes = bytes_take(bytes, TIME_PLANES * ticks);
    uint64_t time = reader->last_time;
    size_t at = 0;

    for (uint64_t tick = 0; planes && tick < ticks && !bytes->is_bad; tick++) {
        uint64_t count = bytes_number(&counts), distance = plane_number(planes, ticks, tick);

        if (distance == TIME_ESCAPE)
            distance = bytes_number(bytes);
        if (count == 0 || count > columns->count - at || distance > INT64_MAX - time)
            return false;
        time += distance;
        for (uint64_t i = 0; i < count; i++, at++) {
            columns->times[at] = time;
            columns->distances[at] = distance;
        }
    }
    reader->last_time = time;
    return planes && !bytes->is_bad && at == columns->count;
}

static bool take_ticks(struct reader *reader, struct chunk_bytes *bytes, struct columns *columns)
{
    uint64_t ticks = bytes_number(bytes);
    struct chunk_bytes counts = *bytes;

    if (ticks > columns->count)
        return false;
    for (uint64_t i = 0; i < ticks; i++)
        bytes_number(bytes); /* the counts, read again beside the distances */
    return !bytes->is_bad && set_ticks(reader, bytes, counts, ticks, columns);
}

/* Their sum must not wrap. */
static void take_weights(struct reader *reader, struct chunk_bytes *bytes, struct columns *columns)
{
    for (size_t i = 0; i < columns->count; i++) {
        uint64_t weight = bytes_number(bytes);

        weight = weight ? weight - 1 : columns->distances[i];
        if (weight > INT64_MAX - reader->total_weight)
            bytes->is_bad = true;
        else
            reader->total_weight += weight;
        columns->weights[i] = weight;
    }
}

static bool take_columns(struct reader *reader, struct chunk_bytes *bytes, struct columns *columns)
{
    const struct profile *profile = reader->profile;

    if (!take_traits(reader, bytes) || !take_leaves(reader, bytes) ||
        !take_ticks(reader, bytes, columns))
        return false;
    take_weights(reader, bytes, columns);
    for (size_t i = 0; i < columns->count; i++)
        columns->threads[i] = bytes_index(bytes, profile->threads.length);
    for (size_t i = 0; i < columns->count; i++)
        columns->traits[i] = bytes_index(bytes, reader->traits.length);
    return !bytes->is_bad;
}

/* The stacks are the last column: read as the samples are added. */
static bool add_samples(struct reader *reader, struct chunk_bytes *bytes,
                        const struct columns *columns)
{
    for (size_t i = 0; i < columns->count; i++) {
        uint32_t leaf = bytes_index(bytes, reader->leaves.length);
        const struct sample_trait *trait;
        struct sample sample;

        if (bytes->is_bad)
            return false;
        trait = &reader->traits.items[columns->traits[i]];
        sample = (struct sample){.time = columns->times[i],
                                 .weight = columns->weights[i],
                                 .thread = columns->threads[i],
                                 .stack = reader->leaves.items[leaf],
                                 .end = trait->end,
                                 .state = trait->state,
                                 .flags = trait->flags,
                                 .call = trait->call};
        profile_add_sample(reader->profile, &sample);
    }
    return true;
}

bool reader_take_samples(struct reader *reader, struct chunk_bytes *bytes)
{
    uint64_t first = bytes_number(bytes), count = bytes_number(bytes);
    struct columns columns;
    bool is_good;

    /* Each has a byte of weight, thread, trait and stack at least. */
    if (first != reader->profile->samples.length || bytes->is_bad ||
        count > (size_t)(bytes->end - bytes->at) / 4 ||
        !reader_count(reader, bytes, SAMPLE_COST * count))
        return false;
    columns_init(&columns, count);
    is_good = take_columns(reader, bytes, &columns) && add_samples(reader, bytes, &columns);
    columns_deinit(&columns);
    return is_good;
}
