/* SPDX-License-Identifier: MIT */
/*
 * A slot jumps through a word of the GOT, and the relocation of that word names the function:
 *
 *   ff 25 e2 2f 00 00          jmp *0x2fe2(%rip)      a slot of .plt; .plt.got may have 8 bytes
 *   f3 0f 1e fa ff 25 ...      endbr64; jmp           .plt.sec, also with f2 before the jump
 *   f3 0f 1e fa 68 03 00 00 00 endbr64; push $3       .plt beside .plt.sec: the number of its
 *                                                     relocation in .rela.plt
 *
 * The first slot of .plt calls the loader and has no name. Reading the slots, and not counting
 * them, is right for all linkers, for padding and for slots in another order.
 */
#include "plt.h"

#include <gelf.h>
#include <stdlib.h>
#include <string.h>

#include "section.h"

#define SLOT_BYTES 16 /* where the section does not say */

static const unsigned char endbr[] = {0xf3, 0x0f, 0x1e, 0xfa};
static const unsigned char jump[] = {0xff, 0x25}, push[] = {0x68};

struct relocation {
    uint64_t word; /* of the GOT */
    const char *name;
};

struct relocations {
    VEC(struct relocation) lazy;   /* .rela.plt in the file's order */
    VEC(struct relocation) sorted; /* all, by word */
};

static const char *name_of(Elf *elf, Elf_Scn *symbols, size_t index)
{
    GElf_Shdr header;
    Elf_Data *data = symbols ? section_data(symbols, &header) : NULL;
    GElf_Sym symbol;

    return data && gelf_getsym(data, (int)index, &symbol)
               ? elf_strptr(elf, header.sh_link, symbol.st_name)
               : NULL;
}

static void read_section(struct relocations *relocations, Elf *elf, const char *section_name)
{
    GElf_Shdr header;
    Elf_Scn *section;
    Elf_Data *data;
    GElf_Rela entry;

    if (!section_find(elf, section_name, &section, &header) || header.sh_type != SHT_RELA ||
        !(data = section_data(section, &header)))
        return;
    for (int i = 0; gelf_getrela(data, i, &entry); i++) {
        size_t type = GELF_R_TYPE(entry.r_info);
        struct relocation relocation = {.word = entry.r_offset};

        if (type == R_X86_64_JUMP_SLOT || type == R_X86_64_GLOB_DAT)
            relocation.name =
                name_of(elf, elf_getscn(elf, header.sh_link), GELF_R_SYM(entry.r_info));
        if (strcmp(section_name, ".rela.plt") == 0)
            vec_push(&relocations->lazy, relocation);
        if (relocation.name && *relocation.name)
            vec_push(&relocations->sorted, relocation);
    }
}

static int by_word(const void *left, const void *right)
{
    const struct relocation *a = left, *b = right;

    return (a->word > b->word) - (a->word < b->word);
}

static bool begins_with(const unsigned char *bytes, const unsigned char *end,
                        const unsigned char *wanted, size_t length)
{
    return (size_t)(end - bytes) >= length && memcmp(bytes, wanted, length) == 0;
}

/* The name of the function that a slot jumps to; NULL if it is none. */
static const char *name_slot(const struct relocations *relocations, uint64_t vaddr,
                             const unsigned char *slot, size_t size)
{
    const unsigned char *at = slot, *end = slot + size;
    struct relocation wanted, *found;
    int32_t number;

    if (begins_with(at, end, endbr, sizeof(endbr)))
        at += sizeof(endbr);
    if (begins_with(at, end, push, sizeof(push)) && end - at >= 5) {
        memcpy(&number, at + 1, 4);
        return number >= 0 && (size_t)number < relocations->lazy.length
                   ? relocations->lazy.items[number].name
                   : NULL;
    }
    if (at < end && *at == 0xf2)
        at++;
    if (!begins_with(at, end, jump, sizeof(jump)) || end - at < 6 || !relocations->sorted.length)
        return NULL;
    memcpy(&number, at + 2, 4);
    wanted.word = vaddr + (uint64_t)(at + 6 - slot) + (uint64_t)(int64_t)number;
    found = bsearch(&wanted, relocations->sorted.items, relocations->sorted.length, sizeof(wanted),
                    by_word);
    return found ? found->name : NULL;
}

static void name_slots(struct symtab *symtab, Elf *elf, const struct relocations *relocations,
                       const char *section_name)
{
    GElf_Shdr header;
    Elf_Scn *section;
    Elf_Data *data;
    size_t size;

    if (!section_find(elf, section_name, &section, &header) ||
        !(data = section_data(section, &header)))
        return;
    size = header.sh_entsize == 8 || header.sh_entsize == 16 ? header.sh_entsize : SLOT_BYTES;
    for (size_t at = 0; at + size <= data->d_size; at += size) {
        const char *name = name_slot(relocations, header.sh_addr + at,
                                     (const unsigned char *)data->d_buf + at, size);

        if (name)
            symtab_add_named(symtab, header.sh_addr + at, header.sh_addr + at + size,
                             xasprintf("%s@plt", name));
    }
}

void plt_add(struct symtab *symtab, Elf *elf)
{
    static const char *const sections[] = {".plt", ".plt.sec", ".plt.bnd", ".plt.got"};
    struct relocations relocations = {VEC_INIT, VEC_INIT};
    GElf_Ehdr header;

    if (!gelf_getehdr(elf, &header) || header.e_machine != EM_X86_64)
        return;
    read_section(&relocations, elf, ".rela.plt");
    read_section(&relocations, elf, ".rela.dyn");
    vec_sort(&relocations.sorted, by_word);
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
        name_slots(symtab, elf, &relocations, sections[i]);
    vec_deinit(&relocations.lazy);
    vec_deinit(&relocations.sorted);
}
