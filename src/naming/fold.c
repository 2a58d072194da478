/* SPDX-License-Identifier: MIT */
/*
 * Names first: Python's own tables say which C functions its programmers know (elf/pynames.h). The
 * rules below are the rest: work that has no Python name but an everyday one (a dict lookup), and
 * functions to which a method's own function jumps, so that its frame is gone. All else in the
 * interpreter's file is the way from one to the next, and goes.
 */
#include "fold.h"

#include <string.h>

/* A symbol, or with a star its beginning; the first row that fits counts. */
struct rule {
    const char *symbol;
    const char *name;
};

static const struct rule rules[] = {
    {"lookdict*", "dict lookup"},
    {"_Py_dict_lookup*", "dict lookup"},
    {"unicodekeys_lookup*", "dict lookup"},
    {"dictkeys_stringlookup*", "dict lookup"},
    {"insertdict*", "dict insertion"},
    {"insert_to_emptydict*", "dict insertion"},
    {"dictresize", "dict growth"},
    {"insertion_resize", "dict growth"},
    {"set_lookkey", "set lookup"},
    {"set_add_entry*", "set insertion"},
    {"set_insert_key", "set insertion"},
    {"set_table_resize", "set growth"},
    {"list_resize", "list growth"},
    {"_PyType_Lookup*", "attribute lookup"},
    {"PyFloat_FromString", "float()"},
    {"PyLong_FromString", "int()"},
    {"PyLong_FromUnicodeObject", "int()"},
    {"PyUnicode_Join", "str.join"},
    {"PyUnicode_Format", "str.__mod__"},
    {"PyUnicode_Replace", "str.replace"},
    {"subtype_dealloc", "object deallocation"},
    {"_PyObject_Free", "memory release"},
    {"PyObject_Free", "memory release"},
    {"_PyMem_RawFree", "memory release"},
    {"mi_free*", "memory release"},
    {"_mi_free*", "memory release"},
    {"_PyObject_Malloc", "memory allocation"},
    {"_PyObject_Calloc", "memory allocation"},
    {"_PyObject_Realloc", "memory allocation"},
    {"PyObject_Malloc", "memory allocation"},
    {"PyObject_Calloc", "memory allocation"},
    {"PyObject_Realloc", "memory allocation"},
    {"pymalloc_alloc", "memory allocation"},
    {"new_arena", "memory allocation"},
    {"mi_*", "memory allocation"},
    {"_mi_*", "memory allocation"},
    {"take_gil", "wait for the GIL"},
    {"_PyParser_AST*", "compilation"},
    {"PyParser_AST*", "compilation"},
    {"_PyAST_Compile", "compilation"},
    {"PyAST_Compile*", "compilation"},
    {"pymain_init", "interpreter start"},
    {"Py_Initialize*", "interpreter start"},
    {"_Py_Initialize*", "interpreter start"},
    {"Py_Finalize*", "interpreter end"},
    {"_Py_Finalize*", "interpreter end"},
};

/* Ways from call to call that the tables have a name for. */
static const char *const passages[] = {
    "type.__call__",
    "function.__call__",
    "method.__call__",
    "instancemethod.__call__",
    "builtin_function_or_method.__call__",
    "method_descriptor.__call__",
    "classmethod_descriptor.__call__",
    "wrapper_descriptor.__call__",
    "method-wrapper.__call__",
    "generator.__next__",
};

/* What main of the `python` command calls. */
static const char *const runs[] = {"Py_BytesMain", "Py_Main", "_Py_UnixMain"};

static const char *const starts[] = {"_start", "start_thread", "clone", "clone3", "__clone"};
static const char *const start_files[] = {"libc.so.", "libc-2.", "libpthread", "ld-musl-"};

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static bool is_among(const char *const *rows, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i], name) == 0)
            return true;
    return false;
}

static bool begins_with(const char *text, const char *beginning)
{
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

static bool fits(const struct rule *rule, const char *symbol)
{
    size_t length = strlen(rule->symbol);

    if (rule->symbol[length - 1] == '*')
        return strncmp(rule->symbol, symbol, length - 1) == 0;
    return strcmp(rule->symbol, symbol) == 0;
}

enum fold_class fold_interpreter(const struct fold_function *function, const char **ret)
{
    const char *symbol = function->symbol ? function->symbol : "";
    bool is_own = function->is_python || begins_with(symbol, "Py") || begins_with(symbol, "_Py");

    if (function->python_name && !is_among(passages, COUNT(passages), function->python_name)) {
        *ret = function->python_name;
        return function->is_part ? FOLD_PART : FOLD_NAMED;
    }
    if (!is_own || strcmp(symbol, "_start") == 0)
        return fold_other(symbol, "");
    for (size_t i = 0; i < COUNT(rules); i++) {
        if (fits(&rules[i], symbol)) {
            *ret = rules[i].name;
            return FOLD_PART;
        }
    }
    return is_among(runs, COUNT(runs), symbol) ? FOLD_RUN : FOLD_AWAY;
}

enum fold_class fold_other(const char *symbol, const char *file)
{
    for (size_t i = 0; i < COUNT(start_files); i++)
        if (begins_with(file, start_files[i]))
            return FOLD_START;
    if (is_among(starts, COUNT(starts), symbol))
        return FOLD_START;
    return strcmp(symbol, "main") == 0 ? FOLD_MAIN : FOLD_STAYS;
}
