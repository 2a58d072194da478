/* SPDX-License-Identifier: MIT */
/* The data of an ELF file as it is when its program begins: with the pointers that the dynamic
 * linker makes. Of little-endian 64-bit files. Private to elf/. */
#ifndef PSPY_ELF_WORDS_H
#define PSPY_ELF_WORDS_H

#include <gelf.h>
#include <stdbool.h>
#include <stdint.h>

#include "pspy/base/vec.h"

#define WORDS_ELSEWHERE UINT64_MAX /* a pointer into another file */

/* A place whose word the dynamic linker sets. */
struct words_pointer {
    uint64_t place, value;
};

struct words {
    const unsigned char *bytes; /* the whole file; borrowed */
    uint64_t size;
    VEC(GElf_Phdr) segments;            /* PT_LOAD, within the file */
    VEC(struct words_pointer) pointers; /* by place */
};

/* False for a machine whose relocations are not known; `deinit` is due at any rate. */
bool words_init(struct words *words, Elf *elf);
void words_deinit(struct words *words);

/* The bytes of the file from a vaddr on, and how many there are; NULL if there are none. */
const unsigned char *words_bytes(const struct words *words, uint64_t vaddr, uint64_t *ret_room);
/* The word at a vaddr; 0, and false, where the file has none. */
bool words_read(const struct words *words, uint64_t vaddr, uint64_t *ret);
bool words_are_code(const struct words *words, uint64_t vaddr);
/* Or NULL, or another file's. */
bool words_may_be_code(const struct words *words, uint64_t vaddr);
/* A text at a vaddr that may be a name: "list", "dict_keys", "collections.deque", "method-wrapper".
 * NULL if there is none; borrowed. */
const char *words_name(const struct words *words, uint64_t vaddr);

#endif
