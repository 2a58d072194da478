/* SPDX-License-Identifier: MIT */
/*
 * The layout of a recording, as pspy-recording(5) tells it: a header, then chunks.
 *
 *   89 70 73 70 79 0d 0a 1a   01 00   00 00        magic, major and minor version (little-endian)
 *   02 01   stored:u24   raw:u24   crc:u32         type, flags, lengths, CRC-32
 *
 * Then `stored` bytes of deflate, which are `raw` bytes when they are unpacked: numbers as LEB128
 * varints (signed ones zigzag) unless a table says otherwise.
 */
#ifndef PSPY_PROFILE_RECORDING_FORMAT_H
#define PSPY_PROFILE_RECORDING_FORMAT_H

#include "pspy/base/strbuf.h"
#include "pspy/profile/recording.h"

#define RECORDING_MAGIC "\x89pspy\r\n\x1a"
#define RECORDING_MAJOR 1
#define RECORDING_MINOR 0
#define HEADER_SIZE     12
#define CHUNK_HEADER    12
/* What a flush of deflate ends with: left out of the file. */
#define FLUSH_BYTES  "\0\0\xff\xff"
#define FLUSH_LENGTH 4

enum chunk_type {
    CHUNK_FACTS = 1,
    CHUNK_STRINGS,
    CHUNK_MODULES,
    CHUNK_FRAMES,
    CHUNK_NAMES,
    CHUNK_STACKS,
    CHUNK_PROCESSES,
    CHUNK_PROGRAMS,
    CHUNK_THREADS,
    CHUNK_SAMPLES,
    CHUNK_COUNTERS,
    CHUNK_END,
};

enum chunk_flags {
    CHUNK_CRITICAL = 1 << 0, /* a reader that does not know the type cannot go on */
};

/* So that a small file cannot make its reader take much memory. */
#define CHUNK_LARGEST 4194304 /* bytes of a chunk, unpacked */

#define STRING_LARGEST 1048576 /* bytes; the rest of a longer text is cut */
#define FACT_LARGEST   524288  /* the same of a text of the facts, which share a chunk */

enum fact_tag {
    FACT_TITLE = 1,
    FACT_HOST,
    FACT_EXPORTER,
    FACT_PYTHON,
    FACT_PYTHON_WHY,
    FACT_START_WALL,
    FACT_RATE,
    FACT_MAX_OVERHEAD,
    FACT_DELAY,
    FACT_END,
    FACT_FLAGS,
    FACT_LOWEST_RATE,
};

enum fact_flag {
    FACT_IS_NATIVE = 1 << 0,
    FACT_HAS_SUBPROCESSES = 1 << 1,
    FACT_IS_IDLE = 1 << 2,
    FACT_IS_GIL = 1 << 3,
    FACT_IS_NONBLOCKING = 1 << 4,
    FACT_SAW_PYTHON = 1 << 5,
    FACT_PYTHON_IS_GUESSED = 1 << 6,
    FACT_IS_COUNTED = 1 << 7,
    FACT_HAS_NO_STATES = 1 << 8,
};

enum counter_tag {
    COUNTER_DURATION = 1,
    COUNTER_TICKS,
    COUNTER_WITHOUT_NATIVE,
    COUNTER_LOSSES = 16, /* and one for each cause behind it */
    COUNTERS_ALL = COUNTER_LOSSES + LOSS_CAUSES,
};

/* Fields of a row, by table. More may join at a row's end: readers skip what they do not know. */
enum {
    MODULE_FIELDS = 3,
    FRAME_FIELDS = 11,
    PROCESS_FIELDS = 6,
    PROGRAM_FIELDS = 4,
    THREAD_FIELDS = 6,
};
#define FRAME_IS_ADDRESS 255 /* instead of a kind; module, is_return and offset follow */

/* What a sample is but for time, thread and stack: interned by the file. */
struct sample_trait {
    uint8_t end, state, flags;
    uint16_t call;
};

/* Bytes of a tick's distance from the one before; a larger one follows the planes. */
#define TIME_PLANES 5
#define TIME_ESCAPE ((1ull << 8 * TIME_PLANES) - 1)

#endif
