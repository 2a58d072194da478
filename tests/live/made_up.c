/* SPDX-License-Identifier: MIT */
/*
 * The memory of a Python process without an interpreter in it: what the headers of a CPython 3.14
 * or later describe, also of a build that cannot be had (-DPy_GIL_DISABLED), filled with two
 * threads' made-up stacks. The native stacks are those of an interpreter built with tail calls: the
 * loop keeps the entry frame, and what it calls stands behind a function for the opcode.
 *
 * Prints what a reader must find there, as JSON; for each line on stdin it changes the bytecode's
 * copies and says the truth anew.
 */
#include "made_objects.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <unistd.h>

/* ---- Code ---- */

#define UNITS          40
#define UNITS_AN_ENTRY 2
#define COPIES         4

struct function {
    struct text name, file;
    int first_line;
    PyCodeObject *code;
    _Py_CODEUNIT *copies[COPIES]; /* of its bytecode; the first is its own */
};

static struct function functions[] = {
    {.name = TEXT("plain"), .file = TEXT("/srv/made/up.py"), .first_line = 10},
    {.name = TEXT("Größe.<locals>.mesuré"), .file = TEXT("/srv/made/größe.py"), .first_line = 2000},
    {.name = TEXT("Измерить.всё"), .file = TEXT("/srv/made/дом.py"), .first_line = 1},
    {.name = TEXT("\U0001F40D.charm"),
     .file = TEXT("/srv/made/\U0001F40D.py"),
     .first_line = 70000},
    {.name = TEXT("worker"), .file = TEXT("/srv/made/up.py"), .first_line = 50},
};
enum { PLAIN, LATIN, WIDE, WIDEST, WORKER };

static int line_of(const struct function *function, int unit)
{
    return function->first_line + unit / UNITS_AN_ENTRY * 37 % 101;
}

/* From 0. */
static int column_of(int unit)
{
    return unit / UNITS_AN_ENTRY * 11 % 130;
}

static size_t put_varint(unsigned char *at, unsigned value)
{
    size_t size = 0;

    for (; value >= 64; value >>= 6)
        at[size++] = 0x40 | (value & 63);
    at[size++] = (unsigned char)value;
    return size;
}

/* Entries of the long form (14): lines relative to the one before, columns from 1. */
static PyObject *make_lines(const struct function *function)
{
    unsigned char table[UNITS * 8];
    int line = function->first_line;
    size_t size = 0;

    for (int unit = 0; unit < UNITS; unit += UNITS_AN_ENTRY) {
        int delta = line_of(function, unit) - line;

        line += delta;
        table[size++] = 0x80 | 14 << 3 | (UNITS_AN_ENTRY - 1);
        size +=
            put_varint(table + size, delta < 0 ? (unsigned)-delta << 1 | 1 : (unsigned)delta << 1);
        size += put_varint(table + size, 0);
        size += put_varint(table + size, (unsigned)column_of(unit) + 1);
        size += put_varint(table + size, (unsigned)column_of(unit) + 4);
    }
    return make_bytes(table, size);
}

/* The copies as threads that specialize them have them; without free threading there is one. */
static void publish_copies(struct function *function, size_t count)
{
#ifdef Py_GIL_DISABLED
    _PyCodeArray *array = calloc(1, sizeof(*array) + count * sizeof(char *));

    array->size = (Py_ssize_t)count;
    for (size_t i = 0; i < count; i++)
        array->entries[i] = (char *)function->copies[i];
    function->code->co_tlbc = array;
#else
    (void)function, (void)count;
#endif
}

static void make_copy(struct function *function, size_t index)
{
#ifdef Py_GIL_DISABLED
    function->copies[index] = calloc(UNITS, sizeof(_Py_CODEUNIT));
#else
    function->copies[index] = function->copies[0];
#endif
}

static void make_code(struct function *function)
{
    static uint32_t version;
    PyCodeObject *code = make(sizeof(*code) + UNITS * sizeof(_Py_CODEUNIT), &PyCode_Type);

    code->ob_base.ob_size = UNITS;
    code->co_version = ++version;
    code->co_filename = make_text(function->file);
    code->co_qualname = make_text(function->name);
    code->co_name = make_text((struct text)TEXT("not the qualified name"));
    code->co_firstlineno = function->first_line;
    code->co_linetable = make_lines(function);
    function->code = code;
    function->copies[0] = (_Py_CODEUNIT *)code->co_code_adaptive;
    make_copy(function, 1);
    make_copy(function, 2);
    publish_copies(function, 3);
}

/* ---- Threads ---- */

struct frame {
    int function, copy, unit;
    char owner;
    uintptr_t tag; /* in f_executable: who holds the reference */
    _PyInterpreterFrame *at;
};

struct call {
    int count;
    struct frame frames[3]; /* innermost first */
    _PyInterpreterFrame *entry;
};

struct thread {
    struct text name;
    bool is_attached;
    int count;
    struct call calls[2]; /* outermost first */
    _PyThreadStateImpl *state;
    _PyInterpreterFrame *next; /* room in its data stack */
};

static struct thread threads[] = {
    {.name = TEXT("Main\U0001F40DThread"),
     .is_attached = true,
     .count = 2,
     .calls = {{2,
                {{PLAIN, 1, 6, FRAME_OWNED_BY_THREAD, 1, NULL},
                 {WIDE, 0, 0, FRAME_OWNED_BY_THREAD, 0, NULL}},
                NULL},
               {3,
                {{WIDEST, 2, 39, FRAME_OWNED_BY_THREAD, 1, NULL},
                 {LATIN, 1, 17, FRAME_OWNED_BY_GENERATOR, 0, NULL},
                 {PLAIN, 2, 38, FRAME_OWNED_BY_THREAD, 1, NULL}},
                NULL}}},
    {.name = TEXT("Größe-1"),
     .count = 1,
     .calls = {{2,
                {{WORKER, 2, 20, FRAME_OWNED_BY_THREAD, 1, NULL},
                 {LATIN, 0, 3, FRAME_OWNED_BY_FRAME_OBJECT, 1, NULL}},
                NULL}}},
};
#define THREADS 2

static PyInterpreterState *interpreter;
static sem_t in_position;

static _PyInterpreterFrame *place_frame(struct thread *thread, char owner)
{
    PyGenObject *generator;

    if (owner != FRAME_OWNED_BY_GENERATOR) {
        thread->next++; /* with one local or temporary value each */
        return thread->next - 1;
    }
    generator = make(sizeof(*generator), &PyCode_Type);
    return &generator->gi_iframe;
}

static void set_position(struct frame *frame)
{
    frame->at->instr_ptr = functions[frame->function].copies[frame->copy] + frame->unit;
#ifdef Py_GIL_DISABLED
    frame->at->tlbc_index = frame->copy;
#endif
}

static void set_owner(_PyInterpreterFrame *frame, uintptr_t executable, char owner)
{
    frame->f_executable.bits = executable;
    frame->owner = owner;
    frame->localsplus[0].bits = (uintptr_t)frame;
    frame->stackpointer = frame->localsplus + 1; /* as of one that waits for its callee */
}

/* The frames of a call, which the entry frame's caller called. */
static void link_call(struct thread *thread, struct call *call, _PyInterpreterFrame *entry)
{
    _PyInterpreterFrame *caller = entry;

    set_owner(entry, 1, FRAME_OWNED_BY_INTERPRETER);
    entry->previous = thread->state->base.current_frame;
    call->entry = entry;
    for (int i = call->count; i-- > 0;) {
        struct frame *frame = &call->frames[i];

        frame->at = place_frame(thread, frame->owner);
        set_owner(frame->at, (uintptr_t)functions[frame->function].code | frame->tag, frame->owner);
        set_position(frame);
        frame->at->previous = caller;
        caller = frame->at;
    }
    thread->state->base.current_frame = caller;
}

static void make_thread(struct thread *thread)
{
    PyThreadState *state = malloc(sizeof(_PyThreadStateImpl));
    size_t room = 16 * 1024;

    memset(state, 0, sizeof(_PyThreadStateImpl));
    thread->state = (_PyThreadStateImpl *)state;
    state->interp = interpreter;
    state->next = interpreter->threads.head;
    interpreter->threads.head = state;
    state->thread_id = (unsigned long)pthread_self();
    state->native_thread_id = (unsigned long)gettid();
    state->state = thread->is_attached;
    state->datastack_chunk = calloc(1, room);
    state->datastack_chunk->size = room;
    thread->next = (_PyInterpreterFrame *)state->datastack_chunk->data;
    state->datastack_top = state->datastack_chunk->data + 256;
#if PY_VERSION_HEX >= 0x030f0000
    set_owner(&thread->state->base_frame, 1, FRAME_OWNED_BY_INTERPRETER);
    state->base_frame = state->current_frame = &thread->state->base_frame;
#endif
    interpreter->_gil.locked = 1;
    if (thread->is_attached)
        interpreter->_gil.last_holder = state;
}

/* ---- threading's names ---- */

/* Instances of Thread share their keys. */
static PyHeapTypeObject thread_type = {.ht_type = {.tp_name = "Thread",
                                                   .tp_flags = Py_TPFLAGS_HEAPTYPE |
                                                               Py_TPFLAGS_MANAGED_DICT |
                                                               Py_TPFLAGS_INLINE_VALUES,
                                                   .tp_basicsize = sizeof(PyObject)}};

/* With its values in the object itself, or in a dict. */
static PyObject *make_thread_object(const struct thread *thread, bool has_dict)
{
    const size_t before = 4 * sizeof(void *);
    char *room =
        calloc(1, before + sizeof(PyObject) + sizeof(PyDictValues) + ROOM * sizeof(void *));
    PyObject *object = (PyObject *)(room + before);
    PyObject *values[] = {make_text(thread->name), make_long(thread->state->base.native_thread_id)};
    static const struct text keys[] = {TEXT("_name"), TEXT("_native_id")};
    PyObject *dict = make_dict(DICT_KEYS_UNICODE);

    object->ob_type = &thread_type.ht_type;
    for (int i = 0; i < 2; i++) {
        dict_set(dict, make_text(keys[i]), values[i]);
        _PyObject_InlineValues(object)->values[i] = has_dict ? NULL : values[i];
    }
    _PyObject_InlineValues(object)->valid = !has_dict;
    _PyObject_InlineValues(object)->capacity = ROOM;
    if (has_dict)
        _PyObject_ManagedDictPointer(object)->dict = (PyDictObject *)dict;
    return object;
}

static PyDictKeysObject *make_shared_keys(void)
{
    PyDictKeysObject *keys = make_keys(DICT_KEYS_SPLIT);

    DK_UNICODE_ENTRIES(keys)[keys->dk_nentries++].me_key = make_text((struct text)TEXT("_name"));
    DK_UNICODE_ENTRIES(keys)
    [keys->dk_nentries++].me_key = make_text((struct text)TEXT("_native_id"));
    return keys;
}

static void make_names(void)
{
    PyObject *active = make_dict(DICT_KEYS_GENERAL), *globals = make_dict(DICT_KEYS_UNICODE);
    PyModuleObject *threading = make(sizeof(*threading), &PyModule_Type);

    thread_type.ht_cached_keys = make_shared_keys();
    for (int i = 0; i < THREADS; i++)
        dict_set(active, make_long(threads[i].state->base.thread_id),
                 make_thread_object(&threads[i], i == 1));
    dict_set(globals, make_text((struct text)TEXT("_active")), active);
    threading->md_dict = globals;
    interpreter->imports.modules = make_dict(DICT_KEYS_UNICODE);
    dict_set(interpreter->imports.modules, make_text((struct text)TEXT("threading")),
             (PyObject *)threading);
}

/* ---- The truth ---- */

static void say_frame(const struct frame *frame, int call, const char *separator)
{
    const struct function *function = &functions[frame->function];

    printf(
        "%s{\"name\": \"%s\", \"file\": \"%s\", \"first_line\": %d, \"line\": %d, \"column\": %d, "
        "\"address\": %zu, \"code\": %zu, \"call\": %d}",
        separator, function->name.utf8, function->file.utf8, function->first_line,
        line_of(function, frame->unit), column_of(frame->unit) + 1, (size_t)frame->at,
        (size_t)function->code, call);
}

static void say_thread(const struct thread *thread)
{
    const char *separator = "";

    printf("{\"tid\": %lu, \"name\": \"%s\", \"holds_gil\": %s, \"held_gil\": %s, \"is_whole\": "
           "true, \"frames\": [",
           thread->state->base.native_thread_id, thread->name.utf8,
           thread->is_attached ? "true" : "false", thread->is_attached ? "true" : "false");
    for (int call = thread->count; call-- > 0;)
        for (int i = 0; i < thread->calls[call].count; i++, separator = ", ")
            say_frame(&thread->calls[call].frames[i], thread->count - 1 - call, separator);
    printf("], \"anchors\": [");
    for (int call = thread->count; call-- > 0;)
        printf("%zu%s", (size_t)thread->calls[call].entry, call ? ", " : "]");
    printf("}");
}

static void say_all(void)
{
    printf("{\"threads\": [");
    for (int i = 0; i < THREADS; i++) {
        printf("%s", i ? ", " : "");
        say_thread(&threads[i]);
    }
    printf("]}\n");
    fflush(stdout);
}

/* ---- Running ---- */

/* One thread comes to a copy of its own, and another's copy was dropped and made anew. */
static void change_copies(void)
{
    struct frame *worker = &threads[1].calls[0].frames[0], *other = &threads[0].calls[0].frames[0];

    make_copy(&functions[WORKER], 3);
    publish_copies(&functions[WORKER], 4);
    worker->copy = 3;
    worker->unit = 30;
    set_position(worker);
    make_copy(&functions[PLAIN], 1);
    publish_copies(&functions[PLAIN], 3);
    other->unit = 14;
    set_position(other);
}

/* As the memory of a frame that is gone may be. */
static void link_circle(void)
{
    _PyInterpreterFrame *frame = threads[1].calls[0].frames[0].at;

    frame->previous = frame;
}

static void *run_worker(void *unused);

static void wait_for_end(struct thread *thread)
{
    char line[16];
    pthread_t worker;

    if (thread != &threads[0]) {
        sem_post(&in_position);
        for (;;)
            pause();
    }
    pthread_create(&worker, NULL, run_worker, NULL);
    sem_wait(&in_position);
    make_names();
    _PyRuntime.interpreters.head = interpreter;
    say_all();
    while (fgets(line, sizeof(line), stdin)) {
        if (strcmp(line, "circle\n") == 0)
            link_circle();
        else
            change_copies();
        say_all();
    }
    exit(0);
}

void call_c(struct thread *thread, int depth);
void tail_call_call(struct thread *thread, int depth) __asm__("_TAIL_CALL_CALL");
void eval_loop(struct thread *thread, int depth) __asm__("_PyEval_EvalFrameDefault");

/* Each stays on the stack: what follows its call is not for the compiler to leave out. */
#define STAYS()       __asm__ volatile("")
#define KEPT_FUNCTION __attribute__((noinline, noclone)) void

KEPT_FUNCTION call_c(struct thread *thread, int depth)
{
    if (depth < thread->count)
        eval_loop(thread, depth);
    else
        wait_for_end(thread);
    STAYS();
}

KEPT_FUNCTION tail_call_call(struct thread *thread, int depth)
{
    call_c(thread, depth);
    STAYS();
}

KEPT_FUNCTION eval_loop(struct thread *thread, int depth)
{
    _PyInterpreterFrame entry = {.previous = NULL};

    link_call(thread, &thread->calls[depth], &entry);
    tail_call_call(thread, depth + 1);
    STAYS();
}

static void *run_worker(void *unused)
{
    make_thread(&threads[1]);
    call_c(&threads[1], 0);
    return unused;
}

int main(void)
{
    sem_init(&in_position, 0, 0);
    _PyRuntime.debug_offsets.version = STATED_VERSION;
    interpreter = calloc(1, sizeof(*interpreter));
    interpreter->ceval.gil = &interpreter->_gil;
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
        make_code(&functions[i]);
    make_thread(&threads[0]);
    call_c(&threads[0], 0);
    return 0;
}
