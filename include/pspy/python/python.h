/* SPDX-License-Identifier: MIT */
/*
 * A Python interpreter in a target: finding it, its thread states, their frames, and what the
 * frames' code objects are called. Knows nothing of native stacks: it gives the addresses by which
 * the two are matched.
 */
#ifndef PSPY_PYTHON_PYTHON_H
#define PSPY_PYTHON_PYTHON_H

#include <stdbool.h>
#include <stdint.h>

#include "pspy/base/error.h"
#include "pspy/base/table.h"
#include "pspy/base/vec.h"
#include "pspy/python/layout.h"
#include "pspy/python/lines.h"
#include "pspy/target/module.h"
#include "pspy/target/pages.h"
#include "pspy/target/target.h"

/* A Python thread state. A thread has one for each interpreter that it has run. */
struct python_thread {
    uint64_t state;       /* address of the PyThreadState */
    uint64_t interpreter; /* of the PyInterpreterState */
    uint64_t gil;         /* of the struct _gil_runtime_state it needs; 0: none, or not known */
    uint64_t thread_id;   /* pthread_self() */
    pid_t tid;            /* gettid() as the target sees it; 0: not set yet */
    uint32_t rank; /* place in the lists, which have the newest interpreters and states first */
};

struct code_cache;

struct address_range {
    uint64_t start, end;
};

struct python {
    struct layout layout;
    uint32_t module;       /* that holds the runtime */
    uint32_t full_version; /* PY_VERSION_HEX */
    bool is_guessed;       /* a version newer than those that pspy knows */
    /* Addresses in the target; 0: there is none, or it could not be found. */
    uint64_t runtime;         /* _PyRuntime, 3.7+ */
    uint64_t interpreters_at; /* of the pointer to the first interpreter state */
    uint64_t gil_holder_at;   /* GIL_CURRENT: of the pointer to the holder's thread state */
    uint64_t gil_at;          /* up to 3.11: what a thread that waits for the GIL waits on ... */
    uint64_t gil_size;        /* ... lies in these bytes */
    uint64_t gil_lock_at;     /* 2.7: of the pointer to gil_at, NULL until threads are used */
    uint64_t collecting_at;   /* up to 3.8: int, a garbage collection runs */
    uint64_t code_type;       /* PyCode_Type, for python_is_code_type */
    /* The eval loop's code, hot and cold parts, for ANCHORS_COUNTED. */
    VEC(struct address_range) eval_loops;
    VEC(struct python_thread) threads; /* by tid */
    uint64_t newest_thread;            /* the heads of the lists as of the last refresh */
    bool threads_unsettled;            /* a thread had no id of its own yet: refresh again soon */
    uint32_t pthread_tid_at; /* where struct pthread has the kernel's id, up to 3.10; 0: unknown */
    uint32_t round;          /* of python_begin_round */
    VEC(uint32_t) doubted;   /* codes, for python_code_info */
    uint64_t threading_key;  /* the key "threading" in sys.modules, as it was met last */
    struct code_cache *codes;
};

/*
 * Looks for the Python runtime among the modules. ERR_NOT_FOUND: no Python here (yet: an exec'd
 * program maps libpython some milliseconds later). ERR_UNSUPPORTED: a Python we cannot read, `why`
 * says which. ERR_INVALID: found, but not initialized yet.
 */
enum err python_open(struct address_space *space, const struct target *target, struct python *ret,
                     struct error *why);
void python_close(struct python *python);

/* Reads the list of thread states anew, if `force` or if its head has changed. */
enum err python_refresh_threads(struct python *python, const struct target *target, bool force);
/* The thread states of a tid in the target's view: how many, and the first of them. None if it is
 * no Python thread as far as is known. */
size_t python_find_thread(const struct python *python, pid_t tid,
                          const struct python_thread **ret_first);

/* Whether the thread, blocked in futex(address), waits for the GIL. */
bool python_waits_for_gil(const struct python *python, const struct python_thread *thread,
                          uint64_t address);

/* Whether the thread state holds its GIL; in a free-threaded build: whether it may run Python code.
 * ERR_UNREADABLE. */
enum err python_holds_gil(const struct python *python, const struct target *target,
                          const struct python_thread *thread, bool *ret);

/* Appends the names in threading._active by thread: `ret` has one entry per python->threads, "" if
 * unknown. The entries are the caller's to free. */
struct python_names {
    VEC(char *) names;
};
void python_thread_names(struct python *python, const struct target *target,
                         struct python_names *ret);
void python_names_deinit(struct python_names *names);

/* ---- Frames ---- */

struct python_frame {
    uint64_t address;     /* of the frame */
    uint64_t code;        /* address of the code object */
    uint64_t instruction; /* as layout.instruction says */
    int32_t tlbc;         /* which copy of the bytecode it is in; 0: the code object's own */
    uint32_t call;       /* which eval call of the C stack runs it: index in python_stack.anchors */
    uint32_t code_index; /* python_resolve: CODE_UNKNOWN, or for python_code_info */
};

enum python_end {
    PYTHON_ROOT,
    PYTHON_TRUNCATED, /* more frames than the limit */
    PYTHON_UNREADABLE,
    PYTHON_TORN, /* the state changed while it was read; of a stopped thread: between two states */
};

#define CODE_HEAD_BYTES 256
#define CODE_TEXT_BYTES 256
#define CODE_TEXTS      2
#define CODE_UNKNOWN    UINT32_MAX

/* The start of a code object as it was while a frame ran it: it says which function the address
 * meant at that moment. */
struct code_head {
    uint64_t address;
    unsigned char bytes[CODE_HEAD_BYTES];
    /* The beginnings of its file name and qualified name (str objects), as far as they were copied.
     */
    unsigned char texts[CODE_TEXTS][CODE_TEXT_BYTES];
    uint16_t text_sizes[CODE_TEXTS];
    uint64_t fingerprint; /* without layout.code_version: of both texts, else 0 */
    uint32_t index;       /* python_resolve: CODE_UNKNOWN, or for python_code_info */
};

struct python_stack {
    VEC(struct python_frame) frames; /* innermost first */
    /* One address per eval call, innermost first: it lies in that native frame's stack memory. 0:
     * the innermost call, which is ending. */
    VEC(uint64_t) anchors;
    /* Of the distinct code objects in `frames` that were not met before in this round. */
    VEC(struct code_head) heads;
    struct table head_index;
    bool holds_gil;
    bool is_collecting; /* and a garbage collection runs in its interpreter */
    enum python_end end;
};

void python_stack_deinit(struct python_stack *stack);

/* What is kept of a thread from sample to sample: where its frames lie. */
struct python_view {
    struct pages memory;
    /* With layout.has_cframe: the innermost eval call's cframe as of last time, and its caller's.
     */
    uint64_t cframe, outer_cframe;
};

void python_view_deinit(struct python_view *view);

struct python_walk {
    bool is_stopped;    /* the thread stands still meanwhile, or is blocked */
    bool wants_anchors; /* fill stack->anchors: costs reads that only merging needs */
    size_t limit;       /* frames at most */
    /* A place that is copied in the same system call, while the thread stands still: its C stack.
     * NULL: none. */
    const struct iovec *stack_local, *stack_remote;
};

/*
 * Reads the frames of a thread, of all its states one upon the other. A running thread's are read
 * twice, and are PYTHON_TORN if the readings differ. Never fails: the end says what happened. True
 * if walk->stack_local was filled, whole.
 */
bool python_walk(const struct python *python, const struct target *target,
                 const struct python_thread *states, size_t count, const struct python_walk *walk,
                 struct python_view *view, struct python_stack *ret);

/* ---- Code objects ---- */

struct code_info {
    const char *qualname; /* UTF-8 */
    const char *file;     /* co_filename, UTF-8 */
    uint32_t first_line;
};

/*
 * Code objects are looked at once a round, however many samples it has. An address may be freed and
 * used for another one meanwhile. So a round either has one sample only, or is checked at its end:
 * all that it met are looked at once more, and those that are not what they were are put into
 * python->doubted: what that round's samples say of them may be wrong.
 */
void python_check_round(struct python *python, const struct target *target);
/* `keeps`: what the check found to be still there need not be looked at in the new round, which
 * must be checked then. */
void python_begin_round(struct python *python, bool keeps);

/*
 * Finds out what the code objects of `stack` are: fills code_index of its frames, the same for the
 * same function in each later sample. Reads from the target only when it meets a code object for
 * the first time. Frames of code that is the interpreter's own are dropped.
 */
void python_resolve(struct python *python, const struct target *target, struct python_stack *stack);
/* Valid until the next python_resolve. `code` is not CODE_UNKNOWN. */
struct code_info python_code_info(const struct python *python, uint32_t code);
/* The position of the frame's instruction; {0} if it has none. */
struct line_entry python_code_line(struct python *python, const struct target *target,
                                   const struct python_frame *frame);

#endif
