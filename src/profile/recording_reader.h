/* SPDX-License-Identifier: MIT */
/* What the files that read recordings share. */
#ifndef PSPY_PROFILE_RECORDING_READER_H
#define PSPY_PROFILE_RECORDING_READER_H

#include "recording_format.h"

/* The bytes of a chunk. Whoever reads behind their end gets zeros, and is_bad is set. */
struct chunk_bytes {
    const unsigned char *at, *end;
    bool is_bad;
};

uint64_t bytes_number(struct chunk_bytes *bytes);
/* One that counts or measures: not above INT64_MAX, so that a sum of two does not wrap. */
uint64_t bytes_amount(struct chunk_bytes *bytes);
/* The number if it is less than `limit`; else 0, and is_bad is set. */
uint32_t bytes_index(struct chunk_bytes *bytes, size_t limit);
/* The next `length` bytes; NULL, and is_bad is set, if there are not so many. */
const unsigned char *bytes_take(struct chunk_bytes *bytes, uint64_t length);
bool bytes_are_left(const struct chunk_bytes *bytes);

/* Numbers of the file are mapped to the profile's: two of its texts may be one. */
struct reader {
    struct profile *profile;
    VEC(string_id) strings;
    VEC(frame_id) frames;
    VEC(stack_id) stacks;
    VEC(struct sample_trait) traits;
    VEC(stack_id) leaves; /* stacks of samples, in the order of the first one of each */
    uint64_t last_time;
    uint64_t total_weight;
    uint64_t memory, memory_limit; /* bytes: what the tables take, and may */
    bool has_ended;
    bool is_unknown; /* a critical chunk of a type that this pspy does not know */
};

/* Counts memory that is about to be taken. False, and is_bad is set: there is no more. */
bool reader_count(struct reader *reader, struct chunk_bytes *bytes, uint64_t memory);
/* False: the chunk's bytes make no sense. */
bool reader_take_chunk(struct reader *reader, unsigned type, unsigned flags,
                       struct chunk_bytes *bytes);
bool reader_take_samples(struct reader *reader, struct chunk_bytes *bytes);

#endif
