/* SPDX-License-Identifier: MIT */
#include "pspy/elf/image.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cfi_image.h"
#include "minidebug.h"
#include "plt.h"
#include "pspy/base/cleanup.h"
#include "pspy/base/strbuf.h"
#include "pspy/base/vec.h"
#include "pspy/cfi/cfi.h"
#include "pspy/cfi/ehframe_build.h"
#include "pspy/elf/debugfile.h"
#include "pspy/elf/pynames.h"
#include "pspy/elf/sources.h"
#include "pspy/elf/symtab.h"
#include "section.h"
#include "symbols.h"

struct image {
    char *path;
    int root_fd;
    unsigned char *bytes;
    size_t size;
    bool is_mapped; /* bytes come from mmap, not from malloc */
    Elf *elf;
    VEC(GElf_Phdr) segments; /* PT_LOAD */
    uint64_t eh_frame_hdr, eh_frame_hdr_size;
    struct strbuf made_table; /* .eh_frame_hdr, where the file has none; behind all segments */
    uint64_t dynamic_bias;    /* that the loader added in the dynamic segment, of memory's bytes */
    bool symtab_ready;
    struct symtab symtab;
    bool sources_ready;
    struct sources *sources;
    bool cfi_ready, debug_cfi_was_tried;
    struct cfi *cfi, *debug_cfi;
    struct pynames *pynames;
    bool debug_was_tried;
    struct image *debug; /* the separate debug file (or .gnu_debugdata), whose strings symtab
                          * borrows */
    struct image *alt;   /* what dwz moved out of the debug information */
};

/* A linked object file has no segments: its sections are. */
static void add_sections(struct image *image)
{
    Elf_Scn *section = NULL;
    GElf_Shdr header;

    while ((section = elf_nextscn(image->elf, section)))
        if (gelf_getshdr(section, &header) && header.sh_flags & SHF_ALLOC && header.sh_addr &&
            header.sh_type != SHT_NOBITS)
            vec_push(&image->segments,
                     ((GElf_Phdr){.p_type = PT_LOAD,
                                  .p_flags = (header.sh_flags & SHF_WRITE ? PF_W : 0) |
                                             (header.sh_flags & SHF_EXECINSTR ? PF_X : 0),
                                  .p_offset = header.sh_offset,
                                  .p_vaddr = header.sh_addr,
                                  .p_filesz = header.sh_size,
                                  .p_memsz = header.sh_size}));
}

static void read_segments(struct image *image)
{
    size_t count = 0;

    if (elf_getphdrnum(image->elf, &count) != 0)
        return;
    if (count == 0)
        add_sections(image);
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr header;

        if (!gelf_getphdr(image->elf, (int)i, &header))
            continue;
        if (header.p_type == PT_LOAD)
            vec_push(&image->segments, header);
        if (header.p_type == PT_GNU_EH_FRAME) {
            image->eh_frame_hdr = header.p_vaddr;
            image->eh_frame_hdr_size = header.p_memsz;
        }
    }
}

/* gcc -static leaves the search table out. */
static void make_table(struct image *image)
{
    const unsigned char padding[8] = {0}; /* libunwind reads whole words */
    uint64_t end = 0;
    GElf_Shdr section;
    Elf_Scn *found;

    if (image->eh_frame_hdr_size || !section_find(image->elf, ".eh_frame", &found, &section) ||
        section.sh_type == SHT_NOBITS || section.sh_offset > image->size ||
        section.sh_size > image->size - section.sh_offset)
        return;
    vec_each (segment, &image->segments)
        if (segment->p_vaddr + segment->p_memsz > end)
            end = segment->p_vaddr + segment->p_memsz;
    image->eh_frame_hdr = (end + 0xfff) & ~(uint64_t)0xfff;
    ehframe_build(image->bytes + section.sh_offset, section.sh_size, section.sh_addr,
                  image->eh_frame_hdr, &image->made_table);
    image->eh_frame_hdr_size = image->made_table.length;
    strbuf_add(&image->made_table, padding, sizeof(padding));
}

static enum err start(struct image *image, struct error *why)
{
    elf_version(EV_CURRENT);
    image->elf = elf_memory((char *)image->bytes, image->size);
    if (!image->elf || elf_kind(image->elf) != ELF_K_ELF)
        return error_set(why, ERR_INVALID, "%s is not an ELF file", image->path);
    read_segments(image);
    make_table(image);
    return ERR_OK;
}

static struct image *image_create(const char *path, int root_fd)
{
    struct image *image = xcalloc(1, sizeof(*image));

    image->path = xstrdup(path);
    image->root_fd = root_fd;
    strbuf_init(&image->made_table);
    return image;
}

void image_destroy(struct image *image)
{
    if (!image)
        return;
    symtab_deinit(&image->symtab);
    sources_destroy(image->sources);
    cfi_destroy(image->cfi);
    cfi_destroy(image->debug_cfi);
    pynames_destroy(image->pynames);
    image_destroy(image->debug);
    image_destroy(image->alt);
    if (image->elf)
        elf_end(image->elf);
    if (image->is_mapped)
        munmap(image->bytes, image->size);
    else
        free(image->bytes);
    vec_deinit(&image->segments);
    strbuf_deinit(&image->made_table);
    free(image->path);
    free(image);
}

static enum err finish(struct image *image, struct image **ret, struct error *why)
{
    enum err err = start(image, why);

    if (err == ERR_OK)
        *ret = image;
    else
        image_destroy(image);
    return err;
}

enum err image_open(int fd, const char *path, int root_fd, struct image **ret, struct error *why)
{
    struct image *image;
    struct stat status;
    void *bytes;

    if (fstat(fd, &status) != 0)
        return error_set_errno(why, errno, "cannot look at %s", path);
    if (!S_ISREG(status.st_mode) || status.st_size < (off_t)sizeof(Elf32_Ehdr))
        return error_set(why, ERR_INVALID, "%s is not an ELF file", path);
    /* Writable and private: libelf converts some sections in place. */
    bytes = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return error_set_errno(why, errno, "cannot map %s", path);
    image = image_create(path, root_fd);
    image->bytes = bytes;
    image->size = (size_t)status.st_size;
    image->is_mapped = true;
    return finish(image, ret, why);
}

enum err image_open_memory(const void *bytes, size_t size, const char *path, struct image **ret,
                           struct error *why)
{
    struct image *image = image_create(path, -1);

    image->bytes = xmalloc(size);
    memcpy(image->bytes, bytes, size);
    image->size = size;
    return finish(image, ret, why);
}

void image_set_memory_start(struct image *image, uint64_t start)
{
    vec_each (segment, &image->segments)
        if (segment->p_offset == 0)
            image->dynamic_bias = start - segment->p_vaddr;
}

const char *image_path(const struct image *image)
{
    return image->path;
}

const char *image_name(const struct image *image)
{
    const char *slash = strrchr(image->path, '/');

    return slash && slash[1] ? slash + 1 : image->path;
}

bool image_is_64_bit(const struct image *image)
{
    return gelf_getclass(image->elf) == ELFCLASS64;
}

static bool read_made_table(const struct image *image, uint64_t vaddr, void *ret, size_t size)
{
    uint64_t at = vaddr - image->eh_frame_hdr;

    if (vaddr < image->eh_frame_hdr || at >= image->made_table.length ||
        size > image->made_table.length - at)
        return false;
    memcpy(ret, image->made_table.text + at, size);
    return true;
}

bool image_read(const struct image *image, uint64_t vaddr, void *ret, size_t size)
{
    vec_each (segment, &image->segments) {
        uint64_t at = vaddr - segment->p_vaddr;

        if (segment->p_flags & PF_W || vaddr < segment->p_vaddr || at >= segment->p_filesz ||
            size > segment->p_filesz - at)
            continue;
        if (segment->p_offset > image->size || at + size > image->size - segment->p_offset)
            return false;
        memcpy(ret, image->bytes + segment->p_offset + at, size);
        return true;
    }
    return read_made_table(image, vaddr, ret, size);
}

static uint64_t overlap(uint64_t a_start, uint64_t a_end, uint64_t b_start, uint64_t b_end)
{
    uint64_t start = a_start > b_start ? a_start : b_start;
    uint64_t end = a_end < b_end ? a_end : b_end;

    return end > start ? end - start : 0;
}

/*
 * bias = start - offset + p_offset - p_vaddr for the segment that is mapped there; p_offset -
 * p_vaddr may differ between segments (lld, BOLT). Only executable segments are looked at: a
 * read-only and a data segment often share a page of the file, and so an offset, but code never
 * shares its pages.
 */
bool image_bias(const struct image *image, uint64_t start_address, uint64_t offset, uint64_t size,
                uint64_t *ret)
{
    const GElf_Phdr *best = NULL;
    uint64_t best_overlap = 0;

    vec_each (segment, &image->segments) {
        uint64_t shared = overlap(offset, offset + size, segment->p_offset,
                                  segment->p_offset + segment->p_filesz);

        if (segment->p_flags & PF_X && shared > best_overlap) {
            best = segment;
            best_overlap = shared;
        }
    }
    if (!best)
        return false;
    *ret = start_address - offset + best->p_offset - best->p_vaddr;
    return true;
}

uint64_t image_entry(const struct image *image)
{
    GElf_Ehdr header;

    return gelf_getehdr(image->elf, &header) ? header.e_entry : 0;
}

bool image_eh_frame_hdr(const struct image *image, uint64_t *ret_vaddr, uint64_t *ret_size)
{
    if (!image->eh_frame_hdr_size)
        return false;
    *ret_vaddr = image->eh_frame_hdr;
    *ret_size = image->eh_frame_hdr_size;
    return true;
}

bool image_section(const struct image *image, const char *name, uint64_t *ret_vaddr,
                   uint64_t *ret_size)
{
    GElf_Shdr header;
    Elf_Scn *section;

    if (!section_find(image->elf, name, &section, &header))
        return false;
    *ret_vaddr = header.sh_addr;
    *ret_size = header.sh_size;
    return true;
}

static void open_debug_file(struct image *image)
{
    cleanup(strbuf_deinit) struct strbuf unpacked = STRBUF_INIT;
    cleanup(cleanup_close) int fd = -1;

    if (image->debug_was_tried)
        return;
    image->debug_was_tried = true;
    fd = debugfile_open(image->elf, image->path, image->root_fd);
    if (fd >= 0)
        image_open(fd, image->path, image->root_fd, &image->debug, NULL);
    if (!image->debug && minidebug_unpack(image->elf, &unpacked))
        image_open_memory(unpacked.text, unpacked.length, image->path, &image->debug, NULL);
}

void image_each_symbol(struct image *image, enum image_table table, image_symbol_fn *each,
                       void *context)
{
    switch (table) {
    case IMAGE_DYNSYM:
        symbols_each(image->elf, SHT_DYNSYM, each, context);
        break;
    case IMAGE_SYMTAB:
        symbols_each(image->elf, SHT_SYMTAB, each, context);
        break;
    case IMAGE_DEBUG_FILE:
        open_debug_file(image);
        if (image->debug)
            symbols_each(image->debug->elf, SHT_SYMTAB, each, context);
    }
}

bool image_symbol(const struct image *image, const char *name, uint64_t *ret_vaddr)
{
    return symbols_find(image->elf, name, ret_vaddr);
}

bool image_segment(const struct image *image, size_t index, struct image_segment *ret)
{
    const GElf_Phdr *segment;
    bool is_whole;

    if (index >= image->segments.length)
        return false;
    segment = &image->segments.items[index];
    is_whole =
        segment->p_offset <= image->size && segment->p_filesz <= image->size - segment->p_offset;
    *ret = (struct image_segment){.vaddr = segment->p_vaddr,
                                  .size = segment->p_memsz,
                                  .is_executable = segment->p_flags & PF_X};
    if (is_whole && !(segment->p_flags & PF_W)) {
        ret->bytes = image->bytes + segment->p_offset;
        ret->file_size = segment->p_filesz;
    }
    return true;
}

const struct symtab *image_symtab(struct image *image)
{
    if (!image->symtab_ready) {
        symtab_add(&image->symtab, image->elf);
        symtab_add_dynamic(&image->symtab, image->elf, image->dynamic_bias);
        plt_add(&image->symtab, image->elf);
        open_debug_file(image);
        if (image->debug)
            symtab_add(&image->symtab, image->debug->elf);
        symtab_finish(&image->symtab);
        image->symtab_ready = true;
    }
    return &image->symtab;
}

static struct sources *read_sources(struct image *image)
{
    cleanup(cleanup_close) int fd = debugfile_open_alt(image->elf, image->path, image->root_fd);

    if (fd >= 0)
        image_open(fd, image->path, image->root_fd, &image->alt, NULL);
    return sources_create(image->elf, image->alt ? image->alt->elf : NULL);
}

struct sources *image_sources(struct image *image)
{
    if (!image->sources_ready) {
        image->sources = read_sources(image);
        open_debug_file(image);
        if (!image->sources && image->debug)
            image->sources = read_sources(image->debug);
        image->sources_ready = true;
    }
    return image->sources;
}

bool image_debug_frame(struct image *image, bool of_debug_file, const unsigned char **ret,
                       size_t *ret_size)
{
    const struct image *holder = image;
    Elf_Scn *section;
    GElf_Shdr header;
    Elf_Data *data = NULL;

    if (of_debug_file) {
        open_debug_file(image);
        holder = image->debug;
    }
    if (holder && section_find(holder->elf, ".debug_frame", &section, &header))
        data = section_data(section, &header);
    if (!data)
        return false;
    *ret = data->d_buf;
    *ret_size = data->d_size;
    return true;
}

const struct cfi *image_cfi(struct image *image)
{
    if (!image->cfi_ready) {
        image->cfi = cfi_of_image(image, false);
        image->cfi_ready = true;
    }
    return image->debug_cfi ? image->debug_cfi : image->cfi;
}

bool image_cfi_is_ready(const struct image *image)
{
    return image->cfi_ready;
}

bool image_cfi_add_debug_file(struct image *image)
{
    if (image->debug_cfi_was_tried)
        return false;
    image->debug_cfi_was_tried = true;
    image->debug_cfi = cfi_of_image(image, true);
    return image->debug_cfi != NULL;
}

unsigned image_machine(const struct image *image)
{
    GElf_Ehdr header;

    return gelf_getehdr(image->elf, &header) ? header.e_machine : EM_NONE;
}

bool image_build_id(const struct image *image, struct strbuf *ret)
{
    return debugfile_build_id(image->elf, ret);
}

const struct pynames *image_pynames(struct image *image)
{
    if (!image->pynames)
        image->pynames = pynames_create(image->elf);
    return image->pynames;
}
