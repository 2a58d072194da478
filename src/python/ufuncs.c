/* SPDX-License-Identifier: MIT */
/*
 * A ufunc is an object that lists a loop in C for each combination of types it computes:
 *
 *   PyUFuncObject, behind the object's head, in NumPy 1 and 2:
 *      0 int nin; 4 int nout; 8 int nargs; 12 int identity
 *     16 functions: ntypes addresses of code
 *     24 void **data
 *     32 int ntypes; 36 int reserved
 *     40 name: "add"
 *     48 types: nargs characters for each function; 12 is a double
 *
 * numpy.add's twelfth function with the types {12, 12, 12} is np.add<f8>. The ufuncs stand in the
 * dicts of the few extension modules that make them. All this is read from a running process, so
 * what is found counts only if code begins there.
 */
#include "pspy/python/ufuncs.h"

#include <stdlib.h>
#include <string.h>

#include "bulk.h"
#include "pspy/base/cleanup.h"
#include "pspy/elf/ehframe.h"
#include "pspy/python/object.h"

#define INTERPRETER_LIMIT 64
#define ENTRY_LIMIT       20000 /* of a module's dict; scipy.special's has 500 */
#define TYPES_LIMIT       400   /* loops of a ufunc; NumPy's longest list has 100 */
#define ARGUMENT_LIMIT    64    /* NPY_MAXARGS */
#define NAME_LIMIT        100

static const struct maker {
    const char *module, *prefix;
} makers[] = {
    {"numpy._core._multiarray_umath", "np."},
    {"numpy.core._multiarray_umath", "np."}, /* up to 1.26 */
    {"numpy.linalg._umath_linalg", "np.linalg."},
    {"numpy.fft._pocketfft_umath", "np.fft."},
    {"scipy.special._ufuncs", "scipy.special."},
    {"scipy.special._special_ufuncs", "scipy.special."},
};

/* By NumPy's numbers of types; long is as wide as long long here. */
static const char *const type_names[] = {"?",   "i1", "u1", "i2", "u2", "i4",  "u4", "i8",
                                         "u8",  "i8", "u8", "f4", "f8", "f16", "c8", "c16",
                                         "c32", "O",  "S",  "U",  "V",  "M8",  "m8", "f2"};
#define TYPE_COUNT (sizeof(type_names) / sizeof(type_names[0]))

struct ufunc {
    int32_t inputs, outputs, arguments, identity;
    uint64_t functions, data;
    int32_t types_count, reserved;
    uint64_t name, types;
};

struct reading {
    const struct layout *layout;
    struct address_space *space;
    const struct target *target;
    struct ufunc_loops *loops;
    uint64_t ufunc_type; /* the type object; 0: not met yet */
    uint64_t other_type; /* the last one that was another */
};

void ufunc_loops_deinit(struct ufunc_loops *loops)
{
    vec_each (loop, &loops->loops)
        free(loop->name);
    vec_deinit(&loops->loops);
    table_deinit(&loops->index);
}

/* ---- What is known ---- */

struct place {
    uint32_t module;
    uint64_t vaddr;
};

static bool is_loop(const void *context, uint32_t index, const void *key)
{
    const struct ufunc_loop *loop = &((const struct ufunc_loops *)context)->loops.items[index];
    const struct place *place = key;

    return loop->module == place->module && loop->vaddr == place->vaddr;
}

static uint32_t find(const struct ufunc_loops *loops, const struct place *place)
{
    return table_find(&loops->index, hash_mix(place->vaddr, place->module), is_loop, loops, place);
}

const char *ufunc_loops_find(const struct ufunc_loops *loops, uint32_t module, uint64_t vaddr)
{
    uint32_t found = find(loops, &(struct place){module, vaddr});

    return found == TABLE_NONE ? NULL : loops->loops.items[found].name;
}

/* Of one function with two names: the ufunc's alone if only the types differ, else none. */
static void join_names(struct ufunc_loop *loop, const char *name)
{
    size_t length = strcspn(name, "<");

    if (!loop->name || strcmp(loop->name, name) == 0)
        return;
    if (strncmp(loop->name, name, length) == 0 && strcspn(loop->name, "<") == length) {
        loop->name[length] = '\0';
        return;
    }
    free(loop->name);
    loop->name = NULL;
}

static void add_loop(struct ufunc_loops *loops, const struct place *place, const char *name)
{
    uint32_t found = find(loops, place);

    if (found != TABLE_NONE) {
        join_names(&loops->loops.items[found], name);
        return;
    }
    table_add(&loops->index, hash_mix(place->vaddr, place->module), (uint32_t)loops->loops.length);
    vec_push(&loops->loops, ((struct ufunc_loop){place->module, place->vaddr, xstrdup(name)}));
}

/* ---- One ufunc ---- */

static bool is_sound(const struct ufunc *ufunc)
{
    return ufunc->inputs > 0 && ufunc->outputs >= 0 && ufunc->inputs <= ARGUMENT_LIMIT &&
           ufunc->outputs <= ARGUMENT_LIMIT && ufunc->arguments <= ARGUMENT_LIMIT &&
           ufunc->arguments == ufunc->inputs + ufunc->outputs && ufunc->types_count > 0 &&
           ufunc->types_count <= TYPES_LIMIT;
}

/* "<f8>", or "<f8,i4>" where the inputs differ. False for a type that is not NumPy's own. */
static bool add_types(const unsigned char *types, int inputs, struct strbuf *ret)
{
    bool differ = false;

    for (int i = 0; i < inputs; i++) {
        if (types[i] >= TYPE_COUNT)
            return false;
        differ |= strcmp(type_names[types[i]], type_names[types[0]]) != 0;
    }
    strbuf_addf(ret, "<%s", type_names[types[0]]);
    for (int i = 1; differ && i < inputs; i++)
        strbuf_addf(ret, ",%s", type_names[types[i]]);
    strbuf_add_char(ret, '>');
    return true;
}

/* Whether code begins at the address, and where that is. */
static bool find_place(struct reading *reading, uint64_t address, struct place *ret)
{
    struct code_place place;
    uint64_t start;

    if (!address_space_place(reading->space, reading->target, address, &place) || !place.image ||
        !ehframe_range_start(place.image, address - place.bias, &start) ||
        start != address - place.bias)
        return false;
    *ret = (struct place){place.module, start};
    return true;
}

static void read_loops(struct reading *reading, const struct ufunc *ufunc, const char *prefix)
{
    cleanup(strbuf_deinit) struct strbuf name = STRBUF_INIT;
    size_t count = (size_t)ufunc->types_count, arguments = (size_t)ufunc->arguments, whole;
    uint64_t functions[TYPES_LIMIT];
    unsigned char types[TYPES_LIMIT * ARGUMENT_LIMIT];

    strbuf_add_text(&name, prefix);
    if (target_read(reading->target, ufunc->functions, functions, 8 * count) != ERR_OK ||
        target_read(reading->target, ufunc->types, types, count * arguments) != ERR_OK ||
        target_read_text(reading->target, ufunc->name, NAME_LIMIT, &name) != ERR_OK)
        return;
    whole = name.length;
    for (size_t i = 0; i < count; i++) {
        struct place place;

        strbuf_truncate(&name, whole);
        if (add_types(types + i * arguments, ufunc->inputs, &name) &&
            find_place(reading, functions[i], &place))
            add_loop(reading->loops, &place, name.text);
    }
}

/* ---- All of them ---- */

static bool is_ufunc_type(struct reading *reading, uint64_t type)
{
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;
    uint64_t name;

    if (type == reading->ufunc_type || type == reading->other_type)
        return type == reading->ufunc_type;
    reading->other_type = type;
    if (target_read(reading->target, type + reading->layout->type_name, &name, 8) != ERR_OK ||
        target_read_text(reading->target, name, NAME_LIMIT, &text) != ERR_OK ||
        strcmp(text.text, "numpy.ufunc") != 0)
        return false;
    reading->ufunc_type = type;
    reading->other_type = 0;
    return true;
}

static size_t read_values(struct reading *reading, const struct dict_entries *entries,
                          const char *prefix)
{
    size_t count = entries->entries.length, met = 0;
    uint64_t *values = xreallocarray(NULL, count + 1, 8), *types;
    bool *was_read = xreallocarray(NULL, count + 1, sizeof(bool));

    types = xreallocarray(NULL, count + 1, 8);
    for (size_t i = 0; i < count; i++)
        values[i] = entries->entries.items[i].value + reading->layout->object_type;
    bulk_read(reading->target, values, count, 8, types, was_read);
    for (size_t i = 0; i < count; i++) {
        uint64_t object = entries->entries.items[i].value;
        struct ufunc ufunc;

        if (!was_read[i] || !is_ufunc_type(reading, types[i]) ||
            target_read(reading->target, object + reading->layout->object_size, &ufunc,
                        sizeof(ufunc)) != ERR_OK ||
            !is_sound(&ufunc))
            continue;
        read_loops(reading, &ufunc, prefix);
        met++;
    }
    free(values);
    free(types);
    free(was_read);
    return met;
}

static size_t read_module(struct reading *reading, uint64_t modules, const struct maker *maker)
{
    cleanup(dict_entries_deinit) struct dict_entries entries = {VEC_INIT};
    uint64_t module, dict;

    if (object_dict_get(reading->layout, reading->target, modules, maker->module, &module) !=
            ERR_OK ||
        target_read(reading->target, module + reading->layout->module_dict, &dict, 8) != ERR_OK ||
        object_dict_entries(reading->layout, reading->target, dict, &entries) != ERR_OK ||
        entries.entries.length > ENTRY_LIMIT)
        return 0;
    return read_values(reading, &entries, maker->prefix);
}

size_t ufunc_loops_read(const struct python *python, struct address_space *space,
                        const struct target *target, struct ufunc_loops *loops)
{
    struct reading reading = {&python->layout, space, target, loops, 0, 0};
    uint64_t interpreter, modules;
    size_t met = 0;

    if (target_read(target, python->interpreters_at, &interpreter, 8) != ERR_OK)
        return 0;
    for (unsigned count = 0; interpreter && count < INTERPRETER_LIMIT; count++) {
        if (target_read(target, interpreter + python->layout.interpreter_modules, &modules, 8) !=
            ERR_OK)
            break;
        for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++)
            met += read_module(&reading, modules, &makers[i]);
        if (target_read(target, interpreter + python->layout.interpreter_next, &interpreter, 8) !=
            ERR_OK)
            break;
    }
    return met;
}
