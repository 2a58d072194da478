/* SPDX-License-Identifier: MIT */
/* Reading the bytes of call frame information: numbers, and pointers in their encodings. */
#ifndef PSPY_CFI_CFI_READER_H
#define PSPY_CFI_CFI_READER_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes that are read from the front; `is_bad` once more was asked for than there is. */
struct cfi_reader {
    const unsigned char *at, *end;
    bool is_bad;
};

uint64_t cfi_read_number(struct cfi_reader *reader,
                         unsigned size); /* little-endian, 1 to 8 bytes */
uint64_t cfi_read_uleb(struct cfi_reader *reader);
int64_t cfi_read_sleb(struct cfi_reader *reader);

/* An address in one of the encodings DW_EH_PE_*; `vaddr` is where the reader stands. What is
 * relative to anything but that place is bad. */
uint64_t cfi_read_pointer(struct cfi_reader *reader, unsigned encoding, uint64_t vaddr);

/* A block of bytes: its length, then they. */
struct cfi_reader cfi_read_block(struct cfi_reader *reader);

#endif
