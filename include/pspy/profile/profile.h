/* SPDX-License-Identifier: MIT */
/*
 * The facts of a recording: what was seen, whole, and nothing of how it is shown (profile/view.h).
 * It knows neither a live process nor a format. The sampler fills it, or a reader of a file.
 *
 * Everything only grows, but for the samples that are not settled yet, and what is learnt of a
 * process, a thread or an address later. Everything interned is an index, valid for the profile's
 * life. String 0 is "", stack 0 is the empty stack. Pointers handed out are valid until the next
 * call that adds something.
 */
#ifndef PSPY_PROFILE_PROFILE_H
#define PSPY_PROFILE_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pspy/base/strbuf.h"
#include "pspy/base/table.h"
#include "pspy/base/vec.h"
#include "pspy/profile/samples.h"
#include "pspy/profile/strings.h"

typedef struct {
    uint32_t v;
} frame_id;
typedef struct {
    uint32_t v;
} stack_id;

#define STACK_EMPTY ((stack_id){0})
#define FRAME_NONE  ((frame_id){UINT32_MAX})

#define PROFILE_NONE UINT32_MAX /* no process, thread, module or program */

/* What a frame is, for colours and filters. Their numbers stand in recordings: append only. */
enum frame_kind {
    FRAME_PYTHON,      /* Python code of the program itself */
    FRAME_STDLIB,      /* Python code of the standard library, frozen code included */
    FRAME_SITE,        /* Python code of site-packages or dist-packages */
    FRAME_NATIVE,      /* C, C++, Fortran, Rust: the program's, an extension's or a library's */
    FRAME_INTERPRETER, /* C code of the Python interpreter */
    /* From here on it is no code. */
    FRAME_MARKER,  /* a thread, a process, a note that something is missing */
    FRAME_SYSTEM,  /* the system call in which a thread runs */
    FRAME_WAITING, /* what a thread waits for */
    FRAME_KINDS,
};

/* What becomes of a native frame where the interpreter's own ways are folded away (profile/view.h).
 * These numbers, too, stand in recordings. */
enum fold_class {
    FOLD_STAYS, /* Python's functions, and code of all other modules */
    FOLD_NAMED, /* the interpreter's, known to Python's programmers: stays */
    FOLD_PART,  /* the same by a symbol: stays, but not below a frame of that very name */
    FOLD_AWAY,  /* the interpreter's, nothing that Python's programmers know */
    FOLD_RUN,   /* the same: what main of the `python` command calls */
    FOLD_START, /* where the C library starts a program or a thread: goes if Python follows */
    FOLD_MAIN,  /* main outside of the interpreter's file: goes if it only runs Python */
    FOLD_CLASSES,
};

enum frame_flags {
    FRAME_INLINED = 1 << 0,    /* into the frame that comes before it in the names of an address */
    FRAME_HIDDEN = 1 << 1,     /* a piece of an eval loop: the Python frames stand for it */
    FRAME_TRAMPOLINE = 1 << 2, /* of -X perf: hidden where a Python was seen */
    FRAME_HELPER = 1 << 3,     /* Cython's: hidden where the interpreter's frames are folded */
    FRAME_NAMES_MODULE = 1 << 4, /* its name has the module's in it: labels show no file */
};

/* A frame whose function is known. Two frames are the same frame iff all fields agree. */
struct frame_info {
    enum frame_kind kind;
    uint8_t fold;   /* enum fold_class */
    uint8_t flags;  /* enum frame_flags */
    string_id name; /* function; demangled; "module+0xoffset" where no symbol covers the address */
    string_id python_name; /* what Python's programmers call it: shown where frames are folded */
    string_id file;        /* full path of the source file, or of the module; "" for markers */
    string_id short_file;  /* the file from its outermost package on */
    string_id module;      /* full path of the file with native code; "" for other frames */
    uint32_t line;         /* that runs; 1-based; 0: unknown */
    uint32_t first_line;   /* of the function; 0: unknown */
    uint32_t column;       /* in bytes of the line's UTF-8, 1-based; 0: unknown */
};

/* Native code before it is named. */
struct native_ref {
    uint32_t module; /* index in profile.modules */
    bool is_return;  /* offset is a return address: look up offset - 1 */
    uint64_t offset; /* virtual address as in the ELF file */
};

/* A set of names for an address: the function, then what was inlined into it, outermost first, each
 * of them a frame with a frame_info. */
struct frame_names {
    frame_id frame;
    uint32_t first, count; /* in profile.named */
};

enum module_flags {
    MODULE_INTERPRETER = 1 << 0, /* CPython's code lies there */
    MODULE_JIT = 1 << 1,         /* made at run time */
};

/* A file with native code. */
struct profile_module {
    string_id path;
    string_id build_id; /* in hexadecimal digits; "": none */
    uint8_t flags;      /* enum module_flags */
};

struct stack_node {
    stack_id parent; /* the caller's stack; STACK_EMPTY for a root frame */
    frame_id frame;
    uint32_t depth; /* frames, this one included */
};

/* How a stack ended at its root side. Stands in recordings: append only. */
enum stack_end {
    END_ROOT,       /* complete */
    END_TRUNCATED,  /* more frames than the limit */
    END_UNREADABLE, /* memory could not be read */
    END_NO_INFO,    /* code without unwind information */
    END_GUESSED,    /* complete, but a caller was found by scanning */
    STACK_ENDS,
};

/* Why a sample that was due does not exist. Stands in recordings: append only. */
enum loss_cause {
    LOSS_TICK_MISSED,  /* pspy came too late for a tick */
    LOSS_STOP_TIMEOUT, /* the thread did not stop in time */
    LOSS_THREAD_GONE,  /* the thread ended between the look and the stop */
    LOSS_EXEC,         /* the process replaced its program meanwhile */
    LOSS_UNREADABLE,   /* registers or interpreter state could not be read */
    LOSS_TORN,         /* the interpreter's state changed while it was read */
    LOSS_TRACED,       /* another tracer holds the thread */
    LOSS_CAUSES,
};

/* What the summary writes behind a number, one or many: "too late". */
const char *loss_cause_name(enum loss_cause cause);
const char *stack_end_name(enum stack_end end);

/* What a thread does at a sample. Stands in recordings: append only. */
enum sample_state {
    STATE_RUNNING, /* on a CPU */
    STATE_READY,   /* waits for a CPU */
    STATE_GIL,     /* waits for Python's global interpreter lock */
    STATE_BLOCKED, /* waits for something else */
    SAMPLE_STATES,
};

enum sample_flags {
    SAMPLE_HOLDS_GIL = 1 << 0,
    SAMPLE_COLLECTS = 1 << 1, /* garbage */
};

struct sample {
    uint64_t time;   /* ns since the recording's start, when it was taken */
    uint64_t weight; /* ns it stands for: [time - weight, time]; see recording_facts.is_counted */
    uint32_t thread; /* index in profile.threads */
    stack_id stack;
    uint8_t end;   /* enum stack_end */
    uint8_t state; /* enum sample_state */
    uint8_t flags; /* enum sample_flags */
    uint16_t
        call; /* the system call that the thread runs or waits in, plus 1; 0: none or unknown */
};

struct profile_thread {
    uint32_t process; /* index in profile.processes */
    int tid;
    string_id name;
    /* While it was recorded, in ns, as the kernel counts: in steps of its clock tick. */
    uint64_t user, system;
    uint64_t ready; /* ready to run, without a CPU; 0: also where the kernel does not count */
};

struct profile_process {
    int pid;
    int rank;          /* of MPI; -1: none */
    string_id host;    /* where it ran; "": the recording's own */
    string_id command; /* command line of its last program */
    bool has_status;
    int status; /* how it ended, as waitpid tells it */
};

/* What a process runs: an exec begins another one. Appended in the order of time. */
struct profile_program {
    uint32_t process;
    uint32_t parent;   /* the parent process's program when the process was met; PROFILE_NONE */
    string_id command; /* command line */
    uint64_t since;    /* ns since the recording's start: of samples taken from then on */
};

/* Why a recording ended. Stands in recordings: append only. */
enum recording_end {
    RECORDING_CUT_OFF,  /* it did not: pspy was killed, or still writes */
    RECORDING_DURATION, /* the time was up */
    RECORDING_EXITED,   /* the program ended */
    RECORDING_STOPPED,  /* by a signal */
    RECORDING_ENDS,
};

/* What is known of the recording as a whole. */
struct recording_facts {
    string_id title; /* the command line, or the pid's */
    string_id host;
    string_id exporter;   /* who wrote it: "pspy 0.6.0" */
    string_id python;     /* version, as "3.12.1"; "" where none was read */
    string_id python_why; /* a sentence: why a Python that is there cannot be read; "" */
    uint64_t start_wall;  /* ns since the epoch; 0: unknown */
    uint64_t duration;    /* ns from the start to the end of sampling */
    double rate;          /* wanted ticks a second; 0: unknown */
    double lowest_rate;   /* to which max_overhead lowered it; 0: it did not */
    double max_overhead;  /* percent of a CPU; 0: no limit */
    uint64_t delay;       /* ns before the start, in which nothing was sampled */
    uint64_t ticks;       /* taken */
    uint64_t losses[LOSS_CAUSES];
    uint64_t without_native; /* samples whose native frames another tracer kept from us */
    uint8_t end;             /* enum recording_end */
    /* What was asked for. */
    bool native, subprocesses, idle, gil, nonblocking;
    bool saw_python;        /* an interpreter that could be read ran */
    bool python_is_guessed; /* it is newer than pspy knows */
    bool is_counted;        /* weights are numbers of samples: nothing is known of time */
    bool has_no_states;     /* nothing is known of what threads did */
};

struct profile {
    struct strings strings;
    struct recording_facts facts;

    VEC(struct profile_module) modules;

    VEC(struct frame_info) frames;
    struct table frame_index;
    VEC(struct native_ref) native_refs;
    VEC(uint32_t) frame_native; /* per frame: index in native_refs + 1, or 0 */
    struct table native_index;
    VEC(struct frame_names) names; /* in the order in which they were given */
    VEC(frame_id) named;
    VEC(uint32_t) frame_name; /* per frame: index of its last names + 1, or 0 */

    VEC(struct stack_node) stacks;
    struct table stack_index;

    struct samples samples; /* in the order of time */
    size_t settled;         /* so many of them will not change any more */
    VEC(struct profile_thread) threads;
    VEC(struct profile_process) processes;
    VEC(struct profile_program) programs;
};

void profile_init(struct profile *profile);
void profile_deinit(struct profile *profile);

string_id profile_string(struct profile *profile, const char *text);
string_id profile_string_n(struct profile *profile, const char *text, size_t length);
const char *profile_text(const struct profile *profile, string_id string);

uint32_t profile_add_module(struct profile *profile, const struct profile_module *module);

frame_id profile_frame(struct profile *profile, const struct frame_info *info);
/* An address, which profile_name_frame names later. */
frame_id profile_frame_native(struct profile *profile, const struct native_ref *ref);
/* The frame's address, or NULL if it has none. */
const struct native_ref *profile_frame_ref(const struct profile *profile, frame_id frame);
/* Says what stands at an address: `names` have a frame_info each. May be said anew. */
void profile_name_frame(struct profile *profile, frame_id frame, const frame_id *names,
                        size_t count);
/* What was said last, or NULL: nothing yet. */
const struct frame_names *profile_frame_names(const struct profile *profile, frame_id frame);
/* Of an address: all empty. */
const struct frame_info *profile_frame_info(const struct profile *profile, frame_id frame);

/* The stack `parent` with `frame` called from it. */
stack_id profile_stack(struct profile *profile, stack_id parent, frame_id frame);

uint32_t profile_add_process(struct profile *profile, int pid);
/* The process's next program, from `since` on; sets the process's command. */
uint32_t profile_add_program(struct profile *profile, const struct profile_program *program);
/* The program that the process ran at `time`, or PROFILE_NONE if it has none at all. */
uint32_t profile_program_at(const struct profile *profile, uint32_t process, uint64_t time);
/* Appends "exit status 1" or "ended by signal 9 (Killed)". */
void profile_exit_text(const struct profile_process *process, struct strbuf *text);
uint32_t profile_add_thread(struct profile *profile, uint32_t process, int tid);

/* Samples must be added in the order of time. */
void profile_add_sample(struct profile *profile, const struct sample *sample);
/* Forgets a process's samples from the given one on, which must not be settled; their number. */
size_t profile_drop_samples(struct profile *profile, size_t first, uint32_t process);
uint64_t profile_lost(const struct profile *profile);

#endif
