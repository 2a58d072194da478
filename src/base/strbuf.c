/* SPDX-License-Identifier: MIT */
#include "pspy/base/strbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/xmalloc.h"

char strbuf_empty[1];

void strbuf_init(struct strbuf *buf)
{
    *buf = (struct strbuf)STRBUF_INIT;
}

void strbuf_deinit(struct strbuf *buf)
{
    if (buf->capacity)
        free(buf->text);
    strbuf_init(buf);
}

void strbuf_reserve(struct strbuf *buf, size_t extra)
{
    size_t need = buf->length + extra + 1;

    if (need <= buf->capacity)
        return;
    if (need < buf->capacity * 2)
        need = buf->capacity * 2;
    if (need < 64)
        need = 64;
    buf->text = xreallocarray(buf->capacity ? buf->text : NULL, need, 1);
    buf->capacity = need;
    buf->text[buf->length] = '\0';
}

void strbuf_reset(struct strbuf *buf)
{
    strbuf_truncate(buf, 0);
}

void strbuf_truncate(struct strbuf *buf, size_t length)
{
    if (length >= buf->length)
        return;
    buf->length = length;
    buf->text[length] = '\0';
}

void strbuf_add(struct strbuf *buf, const void *bytes, size_t length)
{
    if (length == 0)
        return;
    strbuf_reserve(buf, length);
    memcpy(buf->text + buf->length, bytes, length);
    buf->length += length;
    buf->text[buf->length] = '\0';
}

void strbuf_add_text(struct strbuf *buf, const char *text)
{
    strbuf_add(buf, text, strlen(text));
}

void strbuf_add_char(struct strbuf *buf, char character)
{
    strbuf_add(buf, &character, 1);
}

void strbuf_addf(struct strbuf *buf, const char *format, ...)
{
    va_list args, again;
    int length;

    va_start(args, format);
    va_copy(again, args);
    length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length > 0) {
        strbuf_reserve(buf, (size_t)length);
        vsnprintf(buf->text + buf->length, (size_t)length + 1, format, again);
        buf->length += (size_t)length;
    }
    va_end(again);
}

char *strbuf_detach(struct strbuf *buf)
{
    char *text;

    strbuf_reserve(buf, 0);
    text = buf->text;
    strbuf_init(buf);
    return text;
}

int strbuf_add_file(struct strbuf *buf, const char *path, size_t limit)
{
    cleanup(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t total = 0;

    if (fd < 0)
        return -errno;
    while (total < limit) {
        size_t want = limit - total < 65536 ? limit - total : 65536;
        ssize_t got;

        strbuf_reserve(buf, want);
        got = read(fd, buf->text + buf->length, want);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        buf->length += (size_t)got;
        buf->text[buf->length] = '\0';
        total += (size_t)got;
    }
    return 0;
}
