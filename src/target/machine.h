/* SPDX-License-Identifier: MIT */
/* What the kernel says of a stopped thread, on the machine that we are built for. */
#ifndef PSPY_TARGET_MACHINE_H
#define PSPY_TARGET_MACHINE_H

#include <sys/user.h>

#include "pspy/target/regs.h"

struct regs machine_regs(const struct user_regs_struct *user);

/* Whether a system call has just returned EINTR. */
bool machine_is_interrupted(const struct user_regs_struct *user);
/* Changes the registers so that this call is made again; false if that cannot be done. */
bool machine_restart_call(struct user_regs_struct *user);

#endif
