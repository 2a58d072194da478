/* SPDX-License-Identifier: MIT */
/*
 * Stands between pspy and the memory that it reads: the linker sends its process_vm_readv and its
 * allocations here (--wrap). Changes what is read, or refuses it, as a plan says; counts always.
 */
#ifndef TESTS_FUZZ_DAMAGE_H
#define TESTS_FUZZ_DAMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Chances are one in N; 0: never. */
struct damage_plan {
    uint64_t seed;
    size_t first_call, calls; /* only these calls are damaged, counted from damage_begin */
    uint32_t word_chance;     /* that an aligned word is another */
    uint32_t page_chance;     /* that a page cannot be read */
    uint32_t call_chance;     /* that a call fails, or reads less than was asked for */
    bool is_fickle;           /* a word is damaged in another way each time it is read */
    bool is_noise;            /* memory that is not mapped is there, and random */
    bool is_gone;             /* the process ended */
};

struct damage_counts {
    size_t calls;
    size_t bytes;     /* that were read */
    size_t allocated; /* all together */
    size_t largest;   /* allocation */
};

/* xorshift64*: the next number after *state, which is not 0. */
uint64_t damage_random(uint64_t *state);

/* What is read without damage from now on may be put elsewhere by damage: links to wrong places. */
void damage_learn(void);
void damage_begin(const struct damage_plan *plan);
void damage_end(void);
/* Since the last call. */
struct damage_counts damage_take_counts(void);

#endif
