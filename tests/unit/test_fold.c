/* SPDX-License-Identifier: MIT */
/* sampler/fold.h on stacks that are made up. */
#include "../../src/naming/fold.h"

#include "unit/tap.h"

/* One letter a frame, of the class that it stands for. */
struct letter {
    char letter;
    enum frame_kind kind;
    enum fold_class class;
    const char *name;
};

static const struct letter letters[] = {
    {'s', FRAME_NATIVE, FOLD_START, "_start"},    {'m', FRAME_NATIVE, FOLD_MAIN, "main"},
    {'r', FRAME_INTERPRETER, FOLD_RUN, "run"},    {'a', FRAME_INTERPRETER, FOLD_AWAY, "way"},
    {'l', FRAME_INTERPRETER, FOLD_NAMED, "sort"}, {'p', FRAME_INTERPRETER, FOLD_PART, "sort"},
    {'d', FRAME_INTERPRETER, FOLD_PART, "dict"},  {'P', FRAME_PYTHON, FOLD_STAYS, "f"},
    {'L', FRAME_STDLIB, FOLD_STAYS, "g"},         {'n', FRAME_NATIVE, FOLD_STAYS, "numpy"},
    {'u', FRAME_INTERPRETER, FOLD_STAYS, "user"}, {'t', FRAME_MARKER, FOLD_STAYS, "thread"},
};
#define LETTERS (sizeof(letters) / sizeof(letters[0]))

static struct profile profile;
static fold_classes classes;
static frame_id frames[LETTERS];

static void make_frames(void)
{
    profile_init(&profile);
    vec_reset(&classes);
    for (size_t i = 0; i < LETTERS; i++) {
        char file[2] = {letters[i].letter, '\0'}; /* two letters are two frames, of one name too */
        struct frame_info info = {.kind = letters[i].kind,
                                  .name = profile_string(&profile, letters[i].name),
                                  .file = profile_string(&profile, file)};

        frames[i] = profile_frame(&profile, &info);
        vec_push(&classes, (uint8_t)letters[i].class);
    }
    profile_add_thread(&profile, profile_add_process(&profile, 1, "python"), 1);
}

static void add_sample(const char *stack, uint64_t weight)
{
    struct sample sample = {.weight = weight, .end = END_GUESSED, .state = STATE_RUNNING};

    for (; *stack; stack++)
        for (size_t i = 0; i < LETTERS; i++)
            if (letters[i].letter == *stack)
                sample.stack = profile_stack(&profile, sample.stack, frames[i]);
    profile_add_sample(&profile, &sample);
}

static void is_stack(stack_id stack, const char *wanted, const char *what)
{
    char got[64] = "";

    for (; stack.v != STACK_EMPTY.v; stack = profile.stacks.items[stack.v].parent) {
        frame_id frame = profile.stacks.items[stack.v].frame;

        memmove(got + 1, got, strlen(got) + 1);
        got[0] = profile_text(&profile, profile_frame_info(&profile, frame)->file)[0];
    }
    tap_is_str(got, wanted, what);
}

static const struct {
    const char *before, *after, *what;
} cases[] = {
    {"smraPaalaa", "Pl", "what runs Python, calls and leads away goes"},
    {"smraPaPanPan", "PPnPn", "other modules' code stays, wherever it stands"},
    {"smraP", "P", "the time of the interpreter is its Python function's"},
    {"smraPaaa", "P", "that of its own functions, too"},
    {"smraPlaan", "Pln", "that of another module's stays there"},
    {"saaPl", "Pl", "an interpreter without main"},
    {"asaaPl", "Pl", "a start without a name"},
    {"tsaaP", "tP", "a thread's own root stays"},
    {"tsnP", "tsnP", "a thread that another module starts keeps its root"},
    {"smnaPl", "smnPl", "a program that holds Python keeps what is its own"},
    {"smaPl", "smPl", "its main as well, where that calls Python itself"},
    {"smuaPul", "smuPul", "and if Python is inside of it"},
    {"smn", "smn", "a thread without Python stays whole"},
    {"smraa", "smraa", "so does a stack in which nothing would be left"},
    {"ts", "ts", "or only a marker"},
    {"smrada", "d", "but not one with work that has a name"},
    {"Plp", "Pl", "the part of a function is that function"},
    {"Plapap", "Pl", "over others of its parts"},
    {"Pldpd", "Pldpd", "not over other work"},
    {"Pll", "Pll", "a function that calls itself has called itself"},
    {"PPP", "PPP", "as Python's have"},
    {"Lsn", "Lsn", "the C library's functions above Python stay"},
    {"", "", "no stack"},
};
#define CASES (sizeof(cases) / sizeof(cases[0]))

static void test_stacks(void)
{
    uint64_t weight = 0;

    make_frames();
    for (size_t i = 0; i < CASES; i++)
        add_sample(cases[i].before, i + 1);
    fold_stacks(&profile, &classes);
    for (size_t i = 0; i < CASES; i++)
        is_stack(profile.samples.items[i].stack, cases[i].after, cases[i].what);
    for (size_t i = 0; i < profile.samples.length; i++)
        weight += profile.samples.items[i].weight == i + 1 ? i + 1 : 1000000;
    tap_is_num((long long)profile.samples.length, CASES, "no sample comes or goes");
    tap_is_num((long long)weight, CASES * (CASES + 1) / 2, "nor does its time");
    tap_is_num((long long)profile.ends[END_GUESSED], CASES, "nor how its stack ended");
    profile_deinit(&profile);
}

static void test_deep_stack(void)
{
    struct sample sample = {.weight = 1};

    make_frames();
    for (size_t i = 0; i < 200000; i++)
        sample.stack = profile_stack(&profile, sample.stack, frames[i % 2 ? 3 : 7]); /* P, a */
    profile_add_sample(&profile, &sample);
    fold_stacks(&profile, &classes);
    tap_is_num(profile.stacks.items[profile.samples.items[0].stack.v].depth, 100000,
               "deep stacks are folded as well");
    profile_deinit(&profile);
}

static const struct {
    struct fold_function function;
    enum fold_class class;
    const char *name;
} functions[] = {
    {{"list_sort", "list.sort", false, true}, FOLD_NAMED, "list.sort"},
    {{"list_sort_impl", "list.sort", true, true}, FOLD_PART, "list.sort"},
    {{NULL, "list.sort", false, true}, FOLD_NAMED, "list.sort"},
    {{NULL, NULL, false, true}, FOLD_AWAY, NULL},
    {{"_Py_dict_lookup", NULL, false, true}, FOLD_PART, "dict lookup"},
    {{"lookdict_unicode_nodummy", NULL, false, true}, FOLD_PART, "dict lookup"},
    {{"dictresize", NULL, false, true}, FOLD_PART, "dict growth"},
    {{"dictresized", NULL, false, true}, FOLD_AWAY, NULL},
    {{"type_call", "type.__call__", false, true}, FOLD_AWAY, NULL},
    {{"gen_iternext", "generator.__next__", false, true}, FOLD_AWAY, NULL},
    {{"cfunction_vectorcall_FASTCALL", NULL, false, true}, FOLD_AWAY, NULL},
    {{"Py_BytesMain", NULL, false, true}, FOLD_RUN, NULL},
    {{"_start", NULL, false, true}, FOLD_START, NULL},
    {{"main", NULL, false, true}, FOLD_AWAY, NULL},
    {{"main", NULL, false, false}, FOLD_MAIN, NULL},
    {{"simulate", NULL, false, false}, FOLD_STAYS, NULL},
    {{"lookdict_of_mine", NULL, false, false}, FOLD_STAYS, NULL},
    {{NULL, NULL, false, false}, FOLD_STAYS, NULL},
    {{"PyObject_Vectorcall", NULL, false, false}, FOLD_AWAY, NULL},
    {{"_PyEval_Vector", NULL, false, false}, FOLD_AWAY, NULL},
    {{"list_sort", "list.sort", false, false}, FOLD_NAMED, "list.sort"},
};

static void test_functions(void)
{
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        const struct fold_function *function = &functions[i].function;
        const char *name = NULL;
        enum fold_class class = fold_interpreter(function, &name);
        bool is_named = name && functions[i].name ? strcmp(name, functions[i].name) == 0
                                                  : name == functions[i].name;

        tap_ok(class == functions[i].class && is_named, "%s, %s%s: class %d, %s",
               function->symbol ? function->symbol : "no symbol",
               function->python_name ? function->python_name : "no name",
               function->is_python ? "" : ", of a program", (int)class, name ? name : "-");
    }
    tap_ok(fold_other("_start", "python3.12") == FOLD_START, "_start");
    tap_ok(fold_other("__libc_start_main", "libc.so.6") == FOLD_START, "the C library's start");
    tap_ok(fold_other("libc.so.6+0x2724a", "libc.so.6") == FOLD_START, "without a name, too");
    tap_ok(fold_other("main", "blender") == FOLD_MAIN, "a main");
    tap_ok(fold_other("cblas_ddot", "libopenblas.so.0") == FOLD_STAYS, "a library");
    tap_ok(fold_other("step", "libcrypto.so.3") == FOLD_STAYS, "a library with c in its name");
}

int main(void)
{
    test_stacks();
    test_deep_stack();
    test_functions();
    vec_deinit(&classes);
    return tap_done();
}
