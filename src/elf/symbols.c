/* SPDX-License-Identifier: MIT */
#include "symbols.h"

#include <string.h>

#include "section.h"

static void each_in_section(Elf *elf, Elf_Scn *section, image_symbol_fn *each, void *context)
{
    GElf_Shdr header;
    Elf_Data *data = section_data(section, &header);
    size_t count = data && header.sh_entsize ? header.sh_size / header.sh_entsize : 0;

    for (size_t i = 0; i < count; i++) {
        GElf_Sym symbol;
        struct image_symbol found;

        if (!gelf_getsym(data, (int)i, &symbol) || symbol.st_shndx == SHN_UNDEF)
            continue;
        found = (struct image_symbol){elf_strptr(elf, header.sh_link, symbol.st_name),
                                      symbol.st_value, symbol.st_size};
        if (found.name)
            each(context, &found);
    }
}

void symbols_each(Elf *elf, GElf_Word type, image_symbol_fn *each, void *context)
{
    Elf_Scn *section = NULL;

    while ((section = elf_nextscn(elf, section))) {
        GElf_Shdr header;

        if (gelf_getshdr(section, &header) && header.sh_type == type)
            each_in_section(elf, section, each, context);
    }
}

struct search {
    const char *name;
    uint64_t vaddr;
    bool was_found;
};

static void compare_name(void *context, const struct image_symbol *symbol)
{
    struct search *search = context;

    if (!search->was_found && strcmp(symbol->name, search->name) == 0) {
        search->vaddr = symbol->vaddr;
        search->was_found = true;
    }
}

bool symbols_find(Elf *elf, const char *name, uint64_t *ret_vaddr)
{
    struct search search = {name, 0, false};

    symbols_each(elf, SHT_DYNSYM, compare_name, &search);
    if (!search.was_found)
        symbols_each(elf, SHT_SYMTAB, compare_name, &search);
    if (search.was_found)
        *ret_vaddr = search.vaddr;
    return search.was_found;
}
