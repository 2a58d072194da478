/* SPDX-License-Identifier: MIT */
/*
 * Options as a table: the parser, --help, the manual page and the shells' completions all read the
 * same rows, so none of them can say something else. Must not print or exit: a bad command line
 * becomes one sentence in `struct error`.
 *
 *     struct dump_options { bool help; pid_t pid; bool native; };
 *     static const struct option_spec dump_table[] = {
 *         {OPTION_PID(struct dump_options, pid), .letter = 'p', .name = "pid", ...},
 *         {OPTION_FLAG(struct dump_options, native), .letter = 'n', .name = "native", ...},
 *         OPTIONS_END,
 *     };
 */
#ifndef PSPY_CLI_OPTIONS_H
#define PSPY_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "pspy/base/error.h"
#include "pspy/base/vec.h"

/* One of the words a value may be. A list ends with a NULL name. */
struct choice {
    const char *name;
    const char *help; /* a few words, no final stop */
};

enum option_kind {
    OPTION_KIND_FLAG,     /* sets a bool */
    OPTION_KIND_STOP,     /* sets a bool and ends parsing without a look at the rest: --help */
    OPTION_KIND_COUNT,    /* -l, -ll: adds one to an int each time */
    OPTION_KIND_STRING,   /* const char *, borrowed from argv */
    OPTION_KIND_FILE,     /* the same; the shells complete file names */
    OPTION_KIND_LIST,     /* option_list: adds such a text each time; the caller frees it */
    OPTION_KIND_FILES,    /* the same; the shells complete file names */
    OPTION_KIND_INTEGER,  /* int64_t from `min` to `max` */
    OPTION_KIND_NUMBER,   /* double above 0, from `min` to `max`: a rate, 0.5 or 100 */
    OPTION_KIND_DURATION, /* uint64_t in ns, from seconds such as 1.5, or DURATION_UNLIMITED */
    OPTION_KIND_PID,      /* pid_t, decimal or 0x hexadecimal */
    OPTION_KIND_CHOICE,   /* const struct choice *: the row of `choices` that was named */
};

#define DURATION_UNLIMITED UINT64_MAX

typedef VEC(const char *) option_list;

/* One option. A table ends with OPTIONS_END. */
struct option_spec {
    enum option_kind kind;
    size_t offset;                /* of the member that receives the value */
    char letter;                  /* the short option, or 0 */
    const char *name;             /* the long option, without the dashes */
    const char *value_name;       /* "PID"; NULL where no value is taken */
    const char *default_text;     /* shown only; the caller sets its members first. NULL: none */
    const char *help;             /* for --help: no capital, no final stop */
    const char *manual;           /* for the manual page: sentences. NULL: `help` says all */
    const char *group;            /* heading it stands under; equal ones are neighbours */
    const struct choice *choices; /* of OPTION_KIND_CHOICE */
    double min, max;              /* of OPTION_KIND_INTEGER and OPTION_KIND_NUMBER, inclusive */
};

/* The offset of a member, after the compiler has checked the member's type. */
#define OPTION_OFFSET(type, member, wanted)                                                        \
    (offsetof(type, member) + 0 * sizeof(char[_Generic(((type *)0)->member, wanted : 1)]))
#define OPTION_ROW(which, type, member, wanted)                                                    \
    .kind = OPTION_KIND_##which, .offset = OPTION_OFFSET(type, member, wanted)

#define OPTION_FLAG(type, member)     OPTION_ROW(FLAG, type, member, bool)
#define OPTION_STOP(type, member)     OPTION_ROW(STOP, type, member, bool)
#define OPTION_COUNT(type, member)    OPTION_ROW(COUNT, type, member, int)
#define OPTION_STRING(type, member)   OPTION_ROW(STRING, type, member, const char *)
#define OPTION_FILE(type, member)     OPTION_ROW(FILE, type, member, const char *)
#define OPTION_LIST(type, member)     OPTION_ROW(LIST, type, member, option_list)
#define OPTION_FILES(type, member)    OPTION_ROW(FILES, type, member, option_list)
#define OPTION_INTEGER(type, member)  OPTION_ROW(INTEGER, type, member, int64_t)
#define OPTION_NUMBER(type, member)   OPTION_ROW(NUMBER, type, member, double)
#define OPTION_DURATION(type, member) OPTION_ROW(DURATION, type, member, uint64_t)
#define OPTION_PID(type, member)      OPTION_ROW(PID, type, member, pid_t)
#define OPTION_CHOICE(type, member)   OPTION_ROW(CHOICE, type, member, const struct choice *)
#define OPTIONS_END                                                                                \
    {                                                                                              \
        .name = NULL                                                                               \
    }

/* How one command reads its words. */
struct option_syntax {
    const char *command;             /* "pspy record": errors point to its --help */
    const struct option_spec *table; /* ends with OPTIONS_END */
    /* The first operand ends the options: the rest is a program with options of its own. */
    bool stops_at_operand;
};

/* The words that are no options. `items` is NULL-terminated and borrows argv. */
struct operands {
    int count;
    char **items;
};

/*
 * Reads argv[1] to argv[argc - 1] into `values`, which holds the defaults. Understands --name
 * value,
 * --name=value, unique prefixes of long options, -nst, -r100, -r 100 and --. An option given twice
 * counts as its last, unless it is a list. The operands are gathered at argv[1], over the words
 * read before them.
 */
enum err options_parse(const struct option_syntax *syntax, int argc, char **argv, void *values,
                       struct operands *ret, struct error *why);

/* Whether the value is a file's name, or one of several. */
bool option_takes_file(const struct option_spec *spec);

/* The row of `choices` with that name in any case, or NULL. */
const struct choice *choice_find(const struct choice *choices, const char *name);

#endif
