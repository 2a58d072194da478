/* SPDX-License-Identifier: MIT */
/*
 * An ELF file as a profiler needs it: its bytes by virtual address, its build-id, where its unwind
 * table lies, and names for addresses. Knows nothing of processes; a root directory is given as a
 * file descriptor, so that it outlives the process whose mount namespace it belongs to.
 *
 * Addresses here ("vaddr") are those written in the ELF file, not those of a running process.
 */
#ifndef PSPY_ELF_IMAGE_H
#define PSPY_ELF_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pspy/base/error.h"
#include "pspy/base/strbuf.h"

struct cfi;
struct image;
struct pynames;
struct sources;
struct symtab;

/*
 * Reads the ELF file behind `fd`, which the caller keeps. `path` is what the file is called by its
 * user; `root_fd` (an O_PATH directory, borrowed for the image's life, or -1 for our own root) is
 * where its separate debug file is looked for.
 */
enum err image_open(int fd, const char *path, int root_fd, struct image **ret, struct error *why);

/* The same from bytes that are copied: the vdso. */
enum err image_open_memory(const void *bytes, size_t size, const char *path, struct image **ret,
                           struct error *why);

/* Says that the bytes were copied from the memory of a process, from address `start` on: there the
 * loader has changed the dynamic segment, which is read where no section headers were mapped. */
void image_set_memory_start(struct image *image, uint64_t start);

void image_destroy(struct image *image);

const char *image_path(const struct image *image);
/* The path after the last slash. */
const char *image_name(const struct image *image);
bool image_is_64_bit(const struct image *image);
/* EM_X86_64 and so on. */
unsigned image_machine(const struct image *image);
/* Appends the build-id in hexadecimal digits. False: there is none. */
bool image_build_id(const struct image *image, struct strbuf *ret);

/* Copies bytes of a loaded read-only segment from the file: code, constants, unwind tables. False
 * where the file does not hold them all, or the process may have changed them. */
bool image_read(const struct image *image, uint64_t vaddr, void *ret, size_t size);

/*
 * The load bias (run-time address minus vaddr, one for the whole file) from an executable mapping
 * of `size` file bytes from `offset` at address `start`. False if no executable segment lies there.
 */
bool image_bias(const struct image *image, uint64_t start, uint64_t offset, uint64_t size,
                uint64_t *ret);

/* The vaddr where the file's code is entered; 0 for a library. */
uint64_t image_entry(const struct image *image);

/* The unwind table: .eh_frame_hdr's vaddr, and its size in bytes. Where the file has none, one is
 * made from .eh_frame at a vaddr behind the file's own, for image_read. False if there is nothing.
 */
bool image_eh_frame_hdr(const struct image *image, uint64_t *ret_vaddr, uint64_t *ret_size);

/* The vaddr and size of a section by name. */
bool image_section(const struct image *image, const char *name, uint64_t *ret_vaddr,
                   uint64_t *ret_size);

/* A symbol's value by exact name, from .dynsym or .symtab. */
bool image_symbol(const struct image *image, const char *name, uint64_t *ret_vaddr);

/* Where symbols come from. */
enum image_table {
    IMAGE_DYNSYM,     /* what the file offers to others: outlives strip */
    IMAGE_SYMTAB,     /* all of them, local ones as well */
    IMAGE_DEBUG_FILE, /* .symtab of the separate debug file or of .gnu_debugdata, looked for at the
                       * first call */
};

struct image_symbol {
    const char *name; /* valid as long as the image */
    uint64_t vaddr, size;
};

/* Calls `each` for the defined symbols of one table. */
typedef void image_symbol_fn(void *context, const struct image_symbol *symbol);
void image_each_symbol(struct image *image, enum image_table table, image_symbol_fn *each,
                       void *context);

/* A loaded segment: what the file says of it. */
struct image_segment {
    uint64_t vaddr;
    uint64_t size;              /* in memory */
    const unsigned char *bytes; /* `file_size` of them; NULL where the process may change them */
    uint64_t file_size;
    bool is_executable;
};

/* False if there are not so many. */
bool image_segment(const struct image *image, size_t index, struct image_segment *ret);

/* .debug_frame, unpacked where it is compressed: of the file itself, or of its separate debug file,
 * which is looked for then. The bytes live as long as the image. False if there is none. */
bool image_debug_frame(struct image *image, bool of_debug_file, const unsigned char **ret,
                       size_t *ret_size);

/* The rows of the file's unwind tables, compiled at the first call. NULL for a machine that we have
 * no rows for. What earlier calls gave stays valid. */
const struct cfi *image_cfi(struct image *image);
/* Whether that call would only look. */
bool image_cfi_is_ready(const struct image *image);
/* From now on with the rows of the separate debug file, where that has any. False if not, or if
 * it was tried before. */
bool image_cfi_add_debug_file(struct image *image);

/* The lines of code that the file itself carries (built with -g, not stripped) or its debug file,
 * read at the first call; NULL if there are none. */
struct sources *image_sources(struct image *image);

/* What Python calls the file's functions, read at the first call. */
const struct pynames *image_pynames(struct image *image);

/* The file's symbols and those of its debug file, read at the first call. */
const struct symtab *image_symtab(struct image *image);

#endif
