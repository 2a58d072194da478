/* SPDX-License-Identifier: MIT */
/*
 * jitlist.h on ourselves: this program announces code as GDB's interface has it, and is the target.
 */
#include <elf.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pspy/elf/symtab.h"
#include "pspy/target/live.h"
#include "pspy/target/module.h"
#include "unit/tap.h"

#define PAGE 4096

struct entry {
    struct entry *next, *previous;
    const void *object;
    uint64_t size;
};

struct descriptor {
    uint32_t version, action;
    struct entry *relevant, *first;
};

extern struct descriptor __jit_debug_descriptor;
struct descriptor __jit_debug_descriptor = {.version = 1};

static struct target self;
static struct module_list modules;
static struct address_space space;
static unsigned char *pages; /* executable */

#define CODE 64

/* An object file of one function. */
struct object {
    Elf64_Ehdr header;
    unsigned char code[CODE];
    Elf64_Sym symbols[2];
    char names[48];
    Elf64_Shdr sections[4];
};

static void fill(struct object *object, const char *name, const void *code)
{
    *object = (struct object){
        .header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                   .e_type = ET_REL,
                   .e_machine = EM_X86_64,
                   .e_version = EV_CURRENT,
                   .e_shoff = offsetof(struct object, sections),
                   .e_ehsize = sizeof(Elf64_Ehdr),
                   .e_shentsize = sizeof(Elf64_Shdr),
                   .e_shnum = 4,
                   .e_shstrndx = 3},
        .symbols = {[1] = {.st_name = 1,
                           .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
                           .st_shndx = 1,
                           .st_size = CODE}},
        .sections = {[1] = {.sh_type = SHT_PROGBITS,
                            .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
                            .sh_addr = (uintptr_t)code,
                            .sh_offset = offsetof(struct object, code),
                            .sh_size = CODE},
                     [2] = {.sh_type = SHT_SYMTAB,
                            .sh_offset = offsetof(struct object, symbols),
                            .sh_size = sizeof(object->symbols),
                            .sh_entsize = sizeof(Elf64_Sym),
                            .sh_link = 3,
                            .sh_info = 1},
                     [3] = {.sh_type = SHT_STRTAB,
                            .sh_offset = offsetof(struct object, names),
                            .sh_size = sizeof(object->names)}}};
    memcpy(object->names + 1, name, strlen(name) + 1);
}

static void announce(struct entry *entry, const void *object, uint64_t size)
{
    struct descriptor *descriptor = &__jit_debug_descriptor;

    *entry = (struct entry){.next = descriptor->first, .object = object, .size = size};
    if (entry->next)
        entry->next->previous = entry;
    descriptor->first = descriptor->relevant = entry;
    descriptor->action = 1;
}

static void withdraw(struct entry *entry)
{
    if (entry->previous)
        entry->previous->next = entry->next;
    else
        __jit_debug_descriptor.first = entry->next;
    if (entry->next)
        entry->next->previous = entry->previous;
    __jit_debug_descriptor.relevant = entry;
    __jit_debug_descriptor.action = 2;
}

/* The symbol at the address as of the next tick. */
static const char *name_at(const void *where)
{
    struct code_place place;
    const struct symbol *symbol;

    jitlist_advance(&space, &self);
    if (!address_space_place(&space, &self, (uintptr_t)where, &place) || !place.image)
        return "none";
    symbol = symtab_find(image_symtab(place.image), (uintptr_t)where - place.bias);
    return symbol ? symbol->name : "no symbol";
}

static void test_coming_and_going(void)
{
    static struct object first, second;
    static struct entry first_entry, second_entry;

    tap_is_str(name_at(pages), "none", "nothing is announced");
    fill(&first, "first", pages);
    announce(&first_entry, &first, sizeof(first));
    tap_is_str(name_at(pages), "first", "an object");
    tap_is_str(name_at(pages + CODE - 1), "first", "its last byte");
    tap_is_str(name_at(pages + CODE), "none", "behind it");
    fill(&second, "second", pages + CODE);
    announce(&second_entry, &second, sizeof(second));
    tap_is_str(name_at(pages + CODE), "second", "another one");
    tap_is_str(name_at(pages), "first", "beside the first");
    withdraw(&second_entry);
    tap_is_str(name_at(pages + CODE), "none", "gone");
    fill(&second, "third", pages + 32);
    announce(&second_entry, &second, sizeof(second));
    tap_is_str(name_at(pages + 40), "third", "of two at one place the newer one");
    withdraw(&second_entry);
    withdraw(&first_entry);
    tap_is_str(name_at(pages), "none", "all gone");
}

/* Between two looks, at the same addresses, with the list's head as it was. */
static void test_replaced(void)
{
    static struct object object;
    static struct entry entry;

    fill(&object, "older", pages);
    announce(&entry, &object, sizeof(object));
    tap_is_str(name_at(pages), "older", "an object");
    fill(&object, "newer", pages);
    tap_is_str(name_at(pages), "newer", "another one in its very place");
    memset(&object, 0, sizeof(object));
    tap_is_str(name_at(pages), "none", "freed, and not withdrawn");
    withdraw(&entry);
}

static void test_damage(void)
{
    static struct object object;
    static struct entry entries[3];

    fill(&object, "object", pages);
    announce(&entries[0], &object, sizeof(object));
    announce(&entries[1], &object, UINT64_MAX);
    announce(&entries[2], (const void *)(uintptr_t)16, 4096);
    tap_is_str(name_at(pages), "object", "among sizes and addresses that cannot be");
    entries[0].next = &entries[2];
    entries[2].next = &entries[0];
    __jit_debug_descriptor.relevant = NULL;
    tap_ok(name_at(pages) != NULL, "a circle ends");
    __jit_debug_descriptor.first = (struct entry *)(uintptr_t)8;
    tap_is_str(name_at(pages), "none", "a list that begins nowhere");
    for (size_t at = 0; at < sizeof(object); at++) {
        fill(&object, "object", pages);
        ((unsigned char *)&object)[at] ^= 0xff;
        __jit_debug_descriptor.first = NULL;
        announce(&entries[0], &object, sizeof(object));
        name_at(pages);
    }
    tap_ok(true, "each byte of the object damaged");
    __jit_debug_descriptor.first = NULL;
}

int main(void)
{
    if (target_open(getpid(), &self, NULL) != ERR_OK)
        return 1;
    pages =
        mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(pages, 0xc3, PAGE);
    address_space_init(&space, &modules);
    address_space_refresh(&space, &self);
    test_coming_and_going();
    test_replaced();
    test_damage();
    address_space_deinit(&space);
    module_list_deinit(&modules);
    target_close(&self);
    munmap(pages, PAGE);
    return tap_done();
}
