/* SPDX-License-Identifier: MIT */
/* What the two files that write recordings share. */
#ifndef PSPY_PROFILE_RECORDING_WRITER_H
#define PSPY_PROFILE_RECORDING_WRITER_H

#include <zlib.h>

#include "recording_format.h"

#define CHANGING_TABLES 3 /* modules, processes, threads */

typedef VEC(uint64_t) written_rows; /* the fields of all rows */

#define CUTS_MOST 8

struct recording_packer {
    z_stream stream;
    struct strbuf packed; /* the chunk, ready to be written */
    size_t cuts[CUTS_MOST];
    size_t cut_count;
};

struct recording_writer {
    recording_write_fn *write;
    void *context;
    bool has_failed;
    bool has_header;
    struct strbuf raw; /* of the chunk that is made */
    struct recording_packer packer;
    /* As they were written last. */
    struct strbuf facts;
    uint64_t counters[COUNTERS_ALL];
    size_t strings, frames, names, stacks, programs, samples; /* written */
    written_rows rows[CHANGING_TABLES];                       /* as they were written last */
    VEC(struct sample_trait) traits;                          /* written */
    VEC(uint32_t) leaf_of; /* per stack: its number among those of samples, plus 1; 0: none */
    uint32_t leaves;
    uint64_t last_time; /* of the last sample that was written */
};

void recording_packer_init(struct recording_packer *packer);
void recording_packer_deinit(struct recording_packer *packer);

/* Adds a number to a chunk's bytes. */
void recording_put(struct strbuf *out, uint64_t number);
void recording_put_fixed(struct strbuf *out, uint64_t number, size_t bytes);
void recording_hand_over(struct recording_writer *writer, const struct strbuf *bytes);
/* Bytes of another kind begin. */
void recording_cut(struct recording_writer *writer);
/* Ends a chunk: writer->raw holds its bytes. */
void recording_end_chunk(struct recording_writer *writer, enum chunk_type type, unsigned flags);

void recording_write_samples(struct recording_writer *writer, const struct profile *profile);

#endif
