/* SPDX-License-Identifier: MIT */
/* python/version: texts and file names that state a version. */
#include "../../src/python/detect.h"

#include <string.h>

#include "tap.h"

static void parses(const char *text, size_t size, uint32_t wanted)
{
    uint32_t found = 0;

    tap_ok(version_parse(text, size, &found) == (wanted != 0) && found == wanted,
           "%.*s is %#x (%#x)", (int)size, text, wanted, found);
}

#define PARSES(text, wanted) parses(text, sizeof(text), wanted)

static void is_named(const char *path, uint32_t wanted)
{
    uint32_t found = 0;

    tap_ok(version_of_name(path, &found) == (wanted != 0) && found == wanted, "%s is %#x (%#x)",
           path, wanted, found);
}

int main(void)
{
    PARSES("2.7.18", 0x020712f0);
    PARSES("2.7.18+", 0x020712f0);
    PARSES("3.6.15", 0x03060ff0);
    PARSES("3.10.13", 0x030a0df0);
    PARSES("3.13.0a1", 0x030d00a1);
    PARSES("3.14.0b12", 0x030e00bc);
    PARSES("3.15.0rc1+", 0x030f00c1);
    PARSES("2.7.1c1", 0x020701c1);
    PARSES("3.9", 0);
    PARSES("3.9.", 0);
    PARSES("3.9.1.2", 0);
    PARSES("3.09.1", 0);
    PARSES("3.9.1 (main)", 0);
    PARSES("3.9.1rc", 0);
    PARSES("3.9.1rc16", 0);
    PARSES("3.256.1", 0);
    PARSES("4.2.1", 0);
    PARSES("13.2.1", 0);
    PARSES("", 0);
    parses("3.9.18", 6, 0); /* its NUL is out of reach */
    parses("3.9.18", 7, 0x030912f0);

    is_named("/usr/bin/python3.9", 0x03090000);
    is_named("/usr/lib/libpython3.6m.so.1.0", 0x03060000);
    is_named("/opt/lib/libpython2.7.so.1.0", 0x02070000);
    is_named("/usr/bin/python3.13t", 0x030d0000);
    is_named("/usr/lib/python3.9/myapp", 0);
    is_named("/usr/bin/python3", 0);
    is_named("/usr/bin/python", 0);
    is_named("/usr/bin/sleep", 0);
    return tap_done();
}
