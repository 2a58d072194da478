/* SPDX-License-Identifier: MIT */
/* From a frame's instruction to its line and column. */
#include "code_cache.h"

#define COPY_LIMIT 65536

/* Copies of the bytecode that threads of a free-threaded build run: {count, address...}. */
static void read_copies(const struct python *python, const struct target *target,
                        struct entry *entry)
{
    uint64_t array, count;

    entry->copies_round = python->round;
    if (target_read(target, entry->identity.address + python->layout.code_tlbc, &array, 8) !=
            ERR_OK ||
        !array || target_read(target, array, &count, 8) != ERR_OK || count > COPY_LIMIT)
        return;
    vec_reset(&entry->copies);
    vec_reserve(&entry->copies, count);
    if (target_read(target, array + 8, entry->copies.items, count * 8) == ERR_OK)
        entry->copies.length = count;
}

/* The offset in the bytecode that starts at `first`; -1 if the instruction is not in
 * it. 3.11, 3.12: prev_instr of a frame that has not begun is one unit before the code. */
static int64_t offset_from(const struct entry *entry, uint64_t first, uint64_t instruction)
{
    uint64_t offset = instruction - first;

    return instruction < first || offset / 2 >= entry->identity.units ? -1 : (int64_t)offset;
}

/* The same in the copy that the frame runs. */
static int64_t offset_in_copy(const struct entry *entry, const struct python_frame *frame)
{
    size_t copy = (size_t)frame->tlbc;

    return copy < entry->copies.length
               ? offset_from(entry, entry->copies.items[copy], frame->instruction)
               : -1;
}

/* The byte offset of the frame's instruction; -1: it has not begun, or is not in the code. */
static int64_t offset_of(const struct python *python, const struct target *target,
                         struct entry *entry, const struct python_frame *frame)
{
    int64_t offset;

    switch (python->layout.instruction) {
    case INSTRUCTION_BYTE:
        return (int64_t)frame->instruction;
    case INSTRUCTION_UNIT:
        return 2 * (int64_t)frame->instruction;
    case INSTRUCTION_POINTER:
        break;
    }
    if (frame->tlbc <= 0)
        return offset_from(entry, frame->code + python->layout.code_adaptive, frame->instruction);
    offset = offset_in_copy(entry, frame);
    /* Copies are added for new threads, and thrown away with those that end. */
    if (offset < 0 && entry->copies_round != python->round) {
        read_copies(python, target, entry);
        offset = offset_in_copy(entry, frame);
    }
    return offset;
}

struct line_entry python_code_line(struct python *python, const struct target *target,
                                   const struct python_frame *frame)
{
    struct entry *entry = &python->codes->entries.items[frame->code_index];
    struct line_entry none = {.line = 0};
    const struct line_entry *found;
    int64_t offset = offset_of(python, target, entry, frame);

    if (offset < 0 || offset > UINT32_MAX) {
        none.line = (uint32_t)entry->identity.first_line;
        return none;
    }
    /* Without a table (the code was gone before it could be read): no line rather than a wrong one.
     */
    found = lines_find(&entry->lines, (uint32_t)offset);
    return found ? *found : none;
}
