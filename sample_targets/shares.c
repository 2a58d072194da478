/* SPDX-License-Identifier: MIT */
/*
 * Spends stated shares of its CPU time in hot, warm and cold, and states at the end what it
 * measured with the thread's own clock. Each slice goes to the function furthest behind its share,
 * so that any second of the run has about the same shares; its length is random, so that no sampler
 * beats in time with it.
 */
#include "position.h"

#include <stdint.h>
#include <time.h>

#include "options.h"

#define SHORTEST 0.001 /* seconds of a slice */
#define LONGEST  0.020

STATED void hot(unsigned long turns);
STATED void warm(unsigned long turns);
STATED void cold(unsigned long turns);

struct share {
    const char *name;
    void (*function)(unsigned long turns);
    double wanted; /* of the CPU time of all three */
    double cpu;    /* seconds used */
    double wall;   /* seconds passed, with waits for a CPU */
    unsigned long slices;
};

static struct share shares[] = {
    {"hot", hot, 0.6, 0, 0, 0},
    {"warm", warm, 0.3, 0, 0, 0},
    {"cold", cold, 0.1, 0, 0, 0},
};
#define SHARES (sizeof(shares) / sizeof(shares[0]))

static double turns_per_second = 1e7; /* a guess; each slice corrects it */

#define DEFINE_BURNER(name)                                                                        \
    void name(unsigned long turns)                                                                 \
    {                                                                                              \
        for (volatile unsigned long left = turns; left;)                                           \
            left = left - 1;                                                                       \
    }
DEFINE_BURNER(hot)
DEFINE_BURNER(warm)
DEFINE_BURNER(cold)

static double clock_seconds(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* xorshift; in [0, 1) */
static double random_unit(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (double)(*state >> 11) / 9007199254740992.0;
}

static double cpu_of_all(void)
{
    double sum = 0;

    for (size_t i = 0; i < SHARES; i++)
        sum += shares[i].cpu;
    return sum;
}

static struct share *most_wanting(void)
{
    double total = cpu_of_all();
    struct share *most = shares;

    for (size_t i = 1; i < SHARES; i++) {
        if (shares[i].wanted * total - shares[i].cpu > most->wanted * total - most->cpu)
            most = &shares[i];
    }
    return most;
}

static void run_slice(struct share *share, double seconds)
{
    unsigned long turns = (unsigned long)(seconds * turns_per_second) + 1;
    double before = clock_seconds(CLOCK_THREAD_CPUTIME_ID), used;
    double begin = clock_seconds(CLOCK_MONOTONIC);

    share->function(turns);
    used = clock_seconds(CLOCK_THREAD_CPUTIME_ID) - before;
    share->cpu += used;
    share->wall += clock_seconds(CLOCK_MONOTONIC) - begin;
    share->slices++;
    if (used > 0)
        turns_per_second = (double)turns / used;
}

static void print_each(const char *key, double (*value)(const struct share *share, double total),
                       double total)
{
    printf("\"%s\": {", key);
    for (size_t i = 0; i < SHARES; i++)
        printf("%s\"%s\": %.6f", i ? ", " : "", shares[i].name, value(&shares[i], total));
    printf("}, ");
}

static double share_of(const struct share *share, double total)
{
    return share->cpu / total;
}

static double wall_share_of(const struct share *share, double total)
{
    return share->wall / total;
}

static double seconds_of(const struct share *share, double total)
{
    (void)total;
    return share->cpu;
}

static void print_statement(double total, double wall)
{
    printf("{\"target\": \"shares\", \"language\": \"c\", \"pid\": %d, ", (int)getpid());
    print_each("shares", share_of, total);
    print_each("wall_shares", wall_share_of, wall);
    printf("\"other\": %.6f, ", 1 - cpu_of_all() / total);
    print_each("cpu_seconds", seconds_of, total);
    printf("\"slices\": {");
    for (size_t i = 0; i < SHARES; i++)
        printf("%s\"%s\": %lu", i ? ", " : "", shares[i].name, shares[i].slices);
    printf("}, \"total_cpu_seconds\": %.6f, \"wall_seconds\": %.6f}\n", total, wall);
}

int main(int argc, char **argv)
{
    double seconds = 10, start_cpu, start_wall, wall;
    const struct option_row rows[] = {
        {"--seconds", &seconds, NULL},
    };
    uint64_t seed;

    OPTIONS_PARSE(argc, argv, rows);
    position_arm(0);
    start_cpu = clock_seconds(CLOCK_THREAD_CPUTIME_ID);
    start_wall = clock_seconds(CLOCK_MONOTONIC);
    seed = (uint64_t)(start_wall * 1e9) | 1;
    while ((wall = clock_seconds(CLOCK_MONOTONIC) - start_wall) < seconds && !position_over)
        run_slice(most_wanting(), SHORTEST + (LONGEST - SHORTEST) * random_unit(&seed));
    print_statement(clock_seconds(CLOCK_THREAD_CPUTIME_ID) - start_cpu, wall);
    return 0;
}
