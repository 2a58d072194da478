/* SPDX-License-Identifier: MIT */
#include "pspy/elf/debugfile.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <zlib.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/strbuf.h"
#include "pspy/base/sudo.h"
#include "pspy/base/xmalloc.h"
#include "section.h"

#define DEBUG_ROOT "/usr/lib/debug"
#define CACHE      "debuginfod_client/"

/* Not blocked by a pipe without a writer. */
#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

static int open_in(int root_fd, const char *path)
{
    struct open_how how = {.flags = OPEN_FLAGS, .resolve = RESOLVE_IN_ROOT};
    int fd;

    if (root_fd < 0)
        return open(path, OPEN_FLAGS);
    fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
    if (fd < 0 && errno == ENOSYS) /* before Linux 5.6 */
        fd = openat(root_fd, path + (*path == '/'), OPEN_FLAGS);
    return fd;
}

int rooted_open(int root_fd, const char *path)
{
    int fd = open_in(root_fd, path);
    struct stat status;

    if (fd >= 0 && (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))) {
        close(fd);
        errno = EINVAL;
        return -1;
    }
    return fd;
}

struct build_id {
    const unsigned char *bytes;
    size_t length;
};

static bool find_build_id(Elf *elf, struct build_id *ret)
{
    Elf_Scn *section = NULL;

    while ((section = elf_nextscn(elf, section))) {
        GElf_Shdr header;
        GElf_Nhdr note;
        size_t at = 0, name_at, desc_at;
        Elf_Data *data;

        if (!gelf_getshdr(section, &header) || header.sh_type != SHT_NOTE)
            continue;
        data = elf_getdata(section, NULL);
        while (data && (at = gelf_getnote(data, at, &note, &name_at, &desc_at)) > 0) {
            const char *bytes = data->d_buf;

            if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
                memcmp(bytes + name_at, "GNU", 4) == 0 && note.n_descsz >= 2) {
                *ret = (struct build_id){(const unsigned char *)bytes + desc_at, note.n_descsz};
                return true;
            }
        }
    }
    return false;
}

static bool has_build_id(int fd, const struct build_id *wanted)
{
    struct build_id found;
    bool same = false;
    Elf *elf = elf_begin(fd, ELF_C_READ, NULL);

    if (elf && find_build_id(elf, &found))
        same =
            found.length == wanted->length && memcmp(found.bytes, wanted->bytes, found.length) == 0;
    if (elf)
        elf_end(elf);
    return same;
}

/* The file if it carries that id. */
static int open_checked(const char *path, int root_fd, const struct build_id *id)
{
    int fd = rooted_open(root_fd, path);

    if (fd >= 0 && !has_build_id(fd, id)) {
        close(fd);
        return -1;
    }
    return fd;
}

static void add_id(struct strbuf *path, const struct build_id *id, size_t from)
{
    for (size_t i = from; i < id->length; i++)
        strbuf_addf(path, "%02x", id->bytes[i]);
}

bool debugfile_build_id(Elf *elf, struct strbuf *ret)
{
    struct build_id id;

    if (!find_build_id(elf, &id))
        return false;
    add_id(ret, &id, 0);
    return true;
}

static int open_by_build_id(const struct build_id *id, int root_fd)
{
    cleanup(strbuf_deinit) struct strbuf path = STRBUF_INIT;

    strbuf_addf(&path, DEBUG_ROOT "/.build-id/%02x/", id->bytes[0]);
    add_id(&path, id, 1);
    strbuf_add_text(&path, ".debug");
    return open_checked(path.text, root_fd, id);
}

/* What debuginfod's clients (gdb and others) have fetched is used; nothing is fetched. */
static int open_cached(const struct build_id *id)
{
    const char *path = getenv("DEBUGINFOD_CACHE_PATH"), *cache = getenv("XDG_CACHE_HOME");
    struct sudo_user user;
    const char *home = sudo_user(&user) ? user.home : getenv("HOME");
    cleanup(strbuf_deinit) struct strbuf file = STRBUF_INIT;

    if (path && *path)
        strbuf_addf(&file, "%s/", path);
    else if (cache && *cache)
        strbuf_addf(&file, "%s/" CACHE, cache);
    else if (home && *home)
        strbuf_addf(&file, "%s/.cache/" CACHE, home);
    else
        return -1;
    add_id(&file, id, 0);
    strbuf_add_text(&file, "/debuginfo");
    return open_checked(file.text, -1, id);
}

/* .gnu_debuglink: a file name, NUL, padding to 4 bytes, the file's CRC-32. */
struct debuglink {
    const char *name;
    uint32_t crc;
};

static bool find_debuglink(Elf *elf, struct debuglink *ret)
{
    Elf_Data *data;
    size_t length, crc_at;
    GElf_Shdr header;
    Elf_Scn *section;

    if (!section_find(elf, ".gnu_debuglink", &section, &header) ||
        !(data = section_data(section, &header)))
        return false;
    length = strnlen(data->d_buf, data->d_size);
    crc_at = (length + 4) & ~(size_t)3;
    if (length == 0 || crc_at + 4 > data->d_size)
        return false;
    ret->name = data->d_buf;
    memcpy(&ret->crc, (const char *)data->d_buf + crc_at, 4);
    return true;
}

/* .gnu_debugaltlink: a file name, NUL, that file's build-id. */
static bool find_altlink(Elf *elf, const char **ret_name, struct build_id *ret)
{
    Elf_Data *data;
    size_t length;
    GElf_Shdr header;
    Elf_Scn *section;

    if (!section_find(elf, ".gnu_debugaltlink", &section, &header) ||
        !(data = section_data(section, &header)))
        return false;
    length = strnlen(data->d_buf, data->d_size);
    if (length == 0 || length + 2 >= data->d_size)
        return false;
    *ret_name = data->d_buf;
    *ret = (struct build_id){(const unsigned char *)data->d_buf + length + 1,
                             data->d_size - length - 1};
    return true;
}

static bool has_crc(int fd, uint32_t wanted)
{
    unsigned char chunk[65536];
    uLong crc = crc32(0, NULL, 0);
    off_t at = 0;
    ssize_t got;

    while ((got = pread(fd, chunk, sizeof(chunk), at)) > 0) {
        crc = crc32(crc, chunk, (uInt)got);
        at += got;
    }
    return got == 0 && crc == wanted;
}

static int open_by_debuglink(const struct debuglink *link, const char *path, int root_fd)
{
    const char *slash = strrchr(path, '/');
    int directory = slash ? (int)(slash - path) : 0;
    const char *const folders[][2] = {{"", ""}, {"", "/.debug"}, {DEBUG_ROOT, ""}};

    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        cleanup(cleanup_free) char *candidate =
            xasprintf("%s%.*s%s/%s", folders[i][0], directory, path, folders[i][1], link->name);
        int fd = rooted_open(root_fd, candidate);

        if (fd >= 0 && has_crc(fd, link->crc))
            return fd;
        if (fd >= 0)
            close(fd);
    }
    return -1;
}

static int open_in_root(Elf *elf, const char *path, int root_fd)
{
    struct build_id id;
    struct debuglink link;
    int fd = -1;

    if (find_build_id(elf, &id))
        fd = open_by_build_id(&id, root_fd);
    if (fd < 0 && find_debuglink(elf, &link))
        fd = open_by_debuglink(&link, path, root_fd);
    return fd;
}

int debugfile_open(Elf *elf, const char *path, int root_fd)
{
    int fd = open_in_root(elf, path, root_fd);
    struct build_id id;

    if (fd < 0 && root_fd >= 0)
        fd = open_in_root(elf, path, -1);
    if (fd < 0 && find_build_id(elf, &id))
        fd = open_cached(&id);
    return fd;
}

static int open_alt_in_root(const struct build_id *id, const char *name, const char *path,
                            int root_fd)
{
    const char *slash = *name == '/' ? NULL : strrchr(path, '/');
    cleanup(cleanup_free) char *named =
        xasprintf("%.*s%s", slash ? (int)(slash + 1 - path) : 0, path, name);
    int fd = open_by_build_id(id, root_fd);

    return fd < 0 ? open_checked(named, root_fd, id) : fd;
}

int debugfile_open_alt(Elf *elf, const char *path, int root_fd)
{
    struct build_id id;
    const char *name;
    int fd;

    if (!find_altlink(elf, &name, &id))
        return -1;
    fd = open_alt_in_root(&id, name, path, root_fd);
    if (fd < 0 && root_fd >= 0)
        fd = open_alt_in_root(&id, name, path, -1);
    return fd < 0 ? open_cached(&id) : fd;
}
