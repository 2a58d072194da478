/* SPDX-License-Identifier: MIT */
/*
 * A walk goes by our own rows (walk.c). A file's are compiled when a stack first leads there: a
 * NumPy process maps code of 800,000 rows, which take 20 ms, and runs in a quarter of it. Where a
 * row is exotic, libunwind walks the whole stack anew (remote.c); where code has no unwind
 * information, scan.c looks for a caller that can be verified. The rows of a file's separate debug
 * file are added when a walk first ends in the file for want of information: most files have none.
 */
#include "pspy/unwind/unwinder.h"

#include <elf.h>
#include <stdlib.h>

#include "code.h"
#include "internal.h"
#include "pspy/base/xmalloc.h"

#define ENTRY_BYTES 64 /* more than the code before the first call in any C library */

void native_stack_deinit(struct native_stack *stack)
{
    vec_deinit(&stack->frames);
}

struct unwinder *unwinder_create(struct address_space *space, const struct target *target)
{
    struct unwinder *unwinder = xcalloc(1, sizeof(*unwinder));

    unwinder->space = space;
    unwinder->target = target;
    unwinder->remote = remote_create(unwinder);
    walk_cache_init(&unwinder->cache);
    return unwinder;
}

void unwinder_destroy(struct unwinder *unwinder)
{
    if (!unwinder)
        return;
    remote_destroy(unwinder->remote);
    walk_cache_deinit(&unwinder->cache);
    free(unwinder);
}

/* ---- what lies where ------------------------------------------------------------------------- */

/* Whether it is known without opening or compiling anything what a region's addresses are. */
static bool is_prepared(const struct unwinder *unwinder, const struct region *region)
{
    const struct module *module;

    if (region->module == MODULE_NONE)
        return !region->is_executable;
    module = &unwinder->space->modules->modules.items[region->module];
    if (!module->was_tried || !region->bias_was_tried)
        return false;
    return module->image ? image_cfi_is_ready(module->image) : !region->is_executable;
}

enum code_state unwinder_find_code(struct unwinder *unwinder, uint64_t address,
                                   struct code_place *ret)
{
    const struct region *region;

    if (!unwinder->may_load) {
        region = address_space_find(unwinder->space, address);
        if (region && !is_prepared(unwinder, region))
            return CODE_UNPREPARED;
    }
    return address_space_place(unwinder->space, unwinder->target, address, ret) ? CODE_FOUND
                                                                                : CODE_UNMAPPED;
}

const struct cfi *unwinder_rows(const struct unwinder *unwinder, const struct code_place *place)
{
    const struct cfi *rows = place->image ? image_cfi(place->image) : NULL;

    return rows && rows->arch == unwinder->arch ? rows : NULL;
}

bool unwinder_has_info(struct unwinder *unwinder, uint64_t ip)
{
    const struct cfi *rows;
    struct code_place place;

    if (unwinder_find_code(unwinder, ip, &place) != CODE_FOUND)
        return false;
    rows = unwinder_rows(unwinder, &place);
    return rows && cfi_find(rows, ip - place.bias)->kind != CFI_GAP;
}

bool unwinder_read_file(struct unwinder *unwinder, uint64_t address, void *ret, size_t size)
{
    struct code_place place;

    return unwinder_find_code(unwinder, address, &place) == CODE_FOUND && place.image &&
           image_read(place.image, address - place.bias, ret, size);
}

bool unwinder_read_code(struct unwinder *unwinder, uint64_t address, void *ret, size_t size)
{
    return unwinder_read_file(unwinder, address, ret, size) ||
           target_read(unwinder->target, address, ret, size) == ERR_OK;
}

/* What was known of code that is no longer there is forgotten. */
static void follow_generation(struct unwinder *unwinder)
{
    if (unwinder->generation == unwinder->space->generation)
        return;
    walk_cache_flush(&unwinder->cache);
    remote_flush(unwinder->remote);
    unwinder->generation = unwinder->space->generation;
}

void unwinder_prepare(struct unwinder *unwinder)
{
    unwinder->may_load = true;
    follow_generation(unwinder);
    for (size_t i = 0; i < unwinder->space->regions.length; i++) {
        const struct region *region = &unwinder->space->regions.items[i];
        struct code_place place;

        if (region->is_executable)
            unwinder_find_code(unwinder, region->start, &place);
    }
}

/* ---- walking --------------------------------------------------------------------------------- */

enum walk_end unwinder_walk_tables(struct unwinder *unwinder, struct regs *regs,
                                   bool first_is_return, size_t limit, struct native_stack *ret)
{
    size_t kept = ret->frames.length;
    struct regs start = *regs;
    enum walk_end end;

    if (walk_rows(unwinder, regs, first_is_return, limit, ret, &end))
        return end;
    ret->frames.length = kept;
    *regs = start;
    unwinder->is_certain_root = false;
    return remote_walk(unwinder->remote, regs, first_is_return, limit, ret);
}

static struct image *image_of_last_frame(struct unwinder *unwinder,
                                         const struct native_stack *stack)
{
    const struct native_frame *frame = &stack->frames.items[stack->frames.length - 1];
    struct code_place place;

    return unwinder_find_code(unwinder, frame->pc - frame->is_return, &place) == CODE_FOUND
               ? place.image
               : NULL;
}

/* The program's first instructions (the dynamic linker's, a static program's own) were called by
 * nobody, and are often assembler without unwind information that would say so. (aarch64's says it,
 * and lies beside code that was called.) */
static bool is_entry_code(struct unwinder *unwinder, const struct native_stack *stack)
{
    const struct image *image = image_of_last_frame(unwinder, stack);
    uint64_t entry = image ? image_entry(image) : 0;

    return entry && unwinder->arch->pc == unwinder->arch->tracked[CFI_RA] &&
           stack->frames.items[stack->frames.length - 1].offset - entry <= ENTRY_BYTES;
}

/* A return address that no call left: the first instruction of a function, with nothing before it.
 * makecontext() begins a coroutine's stack so, by __start_context. */
static bool is_made_up(struct unwinder *unwinder, const struct native_stack *stack)
{
    const struct native_frame *frame = &stack->frames.items[stack->frames.length - 1];
    uint64_t target;

    return frame->is_return && unwinder_has_info(unwinder, frame->pc) &&
           !unwinder_has_info(unwinder, frame->pc - 1) &&
           unwinder->code->call_before(unwinder, frame->pc, &target) == CALL_NONE;
}

/* True if there is more information than before about where the walk ended. */
static bool learn_more(struct unwinder *unwinder, const struct native_stack *stack)
{
    struct image *image = image_of_last_frame(unwinder, stack);

    if (!image || !image_cfi_add_debug_file(image))
        return false;
    walk_cache_flush(&unwinder->cache);
    return true;
}

static void begin_walk(struct unwinder *unwinder, const struct regs *regs,
                       const struct snapshot *stack, bool may_load, struct native_stack *ret)
{
    if (unwinder->arch != regs->arch) {
        unwinder->arch = regs->arch;
        unwinder->code = code_arch_find(regs->arch);
        walk_cache_flush(&unwinder->cache);
    }
    unwinder->may_load = may_load;
    unwinder->stack = stack;
    follow_generation(unwinder);
    vec_reset(&ret->frames);
    ret->is_guessed = false;
}

void unwinder_walk(struct unwinder *unwinder, const struct regs *regs, const struct snapshot *stack,
                   size_t limit, struct native_stack *ret)
{
    struct regs now;

    do {
        begin_walk(unwinder, regs, stack, true, ret);
        now = *regs;
        ret->end = unwinder_walk_tables(unwinder, &now, false, limit, ret);
    } while (ret->end == WALK_NO_INFO && learn_more(unwinder, ret));
    if (ret->end == WALK_NO_INFO && (is_entry_code(unwinder, ret) || is_made_up(unwinder, ret)))
        ret->end = WALK_ROOT;
    if (ret->end == WALK_NO_INFO)
        ret->end = scan_for_caller(unwinder, &now, limit, ret);
}

bool unwinder_walk_prepared(struct unwinder *unwinder, const struct regs *regs,
                            const struct snapshot *stack, size_t limit, struct native_stack *ret)
{
    struct regs now = *regs;

    if (unwinder->generation != unwinder->space->generation)
        return false;
    begin_walk(unwinder, regs, stack, false, ret);
    if (ret->frames.capacity < limit)
        return false;
    return walk_rows(unwinder, &now, false, limit, ret, &ret->end) && ret->end != WALK_NO_INFO &&
           ret->end != WALK_UNMAPPED && ret->end != WALK_TRUNCATED;
}
