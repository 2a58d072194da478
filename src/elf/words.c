/* SPDX-License-Identifier: MIT */
#include "words.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define NAME_LIMIT 200 /* bytes; CPython's own longest has 50 */

static int by_place(const void *left, const void *right)
{
    const struct words_pointer *a = left, *b = right;

    return (a->place > b->place) - (a->place < b->place);
}

struct machine {
    GElf_Half machine;
    GElf_Word relative, absolute, data; /* relocations' types */
};

static const struct machine machines[] = {
    {EM_X86_64, R_X86_64_RELATIVE, R_X86_64_64, R_X86_64_GLOB_DAT},
    {EM_AARCH64, R_AARCH64_RELATIVE, R_AARCH64_ABS64, R_AARCH64_GLOB_DAT},
};

static const struct machine *find_machine(Elf *elf)
{
    GElf_Ehdr header;

    if (!gelf_getehdr(elf, &header) || header.e_ident[EI_CLASS] != ELFCLASS64 ||
        header.e_ident[EI_DATA] != ELFDATA2LSB)
        return NULL;
    for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++)
        if (machines[i].machine == header.e_machine)
            return &machines[i];
    return NULL;
}

static void add_pointer(struct words *words, const struct machine *machine,
                        const GElf_Rela *relocation, Elf_Data *symbols)
{
    GElf_Word type = (GElf_Word)GELF_R_TYPE(relocation->r_info);
    uint64_t addend = (uint64_t)relocation->r_addend;
    struct words_pointer pointer = {relocation->r_offset, addend};
    GElf_Sym symbol;

    if (type == machine->absolute || type == machine->data) {
        if (!symbols || !gelf_getsym(symbols, (int)GELF_R_SYM(relocation->r_info), &symbol))
            return;
        pointer.value = symbol.st_shndx == SHN_UNDEF ? WORDS_ELSEWHERE : symbol.st_value + addend;
    } else if (type != machine->relative) {
        return;
    }
    vec_push(&words->pointers, pointer);
}

static void read_relocations(struct words *words, Elf *elf, const struct machine *machine)
{
    Elf_Scn *section = NULL;
    GElf_Shdr header;

    while ((section = elf_nextscn(elf, section))) {
        Elf_Data *data, *symbols;
        GElf_Rela relocation;

        if (!gelf_getshdr(section, &header) || header.sh_type != SHT_RELA ||
            !(header.sh_flags & SHF_ALLOC) || !header.sh_entsize)
            continue;
        data = elf_getdata(section, NULL);
        symbols = elf_getdata(elf_getscn(elf, header.sh_link), NULL);
        for (size_t i = 0; data && i < header.sh_size / header.sh_entsize; i++)
            if (gelf_getrela(data, (int)i, &relocation))
                add_pointer(words, machine, &relocation, symbols);
    }
    vec_sort(&words->pointers, by_place);
}

static void read_segments(struct words *words, Elf *elf)
{
    size_t count = 0;
    GElf_Phdr header;

    elf_getphdrnum(elf, &count);
    for (size_t i = 0; i < count; i++)
        if (gelf_getphdr(elf, (int)i, &header) && header.p_type == PT_LOAD &&
            header.p_offset <= words->size && header.p_filesz <= words->size - header.p_offset)
            vec_push(&words->segments, header);
}

bool words_init(struct words *words, Elf *elf)
{
    const struct machine *machine = find_machine(elf);
    size_t size = 0;

    *words = (struct words){.segments = VEC_INIT, .pointers = VEC_INIT};
    words->bytes = (const unsigned char *)elf_rawfile(elf, &size);
    words->size = size;
    if (!machine || !words->bytes)
        return false;
    read_segments(words, elf);
    read_relocations(words, elf, machine);
    return true;
}

void words_deinit(struct words *words)
{
    vec_deinit(&words->segments);
    vec_deinit(&words->pointers);
}

const unsigned char *words_bytes(const struct words *words, uint64_t vaddr, uint64_t *ret_room)
{
    vec_each (segment, &words->segments) {
        uint64_t at = vaddr - segment->p_vaddr;

        if (vaddr < segment->p_vaddr || at >= segment->p_filesz)
            continue;
        *ret_room = segment->p_filesz - at;
        return words->bytes + segment->p_offset + at;
    }
    return NULL;
}

/* .bss, where a table ends up that has no entry. */
static bool is_zeroed(const struct words *words, uint64_t vaddr)
{
    vec_each (segment, &words->segments)
        if (vaddr >= segment->p_vaddr + segment->p_filesz &&
            vaddr < segment->p_vaddr + segment->p_memsz)
            return true;
    return false;
}

bool words_read(const struct words *words, uint64_t vaddr, uint64_t *ret)
{
    struct words_pointer key = {vaddr, 0};
    const struct words_pointer *found = NULL;
    const unsigned char *bytes;
    uint64_t room;

    if (words->pointers.length)
        found = bsearch(&key, words->pointers.items, words->pointers.length, sizeof(key), by_place);
    if (found) {
        *ret = found->value;
        return true;
    }
    bytes = words_bytes(words, vaddr, &room);
    if (!bytes || room < sizeof(*ret)) {
        *ret = 0;
        return is_zeroed(words, vaddr);
    }
    memcpy(ret, bytes, sizeof(*ret));
    return true;
}

bool words_are_code(const struct words *words, uint64_t vaddr)
{
    vec_each (segment, &words->segments)
        if (segment->p_flags & PF_X && vaddr >= segment->p_vaddr &&
            vaddr - segment->p_vaddr < segment->p_filesz)
            return true;
    return false;
}

bool words_may_be_code(const struct words *words, uint64_t vaddr)
{
    return vaddr == 0 || vaddr == WORDS_ELSEWHERE || words_are_code(words, vaddr);
}

static bool is_name_character(unsigned char character)
{
    return isalnum(character) || character == '_' || character == '.' || character == '-';
}

const char *words_name(const struct words *words, uint64_t vaddr)
{
    uint64_t room = 0;
    const unsigned char *bytes = words_bytes(words, vaddr, &room);
    size_t length = 0;

    if (!bytes || !(isalpha(bytes[0]) || bytes[0] == '_'))
        return NULL;
    while (length < room && length <= NAME_LIMIT && is_name_character(bytes[length]))
        length++;
    if (length == room || length > NAME_LIMIT || bytes[length] != '\0')
        return NULL;
    return (const char *)bytes;
}
