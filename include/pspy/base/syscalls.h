/* SPDX-License-Identifier: MIT */
/* The names of the kernel's system calls, as this machine's headers have them. */
#ifndef PSPY_BASE_SYSCALLS_H
#define PSPY_BASE_SYSCALLS_H

/* "read"; NULL if the number has no name. */
const char *syscall_name(long number);

#endif
