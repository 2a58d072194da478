/* SPDX-License-Identifier: MIT */
/*
 * libunwind over our own accessors, for the rare code whose unwind information our rows cannot
 * hold. libunwind asks for words of memory, registers and the unwind table of an address; we answer
 * from the copy of the stack and from the ELF files, so that a walk needs no stopped thread.
 *
 * Where the tables say nothing, libunwind 1.6 guesses from the frame pointer. A guess that passes
 * as a fact is worse than no stack, so its steps from such code are taken only out of a PLT stub,
 * where it recognizes the instructions.
 */
#include <libunwind.h>
#include <stdlib.h>

#include "code.h"
#include "internal.h"
#include "pspy/base/xmalloc.h"
#include "pspy/elf/ehframe.h"

/* Exported by libunwind's remote library, declared only in its private headers. */
extern int UNW_OBJ(dwarf_search_unwind_table)(unw_addr_space_t space, unw_word_t ip,
                                              unw_dyn_info_t *table, unw_proc_info_t *ret,
                                              int need_unwind_info, void *context);

#define CACHED_STATES 2048

struct remote {
    struct unwinder *unwinder;
    /* libunwind caches what it finds by pc alone, but a return address follows the row before it:
     * one cache for return addresses, one for where code stands. */
    unw_addr_space_t returns, stands;
    /* What libunwind's callbacks see during one walk. */
    const struct regs *regs;
    const struct image *searched; /* whose table is or was being searched */
    uint64_t searched_bias;
    bool info_was_missing;
    bool register_was_missing;
    bool memory_was_missing;
};

/* A table that the image made lies behind it, where something else may be mapped. A segment may end
 * within a word. */
static bool read_searched(const struct remote *remote, uint64_t address, unw_word_t *ret)
{
    for (size_t size = sizeof(*ret); remote->searched && size > 0; size--)
        if (image_read(remote->searched, address - remote->searched_bias, ret, size))
            return true;
    return false;
}

static int find_in_table(struct remote *remote, uint64_t ip, unw_proc_info_t *ret, int need_info)
{
    struct ehframe_table table;
    struct code_place place;
    unw_dyn_info_t info = {.format = UNW_INFO_FORMAT_REMOTE_TABLE};

    if (unwinder_find_code(remote->unwinder, ip, &place) != CODE_FOUND || !place.image ||
        !ehframe_table(place.image, &table))
        return -UNW_ENOINFO;
    remote->searched = place.image;
    remote->searched_bias = place.bias;
    info.start_ip = place.start;
    info.end_ip = place.end;
    info.u.rti.segbase = place.bias + table.header;
    info.u.rti.table_data = place.bias + table.entries;
    info.u.rti.table_len = table.count * 8ull / sizeof(unw_word_t);
    return UNW_OBJ(dwarf_search_unwind_table)(remote->returns, ip, &info, ret, need_info, remote);
}

static int find_proc_info(unw_addr_space_t space, unw_word_t ip, unw_proc_info_t *ret,
                          int need_info, void *context)
{
    struct remote *remote = context;
    int result = find_in_table(remote, ip, ret, need_info);

    (void)space;
    if (result < 0)
        remote->info_was_missing = true;
    return result;
}

static void put_unwind_info(unw_addr_space_t space, unw_proc_info_t *info, void *context)
{
    (void)space, (void)info, (void)context;
}

static int get_dyn_info_list(unw_addr_space_t space, unw_word_t *ret, void *context)
{
    (void)space, (void)ret, (void)context;
    return -UNW_ENOINFO;
}

/* The pointer to a C++ or Rust personality routine, which libunwind reads with the row, lies in
 * data that the loader writes once; no stack lies in a file's mapping. */
static bool read_data(struct remote *remote, uint64_t address, void *ret, size_t size)
{
    const struct region *region = address_space_find(remote->unwinder->space, address);

    return region && region->module != MODULE_NONE && !region->is_executable &&
           target_read(remote->unwinder->target, address, ret, size) == ERR_OK;
}

static int access_mem(unw_addr_space_t space, unw_word_t address, unw_word_t *value, int write,
                      void *context)
{
    struct remote *remote = context;

    (void)space;
    if (write)
        return -UNW_EINVAL;
    *value = 0;
    if (snapshot_read(remote->unwinder->stack, address, value, sizeof(*value)) == ERR_OK ||
        read_searched(remote, address, value) ||
        unwinder_read_file(remote->unwinder, address, value, sizeof(*value)) ||
        read_data(remote, address, value, sizeof(*value)))
        return 0;
    remote->memory_was_missing = true;
    return -UNW_EINVAL;
}

/* libunwind numbers these machines' registers as DWARF does, and so do we. */
static int access_reg(unw_addr_space_t space, unw_regnum_t number, unw_word_t *value, int write,
                      void *context)
{
    struct remote *remote = context;

    (void)space;
    if (write || number < 0 || !regs_has(remote->regs, (unsigned)number)) {
        remote->register_was_missing = true;
        return -UNW_EBADREG;
    }
    *value = remote->regs->value[number];
    return 0;
}

static int access_fpreg(unw_addr_space_t space, unw_regnum_t number, unw_fpreg_t *value, int write,
                        void *context)
{
    (void)space, (void)number, (void)value, (void)write, (void)context;
    return -UNW_EBADREG;
}

static int resume(unw_addr_space_t space, unw_cursor_t *cursor, void *context)
{
    (void)space, (void)cursor, (void)context;
    return -UNW_EINVAL;
}

static int get_proc_name(unw_addr_space_t space, unw_word_t ip, char *name, size_t size,
                         unw_word_t *offset, void *context)
{
    (void)space, (void)ip, (void)name, (void)size, (void)offset, (void)context;
    return -UNW_EINVAL;
}

static unw_accessors_t accessors = {
    .find_proc_info = find_proc_info,
    .put_unwind_info = put_unwind_info,
    .get_dyn_info_list_addr = get_dyn_info_list,
    .access_mem = access_mem,
    .access_reg = access_reg,
    .access_fpreg = access_fpreg,
    .resume = resume,
    .get_proc_name = get_proc_name,
};

static unw_addr_space_t create_cache(void)
{
    unw_addr_space_t space = unw_create_addr_space(&accessors, 0);

    if (!space)
        abort(); /* only when memory is exhausted */
    unw_set_caching_policy(space, UNW_CACHE_GLOBAL);
    unw_set_cache_size(space, CACHED_STATES, 0);
    return space;
}

struct remote *remote_create(struct unwinder *unwinder)
{
    struct remote *remote = xcalloc(1, sizeof(*remote));

    remote->unwinder = unwinder;
    remote->returns = create_cache();
    remote->stands = create_cache();
    return remote;
}

void remote_destroy(struct remote *remote)
{
    if (!remote)
        return;
    unw_destroy_addr_space(remote->returns);
    unw_destroy_addr_space(remote->stands);
    free(remote);
}

void remote_flush(struct remote *remote)
{
    unw_flush_cache(remote->returns, 0, 0);
    unw_flush_cache(remote->stands, 0, 0);
}

static struct native_frame frame_at(struct remote *remote, uint64_t pc, uint64_t sp, bool is_return)
{
    struct native_frame frame = {
        .pc = pc, .sp = sp, .cfa = UINT64_MAX, .module = MODULE_NONE, .is_return = is_return};
    struct code_place place;

    if (unwinder_find_code(remote->unwinder, pc - is_return, &place) != CODE_FOUND)
        return frame;
    frame.module = place.module;
    if (place.image)
        frame.offset = pc - place.bias;
    return frame;
}

/* For want of a register libunwind looks for other ways, and says then that there is no
 * information.
 */
static enum walk_end end_of(const struct remote *remote)
{
    if (remote->register_was_missing)
        return WALK_NO_REGISTER;
    if (remote->memory_was_missing && !remote->info_was_missing)
        return WALK_UNREADABLE;
    return WALK_NO_INFO;
}

/* Without tables libunwind is believed only where the code itself says where the caller is. */
static bool is_plt_step(struct remote *remote, const struct native_frame *inner, uint64_t pc,
                        uint64_t sp)
{
    struct regs regs = regs_of_place(remote->unwinder->arch, inner->pc, inner->sp);

    return !inner->is_return && remote->unwinder->code->leave_stub(remote->unwinder, &regs) &&
           sp == regs_sp(&regs) && pc == regs_pc(&regs);
}

/* One step outwards. False at the end, with the reason in *ret_end. */
static bool step(struct remote *remote, unw_cursor_t *cursor, struct native_stack *stack,
                 enum walk_end *ret_end)
{
    struct native_frame *inner = &stack->frames.items[stack->frames.length - 1];
    bool is_signal_frame = remote->unwinder->code->is_restorer(remote->unwinder, inner->pc);
    unw_word_t pc, sp;
    int result;

    remote->info_was_missing = remote->memory_was_missing = false;
    remote->register_was_missing = false;
    result = unw_step(cursor);
    if (result < 0 || (result == 0 && remote->info_was_missing)) {
        *ret_end = end_of(remote);
        return false;
    }
    *ret_end = WALK_ROOT;
    if (result == 0 || unw_get_reg(cursor, UNW_REG_IP, &pc) < 0 ||
        unw_get_reg(cursor, UNW_REG_SP, &sp) < 0)
        return false;
    if ((remote->info_was_missing || remote->register_was_missing) &&
        !is_plt_step(remote, inner, pc, sp)) {
        *ret_end = end_of(remote);
        return false;
    }
    if (pc == 0)
        return false;
    if (!address_space_find(remote->unwinder->space, pc - 1)) {
        *ret_end = WALK_UNMAPPED;
        return false;
    }
    if (sp <= inner->sp && !is_signal_frame) {
        *ret_end = WALK_UNREADABLE;
        return false;
    }
    inner->cfa = sp;
    vec_push(&stack->frames, frame_at(remote, pc, sp, !is_signal_frame));
    return true;
}

static struct regs regs_of(unw_cursor_t *cursor, const struct cfi_arch *arch)
{
    struct regs regs = {.arch = arch};

    for (unsigned number = 0; number < arch->count; number++) {
        unw_word_t value;

        if (unw_get_reg(cursor, (int)number, &value) == 0)
            regs_set(&regs, number, value);
    }
    return regs;
}

/* Walks from the last frame up to where the other cache is needed: false, and *regs are there. True
 * at the end of the stack. */
static bool walk_part(struct remote *remote, struct regs *regs, size_t limit,
                      struct native_stack *ret, enum walk_end *ret_end)
{
    bool is_return = ret->frames.items[ret->frames.length - 1].is_return;
    struct regs start = *regs;
    unw_cursor_t cursor;

    /* libunwind looks a first pc up as it is; a return address is one byte behind its call. */
    start.value[start.arch->pc] -= is_return;
    remote->regs = &start;
    *ret_end = WALK_UNMAPPED;
    if (!address_space_find(remote->unwinder->space, regs_pc(&start)))
        return true;
    *ret_end = WALK_UNREADABLE;
    if (unw_init_remote(&cursor, is_return ? remote->returns : remote->stands, remote) < 0)
        return true;
    do {
        *ret_end = WALK_TRUNCATED;
        if (ret->frames.length >= limit || !step(remote, &cursor, ret, ret_end))
            return true;
    } while (is_return && ret->frames.items[ret->frames.length - 1].is_return);
    *regs = regs_of(&cursor, start.arch);
    return false;
}

enum walk_end remote_walk(struct remote *remote, struct regs *regs, bool first_is_return,
                          size_t limit, struct native_stack *ret)
{
    enum walk_end end;

    vec_push(&ret->frames, frame_at(remote, regs_pc(regs), regs_sp(regs), first_is_return));
    if (regs->arch != cfi_arch_host()) /* which is all that libunwind can read */
        return WALK_NO_INFO;
    while (!walk_part(remote, regs, limit, ret, &end))
        ;
    return end;
}
