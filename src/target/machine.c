/* SPDX-License-Identifier: MIT */
#include "machine.h"

#include <errno.h>

#ifdef __aarch64__

struct regs machine_regs(const struct user_regs_struct *user)
{
    struct regs regs = {.arch = cfi_arch_host(), .signature = regs_host_signature()};

    for (unsigned i = 0; i < 31; i++)
        regs_set(&regs, i, user->regs[i]);
    regs_set(&regs, regs.arch->sp, user->sp);
    regs_set(&regs, regs.arch->pc, user->pc);
    return regs;
}

/* The call's first argument was where its result is, and the kernel does not give it back. */
bool machine_is_interrupted(const struct user_regs_struct *user)
{
    (void)user;
    return false;
}

bool machine_restart_call(struct user_regs_struct *user)
{
    (void)user;
    return false;
}

/* Signatures take the bits below 55 that no address has (GENMASK(54, vabits_actual) in the kernel),
 * one number for the whole machine. A stack lies at the top of what addresses can reach. */
uint64_t regs_host_signature(void)
{
    uint64_t stack = (uintptr_t)__builtin_frame_address(0);

    return (1ull << 55) - (1ull << (64 - __builtin_clzll(stack)));
}

#else

struct regs machine_regs(const struct user_regs_struct *user)
{
    struct regs regs = {
        .arch = cfi_arch_host(),
        .value = {user->rax, user->rdx, user->rcx, user->rbx, user->rsi, user->rdi, user->rbp,
                  user->rsp, user->r8, user->r9, user->r10, user->r11, user->r12, user->r13,
                  user->r14, user->r15, user->rip},
    };

    regs.known = (1ull << regs.arch->count) - 1;
    regs.call = (long)user->orig_rax >= 0 ? (uint32_t)user->orig_rax + 1 : 0;
    regs.argument = user->rdi;
    return regs;
}

bool machine_is_interrupted(const struct user_regs_struct *user)
{
    return (long)user->orig_rax >= 0 && (long)user->rax == -EINTR;
}

bool machine_restart_call(struct user_regs_struct *user)
{
    user->rip -= 2; /* the two bytes of `syscall` */
    user->rax = user->orig_rax;
    return true;
}

uint64_t regs_host_signature(void)
{
    return 0;
}

#endif
