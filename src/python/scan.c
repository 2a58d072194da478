/* SPDX-License-Identifier: MIT */
/*
 * Finding the interpreter where no symbol says where: a search through the variables of the file
 * for a pointer to something that looks like an interpreter state. It does if its list of thread
 * states starts with one whose pointer to its interpreter leads back. Two words that agree by
 * chance would have to be pointers to each other at these very offsets.
 */
#include <string.h>
#include <sys/uio.h>

#include "detect.h"
#include "pspy/base/cleanup.h"

#define COOKIE        "xdebugpy"
#define SCAN_LIMIT    (64u << 20) /* bytes of variables */
#define BATCH         1024        /* IOV_MAX */
#define REACHED_LIMIT 64          /* interpreters */

/* A word of the variables that may point to the first interpreter state. */
struct candidate {
    uint64_t at;
    uint64_t interpreter; /* what it points to */
    uint64_t thread;      /* the first thread state, if it is one */
};

struct candidates {
    VEC(struct candidate) items;
};

static void candidates_deinit(struct candidates *candidates)
{
    vec_deinit(&candidates->items);
}

/* The target's copy of the writable segment `index`; NULL if it is none. The caller frees it. */
static uint64_t *copy_variables(const struct binary *binary, size_t index, uint64_t *ret_start,
                                size_t *ret_words)
{
    struct image_segment segment;
    uint64_t *words, start, skipped;
    size_t size;

    if (!image_segment(binary->image, index, &segment) || segment.bytes || segment.is_executable ||
        segment.size > SCAN_LIMIT)
        return NULL;
    start = (binary->bias + segment.vaddr + 7) & ~(uint64_t)7;
    skipped = start - binary->bias - segment.vaddr;
    size = segment.size > skipped ? segment.size - skipped : 0;
    words = xmalloc(size + sizeof(*words));
    *ret_words = target_read_some(binary->target, start, words, size) / sizeof(*words);
    *ret_start = start;
    return words;
}

static size_t count_segments(const struct image *image)
{
    struct image_segment segment;
    size_t count = 0;

    while (image_segment(image, count, &segment))
        count++;
    return count;
}

bool scan_table(const struct binary *binary, uint64_t *ret_runtime)
{
    size_t segments = count_segments(binary->image);

    for (size_t i = 0; i < segments; i++) {
        uint64_t start;
        size_t count;
        cleanup(cleanup_free) uint64_t *words = copy_variables(binary, i, &start, &count);

        for (size_t at = 0; words && at < count; at++)
            if (memcmp(&words[at], COOKIE, sizeof(words[at])) == 0) {
                *ret_runtime = start + at * sizeof(words[at]);
                return true;
            }
    }
    return false;
}

static bool is_pointer(const struct binary *binary, uint64_t word)
{
    const struct region *region;

    if (word % 8 != 0 || word == 0)
        return false;
    region = address_space_find(binary->space, word);
    return region && !region->is_executable;
}

static void list_candidates(const struct binary *binary, struct candidates *ret)
{
    size_t segments = count_segments(binary->image);

    for (size_t i = 0; i < segments; i++) {
        uint64_t start;
        size_t count;
        cleanup(cleanup_free) uint64_t *words = copy_variables(binary, i, &start, &count);

        for (size_t at = 0; words && at < count; at++) {
            struct candidate found = {start + at * sizeof(words[at]), words[at], 0};

            if (is_pointer(binary, words[at]))
                vec_push(&ret->items, found);
        }
    }
}

/* Reads one word for each address, 0 where there is nothing. */
static void read_words(const struct target *target, const uint64_t *addresses, uint64_t *ret,
                       size_t count)
{
    struct iovec local[BATCH], remote[BATCH];

    memset(ret, 0, count * sizeof(*ret));
    for (size_t done = 0; done < count;) {
        size_t batch = count - done < BATCH ? count - done : BATCH;
        size_t whole;

        for (size_t i = 0; i < batch; i++) {
            local[i] = (struct iovec){&ret[done + i], sizeof(*ret)};
            remote[i] = (struct iovec){(void *)(uintptr_t)addresses[done + i], sizeof(*ret)};
        }
        whole = target_read_vector(target, local, remote, batch) / sizeof(*ret);
        done += whole + (whole < batch);
    }
}

/* Keeps the candidates whose word at the address `at + offset` passes; sees to it in bulk. */
struct step {
    VEC(uint64_t) addresses;
    VEC(uint64_t) words;
};

static void step_deinit(struct step *step)
{
    vec_deinit(&step->addresses);
    vec_deinit(&step->words);
}

static void step_read(struct step *step, const struct target *target)
{
    vec_reserve(&step->words, step->addresses.length);
    step->words.length = step->addresses.length;
    if (step->words.length)
        read_words(target, step->addresses.items, step->words.items, step->words.length);
}

/* Only those whose interpreter state names something as its first thread state. */
static void keep_interpreters(const struct binary *binary, const struct layout *layout,
                              struct candidates *candidates)
{
    cleanup(step_deinit) struct step step = {VEC_INIT, VEC_INIT};
    size_t kept = 0;

    vec_each (candidate, &candidates->items)
        vec_push(&step.addresses, candidate->interpreter + layout->interpreter_threads);
    step_read(&step, binary->target);
    for (size_t i = 0; i < candidates->items.length; i++) {
        struct candidate *candidate = &candidates->items.items[i];

        candidate->thread = step.words.items[i];
        if (is_pointer(binary, candidate->thread))
            candidates->items.items[kept++] = *candidate;
    }
    candidates->items.length = kept;
}

/* Only those whose thread state leads back. */
static void keep_agreeing(const struct binary *binary, const struct layout *layout,
                          struct candidates *candidates)
{
    cleanup(step_deinit) struct step step = {VEC_INIT, VEC_INIT};
    size_t kept = 0;

    vec_each (candidate, &candidates->items)
        vec_push(&step.addresses, candidate->thread + layout->thread_interpreter);
    step_read(&step, binary->target);
    for (size_t i = 0; i < candidates->items.length; i++)
        if (step.words.items[i] == candidates->items.items[i].interpreter)
            candidates->items.items[kept++] = candidates->items.items[i];
    candidates->items.length = kept;
}

/* Whether its sys.modules is a dict: none else leads that far by chance. */
static bool has_modules(const struct binary *binary, const struct layout *layout,
                        uint64_t interpreter)
{
    cleanup(strbuf_deinit) struct strbuf name = STRBUF_INIT;
    uint64_t modules, type, text;

    return target_read(binary->target, interpreter + layout->interpreter_modules, &modules, 8) ==
               ERR_OK &&
           target_read(binary->target, modules + layout->object_type, &type, 8) == ERR_OK &&
           target_read(binary->target, type + layout->type_name, &text, 8) == ERR_OK &&
           target_read_text(binary->target, text, sizeof("dict"), &name) == ERR_OK &&
           strcmp(name.text, "dict") == 0;
}

/* How many interpreters can be reached from this one; 0 if its list leads nowhere. */
static unsigned count_reached(const struct binary *binary, const struct layout *layout,
                              uint64_t interpreter)
{
    unsigned count = 0;

    while (interpreter && count < REACHED_LIMIT) {
        if (target_read(binary->target, interpreter + layout->interpreter_next, &interpreter,
                        sizeof(interpreter)) != ERR_OK)
            return 0;
        count++;
    }
    return count;
}

/* In _PyRuntime the pointer to the main interpreter, the last of the list, follows. */
static bool is_in_runtime(const struct candidates *candidates, uint64_t at)
{
    vec_each (candidate, &candidates->items)
        if (candidate->at == at + sizeof(uint64_t))
            return true;
    return false;
}

bool scan_interpreters(const struct binary *binary, const struct layout *layout, uint64_t *ret)
{
    cleanup(candidates_deinit) struct candidates candidates = {VEC_INIT};
    unsigned most = 0;

    list_candidates(binary, &candidates);
    keep_interpreters(binary, layout, &candidates);
    keep_agreeing(binary, layout, &candidates);
    vec_each (candidate, &candidates.items) {
        unsigned reached;

        if (!has_modules(binary, layout, candidate->interpreter) ||
            (layout->runtime_interpreters && !is_in_runtime(&candidates, candidate->at)))
            continue;
        reached = count_reached(binary, layout, candidate->interpreter);
        if (reached <= most)
            continue;
        most = reached;
        *ret = candidate->at;
    }
    return most > 0;
}
