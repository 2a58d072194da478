/* SPDX-License-Identifier: MIT */
/*
 * Prints what elf/sources says of addresses: `print_sources FILE` reads hexadecimal addresses from
 * stdin; a line "0xADDRESS" each, then a line "function file:line" for each function there,
 * innermost first, "-" for the real function's name (the symbol table's matter). With a second
 * argument C files of Cython's are followed to the .pyx files.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/xmalloc.h"
#include "pspy/elf/image.h"
#include "pspy/elf/sources.h"
#include "pspy/naming/cython.h"

static void print_frame(const struct source_frame *frame, struct cython_sources *cython)
{
    cleanup(cleanup_free) char *path = xasprintf("%s/%s", frame->directory, frame->file);
    const char *file = frame->file;
    uint32_t line = frame->line;

    if (cython)
        cython_line(cython, -1, *file == '/' ? file : path, line, &file, &line);
    printf("%s %s:%u\n", frame->function ? frame->function : "-", file, line);
}

int main(int argc, char **argv)
{
    struct error why = ERROR_INIT;
    struct image *image = NULL;
    struct cython_sources *cython = argc == 3 ? cython_sources_create() : NULL;
    int fd = argc >= 2 ? open(argv[1], O_RDONLY) : -1;
    uint64_t vaddr;

    if (fd < 0 || image_open(fd, argv[1], -1, &image, &why) != ERR_OK) {
        fprintf(stderr, "print_sources: %s\n", fd < 0 ? "usage: print_sources FILE" : why.message);
        return 2;
    }
    while (scanf("%" SCNx64, &vaddr) == 1) {
        struct source_frame frames[SOURCE_FRAMES];
        struct sources *sources = image_sources(image);
        size_t count = sources ? sources_find(sources, vaddr, frames) : 0;

        printf("0x%" PRIx64 "\n", vaddr);
        for (size_t i = 0; i < count; i++)
            print_frame(&frames[i], cython);
    }
    cython_sources_destroy(cython);
    image_destroy(image);
    return 0;
}
