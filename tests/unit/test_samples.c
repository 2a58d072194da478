/* SPDX-License-Identifier: MIT */
/* samples.h: the array is what was put in, whether it lies in memory, in a file or in both. */
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pspy/profile/profile.h"
#include "unit/tap.h"

#define MB ((size_t)1 << 20)

static struct sample numbered(size_t number)
{
    return (struct sample){.time = number,
                           .weight = ~number * 0x9e3779b97f4a7c15u,
                           .thread = (uint32_t)(number * 3),
                           .stack = {(uint32_t)(number >> 3)},
                           .end = (uint8_t)(number % 5),
                           .flags = (uint8_t)(number % 7)};
}

static void add(struct samples *samples, size_t bytes)
{
    size_t until = samples->length + bytes / sizeof(struct sample);

    while (samples->length < until) {
        struct sample sample = numbered(samples->length);

        samples_push(samples, &sample);
    }
}

static bool same(const struct sample *a, const struct sample *b)
{
    return a->time == b->time && a->weight == b->weight && a->thread == b->thread &&
           a->stack.v == b->stack.v && a->end == b->end && a->flags == b->flags;
}

static size_t count_wrong(const struct samples *samples)
{
    size_t wrong = 0, number = 0;

    vec_each (sample, samples) {
        struct sample wanted = numbered(number++);

        wrong += !same(sample, &wanted);
    }
    return wrong + (number != samples->length);
}

static void check(const struct samples *samples, size_t bytes, const char *what)
{
    tap_is_num((long long)samples->length, (long long)(bytes / sizeof(struct sample)), what);
    tap_is_num((long long)count_wrong(samples), 0, "and each is what was put in");
}

/* Of us, bytes: anonymous, the files' and shared. */
static size_t resident(void)
{
    FILE *statm = fopen("/proc/self/statm", "r");
    size_t pages = 0;

    if (!statm || fscanf(statm, "%*u %zu", &pages) != 1)
        pages = SIZE_MAX / 65536;
    if (statm)
        fclose(statm);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void test_growth(void)
{
    struct samples samples;
    size_t before;

    samples_init(&samples);
    check(&samples, 0, "none");
    add(&samples, 3 * MB);
    check(&samples, 3 * MB, "3 MB");
    tap_ok(samples.fd < 0, "need no file");
    before = resident();
    add(&samples, 125 * MB);
    tap_ok(resident() < before + 8 * MB, "of 128 MB all but a few are not resident");
    check(&samples, 128 * MB, "128 MB");
    samples_deinit(&samples);
    tap_ok(samples.length == 0 && samples.fd < 0, "nothing is left");
}

static void test_changes(void)
{
    struct profile profile;
    uint32_t stays, goes;
    size_t wrong = 0;

    profile_init(&profile);
    stays = profile_add_thread(&profile, profile_add_process(&profile, 1), 1);
    goes = profile_add_thread(&profile, profile_add_process(&profile, 2), 2);
    for (size_t i = 0; i < 400000; i++)
        profile_add_sample(&profile, &(struct sample){.time = i, .thread = i % 4 ? stays : goes});
    tap_ok(profile.samples.filed > 0, "a part is in the file");
    tap_is_num((long long)profile_drop_samples(&profile, 0, 1), 100000, "samples are dropped");
    for (size_t i = 400000; i < 600000; i++)
        profile_add_sample(&profile, &(struct sample){.time = i, .thread = stays});
    tap_is_num((long long)profile.samples.length, 500000, "and others come");
    for (size_t i = 0; i < profile.samples.length; i++)
        wrong += profile.samples.items[i].thread != stays ||
                 profile.samples.items[i].time != (i < 300000 ? i + i / 3 + 1 : i + 100000);
    tap_is_num((long long)wrong, 0, "behind those that stay");
    profile_deinit(&profile);
}

static void test_no_folder(void)
{
    struct samples samples;

    setenv("TMPDIR", "/nonexistent", 1);
    samples_init(&samples);
    add(&samples, 20 * MB);
    tap_ok(samples.fd < 0, "there is no file where there is no folder");
    check(&samples, 20 * MB, "20 MB in memory");
    unsetenv("TMPDIR");
    samples_deinit(&samples);
}

/* The limit's signal would end us. */
static void test_file_limit(void)
{
    struct samples samples;
    struct rlimit before, low;

    getrlimit(RLIMIT_FSIZE, &before);
    low = (struct rlimit){6 * MB, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &low);
    samples_init(&samples);
    add(&samples, 20 * MB);
    tap_is_num((long long)(samples.filed * sizeof(struct sample)), 6 * MB,
               "the file ends at its limit");
    check(&samples, 20 * MB, "6 MB in the file, 14 in memory");
    setrlimit(RLIMIT_FSIZE, &before);
    add(&samples, 20 * MB);
    tap_ok(samples.filed * sizeof(struct sample) > 20 * MB, "and grows when it may");
    check(&samples, 40 * MB, "40 MB");
    samples_deinit(&samples);
}

static void test_full_disk(void)
{
    struct samples samples;

    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/var/tmp", "tmpfs", 0, "size=6m") != 0) {
        tap_ok(true, "full disk # SKIP no file system can be mounted here");
        return;
    }
    samples_init(&samples);
    add(&samples, 20 * MB);
    tap_is_num((long long)(samples.filed * sizeof(struct sample)), 6 * MB,
               "6 MB of 20 fit on a disk of 6");
    for (size_t i = 0; i < samples.length; i++)
        samples.items[i].flags = 9;
    for (size_t i = 0; i < samples.length; i++)
        samples.items[i].flags = (uint8_t)(i % 7);
    check(&samples, 20 * MB, "all can be changed");
    samples_deinit(&samples);
}

int main(void)
{
    unsetenv("TMPDIR");
    test_growth();
    test_changes();
    test_no_folder();
    test_file_limit();
    test_full_disk();
    return tap_done();
}
