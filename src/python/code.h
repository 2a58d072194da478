/* SPDX-License-Identifier: MIT */
/* Code objects: their heads in a stack, and the cache of what is known of them. Private to python/.
 */
#ifndef PSPY_PYTHON_CODE_H
#define PSPY_PYTHON_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct code_cache;
struct code_head;
struct python;
struct target;
struct python_stack;

struct code_cache *code_cache_create(void);
/* Takes NULL. */
void code_cache_destroy(struct code_cache *cache);

/*
 * Copies the heads of the stack's code objects that this round has not met yet, and the names of
 * those that are new. True if all of them were known before, so that what they are cannot have
 * changed between the copy of the frames and this one. With `leaves_known` those at addresses that
 * held the same code object whenever one looked are left to python_resolve.
 */
bool code_copy_heads(const struct python *python, const struct target *target, bool leaves_known,
                     struct python_stack *stack);

/* Whether a code object in `stack`, whose heads were copied, is a generator's or a coroutine's.
 * Only with layout.code_flags. */
bool code_is_generator(const struct python *python, const struct python_stack *stack,
                       uint64_t address);

/* Copies the names of the heads' code objects, where they will be needed. */
void code_copy_texts(const struct python *python, const struct target *target,
                     struct code_head *heads, size_t count);

/* Whether the cache has the code object: names and lines need not be read. */
bool code_is_known(const struct python *python, const struct code_head *head);

#endif
