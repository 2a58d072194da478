/* SPDX-License-Identifier: MIT */
/*
 * Growing arrays of any type: `VEC(struct frame) frames = VEC_INIT;`. Elements move when the array
 * grows: keep indices, not pointers, across a push. The index arguments are not bounds-checked.
 */
#ifndef PSPY_BASE_VEC_H
#define PSPY_BASE_VEC_H

#include <stddef.h>
#include <stdlib.h>

#include "pspy/base/xmalloc.h"

#define VEC(type)                                                                                  \
    struct {                                                                                       \
        type *items;                                                                               \
        size_t length;                                                                             \
        size_t capacity;                                                                           \
    }
#define VEC_INIT                                                                                   \
    {                                                                                              \
        NULL, 0, 0                                                                                 \
    }

#define vec_init(vec)   ((vec)->items = NULL, (vec)->length = 0, (vec)->capacity = 0)
#define vec_deinit(vec) (free((vec)->items), vec_init(vec))
#define vec_reset(vec)  ((vec)->length = 0)
#define vec_reserve(vec, count)                                                                    \
    ((count) <= (vec)->capacity                                                                    \
         ? (void)0                                                                                 \
         : (void)((vec)->capacity =                                                                \
                      (count) < 2 * (vec)->capacity ? 2 * (vec)->capacity : (count) + 8,           \
                  (vec)->items =                                                                   \
                      xreallocarray((vec)->items, (vec)->capacity, sizeof((vec)->items[0]))))
#define vec_push(vec, item)                                                                        \
    (vec_reserve((vec), (vec)->length + 1), (void)((vec)->items[(vec)->length++] = (item)))
#define vec_each(item, vec)                                                                        \
    for (__typeof__((vec)->items[0]) *item = (vec)->items;                                         \
         item && item < (vec)->items + (vec)->length; item++)

/* qsort refuses the missing items of an empty vector. */
#define vec_sort(vec, compare)                                                                     \
    ((vec)->length ? qsort((vec)->items, (vec)->length, sizeof((vec)->items[0]), (compare))        \
                   : (void)0)

#endif
