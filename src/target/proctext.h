/* SPDX-License-Identifier: MIT */
/* Reading the short files of /proc. */
#ifndef PSPY_TARGET_PROCTEXT_H
#define PSPY_TARGET_PROCTEXT_H

#include <stddef.h>

#include "pspy/base/error.h"
#include "pspy/base/strbuf.h"
#include "pspy/target/procfs.h"

#define STAT_LIMIT 1024 /* bytes of a stat file */

/* What an errno of reading there means: ERR_GONE, ERR_PERMISSION or ERR_UNREADABLE. */
enum err proc_error(int number);
/* The file from its beginning, up to `size` - 1 bytes, as a string. */
enum err proc_read(int fd, char *text, size_t size);
enum err proc_parse_stat(const char *text, struct procfs_stat *ret);
enum err proc_read_stat(int fd, struct procfs_stat *ret);
/* Appends the whole text of a file, which is opened below the folder. */
enum err proc_read_whole(int folder, const char *name, struct strbuf *ret);

#endif
