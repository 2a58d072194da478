/* SPDX-License-Identifier: MIT */
/*
 * PT_DYNAMIC is pairs of words {tag, value}. DT_SYMTAB and DT_STRTAB are addresses, to which glibc
 * adds the bias in memory (not in a read-only segment: the vdso). Nothing says how many symbols
 * there are: either hash table does. DT_HASH: u32 {buckets, chains = symbols, ...}. DT_GNU_HASH:
 * u32 {buckets, first, words, shift}, u64 filter[words], u32 bucket[buckets], u32 chain[] by symbol
 * from `first` on, in which the lowest bit ends a bucket's run.
 */
#include "dynamic.h"

#include <gelf.h>
#include <string.h>

struct tags {
    uint64_t symbols, names, names_size, hash, gnu_hash;
};

/* The file's bytes at an address, up to the segment's end. */
static const char *bytes_at(Elf *elf, uint64_t vaddr, size_t *ret_size)
{
    size_t count = 0, size;
    const char *bytes = elf_rawfile(elf, &size);
    GElf_Phdr segment;

    elf_getphdrnum(elf, &count);
    for (size_t i = 0; bytes && i < count; i++) {
        uint64_t at;

        if (!gelf_getphdr(elf, (int)i, &segment) || segment.p_type != PT_LOAD ||
            vaddr < segment.p_vaddr || segment.p_offset > size)
            continue;
        at = vaddr - segment.p_vaddr;
        if (segment.p_filesz > size - segment.p_offset)
            segment.p_filesz = size - segment.p_offset;
        if (at >= segment.p_filesz)
            continue;
        *ret_size = segment.p_filesz - at;
        return bytes + segment.p_offset + at;
    }
    return NULL;
}

static uint64_t unbiased(uint64_t address, uint64_t bias)
{
    return bias && address >= bias ? address - bias : address;
}

static bool read_tags(Elf *elf, uint64_t vaddr, uint64_t bias, struct tags *ret)
{
    size_t size = 0;
    const char *bytes = bytes_at(elf, vaddr, &size);
    struct tags tags = {0};
    Elf64_Dyn entry;

    for (size_t at = 0; bytes && at + sizeof(entry) <= size; at += sizeof(entry)) {
        memcpy(&entry, bytes + at, sizeof(entry));
        switch (entry.d_tag) {
        case DT_SYMTAB:
            tags.symbols = unbiased(entry.d_un.d_ptr, bias);
            break;
        case DT_STRTAB:
            tags.names = unbiased(entry.d_un.d_ptr, bias);
            break;
        case DT_STRSZ:
            tags.names_size = entry.d_un.d_val;
            break;
        case DT_HASH:
            tags.hash = unbiased(entry.d_un.d_ptr, bias);
            break;
        case DT_GNU_HASH:
            tags.gnu_hash = unbiased(entry.d_un.d_ptr, bias);
            break;
        case DT_NULL:
            *ret = tags;
            return tags.symbols && tags.names && tags.names_size;
        }
    }
    return false;
}

struct words {
    const char *bytes;
    size_t count;
};

static struct words words_at(Elf *elf, uint64_t vaddr)
{
    struct words words = {NULL, 0};
    size_t size;

    words.bytes = bytes_at(elf, vaddr, &size);
    if (words.bytes)
        words.count = size / 4;
    return words;
}

static uint32_t word(const struct words *words, uint64_t index)
{
    uint32_t value = 0;

    if (index < words->count)
        memcpy(&value, words->bytes + 4 * index, 4);
    return value;
}

/* The symbol after the last one of the last bucket's run. */
static uint64_t count_gnu_hash(const struct words *words)
{
    uint64_t buckets = word(words, 0), first = word(words, 1);
    uint64_t bucket_at = 4 + 2 * (uint64_t)word(words, 2), chain_at = bucket_at + buckets;
    uint64_t last = 0;

    if (chain_at > words->count)
        return 0;
    for (uint64_t i = 0; i < buckets; i++)
        if (word(words, bucket_at + i) > last)
            last = word(words, bucket_at + i);
    if (last < first || last == 0)
        return first;
    while (chain_at + last - first < words->count && !(word(words, chain_at + last - first) & 1))
        last++;
    return last + 1;
}

static uint64_t count_symbols(Elf *elf, const struct tags *tags)
{
    struct words words;

    if (tags->hash) {
        words = words_at(elf, tags->hash);
        return word(&words, 1);
    }
    words = words_at(elf, tags->gnu_hash);
    return count_gnu_hash(&words);
}

static bool find_dynamic(Elf *elf, uint64_t *ret_vaddr)
{
    size_t count = 0;
    GElf_Phdr segment;

    elf_getphdrnum(elf, &count);
    for (size_t i = 0; i < count; i++) {
        if (gelf_getphdr(elf, (int)i, &segment) && segment.p_type == PT_DYNAMIC) {
            *ret_vaddr = segment.p_vaddr;
            return true;
        }
    }
    return false;
}

bool dynamic_find_symbols(Elf *elf, uint64_t bias, struct dynamic_symbols *ret)
{
    size_t sections = 0, size;
    struct tags tags;
    uint64_t vaddr;

    if (gelf_getclass(elf) != ELFCLASS64 || elf_getshdrnum(elf, &sections) != 0 || sections != 0 ||
        !find_dynamic(elf, &vaddr) || !read_tags(elf, vaddr, bias, &tags))
        return false;
    ret->names = bytes_at(elf, tags.names, &size);
    ret->names_size = tags.names_size;
    if (!ret->names || tags.names_size > size || ret->names[tags.names_size - 1] != '\0')
        return false;
    ret->entries = bytes_at(elf, tags.symbols, &size);
    ret->count = count_symbols(elf, &tags);
    if (!ret->entries)
        return false;
    if (ret->count > size / sizeof(Elf64_Sym))
        ret->count = size / sizeof(Elf64_Sym);
    return true;
}
