/* SPDX-License-Identifier: MIT */
#include "pspy/target/procfs.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void procfs_unescape(char *text)
{
    char *to = text;

    for (const char *from = text; *from;) {
        if (strncmp(from, "\\012", 4) == 0) {
            *to++ = '\n';
            from += 4;
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
}

/* Ends the path at the line's end, without " (deleted)". Whether it had that. */
static bool trim_path(char *path)
{
    static const char deleted[] = " (deleted)";
    size_t length = strcspn(path, "\n");
    bool is_deleted;

    path[length] = '\0';
    is_deleted = length >= sizeof(deleted) - 1 &&
                 strcmp(path + length - (sizeof(deleted) - 1), deleted) == 0;
    if (is_deleted)
        path[length - (sizeof(deleted) - 1)] = '\0';
    return is_deleted;
}

bool procfs_parse_mapping(char *line, struct mapping *ret)
{
    struct mapping found = {0};
    char flags[5] = "", *path;
    int path_at = 0;

    /* A space follows the inode even when no path does. */
    if (sscanf(line,
               "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %" SCNx32 ":%" SCNx32 " %" SCNu64 "%n",
               &found.start, &found.end, flags, &found.offset, &found.device_major,
               &found.device_minor, &found.inode, &path_at) < 7 ||
        line[path_at] != ' ' || found.start >= found.end)
        return false;
    found.is_readable = flags[0] == 'r';
    found.is_executable = flags[2] == 'x';
    path = line + path_at + strspn(line + path_at, " ");
    found.is_deleted = trim_path(path);
    procfs_unescape(path);
    found.path = path;
    *ret = found;
    return true;
}

/* The decimal number at *text, which a space follows; moves *text behind that. */
static bool take_number(const char **text, uint64_t *ret)
{
    const char *at = *text + (**text == '-');
    uint64_t value = 0;

    if (!isdigit((unsigned char)*at))
        return false;
    for (; isdigit((unsigned char)*at); at++)
        value = 10 * value + (uint64_t)(*at - '0');
    if (*at != ' ') /* cut off */
        return false;
    *ret = **text == '-' ? 0 - value : value;
    *text = at + 1;
    return true;
}

/* No scanf here and below: this is parsed for each sample. */
bool procfs_parse_stat(const char *text, struct procfs_stat *ret)
{
    /* By number in proc(5). */
    enum {
        PARENT = 4,
        USER = 14,
        SYSTEM,
        THREADS = 20,
        START_TIME = 22,
        SIZE,
        START_CODE = 26,
        START_STACK = 28
    };
    const char *at = strrchr(text, ')');
    uint64_t field[START_STACK + 1] = {0};
    char state;

    if (!at || at[1] != ' ' || at[2] == '\0' || at[3] != ' ')
        return false;
    state = at[2];
    at += 4;
    for (size_t i = PARENT; i <= START_STACK; i++)
        if (!take_number(&at, &field[i]))
            return false;
    *ret = (struct procfs_stat){.state = state,
                                .parent = (int)field[PARENT],
                                .threads = (int)field[THREADS],
                                .start_time = field[START_TIME],
                                .user = field[USER],
                                .has_memory = field[SIZE] != 0,
                                .system = field[SYSTEM],
                                .start_code = field[START_CODE],
                                .start_stack = field[START_STACK]};
    return true;
}

/* Hexadecimal digits behind " 0x"; moves *text behind them. */
static bool take_hex(const char **text, uint64_t *ret)
{
    const char *at = *text;
    uint64_t value = 0;

    if (strncmp(at, " 0x", 3) != 0 || !isxdigit((unsigned char)at[3]))
        return false;
    for (at += 3; isxdigit((unsigned char)*at); at++)
        value = value << 4 | (uint64_t)(*at <= '9' ? *at - '0' : (*at | 32) - 'a' + 10);
    *ret = value;
    *text = at;
    return true;
}

bool procfs_parse_syscall(const char *text, struct procfs_syscall *ret)
{
    struct procfs_syscall found = {.number = -1};
    uint64_t unused;
    char *end;
    const char *at;

    if (strncmp(text, "running", 7) == 0) {
        ret->is_running = true;
        return true;
    }
    found.number = strtol(text, &end, 10);
    at = end;
    if (end == text || (found.number != -1 && !take_hex(&at, &found.argument)))
        return false;
    for (unsigned i = 1; found.number != -1 && i < 6; i++)
        if (!take_hex(&at, &unused))
            return false;
    if (!take_hex(&at, &found.stack_pointer) || !take_hex(&at, &found.program_counter) ||
        *at != '\n') /* cut off */
        return false;
    *ret = found;
    return true;
}

bool procfs_parse_schedstat(const char *text, struct procfs_schedstat *ret)
{
    struct procfs_schedstat found;
    char *end;

    if (!take_number(&text, &found.running) || !take_number(&text, &found.ready))
        return false;
    found.timeslices = strtoull(text, &end, 10);
    if (end == text || *end != '\n') /* cut off */
        return false;
    *ret = found;
    return true;
}

const char *procfs_status_field(const char *text, const char *name)
{
    size_t length = strlen(name);

    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) == 0 && line[length] == ':') {
            line += length + 1;
            return line + strspn(line, " \t");
        }
    }
    return NULL;
}
