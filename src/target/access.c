/* SPDX-License-Identifier: MIT */
#include "pspy/target/access.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/clock.h"

#define WITH_SUDO    "sudo env \"PATH=$PATH\" pspy ..."
#define PTRACE_SCOPE "/proc/sys/kernel/yama/ptrace_scope"
#define LOOKS        20 /* a millisecond apart */

bool access_parse_status(const char *status, struct access_facts *ret)
{
    /* Uid:	1000	1000	1000	1000
     * TracerPid:	0 */
    const char *ids = procfs_status_field(status, "Uid");
    const char *tracer = procfs_status_field(status, "TracerPid");
    struct access_facts found = *ret;

    if (!ids || !tracer || sscanf(tracer, "%d", &found.tracer) != 1 ||
        sscanf(ids, "%u %u %u", &found.owners[0], &found.owners[1], &found.owners[2]) != 3)
        return false;
    *ret = found;
    return true;
}

/* ---- which rule it was --------------------------------------------------------------------- */

static void add_user(uid_t uid, struct strbuf *ret)
{
    const struct passwd *entry = getpwuid(uid);

    if (entry)
        strbuf_addf(ret, "%s", entry->pw_name);
    else
        strbuf_addf(ret, "%u", (unsigned)uid);
}

static void explain_owner(const struct access_facts *facts, struct strbuf *ret)
{
    strbuf_addf(ret, "it runs as user ");
    add_user(facts->owners[1], ret);
    strbuf_addf(ret, " and pspy as ");
    add_user(facts->user, ret);
    strbuf_addf(ret, ": use " WITH_SUDO);
}

static void explain_scope(int scope, struct strbuf *ret)
{
    if (scope >= 3)
        strbuf_addf(ret,
                    PTRACE_SCOPE " is %d, which forbids it to everybody: only another value at the "
                                 "next boot changes that",
                    scope);
    else
        strbuf_addf(ret,
                    PTRACE_SCOPE " is %d, which leaves it to %s: use " WITH_SUDO
                                 ", or let root write 0 there",
                    scope, scope == 1 ? "a process's parents" : "root");
}

/* The process as of ptrace(2): ours only if all its ids are. */
static bool is_ours(const struct access_facts *facts)
{
    for (size_t i = 0; i < 3; i++)
        if (facts->owners[i] != facts->user)
            return false;
    return true;
}

void access_explain(const struct access_facts *facts, struct strbuf *ret)
{
    if (facts->is_filtered)
        strbuf_addf(ret, "a seccomp filter, as containers have, forbids ptrace and reading memory: "
                         "add the capability SYS_PTRACE to the container, or start it with "
                         "--security-opt seccomp=unconfined");
    else if (facts->tracer)
        strbuf_addf(ret,
                    "it is in the hands of another tracer, process %d, such as gdb or strace: end "
                    "that first, or try --nonblocking, which only reads",
                    (int)facts->tracer);
    else if (facts->ptrace_scope >= 3)
        explain_scope(facts->ptrace_scope, ret);
    else if (facts->has_capability)
        strbuf_addf(ret, "a security module (AppArmor, SELinux) or another user namespace protects "
                         "it, even from CAP_SYS_PTRACE: run pspy there, or see the kernel's log");
    else if (facts->user == 0)
        strbuf_addf(ret, "pspy runs as root but without CAP_SYS_PTRACE, as in a container: add the "
                         "capability SYS_PTRACE to it");
    else if (!is_ours(facts))
        explain_owner(facts, ret);
    else if (facts->ptrace_scope >= 1)
        explain_scope(facts->ptrace_scope, ret);
    else
        strbuf_addf(ret, "it protects its memory, as programs with rights of their own and key "
                         "stores do: use " WITH_SUDO);
}

/* ---- asking -------------------------------------------------------------------------------- */

static bool read_file(const char *path, char *text, size_t size)
{
    cleanup(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);

    if (got < 0)
        return false;
    text[got] = '\0';
    return true;
}

/* 0, or the errno of reading nothing of use: the rights are looked at before the address. */
static int memory_refusal(pid_t pid)
{
    char byte;
    struct iovec local = {&byte, 1}, remote = {NULL, 1};

    if (process_vm_readv(pid, &local, 1, &remote, 1, 0) >= 0 || errno == EFAULT)
        return 0;
    return errno;
}

/* Both calls on ourselves: the kernel allows the one and knows no tracee for the other. */
static bool is_filtered(bool stops)
{
    if (memory_refusal(getpid()) != 0)
        return true;
    errno = 0;
    return stops && ptrace(PTRACE_PEEKUSER, getpid(), NULL, NULL) == -1 && errno != ESRCH;
}

static bool has_capability(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

    return syscall(SYS_capget, &header, data) == 0 && data[0].effective >> CAP_SYS_PTRACE & 1;
}

static bool collect_facts(pid_t pid, struct access_facts *ret)
{
    struct access_facts facts = {
        .user = getuid(), .has_capability = has_capability(), .ptrace_scope = -1};
    char text[4096], path[64]; /* the fields wanted come before the long ones */

    if (read_file(PTRACE_SCOPE, text, sizeof(text)))
        facts.ptrace_scope = (int)strtol(text, NULL, 10);
    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    if (!read_file(path, text, sizeof(text)) || !access_parse_status(text, &facts))
        return false;
    *ret = facts;
    return true;
}

/* The tracer that stays: another profiler's holds last some microseconds. */
static pid_t lasting_tracer(pid_t pid)
{
    const struct timespec pause = {.tv_nsec = NS_PER_MS};
    struct access_facts facts = {.tracer = 0};

    for (int i = 0; i < LOOKS && collect_facts(pid, &facts) && facts.tracer; i++)
        nanosleep(&pause, NULL);
    return facts.tracer;
}

static enum err explain(pid_t pid, const struct access_facts *facts, struct error *why)
{
    cleanup(strbuf_deinit) struct strbuf reason = STRBUF_INIT;

    access_explain(facts, &reason);
    return error_set(why, ERR_PERMISSION, "no permission to look into process %d: %s", pid,
                     reason.text);
}

enum err access_refuse(pid_t pid, struct error *why)
{
    struct access_facts facts;

    if (!collect_facts(pid, &facts))
        return error_set(why, ERR_GONE, "there is no process %d: check the number with ps", pid);
    /* Reading /proc asks neither seccomp nor whether another tracer is there. */
    facts.is_filtered = false;
    facts.tracer = 0;
    return explain(pid, &facts, why);
}

enum err access_check(const struct target *target, bool stops, struct error *why)
{
    struct access_facts facts;
    bool is_refused = memory_refusal(target->pid) == EPERM;

    if (!collect_facts(target->pid, &facts))
        return ERR_OK;
    facts.is_filtered = is_filtered(stops);
    facts.tracer = stops ? lasting_tracer(target->pid) : 0;
    if (is_refused || facts.is_filtered || facts.tracer)
        return explain(target->pid, &facts, why);
    return ERR_OK;
}
