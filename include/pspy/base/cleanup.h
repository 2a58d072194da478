/* SPDX-License-Identifier: MIT */
/* Scope guards: `cleanup(noun_deinit) struct noun n = NOUN_INIT;` runs noun_deinit(&n) at the
 * scope's end. */
#ifndef PSPY_BASE_CLEANUP_H
#define PSPY_BASE_CLEANUP_H

#define cleanup(function) __attribute__((cleanup(function)))

/* For `cleanup(cleanup_free) char *text`. */
void cleanup_free(void *pointer_to_pointer);
/* For `cleanup(cleanup_close) int fd = -1`. */
void cleanup_close(int *fd);

#endif
