/* SPDX-License-Identifier: MIT */
#include "proctext.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "pspy/base/cleanup.h"

enum err proc_error(int number)
{
    switch (number) {
    case ENOENT:
    case ESRCH:
        return ERR_GONE;
    case EPERM:
    case EACCES:
        return ERR_PERMISSION;
    default:
        return ERR_UNREADABLE;
    }
}

enum err proc_read(int fd, char *text, size_t size)
{
    ssize_t got = pread(fd, text, size - 1, 0);

    if (got < 0)
        return proc_error(errno);
    text[got] = '\0';
    return got ? ERR_OK : ERR_GONE;
}

enum err proc_parse_stat(const char *text, struct procfs_stat *ret)
{
    struct procfs_stat found;

    if (!procfs_parse_stat(text, &found))
        return ERR_UNREADABLE;
    *ret = found;
    return ERR_OK;
}

enum err proc_read_stat(int fd, struct procfs_stat *ret)
{
    char text[STAT_LIMIT];
    enum err err = proc_read(fd, text, sizeof(text));

    return err == ERR_OK ? proc_parse_stat(text, ret) : err;
}

enum err proc_read_whole(int folder, const char *name, struct strbuf *ret)
{
    cleanup(cleanup_close) int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    ssize_t got;

    if (fd < 0)
        return proc_error(errno);
    do {
        strbuf_reserve(ret, 65536);
        got = read(fd, ret->text + ret->length, 65536);
        if (got > 0) {
            ret->length += (size_t)got;
            ret->text[ret->length] = '\0';
        }
    } while (got > 0 || (got < 0 && errno == EINTR));
    return got < 0 ? proc_error(errno) : ERR_OK;
}
