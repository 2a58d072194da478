/* SPDX-License-Identifier: MIT */
/*
 * Reading Python objects: texts, bytes, ints, dicts, attributes of instances. The functions with a
 * count read many objects with few system calls. All sizes are bounded; what a running program
 * changes meanwhile is read wrongly or not at all, never dangerously.
 */
#ifndef PSPY_PYTHON_OBJECT_H
#define PSPY_PYTHON_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "pspy/base/error.h"
#include "pspy/base/strbuf.h"
#include "pspy/base/vec.h"
#include "pspy/python/layout.h"
#include "pspy/target/target.h"

/*
 * Appends a str (2.7: str or unicode) as UTF-8, at most `limit` characters of it. Bytes that Python
 * could not decode (a file's name in another encoding: surrogateescape) are tried as UTF-8 again;
 * what is no character in the end (NUL, a lone surrogate, a byte) becomes U+FFFD.
 */
enum err object_text(const struct layout *layout, const struct target *target, uint64_t address,
                     size_t limit, struct strbuf *ret);
/* The same from a copy of the object's first `size` bytes; ERR_UNREADABLE if the text goes on
 * behind. */
enum err object_text_copied(const struct layout *layout, const unsigned char *object, size_t size,
                            size_t limit, struct strbuf *ret);
/* `ret` gets `count` strings that are the caller's to free; NULL where there is no text. */
void object_texts(const struct layout *layout, const struct target *target,
                  const uint64_t *addresses, size_t count, size_t limit, char **ret);

/* Appends the bytes of a bytes object of at most `limit` bytes. */
enum err object_bytes(const struct layout *layout, const struct target *target, uint64_t address,
                      size_t limit, struct strbuf *ret);

/* A non-negative int below 2**64 (2.7: an int, not a long). */
enum err object_long(const struct layout *layout, const struct target *target, uint64_t address,
                     uint64_t *ret);
/* 0 where there is none. */
void object_longs(const struct layout *layout, const struct target *target,
                  const uint64_t *addresses, size_t count, uint64_t *ret);

struct dict_entry {
    uint64_t key, value; /* addresses */
};
struct dict_entries {
    VEC(struct dict_entry) entries;
};
void dict_entries_deinit(struct dict_entries *entries);

/* All entries, in no certain order. */
enum err object_dict_entries(const struct layout *layout, const struct target *target,
                             uint64_t dict, struct dict_entries *ret);
/* The value of a str key, which is ASCII. ERR_NOT_FOUND. */
enum err object_dict_get(const struct layout *layout, const struct target *target, uint64_t dict,
                         const char *key, uint64_t *ret);

/* The same where it is asked for again and again: `known` keeps the address of the key object, 0 at
 * first, which saves looking at the other keys. */
enum err object_dict_get_again(const struct layout *layout, const struct target *target,
                               uint64_t dict, const char *key, uint64_t *known, uint64_t *ret);

/* Attributes in the instances' own dicts: attribute j of object i is ret[i * name_count + j]; 0
 * where it has none. */
#define OBJECT_ATTRIBUTES 4
void object_attributes(const struct layout *layout, const struct target *target,
                       const uint64_t *objects, size_t count, const char *const *names,
                       size_t name_count, uint64_t *ret);

#endif
