/* SPDX-License-Identifier: MIT */
#include "pspy/cli/reading.h"

#include <stdio.h>
#include <string.h>

#include "pspy/base/cleanup.h"
#include "pspy/naming/later.h"
#include "pspy/profile/import.h"

enum err reading_take(const char *path, struct profile *ret, struct error *why)
{
    cleanup(strbuf_deinit) struct strbuf warning = STRBUF_INIT;
    enum err err = profile_import(path, ret, &warning, why);

    if (err != ERR_OK)
        return err;
    if (warning.length)
        fprintf(stderr, "pspy: '%s': %s\n", path, warning.text);
    name_later(ret);
    return ERR_OK;
}

void reading_notice(const struct view_choices *choices, const struct profile *profile)
{
    const struct recording_facts *facts = &profile->facts;

    if (choices->native && facts->saw_python && !facts->native)
        fputs("pspy: the recording has no native functions: it was made without -n\n", stderr);
}

enum err reading_check_operands(const struct operands *operands, int least, int most,
                                const char *usage, struct error *why)
{
    if (operands->count < least)
        return error_set(why, ERR_INVALID, "there is nothing to read: give a recording, as in '%s'",
                         usage);
    if (most && operands->count > most)
        return error_set(why, ERR_INVALID, "there is no use for '%s': the command line is '%s'",
                         operands->items[most], usage);
    return ERR_OK;
}
