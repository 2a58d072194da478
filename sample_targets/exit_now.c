/* SPDX-License-Identifier: MIT */
/* Exits at once with --status N, or kills itself with --signal N. */
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "options.h"

int main(int argc, char **argv)
{
    double status = 0, signum = 0;
    const struct option_row rows[] = {
        {"--status", &status, NULL},
        {"--signal", &signum, NULL},
    };
    const struct rlimit no_core = {0, 0};

    OPTIONS_PARSE(argc, argv, rows);
    if (signum > 0) {
        setrlimit(RLIMIT_CORE, &no_core);
        kill(getpid(), (int)signum);
    }
    return (int)status;
}
