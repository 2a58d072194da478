/* SPDX-License-Identifier: MIT */
/* A growing string. `text` is always NUL-terminated and valid from STRBUF_INIT on; it may hold
 * NULs. */
#ifndef PSPY_BASE_STRBUF_H
#define PSPY_BASE_STRBUF_H

#include <stddef.h>

struct strbuf {
    char *text;
    size_t length;   /* bytes, without the final NUL */
    size_t capacity; /* bytes allocated; 0 while text is the shared empty string */
};

extern char strbuf_empty[];
#define STRBUF_INIT                                                                                \
    {                                                                                              \
        strbuf_empty, 0, 0                                                                         \
    }

void strbuf_init(struct strbuf *buf);
void strbuf_deinit(struct strbuf *buf);
/* Makes room for `extra` more bytes and the NUL. */
void strbuf_reserve(struct strbuf *buf, size_t extra);
void strbuf_reset(struct strbuf *buf);
void strbuf_truncate(struct strbuf *buf, size_t length);
void strbuf_add(struct strbuf *buf, const void *bytes, size_t length);
void strbuf_add_text(struct strbuf *buf, const char *text);
void strbuf_add_char(struct strbuf *buf, char character);
void strbuf_addf(struct strbuf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3), nonnull(2)));
/* Hands the string to the caller (free it) and leaves the buffer empty. */
char *strbuf_detach(struct strbuf *buf);
/* Appends a whole file, at most `limit` bytes (a /proc file has no size to ask for). 0, or -errno.
 */
int strbuf_add_file(struct strbuf *buf, const char *path, size_t limit);

#endif
