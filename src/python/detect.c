/* SPDX-License-Identifier: MIT */
/*
 * Finding the interpreter, without running any of its code.
 *
 * Which file: the executable and files called python or libpython are looked at first, then what
 * else exports Python's names (a program that embeds it may keep it in a plugin). Where in it: the
 * symbol _PyRuntime, the section .PyRuntime, or up to 3.6 interp_head; a stripped file still
 * exports functions that tell (symbols.c); one that exports nothing is searched (scan.c). Which
 * version: version.c, and from 3.13 on the runtime's own table.
 */
#include "detect.h"

#include <stdlib.h>
#include <string.h>

#include "code.h"
#include "pspy/base/cleanup.h"
#include "pspy/python/debugoffsets.h"

#define RUNTIME_SECTION ".PyRuntime"
#define COOKIE          "xdebugpy"

/* Files without a telling name that are looked into at each call: opening hundreds takes time. */
#define OTHERS_PER_CALL 16

#define GIL_SPREAD     1024 /* bytes between the parts of 3.6's GIL, static variables of one file */
#define GIL_PARTS      4
#define CONDITION_SIZE 48 /* pthread_cond_t */
#define SEMAPHORE_SIZE 32 /* sem_t */

static bool is_named_python(const struct module *module)
{
    const char *name = strrchr(module->path, '/') + 1;

    return strncmp(name, "python", 6) == 0 || strncmp(name, "libpython", 9) == 0;
}

static uint32_t find_main_module(const struct address_space *space, const struct target *target)
{
    static const char deleted[] = " (deleted)"; /* not part of a module's path either */
    cleanup(strbuf_deinit) struct strbuf path = STRBUF_INIT;
    size_t length;

    target_executable(target, &path);
    length = path.length;
    if (length >= sizeof(deleted) - 1 &&
        strcmp(path.text + length - (sizeof(deleted) - 1), deleted) == 0)
        strbuf_truncate(&path, length - (sizeof(deleted) - 1));
    vec_each (region, &space->regions) {
        if (region->module != MODULE_NONE &&
            strcmp(space->modules->modules.items[region->module].path, path.text) == 0)
            return region->module;
    }
    return MODULE_NONE;
}

static void note_export(void *context, const struct image_symbol *symbol)
{
    bool *found = context;

    if (strcmp(symbol->name, "_PyRuntime") == 0 || strcmp(symbol->name, "Py_Main") == 0)
        *found = true;
}

static bool holds_python(struct image *image)
{
    uint64_t vaddr, size;
    bool found = image_section(image, RUNTIME_SECTION, &vaddr, &size);

    if (!found)
        image_each_symbol(image, IMAGE_DYNSYM, note_export, &found);
    return found;
}

/* ---- One file ---- */

static struct module *module_of(const struct binary *binary)
{
    return &binary->space->modules->modules.items[binary->module];
}

static void collect_symbols(const struct binary *binary, struct symbols *ret)
{
    bool is_stripped;

    symbols_add(ret, binary->image, IMAGE_DYNSYM);
    is_stripped = !symbols_add(ret, binary->image, IMAGE_SYMTAB);
    if (is_stripped && !ret->vaddr[SYMBOL_VERSION]) /* from 3.11 on all we need is exported */
        symbols_add(ret, binary->image, IMAGE_DEBUG_FILE);
}

/* What names an interpreter; the section counts as the symbol that it starts with. */
static bool has_anchor(const struct binary *binary, struct symbols *symbols)
{
    uint64_t *runtime = &symbols->vaddr[SYMBOL_RUNTIME], size;

    return *runtime || image_section(binary->image, RUNTIME_SECTION, runtime, &size) ||
           symbols->vaddr[SYMBOL_INTERPRETERS] || symbols->vaddr[SYMBOL_GET_INTERPRETERS];
}

static uint64_t find_runtime(const struct binary *binary, const struct symbols *symbols)
{
    uint64_t runtime = 0;

    if (symbols->vaddr[SYMBOL_RUNTIME])
        return binary->bias + symbols->vaddr[SYMBOL_RUNTIME];
    if (!symbols->vaddr[SYMBOL_INTERPRETERS] && !symbols->vaddr[SYMBOL_GET_INTERPRETERS])
        scan_table(binary, &runtime);
    return runtime;
}

/* The table of offsets says more than the file can. */
static bool read_table(const struct target *target, uint64_t runtime, unsigned char *ret,
                       uint32_t *ret_version, bool *ret_is_free_threaded)
{
    uint64_t head[3]; /* cookie, version, free_threaded */

    if (!runtime || target_read(target, runtime, ret, DEBUG_OFFSETS_BYTES) != ERR_OK ||
        memcmp(ret, COOKIE, strlen(COOKIE)) != 0)
        return false;
    memcpy(head, ret, sizeof(head));
    *ret_version = (uint32_t)head[1];
    *ret_is_free_threaded = head[2] != 0;
    return true;
}

static bool find_version(const struct binary *binary, const struct symbols *symbols, uint32_t *ret)
{
    return version_of_symbols(binary->image, symbols, ret) ||
           version_of_constants(binary->image, ret) ||
           version_of_name(image_path(binary->image), ret);
}

/* 3.7.0 to 3.7.3; a version that is known by the file's name only has no micro and no level. */
static bool is_early_3_7(uint32_t full_version)
{
    return full_version > 0x03070000 && full_version < 0x030704a0;
}

static enum err fill_layout(struct python *python, const struct binary *binary,
                            const struct symbols *symbols, struct error *why)
{
    struct build build = {.is_debug = symbols->vaddr[SYMBOL_REFERENCE_CHECK] != 0};
    unsigned char table[DEBUG_OFFSETS_BYTES];
    bool has_table = read_table(binary->target, python->runtime, table, &python->full_version,
                                &build.is_free_threaded);
    enum err err;

    if (!has_table && !find_version(binary, symbols, &python->full_version))
        return error_set(why, ERR_UNSUPPORTED, "%s is a Python of unknown version",
                         image_path(binary->image));
    build.is_early = is_early_3_7(python->full_version);
    err = layout_select(python->full_version >> 16, build, &python->layout, why);
    if (err != ERR_OK)
        return err;
    python->is_guessed = layout_is_guessed(python->full_version >> 16);
    if (has_table || !python->layout.thread_interpreter) /* the row leaves it to the table */
        return debugoffsets_apply(table, has_table ? sizeof(table) : 0, &python->layout, why);
    if (symbols->vaddr[SYMBOL_ALL_OBJECTS] && !build.is_debug)
        return error_set(why, ERR_UNSUPPORTED,
                         "%s was built with --with-trace-refs, which pspy does not read",
                         image_path(binary->image));
    return ERR_OK;
}

/* A static variable by its symbol, else by the function that uses it. */
static uint64_t place_variable(const struct binary *binary, const struct symbols *symbols,
                               enum symbol_id variable, enum symbol_id function)
{
    uint64_t vaddr = symbols->vaddr[variable];

    if (!vaddr && !code_find_variable(binary->image, symbols->vaddr[function], &vaddr))
        return 0;
    return binary->bias + vaddr;
}

static void find_interpreters(struct python *python, const struct binary *binary,
                              const struct symbols *symbols)
{
    uint32_t offset = python->layout.runtime_interpreters;

    if (python->runtime)
        python->interpreters_at = python->runtime + offset;
    else if (offset == 0)
        python->interpreters_at =
            place_variable(binary, symbols, SYMBOL_INTERPRETERS, SYMBOL_GET_INTERPRETERS);
    if (python->interpreters_at ||
        !scan_interpreters(binary, &python->layout, &python->interpreters_at))
        return;
    if (offset)
        python->runtime = python->interpreters_at - offset;
}

/* The parts of 3.6's GIL by their symbols, else by the function that destroys them. */
static size_t list_gil_parts(const struct binary *binary, const struct symbols *symbols,
                             uint64_t ret_vaddrs[GIL_PARTS])
{
    static const enum symbol_id parts[GIL_PARTS] = {SYMBOL_GIL_MUTEX, SYMBOL_GIL_COND,
                                                    SYMBOL_SWITCH_MUTEX, SYMBOL_SWITCH_COND};
    size_t count = 0;

    for (size_t i = 0; i < GIL_PARTS; i++)
        if (symbols->vaddr[parts[i]])
            ret_vaddrs[count++] = symbols->vaddr[parts[i]];
    return count ? count
                 : code_find_addresses(binary->image, symbols->vaddr[SYMBOL_END_THREADS],
                                       ret_vaddrs, GIL_PARTS);
}

static void find_static_gil(struct python *python, const struct binary *binary,
                            const struct symbols *symbols)
{
    uint64_t vaddrs[GIL_PARTS], low = UINT64_MAX, high = 0;
    size_t count = list_gil_parts(binary, symbols, vaddrs);

    if (symbols->vaddr[SYMBOL_THREAD_CURRENT])
        python->gil_holder_at = binary->bias + symbols->vaddr[SYMBOL_THREAD_CURRENT];
    for (size_t i = 0; i < count; i++) {
        low = vaddrs[i] < low ? vaddrs[i] : low;
        high = vaddrs[i] > high ? vaddrs[i] : high;
    }
    if (count && high - low < GIL_SPREAD) {
        python->gil_at = binary->bias + low;
        python->gil_size = high - low + CONDITION_SIZE;
    }
}

/* 2.7: a lock that is made when threads are first used. */
static void find_lock(struct python *python, const struct binary *binary,
                      const struct symbols *symbols)
{
    python->gil_lock_at = place_variable(binary, symbols, SYMBOL_GIL_LOCK, SYMBOL_GET_THREADS);
    python->gil_size = SEMAPHORE_SIZE;
}

static void find_gil(struct python *python, const struct binary *binary,
                     const struct symbols *symbols)
{
    const struct layout *layout = &python->layout;

    if (layout->gil == GIL_RUNTIME) {
        python->gil_at = python->runtime + layout->runtime_gil;
        python->gil_size = layout->gil_size;
    } else if (layout->gil == GIL_CURRENT) {
        find_static_gil(python, binary, symbols);
        if (!python->gil_at && layout->texts == TEXT_BYTES)
            find_lock(python, binary, symbols);
    }
}

static void find_eval_loops(struct python *python, const struct binary *binary,
                            const struct symbols *symbols)
{
    const struct address_range *ranges = symbols->eval_loops.items;
    size_t count = symbols->eval_loops.length;

    if (count == 0) {
        ranges = symbols->eval_frames.items;
        count = symbols->eval_frames.length;
    }
    for (size_t i = 0; i < count; i++) {
        struct address_range range = {binary->bias + ranges[i].start, binary->bias + ranges[i].end};
        bool is_known = false;

        vec_each (known, &python->eval_loops)
            is_known |= known->start == range.start;
        if (!is_known && range.end > range.start)
            vec_push(&python->eval_loops, range);
    }
}

/* What is good to have beside the interpreters. */
static void find_rest(struct python *python, const struct binary *binary,
                      const struct symbols *symbols)
{
    const struct layout *layout = &python->layout;

    if (symbols->vaddr[SYMBOL_UNICODE_2] || symbols->vaddr[SYMBOL_UNICODE_4])
        python->layout.text_width = symbols->vaddr[SYMBOL_UNICODE_4] ? 4 : 2;
    if (symbols->vaddr[SYMBOL_CODE_TYPE])
        python->code_type = binary->bias + symbols->vaddr[SYMBOL_CODE_TYPE];
    if (layout->runtime_collecting)
        python->collecting_at = python->runtime + layout->runtime_collecting;
    else if (!layout->interpreter_collecting)
        python->collecting_at = place_variable(binary, symbols, SYMBOL_COLLECTING, SYMBOL_COLLECT);
    find_gil(python, binary, symbols);
    find_eval_loops(python, binary, symbols);
}

static enum err refuse_unstarted(const struct binary *binary, struct error *why)
{
    return error_set(why, ERR_INVALID, "the Python in %s has not started yet",
                     image_path(binary->image));
}

static bool is_started(const struct target *target, uint64_t interpreters_at)
{
    uint64_t interpreter = 0;

    return target_read(target, interpreters_at, &interpreter, 8) == ERR_OK && interpreter != 0;
}

static enum err open_binary(const struct binary *binary, struct python *ret, struct error *why)
{
    cleanup(symbols_deinit) struct symbols symbols = SYMBOLS_INIT;
    struct python python = {.module = binary->module};
    struct module *module = module_of(binary);
    enum err err;

    if (module->waits_for && !is_started(binary->target, binary->bias + module->waits_for))
        return refuse_unstarted(binary, why);
    collect_symbols(binary, &symbols);
    if (!has_anchor(binary, &symbols) &&
        !version_of_constants(binary->image, &python.full_version)) {
        module->was_searched = true;
        return ERR_NOT_FOUND;
    }
    module->is_interpreter = true;
    python.runtime = find_runtime(binary, &symbols);
    err = fill_layout(&python, binary, &symbols, why);
    if (err != ERR_OK)
        return err;
    find_interpreters(&python, binary, &symbols);
    if (!python.interpreters_at)
        return error_set(why, ERR_NOT_FOUND,
                         "%s is stripped, and no running interpreter is found in its memory",
                         image_path(binary->image));
    module->waits_for = python.interpreters_at - binary->bias;
    if (!is_started(binary->target, python.interpreters_at))
        return refuse_unstarted(binary, why);
    find_rest(&python, binary, &symbols);
    python.codes = code_cache_create();
    *ret = python;
    return ERR_OK;
}

/* ---- All files ---- */

/* The outcome of several files: that they hold no Python counts least. */
struct outcome {
    enum err err;
    struct error why;
};

/* Tries the module behind a region. True if it was opened. */
static bool try_region(struct address_space *space, const struct target *target, size_t index,
                       struct python *ret, struct outcome *outcome)
{
    const struct region *region = &space->regions.items[index];
    struct binary binary = {space, target, region_image(space, target, region), region->module, 0};
    struct error why = ERROR_INIT;
    enum err err;

    region = &space->regions.items[index];
    if (!binary.image || !region->has_bias)
        return false;
    binary.bias = region->bias;
    err = open_binary(&binary, ret, &why);
    if (err == ERR_OK)
        return true;
    /* One that is about to start is worth waiting for. */
    if (why.code != ERR_OK && (outcome->err == ERR_NOT_FOUND || err == ERR_INVALID))
        *outcome = (struct outcome){err, why};
    return false;
}

static bool try_likely(struct address_space *space, const struct target *target, struct python *ret,
                       struct outcome *outcome)
{
    uint32_t main_module = find_main_module(space, target), last = MODULE_NONE;

    for (size_t i = 0; i < space->regions.length; i++) {
        const struct region *region = &space->regions.items[i];
        const struct module *module;

        if (!region->is_executable || region->module == MODULE_NONE || region->module == last)
            continue;
        module = &space->modules->modules.items[region->module];
        if (module->was_searched || module->path[0] != '/' ||
            (region->module != main_module && !module->is_interpreter && !is_named_python(module)))
            continue;
        last = region->module;
        if (try_region(space, target, i, ret, outcome))
            return true;
    }
    return false;
}

static bool try_others(struct address_space *space, const struct target *target, struct python *ret,
                       struct outcome *outcome)
{
    unsigned opened = 0;

    for (size_t i = 0; i < space->regions.length && opened < OTHERS_PER_CALL; i++) {
        const struct region *region = &space->regions.items[i];
        struct module *module;
        struct image *image;

        if (!region->is_executable || region->module == MODULE_NONE)
            continue;
        module = &space->modules->modules.items[region->module];
        if (module->was_searched || module->is_interpreter || module->path[0] != '/')
            continue;
        opened++;
        image = region_image(space, target, region);
        module->was_searched = !image || !holds_python(image);
        if (!module->was_searched && try_region(space, target, i, ret, outcome))
            return true;
    }
    return false;
}

/* Pythons that are not CPython, by the names of their files. */
static const char *find_other_python(const struct address_space *space)
{
    static const struct {
        const char *file, *name;
    } others[] = {
        {"pypy", "PyPy"},       {"libpypy", "PyPy"},        {"micropython", "MicroPython"},
        {"graalpy", "GraalPy"}, {"libpythonvm", "GraalPy"},
    };

    vec_each (region, &space->regions) {
        const char *path, *slash;

        if (!region->is_executable || region->module == MODULE_NONE)
            continue;
        path = space->modules->modules.items[region->module].path;
        slash = strrchr(path, '/');
        for (size_t i = 0; slash && i < sizeof(others) / sizeof(others[0]); i++)
            if (strncmp(slash + 1, others[i].file, strlen(others[i].file)) == 0)
                return others[i].name;
    }
    return NULL;
}

enum err python_open(struct address_space *space, const struct target *target, struct python *ret,
                     struct error *why)
{
    struct outcome outcome = {ERR_NOT_FOUND, ERROR_INIT};
    const char *other;

    if (try_likely(space, target, ret, &outcome) || try_others(space, target, ret, &outcome))
        return ERR_OK;
    if (outcome.why.code != ERR_OK) {
        if (why)
            *why = outcome.why;
        return outcome.err;
    }
    other = find_other_python(space);
    if (other)
        return error_set(why, ERR_UNSUPPORTED,
                         "process %d runs %s, and pspy reads the frames of CPython only",
                         target->pid, other);
    return error_set(why, ERR_NOT_FOUND, "no Python interpreter in process %d", target->pid);
}

void python_close(struct python *python)
{
    vec_deinit(&python->threads);
    vec_deinit(&python->eval_loops);
    vec_deinit(&python->doubted);
    code_cache_destroy(python->codes);
    *python = (struct python){.module = MODULE_NONE};
}

bool python_is_code_type(struct python *python, const struct target *target, uint64_t type)
{
    cleanup(strbuf_deinit) struct strbuf name = STRBUF_INIT;
    uint64_t name_at;

    if (!python->code_type &&
        target_read(target, type + python->layout.type_name, &name_at, 8) == ERR_OK &&
        target_read_text(target, name_at, sizeof("code"), &name) == ERR_OK &&
        strcmp(name.text, "code") == 0)
        python->code_type = type;
    return type != 0 && type == python->code_type;
}
