/* SPDX-License-Identifier: MIT */
/* Text for people, Markdown, or JSON: what `report` and `diff` write. */
#ifndef PSPY_CLI_REPORT_FORMS_H
#define PSPY_CLI_REPORT_FORMS_H

#include "pspy/cli/options.h"

extern const struct choice report_forms[];

enum report_form {
    FORM_TEXT,
    FORM_MARKDOWN,
    FORM_JSON,
};

/* NULL is text. */
enum report_form report_form(const struct choice *choice);
/* Whether standard output is a terminal that shows colours, and nobody asked for none. */
bool report_may_colour(void);

#endif
