/* SPDX-License-Identifier: MIT */
/*
 * Reads the Python stacks of process argv[1], without native ones. Each line on stdin asks for them
 * and says how ("stopped": its threads stand still, so one copy is enough; "running"); each answer
 * is a line of JSON. What is known of code objects is kept from one to the next.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pspy/python/python.h"
#include "pspy/target/live.h"

struct reader {
    struct target target;
    struct module_list modules;
    struct address_space space;
    struct python python;
    struct python_names names;
    struct python_stack stack;
    struct python_walk walk;
};

static const char *word(bool is_true)
{
    return is_true ? "true" : "false";
}

static void print_frame(struct reader *reader, const struct python_frame *frame)
{
    struct line_entry position;
    struct code_info info;

    printf("{\"address\": %" PRIu64 ", \"code\": %" PRIu64 ", \"call\": %u", frame->address,
           frame->code, frame->call);
    if (frame->code_index != CODE_UNKNOWN) {
        info = python_code_info(&reader->python, frame->code_index);
        position = python_code_line(&reader->python, &reader->target, frame);
        printf(", \"name\": \"%s\", \"file\": \"%s\", \"first_line\": %u, \"line\": %u, "
               "\"column\": %u",
               info.qualname, info.file, info.first_line, position.line, position.column);
    }
    printf("}");
}

#define ATTEMPTS 1000

/* A thread that is not stopped may have to be read again: until its frames' places are known, and
 * when we were put off the CPU between two copies. */
static void walk_thread(struct reader *reader, const struct python_thread *thread)
{
    struct python_view view = {.cframe = 0};

    for (int i = 0; i < ATTEMPTS; i++) {
        python_walk(&reader->python, &reader->target, thread, 1, &reader->walk, &view,
                    &reader->stack);
        if (reader->stack.end != PYTHON_TORN)
            break;
    }
    python_view_deinit(&view);
}

static void print_thread(struct reader *reader, size_t index)
{
    const struct python_thread *thread = &reader->python.threads.items[index];
    struct python_stack *stack = &reader->stack;
    bool holds = false;

    python_holds_gil(&reader->python, &reader->target, thread, &holds);
    walk_thread(reader, thread);
    python_resolve(&reader->python, &reader->target, stack);
    printf("{\"tid\": %d, \"name\": \"%s\", \"holds_gil\": %s, \"held_gil\": %s, \"is_whole\": %s, "
           "\"frames\": [",
           thread->tid, reader->names.names.items[index], word(holds), word(stack->holds_gil),
           word(stack->end == PYTHON_ROOT));
    for (size_t i = 0; i < stack->frames.length; i++) {
        printf("%s", i ? ", " : "");
        print_frame(reader, &stack->frames.items[i]);
    }
    printf("], \"anchors\": [");
    for (size_t i = 0; i < stack->anchors.length; i++)
        printf("%s%" PRIu64, i ? ", " : "", stack->anchors.items[i]);
    printf("]}");
}

static void answer(struct reader *reader, bool is_stopped)
{
    struct python *python = &reader->python;

    reader->walk =
        (struct python_walk){.is_stopped = is_stopped, .wants_anchors = true, .limit = 1000};
    python_begin_round(python, false);
    python_refresh_threads(python, &reader->target, true);
    python_thread_names(python, &reader->target, &reader->names);
    printf("{\"threads\": [");
    for (size_t i = 0; i < python->threads.length; i++) {
        printf("%s", i ? ", " : "");
        print_thread(reader, i);
    }
    printf("]}\n");
    fflush(stdout);
}

static void reader_deinit(struct reader *reader)
{
    python_stack_deinit(&reader->stack);
    python_names_deinit(&reader->names);
    python_close(&reader->python);
    address_space_deinit(&reader->space);
    module_list_deinit(&reader->modules);
    target_close(&reader->target);
}

int main(int argc, char **argv)
{
    struct reader reader = {.names = {VEC_INIT}};
    struct error why = ERROR_INIT;
    char line[16];

    if (argc < 2 || target_open((pid_t)atol(argv[1]), &reader.target, &why) != ERR_OK) {
        fprintf(stderr, "%s\n", why.message);
        return 1;
    }
    address_space_init(&reader.space, &reader.modules);
    address_space_refresh(&reader.space, &reader.target);
    if (python_open(&reader.space, &reader.target, &reader.python, &why) != ERR_OK) {
        fprintf(stderr, "%s\n", why.message);
        return 1;
    }
    while (fgets(line, sizeof(line), stdin))
        answer(&reader, strcmp(line, "stopped\n") == 0);
    reader_deinit(&reader);
    return 0;
}
