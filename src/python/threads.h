/* SPDX-License-Identifier: MIT */
#ifndef PSPY_PYTHON_THREADS_H
#define PSPY_PYTHON_THREADS_H

#include "pspy/python/python.h"

/* The kernel's id of the thread whose pthread_self() is `pthread_at`; 0 if it is gone. */
pid_t threads_pthread_tid(const struct python *python, const struct target *target,
                          uint64_t pthread_at);

#endif
