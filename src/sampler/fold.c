/* SPDX-License-Identifier: MIT */
/*
 * Names first: Python's own tables say which C functions its programmers know (elf/pynames.h). The
 * rules below are the rest: work that has no Python name but an everyday one (a dict lookup), and
 * functions to which a method's own function jumps, so that its frame is gone. All else in the
 * interpreter's file is the way from one to the next, and goes.
 *
 * Then the stacks, one pass over their tree. Whether a program's first frames go is known only when
 * it is seen what they call: until then a node's folded stack is empty, and its whole one stays at
 * hand, because the tree is only added to.
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

/* ---- stacks ---- */

enum fold_state {
    AT_START, /* nothing but the C library's start so far */
    AT_MAIN,  /* and main */
    BEGUN,
};

struct folded {
    stack_id stack;
    uint8_t state;  /* enum fold_state */
    bool has_frame; /* more than markers are left */
};

struct folding {
    struct profile *profile;
    const fold_classes *classes;
    struct folded *nodes; /* by stack, as far as there were any before */
};

static enum fold_class class_of(const struct folding *folding, frame_id frame)
{
    return frame.v < folding->classes->length ? folding->classes->items[frame.v] : FOLD_STAYS;
}

/* Whether `stack` ends with a frame of the name that `frame` has. */
static bool ends_with_name(const struct profile *profile, stack_id stack, frame_id frame)
{
    return stack.v != STACK_EMPTY.v &&
           profile_frame_info(profile, profile->stacks.items[stack.v].frame)->name.v ==
               profile_frame_info(profile, frame)->name.v;
}

static struct folded add(const struct folding *folding, struct folded to, frame_id frame)
{
    enum fold_class class = class_of(folding, frame);
    bool goes = class == FOLD_AWAY || class == FOLD_RUN ||
                (class == FOLD_PART && ends_with_name(folding->profile, to.stack, frame));

    if (goes)
        return to;
    to.stack = profile_stack(folding->profile, to.stack, frame);
    to.has_frame |= profile_frame_info(folding->profile, frame)->kind < FRAME_MARKER;
    return to;
}

/* A stack of which only the start is known so far, and what that calls. */
static struct folded leave_start(const struct folding *folding, stack_id start, frame_id frame)
{
    const struct frame_info *info = profile_frame_info(folding->profile, frame);
    enum fold_class class = class_of(folding, frame);
    struct folded node = folding->nodes[start.v];
    bool is_python, is_empty = start.v == STACK_EMPTY.v || start.v == node.stack.v;

    if (info->kind >= FRAME_MARKER)
        return add(folding, node, frame);
    if (class == FOLD_START || class == FOLD_MAIN || (class == FOLD_AWAY && is_empty)) {
        node.state = class == FOLD_MAIN ? AT_MAIN : AT_START;
        return node;
    }
    is_python = info->kind <= FRAME_SITE;
    if (node.state == AT_MAIN ? class != FOLD_RUN : class == FOLD_STAYS && !is_python) {
        node.stack = start;
        node.has_frame = true;
    }
    node.state = BEGUN;
    return add(folding, node, frame);
}

void fold_stacks(struct profile *profile, const fold_classes *classes)
{
    size_t count = profile->stacks.length;
    struct folding folding = {profile, classes, xcalloc(count, sizeof(struct folded))};

    for (size_t i = 1; i < count; i++) { /* a parent comes before its children */
        struct stack_node node = profile->stacks.items[i];
        const struct folded *parent = &folding.nodes[node.parent.v];

        folding.nodes[i] = parent->state == BEGUN ? add(&folding, *parent, node.frame)
                                                  : leave_start(&folding, node.parent, node.frame);
    }
    vec_each (sample, &profile->samples)
        if (folding.nodes[sample->stack.v].has_frame)
            sample->stack = folding.nodes[sample->stack.v].stack;
    free(folding.nodes);
}
