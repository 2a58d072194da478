/* SPDX-License-Identifier: MIT */
#include "pspy/elf/symtab.h"

#include <gelf.h>
#include <stdlib.h>
#include <string.h>

#include "dynamic.h"
#include "section.h"

void symtab_deinit(struct symtab *symtab)
{
    vec_each (name, &symtab->names)
        free(*name);
    vec_deinit(&symtab->names);
    vec_deinit(&symtab->symbols);
}

static bool is_function(const GElf_Sym *symbol)
{
    int type = GELF_ST_TYPE(symbol->st_info);

    return (type == STT_FUNC || type == STT_GNU_IFUNC) && symbol->st_shndx != SHN_UNDEF &&
           symbol->st_value != 0;
}

/* Among names for one place the exported and plain one is the one its callers know. */
static uint8_t rank_of(const GElf_Sym *symbol, const char *name)
{
    uint8_t rank = GELF_ST_BIND(symbol->st_info) == STB_LOCAL ? 100 : 0;

    for (; *name == '_' && rank % 100 < 99; name++)
        rank++;
    return rank;
}

static uint64_t section_end(Elf *elf, size_t index)
{
    Elf_Scn *section = elf_getscn(elf, index);
    GElf_Shdr header;

    if (!section || !gelf_getshdr(section, &header))
        return 0;
    return header.sh_addr + header.sh_size;
}

/* Adds one symbol if it is a function; `reach` is what bounds it where it has no size. */
static void add_symbol(struct symtab *symtab, const GElf_Sym *symbol, const char *name,
                       uint64_t reach)
{
    struct symbol entry = {
        .start = symbol->st_value, .end = symbol->st_value + symbol->st_size, .name = name};

    if (!is_function(symbol) || !name || !*name)
        return;
    entry.rank = rank_of(symbol, name);
    if (symbol->st_size == 0)
        entry.reach = reach;
    vec_push(&symtab->symbols, entry);
}

static void add_section(struct symtab *symtab, Elf *elf, Elf_Scn *section)
{
    GElf_Shdr header;
    Elf_Data *data = section_data(section, &header);
    size_t count = data && header.sh_entsize ? header.sh_size / header.sh_entsize : 0;

    for (size_t i = 0; i < count; i++) {
        GElf_Sym symbol;

        /* Assembler code may lack a size: its section bounds it until symtab_finish knows better.
         * In a stripped file the next symbol may be far away, so there it covers nothing. */
        if (gelf_getsym(data, (int)i, &symbol))
            add_symbol(symtab, &symbol, elf_strptr(elf, header.sh_link, symbol.st_name),
                       header.sh_type == SHT_SYMTAB ? section_end(elf, symbol.st_shndx) : 0);
    }
}

void symtab_add(struct symtab *symtab, Elf *elf)
{
    Elf_Scn *section = NULL;

    while ((section = elf_nextscn(elf, section))) {
        GElf_Shdr header;

        if (gelf_getshdr(section, &header) &&
            (header.sh_type == SHT_SYMTAB || header.sh_type == SHT_DYNSYM))
            add_section(symtab, elf, section);
    }
}

void symtab_add_named(struct symtab *symtab, uint64_t start, uint64_t end, char *name)
{
    struct symbol entry = {.start = start, .end = end, .name = name, .rank = UINT8_MAX};

    vec_push(&symtab->names, name);
    vec_push(&symtab->symbols, entry);
}

void symtab_add_dynamic(struct symtab *symtab, Elf *elf, uint64_t bias)
{
    struct dynamic_symbols symbols;

    if (!dynamic_find_symbols(elf, bias, &symbols))
        return;
    for (size_t i = 0; i < symbols.count; i++) {
        GElf_Sym symbol;

        memcpy(&symbol, symbols.entries + i * sizeof(symbol), sizeof(symbol));
        if (symbol.st_name < symbols.names_size)
            add_symbol(symtab, &symbol, symbols.names + symbol.st_name, 0);
    }
}

static int by_start(const void *left, const void *right)
{
    const struct symbol *a = left, *b = right;
    size_t a_length, b_length;

    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    if (a->end != b->end) /* the larger first, so that the smaller is the inner one */
        return a->end > b->end ? -1 : 1;
    if (a->rank != b->rank)
        return a->rank > b->rank ? -1 : 1; /* the best name last: the search ends there */
    a_length = strlen(a->name);
    b_length = strlen(b->name);
    if (a_length != b_length)
        return a_length > b_length ? -1 : 1;
    return strcmp(b->name, a->name);
}

/* A symbol without a size reaches no further than the next one. */
static void bound_sizeless(struct symbol *symbols, size_t count)
{
    uint64_t next_start = UINT64_MAX;

    for (size_t i = count; i-- > 0;) {
        if (symbols[i].reach > next_start)
            symbols[i].reach = next_start;
        if (i > 0 && symbols[i - 1].start != symbols[i].start)
            next_start = symbols[i].start;
    }
}

void symtab_finish(struct symtab *symtab)
{
    struct symbol *symbols = symtab->symbols.items;
    size_t count = symtab->symbols.length;
    uint64_t sized_reach = 0, reach = 0;

    if (count == 0)
        return;
    qsort(symbols, count, sizeof(symbols[0]), by_start);
    bound_sizeless(symbols, count);
    for (size_t i = 0; i < count; i++) {
        if (symbols[i].end > symbols[i].start) {
            if (symbols[i].end > sized_reach)
                sized_reach = symbols[i].end;
        } else if (symbols[i].start >= sized_reach) {
            /* Within a symbol with a size it says nothing: gcc leaves such aliases of others'
             * .cold parts. */
            symbols[i].end = symbols[i].reach;
        }
        if (symbols[i].end > reach)
            reach = symbols[i].end;
        symbols[i].reach = reach;
    }
}

const struct symbol *symtab_find(const struct symtab *symtab, uint64_t vaddr)
{
    const struct symbol *symbols = symtab->symbols.items;
    size_t low = 0, high = symtab->symbols.length;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (symbols[middle].start <= vaddr)
            low = middle + 1;
        else
            high = middle;
    }
    for (size_t i = low; i-- > 0 && symbols[i].reach > vaddr;)
        if (vaddr < symbols[i].end)
            return &symbols[i];
    return NULL;
}
