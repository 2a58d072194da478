/* SPDX-License-Identifier: MIT */
#include "pspy/base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum err error_set(struct error *why, enum err code, const char *format, ...)
{
    va_list args;

    if (why) {
        why->code = code;
        va_start(args, format);
        vsnprintf(why->message, sizeof(why->message), format, args);
        va_end(args);
    }
    return code;
}

static enum err code_of_errno(int number)
{
    switch (number) {
    case EPERM:
    case EACCES:
        return ERR_PERMISSION;
    case ESRCH:
        return ERR_GONE;
    case ENOENT:
        return ERR_NOT_FOUND;
    default:
        return ERR_IO;
    }
}

enum err error_set_errno(struct error *why, int number, const char *format, ...)
{
    enum err code = code_of_errno(number);
    va_list args;
    size_t used;

    if (!why)
        return code;
    why->code = code;
    va_start(args, format);
    vsnprintf(why->message, sizeof(why->message), format, args);
    va_end(args);
    used = strlen(why->message);
    snprintf(why->message + used, sizeof(why->message) - used, ": %s", strerror(number));
    return code;
}
