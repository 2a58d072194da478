/* SPDX-License-Identifier: MIT */
/*
 * Names for addresses. What an address is called does not depend on how it is shown: both names of
 * the interpreter's functions are given, and what folding would do with them.
 */
#include "pspy/naming/namer.h"

#include <inttypes.h>
#include <string.h>

#include "fold.h"
#include "jitnames.h"
#include "pspy/base/cleanup.h"
#include "pspy/elf/ehframe.h"
#include "pspy/elf/pynames.h"
#include "pspy/elf/sources.h"
#include "pspy/elf/symtab.h"
#include "pspy/naming/cython.h"
#include "pspy/naming/demangle.h"
#include "pspy/profile/paths.h"

#define CYTHON     "__pyx_"
#define TRAMPOLINE "py::"
#define TAIL_CALL  "_TAIL_CALL_" /* _TAIL_CALL_LOAD_FAST, _TAIL_CALL_CALL.llvm.1234 */

/* Where a function begins in its source, as its file says. */
struct first_line {
    const struct image *image;
    uint64_t vaddr; /* of its symbol */
    uint32_t line;  /* 0: unknown */
};

struct namer {
    struct profile *profile;
    struct module_list *modules;
    int root_fd;
    const struct ufunc_loops *loops;
    struct cython_sources *cython;
    uint32_t named; /* frames before it are */
    VEC(struct first_line) first_lines;
    struct table first_line_index;
    VEC(frame_id) names; /* of the address that is looked at */
};

/* A nameless function has the name that NumPy or Python knows, or is the place where it begins by
 * the unwind table, so that all of it is one; else the place itself (true). Never the nearest
 * neighbour's name. */
static bool add_place(const struct namer *namer, const struct module *module, uint64_t vaddr,
                      struct strbuf *name)
{
    uint32_t index = (uint32_t)(module - namer->modules->modules.items);
    uint64_t start = vaddr;
    const char *loop;

    ehframe_range_start(module->image, vaddr, &start);
    loop = namer->loops ? ufunc_loops_find(namer->loops, index, start) : NULL;
    if (loop)
        strbuf_add_text(name, loop);
    if (loop || pynames_find(image_pynames(module->image), start, name))
        return false;
    strbuf_addf(name, "%s+0x%" PRIx64, image_name(module->image), start);
    return true;
}

static void set_module_file(const struct namer *namer, const struct module *module,
                            struct frame_info *info)
{
    if (module->path[0] != '/')
        return;
    info->file = profile_string(namer->profile, module->path);
    info->short_file = profile_string(namer->profile, path_shorten(module->path, namer->root_fd));
}

static void add_name(const struct namer *namer, const struct module *module, const char *symbol,
                     struct strbuf *ret)
{
    if (module->has_plain_names)
        strbuf_add_text(ret, symbol);
    else if (module->is_jit)
        jit_name(namer->modules, symbol, ret);
    else if (!cython_name(symbol, image_symtab(module->image), ret))
        demangle(symbol, ret);
}

/* Puts the line of the .pyx file in the place of that in the C file which Cython made of it. */
static void set_cython_line(const struct namer *namer, const char *symbol,
                            struct source_frame *source)
{
    cleanup(cleanup_free) char *path = NULL;
    const char *file;
    uint32_t line;

    if (strncmp(symbol, CYTHON, strlen(CYTHON)) != 0)
        return;
    path = source->directory && source->file[0] != '/'
               ? xasprintf("%s/%s", source->directory, source->file)
               : xstrdup(source->file);
    if (source->first_line &&
        cython_line(namer->cython, namer->root_fd, path, source->first_line, &file, &line))
        source->first_line = line;
    if (!cython_line(namer->cython, namer->root_fd, path, source->line, &file, &line))
        return;
    source->file = file;
    source->line = line;
}

static void set_source(const struct namer *namer, const struct source_frame *source,
                       struct frame_info *info)
{
    info->file = profile_string(namer->profile, source->file);
    info->short_file = profile_string(namer->profile, path_base(source->file));
    info->line = source->line;
    info->first_line = source->first_line;
}

/* The functions inlined at the address follow the real one in its sequence. */
static void add_inlined(struct namer *namer, const struct module *module,
                        const struct source_frame *sources, size_t count)
{
    for (size_t i = count; i-- > 0;) {
        cleanup(strbuf_deinit) struct strbuf name = STRBUF_INIT;
        struct frame_info info = {.kind = FRAME_NATIVE,
                                  .flags = FRAME_INLINED,
                                  .module = profile_string(namer->profile, module->path)};

        if (cython_is_helper(sources[i].function))
            info.flags |= FRAME_HELPER;
        add_name(namer, module, sources[i].function, &name);
        info.name = profile_string(namer->profile, name.text);
        set_source(namer, &sources[i], &info);
        vec_push(&namer->names, profile_frame(namer->profile, &info));
    }
}

/* Cython's wrapper of a function, into which its body was inlined, is one function with it. */
static bool is_wrapper_of(const struct module *module, const char *name, const char *inlined)
{
    cleanup(strbuf_deinit) struct strbuf body = STRBUF_INIT;

    return cython_name(inlined, image_symtab(module->image), &body) && strcmp(body.text, name) == 0;
}

static bool first_line_equal(const void *context, uint32_t index, const void *key)
{
    const struct namer *namer = context;
    const struct first_line *a = &namer->first_lines.items[index], *b = key;

    return a->image == b->image && a->vaddr == b->vaddr;
}

/* Asked once for each function: many addresses are of the same one. */
static uint32_t first_line(struct namer *namer, struct image *image, uint64_t vaddr)
{
    struct first_line wanted = {.image = image, .vaddr = vaddr};
    uint64_t hash = hash_mix((uint64_t)(uintptr_t)image, vaddr);
    uint32_t known = table_find(&namer->first_line_index, hash, first_line_equal, namer, &wanted);
    struct source_frame first[SOURCE_FRAMES];
    size_t count;

    if (known != TABLE_NONE)
        return namer->first_lines.items[known].line;
    count = sources_find(image_sources(image), vaddr, first);
    wanted.line = count ? first[count - 1].line : 0;
    table_add(&namer->first_line_index, hash, (uint32_t)namer->first_lines.length);
    vec_push(&namer->first_lines, wanted);
    return wanted.line;
}

/* Lines and inlined functions, where the file or its debug file carries them; and the name, where
 * that says more than the symbol. */
static void add_sources(struct namer *namer, const struct module *module, uint64_t vaddr,
                        const struct symbol *symbol, struct strbuf *name, struct frame_info *info)
{
    struct sources *sources = image_sources(module->image);
    struct source_frame found[SOURCE_FRAMES];
    size_t count = sources ? sources_find(sources, vaddr, found) : 0;
    uint32_t begins;

    if (count == 0)
        return;
    begins = first_line(namer, module->image, symbol->start);
    if (begins)
        found[count - 1].first_line = begins;
    if (found[count - 1].function) {
        strbuf_reset(name);
        add_name(namer, module, found[count - 1].function, name);
    }
    for (size_t i = 0; i < count; i++)
        set_cython_line(namer, i == count - 1 ? symbol->name : found[i].function, &found[i]);
    if (count > 1 && is_wrapper_of(module, name->text, found[count - 2].function))
        count--;
    set_source(namer, &found[count - 1], info);
    add_inlined(namer, module, found, count - 1);
}

static void name_in_image(struct namer *namer, const struct module *module, uint64_t vaddr,
                          struct strbuf *name, struct frame_info *info)
{
    const struct symbol *symbol = symtab_find(image_symtab(module->image), vaddr);

    set_module_file(namer, module, info);
    if (!symbol) {
        if (add_place(namer, module, vaddr, name))
            info->flags |= FRAME_NAMES_MODULE;
        return;
    }
    add_name(namer, module, symbol->name, name);
    if (!module->is_interpreter)
        add_sources(namer, module, vaddr, symbol, name, info);
}

/* An interpreter built with tail calls has its eval loop in pieces, a function for each opcode. The
 * loop's own frame, which holds the anchor, stands outside of them: the Python frames are there. */
static bool is_piece_of_loop(const struct module *module, const struct strbuf *name)
{
    return module->is_interpreter && strncmp(name->text, TAIL_CALL, strlen(TAIL_CALL)) == 0;
}

/* CPython's -X perf puts a piece of code, "py::function:file", between each two Python functions.
 */
static bool is_trampoline(const struct module *module, const struct strbuf *name)
{
    return module->has_plain_names && strncmp(name->text, TRAMPOLINE, strlen(TRAMPOLINE)) == 0;
}

/* ---- Folding ---- */

/* The function of which this one is a part that the compiler or CPython's generated code split off:
 * list_sort of list_sort.cold and of list_sort_impl. */
static bool find_whole(struct image *image, const char *symbol, const char *readable, uint64_t *ret)
{
    static const char suffix[] = "_impl";
    size_t length = strlen(readable), cut = sizeof(suffix) - 1;
    cleanup(strbuf_deinit) struct strbuf whole = STRBUF_INIT;

    if (length > cut && strcmp(readable + length - cut, suffix) == 0)
        strbuf_add(&whole, readable, length - cut);
    else if (strcmp(symbol, readable) != 0)
        strbuf_add(&whole, readable, length);
    return whole.length && image_symbol(image, whole.text, ret);
}

static bool is_python_file(const char *path)
{
    const char *name = path_base(path);

    return strncmp(name, "python", 6) == 0 || strncmp(name, "libpython", 9) == 0;
}

static enum fold_class fold_in_interpreter(const struct namer *namer, const struct module *module,
                                           uint64_t vaddr, const char *readable,
                                           struct frame_info *info)
{
    const struct symbol *symbol = symtab_find(image_symtab(module->image), vaddr);
    cleanup(strbuf_deinit) struct strbuf python_name = STRBUF_INIT;
    struct fold_function function = {.symbol = symbol ? readable : NULL,
                                     .is_python = is_python_file(module->path)};
    const struct pynames *names = image_pynames(module->image);
    uint64_t start = symbol ? symbol->start : vaddr;
    const char *shown = NULL;
    enum fold_class class;

    if (!symbol)
        ehframe_range_start(module->image, vaddr, &start);
    if (!pynames_find(names, start, &python_name) && symbol &&
        find_whole(module->image, symbol->name, readable, &start))
        function.is_part = pynames_find(names, start, &python_name);
    function.python_name = python_name.length ? python_name.text : NULL;
    class = fold_interpreter(&function, &shown);
    if (shown)
        info->python_name = profile_string(namer->profile, shown);
    return class;
}

static enum fold_class fold(const struct namer *namer, const struct module *module, uint64_t vaddr,
                            const char *readable, struct frame_info *info)
{
    if (module->is_interpreter && module->image)
        return fold_in_interpreter(namer, module, vaddr, readable, info);
    return fold_other(readable, path_base(module->path));
}

/* ---- addresses ---- */

static void name_address(struct namer *namer, frame_id frame, struct native_ref ref)
{
    const struct module *module = &namer->modules->modules.items[ref.module];
    uint64_t vaddr = ref.offset - ref.is_return;
    cleanup(strbuf_deinit) struct strbuf name = STRBUF_INIT;
    struct frame_info info = {.kind = module->is_interpreter ? FRAME_INTERPRETER : FRAME_NATIVE,
                              .module = profile_string(namer->profile, module->path)};

    vec_reset(&namer->names);
    vec_push(&namer->names, FRAME_NONE); /* the function's place, before those inlined */
    if (module->image)
        name_in_image(namer, module, vaddr, &name, &info);
    else
        strbuf_add_text(&name, path_base(module->path));
    info.name = profile_string(namer->profile, name.text);
    info.fold = (uint8_t)fold(namer, module, vaddr, name.text, &info);
    if (is_piece_of_loop(module, &name))
        info.flags |= FRAME_HIDDEN;
    if (is_trampoline(module, &name))
        info.flags |= FRAME_TRAMPOLINE;
    if (cython_is_helper(name.text))
        info.flags |= FRAME_HELPER;
    namer->names.items[0] = profile_frame(namer->profile, &info);
    profile_name_frame(namer->profile, frame, namer->names.items, namer->names.length);
}

struct namer *namer_create(struct profile *profile, struct module_list *modules, int root_fd,
                           const struct ufunc_loops *loops)
{
    struct namer *namer = xcalloc(1, sizeof(*namer));

    namer->profile = profile;
    namer->modules = modules;
    namer->root_fd = root_fd;
    namer->loops = loops;
    namer->cython = cython_sources_create();
    return namer;
}

void namer_destroy(struct namer *namer)
{
    if (!namer)
        return;
    cython_sources_destroy(namer->cython);
    vec_deinit(&namer->first_lines);
    table_deinit(&namer->first_line_index);
    vec_deinit(&namer->names);
    free(namer);
}

/* Names are frames themselves, which join behind the addresses. */
void namer_name(struct namer *namer)
{
    for (; namer->named < namer->profile->frames.length; namer->named++) {
        const struct native_ref *ref = profile_frame_ref(namer->profile, (frame_id){namer->named});

        if (ref)
            name_address(namer, (frame_id){namer->named}, *ref);
    }
}

/* Whether names of its code may have become known since it was first named: a loop over a Numba
 * prange is called after the function that it stands in, NumPy's loops after their ufuncs, and an
 * interpreter is known as one only when it is found. */
static bool may_be_renamed(const struct namer *namer, const struct frame_names *names)
{
    const struct native_ref *ref = profile_frame_ref(namer->profile, names->frame);
    const struct module *module = &namer->modules->modules.items[ref->module];
    const struct frame_info *info =
        profile_frame_info(namer->profile, namer->profile->named.items[names->first]);

    return module->is_jit || (info->flags & FRAME_NAMES_MODULE) ||
           (module->is_interpreter && info->kind != FRAME_INTERPRETER);
}

static bool is_named_so(const struct profile *profile, const struct frame_names *a,
                        const struct frame_names *b)
{
    return a->count == b->count &&
           memcmp(&profile->named.items[a->first], &profile->named.items[b->first],
                  a->count * sizeof(frame_id)) == 0;
}

/* Takes back the names that were given last if they are those that were there before. */
static void keep_names(struct profile *profile, frame_id frame, uint32_t before)
{
    const struct frame_names *last = &profile->names.items[profile->names.length - 1];

    if (!is_named_so(profile, last, &profile->names.items[before - 1]))
        return;
    profile->named.length = last->first;
    profile->names.length--;
    profile->frame_name.items[frame.v] = before;
}

void namer_finish(struct namer *namer)
{
    struct profile *profile = namer->profile;
    uint32_t named;

    namer_name(namer);
    named = (uint32_t)profile->frames.length;
    for (uint32_t i = 0; i < named; i++) {
        const struct frame_names *names = profile_frame_names(profile, (frame_id){i});
        uint32_t before = profile->frame_name.items[i];

        if (!names || !may_be_renamed(namer, names))
            continue;
        name_address(namer, (frame_id){i}, *profile_frame_ref(profile, (frame_id){i}));
        keep_names(profile, (frame_id){i}, before);
    }
}
