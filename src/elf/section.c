/* SPDX-License-Identifier: MIT */
#include "section.h"

#include <string.h>

bool section_find(Elf *elf, const char *name, Elf_Scn **ret, GElf_Shdr *ret_header)
{
    Elf_Scn *section = NULL;
    size_t names;

    if (elf_getshdrstrndx(elf, &names) != 0)
        return false;
    while ((section = elf_nextscn(elf, section))) {
        const char *found;

        if (!gelf_getshdr(section, ret_header))
            continue;
        found = elf_strptr(elf, names, ret_header->sh_name);
        if (found && strcmp(found, name) == 0) {
            *ret = section;
            return true;
        }
    }
    return false;
}

Elf_Data *section_data(Elf_Scn *section, GElf_Shdr *ret_header)
{
    Elf_Data *data;

    if (!gelf_getshdr(section, ret_header) ||
        (ret_header->sh_flags & SHF_COMPRESSED && elf_compress(section, 0, 0) < 0) ||
        !gelf_getshdr(section, ret_header))
        return NULL;
    data = elf_getdata(section, NULL);
    return data && data->d_buf ? data : NULL; /* a debug file's sections are hollow */
}
