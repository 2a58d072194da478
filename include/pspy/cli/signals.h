/* SPDX-License-Identifier: MIT */
/* What signals mean while pspy records: the end, a snapshot, or something for the program. */
#ifndef PSPY_CLI_SIGNALS_H
#define PSPY_CLI_SIGNALS_H

#include <signal.h>

#include "pspy/target/ptrace.h"

/* Set by the handlers: SIGINT, SIGTERM, SIGHUP; SIGUSR1. */
extern volatile int signals_stop;
extern volatile int signals_snapshot;

/* As we were started: the program shall have the same. */
struct signal_state {
    sigset_t old_mask, ignored;
};

void signals_handle(struct signal_state *ret);
/* From now on the program gets the signals that are for it, and those that came before it ran. */
void signals_forward_to(const struct waiter *waiter);

#endif
