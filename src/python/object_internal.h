/* SPDX-License-Identifier: MIT */
/* What dicts and attributes need of each other and of texts. */
#ifndef PSPY_PYTHON_OBJECT_INTERNAL_H
#define PSPY_PYTHON_OBJECT_INTERNAL_H

#include "pspy/python/object.h"

/* Whether the copy of a text object (text_ascii_data bytes and as many as `wanted` has) is this
 * ASCII text. */
bool object_text_is(const struct layout *layout, const unsigned char *object, const char *wanted);

/* What a dict object says of its content. */
#define DICT_HEAD_BYTES 16
struct dict_head {
    uint64_t keys;   /* address: the keys, 2.7: the table */
    uint64_t values; /* address of a split dict's values, else 0; 2.7: the table's mask */
};
/* Where the DICT_HEAD_BYTES lie in a dict. */
uint32_t dict_head_at(const struct layout *layout);
struct dict_head dict_head_of(const struct layout *layout, const unsigned char *bytes);

/* The entries as they lie in the keys, with holes (key 0). Where the values lie elsewhere, the
 * index of an entry is that of its value. */
enum err dict_read_keys(const struct layout *layout, const struct target *target,
                        const struct dict_head *head, struct dict_entries *ret);
/* The index of an ASCII key; SIZE_MAX if there is none. */
size_t dict_find(const struct layout *layout, const struct target *target,
                 const struct dict_entries *entries, const char *key);
/* The same by the address of the key object; SIZE_MAX for 0 too. */
size_t dict_find_address(const struct dict_entries *entries, uint64_t key);

#endif
