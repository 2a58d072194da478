/* SPDX-License-Identifier: MIT */
/* Prints what profile_import reads of a file, as test_import.c states it: for a look at real ones.
 */
#include "unit/import_rows.h"

int main(int argc, char **argv)
{
    struct strbuf warning = STRBUF_INIT, rows = STRBUF_INIT;
    struct error why = ERROR_INIT;
    struct profile profile;
    enum err code;

    profile_init(&profile);
    code = profile_import(argc > 1 ? argv[1] : "-", &profile, &warning, &why);
    if (!code)
        add_rows(&profile, &rows);
    fputs(rows.text, stdout);
    if (code || warning.length)
        fprintf(stderr, "%s\n", code ? why.message : warning.text);
    profile_deinit(&profile);
    strbuf_deinit(&rows);
    strbuf_deinit(&warning);
    return code != ERR_OK;
}
