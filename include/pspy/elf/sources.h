/* SPDX-License-Identifier: MIT */
/* Source lines and inlined functions of code addresses, from DWARF by libdw. */
#ifndef PSPY_ELF_SOURCES_H
#define PSPY_ELF_SOURCES_H

#include <libelf.h>
#include <stddef.h>
#include <stdint.h>

struct sources;

/* The line information of an ELF file, and the file that dwz moved a part of it to (NULL: none);
 * both must outlive it. NULL if there is none, or so much packed that unpacking it is out of
 * proportion. */
struct sources *sources_create(Elf *elf, Elf *alt);
/* Takes NULL. */
void sources_destroy(struct sources *sources);

#define SOURCE_FRAMES 32

/* A function at an address: the real one, or one that was inlined there. */
struct source_frame {
    /* Of an inlined one, mangled if it can be. The real one's is its symbol's matter: NULL, but in
     * Fortran, where the symbols of most (step_, inner.0, MAIN__) say less than this. */
    const char *function;
    const char *directory; /* that `file` is relative to; NULL: unknown */
    const char *file;
    uint32_t line;       /* in that function: where the code comes from, or calls the next one */
    uint32_t first_line; /* of the function; 0: unknown, as always for the real one */
};

/*
 * The functions at `vaddr`, innermost first, the real one last; at most SOURCE_FRAMES, without the
 * innermost ones if there are more. Their number, 0 if nothing is known. The texts live as long as
 * `sources`.
 */
size_t sources_find(struct sources *sources, uint64_t vaddr,
                    struct source_frame ret[SOURCE_FRAMES]);

#endif
