/* SPDX-License-Identifier: MIT */
/* "Did you mean": which known word a misspelt one is nearest to. */
#ifndef PSPY_CLI_SUGGEST_H
#define PSPY_CLI_SUGGEST_H

#include <stddef.h>

struct suggestion {
    const char *typed;
    const char *best; /* borrowed from the candidates; NULL: nothing is near enough */
    size_t distance;
};

void suggestion_init(struct suggestion *suggestion, const char *typed);
/* Keeps the candidate if it is nearer than the best so far. Case does not count. */
void suggestion_consider(struct suggestion *suggestion, const char *candidate);

/* Letters to insert, drop, replace or swap with their neighbour; SIZE_MAX if either is very long.
 */
size_t edit_distance(const char *a, const char *b);

#endif
