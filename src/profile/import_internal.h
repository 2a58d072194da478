/* SPDX-License-Identifier: MIT */
/* What the readers of other formats share: labels into frames, root frames into threads, samples in
 * the order of time, and a bound for what all of it takes. */
#ifndef PSPY_PROFILE_IMPORT_INTERNAL_H
#define PSPY_PROFILE_IMPORT_INTERNAL_H

#include "import_input.h"
#include "pspy/profile/profile.h"

/* A part of a text; not NUL-terminated. */
struct slice {
    const char *text;
    size_t length;
};

/* Texts are shorter than this: they count as 2^62 at most, so that sums of two do not overflow. */
#define IMPORT_LARGEST ((double)(1ull << 62))

/* A thread as roots, a profile's name or a command's name tell it. */
struct import_place {
    int rank; /* -1: none */
    int pid, tid;
    struct slice host, command, thread_name;
};

/* A (thread, stack) of a profile that counts. */
struct import_total {
    uint32_t thread;
    stack_id stack;
    uint64_t weight;
};

struct importer {
    struct input *input;
    struct profile *profile;
    struct strbuf *warning;
    struct error *why;
    /* Labels that were read before, and what they are; by number of the text. */
    struct strings labels;
    VEC(frame_id) label_frames;
    /* Roots as one text, and their thread; by number of the text. */
    struct strings roots;
    VEC(uint32_t) root_threads;
    /* Chains of processes as one text, and the program of the last one. */
    struct strings chains;
    VEC(uint32_t) chain_programs;
    VEC(struct import_total) totals; /* of counted profiles */
    struct table total_index;
    VEC(struct sample) samples; /* of others */
    uint64_t sum;               /* of all weights */
    bool is_rounded;            /* a number had a fraction */
};

/* ---- import_labels.c: what texts mean ---- */

/* "name (file:line)", "name (file:line:column)", "name (file)", markers, perf's "name_[k]". */
frame_id import_label(struct importer *importer, struct slice label);
/* Austin's "file:name:line". */
frame_id import_austin_label(struct importer *importer, struct slice label);
/* A frame with its parts. `line`, `column` 0: unknown. */
frame_id import_frame(struct importer *importer, struct slice name, struct slice file,
                      uint32_t line, uint32_t column);

/* ---- import_places.c: processes and threads ---- */

/* `process 12:"command"`, also with a rank or a host; `thread (12): name`. False: it is neither. */
bool import_process_root(struct slice label, struct import_place *ret);
bool import_thread_root(struct slice label, struct import_place *ret);
/* `Process 12 Thread 7 "name"`, `Thread 7 "name"`; any other text is the thread's name. */
void import_profile_name(struct slice name, struct import_place *ret);
/*
 * The thread below `count` root frames. What they do not say `base` does. `number` tells threads
 * apart whose roots are alike.
 */
uint32_t import_thread(struct importer *importer, const struct import_place *base,
                       const struct slice *roots, size_t count, uint32_t number);

/* ---- import_build.c: numbers and samples ---- */

enum number {
    NUMBER_GOOD,
    NUMBER_NONE, /* the text is no number */
    NUMBER_NEGATIVE,
    NUMBER_TOO_LARGE,
};

/* The text is a decimal number as a whole. */
enum number import_number(struct slice text, double *ret);
/* Why it is not good: "has no number at its end". */
const char *import_number_text(enum number number);

/* Adds a sample; in profiles that count, to the one with the same stack. False: all together are
 * over 2^62, which the error tells. */
bool import_sample(struct importer *importer, const struct sample *sample);
/* Whether what was read still fits what the file's size allows; if not, the error tells. */
bool import_fits(struct importer *importer, size_t extra);
/* After the last sample: puts all of them into the profile. */
void import_finish(struct importer *importer);
void import_warn(struct importer *importer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- the formats ---- */

enum err import_folded(struct importer *importer);
enum err import_speedscope(struct importer *importer);
/* Whether a line ends in a number, as all lines of folded stacks do. */
bool import_is_folded(struct slice line);

#endif
