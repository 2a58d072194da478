/* SPDX-License-Identifier: MIT */
#include "pspy/base/syscalls.h"

#include <stddef.h>
#include <sys/syscall.h>

/* Made from <sys/syscall.h> by the Makefile: rows such as [SYS_read] = "read". */
static const char *const names[] = {
#include "syscall_names.h"
};

const char *syscall_name(long number)
{
    return number >= 0 && (size_t)number < sizeof(names) / sizeof(names[0]) ? names[number] : NULL;
}
