/* SPDX-License-Identifier: MIT */
/*
 * Recordings whose checksums are right and whose contents are not: made by a later pspy, by a
 * broken one, or to do harm. tests/corpus/pspy has such files, made by `test_recording_damage
 * corpus FOLDER`.
 */
#include <dirent.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/profile/recording_writer.h"
#include "unit/made_recording.h"

#define CORPUS "tests/corpus/pspy"

#define VAST (1ull << 40)
#define HERE (UINT64_MAX - 1) /* where the chunk's table goes on */

static struct profile made;

/* Ends a chunk of these numbers. */
static void put_chunk(struct recording_writer *writer, enum chunk_type type, unsigned flags,
                      const uint64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        recording_put(&writer->raw, numbers[i]);
    recording_end_chunk(writer, type, flags);
}

static struct recording_writer *begin(struct strbuf *bytes, struct profile *profile)
{
    struct recording_writer *writer = recording_writer_create(to_memory, bytes);

    profile_init(profile);
    make_step(profile, 0);
    recording_write(writer, profile);
    return writer;
}

/* ---- one chunk that makes no sense -------------------------------------------------------------
 */

/* After step 0: frame 0 is an address, frame 1 none; there is one process, program and thread. */
static const struct {
    enum chunk_type type;
    const char *name;
    bool is_good; /* shows that the others are wrong in that one thing */
    uint64_t numbers[16];
    size_t count;
} chunks[] = {
    {CHUNK_FACTS, "good-fact", true, {FACT_DELAY, 1, 3}, 3},
    {CHUNK_FACTS, "bad-fact-number", false, {FACT_END, 1, 77}, 3},
    {CHUNK_FACTS, "bad-fact-length", false, {FACT_DELAY, VAST, 3}, 3},
    {CHUNK_FACTS, "bad-fact-double", false, {FACT_RATE, 1, 3}, 3},
    {CHUNK_STRINGS, "good-string", true, {HERE, 1, 'x'}, 3},
    {CHUNK_STRINGS, "bad-string-place", false, {VAST, 1, 'x'}, 3},
    {CHUNK_STRINGS, "bad-string-length", false, {HERE, 1u << 31, 'x'}, 3},
    {CHUNK_MODULES, "good-module", true, {3, 1, 2, 2, 0}, 5},
    {CHUNK_MODULES, "bad-module-index", false, {3, 3, 2, 2, 0}, 5},
    {CHUNK_MODULES, "bad-module-path", false, {3, 1, VAST, 2, 0}, 5},
    {CHUNK_FRAMES, "good-frame", true, {HERE, 11, 0, 0, 0, 1, 1, 1, 1, 1, 9, 9, 9}, 13},
    {CHUNK_FRAMES, "bad-frame-place", false, {1, 11, 0, 0, 0, 1, 1, 1, 1, 1, 9, 9, 9}, 13},
    {CHUNK_FRAMES, "bad-frame-kind", false, {HERE, 11, 99, 0, 0, 1, 1, 1, 1, 1, 9, 9, 9}, 13},
    {CHUNK_FRAMES, "bad-frame-fold", false, {HERE, 11, 0, 99, 0, 1, 1, 1, 1, 1, 9, 9, 9}, 13},
    {CHUNK_FRAMES, "bad-frame-name", false, {HERE, 11, 0, 0, 0, VAST, 1, 1, 1, 1, 9, 9, 9}, 13},
    {CHUNK_FRAMES, "bad-frame-line", false, {HERE, 11, 0, 0, 0, 1, 1, 1, 1, 1, VAST, 9, 9}, 13},
    {CHUNK_FRAMES, "bad-frame-fields", false, {HERE, 10, 0, 0, 0, 1, 1, 1, 1, 1, 9, 9}, 12},
    {CHUNK_FRAMES, "bad-frame-end", false, {HERE, 11, 0, 0, 0, 1, 1, 1, 1, 1, 9, 9}, 12},
    {CHUNK_FRAMES, "good-address", true, {HERE, 11, 255, 0, 1, 99, 0, 0, 0, 0, 0, 0, 0}, 13},
    {CHUNK_FRAMES, "bad-address-module", false, {HERE, 11, 255, 7, 1, 99, 0, 0, 0, 0, 0, 0, 0}, 13},
    {CHUNK_NAMES, "good-names", true, {HERE, 0, 2, 1, 2}, 5},
    {CHUNK_NAMES, "bad-names-frame", false, {HERE, VAST, 2, 1, 2}, 5},
    {CHUNK_NAMES, "bad-names-of-names", false, {HERE, 1, 2, 1, 2}, 5},
    {CHUNK_NAMES, "bad-names-address", false, {HERE, 0, 2, 1, 0}, 5},
    {CHUNK_NAMES, "bad-names-count", false, {HERE, 0, VAST, 1, 2}, 5},
    {CHUNK_STACKS, "good-stack", true, {HERE, 1, 0}, 3},
    {CHUNK_STACKS, "bad-stack-itself", false, {HERE, 0, 0}, 3},
    {CHUNK_STACKS, "bad-stack-parent", false, {HERE, VAST, 0}, 3},
    {CHUNK_STACKS, "bad-stack-frame", false, {HERE, 1, VAST}, 3},
    {CHUNK_PROCESSES, "good-process", true, {6, 1, 2, 2, 1, 1, 0, 0}, 8},
    {CHUNK_PROCESSES, "bad-process-index", false, {6, 3, 2, 2, 1, 1, 0, 0}, 8},
    {CHUNK_PROCESSES, "bad-process-host", false, {6, 1, 2, 2, VAST, 1, 0, 0}, 8},
    {CHUNK_PROGRAMS, "good-program", true, {HERE, 4, 0, 1, 1, 5}, 6},
    {CHUNK_PROGRAMS, "bad-program-process", false, {HERE, 4, 1, 1, 1, 5}, 6},
    {CHUNK_PROGRAMS, "bad-program-parent", false, {HERE, 4, 0, 2, 1, 5}, 6},
    {CHUNK_THREADS, "good-thread", true, {6, 1, 0, 2, 1, 0, 0, 0}, 8},
    {CHUNK_THREADS, "bad-thread-process", false, {6, 1, 1, 2, 1, 0, 0, 0}, 8},
    {CHUNK_THREADS, "bad-thread-index", false, {6, 2, 0, 2, 1, 0, 0, 0}, 8},
    {CHUNK_THREADS, "bad-thread-fields", false, {65, 1, 0, 2, 1, 0, 0, 0}, 8},
    {CHUNK_SAMPLES, "good-sample", true, {HERE, 1, 0, 0, 1, 1, 9, 0, 0, 0, 0, 0, 0, 0, 0}, 15},
    {CHUNK_SAMPLES, "bad-sample-place", false, {0, 1, 0, 0, 1, 1, 9, 0, 0, 0, 0, 0, 0, 0, 0}, 15},
    {CHUNK_SAMPLES, "bad-samples", false, {HERE, VAST, 0, 0, 1, 1, 9, 0, 0, 0, 0, 0, 0, 0, 0}, 15},
    {CHUNK_SAMPLES, "bad-traits", false, {HERE, 1, VAST, 0, 1, 1, 9, 0, 0, 0, 0, 0, 0, 0, 0}, 15},
    {CHUNK_SAMPLES, "bad-end", false, {HERE, 1, 1, 9, 0, 0, 0, 0, 1, 1, 9, 0, 0, 0, 0, 0}, 16},
    {CHUNK_SAMPLES, "bad-stacks", false, {HERE, 1, 0, VAST, 1, 1, 9, 0, 0, 0, 0, 0, 0, 0, 0}, 15},
    {CHUNK_SAMPLES, "bad-leaf", false, {HERE, 1, 0, 1, VAST, 1, 1, 9, 0, 0, 0, 0, 0, 0, 0, 0}, 16},
    {CHUNK_SAMPLES, "bad-ticks", false, {HERE, 1, 0, 0, 2, 1, 9, 0, 0, 0, 0, 0, 0, 0, 0}, 15},
    {CHUNK_SAMPLES, "bad-tick", false, {HERE, 1, 0, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0}, 15},
    {CHUNK_SAMPLES, "bad-tick-count", false, {HERE, 1, 0, 0, 1, 2, 9, 0, 0, 0, 0, 0, 0, 0, 0}, 15},
    {CHUNK_SAMPLES, "bad-weight", false, {HERE, 1, 0, 0, 1, 1, 9, 0, 0, 0, 0, HERE, 0, 0, 0}, 14},
    {CHUNK_SAMPLES, "bad-thread", false, {HERE, 1, 0, 0, 1, 1, 9, 0, 0, 0, 0, 0, 1, 0, 0}, 15},
    {CHUNK_SAMPLES, "bad-trait", false, {HERE, 1, 0, 0, 1, 1, 9, 0, 0, 0, 0, 0, 0, 99, 0}, 15},
    {CHUNK_SAMPLES, "bad-stack", false, {HERE, 1, 0, 0, 1, 1, 9, 0, 0, 0, 0, 0, 0, 0, 99}, 15},
    {CHUNK_COUNTERS, "good-counter", true, {COUNTER_TICKS, 1, 8}, 3},
    {CHUNK_COUNTERS, "bad-counter", false, {COUNTER_TICKS, 1, 0x80}, 3},
    {CHUNK_END, "bad-total", false, {VAST}, 1},
};
#define CHUNKS (sizeof(chunks) / sizeof(chunks[0]))

static size_t table_end(const struct profile *profile, size_t samples, enum chunk_type type)
{
    switch (type) {
    case CHUNK_STRINGS:
        return profile->strings.offsets.length;
    case CHUNK_FRAMES:
        return profile->frames.length;
    case CHUNK_NAMES:
        return profile->names.length;
    case CHUNK_STACKS:
        return profile->stacks.length;
    case CHUNK_PROGRAMS:
        return profile->programs.length;
    default:
        return samples;
    }
}

static void make_chunk_file(size_t index, struct strbuf *ret)
{
    struct profile profile;
    struct recording_writer *writer = begin(ret, &profile);
    uint64_t numbers[16];

    memcpy(numbers, chunks[index].numbers, sizeof(numbers));
    if (numbers[0] == HERE)
        numbers[0] = table_end(&profile, writer->samples, chunks[index].type);
    put_chunk(writer, chunks[index].type, CHUNK_CRITICAL, numbers, chunks[index].count);
    recording_writer_destroy(writer);
    profile_deinit(&profile);
}

static void test_chunks(void)
{
    for (size_t i = 0; i < CHUNKS; i++) {
        struct strbuf bytes = STRBUF_INIT;
        struct made_read read;
        bool is_damaged;

        make_chunk_file(i, &bytes);
        read_bytes(&read, bytes.text, bytes.length);
        is_damaged = strstr(read.warning.text, "is damaged");
        if (chunks[i].is_good)
            tap_ok(read.err == ERR_OK && !is_damaged, "%s is taken", chunks[i].name);
        else
            tap_ok(read.err == ERR_OK && is_damaged && !prefix_difference(&made, &read.profile) &&
                       read.profile.samples.length == 7,
                   "%s: what comes before is read", chunks[i].name);
        made_read_deinit(&read);
        strbuf_deinit(&bytes);
    }
}

/* ---- later versions ----------------------------------------------------------------------------
 */

static void make_later(struct strbuf *ret, unsigned flags)
{
    static const uint64_t unknown[] = {1, 2, 3, VAST};
    static const uint64_t fact[] = {999, 2, 7, 7};
    /* The one process that is there, with two more fields. */
    static const uint64_t process[] = {8, 0, 2000, 0, 0, 1, 0, 0, VAST, 5};
    struct profile profile;
    struct recording_writer *writer = begin(ret, &profile);

    put_chunk(writer, CHUNK_FACTS, CHUNK_CRITICAL, fact, 4);
    put_chunk(writer, CHUNK_COUNTERS, CHUNK_CRITICAL, fact, 4);
    put_chunk(writer, (enum chunk_type)200, flags, unknown, 4);
    put_chunk(writer, CHUNK_PROCESSES, CHUNK_CRITICAL, process, 10);
    for (unsigned step = 1; step < MADE_STEPS; step++) {
        make_step(&profile, step);
        recording_write(writer, &profile);
    }
    recording_finish(writer, &profile);
    ret->text[RECORDING_MAGIC_LENGTH + 2] = 7;
    recording_writer_destroy(writer);
    profile_deinit(&profile);
}

static void test_later(void)
{
    struct strbuf bytes = STRBUF_INIT, refused = STRBUF_INIT;
    struct made_read read;

    make_later(&bytes, 0);
    read_bytes(&read, bytes.text, bytes.length);
    tap_is_num(read.profile.processes.items[0].pid, 1000, "a row with more fields is read");
    tap_ok(read.err == ERR_OK && !read.warning.length && read.profile.samples.length == 156 &&
               !prefix_difference(&made, &read.profile),
           "a later minor version, its tags and its chunks are skipped");
    made_read_deinit(&read);
    make_later(&refused, CHUNK_CRITICAL);
    read_bytes(&read, refused.text, refused.length);
    tap_ok(read.err == ERR_UNSUPPORTED && strstr(read.why.message, "does not know"), "%s",
           read.why.message);
    made_read_deinit(&read);
    strbuf_deinit(&bytes);
    strbuf_deinit(&refused);
}

/* ---- small files that unpack to large ones -----------------------------------------------------
 */

struct bomb {
    const char *name;
    enum chunk_type type;
    /* Adds a row to a chunk. */
    void (*add)(struct strbuf *raw, uint64_t row);
    unsigned flags;
};

static void add_stack(struct strbuf *raw, uint64_t row)
{
    recording_put(raw, 1);
    recording_put(raw, row % 2);
}

static void add_string(struct strbuf *raw, uint64_t row)
{
    recording_put(raw, 3);
    recording_put_fixed(raw, row | 0x800000, 3);
}

static void add_nuls(struct strbuf *raw, uint64_t row)
{
    if (row == 0) {
        recording_put(raw, 1 << 20);
        for (unsigned i = 0; i < 1 << 20; i++)
            strbuf_add_char(raw, '\0');
    }
}

static void add_title(struct strbuf *raw, uint64_t row)
{
    static uint64_t number;

    if (row == 0) {
        recording_put(raw, FACT_TITLE);
        recording_put(raw, 1 << 20);
        recording_put_fixed(raw, number++, 8);
        for (unsigned i = 8; i < 1 << 20; i++)
            strbuf_add_char(raw, '\0');
    }
}

static void add_frame(struct strbuf *raw, uint64_t row)
{
    recording_put(raw, 255);
    recording_put(raw, 0);
    recording_put(raw, 0);
    recording_put(raw, row);
    for (unsigned i = 4; i < FRAME_FIELDS; i++)
        recording_put(raw, 0);
}

static void add_names(struct strbuf *raw, uint64_t row)
{
    (void)row;
    recording_put(raw, 0);
    recording_put(raw, 0);
}

static void add_thread(struct strbuf *raw, uint64_t row)
{
    recording_put(raw, row + 1);
    for (unsigned i = 0; i < THREAD_FIELDS; i++)
        recording_put(raw, 0);
}

static void add_zero(struct strbuf *raw, uint64_t row)
{
    (void)row;
    recording_put(raw, 0);
}

static const struct bomb bombs[] = {
    {"stacks", CHUNK_STACKS, add_stack, CHUNK_CRITICAL},
    {"strings", CHUNK_STRINGS, add_string, CHUNK_CRITICAL},
    {"long-strings", CHUNK_STRINGS, add_nuls, CHUNK_CRITICAL},
    {"titles", CHUNK_FACTS, add_title, CHUNK_CRITICAL},
    {"addresses", CHUNK_FRAMES, add_frame, CHUNK_CRITICAL},
    {"names", CHUNK_NAMES, add_names, CHUNK_CRITICAL},
    {"threads", CHUNK_THREADS, add_thread, CHUNK_CRITICAL},
    {"samples", CHUNK_SAMPLES, add_zero, CHUNK_CRITICAL},
    {"unknown", (enum chunk_type)200, add_zero, 0},
};
#define BOMBS (sizeof(bombs) / sizeof(bombs[0]))

/* What stands before the rows; how many fit. */
static size_t begin_rows(struct recording_writer *writer, const struct bomb *bomb, uint64_t row,
                         size_t start)
{
    size_t samples = CHUNK_LARGEST / 4 - 16;

    if (bomb->type == CHUNK_THREADS)
        recording_put(&writer->raw, THREAD_FIELDS);
    else if (bomb->type != CHUNK_FACTS)
        recording_put(&writer->raw, row + start);
    if (bomb->type == CHUNK_FRAMES)
        recording_put(&writer->raw, FRAME_FIELDS);
    if (bomb->type != CHUNK_SAMPLES)
        return SIZE_MAX;
    recording_put(&writer->raw, samples);
    recording_put_fixed(&writer->raw, 0, 2); /* no trait and no stack that is new */
    recording_put(&writer->raw, 1);          /* tick */
    recording_put(&writer->raw, samples);
    recording_put_fixed(&writer->raw, 0, TIME_PLANES);
    return samples;
}

/* One row is a chunk. */
static bool is_long(const struct bomb *bomb)
{
    return bomb->add == add_nuls || bomb->add == add_title;
}

static void make_bomb(const struct bomb *bomb, size_t size, struct strbuf *ret)
{
    struct profile profile;
    struct recording_writer *writer = begin(ret, &profile);
    size_t start = table_end(&profile, writer->samples, bomb->type);
    uint64_t row = 0;

    while (ret->length < size) {
        size_t rows = begin_rows(writer, bomb, row, start);
        size_t end = rows == SIZE_MAX ? CHUNK_LARGEST - 32 : writer->raw.length + 4 * rows;

        for (uint64_t in_chunk = 0; writer->raw.length < end; in_chunk++) {
            bomb->add(&writer->raw, is_long(bomb) ? in_chunk : row);
            if (is_long(bomb))
                end = 0;
            row += rows == SIZE_MAX;
        }
        row += rows == SIZE_MAX ? 0 : rows;
        recording_end_chunk(writer, bomb->type, bomb->flags);
    }
    recording_writer_destroy(writer);
    profile_deinit(&profile);
}

/* Kilobytes that reading takes; -1: it crashes. */
static long memory_of(const struct strbuf *bytes)
{
    struct rusage usage;
    pid_t child;
    int status;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        struct made_read read;

        read_bytes(&read, bytes->text, bytes->length);
        _exit(read.err != ERR_OK);
    }
    if (child < 0 || wait4(child, &status, 0, &usage) != child || status != 0)
        return -1;
    return usage.ru_maxrss;
}

static void test_bombs(void)
{
    for (size_t i = 0; i < BOMBS; i++) {
        struct strbuf bytes = STRBUF_INIT;
        long memory;

        make_bomb(&bombs[i], 64 << 10, &bytes);
        memory = memory_of(&bytes);
#ifdef __SANITIZE_ADDRESS__
        tap_ok(memory >= 0, "%s: %zu bytes are read # SKIP the sanitizer takes memory, too",
               bombs[i].name, bytes.length);
#else
        tap_ok(memory >= 0 && memory < 200 << 10, "%s: %zu bytes take %ld MB", bombs[i].name,
               bytes.length, memory >> 10);
#endif
        strbuf_deinit(&bytes);
    }
}

/* ---- files of before ---------------------------------------------------------------------------
 */

static void write_file(const char *folder, const char *name, const struct strbuf *bytes)
{
    char path[512];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s.pspy", folder, name);
    file = fopen(path, "wb");
    if (!file || fwrite(bytes->text, 1, bytes->length, file) != bytes->length || fclose(file))
        perror(path);
}

static void make_corpus(const char *folder, struct strbuf *bytes)
{
    struct strbuf other = STRBUF_INIT;

    write_file(folder, "good-whole", bytes);
    strbuf_add(&other, bytes->text, bytes->length / 2);
    write_file(folder, "bad-cut", &other);
    bytes->text[bytes->length / 2] ^= 1;
    write_file(folder, "bad-byte", bytes);
    bytes->text[RECORDING_MAGIC_LENGTH] = RECORDING_MAJOR + 1;
    write_file(folder, "refused-major", bytes);
    for (unsigned critical = 0; critical < 2; critical++) {
        strbuf_reset(&other);
        make_later(&other, critical);
        write_file(folder, critical ? "refused-chunk" : "good-later", &other);
    }
    for (size_t i = 0; i < CHUNKS; i++) {
        strbuf_reset(&other);
        make_chunk_file(i, &other);
        /* Of each kind one, and all of samples: to keep the folder small. */
        if (!chunks[i].is_good && (chunks[i].type == CHUNK_SAMPLES || chunks[i - 1].is_good))
            write_file(folder, chunks[i].name, &other);
    }
    strbuf_deinit(&other);
}

static void replay(const char *name)
{
    struct strbuf bytes = STRBUF_INIT;
    struct made_read read;
    char path[512];
    const char *why;

    snprintf(path, sizeof(path), "%s/%s", CORPUS, name);
    if (strbuf_add_file(&bytes, path, 1 << 20) != 0)
        perror(path);
    read_bytes(&read, bytes.text, bytes.length);
    why = prefix_difference(&made, &read.profile);
    if (!strcmp(name, "good-whole.pspy"))
        why = difference(&made, &read.profile);
    if (!strncmp(name, "good-", 5))
        tap_ok(!why && !read.err && !read.warning.length, "%s is read # %s", name, why ? why : "");
    else if (!strncmp(name, "bad-", 4))
        tap_ok(!why && !read.err && read.warning.length, "%s is read up to there", name);
    else
        tap_ok(read.err == ERR_UNSUPPORTED, "%s is refused", name);
    made_read_deinit(&read);
    strbuf_deinit(&bytes);
}

static void test_corpus(void)
{
    DIR *folder = opendir(CORPUS);
    unsigned files = 0;

    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        const char *dot = strrchr(entry->d_name, '.');

        if (!dot || strcmp(dot, ".pspy"))
            continue;
        replay(entry->d_name);
        files++;
    }
    if (folder)
        closedir(folder);
    tap_ok(files >= 30, "%s has %u recordings", CORPUS, files);
}

int main(int argc, char **argv)
{
    struct strbuf bytes = STRBUF_INIT;

    make_whole(&made, &bytes);
    if (argc == 3 && !strcmp(argv[1], "corpus")) {
        make_corpus(argv[2], &bytes);
    } else {
        test_chunks();
        test_later();
        test_bombs();
        test_corpus();
    }
    profile_deinit(&made);
    strbuf_deinit(&bytes);
    return tap_count ? tap_done() : 0;
}
