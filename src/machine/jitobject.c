/* SPDX-License-Identifier: MIT */
/*
 * LLVM hands debuggers a copy of the object file it compiled (type REL) whose section headers say
 * where each section was loaded:
 *
 *   [Nr] Name        Type           Address          Off    Size   Flg
 *   [ 3] .ltext      PROGBITS       00007fb2ca8a9000 000040 0008e8 AXl
 *   [ 7] .eh_frame   X86_64_UNWIND  00007fb2ca8aa180 000ab0 000100 A
 *   [ 9] .symtab     SYMTAB         0000000000000000 000bb0 000360       values relative to
 * sections
 *
 * Nothing else in it is linked. What was loaded is linked, so that is copied over it; what was not
 * (DWARF) is linked here. A section that is empty or was not loaded keeps the address 0.
 */
#include "pspy/machine/jitobject.h"

#include <elf.h>
#include <string.h>

#define LOADED_LIMIT (64u << 20)

struct object {
    unsigned char *bytes;
    size_t size;
    Elf64_Ehdr header;
};

/* Relocations that debug information is written with. */
static const struct relocation_kind {
    uint16_t machine;
    uint32_t type;
    unsigned size;
} relocation_kinds[] = {
    {EM_X86_64, R_X86_64_64, 8},      {EM_X86_64, R_X86_64_32, 4},
    {EM_X86_64, R_X86_64_32S, 4},     {EM_AARCH64, R_AARCH64_ABS64, 8},
    {EM_AARCH64, R_AARCH64_ABS32, 4},
};

static bool is_within(const struct object *object, uint64_t offset, uint64_t size)
{
    return offset <= object->size && size <= object->size - offset;
}

static bool read_header(struct object *object)
{
    const unsigned char wanted[] = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB};

    if (object->size < sizeof(object->header) || memcmp(object->bytes, wanted, sizeof(wanted)) != 0)
        return false;
    memcpy(&object->header, object->bytes, sizeof(object->header));
    return object->header.e_type == ET_REL && object->header.e_shentsize == sizeof(Elf64_Shdr) &&
           is_within(object, object->header.e_shoff,
                     (uint64_t)object->header.e_shnum * sizeof(Elf64_Shdr));
}

static Elf64_Shdr section_at(const struct object *object, size_t index)
{
    Elf64_Shdr section;

    memcpy(&section, object->bytes + object->header.e_shoff + index * sizeof(section),
           sizeof(section));
    return section;
}

static bool is_loaded(const Elf64_Shdr *section)
{
    return section->sh_flags & SHF_ALLOC && section->sh_addr && section->sh_size;
}

/* Code, constants and the unwind table, as they stand in the process. */
static bool copy_loaded(const struct object *object, jitobject_read_fn *read, void *context)
{
    for (size_t i = 0; i < object->header.e_shnum; i++) {
        Elf64_Shdr section = section_at(object, i);

        if (!is_loaded(&section) || section.sh_flags & SHF_WRITE || section.sh_type == SHT_NOBITS)
            continue;
        if (section.sh_size > LOADED_LIMIT ||
            !is_within(object, section.sh_offset, section.sh_size) ||
            !read(context, section.sh_addr, object->bytes + section.sh_offset, section.sh_size))
            return false;
    }
    return true;
}

/* Values that lie in the section's addresses already are left; what fits nowhere is undefined. */
static void place_symbol(const struct object *object, Elf64_Sym *symbol)
{
    Elf64_Shdr section;

    if (symbol->st_shndx == SHN_UNDEF || symbol->st_shndx >= object->header.e_shnum)
        return;
    section = section_at(object, symbol->st_shndx);
    if (section.sh_addr && symbol->st_value - section.sh_addr <= section.sh_size)
        return;
    if (symbol->st_value <= section.sh_size)
        symbol->st_value += section.sh_addr;
    else
        symbol->st_shndx = SHN_UNDEF;
}

static void place_symbols(const struct object *object)
{
    for (size_t i = 0; i < object->header.e_shnum; i++) {
        Elf64_Shdr section = section_at(object, i);

        if (section.sh_type != SHT_SYMTAB || !is_within(object, section.sh_offset, section.sh_size))
            continue;
        for (uint64_t at = 0; section.sh_size - at >= sizeof(Elf64_Sym); at += sizeof(Elf64_Sym)) {
            unsigned char *place = object->bytes + section.sh_offset + at;
            Elf64_Sym symbol;

            memcpy(&symbol, place, sizeof(symbol));
            place_symbol(object, &symbol);
            memcpy(place, &symbol, sizeof(symbol));
        }
    }
}

static unsigned relocation_size(const struct object *object, uint64_t type)
{
    for (size_t i = 0; i < sizeof(relocation_kinds) / sizeof(relocation_kinds[0]); i++)
        if (relocation_kinds[i].machine == object->header.e_machine &&
            relocation_kinds[i].type == type)
            return relocation_kinds[i].size;
    return 0;
}

static void relocate(const struct object *object, const Elf64_Shdr *section,
                     const Elf64_Shdr *symbols, const Elf64_Rela *relocation)
{
    unsigned size = relocation_size(object, ELF64_R_TYPE(relocation->r_info));
    uint64_t index = ELF64_R_SYM(relocation->r_info), value;
    Elf64_Sym symbol;

    if (!size || section->sh_size < size || relocation->r_offset > section->sh_size - size ||
        index >= symbols->sh_size / sizeof(symbol))
        return;
    memcpy(&symbol, object->bytes + symbols->sh_offset + index * sizeof(symbol), sizeof(symbol));
    value = symbol.st_value + (uint64_t)relocation->r_addend;
    memcpy(object->bytes + section->sh_offset + relocation->r_offset, &value, size);
}

static void relocate_section(const struct object *object, const Elf64_Shdr *relocations)
{
    Elf64_Shdr section = section_at(object, relocations->sh_info);
    Elf64_Shdr symbols = section_at(object, relocations->sh_link);

    if (section.sh_flags & SHF_ALLOC || section.sh_type == SHT_NOBITS ||
        !is_within(object, section.sh_offset, section.sh_size) ||
        !is_within(object, symbols.sh_offset, symbols.sh_size) ||
        !is_within(object, relocations->sh_offset, relocations->sh_size))
        return;
    for (uint64_t at = 0; relocations->sh_size - at >= sizeof(Elf64_Rela);
         at += sizeof(Elf64_Rela)) {
        Elf64_Rela relocation;

        memcpy(&relocation, object->bytes + relocations->sh_offset + at, sizeof(relocation));
        relocate(object, &section, &symbols, &relocation);
    }
}

bool jitobject_link(unsigned char *bytes, size_t size, jitobject_read_fn *read, void *context)
{
    struct object object = {.bytes = bytes, .size = size};

    if (!read_header(&object) || !copy_loaded(&object, read, context))
        return false;
    place_symbols(&object);
    for (size_t i = 0; i < object.header.e_shnum; i++) {
        Elf64_Shdr section = section_at(&object, i);

        if (section.sh_type == SHT_RELA && section.sh_info < object.header.e_shnum &&
            section.sh_link < object.header.e_shnum)
            relocate_section(&object, &section);
    }
    return true;
}

bool jitobject_code(const unsigned char *bytes, size_t index, size_t *ret_count,
                    uint64_t *ret_start, uint64_t *ret_end)
{
    Elf64_Ehdr header;
    Elf64_Shdr section;

    memcpy(&header, bytes, sizeof(header));
    *ret_count = header.e_shnum;
    if (index >= header.e_shnum)
        return false;
    memcpy(&section, bytes + header.e_shoff + index * sizeof(section), sizeof(section));
    if (!is_loaded(&section) || !(section.sh_flags & SHF_EXECINSTR) ||
        section.sh_addr > UINT64_MAX - section.sh_size)
        return false;
    *ret_start = section.sh_addr;
    *ret_end = section.sh_addr + section.sh_size;
    return true;
}
