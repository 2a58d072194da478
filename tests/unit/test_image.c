/* SPDX-License-Identifier: MIT */
/*
 * image.h on damaged files: our own zlib, cut at many lengths, and with bytes of its headers and
 * tables changed. Whatever comes, an answer or none, no crash and no hang; the sanitizers watch.
 * The random numbers are the same in each run. Right answers are compared in test_elf_tools.py.
 */
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/clock.h"
#include "pspy/base/strbuf.h"
#include "pspy/elf/ehframe.h"
#include "pspy/elf/image.h"
#include "pspy/elf/symtab.h"
#include "unit/tap.h"

static struct strbuf file = STRBUF_INIT; /* an intact, small ELF file with symbols and tables */

static int find_zlib(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size, (void)context;
    return strstr(info->dlpi_name, "/libz.so") &&
           strbuf_add_file(&file, info->dlpi_name, 1u << 24) == 0;
}

/* Everything that can be asked, at some addresses. */
static void ask_all(struct image *image)
{
    static const uint64_t addresses[] = {0,      1,       0x1000,     0x3456,
                                         0x9876, 0x12345, 0x7fffffff, UINT64_MAX};
    const struct symtab *symtab = image_symtab(image);

    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        uint64_t vaddr = addresses[i], start, size;
        const struct symbol *symbol = symtab_find(symtab, vaddr);
        unsigned char bytes[64];

        if (symbol && (strlen(symbol->name) == 0 || vaddr < symbol->start || vaddr >= symbol->end))
            abort();
        image_read(image, vaddr, bytes, sizeof(bytes));
        if (ehframe_range_start(image, vaddr, &start) && start > vaddr)
            abort();
        image_bias(image, 0x7f0000000000, vaddr, 0x1000, &start);
        image_eh_frame_hdr(image, &start, &size);
        image_section(image, ".eh_frame", &start, &size);
        image_symbol(image, "inflate", &start);
    }
}

/* Whether it was taken for an ELF file. */
static bool try_bytes(const void *bytes, size_t size)
{
    struct image *image = NULL;
    struct error why = ERROR_INIT;

    if (image_open_memory(bytes, size, "/nowhere/damaged", &image, &why) != ERR_OK) {
        if (image || why.code == ERR_OK || !*why.message)
            abort();
        return false;
    }
    ask_all(image);
    image_destroy(image);
    return true;
}

static void test_intact(void)
{
    struct image *image = NULL;
    uint64_t vaddr, start, size;
    unsigned char bytes[16];

    tap_ok(file.length > 10000, "an ELF file to damage");
    tap_is_num(image_open_memory(file.text, file.length, "/a/b.so", &image, NULL), ERR_OK,
               "it opens");
    tap_is_str(image_path(image), "/a/b.so", "its path");
    tap_is_str(image_name(image), "b.so", "its name");
    tap_ok(image_is_64_bit(image), "its class");
    tap_ok(image_symbol(image, "inflate", &vaddr), "a symbol of it");
    tap_ok(!image_symbol(image, "inflat", &start), "not by the start of a name");
    tap_is_str(symtab_find(image_symtab(image), vaddr)->name, "inflate", "its name by address");
    tap_ok(ehframe_range_start(image, vaddr + 1, &start) && start == vaddr, "its range");
    tap_ok(image_read(image, vaddr, bytes, sizeof(bytes)), "its code");
    tap_ok(image_eh_frame_hdr(image, &start, &size) && size > 12, "its unwind table");
    image_destroy(image);
}

static void test_short(void)
{
    size_t opened = 0, tried = 0;

    /* Each length of the headers, then larger steps. */
    for (size_t length = 0; length < file.length; length += length < 1500 ? 1 : 397) {
        opened += try_bytes(file.text, length);
        tried++;
    }
    tap_ok(opened > 100 && opened < tried, "cut at %zu lengths", tried);
}

/* Changes each byte of [from, from + size) in four ways. */
static void damage(size_t from, size_t size, const char *what)
{
    static const unsigned char changes[] = {0x01, 0x80, 0xff, 0x10};
    char *bytes = file.text;
    size_t opened = 0;

    for (size_t at = from; at < from + size && at < file.length; at++) {
        char good = bytes[at];

        for (size_t i = 0; i < sizeof(changes); i++) {
            bytes[at] = (char)(good ^ changes[i]);
            opened += try_bytes(bytes, file.length);
        }
        bytes[at] = good;
    }
    tap_ok(opened > 0, "changed bytes in %s", what);
}

static void damage_section(const char *name, size_t limit)
{
    struct image *image = NULL;
    uint64_t vaddr = 0, size = 0;

    image_open_memory(file.text, file.length, "/a", &image, NULL);
    if (tap_ok(image_section(image, name, &vaddr, &size), "there is %s", name))
        damage(vaddr, size < limit ? size : limit, name); /* offsets are addresses that early */
    image_destroy(image);
}

static void test_headers(void)
{
    ElfW(Ehdr) header;

    memcpy(&header, file.text, sizeof(header));
    damage(0, sizeof(header), "the ELF header");
    damage(header.e_phoff, (size_t)header.e_phentsize * header.e_phnum, "the program headers");
    damage(header.e_shoff, (size_t)header.e_shentsize * header.e_shnum, "the section headers");
    damage_section(".note.gnu.build-id", 100);
    damage_section(".dynsym", 480);
    damage_section(".eh_frame_hdr", 100);
    damage_section(".eh_frame", 200);
}

static void test_random(void)
{
    struct rng rng = {7};
    char *bytes = malloc(file.length);
    ElfW(Ehdr) header;
    size_t opened = 0;

    memcpy(&header, file.text, sizeof(header));
    for (int round = 0; round < 1500; round++) {
        memcpy(bytes, file.text, file.length);
        for (int i = 0; i < 12; i++) {
            uint64_t where = rng_next(&rng);
            size_t start = where % 3 == 0 ? header.e_shoff : where % 3 == 1 ? header.e_phoff : 16;
            size_t at = (start + (where >> 8) % 2000) % file.length;

            bytes[at] = (char)rng_next(&rng);
        }
        opened += try_bytes(bytes, file.length);
    }
    free(bytes);
    tap_ok(opened > 0, "many changes at once");
}

static void test_no_elf(void)
{
    struct image *image = NULL;
    struct error why = ERROR_INIT;
    int folder = open("/", O_RDONLY), null = open("/dev/null", O_RDONLY);
    char zeros[5000] = {0};

    tap_is_num(image_open(folder, "/", -1, &image, &why), ERR_INVALID, "a folder");
    tap_is_num(image_open(null, "/dev/null", -1, &image, &why), ERR_INVALID, "a device");
    tap_is_str(why.message, "/dev/null is not an ELF file", "its sentence");
    tap_is_num(image_open(-1, "x", -1, &image, &why), ERR_IO, "no descriptor");
    tap_ok(!try_bytes(zeros, sizeof(zeros)) && !try_bytes("!<arch>\n", 8) && !try_bytes("", 0),
           "zeros, an archive, nothing");
    tap_ok(image == NULL, "nothing is opened");
    close(folder);
    close(null);
}

int main(void)
{
    dl_iterate_phdr(find_zlib, NULL);
    test_intact();
    test_no_elf();
    test_short();
    test_headers();
    test_random();
    strbuf_deinit(&file);
    return tap_done();
}
