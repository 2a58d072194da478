/* SPDX-License-Identifier: MIT */
/* profile.h and query.h: interning, the merged call tree, totals. */
#include <stdlib.h>

#include "pspy/profile/query.h"
#include "unit/tap.h"

static struct frame_info make_info(struct profile *profile, enum frame_kind kind, const char *name,
                                   const char *file, uint32_t line)
{
    const char *slash = strrchr(file, '/');

    return (struct frame_info){
        .kind = kind,
        .name = profile_string(profile, name),
        .file = profile_string(profile, file),
        .short_file = profile_string(profile, slash ? slash + 1 : file),
        .line = line,
    };
}

static frame_id make_frame(struct profile *profile, const char *name, uint32_t line)
{
    struct frame_info info = make_info(profile, FRAME_PYTHON, name, "/srv/app.py", line);

    return profile_frame(profile, &info);
}

static stack_id push(struct profile *profile, stack_id parent, const char *name, uint32_t line)
{
    return profile_stack(profile, parent, make_frame(profile, name, line));
}

static void sample(struct profile *profile, uint32_t thread, stack_id stack, uint64_t time,
                   uint64_t weight)
{
    struct sample one = {.time = time, .weight = weight, .thread = thread, .stack = stack};

    profile_add_sample(profile, &one);
}

/* ---- interning ---------------------------------------------------------------------------------
 */

static void test_strings(void)
{
    struct profile profile;
    string_id a, b;

    profile_init(&profile);
    tap_is_num(profile_string(&profile, "").v, 0, "string 0 is the empty one");
    a = profile_string(&profile, "one");
    b = profile_string(&profile, "two");
    tap_ok(a.v != b.v && a.v && b.v, "different strings have different numbers");
    tap_is_num(profile_string(&profile, "one").v, a.v, "the same string has the same number");
    tap_is_num(profile_string_n(&profile, "onerous", 3).v, a.v, "a length cuts the string");
    for (int i = 0; i < 20000; i++) {
        char text[16];

        snprintf(text, sizeof(text), "s%d", i);
        profile_string(&profile, text);
    }
    tap_is_num(profile_string(&profile, "two").v, b.v, "numbers stay while the table grows");
    tap_is_str(profile_text(&profile, a), "one", "texts stay while the table grows");
    tap_ok(profile_string_n(&profile, "a\0b", 3).v != profile_string_n(&profile, "a\0c", 3).v,
           "strings that differ after a NUL differ");
    tap_is_str(profile_text(&profile, profile_string_n(&profile, "a\0b", 3)),
               "a\xe2\x90\x80"
               "b",
               "a NUL is shown as a symbol");
    profile_deinit(&profile);
}

static void test_frames(void)
{
    struct profile profile;
    struct native_ref ref = {.module = 3, .is_return = true, .offset = 0x1234};
    struct frame_info info;
    frame_id native, names[2];

    profile_init(&profile);
    tap_is_num(make_frame(&profile, "f", 1).v, make_frame(&profile, "f", 1).v, "frames are unique");
    tap_ok(make_frame(&profile, "f", 1).v != make_frame(&profile, "f", 2).v,
           "a line makes another frame");
    native = profile_frame_native(&profile, &ref);
    tap_is_num(profile_frame_native(&profile, &ref).v, native.v, "native frames are unique");
    ref.is_return = false;
    tap_ok(profile_frame_native(&profile, &ref).v != native.v, "a return address is another frame");
    ref.is_return = true;
    ref.module = 4;
    tap_ok(profile_frame_native(&profile, &ref).v != native.v, "a module is another frame");
    tap_ok(profile_frame_ref(&profile, make_frame(&profile, "f", 1)) == NULL,
           "a Python frame has no address");
    tap_is_num((long long)profile_frame_ref(&profile, native)->offset, 0x1234,
               "an address is kept");
    tap_ok(profile_frame_names(&profile, native) == NULL, "an address has no name at first");
    info = make_info(&profile, FRAME_NATIVE, "f", "/lib/libf.so", 0);
    names[0] = profile_frame(&profile, &info);
    names[1] = make_frame(&profile, "inlined", 3);
    profile_name_frame(&profile, native, names, 2);
    tap_is_num(profile_frame_names(&profile, native)->count, 2, "a name, and what is inlined");
    profile_name_frame(&profile, native, names, 1);
    tap_is_num(profile_frame_names(&profile, native)->count, 1, "the last names hold");
    profile_deinit(&profile);
}

static void test_stacks(void)
{
    struct profile profile;
    stack_id a, ab;

    profile_init(&profile);
    a = push(&profile, STACK_EMPTY, "a", 1);
    ab = push(&profile, a, "b", 1);
    tap_is_num(push(&profile, a, "b", 1).v, ab.v, "stacks are unique");
    tap_ok(push(&profile, STACK_EMPTY, "b", 1).v != ab.v, "the caller makes another stack");
    tap_is_num(profile.stacks.items[ab.v].depth, 2, "depth");
    tap_ok(a.v > 0 && ab.v > a.v, "callers come before callees, 0 is the empty stack");
    profile_deinit(&profile);
}

/* ---- the call tree -----------------------------------------------------------------------------
 */

/* All that there is. */
static void show(struct view *view, const struct profile *profile)
{
    struct view_options all = {.native_all = true};

    view_init(view, profile, &all);
    view_update(view);
}

/* "depth label self/total ms" a node, as a text to compare. */
static void print_tree(const struct profile *profile, enum call_group group, struct strbuf *text)
{
    struct call_tree tree;
    struct view view;

    show(&view, profile);
    call_tree_init(&tree);
    call_tree_build(&tree, &view, group);
    vec_each (node, &tree.nodes)
        strbuf_addf(text, "%u %s %llu/%llu %llums >%u\n", node->depth, call_tree_label(&tree, node),
                    (unsigned long long)node->self_samples, (unsigned long long)node->total_samples,
                    (unsigned long long)node->total_ns / 1000000, node->end);
    call_tree_deinit(&tree);
    view_deinit(&view);
}

/* a>b twice through different lines of a, a>c, and d; `turned` interns all of it the other way
 * round. */
static void fill_tree(struct profile *profile, bool turned)
{
    uint32_t thread = profile_add_thread(profile, profile_add_process(profile, 1), 1);

    if (turned)
        for (int name = 'z'; name >= 'a'; name--)
            push(profile, STACK_EMPTY, (char[]){(char)name, '\0'}, 9);
    sample(profile, thread, push(profile, push(profile, STACK_EMPTY, "a", 1), "b", 5), 0, 10000000);
    sample(profile, thread, push(profile, push(profile, STACK_EMPTY, "a", 2), "b", 5), 0, 20000000);
    sample(profile, thread, push(profile, push(profile, STACK_EMPTY, "a", 1), "c", 5), 0, 10000000);
    sample(profile, thread, push(profile, STACK_EMPTY, "d", 5), 0, 10000000);
    sample(profile, thread, push(profile, STACK_EMPTY, "a", 1), 0, 10000000);
    sample(profile, thread, STACK_EMPTY, 0, 10000000);
}

static void test_tree(void)
{
    struct strbuf text = STRBUF_INIT, again = STRBUF_INIT;
    struct profile profile, turned;

    profile_init(&profile);
    profile_init(&turned);
    fill_tree(&profile, false);
    fill_tree(&turned, true);
    print_tree(&profile, GROUP_LABEL, &text);
    tap_is_str(text.text,
               "0 all 0/6 70ms >8\n"
               "1 [no stack] 1/1 10ms >2\n"
               "1 a (app.py:1) 1/3 30ms >5\n"
               "2 b (app.py:5) 1/1 10ms >4\n"
               "2 c (app.py:5) 1/1 10ms >5\n"
               "1 a (app.py:2) 0/1 20ms >7\n"
               "2 b (app.py:5) 1/1 20ms >7\n"
               "1 d (app.py:5) 1/1 10ms >8\n",
               "the tree by labels");
    print_tree(&turned, GROUP_LABEL, &again);
    tap_is_str(again.text, text.text, "the order of interning does not matter");
    strbuf_reset(&text);
    print_tree(&profile, GROUP_FUNCTION, &text);
    tap_is_str(text.text,
               "0 all 0/6 70ms >6\n"
               "1 [no stack] 1/1 10ms >2\n"
               "1 a (app.py) 1/4 50ms >5\n"
               "2 b (app.py) 2/2 30ms >4\n"
               "2 c (app.py) 1/1 10ms >5\n"
               "1 d (app.py) 1/1 10ms >6\n",
               "the tree by functions");
    strbuf_deinit(&text);
    strbuf_deinit(&again);
    profile_deinit(&profile);
    profile_deinit(&turned);
}

static void test_alike_native(void)
{
    struct profile profile;
    struct strbuf text = STRBUF_INIT;
    uint32_t thread;

    profile_init(&profile);
    thread = profile_add_thread(&profile, profile_add_process(&profile, 1), 1);
    for (uint64_t offset = 16; offset <= 32; offset += 16) {
        struct native_ref ref = {.module = 0, .offset = offset};
        struct frame_info info = make_info(&profile, FRAME_NATIVE, "f", "/lib/libf.so", 0);
        frame_id frame = profile_frame_native(&profile, &ref);

        frame_id name = profile_frame(&profile, &info);

        profile_name_frame(&profile, frame, &name, 1);
        sample(&profile, thread, profile_stack(&profile, STACK_EMPTY, frame), 0, 1000000);
    }
    print_tree(&profile, GROUP_LABEL, &text);
    tap_is_str(text.text, "0 all 0/2 2ms >2\n1 f (libf.so) 2/2 2ms >2\n",
               "addresses of one function are one node");
    strbuf_deinit(&text);
    profile_deinit(&profile);
}

static void test_deep(void)
{
    struct profile profile;
    struct call_tree tree;
    struct view view;
    stack_id stack = STACK_EMPTY;
    uint32_t thread;

    profile_init(&profile);
    thread = profile_add_thread(&profile, profile_add_process(&profile, 1), 1);
    for (int i = 0; i < 100000; i++)
        stack = push(&profile, stack, "f", 1);
    sample(&profile, thread, stack, 0, 1);
    show(&view, &profile);
    call_tree_init(&tree);
    call_tree_build(&tree, &view, GROUP_LABEL);
    tap_is_num((long long)tree.nodes.length, 100001, "100,000 frames deep");
    tap_is_num((long long)tree.nodes.items[100000].self_samples, 1, "the leaf has the sample");
    call_tree_deinit(&tree);
    view_deinit(&view);
    profile_deinit(&profile);
}

/* ---- totals ------------------------------------------------------------------------------------
 */

static void test_hottest(void)
{
    struct profile profile;
    function_totals totals = VEC_INIT;
    struct view view;
    stack_id a;
    uint32_t thread;

    profile_init(&profile);
    thread = profile_add_thread(&profile, profile_add_process(&profile, 1), 1);
    a = push(&profile, STACK_EMPTY, "a", 1);
    sample(&profile, thread, push(&profile, push(&profile, a, "b", 1), "a", 2), 0, 5);
    sample(&profile, thread, push(&profile, a, "b", 9), 0, 5);
    sample(&profile, thread, push(&profile, a, "a", 3), 0, 5);
    show(&view, &profile);
    view_hottest(&view, &totals);
    tap_is_num((long long)totals.length, 2, "functions, not lines");
    tap_is_str(view_text(&view, view_frame(&view, totals.items[0].frame)->name), "a",
               "most self samples first");
    tap_is_num((long long)totals.items[0].self_samples, 2, "self samples");
    tap_is_num((long long)totals.items[0].total_samples, 3, "a recursion counts once a sample");
    tap_is_num((long long)totals.items[0].total_ns, 15, "and its time once");
    tap_is_num((long long)totals.items[1].total_samples, 2, "samples of a callee");
    vec_deinit(&totals);
    view_deinit(&view);
    profile_deinit(&profile);
}

static void test_threads(void)
{
    struct profile profile;
    struct thread_total totals[3];
    struct sample_index index;
    struct view view;

    profile_init(&profile);
    profile_add_process(&profile, 1);
    for (int tid = 1; tid <= 3; tid++)
        profile_add_thread(&profile, 0, tid);
    for (uint32_t i = 0; i < 5; i++)
        sample(&profile, i % 2 * 2, STACK_EMPTY, i, 2);
    show(&view, &profile);
    view_thread_totals(&view, totals);
    tap_ok(totals[0].samples == 3 && totals[1].samples == 0 && totals[2].samples == 2, "samples");
    tap_ok(totals[0].ns == 6 && totals[2].ns == 4, "time");
    sample_index_init(&index, &view);
    tap_ok(index.first[0] == 0 && index.first[1] == 3 && index.first[2] == 3 && index.first[3] == 5,
           "each thread's part of the index");
    tap_ok(index.order[0] == 0 && index.order[2] == 4 && index.order[3] == 1,
           "each part in the order of time");
    sample_index_deinit(&index);
    view_deinit(&view);
    profile_deinit(&profile);
}

static void test_names(void)
{
    for (int cause = 0; cause < LOSS_CAUSES; cause++)
        tap_ok(*loss_cause_name((enum loss_cause)cause) != '\0', "loss cause %d has a name", cause);
    for (int end = 0; end < STACK_ENDS; end++)
        tap_ok(*stack_end_name((enum stack_end)end) != '\0', "stack end %d has a name", end);
}

int main(void)
{
    test_strings();
    test_frames();
    test_stacks();
    test_tree();
    test_alike_native();
    test_deep();
    test_hottest();
    test_threads();
    test_names();
    return tap_done();
}
