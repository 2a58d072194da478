/* SPDX-License-Identifier: MIT */
/*
 * Decodes line tables for tests/layout: print_lines unsigned|signed|ranges|locations. stdin has
 * records of three 4-byte numbers {first line, table bytes, code bytes} and the table; one line of
 * output for each: line:column of every byte of the code, then those of the byte behind it.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "pspy/base/xmalloc.h"
#include "pspy/python/lines.h"

static const char *const shapes[] = {
    [LINES_UNSIGNED] = "unsigned",
    [LINES_SIGNED] = "signed",
    [LINES_RANGES] = "ranges",
    [LINES_LOCATIONS] = "locations",
};

static void print(const struct line_table *table, uint32_t size)
{
    for (uint32_t byte = 0; byte <= size; byte++) {
        const struct line_entry *entry = lines_find(table, byte);

        printf("%s%u:%u", byte ? " " : "", entry->line, entry->column);
    }
    putchar('\n');
}

int main(int argc, char **argv)
{
    struct line_table table = {VEC_INIT};
    uint32_t shape = 0, head[3];

    while (argc == 2 && shape < sizeof(shapes) / sizeof(shapes[0]) &&
           strcmp(shapes[shape], argv[1]) != 0)
        shape++;
    if (argc != 2 || shape == sizeof(shapes) / sizeof(shapes[0]))
        return 2;
    while (fread(head, sizeof(head), 1, stdin) == 1) {
        unsigned char *bytes = xmalloc(head[1] + 1);

        if (fread(bytes, 1, head[1], stdin) != head[1])
            return 1;
        lines_decode((enum line_shape)shape, bytes, head[1], head[0], &table);
        print(&table, head[2]);
        free(bytes);
    }
    vec_deinit(&table.entries);
    return 0;
}
