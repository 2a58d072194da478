/* SPDX-License-Identifier: MIT */
/* namer.h on this very program, which has functions like those of an interpreter that was built
 * with tail calls, of Cython's and of -X perf. */
#include "pspy/naming/namer.h"

#include <fcntl.h>
#include <unistd.h>

#include "pspy/elf/image.h"
#include "unit/tap.h"

#define FUNCTION(name, symbol)                                                                     \
    void name(void) __asm__(symbol);                                                               \
    __attribute__((noinline, used)) void name(void)                                                \
    {                                                                                              \
        __asm__ volatile("nop");                                                                   \
    }

FUNCTION(function_called, "function_called")
FUNCTION(piece, "_TAIL_CALL_CALL")
FUNCTION(piece_of_lto, "_TAIL_CALL_LOAD_FAST.llvm.123456789")
FUNCTION(no_piece, "call_TAIL_CALL_CALL")
FUNCTION(lookup, "_Py_dict_lookup")
FUNCTION(helper, "__Pyx_PyObject_Call")
FUNCTION(trampoline, "\"py::work:/tmp/work.py\"")
FUNCTION(mangled, "_ZN3Foo3barEi")

/* clang-format off */
enum { INNER_LINE = __LINE__ + 1 };
static inline __attribute__((always_inline)) void inner(void)
{
    __asm__ volatile(".globl place_in_inner\nplace_in_inner: nop");
}

enum { OUTER_LINE = __LINE__ + 1 };
__attribute__((noinline, used)) static void outer(void)
{
    __asm__ volatile("nop");
    inner();
}
/* clang-format on */

static struct image *image;
static struct profile profile;
static struct module_list modules;
static struct namer *namer;
static char path[] = "/usr/bin/python";

static void begin(struct module module)
{
    struct profile_module told = {.flags = 0};

    module.path = path;
    module.image = image;
    vec_push(&modules.modules, module);
    profile_init(&profile);
    profile_add_module(&profile, &told);
    namer = namer_create(&profile, &modules, -1, NULL);
}

static void end(void)
{
    namer_destroy(namer);
    vec_deinit(&modules.modules);
    profile_deinit(&profile);
}

static frame_id add(const char *symbol, uint64_t from_start, bool is_return)
{
    struct native_ref ref = {.module = 0, .is_return = is_return};

    if (!image_symbol(image, symbol, &ref.offset))
        tap_ok(false, "no symbol %s", symbol);
    ref.offset += from_start + is_return;
    return profile_frame_native(&profile, &ref);
}

static const struct frame_info *said(frame_id frame, uint32_t index)
{
    static const struct frame_info nothing;
    const struct frame_names *names = profile_frame_names(&profile, frame);

    if (!names || index >= names->count)
        return &nothing;
    return profile_frame_info(&profile, profile.named.items[names->first + index]);
}

static const char *name_of(const char *symbol)
{
    frame_id frame = add(symbol, 0, true);

    namer_name(namer);
    return profile_text(&profile, said(frame, 0)->name);
}

static unsigned flags_of(const char *symbol)
{
    frame_id frame = add(symbol, 0, true);

    namer_name(namer);
    return said(frame, 0)->flags;
}

static void test_interpreter(void)
{
    frame_id frame;

    begin((struct module){.is_interpreter = true});
    tap_is_num(flags_of("_TAIL_CALL_CALL"), FRAME_HIDDEN, "a piece of an interpreter's loop");
    tap_is_num(flags_of("_TAIL_CALL_LOAD_FAST.llvm.123456789"), FRAME_HIDDEN, "another");
    tap_is_num(flags_of("call_TAIL_CALL_CALL"), 0, "a name that only holds theirs");
    frame = add("_Py_dict_lookup", 0, false);
    namer_name(namer);
    tap_is_str(profile_text(&profile, said(frame, 0)->name), "_Py_dict_lookup", "the C name");
    tap_is_str(profile_text(&profile, said(frame, 0)->python_name), "dict lookup",
               "Python's programmers' name");
    tap_is_num(said(frame, 0)->fold, FOLD_PART, "and its class");
    tap_is_num(said(frame, 0)->kind, FRAME_INTERPRETER, "and its kind");
    tap_is_num(said(frame, 0)->line, 0, "nobody looks for the interpreter's lines");
    tap_is_str(profile_text(&profile, said(frame, 0)->file), "/usr/bin/python", "its file");
    end();
}

static void test_other_module(void)
{
    begin((struct module){.path = NULL});
    tap_is_num(flags_of("_TAIL_CALL_CALL"), 0, "another module's functions of such names");
    tap_is_num(flags_of("__Pyx_PyObject_Call"), FRAME_HELPER, "a helper of Cython's");
    tap_is_num(flags_of("py::work:/tmp/work.py"), 0, "no trampoline in a file");
    tap_is_str(name_of("_ZN3Foo3barEi"), "Foo::bar(int)", "a name of C++");
    end();
    begin((struct module){.is_jit = true, .has_plain_names = true});
    tap_is_num(flags_of("py::work:/tmp/work.py"), FRAME_TRAMPOLINE, "one of -X perf");
    tap_is_str(name_of("_ZN3Foo3barEi"), "_ZN3Foo3barEi", "a plain name");
    end();
}

static void test_lines(void)
{
    frame_id frame;
    const struct frame_info *info;

    begin((struct module){.path = NULL});
    frame = add("place_in_inner", 0, false);
    namer_name(namer);
    info = said(frame, 0);
    tap_is_str(profile_text(&profile, info->name), "outer", "the function first");
    tap_is_num(info->line, OUTER_LINE + 3, "it is where it calls the inlined one");
    tap_ok(info->first_line >= OUTER_LINE && info->first_line <= OUTER_LINE + 2,
           "and its first line is %u", info->first_line);
    info = said(frame, 1);
    tap_is_str(profile_text(&profile, info->name), "inner", "then the inlined one");
    tap_is_num(info->line, INNER_LINE + 2, "it is where the code is");
    tap_is_num(info->first_line, INNER_LINE, "and its first line");
    tap_is_num(info->flags, FRAME_INLINED, "which is known as such");
    tap_is_str(profile_text(&profile, info->short_file), "test_namer.c", "with its file");
    end();
}

static void test_later(void)
{
    frame_id early, late;
    size_t count;

    begin((struct module){.path = NULL});
    early = add("_Py_dict_lookup", 0, false);
    namer_name(namer);
    tap_is_num(said(early, 0)->kind, FRAME_NATIVE, "a module that may be an interpreter");
    count = profile.names.length;
    namer_name(namer);
    namer_finish(namer);
    tap_is_num((long long)profile.names.length, (long long)count, "nothing is said twice");
    late = add("function_called", 0, false);
    modules.modules.items[0].is_interpreter = true;
    namer_name(namer);
    tap_is_num(said(early, 0)->kind, FRAME_INTERPRETER, "turns out to be one");
    tap_is_num(said(early, 0)->fold, FOLD_PART, "with all that this means");
    tap_is_num(said(late, 0)->kind, FRAME_INTERPRETER, "for addresses that are new as well");
    count = profile.names.length;
    namer_finish(namer);
    tap_is_num((long long)profile.names.length, (long long)count, "which is said once");
    end();
}

static void test_nameless(void)
{
    struct native_ref ref = {.module = 0, .offset = 0x40}; /* in the file's header: no code */
    frame_id frame;

    begin((struct module){.path = NULL});
    frame = profile_frame_native(&profile, &ref);
    namer_name(namer);
    tap_is_str(profile_text(&profile, said(frame, 0)->name), "python+0x40", "a place");
    tap_is_num(said(frame, 0)->flags, FRAME_NAMES_MODULE, "whose name has the module's");
    end();
}

int main(void)
{
    struct error why = ERROR_INIT;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    if (!tap_ok(image_open(fd, "/usr/bin/python", -1, &image, &why) == ERR_OK, "opens itself"))
        return tap_done();
    close(fd);
    test_interpreter();
    test_other_module();
    test_lines();
    test_later();
    test_nameless();
    image_destroy(image);
    return tap_done();
}
