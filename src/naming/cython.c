/* SPDX-License-Identifier: MIT */
/*
 * A function's symbol is a prefix, its scopes with their lengths, and its own name behind a number
 * that grows from function to function of a scope (none: the first one):
 *
 *   __pyx_pw_3pkg_3mod_5Point_3length      what Python calls: it unpacks the arguments
 *   __pyx_pf_3pkg_3mod_5Point_2length      the body
 *   __pyx_f_3pkg_3mod_helper               a cdef function
 *   __pyx_fuse_1__pyx_f_3pkg_3mod_cfused   a variant of it for another type
 *   __pyx_gb_3pkg_3mod_8generator          a generator's body; the name is Cython's
 *   __pyx_tp_new_3pkg_3mod_Point           of a cdef class
 *   __pyx_array___pyx_pf_15View_dot_MemoryView_5array___cinit__
 *                                          of a type that Cython adds to each module
 *
 * The number may happen to be the length of the name's first part: __pyx_pf_3mod_6update_all is
 * mod.update_all, whose wrapper is number 7, or the first function `all` within mod.update. A
 * wrapper is never the first, and a body's wrapper tells which it is.
 */
#include "pspy/naming/cython.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "pspy/base/cleanup.h"
#include "pspy/elf/symtab.h"

#define CYTHON   "__pyx_"
#define LAMBDA   "lambda"
#define LAMBDA_3 "__pyx_lambda_funcdef_" /* Cython 3 puts it before */

enum numbering { ALWAYS, UNLESS_FIRST, NEVER };

static const struct prefix {
    const char *text;
    enum numbering numbering;
} prefixes[] = {
    {"__pyx_pw_", ALWAYS},           {"__pyx_pf_", UNLESS_FIRST}, {"__pyx_f_", NEVER},
    {"__pyx_gb_", ALWAYS},           {"__pyx_getprop_", NEVER},   {"__pyx_setprop_", NEVER},
    {"__pyx_specialmethod_", NEVER},
};

#define SLOT   "__pyx_tp_"
#define MODULE "__pyx_pymod_exec_"

/* Beginnings of the names of functions that pass a call on. */
static const char *const helpers[] = {
    "__Pyx_PyObject_Call",       "__Pyx_PyObject_FastCall",     "__Pyx__PyObject_CallOneArg",
    "__Pyx_PyFunction_FastCall", "__Pyx_PyCFunction_FastCall",  "__Pyx_PyVectorcall_FastCall",
    "__Pyx_CyFunction_CallAs",   "__Pyx_CyFunction_CallMethod", "__Pyx_CyFunction_Vectorcall",
    "__Pyx_PyMethod_New",        "__pyx_FusedFunction_call",
};

bool cython_is_helper(const char *symbol)
{
    for (size_t i = 0; i < sizeof(helpers) / sizeof(helpers[0]); i++)
        if (strncmp(symbol, helpers[i], strlen(helpers[i])) == 0)
            return true;
    return false;
}

static const char *skip_digits(const char *text)
{
    while (isdigit((unsigned char)*text))
        text++;
    return text;
}

/* The scope "5Point" at the text's start, if it is one: the name and where the next part begins. */
static bool read_scope(const char *text, const char **ret_name, size_t *ret_length,
                       const char **ret_next)
{
    const char *name = skip_digits(text);
    unsigned long length = name - text < 5 ? strtoul(text, NULL, 10) : 0;

    if (name == text || length == 0 || strnlen(name, length + 2) < length + 2 ||
        name[length] != '_')
        return false;
    *ret_name = name;
    *ret_length = length;
    *ret_next = name + length + 1;
    return true;
}

/* Whether what follows the last scope is a function's own part. */
static bool is_own_part(const char *text, enum numbering numbering)
{
    const char *name = skip_digits(text);

    if (!*name)
        return false;
    return numbering != ALWAYS || name > text || strncmp(name, LAMBDA, strlen(LAMBDA)) == 0 ||
           strncmp(name, LAMBDA_3, strlen(LAMBDA_3)) == 0;
}

static bool has_symbol(const struct symtab *symtab, const char *name)
{
    vec_each (symbol, &symtab->symbols)
        if (strcmp(symbol->name, name) == 0)
            return true;
    return false;
}

/* Whether the body's part "6update_all" has the wrapper "7update_all". */
static bool has_wrapper(const struct symtab *symtab, const char *symbol, const char *part)
{
    cleanup(strbuf_deinit) struct strbuf wrapper = STRBUF_INIT;

    strbuf_add_text(&wrapper, "__pyx_pw_");
    strbuf_add(&wrapper, symbol, (size_t)(part - symbol));
    strbuf_addf(&wrapper, "%lu%s", strtoul(part, NULL, 10) + 1, skip_digits(part));
    return has_symbol(symtab, wrapper.text);
}

/* Cython's own View.MemoryView, the one module whose name is not coded as all else is. */
static const char *skip_own_module(const char *text, struct strbuf *ret)
{
    static const char coded[] = "15View_dot_MemoryView_";
    size_t length = sizeof(coded) - 1;

    if (strncmp(text, coded, length) != 0 || !text[length])
        return text;
    strbuf_add_text(ret, "View.MemoryView.");
    return text + length;
}

/* "3pkg_3mod_5Point_2length" to "pkg.mod.Point.length". */
static bool add_dotted(const char *symbol, enum numbering numbering, const struct symtab *symtab,
                       struct strbuf *ret)
{
    const char *rest = skip_own_module(symbol, ret), *at = rest, *name, *next;
    size_t length;

    while (read_scope(at, &name, &length, &next) && is_own_part(next, numbering)) {
        if (numbering == UNLESS_FIRST && symtab && at != rest && has_wrapper(symtab, symbol, at))
            break;
        strbuf_add(ret, name, length);
        strbuf_add_char(ret, '.');
        at = next;
    }
    if (at == symbol) /* not even a module */
        return false;
    at = numbering == NEVER ? at : skip_digits(at);
    strbuf_add_text(ret, strncmp(at, LAMBDA_3, strlen(LAMBDA_3)) == 0 ? at + strlen(LAMBDA_3) : at);
    return true;
}

/* "new_3pkg_3mod_Point" to "pkg.mod.Point.tp_new". */
static bool add_slot(const char *text, struct strbuf *ret)
{
    const char *scope = text;

    while (*scope && !(*scope == '_' && isdigit((unsigned char)scope[1])))
        scope++;
    if (!*scope || !add_dotted(scope + 1, NEVER, NULL, ret))
        return false;
    strbuf_addf(ret, ".tp_%.*s", (int)(scope - text), text);
    return true;
}

/* The first prefix in the symbol and what is behind it: variants for fused types and what belongs
 * to Cython's own array types have more before it. */
static const struct prefix *find_prefix(const char *symbol, const char **ret_rest)
{
    const struct prefix *first = NULL;
    const char *place = NULL;

    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        const char *at = strstr(symbol, prefixes[i].text);

        if (at && (!place || at < place)) {
            first = &prefixes[i];
            place = at;
        }
    }
    if (first)
        *ret_rest = place + strlen(first->text);
    return first;
}

bool cython_name(const char *symbol, const struct symtab *symtab, struct strbuf *ret)
{
    const struct prefix *prefix;
    size_t before = ret->length;
    bool was_read = false;
    const char *rest;

    if (strncmp(symbol, CYTHON, strlen(CYTHON)) != 0)
        return false;
    if (strncmp(symbol, SLOT, strlen(SLOT)) == 0) {
        was_read = add_slot(symbol + strlen(SLOT), ret);
    } else if (strncmp(symbol, MODULE, strlen(MODULE)) == 0 && symbol[strlen(MODULE)]) {
        strbuf_addf(ret, "%s.<module>", symbol + strlen(MODULE));
        was_read = true;
    } else if ((prefix = find_prefix(symbol, &rest))) {
        was_read = add_dotted(rest, prefix->numbering, symtab, ret);
    }
    if (!was_read)
        strbuf_truncate(ret, before);
    return was_read;
}
