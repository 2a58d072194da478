/* SPDX-License-Identifier: MIT */
/*
 * The samples of a recording: an array that only grows, of which 4 MB are in our memory at most.
 * The older ones lie in an unlinked file of $TMPDIR, else of /var/tmp, whose pages the kernel keeps
 * or writes out as it likes. Where no file can be made, or its disk is full, they stay in memory.
 */
#ifndef PSPY_PROFILE_SAMPLES_H
#define PSPY_PROFILE_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>

struct sample;

/* The first two members are a VEC's: vec_each takes it. Elements move when it grows. */
struct samples {
    struct sample *items; /* may be written to */
    size_t length;
    size_t capacity;
    size_t filed; /* so many of the capacity are the file's */
    int fd;       /* -1: there is no file */
};

void samples_init(struct samples *samples);
void samples_deinit(struct samples *samples);
/* Ends the program when memory is exhausted. */
void samples_push(struct samples *samples, const struct sample *sample);

#endif
