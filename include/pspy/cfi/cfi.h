/* SPDX-License-Identifier: MIT */
/*
 * Call frame information compiled into rows: for each stretch of code, one rule that leads from a
 * frame to its caller's. A row is six bytes, {u32 pc, u16 rule}; rules are few and shared.
 *
 * What a rule cannot say (expressions beyond the usual forms, registers that nobody tracks) is
 * CFI_EXOTIC: a full unwinder is to be asked there.
 */
#ifndef PSPY_CFI_CFI_H
#define PSPY_CFI_CFI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How the CFA, the caller's stack pointer, is computed. */
enum cfi_kind {
    CFI_GAP,    /* no information */
    CFI_EXOTIC, /* information that a rule cannot hold */
    CFI_STOP,   /* the return address is undefined: the outermost frame */
    CFI_REG,    /* reg + offset */
    CFI_DEREF,  /* *(reg + offset) + offset2 */
    CFI_PLT,    /* reg + offset, and a word more where (pc & 15) >= offset2 */
    CFI_SIGNAL, /* all registers lie in the kernel's signal frame: struct cfi_arch says where */
};

/* The registers that are followed from frame to frame, beside the stack pointer. */
enum cfi_tracked {
    CFI_RA,   /* the return address */
    CFI_FP,   /* the frame pointer */
    CFI_BASE, /* one more that some code keeps the stack pointer in */
    CFI_TRACKED,
};

/* Where a tracked register's value in the caller is. */
enum cfi_how {
    CFI_SAME,      /* unchanged */
    CFI_AT_CFA,    /* *(CFA + offset) */
    CFI_AT_FP,     /* *(frame pointer + offset) */
    CFI_AT_SP,     /* *(stack pointer + offset) */
    CFI_IS_CFA,    /* CFA + offset itself */
    CFI_IN_REG,    /* in the register with the number `offset` */
    CFI_UNDEFINED, /* lost */
};

/* No padding: rules are compared as bytes. */
struct cfi_rule {
    int32_t offset;
    int16_t offset2;
    int16_t saved[CFI_TRACKED];
    uint8_t how[CFI_TRACKED]; /* enum cfi_how */
    uint8_t kind;             /* enum cfi_kind */
    uint8_t reg;              /* by its DWARF number */
    uint8_t flags;
};

enum {
    CFI_IS_SIGNAL = 1, /* the caller was interrupted: its pc is no return address */
};

/* What differs between architectures. Registers are numbered as in DWARF. */
struct cfi_arch {
    uint16_t machine;   /* EM_X86_64 */
    uint8_t count;      /* of registers that are known of a thread */
    uint8_t result;     /* of a system call */
    uint8_t pc, sp;     /* pc is CFI_RA's where a call pushes the return address */
    bool signs_returns; /* return addresses may be signed, and CFA programs say where */
    uint8_t tracked[CFI_TRACKED];
    /* The kernel's signal frame, with the stack pointer at its restorer: where register i lies,
     * relative to it. */
    const int16_t *signal_offset;
    uint8_t signal_count;
    /* The assembler's CFA expression for lazy PLT entries, if it has one; one of its bytes differs.
     */
    const unsigned char *plt_expression;
    uint8_t plt_size, plt_variable; /* the place of the byte that differs */
    uint8_t plt_zero;               /* less this is what (pc & 15) is compared with */
};

/* The row for an ELF machine; NULL: none. */
const struct cfi_arch *cfi_arch_find(unsigned machine);
/* That of the machine we run on; NULL: none. */
const struct cfi_arch *cfi_arch_host(void);

struct cfi {
    const struct cfi_arch *arch;
    uint64_t low;   /* rows count from here */
    uint32_t count; /* of rows */
    uint32_t rule_count;
    uint32_t *pc;   /* where each begins; the first is 0 */
    uint16_t *rule; /* its index in rules[] */
    struct cfi_rule *rules;
};

/* A section .eh_frame or .debug_frame. */
struct cfi_section {
    const unsigned char *bytes;
    size_t size;
    uint64_t vaddr; /* where it lies: addresses in .eh_frame are relative to their own place */
    bool is_debug_frame;
};

/*
 * Compiles what the sections say about the code in [low, high), which are at most 4 GiB; an earlier
 * section counts before a later one. Never fails: what is damaged is CFI_GAP or CFI_EXOTIC. The
 * sections are not needed afterwards.
 */
struct cfi *cfi_compile(const struct cfi_arch *arch, uint64_t low, uint64_t high,
                        const struct cfi_section *sections, size_t count);
/* Takes NULL. */
void cfi_destroy(struct cfi *cfi);

/* The rule at an address; one of kind CFI_GAP where there is none. */
const struct cfi_rule *cfi_find(const struct cfi *cfi, uint64_t vaddr);

#endif
