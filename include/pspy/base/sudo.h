/* SPDX-License-Identifier: MIT */
/* The user who called sudo: whose the program to observe, the profile and the caches are. */
#ifndef PSPY_BASE_SUDO_H
#define PSPY_BASE_SUDO_H

#include <stdbool.h>
#include <sys/types.h>

struct sudo_user {
    uid_t uid;
    gid_t gid;
    char name[64]; /* these two are "" where the user has no entry */
    char home[512];
};

/* Fills `ret` from SUDO_UID and SUDO_GID. False if we are not root by sudo. */
bool sudo_user(struct sudo_user *ret);

#endif
