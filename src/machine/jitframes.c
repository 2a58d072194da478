/* SPDX-License-Identifier: MIT */
/*
 * Functions of a JIT object that no FDE describes get one: the section .eh_frame is copied to the
 * object's end, where it can grow. Its address stays, so that what it says of others holds; an
 * object without one gets it in place of the empty section that LLVM ends every object with,
 * .note.GNU-stack.
 */
#include <elf.h>
#include <string.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/vec.h"
#include "pspy/cfi/ehframe_build.h"
#include "pspy/machine/codeframes.h"
#include "pspy/machine/jitobject.h"

#define EH_FRAME ".eh_frame"
#define SPARE    ".note.GNU-stack"
#define NO_INDEX SIZE_MAX
#define AWAY     (1u << 20) /* behind the object's sections, where a made section may lie */

struct range {
    uint64_t start, size;
};

struct plan {
    struct strbuf *object;
    Elf64_Ehdr header;
    size_t index;   /* of the section that becomes or stays .eh_frame */
    bool is_spare;  /* it is the other one */
    uint64_t vaddr; /* of the frames */
    struct strbuf frames;
    VEC(uint64_t) described; /* starts of functions with an FDE */
    VEC(struct range) functions;
};

static Elf64_Shdr section_at(const struct plan *plan, size_t index)
{
    Elf64_Shdr section;

    memcpy(&section, plan->object->text + plan->header.e_shoff + index * sizeof(section),
           sizeof(section));
    return section;
}

static bool is_within(const struct plan *plan, const Elf64_Shdr *section)
{
    return section->sh_type != SHT_NOBITS && section->sh_offset <= plan->object->length &&
           section->sh_size <= plan->object->length - section->sh_offset;
}

static bool has_name(const struct plan *plan, const Elf64_Shdr *section, const char *name)
{
    Elf64_Shdr names = section_at(plan, plan->header.e_shstrndx);
    size_t length = strlen(name) + 1;

    return is_within(plan, &names) && section->sh_name < names.sh_size &&
           length <= names.sh_size - section->sh_name &&
           memcmp(plan->object->text + names.sh_offset + section->sh_name, name, length) == 0;
}

static size_t find_section(const struct plan *plan, const char *name)
{
    for (size_t i = 1; i < plan->header.e_shnum; i++) {
        Elf64_Shdr section = section_at(plan, i);

        if (has_name(plan, &section, name))
            return i;
    }
    return NO_INDEX;
}

static uint64_t end_of_sections(const struct plan *plan)
{
    uint64_t end = 0;

    for (size_t i = 0; i < plan->header.e_shnum; i++) {
        Elf64_Shdr section = section_at(plan, i);

        if (section.sh_addr && section.sh_addr + section.sh_size > end)
            end = section.sh_addr + section.sh_size;
    }
    return end;
}

/* Where the frames go, and what there is of them. */
static bool begin(struct plan *plan)
{
    Elf64_Shdr section;

    memcpy(&plan->header, plan->object->text, sizeof(plan->header));
    if (plan->header.e_machine != EM_X86_64 || plan->header.e_shstrndx >= plan->header.e_shnum)
        return false;
    plan->index = find_section(plan, EH_FRAME);
    if (plan->index == NO_INDEX) {
        plan->is_spare = true;
        plan->index = find_section(plan, SPARE);
        plan->vaddr = (end_of_sections(plan) + AWAY) & ~(uint64_t)0xfff;
        return plan->index != NO_INDEX && section_at(plan, plan->index).sh_size == 0;
    }
    section = section_at(plan, plan->index);
    plan->vaddr = section.sh_addr;
    if (!is_within(plan, &section) || !section.sh_addr)
        return false;
    strbuf_add(&plan->frames, plan->object->text + section.sh_offset, section.sh_size);
    return true;
}

/* The search table's entries {s32 code, FDE} tell what is described. */
static void list_described(struct plan *plan)
{
    cleanup(strbuf_deinit) struct strbuf table = STRBUF_INIT;
    const unsigned char *bytes = (const unsigned char *)plan->frames.text;

    ehframe_build(bytes, plan->frames.length, plan->vaddr, plan->vaddr, &table);
    for (size_t at = 12; at + 8 <= table.length; at += 8) {
        int32_t code;

        memcpy(&code, table.text + at, sizeof(code));
        vec_push(&plan->described, plan->vaddr + (uint64_t)(int64_t)code);
    }
}

static bool is_wanted(const struct plan *plan, uint64_t start)
{
    vec_each (described, &plan->described) {
        if (*described == start)
            return false;
    }
    vec_each (function, &plan->functions) {
        if (function->start == start)
            return false;
    }
    return true;
}

static void list_functions(struct plan *plan, const Elf64_Shdr *symbols)
{
    for (uint64_t at = 0; symbols->sh_size - at >= sizeof(Elf64_Sym); at += sizeof(Elf64_Sym)) {
        Elf64_Sym symbol;

        memcpy(&symbol, plan->object->text + symbols->sh_offset + at, sizeof(symbol));
        if (ELF64_ST_TYPE(symbol.st_info) == STT_FUNC && symbol.st_shndx != SHN_UNDEF &&
            symbol.st_size && is_wanted(plan, symbol.st_value))
            vec_push(&plan->functions, ((struct range){symbol.st_value, symbol.st_size}));
    }
}

/* The bytes of the function. */
static const unsigned char *code_at(const struct plan *plan, const struct range *function)
{
    for (size_t i = 0; i < plan->header.e_shnum; i++) {
        Elf64_Shdr section = section_at(plan, i);
        uint64_t at = function->start - section.sh_addr;

        if (section.sh_flags & SHF_EXECINSTR && section.sh_addr && is_within(plan, &section) &&
            at < section.sh_size && function->size <= section.sh_size - at)
            return (const unsigned char *)plan->object->text + section.sh_offset + at;
    }
    return NULL;
}

static bool make_frames(struct plan *plan)
{
    size_t cie = plan->frames.length;
    bool has_made = false;

    codeframes_add_cie(&plan->frames);
    vec_each (function, &plan->functions) {
        const unsigned char *code = code_at(plan, function);

        has_made |= code && codeframes_add(code, function->size, function->start, plan->vaddr, cie,
                                           &plan->frames);
    }
    return has_made;
}

/* Whether another section lies where this one grows to. */
static bool has_room(const struct plan *plan)
{
    uint64_t end = plan->vaddr + plan->frames.length;

    for (size_t i = 0; i < plan->header.e_shnum; i++) {
        Elf64_Shdr section = section_at(plan, i);

        if (i != plan->index && section.sh_addr && section.sh_addr < end &&
            plan->vaddr < section.sh_addr + section.sh_size)
            return false;
    }
    return true;
}

static void set_section(struct plan *plan, size_t index, const Elf64_Shdr *section)
{
    memcpy(plan->object->text + plan->header.e_shoff + index * sizeof(*section), section,
           sizeof(*section));
}

/* A longer copy of the section names. The new name's place in it. */
static uint32_t add_name(struct plan *plan, const char *name)
{
    Elf64_Shdr names = section_at(plan, plan->header.e_shstrndx);
    uint64_t place = plan->object->length;
    uint32_t at = (uint32_t)names.sh_size;

    strbuf_reserve(plan->object, names.sh_size);
    strbuf_add(plan->object, plan->object->text + names.sh_offset, names.sh_size);
    strbuf_add(plan->object, name, strlen(name) + 1);
    names.sh_offset = place;
    names.sh_size += strlen(name) + 1;
    set_section(plan, plan->header.e_shstrndx, &names);
    return at;
}

static void finish(struct plan *plan)
{
    Elf64_Shdr section = section_at(plan, plan->index);

    if (plan->is_spare)
        section.sh_name = add_name(plan, EH_FRAME);
    while (plan->object->length % 8)
        strbuf_add_char(plan->object, '\0');
    section.sh_type = SHT_PROGBITS;
    section.sh_flags = SHF_ALLOC;
    section.sh_addr = plan->vaddr;
    section.sh_offset = plan->object->length;
    section.sh_size = plan->frames.length;
    strbuf_add(plan->object, plan->frames.text, plan->frames.length);
    set_section(plan, plan->index, &section);
}

void jitobject_add_frames(struct strbuf *object)
{
    struct plan plan = {.object = object, .frames = STRBUF_INIT};

    if (begin(&plan)) {
        list_described(&plan);
        for (size_t i = 0; i < plan.header.e_shnum; i++) {
            Elf64_Shdr section = section_at(&plan, i);

            if (section.sh_type == SHT_SYMTAB && is_within(&plan, &section))
                list_functions(&plan, &section);
        }
        if (plan.functions.length && make_frames(&plan) && has_room(&plan))
            finish(&plan);
    }
    strbuf_deinit(&plan.frames);
    vec_deinit(&plan.described);
    vec_deinit(&plan.functions);
}
