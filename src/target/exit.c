/* SPDX-License-Identifier: MIT */
/*
 * How a process ended that is not our child. As long as its parent has not collected it, proc(5)
 * says so in the last field of its stat; from then on its pidfd does, since Linux 6.15:
 * include/uapi/linux/pidfd.h.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "process.h"
#include "pspy/base/cleanup.h"

/* struct pidfd_info as of its first version, and the request and the bits that go with it. */
struct info {
    uint64_t mask;
    uint64_t cgroup;
    uint32_t ids[11];
    int32_t exit_code;
};
#define GET_INFO  _IOWR(0xff, 11, struct info)
#define INFO_EXIT (1u << 3)

/* The 52nd field of a zombie's stat. */
static bool ask_zombie(const struct target *target, int *ret)
{
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;
    const char *state, *last;

    if (target_proc_text(target, "stat", &text) != ERR_OK)
        return false;
    state = strrchr(text.text, ')');
    last = strrchr(text.text, ' ');
    if (!state || strncmp(state, ") Z ", 4) != 0 || !last)
        return false;
    *ret = (int)strtol(last + 1, NULL, 10);
    return true;
}

static bool ask_pidfd(const struct target *target, int *ret)
{
    struct info info = {.mask = INFO_EXIT};
    int fd = live_of(target)->pidfd;

    if (fd < 0 || ioctl(fd, GET_INFO, &info) != 0 || !(info.mask & INFO_EXIT))
        return false;
    *ret = info.exit_code;
    return true;
}

bool target_exit_status(const struct target *target, int *ret)
{
    return ask_zombie(target, ret) || ask_pidfd(target, ret);
}
