/* SPDX-License-Identifier: MIT */
#include "pspy/base/sudo.h"

#include <errno.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool read_id(const char *name, unsigned long *ret)
{
    const char *text = getenv(name);
    char *end;

    if (!text || !*text)
        return false;
    errno = 0;
    *ret = strtoul(text, &end, 10);
    return errno == 0 && *end == '\0' && *ret < UINT32_MAX;
}

bool sudo_user(struct sudo_user *ret)
{
    unsigned long uid, gid;
    const struct passwd *user;

    if (geteuid() != 0 || !read_id("SUDO_UID", &uid) || !read_id("SUDO_GID", &gid) || uid == 0)
        return false;
    *ret = (struct sudo_user){.uid = (uid_t)uid, .gid = (gid_t)gid};
    user = getpwuid((uid_t)uid);
    if (user) {
        snprintf(ret->name, sizeof(ret->name), "%s", user->pw_name);
        snprintf(ret->home, sizeof(ret->home), "%s", user->pw_dir);
    }
    return true;
}
