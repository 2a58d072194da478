/* SPDX-License-Identifier: MIT */
/* The few options of the native targets: --NAME NUMBER, or --NAME alone. */
#ifndef SAMPLE_TARGETS_OPTIONS_H
#define SAMPLE_TARGETS_OPTIONS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct option_row {
    const char *name; /* with its dashes */
    double *number;   /* NULL: a flag */
    int *flag;
};

/* Prints what is wrong and exits with 2: the targets have no other command line errors. */
static inline void options_parse(int argc, char **argv, const struct option_row *rows, size_t count)
{
    for (int i = 1; i < argc; i++) {
        const struct option_row *row = rows;
        char *end = NULL;

        while (row < rows + count && strcmp(argv[i], row->name))
            row++;
        if (row == rows + count || (row->number && i + 1 == argc)) {
            fprintf(stderr, "%s: '%s' is not an option or lacks its number\n", argv[0], argv[i]);
            exit(2);
        }
        if (!row->number) {
            *row->flag = 1;
            continue;
        }
        *row->number = strtod(argv[++i], &end);
        if (end == argv[i] || *end || !(*row->number >= 0.0 && *row->number < 1e9)) {
            fprintf(stderr, "%s: '%s' is not a number of at least 0\n", argv[0], argv[i]);
            exit(2);
        }
    }
}

#define OPTIONS_PARSE(argc, argv, rows)                                                            \
    options_parse(argc, argv, rows, sizeof(rows) / sizeof((rows)[0]))

#endif
