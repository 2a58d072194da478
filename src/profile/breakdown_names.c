/* SPDX-License-Identifier: MIT */
/* Which frames are the same function, and which the same line. */
#include <string.h>

#include "breakdown_internal.h"

/* A frame with the texts that it is ordered by. */
struct numbered {
    const char *name, *file;
    uint32_t frame, line;
    enum frame_kind kind;
};

typedef VEC(struct numbered) numbered_frames;

static int compare_numbers(uint32_t a, uint32_t b)
{
    return (a > b) - (a < b);
}

/* Functions are the same iff this is 0. */
static int compare_functions(const struct numbered *a, const struct numbered *b)
{
    int order = strcmp(a->name, b->name);

    if (!order)
        order = strcmp(a->file, b->file);
    return order ? order : (int)a->kind - (int)b->kind;
}

/* Lines are the same iff this is 0: a function's name does not tell two apart that stand on one
 * line, such as a comprehension and the function around it. */
static int compare_lines(const struct numbered *a, const struct numbered *b)
{
    int order = strcmp(a->file, b->file);

    if (!order)
        order = compare_numbers(a->line, b->line);
    if (!order && (!a->line || !*a->file))
        order = strcmp(a->name, b->name);
    return order ? order : (int)a->kind - (int)b->kind;
}

static int compare_by_function(const void *left, const void *right)
{
    const struct numbered *a = left, *b = right;
    int order = compare_functions(a, b);

    if (!order)
        order = compare_numbers(a->line, b->line);
    return order ? order : compare_numbers(a->frame, b->frame);
}

/* Of the names of a line a function's comes before "<listcomp>" and its like. */
static int compare_by_line(const void *left, const void *right)
{
    const struct numbered *a = left, *b = right;
    int order = compare_lines(a, b);

    if (!order)
        order = (*a->name == '<') - (*b->name == '<');
    if (!order)
        order = strcmp(a->name, b->name);
    return order ? order : compare_numbers(a->frame, b->frame);
}

static void collect_frames(const struct view *view, numbered_frames *ret)
{
    for (uint32_t i = 0; i < view->frames.length; i++) {
        const struct view_frame *frame = &view->frames.items[i];
        struct numbered numbered = {.name = view_text(view, frame->name),
                                    .file = view_text(view, frame->file),
                                    .frame = i,
                                    .line = frame->line,
                                    .kind = frame->kind};

        vec_push(ret, numbered);
    }
}

static void number_functions(struct making *making, numbered_frames *frames)
{
    vec_sort(frames, compare_by_function);
    for (size_t i = 0; i < frames->length; i++) {
        const struct numbered *at = &frames->items[i];
        struct breakdown_function function = {.frame = {at->frame}, .first_line = at->line};

        if (i == 0 || compare_functions(at - 1, at) != 0)
            vec_push(&making->breakdown->functions, function);
        making->function_of[at->frame] = (uint32_t)making->breakdown->functions.length - 1;
        making->breakdown->functions.items[making->function_of[at->frame]].last_line = at->line;
    }
}

static void number_lines(struct making *making, numbered_frames *frames)
{
    vec_sort(frames, compare_by_line);
    for (size_t i = 0; i < frames->length; i++) {
        const struct numbered *at = &frames->items[i];
        struct breakdown_line line = {.frame = {at->frame}};

        if (i == 0 || compare_lines(at - 1, at) != 0)
            vec_push(&making->breakdown->lines, line);
        making->line_of[at->frame] = (uint32_t)making->breakdown->lines.length - 1;
    }
}

void breakdown_number_frames(struct making *making)
{
    numbered_frames frames = VEC_INIT;
    size_t count = making->view->frames.length;

    making->function_of = xcalloc(count + 1, sizeof(making->function_of[0]));
    making->line_of = xcalloc(count + 1, sizeof(making->line_of[0]));
    collect_frames(making->view, &frames);
    number_functions(making, &frames);
    number_lines(making, &frames);
    vec_deinit(&frames);
}
