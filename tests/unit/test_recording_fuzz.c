/* SPDX-License-Identifier: MIT */
/*
 * Recordings that are damaged at random below their checksums: the chunks' own bytes are changed,
 * and packed anew. `test_recording_fuzz SEED ROUNDS` goes on where `make check` ends.
 */
#include "../../src/profile/recording_writer.h"
#include "unit/made_recording.h"

#define ROUNDS 4000

/* The whole recording's chunks, unpacked. */
struct unpacked {
    unsigned type, flags;
    struct strbuf raw;
};

static VEC(struct unpacked) whole;

static void take_apart(const struct strbuf *bytes)
{
    z_stream stream = {0};

    inflateInit2(&stream, -MAX_WBITS);
    for (size_t at = HEADER_SIZE; at < bytes->length;) {
        const unsigned char *header = (const unsigned char *)bytes->text + at;
        size_t stored = header[2] | (size_t)header[3] << 8 | (size_t)header[4] << 16;
        size_t raw = header[5] | (size_t)header[6] << 8 | (size_t)header[7] << 16;
        struct unpacked chunk = {header[0], header[1], STRBUF_INIT};
        struct strbuf packed = STRBUF_INIT;

        strbuf_add(&packed, header + CHUNK_HEADER, stored);
        strbuf_add(&packed, FLUSH_BYTES, FLUSH_LENGTH);
        strbuf_reserve(&chunk.raw, raw + 1);
        stream.next_in = (Bytef *)packed.text;
        stream.avail_in = (uInt)packed.length;
        stream.next_out = (Bytef *)chunk.raw.text;
        stream.avail_out = (uInt)raw + 1;
        inflate(&stream, Z_SYNC_FLUSH);
        chunk.raw.length = raw;
        vec_push(&whole, chunk);
        strbuf_deinit(&packed);
        at += CHUNK_HEADER + stored;
    }
    inflateEnd(&stream);
}

static void damage(struct rng *rng, struct strbuf *raw)
{
    static const unsigned char large[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1};
    size_t at = rng_next(rng) % (raw->length + 1);
    struct strbuf tail = STRBUF_INIT;
    size_t dropped = rng_next(rng) % 3, added = rng_next(rng) % 3;
    size_t large_from = rng_next(rng) % (4 * sizeof(large));

    if (dropped > raw->length - at)
        dropped = raw->length - at;
    strbuf_add(&tail, raw->text + at + dropped, raw->length - at - dropped);
    strbuf_truncate(raw, at);
    if (large_from < sizeof(large)) /* a number of some size */
        strbuf_add(raw, large + large_from, sizeof(large) - large_from);
    for (size_t i = 0; i < added; i++)
        strbuf_add_char(raw, (char)(rng_next(rng) >> rng_next(rng) % 8));
    strbuf_add(raw, tail.text, tail.length);
    strbuf_deinit(&tail);
}

static void make_damaged(struct rng *rng, struct strbuf *ret)
{
    struct recording_writer *writer = recording_writer_create(to_memory, ret);
    struct profile none;
    size_t times = 1 + rng_next(rng) % 3;

    profile_init(&none);
    recording_write(writer, &none); /* the header, and facts without a text */
    for (size_t i = 0; i < whole.length; i++) {
        const struct unpacked *chunk = &whole.items[i];

        strbuf_add(&writer->raw, chunk->raw.text, chunk->raw.length);
        if (times && rng_next(rng) % (whole.length - i) < times) {
            damage(rng, &writer->raw);
            times--;
        }
        if (writer->raw.length)
            recording_end_chunk(writer, chunk->type, chunk->flags);
    }
    recording_writer_destroy(writer);
    profile_deinit(&none);
}

static bool is_text(const struct profile *profile, string_id string)
{
    return string.v < profile->strings.offsets.length;
}

static bool frames_are_sound(const struct profile *profile)
{
    for (uint32_t i = 0; i < profile->frames.length; i++) {
        const struct frame_info *info = &profile->frames.items[i];
        const struct native_ref *ref = profile_frame_ref(profile, (frame_id){i});

        if (info->kind >= FRAME_KINDS || info->fold >= FOLD_CLASSES ||
            !is_text(profile, info->name) || !is_text(profile, info->python_name) ||
            !is_text(profile, info->file) || !is_text(profile, info->short_file) ||
            !is_text(profile, info->module) || (ref && ref->module >= profile->modules.length))
            return false;
    }
    for (size_t i = 0; i < profile->named.length; i++)
        if (profile_frame_ref(profile, profile->named.items[i]))
            return false;
    for (uint32_t i = 1; i < profile->stacks.length; i++) {
        const struct stack_node *stack = &profile->stacks.items[i];

        if (stack->parent.v >= i || stack->frame.v >= profile->frames.length)
            return false;
    }
    return true;
}

static bool rows_are_sound(const struct profile *profile)
{
    for (size_t i = 0; i < profile->processes.length; i++)
        if (!is_text(profile, profile->processes.items[i].command) ||
            !is_text(profile, profile->processes.items[i].host))
            return false;
    for (size_t i = 0; i < profile->threads.length; i++)
        if (profile->threads.items[i].process >= profile->processes.length ||
            !is_text(profile, profile->threads.items[i].name))
            return false;
    for (uint32_t i = 0; i < profile->programs.length; i++) {
        const struct profile_program *program = &profile->programs.items[i];

        if (program->process >= profile->processes.length || !is_text(profile, program->command) ||
            (program->parent != PROFILE_NONE && program->parent >= i))
            return false;
    }
    return true;
}

static bool samples_are_sound(const struct profile *profile)
{
    uint64_t weight = 0;

    for (size_t i = 0; i < profile->samples.length; i++) {
        const struct sample *sample = &profile->samples.items[i];

        if (sample->thread >= profile->threads.length ||
            sample->stack.v >= profile->stacks.length || sample->end >= STACK_ENDS ||
            sample->state >= SAMPLE_STATES || sample->time > INT64_MAX ||
            (i && sample->time < profile->samples.items[i - 1].time) ||
            sample->weight > INT64_MAX - weight)
            return false;
        weight += sample->weight;
    }
    return profile->settled == profile->samples.length;
}

/* Whatever stands in the file, what is read of it can be used. */
static void fuzz(uint64_t seed, unsigned rounds)
{
    unsigned sound = 0, refused = 0, warned = 0;

    for (unsigned i = 0; i < rounds; i++) {
        struct rng rng = {seed + i};
        struct strbuf bytes = STRBUF_INIT;
        struct made_read read;

        make_damaged(&rng, &bytes);
        read_bytes(&read, bytes.text, bytes.length);
        if (frames_are_sound(&read.profile) && rows_are_sound(&read.profile) &&
            samples_are_sound(&read.profile))
            sound++;
        else
            printf("# seed %llu is not sound\n", (unsigned long long)(seed + i));
        refused += read.err != ERR_OK;
        warned += read.warning.length > 0;
        made_read_deinit(&read);
        strbuf_deinit(&bytes);
    }
    tap_is_num(sound, rounds, "of a damaged recording only what makes sense is read");
    tap_ok(warned > rounds / 4 && refused < rounds / 10, "%u of %u were warned of, %u refused",
           warned, rounds, refused);
}

int main(int argc, char **argv)
{
    struct strbuf bytes = STRBUF_INIT;
    struct profile made;

    make_whole(&made, &bytes);
    take_apart(&bytes);
    fuzz(argc == 3 ? strtoull(argv[1], NULL, 10) : 1,
         argc == 3 ? (unsigned)strtoul(argv[2], NULL, 10) : ROUNDS);
    vec_each (chunk, &whole)
        strbuf_deinit(&chunk->raw);
    vec_deinit(&whole);
    profile_deinit(&made);
    strbuf_deinit(&bytes);
    return tap_done();
}
