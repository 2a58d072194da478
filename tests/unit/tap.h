/* SPDX-License-Identifier: MIT */
/* A test program prints one line a check, "ok 3 - what" or "not ok 3 - what # why", and the plan.
 */
#ifndef TESTS_UNIT_TAP_H
#define TESTS_UNIT_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int tap_count, tap_failures;

__attribute__((format(printf, 2, 3), unused)) static bool tap_ok(bool good, const char *format, ...)
{
    va_list args;

    printf("%sok %d - ", good ? "" : "not ", ++tap_count);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    tap_failures += !good;
    return good;
}

/* One line even where the texts have several. */
__attribute__((unused)) static void tap_quote(const char *text)
{
    putchar('"');
    for (; *text; text++)
        if (*text == '\n')
            fputs("\\n", stdout);
        else
            putchar(*text);
    putchar('"');
}

__attribute__((unused)) static bool tap_is_str(const char *got, const char *wanted,
                                               const char *what)
{
    bool good = !strcmp(got, wanted);

    printf("%sok %d - %s", good ? "" : "not ", ++tap_count, what);
    if (!good) {
        fputs(" # got ", stdout);
        tap_quote(got);
        fputs(", wanted ", stdout);
        tap_quote(wanted);
    }
    putchar('\n');
    tap_failures += !good;
    return good;
}

__attribute__((unused)) static bool tap_is_num(long long got, long long wanted, const char *what)
{
    bool good = got == wanted;

    printf("%sok %d - %s", good ? "" : "not ", ++tap_count, what);
    if (!good)
        printf(" # got %lld, wanted %lld", got, wanted);
    putchar('\n');
    tap_failures += !good;
    return good;
}

/* Prints the plan; the value to return from main. */
__attribute__((unused)) static int tap_done(void)
{
    printf("1..%d\n", tap_count);
    return tap_failures != 0;
}

#endif
