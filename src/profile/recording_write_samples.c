/* SPDX-License-Identifier: MIT */
/*
 * Samples are columns, because equal things beside each other pack well. A tick's samples share
 * their time, and mostly their weight: the time since the tick before. The low bytes of that are
 * noise, so that bytes of equal place stand together.
 */
#include "recording_writer.h"

#define SAMPLES_WANTED 65536 /* in a chunk */
#define NOISE_PLANES   2     /* low bytes of a distance: any value is as likely as another */

static size_t trait_of(struct recording_writer *writer, const struct sample *sample)
{
    struct sample_trait wanted = {sample->end, sample->state, sample->flags, sample->call};

    for (size_t i = 0; i < writer->traits.length; i++) {
        const struct sample_trait *trait = &writer->traits.items[i];

        if (trait->end == wanted.end && trait->state == wanted.state &&
            trait->flags == wanted.flags && trait->call == wanted.call)
            return i;
    }
    vec_push(&writer->traits, wanted);
    return writer->traits.length - 1;
}

/* One behind the last sample of the tick that begins at `from`. */
static size_t tick_end(const struct sample *samples, size_t from, size_t end)
{
    size_t to = from + 1;

    while (to < end && samples[to].time == samples[from].time)
        to++;
    return to;
}

static uint64_t tick_distance(const struct sample *samples, size_t at, size_t from, uint64_t before)
{
    return samples[at].time - (at > from ? samples[at - 1].time : before);
}

/* How many samples each tick has, and how far it is from the one before: byte by byte. */
static void put_ticks(struct recording_writer *writer, const struct sample *samples, size_t from,
                      size_t to)
{
    struct strbuf counts = STRBUF_INIT, planes[TIME_PLANES], rest = STRBUF_INIT;
    uint64_t ticks = 0;

    for (unsigned i = 0; i < TIME_PLANES; i++)
        strbuf_init(&planes[i]);
    for (size_t at = from, next; at < to; at = next, ticks++) {
        uint64_t distance = tick_distance(samples, at, from, writer->last_time);
        uint64_t shown = distance < TIME_ESCAPE ? distance : TIME_ESCAPE;

        next = tick_end(samples, at, to);
        recording_put(&counts, next - at);
        for (unsigned i = 0; i < TIME_PLANES; i++)
            strbuf_add_char(&planes[i], (char)(shown >> 8 * i));
        if (shown == TIME_ESCAPE)
            recording_put(&rest, distance);
    }
    recording_put(&writer->raw, ticks);
    strbuf_add(&writer->raw, counts.text, counts.length);
    for (unsigned i = 0; i < TIME_PLANES; i++) {
        if (i == 0 || i == NOISE_PLANES)
            recording_cut(writer);
        strbuf_add(&writer->raw, planes[i].text, planes[i].length);
        strbuf_deinit(&planes[i]);
    }
    strbuf_add(&writer->raw, rest.text, rest.length);
    strbuf_deinit(&counts);
    strbuf_deinit(&rest);
}

/* 0: the time since the tick before; else the weight plus 1. */
static void put_weights(struct recording_writer *writer, const struct sample *samples, size_t from,
                        size_t to)
{
    for (size_t at = from, next; at < to; at = next) {
        uint64_t distance = tick_distance(samples, at, from, writer->last_time);

        next = tick_end(samples, at, to);
        for (size_t i = at; i < next; i++)
            recording_put(&writer->raw, samples[i].weight == distance ? 0 : samples[i].weight + 1);
    }
}

/* Stacks that the chunk is the first to have a sample of. */
static void put_leaves(struct recording_writer *writer, const struct sample *samples, size_t from,
                       size_t to)
{
    struct strbuf stacks = STRBUF_INIT;
    uint32_t known = writer->leaves;

    for (size_t i = from; i < to; i++) {
        uint32_t stack = samples[i].stack.v;

        while (writer->leaf_of.length <= stack)
            vec_push(&writer->leaf_of, 0);
        if (writer->leaf_of.items[stack])
            continue;
        writer->leaf_of.items[stack] = ++writer->leaves;
        recording_put(&stacks, stack);
    }
    recording_put(&writer->raw, writer->leaves - known);
    strbuf_add(&writer->raw, stacks.text, stacks.length);
    strbuf_deinit(&stacks);
}

/* Traits that the chunk is the first to have. */
static void put_traits(struct recording_writer *writer, const struct sample *samples, size_t from,
                       size_t to)
{
    size_t known = writer->traits.length;

    for (size_t i = from; i < to; i++)
        trait_of(writer, &samples[i]);
    recording_put(&writer->raw, writer->traits.length - known);
    for (size_t i = known; i < writer->traits.length; i++) {
        const struct sample_trait *trait = &writer->traits.items[i];

        recording_put(&writer->raw, trait->end);
        recording_put(&writer->raw, trait->state);
        recording_put(&writer->raw, trait->flags);
        recording_put(&writer->raw, trait->call);
    }
}

void recording_write_samples(struct recording_writer *writer, const struct profile *profile)
{
    const struct sample *samples = profile->samples.items;

    while (writer->samples < profile->settled) {
        size_t from = writer->samples, to = profile->settled;

        if (to - from > SAMPLES_WANTED)
            to = from + SAMPLES_WANTED;
        recording_put(&writer->raw, from);
        recording_put(&writer->raw, to - from);
        put_traits(writer, samples, from, to);
        put_leaves(writer, samples, from, to);
        put_ticks(writer, samples, from, to);
        put_weights(writer, samples, from, to);
        for (size_t i = from; i < to; i++)
            recording_put(&writer->raw, samples[i].thread);
        for (size_t i = from; i < to; i++)
            recording_put(&writer->raw, trait_of(writer, &samples[i]));
        recording_cut(writer);
        for (size_t i = from; i < to; i++)
            recording_put(&writer->raw, writer->leaf_of.items[samples[i].stack.v] - 1);
        recording_end_chunk(writer, CHUNK_SAMPLES, CHUNK_CRITICAL);
        writer->last_time = samples[to - 1].time;
        writer->samples = to;
    }
}
