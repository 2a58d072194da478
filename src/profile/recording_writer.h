/* SPDX-License-Identifier: MIT */
/* What the two files that write recordings share. */
#ifndef PSPY_PROFILE_RECORDING_WRITER_H
#define PSPY_PROFILE_RECORDING_WRITER_H

#include "recording_format.h"

#define CHANGING_TABLES 3 /* modules, processes, threads */

typedef VEC(uint64_t) written_rows; /* the fields of all rows */

struct recording_writer {
    recording_write_fn *write;
    void *context;
    bool has_failed;
    bool has_header;
    struct strbuf raw;    /* of the chunk that is made */
    struct strbuf packed; /* it, ready to be written */
    struct strbuf facts;  /* as they were written last */
    struct strbuf counters;
    size_t strings, frames, names, stacks, programs, samples; /* written */
    written_rows rows[CHANGING_TABLES];                       /* as they were written last */
    VEC(struct sample_trait) traits;                          /* written */
    uint64_t last_time; /* of the last sample that was written */
};

/* Adds a number to a chunk's bytes. */
void recording_put(struct strbuf *out, uint64_t number);
/* Ends a chunk: writer->raw holds its bytes. */
void recording_end_chunk(struct recording_writer *writer, enum chunk_type type, unsigned flags);

void recording_write_samples(struct recording_writer *writer, const struct profile *profile);

#endif
