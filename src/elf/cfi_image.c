/* SPDX-License-Identifier: MIT */
/*
 * Where an ELF file keeps its call frame information. .eh_frame is found by its section; a file
 * without sections (as it was mapped) tells where it begins in .eh_frame_hdr: version 1, the
 * encodings 1b 03 3b, s32 distance from there to .eh_frame. It ends with an empty record then, so
 * what lies behind it in the segment is cut off at the first one.
 *
 * Nothing describes .init and .fini, which the C library's crti.o and crtn.o wrap around whatever a
 * program puts between: their code says it.
 */
#include "cfi_image.h"

#include <elf.h>
#include <string.h>

#include "pspy/base/cleanup.h"
#include "pspy/cfi/cfi.h"
#include "pspy/machine/codeframes.h"

/* The range of the executable segments. */
static bool code_range(const struct image *image, uint64_t *ret_low, uint64_t *ret_high)
{
    struct image_segment segment;

    *ret_low = UINT64_MAX;
    *ret_high = 0;
    for (size_t i = 0; image_segment(image, i, &segment); i++) {
        uint64_t end = segment.vaddr + segment.size;

        if (!segment.is_executable || end < segment.vaddr)
            continue;
        if (segment.vaddr < *ret_low)
            *ret_low = segment.vaddr;
        if (end > *ret_high)
            *ret_high = end;
    }
    return *ret_low < *ret_high;
}

/* The bytes of the file from `vaddr` to the end of its segment. */
static bool bytes_at(const struct image *image, uint64_t vaddr, struct cfi_section *ret)
{
    struct image_segment segment;

    for (size_t i = 0; image_segment(image, i, &segment); i++) {
        uint64_t at = vaddr - segment.vaddr;

        if (segment.bytes && vaddr >= segment.vaddr && at < segment.file_size) {
            *ret = (struct cfi_section){segment.bytes + at, segment.file_size - at, vaddr, false};
            return true;
        }
    }
    return false;
}

/* Up to the first empty record. */
static size_t size_of_records(const struct cfi_section *section)
{
    size_t at = 0;
    uint32_t length;

    while (at + 4 <= section->size) {
        memcpy(&length, section->bytes + at, 4);
        if (length == 0 || length > section->size - at - 4)
            break;
        at += 4 + (size_t)length;
    }
    return at;
}

static bool find_by_header(const struct image *image, struct cfi_section *ret)
{
    unsigned char head[8];
    uint64_t header, size;
    int32_t distance;

    if (!image_eh_frame_hdr(image, &header, &size) || !image_read(image, header, head, 8) ||
        memcmp(head, "\x01\x1b", 2) != 0)
        return false;
    memcpy(&distance, head + 4, 4);
    if (!bytes_at(image, header + 4 + (uint64_t)(int64_t)distance, ret))
        return false;
    ret->size = size_of_records(ret);
    return true;
}

static bool find_eh_frame(const struct image *image, struct cfi_section *ret)
{
    uint64_t vaddr, size;

    if (!image_section(image, ".eh_frame", &vaddr, &size) || !bytes_at(image, vaddr, ret))
        return find_by_header(image, ret);
    if (size < ret->size)
        ret->size = size;
    return true;
}

static bool find_debug_frame(struct image *image, bool of_debug_file, struct cfi_section *ret)
{
    *ret = (struct cfi_section){.is_debug_frame = true};
    return image_debug_frame(image, of_debug_file, &ret->bytes, &ret->size);
}

/* The section's bytes in the file. */
static bool section_bytes(const struct image *image, const char *name, struct cfi_section *ret)
{
    uint64_t vaddr, size;

    if (!image_section(image, name, &vaddr, &size) || !bytes_at(image, vaddr, ret) ||
        size > ret->size)
        return false;
    ret->size = size;
    return true;
}

/* `records` is filled, and to live until they are compiled. */
static bool make_frames(const struct image *image, struct strbuf *records, struct cfi_section *ret)
{
    static const char *const names[] = {".init", ".fini"};
    struct cfi_section code;
    bool has_made = false;

    if (image_machine(image) != EM_X86_64)
        return false;
    codeframes_add_cie(records);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        has_made |= section_bytes(image, names[i], &code) &&
                    codeframes_add(code.bytes, code.size, code.vaddr, 0, 0, records);
    *ret = (struct cfi_section){(const unsigned char *)records->text, records->length, 0, false};
    return has_made;
}

struct cfi *cfi_of_image(struct image *image, bool with_debug_file)
{
    const struct cfi_arch *arch = cfi_arch_find(image_machine(image));
    cleanup(strbuf_deinit) struct strbuf made = STRBUF_INIT;
    struct cfi_section sections[4];
    uint64_t low, high;
    size_t count = 0;

    if (!arch || !image_is_64_bit(image) || !code_range(image, &low, &high))
        return NULL;
    if (with_debug_file && !find_debug_frame(image, true, &sections[0]))
        return NULL;
    count += find_eh_frame(image, &sections[count]);
    count += find_debug_frame(image, false, &sections[count]);
    if (with_debug_file)
        count += find_debug_frame(image, true, &sections[count]);
    count += make_frames(image, &made, &sections[count]);
    return cfi_compile(arch, low, high, sections, count);
}
