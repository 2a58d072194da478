/* SPDX-License-Identifier: MIT */
/* An object file of one function, for code of which only the place and the name are known. */
#include <elf.h>
#include <string.h>

#include "pspy/machine/jitobject.h"

enum { SECTION_NONE, SECTION_CODE, SECTION_SYMBOLS, SECTION_NAMES, SECTION_SPARE, SECTIONS };

/* Section names, then the function's. */
static const char names[] = "\0.text\0.symtab\0.strtab\0.note.GNU-stack";
static const unsigned char name_places[SECTIONS] = {0, 1, 7, 15, 23};

static Elf64_Shdr section(unsigned index, Elf64_Word type, size_t offset, size_t size)
{
    return (Elf64_Shdr){
        .sh_name = name_places[index], .sh_type = type, .sh_offset = offset, .sh_size = size};
}

void jitobject_make(const char *name, uint64_t start, uint64_t size, const unsigned char *code,
                    struct strbuf *ret)
{
    Elf64_Ehdr header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                         .e_type = ET_REL,
#ifdef __x86_64__
                         .e_machine = EM_X86_64,
#elif defined __aarch64__
                         .e_machine = EM_AARCH64,
#endif
                         .e_version = EV_CURRENT,
                         .e_ehsize = sizeof(header),
                         .e_shentsize = sizeof(Elf64_Shdr),
                         .e_shnum = SECTIONS,
                         .e_shstrndx = SECTION_NAMES};
    Elf64_Sym symbols[2] = {{.st_name = 0},
                            {.st_name = sizeof(names),
                             .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
                             .st_shndx = SECTION_CODE,
                             .st_value = start,
                             .st_size = size}};
    Elf64_Shdr sections[SECTIONS] = {{.sh_type = SHT_NULL}};
    size_t base = ret->length, at = sizeof(header), code_size = code ? size : 0;

    sections[SECTION_CODE] = section(SECTION_CODE, code ? SHT_PROGBITS : SHT_NOBITS, at, size);
    sections[SECTION_CODE].sh_flags = SHF_ALLOC | SHF_EXECINSTR;
    sections[SECTION_CODE].sh_addr = start;
    at += code_size + (8 - code_size % 8);
    sections[SECTION_SYMBOLS] = section(SECTION_SYMBOLS, SHT_SYMTAB, at, sizeof(symbols));
    sections[SECTION_SYMBOLS].sh_entsize = sizeof(symbols[0]);
    sections[SECTION_SYMBOLS].sh_link = SECTION_NAMES;
    sections[SECTION_SYMBOLS].sh_info = 1;
    at += sizeof(symbols);
    header.e_shoff = at;
    at += sizeof(sections);
    sections[SECTION_NAMES] =
        section(SECTION_NAMES, SHT_STRTAB, at, sizeof(names) + strlen(name) + 1);
    sections[SECTION_SPARE] = section(SECTION_SPARE, SHT_PROGBITS, at, 0);
    strbuf_add(ret, &header, sizeof(header));
    strbuf_add(ret, code, code_size);
    while ((ret->length - base) != sections[SECTION_SYMBOLS].sh_offset)
        strbuf_add_char(ret, '\0');
    strbuf_add(ret, symbols, sizeof(symbols));
    strbuf_add(ret, sections, sizeof(sections));
    strbuf_add(ret, names, sizeof(names));
    strbuf_add(ret, name, strlen(name) + 1);
}
