/* SPDX-License-Identifier: MIT */
#include "pspy/base/cleanup.h"

#include <stdlib.h>
#include <unistd.h>

void cleanup_free(void *pointer_to_pointer)
{
    free(*(void **)pointer_to_pointer);
}

void cleanup_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
