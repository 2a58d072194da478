/* SPDX-License-Identifier: MIT */
/* perfmap.h, line by line. */
#include "pspy/machine/perfmap.h"
#include "unit/tap.h"

static const char *name_at(const struct perfmap *map, uint64_t address)
{
    const struct perfmap_entry *entry = perfmap_find(map, address);

    return entry ? map->names.text + entry->name : "none";
}

static size_t add(struct perfmap *map, const char *text)
{
    return perfmap_add(map, text, strlen(text));
}

static void test_lines(void)
{
    struct perfmap map = PERFMAP_INIT;

    tap_is_num((long long)add(&map, "1000 b py::f:/a b.py\n0x2000 10 g;h\n300"), 35,
               "whole lines are taken");
    tap_is_str(name_at(&map, 0x1000), "py::f:/a b.py", "the first byte, a name with a space");
    tap_is_str(name_at(&map, 0x100a), "py::f:/a b.py", "the last byte");
    tap_is_str(name_at(&map, 0x100b), "none", "behind it");
    tap_is_str(name_at(&map, 0x2000), "g;h", "0x before the number");
    add(&map, "1004 4 newer\n");
    tap_is_str(name_at(&map, 0x1005), "newer", "the newest line counts");
    tap_is_str(name_at(&map, 0x1009), "py::f:/a b.py", "where it says something");
    perfmap_deinit(&map);
}

static void test_damage(void)
{
    static const char *const lines[] = {
        "\n",          "x\n",        "1000\n",     "1000 \n",
        "1000 10\n",   "1000 10 \n", "1000 0 f\n", "ffffffffffffffff 2 f\n",
        "1000 zz f\n", "1000  f\n",
    };
    struct perfmap map = PERFMAP_INIT;
    static char longest[20000];

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        tap_is_num((long long)add(&map, lines[i]), (long long)strlen(lines[i]),
                   "a line of another form");
    tap_is_num((long long)map.entries.length, 0, "says nothing");
    memset(longest, 'n', sizeof(longest) - 2);
    memcpy(longest, "1000 10 ", 8);
    longest[sizeof(longest) - 2] = '\n';
    add(&map, longest);
    tap_ok(strlen(name_at(&map, 0x1000)) == 4096, "a long name is cut");
    perfmap_deinit(&map);
}

int main(void)
{
    test_lines();
    test_damage();
    return tap_done();
}
