/* SPDX-License-Identifier: MIT */
#include "pspy/sampler/symbolize.h"

#include <inttypes.h>
#include <string.h>

#include "fold.h"
#include "jitnames.h"
#include "pspy/base/cleanup.h"
#include "pspy/elf/cython.h"
#include "pspy/elf/demangle.h"
#include "pspy/elf/ehframe.h"
#include "pspy/elf/pynames.h"
#include "pspy/elf/sources.h"
#include "pspy/elf/symtab.h"
#include "pspy/profile/paths.h"

#define CYTHON     "__pyx_"
#define TRAMPOLINE "py::"
#define TAIL_CALL  "_TAIL_CALL_" /* _TAIL_CALL_LOAD_FAST, _TAIL_CALL_CALL.llvm.1234 */

struct naming {
    struct profile *profile;
    struct module_list *modules;
    int root_fd;
    const struct ufunc_loops *loops;
    const struct symbolize_options *options;
    struct frame_sequences sequences; /* of the frames before the one that is looked at */
    fold_classes classes;             /* the same */
    struct cython_sources *cython;
    bool saw_python; /* there are Python frames */
};

/* A nameless function has the name that NumPy or Python knows, or is the place where it begins by
 * the unwind table, so that all of it is one; else the place itself (true). Never the nearest
 * neighbour's name. */
static bool add_place(const struct naming *naming, const struct module *module, uint64_t vaddr,
                      struct strbuf *name)
{
    uint32_t index = (uint32_t)(module - naming->modules->modules.items);
    uint64_t start = vaddr;
    const char *loop;

    ehframe_range_start(module->image, vaddr, &start);
    loop = naming->loops ? ufunc_loops_find(naming->loops, index, start) : NULL;
    if (loop)
        strbuf_add_text(name, loop);
    if (loop || pynames_find(image_pynames(module->image), start, name))
        return false;
    strbuf_addf(name, "%s+0x%" PRIx64, image_name(module->image), start);
    return true;
}

static void set_module_file(const struct naming *naming, const struct module *module,
                            struct frame_info *info)
{
    if (module->path[0] != '/')
        return;
    info->file = profile_string(naming->profile, module->path);
    info->short_file =
        naming->options->full_filenames
            ? info->file
            : profile_string(naming->profile, path_shorten(module->path, naming->root_fd));
}

static void add_name(const struct naming *naming, const struct module *module, const char *symbol,
                     struct strbuf *ret)
{
    if (module->has_plain_names)
        strbuf_add_text(ret, symbol);
    else if (module->is_jit)
        jit_name(naming->modules, symbol, ret);
    else if (!cython_name(symbol, image_symtab(module->image), ret))
        demangle(symbol, ret);
}

/* Puts the line of the .pyx file in the place of that in the C file which Cython made of it. */
static void set_cython_line(const struct naming *naming, const char *symbol,
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
        cython_line(naming->cython, naming->root_fd, path, source->first_line, &file, &line))
        source->first_line = line;
    if (!cython_line(naming->cython, naming->root_fd, path, source->line, &file, &line))
        return;
    source->file = file;
    source->line = line;
}

static void set_source(const struct naming *naming, const struct source_frame *source,
                       struct frame_info *info)
{
    info->file = profile_string(naming->profile, source->file);
    info->short_file = naming->options->full_filenames
                           ? info->file
                           : profile_string(naming->profile, path_base(source->file));
    info->line = source->line;
    if (naming->options->function_lines && source->first_line)
        info->line = source->first_line;
    if (naming->options->no_lines)
        info->line = 0;
}

/* The functions inlined at the address follow the real one in its sequence. */
static void add_inlined(struct naming *naming, const struct module *module,
                        const struct source_frame *sources, size_t count)
{
    for (size_t i = count; i-- > 0;) {
        cleanup(strbuf_deinit) struct strbuf name = STRBUF_INIT;
        struct frame_info info = {.kind = FRAME_NATIVE,
                                  .module = profile_string(naming->profile, module->path)};

        if (naming->options->fold && cython_is_helper(sources[i].function))
            continue;
        add_name(naming, module, sources[i].function, &name);
        info.name = profile_string(naming->profile, name.text);
        set_source(naming, &sources[i], &info);
        vec_push(&naming->sequences.frames, profile_frame(naming->profile, &info));
    }
}

/* Cython's wrapper of a function, into which its body was inlined, is one function with it. */
static bool is_wrapper_of(const struct module *module, const char *name, const char *inlined)
{
    cleanup(strbuf_deinit) struct strbuf body = STRBUF_INIT;

    return cython_name(inlined, image_symtab(module->image), &body) && strcmp(body.text, name) == 0;
}

/* Lines and inlined functions, where the file or its debug file carries them; and the name, where
 * that says more than the symbol. */
static void add_sources(struct naming *naming, const struct module *module, uint64_t vaddr,
                        const struct symbol *symbol, struct strbuf *name, struct frame_info *info)
{
    struct sources *sources = image_sources(module->image);
    struct source_frame found[SOURCE_FRAMES], first[SOURCE_FRAMES];
    size_t count = sources ? sources_find(sources, vaddr, found) : 0;
    size_t first_count;

    if (count == 0)
        return;
    if (naming->options->function_lines) {
        first_count = sources_find(sources, symbol->start, first);
        if (first_count)
            found[count - 1].first_line = first[first_count - 1].line;
    }
    if (found[count - 1].function) {
        strbuf_reset(name);
        add_name(naming, module, found[count - 1].function, name);
    }
    for (size_t i = 0; i < count; i++)
        set_cython_line(naming, i == count - 1 ? symbol->name : found[i].function, &found[i]);
    if (count > 1 && is_wrapper_of(module, name->text, found[count - 2].function))
        count--;
    set_source(naming, &found[count - 1], info);
    add_inlined(naming, module, found, count - 1);
}

static void name_in_image(struct naming *naming, const struct module *module, uint64_t vaddr,
                          struct strbuf *name, struct frame_info *info)
{
    const struct symbol *symbol = symtab_find(image_symtab(module->image), vaddr);

    set_module_file(naming, module, info);
    if (!symbol) {
        if (add_place(naming, module, vaddr, name))
            info->short_file = STRING_EMPTY; /* the name has the module's already */
        return;
    }
    add_name(naming, module, symbol->name, name);
    if (!module->is_interpreter)
        add_sources(naming, module, vaddr, symbol, name, info);
}

/* An interpreter built with tail calls has its eval loop in pieces, a function for each opcode. The
 * loop's own frame, which holds the anchor, stands outside of them: the Python frames are there. */
static bool is_piece_of_loop(const struct module *module, const struct strbuf *name)
{
    return module->is_interpreter && strncmp(name->text, TAIL_CALL, strlen(TAIL_CALL)) == 0;
}

/* CPython's -X perf puts a piece of code, "py::function:file", between each two Python functions.
 */
static bool is_trampoline(const struct naming *naming, const struct module *module,
                          const struct strbuf *name)
{
    return naming->saw_python && module->has_plain_names &&
           strncmp(name->text, TRAMPOLINE, strlen(TRAMPOLINE)) == 0;
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

static enum fold_class fold_in_interpreter(const struct naming *naming, const struct module *module,
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
    if (shown) {
        info->name = profile_string(naming->profile, shown);
        info->short_file = STRING_EMPTY;
    }
    return class;
}

static enum fold_class fold(const struct naming *naming, const struct module *module,
                            uint64_t vaddr, const char *readable, struct frame_info *info)
{
    if (!naming->options->fold)
        return FOLD_STAYS;
    if (module->is_interpreter && module->image)
        return fold_in_interpreter(naming, module, vaddr, readable, info);
    return fold_other(readable, path_base(module->path));
}

static void resolve(struct naming *naming, frame_id frame, const struct native_ref *ref)
{
    const struct module *module = &naming->modules->modules.items[ref->module];
    uint64_t vaddr = ref->offset - ref->is_return;
    cleanup(strbuf_deinit) struct strbuf name = STRBUF_INIT;
    struct frame_info info = {.kind = module->is_interpreter ? FRAME_INTERPRETER : FRAME_NATIVE,
                              .module = profile_string(naming->profile, module->path)};

    if (module->image)
        name_in_image(naming, module, vaddr, &name, &info);
    else
        strbuf_add_text(&name, path_base(module->path));
    info.name = profile_string(naming->profile, name.text);
    naming->classes.items[frame.v] = (uint8_t)fold(naming, module, vaddr, name.text, &info);
    profile_frame_resolve(naming->profile, frame, &info);
    if (is_piece_of_loop(module, &name) || is_trampoline(naming, module, &name) ||
        (naming->options->fold && cython_is_helper(name.text)))
        naming->sequences.frames.length--; /* nothing stands for it */
}

void symbolize(struct profile *profile, struct module_list *modules, int root_fd,
               const struct ufunc_loops *loops, const struct symbolize_options *options)
{
    struct naming naming = {.profile = profile,
                            .modules = modules,
                            .root_fd = root_fd,
                            .loops = loops,
                            .options = options,
                            .cython = cython_sources_create()};
    uint32_t count = (uint32_t)profile->frames.length; /* without the inlined ones that join */

    vec_each (module, &modules->modules)
        naming.saw_python |= module->is_interpreter;
    for (uint32_t i = 0; i < count; i++) {
        const struct native_ref *ref = profile_frame_ref(profile, (frame_id){i});

        vec_push(&naming.sequences.frames, (frame_id){i});
        vec_push(&naming.classes, FOLD_STAYS);
        if (ref) {
            struct native_ref copy = *ref; /* it moves when frames are added */

            resolve(&naming, (frame_id){i}, &copy);
        }
        vec_push(&naming.sequences.ends, (uint32_t)naming.sequences.frames.length);
    }
    profile_expand(profile, &naming.sequences);
    if (options->fold)
        fold_stacks(profile, &naming.classes);
    vec_deinit(&naming.sequences.frames);
    vec_deinit(&naming.sequences.ends);
    cython_sources_destroy(naming.cython);
    vec_deinit(&naming.classes);
}
