/* SPDX-License-Identifier: MIT */
/* States its own native stack, main -> f1 -> f2 -> f3 x5 -> leaf, then stays there. */
#include "position.h"

#include "options.h"

STATED void leaf(void);
STATED void f3(int level);
STATED void f2(int level);
STATED void f1(int level);

/* As far as the compiler knows, the room is written and read here. */
static inline void keep_address(char *room)
{
    __asm__ volatile("" : : "r"(room) : "memory");
}

void leaf(void)
{
    POSITION_ENTER();
    position_announce("stack_c");
    for (volatile unsigned long turns = 0; !position_over;)
        turns = turns + 1;
    POSITION_LEAVE();
}

void f3(int level)
{
    POSITION_ENTER();
    if (level > 1)
        f3(level - 1);
    else
        leaf();
    POSITION_LEAVE();
}

/* Frames of different sizes: a walk that guesses the size of one is lost at the next. */
void f2(int level)
{
    char room[1000];

    POSITION_ENTER();
    keep_address(room);
    f3(level);
    keep_address(room);
    POSITION_LEAVE();
}

/* More aligned than the ABI's stack: GCC describes this frame by a DWARF expression. */
void f1(int level)
{
    _Alignas(64) char room[64];

    POSITION_ENTER();
    keep_address(room);
    f2(level);
    keep_address(room);
    POSITION_LEAVE();
}

int main(int argc, char **argv)
{
    double seconds = 60, levels = 5;
    const struct option_row rows[] = {
        {"--seconds", &seconds, NULL},
        {"--levels", &levels, NULL},
    };

    OPTIONS_PARSE(argc, argv, rows);
    position_arm(seconds);
    POSITION_ENTER();
    f1(levels < 1 ? 1 : levels > 20 ? 20 : (int)levels);
    POSITION_LEAVE();
    return 0;
}
