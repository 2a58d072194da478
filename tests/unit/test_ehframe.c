/* SPDX-License-Identifier: MIT */
/* The search table that we build from .eh_frame, against the one that the linker built from it. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pspy/base/cleanup.h"
#include "pspy/cfi/ehframe_build.h"
#include "pspy/elf/ehframe.h"
#include "pspy/elf/image.h"
#include "unit/tap.h"

static void compare(const char *path)
{
    cleanup(strbuf_deinit) struct strbuf built = STRBUF_INIT;
    cleanup(cleanup_close) int fd = open(path, O_RDONLY);
    cleanup(cleanup_free) unsigned char *frames = NULL, *table = NULL;
    uint64_t vaddr, size, header, header_size;
    struct image *image = NULL;
    size_t length;

    if (fd < 0 || image_open(fd, path, -1, &image, NULL) != ERR_OK) {
        tap_ok(true, "%s # SKIP no such file here", path);
        return;
    }
    if (tap_ok(image_section(image, ".eh_frame", &vaddr, &size) &&
                   image_eh_frame_hdr(image, &header, &header_size),
               "%s has .eh_frame and a table of its linker's", path)) {
        frames = malloc(size);
        table = malloc(header_size);
        tap_ok(image_read(image, vaddr, frames, size) &&
                   image_read(image, header, table, header_size),
               "%s: both can be read", path);
        ehframe_build(frames, size, vaddr, header, &built);
        length = built.length;
        tap_ok(length > 12 && length <= header_size, "%s: %zu bytes, the linker's %zu", path,
               length, (size_t)header_size);
        tap_ok(length <= header_size && memcmp(built.text, table, length) == 0,
               "%s: the same bytes", path);
    }
    image_destroy(image);
}

/* Cut anywhere and with any byte changed: no crash, no entry outside the section. */
static void damage(const char *path)
{
    cleanup(cleanup_close) int fd = open(path, O_RDONLY);
    cleanup(cleanup_free) unsigned char *frames = NULL;
    struct image *image = NULL;
    uint64_t vaddr, size;
    bool is_sane = true;

    if (fd < 0 || image_open(fd, path, -1, &image, NULL) != ERR_OK ||
        !image_section(image, ".eh_frame", &vaddr, &size) || size < 400) {
        image_destroy(image);
        tap_ok(true, "%s # SKIP no such file here", path);
        return;
    }
    frames = malloc(size);
    image_read(image, vaddr, frames, size);
    for (size_t cut = 0; cut < 400; cut++) {
        cleanup(strbuf_deinit) struct strbuf built = STRBUF_INIT;
        cleanup(cleanup_free) unsigned char *copy = malloc(cut ? cut : 1);

        memcpy(copy, frames, cut);
        if (cut)
            copy[cut / 2] ^= (unsigned char)(1u << cut % 8);
        ehframe_build(copy, cut, vaddr, vaddr + 0x100000, &built);
        is_sane = is_sane && built.length <= 12 + cut;
    }
    tap_ok(is_sane, "damaged copies of %s", path);
    image_destroy(image);
}

int main(void)
{
    compare("/proc/self/exe");
    compare("/lib/x86_64-linux-gnu/libc.so.6");
    compare("/usr/bin/gdb");
    compare("/usr/lib/x86_64-linux-gnu/libstdc++.so.6");
    damage("/proc/self/exe");
    return tap_done();
}
