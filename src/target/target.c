/* SPDX-License-Identifier: MIT */
/* Asks whoever answers for the target, and what can be put together from these answers. */
#include "pspy/target/target.h"

#include <errno.h>
#include <string.h>

void tid_list_deinit(struct tid_list *list)
{
    vec_deinit(&list->tids);
}

void target_close(struct target *target)
{
    if (target->ops)
        target->ops->close(target);
    *target = (struct target)TARGET_INIT;
}

enum err target_stat(const struct target *target, struct procfs_stat *ret)
{
    return target->ops->stat(target, ret);
}

enum err target_owner(const struct target *target, uid_t *ret)
{
    return target->ops->owner(target, ret);
}

void target_command(const struct target *target, struct strbuf *ret)
{
    target->ops->command(target, ret);
}

void target_executable(const struct target *target, struct strbuf *ret)
{
    target->ops->executable(target, ret);
}

int target_open_file(const struct target *target, const char *path)
{
    return target->ops->open_file(target, path);
}

enum err target_mappings(const struct target *target, mapping_visitor *visit, void *context)
{
    return target->ops->mappings(target, visit, context);
}

int target_open_mapping(const struct target *target, const struct mapping *mapping)
{
    return target->ops->open_mapping(target, mapping);
}

enum err target_threads(const struct target *target, struct tid_list *ret)
{
    return target->ops->threads(target, ret);
}

pid_t target_namespace_tid(const struct target *target, pid_t tid)
{
    return target->ops->namespace_tid(target, tid);
}

void target_thread_comm(const struct target *target, pid_t tid, struct strbuf *ret)
{
    target->ops->thread_comm(target, tid, ret);
}

enum err target_registers(const struct target *target, pid_t tid, struct regs *ret)
{
    return target->ops->registers(target, tid, ret);
}

size_t target_read_scattered(const struct target *target, const struct iovec *local,
                             size_t local_count, const struct iovec *remote, size_t remote_count)
{
    return target->ops->read(target, local, local_count, remote, remote_count);
}

size_t target_read_vector(const struct target *target, const struct iovec *local,
                          const struct iovec *remote, size_t count)
{
    return target_read_scattered(target, local, count, remote, count);
}

size_t target_read_some(const struct target *target, uint64_t address, void *ret, size_t size)
{
    struct iovec local = {ret, size};
    /* An address of another process: never dereferenced here. */
    struct iovec remote = {(void *)(uintptr_t)address, size};

    return target_read_vector(target, &local, &remote, 1);
}

enum err target_read(const struct target *target, uint64_t address, void *ret, size_t size)
{
    errno = 0;
    if (target_read_some(target, address, ret, size) == size)
        return ERR_OK;
    return errno == ESRCH ? ERR_GONE : errno == EPERM ? ERR_PERMISSION : ERR_UNREADABLE;
}

enum err target_read_text(const struct target *target, uint64_t address, size_t limit,
                          struct strbuf *ret)
{
    char chunk[256];

    while (limit > 0) {
        /* Not across a page's end: the next page may be missing. */
        size_t want = 4096 - (size_t)(address & 4095);
        enum err err;
        size_t length;

        if (want > sizeof(chunk))
            want = sizeof(chunk);
        if (want > limit)
            want = limit;
        err = target_read(target, address, chunk, want);
        if (err != ERR_OK)
            return err;
        length = strnlen(chunk, want);
        strbuf_add(ret, chunk, length);
        if (length < want)
            return ERR_OK;
        address += want;
        limit -= want;
    }
    return ERR_UNREADABLE;
}
