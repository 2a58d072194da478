/* SPDX-License-Identifier: MIT */
/*
 * What is mapped where in a target: its mappings, and the ELF images behind the executable ones.
 * The images outlive the mappings and the process, so that addresses can be named when all is over.
 */
#ifndef PSPY_TARGET_MODULE_H
#define PSPY_TARGET_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pspy/base/vec.h"
#include "pspy/elf/image.h"
#include "pspy/target/jitlist.h"
#include "pspy/target/target.h"

#define MODULE_NONE UINT32_MAX

/* A file (or other executable memory) that was seen in a target. Never removed from its list. */
struct module {
    char *path; /* as the target calls it; "[vdso]", "[anonymous code]" */
    uint64_t inode;
    uint32_t device_major, device_minor;
    struct image *image;     /* NULL: no ELF file, or not to be had */
    bool was_tried;          /* image has been looked for */
    bool is_interpreter;     /* holds the Python runtime */
    bool was_searched;       /* for an interpreter, in vain */
    bool is_jit;             /* an object that a compiler made at run time; addresses are its own */
    bool has_plain_names;    /* is_jit: they are not mangled */
    bool was_asked;          /* for its descriptor of such objects: */
    uint64_t jit_descriptor; /* its vaddr; 0: none */
    /* is_interpreter: vaddr of a pointer that is NULL until the interpreter starts; 0: unknown */
    uint64_t waits_for;
};

/* All modules of a recording, shared by its processes and by the programs of an exec chain. */
struct module_list {
    VEC(struct module) modules;
};

void module_list_deinit(struct module_list *list);
/* Adds code that is no file's, with an image that the list owns; its index. */
uint32_t module_list_add_jit(struct module_list *list, const char *name, struct image *image);

/* A mapping of the target. */
struct region {
    uint64_t start, end, offset;
    uint32_t module; /* index in the module_list; MODULE_NONE for data without a file */
    bool is_executable;
    bool is_stack; /* the main thread's stack, which grows downwards */
    bool bias_was_tried;
    bool has_bias; /* bias is known: the image was opened and its code is mapped */
    uint64_t bias; /* run-time address minus the file's vaddr */
};

struct address_space {
    struct module_list *modules;
    VEC(struct region) regions; /* by address */
    uint32_t generation;        /* grows with each change that moves or removes code */
    uint32_t refreshed;         /* how often the mappings were read */
    struct jitlist jit;
};

void address_space_init(struct address_space *space, struct module_list *modules);
void address_space_deinit(struct address_space *space);

/* Reads the mappings anew. ERR_GONE, ERR_PERMISSION, ERR_UNREADABLE. */
enum err address_space_refresh(struct address_space *space, const struct target *target);

/* The mapping that holds the address, or NULL. Borrowed until the next refresh. */
const struct region *address_space_find(const struct address_space *space, uint64_t address);

/* The code that covers an address. */
struct code_place {
    uint64_t start, end; /* of the stretch that this holds for */
    uint32_t module;     /* in the module_list; MODULE_NONE for data without a file */
    struct image *image; /* NULL: none, or the bias is unknown */
    uint64_t bias;       /* address minus the image's vaddr; 0 without an image */
};

/*
 * What lies at the address: the mapped file's image, opened at the first call (so call it while the
 * process lives), or that of code made at run time. False where nothing is mapped.
 */
bool address_space_place(struct address_space *space, const struct target *target, uint64_t address,
                         struct code_place *ret);

/* The region's image, opened at the first call (so call it while the process lives); NULL if none.
 */
struct image *region_image(struct address_space *space, const struct target *target,
                           const struct region *region);

#endif
