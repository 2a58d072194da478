/* SPDX-License-Identifier: MIT */
/*
 * Numba makes a function of its own of each loop over a prange, in an object of its own, and a
 * kernel that calls it:
 *
 *   _ZN13_3cdynamic_3e36__numba_parfor_gufunc_0x7efe2f3002d0B3v14B106c8t...
 *   .kernel.139630176093952___gufunc__._ZN13_3cdynamic_3e36__numba_parfor_gufunc_0x7efe2f3002d0B3v14B106c8t...
 *
 * Neither says where the loop stands. But the function around it hands the address of a kernel
 * (LLVM makes copies of them) to the scheduler, as a constant of eight bytes in its code: whose
 * code holds that constant has the loop.
 */
#include "jitnames.h"

#include <string.h>

#include "pspy/base/cleanup.h"
#include "pspy/elf/symtab.h"
#include "pspy/naming/demangle.h"
#include "pspy/naming/numba.h"

/* The function that a loop stands in. */
struct owner {
    struct image *image;
    const struct symbol *function;
    uint64_t place;         /* of the constant */
    unsigned before, count; /* of its loops */
};

/* Where code holds a constant. */
static const unsigned char *find_constant(const struct image_segment *segment, uint64_t constant)
{
    return segment->is_executable && segment->bytes
               ? memmem(segment->bytes, segment->file_size, &constant, sizeof(constant))
               : NULL;
}

static bool find_owner_in(struct image *image, uint64_t kernel, struct owner *ret)
{
    struct image_segment segment;

    for (size_t i = 0; image_segment(image, i, &segment); i++) {
        const unsigned char *at = find_constant(&segment, kernel);

        if (!at)
            continue;
        ret->function =
            symtab_find(image_symtab(image), segment.vaddr + (uint64_t)(at - segment.bytes));
        if (ret->function && !numba_loop_body(ret->function->name))
            return true;
    }
    return false;
}

/* The address of the constant in the code of the function; 0 if it is not there. */
static uint64_t place_within(struct image *image, const struct symbol *function, uint64_t constant)
{
    struct image_segment segment;

    for (size_t i = 0; image_segment(image, i, &segment); i++) {
        const unsigned char *at = find_constant(&segment, constant);
        uint64_t place = at ? segment.vaddr + (uint64_t)(at - segment.bytes) : 0;

        if (place >= function->start && place < function->end)
            return place;
    }
    return 0;
}

/* Calls `each` for the kernels in all objects until it gives true; whether it did. */
typedef bool kernel_fn(const struct module_list *modules, const struct symbol *kernel,
                       const char *body, struct owner *owner);

static bool each_kernel(const struct module_list *modules, kernel_fn *each, const char *body,
                        struct owner *owner)
{
    vec_each (module, &modules->modules) {
        const struct symtab *symtab = module->is_jit ? image_symtab(module->image) : NULL;

        for (size_t i = 0; symtab && i < symtab->symbols.length; i++)
            if (numba_is_kernel(symtab->symbols.items[i].name) &&
                each(modules, &symtab->symbols.items[i], body, owner))
                return true;
    }
    return false;
}

static bool find_owner(const struct module_list *modules, const struct symbol *kernel,
                       const char *body, struct owner *owner)
{
    const char *its_body = numba_loop_body(kernel->name);

    if (!its_body || strcmp(its_body, body) != 0)
        return false;
    vec_each (module, &modules->modules) {
        if (module->is_jit && find_owner_in(module->image, kernel->start, owner)) {
            owner->image = module->image;
            owner->place = place_within(module->image, owner->function, kernel->start);
            return true;
        }
    }
    return false;
}

/* Which of the function's loops it is, in the order of the code. */
static bool count_loop(const struct module_list *modules, const struct symbol *kernel,
                       const char *body, struct owner *owner)
{
    uint64_t place = place_within(owner->image, owner->function, kernel->start);

    (void)modules, (void)body;
    owner->count += place != 0;
    owner->before += place && place < owner->place;
    return false;
}

static bool loop_name(const struct module_list *modules, const char *body, struct strbuf *ret)
{
    struct owner owner = {.function = NULL};

    if (!each_kernel(modules, find_owner, body, &owner) || !numba_name(owner.function->name, ret))
        return false;
    each_kernel(modules, count_loop, body, &owner);
    if (owner.count > 1)
        strbuf_addf(ret, " [prange %u]", owner.before + 1);
    else
        strbuf_add_text(ret, " [prange]");
    return true;
}

/* SYCL calls a kernel by the type that it is of: _ZTS is where C++ keeps a type's name. */
static bool kernel_name(const char *symbol, struct strbuf *ret)
{
    static const char prefix[] = "typeinfo name for ";
    cleanup(strbuf_deinit) struct strbuf type = STRBUF_INIT;

    if (strncmp(symbol, "_ZTS", 4) != 0)
        return false;
    demangle(symbol, &type);
    if (strncmp(type.text, prefix, strlen(prefix)) != 0)
        return false;
    strbuf_add_text(ret, type.text + strlen(prefix));
    return true;
}

void jit_name(const struct module_list *modules, const char *symbol, struct strbuf *ret)
{
    const char *body = numba_loop_body(symbol);

    if (body && (body == symbol || numba_is_kernel(symbol)) && loop_name(modules, body, ret)) {
        if (body != symbol)
            strbuf_add_text(ret, " [gufunc]");
        return;
    }
    if (!numba_name(symbol, ret) && !kernel_name(symbol, ret))
        demangle(symbol, ret);
}
