/* SPDX-License-Identifier: MIT */
/* access.h: which of the kernel's rules is told of, by facts that no one machine has all of. */
#include "pspy/target/access.h"
#include "unit/tap.h"

static const struct row {
    const char *what;
    struct access_facts facts;
    const char *reason, *remedy;
} rows[] = {
    {"another user",
     {.user = 1000, .owners = {0, 0, 0}, .ptrace_scope = 1},
     "it runs as user root and pspy as ",
     "sudo env"},
    {"a set-user-id program",
     {.user = 1000, .owners = {1000, 0, 0}, .ptrace_scope = -1},
     "it runs as user root and pspy as ",
     "sudo env"},
    {"one that could become root again",
     {.user = 1000, .owners = {1000, 1000, 0}, .ptrace_scope = -1},
     "it runs as user ",
     "sudo env"},
    {"ptrace_scope 1",
     {.user = 1000, .owners = {1000, 1000, 1000}, .ptrace_scope = 1},
     "ptrace_scope is 1, which leaves it to a process's parents",
     "sudo env"},
    {"ptrace_scope 2",
     {.user = 1000, .owners = {1000, 1000, 1000}, .ptrace_scope = 2},
     "ptrace_scope is 2, which leaves it to root",
     "sudo env"},
    {"ptrace_scope 3",
     {.has_capability = true, .ptrace_scope = 3},
     "ptrace_scope is 3, which forbids it to everybody",
     "next boot"},
    {"root of a container",
     {.ptrace_scope = 1},
     "root but without CAP_SYS_PTRACE",
     "add the capability SYS_PTRACE"},
    {"root of a container, another user",
     {.owners = {1000, 1000, 1000}, .ptrace_scope = -1},
     "root but without CAP_SYS_PTRACE",
     "add the capability SYS_PTRACE"},
    {"seccomp",
     {.user = 1000, .owners = {1000, 1000, 1000}, .is_filtered = true, .ptrace_scope = 1},
     "a seccomp filter",
     "seccomp=unconfined"},
    {"a tracer",
     {.has_capability = true, .tracer = 4321, .ptrace_scope = 1},
     "another tracer, process 4321",
     "--nonblocking"},
    {"a memory that is not dumpable",
     {.user = 1000, .owners = {1000, 1000, 1000}, .ptrace_scope = 0},
     "it protects its memory",
     "sudo env"},
    {"a security module",
     {.has_capability = true, .owners = {1000, 1000, 1000}, .ptrace_scope = 0},
     "a security module",
     "kernel's log"},
};

static void test_explain(void)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct strbuf text = STRBUF_INIT;

        access_explain(&rows[i].facts, &text);
        tap_ok(strstr(text.text, rows[i].reason), "%s: the reason", rows[i].what);
        tap_ok(strstr(text.text, rows[i].remedy), "%s: the remedy", rows[i].what);
        strbuf_deinit(&text);
    }
}

static void test_parse(void)
{
    static const char whole[] = "Name:\tpython3\nTgid:\t7\nTracerPid:\t4321\n"
                                "Uid:\t1000\t1001\t1002\t1003\nGid:\t4\t4\t4\t4\n";
    struct access_facts facts = {.ptrace_scope = 2};

    tap_ok(!access_parse_status("Name:\tpython3\nUid:\t1\t2\t3\t4\n", &facts), "no tracer's line");
    tap_ok(!access_parse_status("TracerPid:\t7\nUid:\t1\t2\n", &facts), "a line cut off");
    tap_ok(!access_parse_status("", &facts), "nothing");
    tap_ok(facts.tracer == 0 && facts.owners[0] == 0, "nothing is changed then");
    tap_ok(access_parse_status(whole, &facts), "a real text");
    tap_is_num(facts.tracer, 4321, "its tracer");
    tap_ok(facts.owners[0] == 1000 && facts.owners[1] == 1001 && facts.owners[2] == 1002,
           "its users");
    tap_is_num(facts.ptrace_scope, 2, "other facts stay");
}

int main(void)
{
    test_explain();
    test_parse();
    return tap_done();
}
