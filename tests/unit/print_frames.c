/* SPDX-License-Identifier: MIT */
/* print_frames FILE SECTION <RANGES: writes the .eh_frame section that codeframes.h makes of the
 * file's code, as it would lie at vaddr SECTION. A range is a line "START SIZE", all hexadecimal.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "pspy/elf/image.h"
#include "pspy/machine/codeframes.h"

int main(int argc, char **argv)
{
    struct strbuf frames = STRBUF_INIT;
    struct image *image = NULL;
    uint64_t start, size, section;
    int fd = argc == 3 ? open(argv[1], O_RDONLY) : -1;

    if (fd < 0 || image_open(fd, argv[1], -1, &image, NULL) != ERR_OK)
        return 1;
    section = strtoull(argv[2], NULL, 16);
    codeframes_add_cie(&frames);
    while (scanf("%" SCNx64 " %" SCNx64, &start, &size) == 2) {
        unsigned char *code = malloc(size);

        if (code && image_read(image, start, code, size))
            codeframes_add(code, size, start, section, 0, &frames);
        free(code);
    }
    fwrite(frames.text, 1, frames.length, stdout);
    strbuf_deinit(&frames);
    image_destroy(image);
    return 0;
}
