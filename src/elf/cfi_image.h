/* SPDX-License-Identifier: MIT */
/* The rows of an ELF file. */
#ifndef PSPY_ELF_CFI_IMAGE_H
#define PSPY_ELF_CFI_IMAGE_H

#include <stdbool.h>

#include "pspy/elf/image.h"

/* Compiles .eh_frame and .debug_frame. With the separate debug file: NULL unless it has a
 * .debug_frame. NULL also for a machine without rows. */
struct cfi *cfi_of_image(struct image *image, bool with_debug_file);

#endif
