/* SPDX-License-Identifier: MIT */
#include "pspy/output/sink.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "pspy/base/clock.h"
#include "pspy/base/strbuf.h"
#include "pspy/base/xmalloc.h"

#define BUFFER_SIZE 65536
#define LINKS_MAX   40 /* as the kernel's own limit of symbolic links in one path */
#define NAMES_TRIED 100
#define GZIP_HEADER 16 /* added to zlib's window bits: a gzip header and trailer */

struct sink {
    int fd;
    int failure;     /* errno of the first failed write, or 0 */
    bool in_place;   /* no temporary file */
    bool truncate;   /* a regular file written in place: cut what was longer */
    bool is_new;     /* the path named no file before */
    char *path;      /* as the user gave it */
    char *target;    /* path with symbolic links followed */
    char *temporary; /* beside target, or NULL */
    z_stream *zip;   /* NULL: no gzip */
    size_t used;     /* bytes in buffer */
    unsigned char buffer[BUFFER_SIZE];
};

static void sink_free(struct sink *sink)
{
    if (sink->fd >= 0)
        close(sink->fd);
    if (sink->zip)
        deflateEnd(sink->zip);
    free(sink->zip);
    free(sink->path);
    free(sink->target);
    free(sink->temporary);
    free(sink);
}

/* ---- opening -----------------------------------------------------------------------------------
 */

/* The descriptor a path stands for, or -1: reopening /dev/stdout would truncate a redirected file.
 */
static int path_descriptor(const char *path)
{
    int number, end = 0;

    if (!strcmp(path, "-") || !strcmp(path, "/dev/stdout"))
        return STDOUT_FILENO;
    if (!strcmp(path, "/dev/stderr"))
        return STDERR_FILENO;
    if (sscanf(path, "/dev/fd/%9d%n", &number, &end) == 1 && end && !path[end])
        return number;
    if (sscanf(path, "/proc/self/fd/%9d%n", &number, &end) == 1 && end && !path[end])
        return number;
    return -1;
}

/* The directory part with its slash, "" for a bare name. */
static int directory_length(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? (int)(slash - path) + 1 : 0;
}

/* Follows the links of the last component, also dangling ones: their target is what gets made. */
static char *follow_links(const char *path)
{
    char *at = xstrdup(path);
    char link[PATH_MAX];

    for (int links = 0; links < LINKS_MAX; links++) {
        ssize_t length = readlink(at, link, sizeof(link) - 1);
        char *next;

        if (length < 0)
            break;
        link[length] = '\0';
        next = xasprintf("%.*s%s", link[0] == '/' ? 0 : directory_length(at), at, link);
        free(at);
        at = next;
    }
    return at;
}

static enum err explain_open(const char *path, int number, struct error *why)
{
    int directory = directory_length(path);

    switch (number) {
    case ENOENT:
    case ENOTDIR:
        return error_set(why, ERR_NOT_FOUND,
                         "cannot write '%s': there is no directory '%.*s'; create it first or give "
                         "another -o",
                         path, directory ? directory : 1, directory ? path : ".");
    case EACCES:
    case EPERM:
    case EROFS:
        return error_set(why, ERR_PERMISSION,
                         "cannot write '%s': %s; give -o a path in a directory you may write", path,
                         strerror(number));
    case ENOSPC:
    case EDQUOT:
        return error_set(why, ERR_IO, "cannot write '%s': %s; free some space or give another -o",
                         path, strerror(number));
    case ENXIO:
        return error_set(why, ERR_INVALID,
                         "cannot write '%s': it is a socket or a device that is not there; give -o "
                         "a regular file",
                         path);
    default:
        return error_set(why, ERR_IO, "cannot write '%s': %s; give another -o", path,
                         strerror(number));
    }
}

/* A new file with the umask's mode (mkstemp's 0600 would have to guess it); its number, or -errno.
 */
static int create_temporary(struct sink *sink)
{
    struct rng rng = {clock_now() ^ (uint64_t)getpid()};
    int fd = -EEXIST;

    for (int tried = 0; tried < NAMES_TRIED && fd == -EEXIST; tried++) {
        free(sink->temporary);
        sink->temporary = xasprintf("%.*s.pspy-%08x", directory_length(sink->target), sink->target,
                                    (unsigned)rng_next(&rng));
        fd = open(sink->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0)
            fd = -errno;
    }
    if (fd < 0) {
        free(sink->temporary);
        sink->temporary = NULL;
    }
    return fd;
}

static int open_in_place(struct sink *sink, bool regular)
{
    int fd = open(sink->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);

    sink->in_place = true;
    sink->truncate = regular;
    return fd < 0 ? -errno : fd;
}

/* Replaces a regular file; in place where its directory takes no new file but it can be written. */
static int open_replacing(struct sink *sink, const struct stat *old)
{
    int fd;

    if (access(sink->path, W_OK))
        return -errno;
    fd = create_temporary(sink);
    if (fd == -EACCES || fd == -EROFS || fd == -EPERM)
        return open_in_place(sink, true);
    if (fd < 0)
        return fd;
    /* Best effort: an unprivileged owner cannot give files away, and the mode comes second because
     * changing the owner clears set-id bits. */
    if (fchown(fd, old->st_uid, old->st_gid) == 0 || old->st_uid == geteuid())
        (void)!fchmod(fd, old->st_mode & 07777);
    return fd;
}

static int open_path(struct sink *sink)
{
    int descriptor = path_descriptor(sink->path);
    struct stat old;

    if (descriptor >= 0) {
        int fd = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);

        sink->in_place = true;
        return fd < 0 ? -errno : fd;
    }
    if (stat(sink->path, &old)) {
        if (errno != ENOENT)
            return -errno;
        sink->is_new = true;
        return create_temporary(sink);
    }
    if (S_ISDIR(old.st_mode))
        return -EISDIR;
    return S_ISREG(old.st_mode) ? open_replacing(sink, &old) : open_in_place(sink, false);
}

static z_stream *zip_create(void)
{
    z_stream *zip = xcalloc(1, sizeof(*zip));
    int status = deflateInit2(zip, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + GZIP_HEADER, 8,
                              Z_DEFAULT_STRATEGY);

    assert(status == Z_OK);
    (void)status;
    return zip;
}

enum err sink_open(const char *path, bool gzip, struct sink **ret, struct error *why)
{
    struct sink *sink;
    enum err code;

    if (!*path)
        return error_set(why, ERR_INVALID, "the output path is empty; give -o a file name");
    sink = xcalloc(1, sizeof(*sink));
    sink->path = xstrdup(path);
    sink->target = follow_links(path);
    sink->fd = open_path(sink);
    if (sink->fd == -EISDIR) {
        code = error_set(why, ERR_INVALID,
                         "cannot write '%s': it is a directory; name a file in it, as -o "
                         "'%s/profile.svg'",
                         path, path);
        sink_free(sink);
        return code;
    }
    if (sink->fd < 0) {
        code = explain_open(path, -sink->fd, why);
        sink_free(sink);
        return code;
    }
    sink->zip = gzip ? zip_create() : NULL;
    *ret = sink;
    return ERR_OK;
}

/* ---- writing -----------------------------------------------------------------------------------
 */

static void write_out(struct sink *sink, const unsigned char *bytes, size_t length)
{
    while (length > 0 && !sink->failure) {
        ssize_t done = write(sink->fd, bytes, length);

        if (done < 0) {
            sink->failure = errno == EINTR ? 0 : errno;
            continue;
        }
        bytes += done;
        length -= (size_t)done;
    }
}

static void compress_out(struct sink *sink, bool finish)
{
    unsigned char packed[16384];
    int status;

    sink->zip->next_in = sink->buffer;
    sink->zip->avail_in = (uInt)sink->used;
    do {
        sink->zip->next_out = packed;
        sink->zip->avail_out = sizeof(packed);
        status = deflate(sink->zip, finish ? Z_FINISH : Z_NO_FLUSH);
        assert(status != Z_STREAM_ERROR);
        write_out(sink, packed, sizeof(packed) - sink->zip->avail_out);
    } while (!sink->failure && (finish ? status != Z_STREAM_END : sink->zip->avail_out == 0));
}

static void flush(struct sink *sink, bool finish)
{
    if (sink->zip)
        compress_out(sink, finish);
    else
        write_out(sink, sink->buffer, sink->used);
    sink->used = 0;
}

void sink_write(struct sink *sink, const void *bytes, size_t length)
{
    const unsigned char *at = bytes;

    while (length > 0 && !sink->failure) {
        size_t room = BUFFER_SIZE - sink->used;
        size_t part = length < room ? length : room;

        memcpy(sink->buffer + sink->used, at, part);
        sink->used += part;
        at += part;
        length -= part;
        if (sink->used == BUFFER_SIZE)
            flush(sink, false);
    }
}

void sink_text(struct sink *sink, const char *text)
{
    sink_write(sink, text, strlen(text));
}

void sink_addf(struct sink *sink, const char *format, ...)
{
    char small[512];
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(small, sizeof(small), format, args);
    va_end(args);
    if (length >= (int)sizeof(small)) {
        char *large = xmalloc((size_t)length + 1);

        va_start(args, format);
        vsnprintf(large, (size_t)length + 1, format, args);
        va_end(args);
        sink_write(sink, large, (size_t)length);
        free(large);
    } else if (length > 0) {
        sink_write(sink, small, (size_t)length);
    }
}

bool sink_failed(const struct sink *sink)
{
    return sink->failure != 0;
}

/* ---- the end -----------------------------------------------------------------------------------
 */

enum err sink_chown(struct sink *sink, uid_t uid, gid_t gid, struct error *why)
{
    if (!sink->is_new || !fchown(sink->fd, uid, gid))
        return ERR_OK;
    return error_set_errno(why, errno, "cannot give '%s' to user %u", sink->path, (unsigned)uid);
}

const char *sink_temporary_path(const struct sink *sink)
{
    return sink->temporary;
}

static enum err explain_write(const char *path, int number, struct error *why)
{
    switch (number) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return error_set(why, ERR_IO,
                         "the profile does not fit in '%s': %s; free some space or give another -o",
                         path, strerror(number));
    case EPIPE:
        return error_set(why, ERR_IO,
                         "the reader of '%s' closed it before the profile was written; give -o a "
                         "regular file",
                         path);
    default:
        return error_set_errno(why, number, "writing the profile to '%s' failed", path);
    }
}

/* All bytes handed over and the descriptor closed: some file systems report a full disk only then.
 */
static void finish_file(struct sink *sink)
{
    off_t end;

    flush(sink, true);
    if (sink->truncate && !sink->failure) {
        end = lseek(sink->fd, 0, SEEK_CUR);
        if (end < 0 || ftruncate(sink->fd, end))
            sink->failure = errno;
    }
    if (close(sink->fd) && !sink->failure && errno != EINTR)
        sink->failure = errno;
    sink->fd = -1;
}

/* Frees nothing: more may be written. */
static enum err rename_temporary(struct sink *sink, struct error *why)
{
    if (rename(sink->temporary, sink->target))
        return error_set_errno(why, errno,
                               "the profile is in '%s', because it could not be renamed to '%s'",
                               sink->temporary, sink->path);
    free(sink->temporary);
    sink->temporary = NULL;
    return ERR_OK;
}

enum err sink_appear(struct sink *sink, struct error *why)
{
    return sink->temporary ? rename_temporary(sink, why) : ERR_OK;
}

void sink_flush(struct sink *sink)
{
    flush(sink, false);
}

enum err sink_commit(struct sink *sink, struct error *why)
{
    enum err code = ERR_OK;

    finish_file(sink);
    if (sink->failure) {
        code = explain_write(sink->path, sink->failure, why);
        if (sink->temporary)
            unlink(sink->temporary);
    } else {
        code = sink_appear(sink, why);
    }
    sink_free(sink);
    return code;
}

void sink_abort(struct sink *sink)
{
    if (!sink)
        return;
    if (sink->temporary)
        unlink(sink->temporary);
    sink_free(sink);
}
