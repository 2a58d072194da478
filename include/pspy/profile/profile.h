/* SPDX-License-Identifier: MIT */
/*
 * A recorded profile: interned strings, frames and stacks, and the samples that name them. It knows
 * neither a live process nor a format: the sampler fills it, output/ reads it.
 *
 * Everything interned is an index; indices stay valid for the profile's life. String 0 is "", stack
 * 0 is the empty stack. Pointers handed out are valid until the next call that adds something.
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

typedef struct {
    uint32_t v;
} string_id;
typedef struct {
    uint32_t v;
} frame_id;
typedef struct {
    uint32_t v;
} stack_id;

#define STRING_EMPTY ((string_id){0})
#define STACK_EMPTY  ((stack_id){0})
#define FRAME_NONE   ((frame_id){UINT32_MAX})

/* What a frame is, for colours and filters. */
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

/* A frame as shown. Two frames are the same frame iff all fields agree. */
struct frame_info {
    enum frame_kind kind;
    string_id name; /* function; demangled; "module+0xoffset" where no symbol covers the address */
    string_id
        file; /* full path of the source file, or of the module for native code; "" for markers */
    string_id short_file; /* the file as labels show it; equals `file` under --full-filenames */
    string_id module;     /* full path of the file with native code; "" for other frames */
    uint32_t line;        /* 1-based; 0: unknown or not wanted */
    uint32_t column;      /* in bytes of the line's UTF-8, 1-based; 0: unknown or not wanted */
};

/* A native frame before its symbol is known: the name is looked up once, when sampling is over. */
struct native_ref {
    uint32_t module; /* index in the sampler's list of images */
    bool is_return;  /* offset is a return address: look up offset - 1 */
    uint64_t offset; /* virtual address as in the ELF file */
};

struct stack_node {
    stack_id parent; /* the caller's stack; STACK_EMPTY for a root frame */
    frame_id frame;
    uint32_t depth; /* frames, this one included */
};

/* How a stack ended at its root side. */
enum stack_end {
    END_ROOT,       /* complete */
    END_TRUNCATED,  /* more frames than the limit */
    END_UNREADABLE, /* memory could not be read */
    END_NO_INFO,    /* code without unwind information */
    END_GUESSED,    /* complete, but a caller was found by scanning */
    STACK_ENDS,
};

/* Why a sample that was due does not exist. */
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

/* What a thread does at a sample. */
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
    uint64_t weight; /* ns it stands for: [time - weight, time] */
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
    string_id command; /* command line */
    bool has_status;
    int status; /* how it ended, as waitpid tells it */
};

struct profile {
    struct strbuf string_bytes;
    VEC(uint32_t) string_offsets;
    struct table string_index;

    VEC(struct frame_info) frames;
    struct table frame_index;
    VEC(struct native_ref) native_refs; /* frame i < length: its ref; see profile_frame_native */
    VEC(uint32_t) frame_native;         /* per frame: index in native_refs + 1, or 0 */
    struct table native_index;

    VEC(struct stack_node) stacks;
    struct table stack_index;

    struct samples samples; /* in the order of time */
    VEC(struct profile_thread) threads;
    VEC(struct profile_process) processes;

    string_id title;     /* the command line, or the pid's */
    uint64_t start_wall; /* ns since the epoch */
    uint64_t duration;   /* ns from the start to the end of sampling */
    double rate;         /* wanted ticks a second */
    uint64_t ticks;      /* taken */
    uint64_t losses[LOSS_CAUSES];
    uint64_t without_native; /* samples whose native frames another tracer kept from us */
    uint64_t ends[STACK_ENDS];
    uint64_t left_out;      /* samples that a filter did not keep */
    bool with_subprocesses; /* name threads with their process */
};

void profile_init(struct profile *profile);
void profile_deinit(struct profile *profile);

string_id profile_string(struct profile *profile, const char *text);
string_id profile_string_n(struct profile *profile, const char *text, size_t length);
const char *profile_text(const struct profile *profile, string_id string);

frame_id profile_frame(struct profile *profile, const struct frame_info *info);
/* A native frame whose name is set later by profile_frame_resolve. */
frame_id profile_frame_native(struct profile *profile, const struct native_ref *ref);
/* The frame's unresolved address, or NULL if it has none. */
const struct native_ref *profile_frame_ref(const struct profile *profile, frame_id frame);
/* Sets what a native or marker frame is shown as. Several frames may become alike: queries merge
 * them. */
void profile_frame_resolve(struct profile *profile, frame_id frame, const struct frame_info *info);
const struct frame_info *profile_frame_info(const struct profile *profile, frame_id frame);

/* The stack `parent` with `frame` called from it. */
stack_id profile_stack(struct profile *profile, stack_id parent, frame_id frame);

/* What stands for each frame: frame f becomes frames[ends[f - 1] .. ends[f] - 1], root side first.
 */
struct frame_sequences {
    VEC(frame_id) frames;
    VEC(uint32_t) ends;
};

/* Rewrites all stacks. Every frame of a stack must have a sequence. Stack ids change. */
void profile_expand(struct profile *profile, const struct frame_sequences *sequences);

uint32_t profile_add_process(struct profile *profile, int pid, const char *command);
/* Appends "exit status 1" or "ended by signal 9 (Killed)". */
void profile_exit_text(const struct profile_process *process, struct strbuf *text);
uint32_t profile_add_thread(struct profile *profile, uint32_t process, int tid);
/* Forgets a process's samples from the given one on; their number. */
size_t profile_drop_samples(struct profile *profile, size_t first, uint32_t process);
/* Also counts the sample's end. Samples must be added in the order of time. */
void profile_add_sample(struct profile *profile, const struct sample *sample);

/* Appends the label that all formats show, as py-spy's: "name (file:line)", "name (file)", "name".
 */
void profile_label(const struct profile *profile, frame_id frame, struct strbuf *label);

#endif
