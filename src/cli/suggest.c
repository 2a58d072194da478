/* SPDX-License-Identifier: MIT */
#include "pspy/cli/suggest.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define LONGEST 40 /* letters; names are shorter, and what is longer is no misspelling of them */

void suggestion_init(struct suggestion *suggestion, const char *typed)
{
    *suggestion = (struct suggestion){.typed = typed, .distance = SIZE_MAX};
}

/* A third of the letters may be wrong: --formt is --format, --x is nothing. */
static bool near_enough(size_t distance, const char *typed, const char *candidate)
{
    size_t a = strlen(typed), b = strlen(candidate);

    return distance <= (a < b ? b : a) / 3;
}

void suggestion_consider(struct suggestion *suggestion, const char *candidate)
{
    size_t distance = edit_distance(suggestion->typed, candidate);

    if (distance >= suggestion->distance || !near_enough(distance, suggestion->typed, candidate))
        return;
    suggestion->best = candidate;
    suggestion->distance = distance;
}

static bool same_letter(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static size_t least(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;

    return ab < c ? ab : c;
}

/* Optimal string alignment: row i holds the distances of a's first i letters to all starts of b;
 * the two rows above it are enough. */
size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][LONGEST + 1];
    size_t a_length = strlen(a), b_length = strlen(b);

    if (a_length > LONGEST || b_length > LONGEST)
        return SIZE_MAX;
    for (size_t j = 0; j <= b_length; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t *row = rows[i % 3], *above = rows[(i - 1) % 3];

        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            bool same = same_letter(a[i - 1], b[j - 1]);

            row[j] = least(above[j] + 1, row[j - 1] + 1, above[j - 1] + !same);
            if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) &&
                same_letter(a[i - 2], b[j - 1]) && rows[(i - 2) % 3][j - 2] + 1 < row[j])
                row[j] = rows[(i - 2) % 3][j - 2] + 1;
        }
    }
    return rows[a_length % 3][b_length];
}
