/* SPDX-License-Identifier: MIT */
/* naming/fold.h: what becomes of functions, by their names. */
#include "../../src/naming/fold.h"

#include "unit/tap.h"

static const struct {
    struct fold_function function;
    enum fold_class class;
    const char *name;
} functions[] = {
    {{"list_sort", "list.sort", false, true}, FOLD_NAMED, "list.sort"},
    {{"list_sort_impl", "list.sort", true, true}, FOLD_PART, "list.sort"},
    {{NULL, "list.sort", false, true}, FOLD_NAMED, "list.sort"},
    {{NULL, NULL, false, true}, FOLD_AWAY, NULL},
    {{"_Py_dict_lookup", NULL, false, true}, FOLD_PART, "dict lookup"},
    {{"lookdict_unicode_nodummy", NULL, false, true}, FOLD_PART, "dict lookup"},
    {{"dictresize", NULL, false, true}, FOLD_PART, "dict growth"},
    {{"dictresized", NULL, false, true}, FOLD_AWAY, NULL},
    {{"type_call", "type.__call__", false, true}, FOLD_AWAY, NULL},
    {{"gen_iternext", "generator.__next__", false, true}, FOLD_AWAY, NULL},
    {{"cfunction_vectorcall_FASTCALL", NULL, false, true}, FOLD_AWAY, NULL},
    {{"Py_BytesMain", NULL, false, true}, FOLD_RUN, NULL},
    {{"_start", NULL, false, true}, FOLD_START, NULL},
    {{"main", NULL, false, true}, FOLD_AWAY, NULL},
    {{"main", NULL, false, false}, FOLD_MAIN, NULL},
    {{"simulate", NULL, false, false}, FOLD_STAYS, NULL},
    {{"lookdict_of_mine", NULL, false, false}, FOLD_STAYS, NULL},
    {{NULL, NULL, false, false}, FOLD_STAYS, NULL},
    {{"PyObject_Vectorcall", NULL, false, false}, FOLD_AWAY, NULL},
    {{"_PyEval_Vector", NULL, false, false}, FOLD_AWAY, NULL},
    {{"list_sort", "list.sort", false, false}, FOLD_NAMED, "list.sort"},
};

static void test_functions(void)
{
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        const struct fold_function *function = &functions[i].function;
        const char *name = NULL;
        enum fold_class class = fold_interpreter(function, &name);
        bool is_named = name && functions[i].name ? strcmp(name, functions[i].name) == 0
                                                  : name == functions[i].name;

        tap_ok(class == functions[i].class && is_named, "%s, %s%s: class %d, %s",
               function->symbol ? function->symbol : "no symbol",
               function->python_name ? function->python_name : "no name",
               function->is_python ? "" : ", of a program", (int)class, name ? name : "-");
    }
    tap_ok(fold_other("_start", "python3.12") == FOLD_START, "_start");
    tap_ok(fold_other("__libc_start_main", "libc.so.6") == FOLD_START, "the C library's start");
    tap_ok(fold_other("libc.so.6+0x2724a", "libc.so.6") == FOLD_START, "without a name, too");
    tap_ok(fold_other("main", "blender") == FOLD_MAIN, "a main");
    tap_ok(fold_other("cblas_ddot", "libopenblas.so.0") == FOLD_STAYS, "a library");
    tap_ok(fold_other("step", "libcrypto.so.3") == FOLD_STAYS, "a library with c in its name");
}

int main(void)
{
    test_functions();
    return tap_done();
}
