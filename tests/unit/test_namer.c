/* SPDX-License-Identifier: MIT */
/* symbolize.h on this very program, which has functions like those of an interpreter that was built
 * with tail calls. */
#include <fcntl.h>
#include <unistd.h>

#include "pspy/elf/image.h"
#include "pspy/sampler/symbolize.h"
#include "unit/tap.h"

#define FUNCTION(name, symbol)                                                                     \
    void name(void) __asm__(symbol);                                                               \
    __attribute__((noinline, used)) void name(void)                                                \
    {                                                                                              \
        __asm__ volatile("nop");                                                                   \
    }

FUNCTION(function_called, "function_called")
FUNCTION(eval_loop, "eval_loop")
FUNCTION(piece, "_TAIL_CALL_CALL")
FUNCTION(piece_of_lto, "_TAIL_CALL_LOAD_FAST.llvm.123456789")
FUNCTION(no_piece, "call_TAIL_CALL_CALL")

static struct image *image;

static stack_id push(struct profile *profile, stack_id parent, const char *symbol, bool is_return)
{
    struct native_ref ref = {.module = 0, .is_return = is_return};

    if (!image_symbol(image, symbol, &ref.offset))
        tap_ok(false, "no symbol %s", symbol);
    ref.offset += is_return;
    return profile_stack(profile, parent, profile_frame_native(profile, &ref));
}

/* Root first. */
static void is_stack(const struct profile *profile, stack_id stack, const char *wanted,
                     const char *what)
{
    struct strbuf got = STRBUF_INIT;
    string_id names[16];
    size_t count = 0;

    for (; stack.v != STACK_EMPTY.v; stack = profile->stacks.items[stack.v].parent)
        names[count++] = profile_frame_info(profile, profile->stacks.items[stack.v].frame)->name;
    while (count-- > 0)
        strbuf_addf(&got, "%s%s", got.length ? ";" : "", profile_text(profile, names[count]));
    tap_is_str(got.text, wanted, what);
    strbuf_deinit(&got);
}

static stack_id push_python(struct profile *profile, stack_id parent)
{
    struct frame_info info = {.kind = FRAME_PYTHON, .name = profile_string(profile, "python")};

    return profile_stack(profile, parent, profile_frame(profile, &info));
}

static void make_samples(struct profile *profile)
{
    struct sample sample = {.weight = 1};
    stack_id stack = push(profile, STACK_EMPTY, "eval_loop", true);

    stack = push(profile, stack, "_TAIL_CALL_CALL", true);
    stack = push(profile, stack, "function_called", true);
    stack = push_python(profile, stack);
    sample.stack = push(profile, stack, "_TAIL_CALL_LOAD_FAST.llvm.123456789", true);
    profile_add_sample(profile, &sample);
    sample.stack = push(profile, sample.stack, "function_called", false);
    profile_add_sample(profile, &sample);
    sample.stack = push(profile, stack, "call_TAIL_CALL_CALL", false);
    profile_add_sample(profile, &sample);
}

static void symbolize_samples(struct profile *profile, bool is_interpreter)
{
    struct symbolize_options options = {.no_lines = true};
    struct module_list modules = {VEC_INIT};
    struct module module = {
        .path = (char[]){"/usr/bin/python"}, .image = image, .is_interpreter = is_interpreter};

    vec_push(&modules.modules, module);
    profile_init(profile);
    profile_add_thread(profile, profile_add_process(profile, 1, "python"), 1);
    make_samples(profile);
    symbolize(profile, &modules, -1, NULL, &options);
    vec_deinit(&modules.modules);
}

static void test_interpreter(void)
{
    struct profile profile;

    symbolize_samples(&profile, true);
    is_stack(&profile, profile.samples.items[0].stack, "eval_loop;function_called;python",
             "an interpreter's pieces vanish, innermost ones too");
    is_stack(&profile, profile.samples.items[1].stack,
             "eval_loop;function_called;python;function_called",
             "what they call stands below the Python frame");
    is_stack(&profile, profile.samples.items[2].stack,
             "eval_loop;function_called;python;call_TAIL_CALL_CALL",
             "a name that only holds theirs stays");
    profile_deinit(&profile);
}

static void test_other_module(void)
{
    struct profile profile;

    symbolize_samples(&profile, false);
    is_stack(&profile, profile.samples.items[1].stack,
             "eval_loop;_TAIL_CALL_CALL;function_called;python;"
             "_TAIL_CALL_LOAD_FAST;function_called",
             "another module's functions of such names stay");
    profile_deinit(&profile);
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
    image_destroy(image);
    return tap_done();
}
