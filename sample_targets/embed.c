/* SPDX-License-Identifier: MIT */
/*
 * A program that embeds Python: embed [--late] CODE. With --late it says {"target": "embed"} and
 * starts Python only when a line comes in. Python runs CODE. Then it is finalized, {"ended": true}
 * is printed, and the program stays until its stdin closes.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* By hand: stdio's buffer would keep what the code shall read. */
static void wait_for_line(void)
{
    char byte;

    while (read(STDIN_FILENO, &byte, 1) == 1 && byte != '\n')
        ;
}

int main(int argc, char **argv)
{
    int is_late = argc == 3 && strcmp(argv[1], "--late") == 0;
    int failed;

    if (argc != 2 + is_late) {
        fprintf(stderr, "embed [--late] CODE\n");
        return 2;
    }
    if (is_late) {
        printf("{\"target\": \"embed\"}\n");
        fflush(stdout);
        wait_for_line();
    }
#if PY_MAJOR_VERSION < 3
    Py_NoSiteFlag = 1; /* it imports modules that bring libpython2.7 along */
#endif
    Py_Initialize();
    failed = PyRun_SimpleString(argv[argc - 1]);
    Py_Finalize();
    printf("{\"ended\": true}\n");
    fflush(stdout);
    wait_for_line();
    return failed ? 1 : 0;
}
