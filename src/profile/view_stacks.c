/* SPDX-License-Identifier: MIT */
/*
 * Stacks of the profile into stacks of the view: one pass over their tree, in which a parent comes
 * before its children. Each frame becomes what its names say, without what the options hide.
 *
 * Where the interpreter's frames are folded away, whether a program's first frames go is known only
 * when it is seen what they call: until then a node's shown stack has nothing of them, and its
 * whole one stays at hand.
 */
#include <inttypes.h>
#include <string.h>

#include "pspy/base/cleanup.h"
#include "pspy/profile/paths.h"
#include "view_internal.h"

#define LEFT_OUT    "[frames left out]"
#define ONLY_NATIVE "[native]"
#define ONLY_PYTHON "[Python]"

enum stage {
    AT_START, /* nothing but the C library's start so far */
    AT_MAIN,  /* and main */
    BEGUN,
};

/* What a stack of the profile has become. */
struct shaped {
    stack_id stack;
    stack_id whole; /* with the frames that folding takes away; as long as !has_frame */
    uint8_t stage;
    bool has_frame; /* folding leaves more than markers */
    bool hides;     /* python_only or native_only took something away */
};

/* What is shown of a stack that samples have. */
struct finished {
    stack_id stack;
    bool is_known, is_cut;
};

/* The view's frame for one of the profile's, and how it folds. */
struct look {
    frame_id frame;
    uint8_t fold;
    bool is_known, is_hidden;
    bool is_shaped; /* a stack with this frame, or with the address that it stands at, is shown */
};

struct shaping {
    struct view *view;
    bool folds, has_python;
    VEC(struct shaped) stacks;
    VEC(struct finished) finished;
    VEC(struct look) looks; /* by frame of the profile */
    size_t names;           /* of the profile's that were seen */
    VEC(frame_id) path;
};

static bool knows_python(const struct profile *profile)
{
    vec_each (module, &profile->modules)
        if (module->flags & MODULE_INTERPRETER)
            return true;
    return profile->facts.saw_python;
}

struct shaping *shaping_create(struct view *view)
{
    struct shaping *shaping = xcalloc(1, sizeof(*shaping));

    shaping->view = view;
    shaping->folds = view->profile->facts.saw_python && !view->options.native_all;
    shaping->has_python = knows_python(view->profile);
    vec_push(&shaping->stacks, (struct shaped){.stage = AT_START});
    return shaping;
}

void shaping_destroy(struct shaping *shaping)
{
    vec_deinit(&shaping->stacks);
    vec_deinit(&shaping->finished);
    vec_deinit(&shaping->looks);
    vec_deinit(&shaping->path);
    free(shaping);
}

/* ---- frames ------------------------------------------------------------------------------------
 */

static bool is_python(enum frame_kind kind)
{
    return kind <= FRAME_SITE;
}

static bool is_native(enum frame_kind kind)
{
    return kind == FRAME_NATIVE || kind == FRAME_INTERPRETER;
}

static void set_place(const struct view_options *options, const struct frame_info *info,
                      struct view_frame *ret)
{
    if (options->no_lines)
        return;
    ret->line = info->line;
    if (options->function_lines && (info->first_line || is_python(info->kind)))
        ret->line = info->first_line;
    else if (options->columns)
        ret->column = info->column;
}

static struct view_frame shown_frame(const struct shaping *shaping, const struct frame_info *info)
{
    const struct view_options *options = &shaping->view->options;
    bool by_python = shaping->folds && info->python_name.v;
    struct view_frame ret = {.kind = info->kind,
                             .flags = info->flags & FRAME_INLINED,
                             .name = by_python ? info->python_name : info->name,
                             .file = info->file,
                             .short_file = options->full_filenames ? info->file : info->short_file,
                             .module = info->module};

    if (by_python || (info->flags & FRAME_NAMES_MODULE))
        ret.short_file = STRING_EMPTY;
    set_place(options, info, &ret);
    return ret;
}

/* An address that nobody has named: "libm.so.6+0x1234". */
static struct view_frame nameless_frame(struct view *view, const struct native_ref *ref)
{
    const struct profile *profile = view->profile;
    const struct profile_module *module = &profile->modules.items[ref->module];
    cleanup(strbuf_deinit) struct strbuf name = STRBUF_INIT;
    struct view_frame ret = {.kind = FRAME_NATIVE, .file = module->path, .module = module->path};

    if (module->flags & MODULE_INTERPRETER)
        ret.kind = FRAME_INTERPRETER;
    strbuf_addf(&name, "%s+0x%" PRIx64, path_base(profile_text(profile, module->path)),
                ref->offset - ref->is_return);
    ret.name = view_own_string(view, name.text);
    return ret;
}

static bool is_hidden(const struct shaping *shaping, const struct frame_info *info)
{
    return (info->flags & FRAME_HIDDEN) ||
           ((info->flags & FRAME_TRAMPOLINE) && shaping->has_python) ||
           ((info->flags & FRAME_HELPER) && shaping->folds);
}

static struct look *look_at(struct shaping *shaping, frame_id frame)
{
    while (shaping->looks.length <= frame.v)
        vec_push(&shaping->looks, (struct look){.is_known = false});
    return &shaping->looks.items[frame.v];
}

static struct look look_of(struct shaping *shaping, frame_id frame)
{
    struct view *view = shaping->view;
    const struct native_ref *ref = profile_frame_ref(view->profile, frame);
    const struct frame_info *info = profile_frame_info(view->profile, frame);
    struct look *known, look = {.is_known = true, .fold = FOLD_STAYS};
    struct view_frame shown;

    known = look_at(shaping, frame);
    if (known->is_known)
        return *known;
    look.is_shaped = known->is_shaped;
    shown = ref ? nameless_frame(view, ref) : shown_frame(shaping, info);
    look.frame = view_intern_frame(view, &shown);
    if (shaping->folds)
        look.fold = info->fold;
    look.is_hidden = !ref && is_hidden(shaping, info);
    *known = look;
    return look;
}

/* ---- folding -----------------------------------------------------------------------------------
 */

static enum frame_kind kind_of(const struct shaping *shaping, struct look look)
{
    return view_frame(shaping->view, look.frame)->kind;
}

static bool is_wanted(const struct view_options *options, enum frame_kind kind)
{
    return !(options->python_only && is_native(kind)) && !(options->native_only && is_python(kind));
}

/* Whether `stack` ends with a frame of the name that `frame` has. */
static bool ends_with_name(const struct view *view, stack_id stack, frame_id frame)
{
    return stack.v != STACK_EMPTY.v &&
           view_frame(view, view->stacks.items[stack.v].frame)->name.v ==
               view_frame(view, frame)->name.v;
}

static void push_shown(const struct shaping *shaping, struct shaped *to, stack_id *stack,
                       struct look look)
{
    enum frame_kind kind = kind_of(shaping, look);

    if (!is_wanted(&shaping->view->options, kind)) {
        to->hides = true;
        return;
    }
    *stack = view_push(shaping->view, *stack, look.frame);
}

static void add(const struct shaping *shaping, struct shaped *to, struct look look)
{
    bool goes = look.fold == FOLD_AWAY || look.fold == FOLD_RUN ||
                (look.fold == FOLD_PART && ends_with_name(shaping->view, to->stack, look.frame));

    if (goes)
        return;
    push_shown(shaping, to, &to->stack, look);
    to->has_frame |= kind_of(shaping, look) < FRAME_MARKER;
}

/* A stack of which only the start is known so far, and what that calls. */
static void leave_start(const struct shaping *shaping, struct shaped *to, struct look look)
{
    enum frame_kind kind = kind_of(shaping, look);
    bool is_empty = to->whole.v == to->stack.v;

    if (kind >= FRAME_MARKER) {
        add(shaping, to, look);
        return;
    }
    if (look.fold == FOLD_START || look.fold == FOLD_MAIN || (look.fold == FOLD_AWAY && is_empty)) {
        to->stage = look.fold == FOLD_MAIN ? AT_MAIN : AT_START;
        return;
    }
    if (to->stage == AT_MAIN ? look.fold != FOLD_RUN
                             : look.fold == FOLD_STAYS && !is_python(kind)) {
        to->stack = to->whole;
        to->has_frame = true;
    }
    to->stage = BEGUN;
    add(shaping, to, look);
}

static void shape_frame(struct shaping *shaping, struct shaped *to, frame_id frame)
{
    struct look look = look_of(shaping, frame);
    stack_id whole = to->whole;
    bool was_whole = !to->has_frame;

    if (look.is_hidden)
        return;
    if (!shaping->folds || to->stage == BEGUN)
        add(shaping, to, look);
    else
        leave_start(shaping, to, look);
    if (!was_whole)
        return;
    push_shown(shaping, to, &whole, look);
    to->whole = whole;
}

static struct shaped shape(struct shaping *shaping, struct shaped parent, frame_id frame)
{
    const struct profile *profile = shaping->view->profile;
    const struct frame_names *names = profile_frame_names(profile, frame);

    look_at(shaping, frame)->is_shaped = true;
    if (!names)
        shape_frame(shaping, &parent, frame);
    for (uint32_t i = 0; names && i < names->count; i++)
        shape_frame(shaping, &parent, profile->named.items[names->first + i]);
    return parent;
}

/* ---- updates -----------------------------------------------------------------------------------
 */

static bool names_what_is_shown(struct shaping *shaping)
{
    const struct profile *profile = shaping->view->profile;

    for (; shaping->names < profile->names.length; shaping->names++)
        if (look_at(shaping, profile->names.items[shaping->names].frame)->is_shaped)
            return true;
    return false;
}

bool shaping_update(struct shaping *shaping)
{
    const struct profile *profile = shaping->view->profile;
    bool folds = profile->facts.saw_python && !shaping->view->options.native_all;

    if (shaping->stacks.length > 1 && (folds != shaping->folds || names_what_is_shown(shaping) ||
                                       knows_python(profile) != shaping->has_python))
        return false;
    shaping->names = profile->names.length;
    shaping->folds = folds;
    shaping->has_python = knows_python(profile);
    for (size_t i = shaping->stacks.length; i < profile->stacks.length; i++) {
        const struct stack_node *node = &profile->stacks.items[i];

        vec_push(&shaping->stacks,
                 shape(shaping, shaping->stacks.items[node->parent.v], node->frame));
    }
    while (shaping->finished.length < shaping->stacks.length)
        vec_push(&shaping->finished, (struct finished){.is_known = false});
    return true;
}

/* ---- what samples show -------------------------------------------------------------------------
 */

/* Both ends, with a marker between them. */
static stack_id cut(struct shaping *shaping, stack_id stack, size_t limit)
{
    struct view *view = shaping->view;
    size_t depth = view->stacks.items[stack.v].depth, outer = limit / 2, inner = limit - outer;
    stack_id result;

    vec_reset(&shaping->path);
    for (size_t i = 0; i < inner; i++) {
        vec_push(&shaping->path, view->stacks.items[stack.v].frame);
        stack = view->stacks.items[stack.v].parent;
    }
    for (size_t i = inner; i < depth - outer; i++)
        stack = view->stacks.items[stack.v].parent;
    result = view_push(view, stack, view_marker(view, FRAME_MARKER, LEFT_OUT));
    for (size_t i = inner; i-- > 0;)
        result = view_push(view, result, shaping->path.items[i]);
    return result;
}

static bool has_code(const struct view *view, stack_id stack)
{
    for (; stack.v != STACK_EMPTY.v; stack = view->stacks.items[stack.v].parent)
        if (view_frame(view, view->stacks.items[stack.v].frame)->kind < FRAME_MARKER)
            return true;
    return false;
}

static struct finished finish(struct shaping *shaping, const struct shaped *shaped)
{
    struct view *view = shaping->view;
    size_t limit = view->options.max_depth;
    struct finished ret = {.is_known = true};

    ret.stack = shaped->has_frame ? shaped->stack : shaped->whole;
    if (shaped->hides && !has_code(view, ret.stack))
        ret.stack =
            view_push(view, ret.stack,
                      view->options.python_only ? view_marker(view, FRAME_NATIVE, ONLY_NATIVE)
                                                : view_marker(view, FRAME_PYTHON, ONLY_PYTHON));
    if (limit && view->stacks.items[ret.stack.v].depth > limit) {
        ret.stack = cut(shaping, ret.stack, limit);
        ret.is_cut = true;
    }
    return ret;
}

stack_id shaping_stack(struct shaping *shaping, stack_id stack, bool *ret_is_cut)
{
    struct finished *known = &shaping->finished.items[stack.v];

    if (!known->is_known)
        *known = finish(shaping, &shaping->stacks.items[stack.v]);
    *ret_is_cut = known->is_cut;
    return known->stack;
}
