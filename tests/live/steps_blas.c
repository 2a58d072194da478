/* SPDX-License-Identifier: MIT */
/*
 * A program to be single-stepped by tests/unit/print_steps.c: from the breakpoint on it calls
 * OpenBLAS's kernels, which are assembler without unwind tables, again and again. The argument is
 * the library. Integers are 8 bytes: the library takes the 4 or 8 lower ones.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define N 24

typedef void function(void *, ...);

static double a[N * N], b[N * N], c[N * N];
static void *library;

/* By any of the names that builds of OpenBLAS give it. */
static function *find(const char *name)
{
    static const char *const forms[] = {"%s_", "%s_64_", "scipy_%s_64_", "scipy_%s_"};
    char text[60];
    function *found = NULL;

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]) && !found; i++) {
        snprintf(text, sizeof(text), forms[i], name);
        found = (function *)dlsym(library, text);
    }
    return found;
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"dgemm", "sgemm", "zgemm", "dgemv", "ddot",  "daxpy",
                                        "dscal", "dnrm2", "dtrsm", "dsyrk", "dcopy", "dasum"};
    function *functions[12];
    long n = N, one = 1;
    double x = 1.0, zero[2] = {0};

    library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
    if (!library)
        return fprintf(stderr, "%s\n", dlerror()), 1;
    for (int i = 0; i < 12; i++)
        if (!(functions[i] = find(names[i])))
            return fprintf(stderr, "no %s\n", names[i]), 1;
    for (int i = 0; i < N * N; i++)
        a[i] = b[i] = i % 7 + (i % (N + 1) == 0);
    __asm__ volatile("int3");
    for (;;) {
        long half = n / 2;

        functions[0]("N", "N", &n, &n, &n, &x, a, &n, b, &n, zero, c, &n, 1L, 1L);
        functions[0]("T", "N", &n, &n, &n, &x, a, &n, b, &n, zero, c, &n, 1L, 1L);
        functions[1]("N", "T", &n, &n, &n, zero, a, &n, b, &n, zero, c, &n, 1L, 1L);
        functions[2]("N", "N", &half, &half, &half, zero, a, &half, b, &half, zero, c, &half, 1L,
                     1L);
        functions[3]("N", &n, &n, &x, a, &n, b, &one, zero, c, &one, 1L);
        functions[3]("T", &n, &n, &x, a, &n, b, &one, zero, c, &one, 1L);
        ((double (*)(void *, ...))functions[4])(&n, a, &one, b, &one);
        functions[5](&n, &x, a, &one, c, &one);
        functions[6](&n, &x, c, &one);
        ((double (*)(void *, ...))functions[7])(&n, a, &one);
        functions[8]("L", "L", "N", "U", &n, &n, &x, a, &n, c, &n, 1L, 1L, 1L, 1L);
        functions[9]("L", "N", &n, &n, &x, a, &n, zero, c, &n, 1L, 1L);
        functions[10](&n, a, &one, c, &one);
        ((double (*)(void *, ...))functions[11])(&n, a, &one);
        n = n == N ? N - 5 : N;
    }
}
