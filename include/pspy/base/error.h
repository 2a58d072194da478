/* SPDX-License-Identifier: MIT */
/*
 * Errors without malloc: an `enum err` is returned and checked; functions of the set-up phase also
 * fill a `struct error` with one sentence that names the remedy. Must not print: only cli/ does.
 */
#ifndef PSPY_BASE_ERROR_H
#define PSPY_BASE_ERROR_H

enum err {
    ERR_OK = 0,
    ERR_INVALID,     /* an argument, option or file makes no sense */
    ERR_NOT_FOUND,   /* no such file, symbol, process */
    ERR_PERMISSION,  /* the kernel refused */
    ERR_GONE,        /* the process or thread ended */
    ERR_UNREADABLE,  /* the target's memory cannot be read there */
    ERR_UNSUPPORTED, /* understood, but not served (a Python version, a 32-bit target) */
    ERR_IO,          /* reading or writing a file failed */
    ERR_TIMEOUT,     /* an answer did not come in time */
    ERR_TORN,        /* the data changed while it was read */
};

struct error {
    enum err code;
    char message[512]; /* one sentence without a final newline; "" while code is ERR_OK */
};

#define ERROR_INIT                                                                                 \
    {                                                                                              \
        ERR_OK, ""                                                                                 \
    }

/* Fills `why` (may be NULL) and returns `code`, so that `return error_set(why, ...)` reads well. */
enum err error_set(struct error *why, enum err code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Like error_set, with ": " and the text of errno value `number` appended; maps EPERM, EACCES to
 * ERR_PERMISSION, ESRCH to ERR_GONE, ENOENT to ERR_NOT_FOUND, all else to ERR_IO. */
enum err error_set_errno(struct error *why, int number, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
