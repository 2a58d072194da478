/* SPDX-License-Identifier: MIT */
#include <dwarf.h>
#include <elf.h>

#include "pspy/cfi/cfi.h"

/*
 * x86-64. The stack pointer at __restore_rt is at the ucontext, whose gregs[] begin 40 bytes in:
 * r8-r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip (asm/sigcontext.h), here in DWARF's order.
 */
static const int16_t x86_64_signal[] = {144, 136, 152, 128, 112, 104, 120, 160, 40,
                                        48,  56,  64,  72,  80,  88,  96,  168};

/* rsp + 8, and a word more behind the push: + ((rip & 15) >= 11) << 3. */
static const unsigned char x86_64_plt[] = {
    DW_OP_breg7, 8,        DW_OP_breg16, 0,         DW_OP_lit15, DW_OP_and,
    DW_OP_lit0,  DW_OP_ge, DW_OP_lit3,   DW_OP_shl, DW_OP_plus,
};

/*
 * aarch64. The stack pointer at __kernel_rt_sigreturn is at the rt_sigframe: siginfo (128 bytes),
 * then the ucontext, whose sigcontext begins 176 bytes in: the fault's address, x0-x30, sp, pc
 * (asm/sigcontext.h). DWARF numbers x0-x30 as they are, then sp, pc.
 */
#define X(n) (128 + 176 + 8 + 8 * (n))
static const int16_t aarch64_signal[] = {
    X(0),  X(1),  X(2),  X(3),  X(4),  X(5),  X(6),  X(7),  X(8),  X(9),  X(10),
    X(11), X(12), X(13), X(14), X(15), X(16), X(17), X(18), X(19), X(20), X(21),
    X(22), X(23), X(24), X(25), X(26), X(27), X(28), X(29), X(30), X(31), X(32),
};
#undef X

static const struct cfi_arch archs[] = {
    {.machine = EM_X86_64,
     .count = 17,
     .pc = 16,
     .sp = 7,
     .tracked = {[CFI_RA] = 16, [CFI_FP] = 6, [CFI_BASE] = 3},
     .signal_offset = x86_64_signal,
     .signal_count = sizeof(x86_64_signal) / sizeof(x86_64_signal[0]),
     .plt_expression = x86_64_plt,
     .plt_size = sizeof(x86_64_plt),
     .plt_variable = 6,
     .plt_zero = DW_OP_lit0},
    {.machine = EM_AARCH64,
     .count = 33,
     .pc = 32,
     .sp = 31,
     .signs_returns = true,
     .tracked = {[CFI_RA] = 30, [CFI_FP] = 29, [CFI_BASE] = 19},
     .signal_offset = aarch64_signal,
     .signal_count = sizeof(aarch64_signal) / sizeof(aarch64_signal[0])},
};

#ifdef __aarch64__
#define HOST EM_AARCH64
#else
#define HOST EM_X86_64
#endif

const struct cfi_arch *cfi_arch_find(unsigned machine)
{
    for (size_t i = 0; i < sizeof(archs) / sizeof(archs[0]); i++)
        if (archs[i].machine == machine)
            return &archs[i];
    return NULL;
}

const struct cfi_arch *cfi_arch_host(void)
{
    return cfi_arch_find(HOST);
}
