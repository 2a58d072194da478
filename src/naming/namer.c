/* SPDX-License-Identifier: MIT */
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

/* What is said of a module's addresses in general. */
struct module_names {
    string_id path, file, short_file;
    bool was_interpreter; /* when they were named */
};

/* The first line of the function that begins at an address. */
struct first_line {
    uint32_t module;
    uint64_t start;
    uint32_t line; /* 0: unknown */
};

struct namer {
    struct profile *profile;
    struct module_list *modules;
    int root_fd;
    const struct ufunc_loops *loops;
    struct cython_sources *cython;
    uint32_t next;                /* frame that was not looked at yet */
    VEC(struct module_names) met; /* by module, as far as they were met */
    VEC(struct first_line) first_lines;
    struct table first_line_index;
    VEC(frame_id) names; /* of the address that is being named */
    bool leaves_missing; /* addresses whose file is not to be had */
};

static uint32_t index_of(const struct namer *namer, const struct module *module)
{
    return (uint32_t)(module - namer->modules->modules.items);
}

/* A nameless function has the name that NumPy or Python knows, or is the place where it begins by
 * the unwind table, so that all of it is one; else the place itself (true). Never the nearest
 * neighbour's name. */
static bool add_place(const struct namer *namer, const struct module *module, uint64_t vaddr,
                      struct strbuf *name)
{
    uint64_t start = vaddr;
    const char *loop;

    ehframe_range_start(module->image, vaddr, &start);
    loop = namer->loops ? ufunc_loops_find(namer->loops, index_of(namer, module), start) : NULL;
    if (loop)
        strbuf_add_text(name, loop);
    if (loop || pynames_find(image_pynames(module->image), start, name))
        return false;
    strbuf_addf(name, "%s+0x%" PRIx64, image_name(module->image), start);
    return true;
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

/* The functions inlined at the address follow the real one, outermost first. */
static void add_inlined(struct namer *namer, const struct module *module,
                        const struct source_frame *sources, size_t count)
{
    for (size_t i = count; i-- > 0;) {
        cleanup(strbuf_deinit) struct strbuf name = STRBUF_INIT;
        struct frame_info info = {.kind = FRAME_NATIVE,
                                  .flags = FRAME_INLINED,
                                  .module = namer->met.items[index_of(namer, module)].path};

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

static uint64_t hash_start(const struct first_line *key)
{
    return hash_mix(key->start, key->module);
}

static bool same_start(const void *context, uint32_t index, const void *key)
{
    const struct namer *namer = context;
    const struct first_line *a = &namer->first_lines.items[index], *b = key;

    return a->module == b->module && a->start == b->start;
}

/* The line of the function's first instruction, looked up once. */
static uint32_t first_line_of(struct namer *namer, const struct module *module,
                              struct sources *sources, uint64_t start)
{
    struct first_line key = {index_of(namer, module), start, 0};
    uint64_t hash = hash_start(&key);
    uint32_t index = table_find(&namer->first_line_index, hash, same_start, namer, &key);
    struct source_frame first[SOURCE_FRAMES];
    size_t count;

    if (index != TABLE_NONE)
        return namer->first_lines.items[index].line;
    count = sources_find(sources, start, first);
    if (count)
        key.line = first[count - 1].line;
    table_add(&namer->first_line_index, hash, (uint32_t)namer->first_lines.length);
    vec_push(&namer->first_lines, key);
    return key.line;
}

/* Lines and inlined functions, where the file or its debug file carries them; and the name, where
 * that says more than the symbol. */
static void add_sources(struct namer *namer, const struct module *module, uint64_t vaddr,
                        const struct symbol *symbol, struct strbuf *name, struct frame_info *info)
{
    struct sources *sources = image_sources(module->image);
    struct source_frame found[SOURCE_FRAMES];
    size_t count = sources ? sources_find(sources, vaddr, found) : 0;

    if (count == 0)
        return;
    found[count - 1].first_line = first_line_of(namer, module, sources, symbol->start);
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

/* ---- Addresses ---- */

static void give(struct namer *namer, frame_id frame)
{
    const struct profile *profile = namer->profile;
    const struct frame_names *before = profile_frame_names(profile, frame);

    if (!before || before->count != namer->names.length ||
        memcmp(&profile->named.items[before->first], namer->names.items,
               before->count * sizeof(frame_id)) != 0)
        profile_name_frame(namer->profile, frame, namer->names.items, namer->names.length);
}

static unsigned flags_of(const struct module *module, const struct strbuf *name)
{
    return (is_piece_of_loop(module, name) ? FRAME_HIDDEN : 0) |
           (is_trampoline(module, name) ? FRAME_TRAMPOLINE : 0) |
           (cython_is_helper(name->text) ? FRAME_HELPER : 0);
}

static void name_frame(struct namer *namer, frame_id frame, struct native_ref ref)
{
    const struct module *module = &namer->modules->modules.items[ref.module];
    const struct module_names *met = &namer->met.items[ref.module];
    uint64_t vaddr = ref.offset - ref.is_return;
    cleanup(strbuf_deinit) struct strbuf name = STRBUF_INIT;
    struct frame_info info = {.kind = module->is_interpreter ? FRAME_INTERPRETER : FRAME_NATIVE,
                              .module = met->path};

    vec_reset(&namer->names);
    vec_push(&namer->names, FRAME_NONE); /* the function's, which is known last */
    if (module->image) {
        info.file = met->file;
        info.short_file = met->short_file;
        name_in_image(namer, module, vaddr, &name, &info);
    } else {
        strbuf_add_text(&name, path_base(module->path));
    }
    info.name = profile_string(namer->profile, name.text);
    info.fold = (uint8_t)fold(namer, module, vaddr, name.text, &info);
    info.flags |= (uint8_t)flags_of(module, &name);
    namer->names.items[0] = profile_frame(namer->profile, &info);
    give(namer, frame);
}

static void meet_modules(struct namer *namer)
{
    struct profile *profile = namer->profile;

    while (namer->met.length < namer->modules->modules.length) {
        const struct module *module = &namer->modules->modules.items[namer->met.length];
        struct module_names names = {.path = profile_string(profile, module->path),
                                     .was_interpreter = module->is_interpreter};

        if (module->path[0] == '/') {
            names.file = names.path;
            names.short_file = profile_string(profile, path_shorten(module->path, namer->root_fd));
        }
        vec_push(&namer->met, names);
    }
}

/* Whether what was said of an address may be said better now. */
typedef bool outdated_fn(const struct namer *namer, uint32_t module, const struct frame_info *said);

static void name_anew(struct namer *namer, outdated_fn *is_outdated)
{
    for (uint32_t i = 0; i < namer->next; i++) {
        const struct profile *profile = namer->profile;
        const struct native_ref *ref = profile_frame_ref(profile, (frame_id){i});
        const struct frame_names *names = profile_frame_names(profile, (frame_id){i});

        if (ref && names &&
            is_outdated(namer, ref->module,
                        profile_frame_info(profile, profile->named.items[names->first])))
            name_frame(namer, (frame_id){i}, *ref);
    }
}

static bool is_new_interpreter(const struct namer *namer, uint32_t module,
                               const struct frame_info *said)
{
    (void)said;
    return namer->modules->modules.items[module].is_interpreter !=
           namer->met.items[module].was_interpreter;
}

/* Code that is loaded later may tell more of a loop, and NumPy's loops are read when it is there.
 */
static bool may_know_more(const struct namer *namer, uint32_t module, const struct frame_info *said)
{
    return namer->modules->modules.items[module].is_jit || said->flags & FRAME_NAMES_MODULE;
}

static void follow_interpreters(struct namer *namer)
{
    bool has_changed = false;

    for (uint32_t i = 0; i < namer->met.length; i++)
        has_changed |= is_new_interpreter(namer, i, NULL);
    if (!has_changed)
        return;
    name_anew(namer, is_new_interpreter);
    for (size_t i = 0; i < namer->met.length; i++)
        namer->met.items[i].was_interpreter = namer->modules->modules.items[i].is_interpreter;
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
    vec_deinit(&namer->met);
    vec_deinit(&namer->first_lines);
    table_deinit(&namer->first_line_index);
    vec_deinit(&namer->names);
    free(namer);
}

static bool is_left_out(const struct namer *namer, const struct native_ref *ref)
{
    return namer->leaves_missing && !namer->modules->modules.items[ref->module].image;
}

void namer_name(struct namer *namer)
{
    follow_interpreters(namer);
    meet_modules(namer);
    for (; namer->next < namer->profile->frames.length; namer->next++) {
        const struct native_ref *ref = profile_frame_ref(namer->profile, (frame_id){namer->next});

        if (ref && !profile_frame_names(namer->profile, (frame_id){namer->next}) &&
            !is_left_out(namer, ref))
            name_frame(namer, (frame_id){namer->next}, *ref);
    }
}

void namer_leave_missing(struct namer *namer)
{
    namer->leaves_missing = true;
}

void namer_finish(struct namer *namer)
{
    namer_name(namer);
    name_anew(namer, may_know_more);
}
