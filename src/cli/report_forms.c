/* SPDX-License-Identifier: MIT */
#include "pspy/cli/report_forms.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct choice report_forms[] = {
    {"text", "for a terminal"},
    {"markdown", "for an issue or a notebook"},
    {"json", "for a program"},
    {NULL, NULL},
};

enum report_form report_form(const struct choice *choice)
{
    return choice ? (enum report_form)(choice - report_forms) : FORM_TEXT;
}

/* https://no-color.org */
bool report_may_colour(void)
{
    const char *none = getenv("NO_COLOR"), *terminal = getenv("TERM");

    return isatty(STDOUT_FILENO) && !(none && *none) && terminal && strcmp(terminal, "dumb") != 0;
}
