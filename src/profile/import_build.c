/* SPDX-License-Identifier: MIT */
/*
 * Samples on their way into the profile. A file's numbers are bounded so that no sum overflows, and
 * what is held is bounded by the file's size, so that a small file that unpacks to gigabytes is
 * refused while it is read.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import_internal.h"

/* What may be held for a packed file however small it is, and for each of its bytes. A plain file
 * bounds itself: what is held of it grows with its size. */
#define HELD_FREE  (32ull << 20)
#define HELD_RATIO 256

/* Numbers are no longer, but for zeros. */
#define NUMBER_LENGTH 400

/* ---- numbers ----------------------------------------------------------------------------------
 */

/* Digits with a sign, a point, an exponent: no "nan", no hexadecimal digits. */
static bool looks_decimal(struct slice text)
{
    bool has_digit = false;

    for (size_t i = 0; i < text.length; i++) {
        char c = text.text[i];

        if (c >= '0' && c <= '9')
            has_digit = true;
        else if (!strchr(has_digit ? "+-.eE" : "+-.", c) || !c)
            return false;
    }
    return has_digit;
}

enum number import_number(struct slice text, double *ret)
{
    char copy[NUMBER_LENGTH + 1], *end;
    double number;

    if (text.length > NUMBER_LENGTH || !looks_decimal(text))
        return NUMBER_NONE;
    memcpy(copy, text.text, text.length);
    copy[text.length] = '\0';
    number = strtod(copy, &end);
    if (*end)
        return NUMBER_NONE;
    if (number < 0)
        return NUMBER_NEGATIVE;
    if (number >= IMPORT_LARGEST)
        return NUMBER_TOO_LARGE;
    *ret = number;
    return NUMBER_GOOD;
}

const char *import_number_text(enum number number)
{
    switch (number) {
    case NUMBER_NEGATIVE:
        return "a negative number";
    case NUMBER_TOO_LARGE:
        return "a number of 2^62 or more";
    default:
        return "no number";
    }
}

/* ---- samples ----------------------------------------------------------------------------------
 */

static bool total_equal(const void *context, uint32_t index, const void *key)
{
    const struct importer *importer = context;
    const struct import_total *a = &importer->totals.items[index];
    const struct sample *b = key;

    return a->thread == b->thread && a->stack.v == b->stack.v;
}

static void add_to_total(struct importer *importer, const struct sample *sample)
{
    uint64_t hash = hash_mix(sample->thread, sample->stack.v);
    uint32_t found = table_find(&importer->total_index, hash, total_equal, importer, sample);

    if (found == TABLE_NONE) {
        struct import_total total = {sample->thread, sample->stack, 0};

        found = (uint32_t)importer->totals.length;
        vec_push(&importer->totals, total);
        table_add(&importer->total_index, hash, found);
    }
    importer->totals.items[found].weight += sample->weight;
}

bool import_sample(struct importer *importer, const struct sample *sample)
{
    importer->sum += sample->weight;
    if ((double)importer->sum >= IMPORT_LARGEST) {
        error_set(importer->why, ERR_INVALID,
                  "the numbers of '%s' are 2^62 or more together: it is no profile",
                  importer->input->name);
        return false;
    }
    if (importer->profile->facts.is_counted)
        add_to_total(importer, sample);
    else
        vec_push(&importer->samples, *sample);
    return true;
}

static int compare_times(const void *left, const void *right)
{
    const struct sample *a = left, *b = right;

    return (a->time > b->time) - (a->time < b->time);
}

void import_finish(struct importer *importer)
{
    struct profile *profile = importer->profile;

    vec_each (total, &importer->totals)
        profile_add_sample(profile, &(struct sample){.weight = total->weight,
                                                     .thread = total->thread,
                                                     .stack = total->stack});
    vec_sort(&importer->samples, compare_times);
    vec_each (sample, &importer->samples) {
        profile_add_sample(profile, sample);
        if (sample->time > profile->facts.duration)
            profile->facts.duration = sample->time;
    }
    profile->settled = profile->samples.length;
    profile->facts.subprocesses |= profile->processes.length > 1;
    profile->facts.has_no_states = true;
    profile->facts.end = RECORDING_EXITED;
    if (importer->is_rounded)
        import_warn(importer, "The numbers of '%s' have fractions: they are rounded.",
                    importer->input->name);
}

void import_warn(struct importer *importer, const char *format, ...)
{
    char *text;
    va_list args;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        xmalloc_fail();
    va_end(args);
    if (importer->warning->length)
        strbuf_add_char(importer->warning, ' ');
    strbuf_add_text(importer->warning, text);
    free(text);
}

/* ---- memory -----------------------------------------------------------------------------------
 */

static uint64_t table_size(const struct table *table)
{
    return table->slots ? (table->mask + 1) * sizeof(table->slots[0]) : 0;
}

static uint64_t strings_size(const struct strings *strings)
{
    return strings->bytes.capacity + strings->offsets.capacity * sizeof(strings->offsets.items[0]) +
           table_size(&strings->index);
}

#define VEC_SIZE(vec) ((vec)->capacity * sizeof((vec)->items[0]))

static uint64_t held(const struct importer *importer)
{
    const struct profile *profile = importer->profile;
    uint64_t ret = strings_size(&profile->strings) + strings_size(&importer->labels) +
                   strings_size(&importer->roots) + strings_size(&importer->chains);

    ret += VEC_SIZE(&profile->frames) + VEC_SIZE(&profile->frame_native) +
           VEC_SIZE(&profile->frame_name) + table_size(&profile->frame_index);
    ret += VEC_SIZE(&profile->stacks) + table_size(&profile->stack_index);
    ret +=
        VEC_SIZE(&profile->threads) + VEC_SIZE(&profile->processes) + VEC_SIZE(&profile->programs);
    ret += VEC_SIZE(&importer->label_frames) + VEC_SIZE(&importer->root_threads) +
           VEC_SIZE(&importer->chain_programs);
    return ret + VEC_SIZE(&importer->totals) + table_size(&importer->total_index) +
           VEC_SIZE(&importer->samples);
}

bool import_fits(struct importer *importer, size_t extra)
{
    const struct profile *profile = importer->profile;

    /* Indices and the places of texts have 32 bits. */
    if (profile->stacks.length >= 1u << 31 || profile->strings.bytes.length >= 1u << 31) {
        error_set(importer->why, ERR_UNSUPPORTED,
                  "'%s' is too large: pspy reads 2 billion different stacks at most",
                  importer->input->name);
        return false;
    }
    if (!importer->input->is_packed ||
        held(importer) + extra <= HELD_FREE + importer->input->taken * HELD_RATIO)
        return true;
    error_set(importer->why, ERR_INVALID,
              "'%s' unpacks to far more than profiles of its size do: gunzip it first if you trust "
              "it",
              importer->input->name);
    return false;
}
