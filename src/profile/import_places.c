/* SPDX-License-Identifier: MIT */
/*
 * Root frames and the names of speedscope's profiles into processes and threads. The same roots are
 * the same thread; processes are told apart by all the roots up to theirs, so that a pid that ran
 * two programs is two processes, each with its own command line.
 */
#include <ctype.h>
#include <limits.h>
#include <string.h>

#include "import_internal.h"
#include "pspy/base/cleanup.h"

/* ---- reading texts -----------------------------------------------------------------------------
 */

static bool skip(struct slice *rest, const char *text)
{
    size_t length = strlen(text);

    if (rest->length < length || memcmp(rest->text, text, length) != 0)
        return false;
    rest->text += length;
    rest->length -= length;
    return true;
}

/* A number that fits an int. */
static bool take_int(struct slice *rest, int *ret)
{
    long long number = 0;
    size_t at = 0;

    while (at < rest->length && isdigit((unsigned char)rest->text[at]) && number <= INT_MAX)
        number = number * 10 + (rest->text[at++] - '0');
    if (!at || number > INT_MAX)
        return false;
    rest->text += at;
    rest->length -= at;
    *ret = (int)number;
    return true;
}

/* "0x7F31A0": py-spy's number of a thread of which it knows no other. It is none of the kernel's.
 */
static bool skip_hexadecimal(struct slice *rest)
{
    size_t at = 0;

    if (!skip(rest, "0x"))
        return false;
    while (at < rest->length && isxdigit((unsigned char)rest->text[at]))
        at++;
    rest->text += at;
    rest->length -= at;
    return at != 0;
}

static bool take_tid(struct slice *rest, int *ret, bool *is_hexadecimal)
{
    *is_hexadecimal = skip_hexadecimal(rest);
    *ret = 0;
    return *is_hexadecimal || take_int(rest, ret);
}

/* Takes the quotes off that stand around all of it. */
static bool unquote(struct slice *text)
{
    if (text->length < 2 || text->text[0] != '"' || text->text[text->length - 1] != '"')
        return false;
    text->text++;
    text->length -= 2;
    return true;
}

bool import_process_root(struct slice label, struct import_place *ret)
{
    struct import_place place = *ret;

    if (skip(&label, "rank ") && (!take_int(&label, &place.rank) || !skip(&label, ", ")))
        return false;
    if (!skip(&label, "process ") || !take_int(&label, &place.pid))
        return false;
    place.host = place.command = (struct slice){"", 0};
    if (skip(&label, " on ")) {
        const char *colon = memmem(label.text, label.length, ":\"", 2);

        if (!colon)
            return false;
        place.host = (struct slice){label.text, (size_t)(colon - label.text)};
        label.text += place.host.length;
        label.length -= place.host.length;
    }
    if (label.length && (!skip(&label, ":") || !unquote(&label)))
        return false;
    place.command = label;
    *ret = place;
    return true;
}

bool import_thread_root(struct slice label, struct import_place *ret)
{
    struct slice whole = label;
    bool is_hexadecimal;
    int tid;

    if (!skip(&label, "thread (") || !take_tid(&label, &tid, &is_hexadecimal) || !skip(&label, ")"))
        return false;
    if (label.length && !skip(&label, ": "))
        return false;
    ret->tid = tid;
    ret->thread_name = is_hexadecimal && !label.length ? whole : label;
    return true;
}

void import_profile_name(struct slice name, struct import_place *ret)
{
    struct import_place place = *ret;
    struct slice rest = name;
    bool is_hexadecimal;

    if (skip(&rest, "Process ") && (!take_int(&rest, &place.pid) || !skip(&rest, " "))) {
        ret->thread_name = name;
        return;
    }
    if (skip(&rest, "Thread ") && take_tid(&rest, &place.tid, &is_hexadecimal) &&
        (!rest.length || (skip(&rest, " ") && unquote(&rest)))) {
        place.thread_name = is_hexadecimal && !rest.length ? name : rest;
        *ret = place;
        return;
    }
    ret->thread_name = name;
}

/* ---- processes and threads ---------------------------------------------------------------------
 */

static string_id text_of(struct profile *profile, struct slice text)
{
    return profile_string_n(profile, text.text, text.length);
}

static uint32_t add_program(struct profile *profile, const struct import_place *place,
                            uint32_t parent)
{
    struct profile_program program = {.process = profile_add_process(profile, place->pid),
                                      .parent = parent,
                                      .command = text_of(profile, place->command)};
    struct profile_process *process = &profile->processes.items[program.process];

    process->rank = place->rank;
    process->host = text_of(profile, place->host);
    return profile_add_program(profile, &program);
}

/* Appends what a process is told by. */
static void add_chain(struct strbuf *chain, const struct import_place *place)
{
    strbuf_addf(chain, "%d %d ", place->rank, place->pid);
    strbuf_add(chain, place->host.text, place->host.length);
    strbuf_add_char(chain, ' ');
    strbuf_add(chain, place->command.text, place->command.length);
    strbuf_add_char(chain, ';');
}

/* The program that these roots lead to from `parent`. */
static uint32_t find_program(struct importer *importer, const struct strbuf *chain,
                             const struct import_place *place, uint32_t parent)
{
    string_id id = strings_add_n(&importer->chains, chain->text, chain->length);

    while (importer->chain_programs.length <= id.v)
        vec_push(&importer->chain_programs, PROFILE_NONE);
    if (importer->chain_programs.items[id.v] == PROFILE_NONE) {
        uint32_t program = add_program(importer->profile, place, parent);

        importer->chain_programs.items[id.v] = program;
    }
    return importer->chain_programs.items[id.v];
}

static uint32_t make_thread(struct importer *importer, const struct import_place *base,
                            const struct slice *roots, size_t count)
{
    struct profile *profile = importer->profile;
    cleanup(strbuf_deinit) struct strbuf chain = STRBUF_INIT;
    struct import_place place = *base;
    uint32_t program = PROFILE_NONE, thread;

    for (size_t i = 0; i < count; i++) {
        if (!import_process_root(roots[i], &place)) {
            import_thread_root(roots[i], &place);
            continue;
        }
        add_chain(&chain, &place);
        program = find_program(importer, &chain, &place, program);
        profile->facts.subprocesses = true;
    }
    if (program == PROFILE_NONE) {
        add_chain(&chain, &place);
        program = find_program(importer, &chain, &place, PROFILE_NONE);
    }
    thread = profile_add_thread(profile, profile->programs.items[program].process, place.tid);
    profile->threads.items[thread].name = text_of(profile, place.thread_name);
    return thread;
}

uint32_t import_thread(struct importer *importer, const struct import_place *base,
                       const struct slice *roots, size_t count, uint32_t number)
{
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;
    string_id id;

    strbuf_addf(&text, "%u;", number);
    add_chain(&text, base);
    strbuf_addf(&text, "%d ", base->tid);
    strbuf_add(&text, base->thread_name.text, base->thread_name.length);
    for (size_t i = 0; i < count; i++) {
        strbuf_add_char(&text, ';');
        strbuf_add(&text, roots[i].text, roots[i].length);
    }
    id = strings_add_n(&importer->roots, text.text, text.length);
    while (importer->root_threads.length <= id.v)
        vec_push(&importer->root_threads, PROFILE_NONE);
    if (importer->root_threads.items[id.v] == PROFILE_NONE) {
        uint32_t thread = make_thread(importer, base, roots, count);

        importer->root_threads.items[id.v] = thread;
    }
    return importer->root_threads.items[id.v];
}
