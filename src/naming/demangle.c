/* SPDX-License-Identifier: MIT */
#include "pspy/naming/demangle.h"

#include <ctype.h>
#include <libiberty/demangle.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/xmalloc.h"

#define STUB "@plt"

/* What gcc and clang append to the symbols of a function's pieces and copies. */
static const struct clone_suffix {
    const char *text;
    bool needs_number; /* ".part.0": all take a number or more, these must */
} clone_suffixes[] = {
    {".cold", false},    {".part", true},  {".constprop", true}, {".isra", true},
    {".lto_priv", true}, {".llvm", true},  {".resolver", false}, {".localalias", false},
    {".clone", true},    {".warm", false}, {".__uniq", true},    {".specialized", true},
};

/* The start of ".1.23" at the text's end, or the end. */
static char *numbers_at_end(char *text)
{
    char *at = text + strlen(text);

    for (;;) {
        char *digit = at;

        while (digit > text && isdigit((unsigned char)digit[-1]))
            digit--;
        if (digit == at || digit == text || digit[-1] != '.')
            return at;
        at = digit - 1;
    }
}

static bool cut_clone_suffix(char *name)
{
    char *at = numbers_at_end(name);

    for (size_t i = 0; i < sizeof(clone_suffixes) / sizeof(clone_suffixes[0]); i++) {
        const struct clone_suffix *suffix = &clone_suffixes[i];
        size_t length = strlen(suffix->text);

        if ((size_t)(at - name) > length && memcmp(at - length, suffix->text, length) == 0 &&
            (*at || !suffix->needs_number)) {
            at[-(ptrdiff_t)length] = '\0';
            return true;
        }
    }
    return false;
}

static void cut_suffixes(char *name)
{
    char *version = strchr(name, '@');

    if (version && version != name)
        *version = '\0';
    while (cut_clone_suffix(name))
        ;
}

/* "malloc@plt": the stub that calls it, which is no version. */
static bool cut_stub(char *name)
{
    size_t length = strlen(name), suffix = strlen(STUB);

    if (length <= suffix || strcmp(name + length - suffix, STUB) != 0)
        return false;
    name[length - suffix] = '\0';
    return true;
}

/* Rust's legacy names end in "::h" and 16 hexadecimal digits, which change with each compiler. */
static void cut_rust_hash(char *name)
{
    size_t length = strlen(name);
    char *hash = length > 19 ? name + length - 19 : NULL;

    if (!hash || strncmp(hash, "::h", 3) != 0)
        return;
    for (const char *digit = hash + 3; *digit; digit++)
        if (!isxdigit((unsigned char)*digit))
            return;
    *hash = '\0';
}

/* gfortran's "__grid_MOD_step" of a module's procedure: "grid::step". */
static char *demangle_fortran(const char *name)
{
    const char *module = name + 2, *middle = strstr(name, "_MOD_");

    if (strncmp(name, "__", 2) != 0 || !middle || middle <= module || !middle[5] ||
        !islower((unsigned char)*module))
        return NULL;
    return xasprintf("%.*s::%s", (int)(middle - module), module, middle + 5);
}

void demangle(const char *symbol, struct strbuf *ret)
{
    cleanup(cleanup_free) char *name = xstrdup(symbol);
    cleanup(cleanup_free) char *readable = NULL;
    bool is_stub;

    is_stub = cut_stub(name);
    cut_suffixes(name);
    if (strncmp(name, "_Z", 2) == 0 || strncmp(name, "__Z", 3) == 0 || strncmp(name, "_R", 2) == 0)
        readable = cplus_demangle(name, DMGL_PARAMS | DMGL_ANSI | DMGL_AUTO);
    if (readable)
        cut_rust_hash(readable);
    else
        readable = demangle_fortran(name);
    strbuf_add_text(ret, readable ? readable : name);
    if (is_stub)
        strbuf_add_text(ret, STUB);
}
