/* SPDX-License-Identifier: MIT */
/* Text of other programs: all of it passes here on its way in or out. */
#ifndef PSPY_BASE_UTF8_H
#define PSPY_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

#define UTF8_REPLACEMENT 0xfffdu

/* The code point at *text, moving *text behind it; U+FFFD for a byte that is not valid UTF-8 there
 * (surrogates and overlong forms included). *text must not stand at the final NUL. */
uint32_t utf8_next(const char **text);
/* Writes 1 to 4 bytes, no NUL; returns how many. */
size_t utf8_encode(uint32_t code, char ret[4]);
/* Code points in the text, an invalid byte counting as one. */
size_t utf8_count(const char *text);

#endif
