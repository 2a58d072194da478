/* SPDX-License-Identifier: MIT */
#include "code.h"

#include <stdlib.h>

const struct code_arch *code_arch_find(const struct cfi_arch *arch)
{
    static const struct code_arch *const rows[] = {&code_x86_64, &code_aarch64};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i]->machine == arch->machine)
            return rows[i];
    abort();
}
