/* SPDX-License-Identifier: MIT */
/* profile/recording.h: what is written is read, field by field; what is cut or damaged reads as far
 * as it is whole. */
#include "unit/made_recording.h"

static struct profile made;
static struct strbuf file = STRBUF_INIT;
static size_t after_step[MADE_STEPS]; /* the file's length */

static void make_file(void)
{
    struct recording_writer *writer = recording_writer_create(to_memory, &file);
    bool is_written = true;

    profile_init(&made);
    for (unsigned step = 0; step < MADE_STEPS; step++) {
        make_step(&made, step);
        is_written &= step + 1 < MADE_STEPS ? recording_write(writer, &made)
                                            : recording_finish(writer, &made);
        after_step[step] = file.length;
    }
    recording_writer_destroy(writer);
    tap_ok(is_written, "a recording is written in %d steps: %zu bytes, %zu samples", MADE_STEPS,
           file.length, made.samples.length);
}

static void is_same(const struct profile *wanted, const struct made_read *read, const char *what)
{
    const char *why = difference(wanted, &read->profile);

    tap_ok(read->err == ERR_OK && !why, "%s # %s%s", what, read->why.message, why ? why : "");
    tap_is_str(read->warning.text, "", "nothing is to be warned of");
}

static void test_whole(void)
{
    struct made_read read;

    read_bytes(&read, file.text, file.length);
    is_same(&made, &read, "all that was written is read");
    made_read_deinit(&read);
    tap_ok(recording_is(file.text, file.length), "it is known by its first bytes");
    tap_ok(!recording_is(file.text, RECORDING_MAGIC_LENGTH - 1) &&
               !recording_is("\x89PNG\r\n\x1a\n", 8),
           "others are not");
}

/* The comparison has to see each change, or it shows nothing. */
static void test_comparison(void)
{
    struct made_read read;
    struct profile *profile = &read.profile;
    struct made_pair of = {&made, profile};

    read_bytes(&read, file.text, file.length);
    profile->samples.items[3].call++;
    tap_is_str(prefix_difference(&made, profile), "sample", "a change is seen: sample");
    profile->threads.items[2].ready++;
    tap_is_str(processes_difference(of), "thread", "a change is seen: thread");
    profile->programs.items[1].since++;
    tap_is_str(processes_difference(of), "program", "a change is seen: program");
    profile->stacks.items[5].frame.v++;
    tap_is_str(tables_difference(of), "stack", "a change is seen: stack");
    profile->modules.items[1].flags++;
    tap_is_str(tables_difference(of), "module", "a change is seen: module");
    profile->native_refs.items[4].offset++;
    tap_is_str(frames_difference(of), "address", "a change is seen: address");
    profile->facts.losses[2]++;
    tap_is_str(facts_difference(of), "losses", "a change is seen: losses");
    made_read_deinit(&read);
}

static void test_pieces(void)
{
    struct memory_file torn = {
        .bytes = file.text, .length = file.length, .most = 7, .is_torn = true};
    struct memory_file wrong = {.bytes = file.text, .length = file.length / 2, .is_wrong = true};
    struct made_read read;

    read_from(&read, &torn);
    is_same(&made, &read, "a pipe gives a few bytes at a time, and signals come between");
    made_read_deinit(&read);
    read_from(&read, &wrong);
    tap_ok(read.err == ERR_IO && strstr(read.why.message, strerror(EIO)), "%s", read.why.message);
    made_read_deinit(&read);
}

/* Facts hold at each step: what is written is what is known by then. */
static void test_steps(void)
{
    struct profile so_far;

    profile_init(&so_far);
    for (unsigned step = 0; step + 1 < MADE_STEPS; step++) {
        struct made_read read;
        const char *why;
        size_t all;

        make_step(&so_far, step);
        read_bytes(&read, file.text, after_step[step]);
        all = so_far.samples.length;
        so_far.samples.length = so_far.settled;
        why = difference(&so_far, &read.profile);
        so_far.samples.length = all;
        tap_ok(read.err == ERR_OK && !why,
               "a pspy that is killed after step %u leaves all of it, but for %zu samples # %s",
               step, all - so_far.settled, why ? why : read.why.message);
        tap_ok(strstr(read.warning.text, "is cut off after"), "%s", read.warning.text);
        made_read_deinit(&read);
    }
    profile_deinit(&so_far);
}

static void test_cut(void)
{
    size_t bad = 0, warned = 0, samples = 0, grown = 0;

    for (size_t length = 0; length < file.length; length++) {
        struct made_read read;

        read_bytes(&read, file.text, length);
        if (length < 12)
            bad += read.err == ERR_OK;
        else
            bad += read.err != ERR_OK || prefix_difference(&made, &read.profile) ||
                   read.profile.facts.end != RECORDING_CUT_OFF;
        warned += read.warning.length > 0;
        bad += read.profile.samples.length < samples;
        grown += read.profile.samples.length > samples;
        samples = read.profile.samples.length;
        made_read_deinit(&read);
    }
    tap_is_num((long long)bad, 0, "cut at each byte, the samples of whole chunks are read");
    tap_is_num((long long)warned, (long long)file.length - 12, "and it is told each time");
    tap_is_num((long long)grown, MADE_STEPS, "the more there is, the more is read");
    tap_is_num((long long)samples, (long long)made.samples.length, "in the end all samples");
}

/* Each byte is covered: all but the minor version's, which says nothing yet. */
static void test_flipped(void)
{
    static const unsigned char patterns[] = {0x01, 0x80, 0xff};
    size_t bad = 0, unseen = 0;

    for (size_t at = 0; at < file.length; at++)
        for (size_t i = 0; i < sizeof(patterns); i++) {
            struct made_read read;

            file.text[at] = (char)(file.text[at] ^ patterns[i]);
            read_bytes(&read, file.text, file.length);
            file.text[at] = (char)(file.text[at] ^ patterns[i]);
            bad += read.err == ERR_OK && prefix_difference(&made, &read.profile);
            unseen += read.err == ERR_OK && !read.warning.length;
            made_read_deinit(&read);
        }
    tap_is_num((long long)bad, 0, "with any byte changed: an error, or the samples before it");
    tap_is_num((long long)unseen, 2 * (long long)sizeof(patterns),
               "no change is unseen, but for the minor version's");
}

static void test_no_recording(void)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *wanted;
    } others[] = {
        {"", 0, "the recording is empty"},
        {"\x1f\x8b\x08\0\0\0\0\0", 8, "gunzip"},
        {"{\"$schema\": \"https://example.org\"}", 34, "no recording of pspy"},
        {"\x89pspy\n\x1a\1\0\0\0", 11, "no recording of pspy"}, /* line ends were converted */
        {"\x89pspy\r\n\x1a\2\0\0\0", 12, "version 2, and this pspy reads version 1"},
    };

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct made_read read;

        read_bytes(&read, others[i].bytes, others[i].length);
        tap_ok(read.err != ERR_OK && strstr(read.why.message, others[i].wanted), "%s # wanted: %s",
               read.why.message, others[i].wanted);
        made_read_deinit(&read);
    }
}

/* ---- single cases ------------------------------------------------------------------------------
 */

static void test_nothing_yet(void)
{
    struct strbuf bytes = STRBUF_INIT;
    struct recording_writer *writer = recording_writer_create(to_memory, &bytes);
    struct profile empty;
    struct made_read read;
    size_t length;

    profile_init(&empty);
    empty.facts.title = profile_string(&empty, "python app.py");
    recording_write(writer, &empty);
    read_bytes(&read, bytes.text, bytes.length);
    tap_ok(read.err == ERR_OK && !difference(&empty, &read.profile) && read.warning.length,
           "one that was killed before its first sample is empty, and cut off");
    made_read_deinit(&read);
    length = bytes.length;
    recording_write(writer, &empty);
    tap_is_num((long long)bytes.length, (long long)length, "where nothing is new nothing is added");
    recording_finish(writer, &empty);
    read_bytes(&read, bytes.text, bytes.length);
    is_same(&empty, &read, "an empty recording that has an end");
    made_read_deinit(&read);
    recording_writer_destroy(writer);
    profile_deinit(&empty);
    strbuf_deinit(&bytes);
}

struct full_disk {
    struct strbuf bytes;
    size_t room;
    unsigned refused;
};

static bool to_full_disk(void *context, const void *bytes, size_t length)
{
    struct full_disk *disk = context;

    if (disk->bytes.length + length > disk->room) {
        disk->refused++;
        return false;
    }
    strbuf_add(&disk->bytes, bytes, length);
    return true;
}

static void test_full_disk(void)
{
    struct full_disk disk = {.bytes = STRBUF_INIT, .room = file.length / 2};
    struct recording_writer *writer = recording_writer_create(to_full_disk, &disk);
    struct profile profile;
    struct made_read read;
    bool is_written = true;

    profile_init(&profile);
    for (unsigned step = 0; step < MADE_STEPS; step++) {
        make_step(&profile, step);
        is_written = recording_write(writer, &profile);
    }
    tap_ok(!is_written && !recording_finish(writer, &profile), "a full disk is told");
    tap_is_num(disk.refused, 1, "and nothing more is written to it");
    read_bytes(&read, disk.bytes.text, disk.bytes.length);
    tap_ok(read.err == ERR_OK && !prefix_difference(&made, &read.profile) &&
               read.profile.samples.length > 0,
           "what is there stays readable: %zu samples", read.profile.samples.length);
    made_read_deinit(&read);
    recording_writer_destroy(writer);
    profile_deinit(&profile);
    strbuf_deinit(&disk.bytes);
}

static void write_and_read(struct profile *profile, struct strbuf *bytes, struct made_read *ret)
{
    struct recording_writer *writer = recording_writer_create(to_memory, bytes);

    profile->settled = profile->samples.length;
    recording_finish(writer, profile);
    recording_writer_destroy(writer);
    read_bytes(ret, bytes->text, bytes->length);
}

/* A recursion of a million frames, and more samples than one chunk has. */
static void test_large(void)
{
    struct strbuf bytes = STRBUF_INIT;
    struct profile profile;
    struct made_read read;
    stack_id stack = STACK_EMPTY;
    frame_id frame;

    profile_init(&profile);
    frame = made_info(&profile, 1);
    for (unsigned i = 0; i < 1000000; i++)
        stack = profile_stack(&profile, stack, frame);
    profile_add_process(&profile, 1);
    profile_add_thread(&profile, 0, 1);
    for (unsigned i = 0; i < 200000; i++) {
        struct sample sample = {
            .time = i / 3 * 1000, .weight = 1000, .stack = {stack.v - i % 7 * 100000}};

        profile_add_sample(&profile, &sample);
    }
    write_and_read(&profile, &bytes, &read);
    is_same(&profile, &read, "a million frames deep, 200000 samples");
    tap_ok(bytes.length < 200000, "in %zu bytes", bytes.length);
    made_read_deinit(&read);
    profile_deinit(&profile);
    strbuf_deinit(&bytes);
}

/* As an importer makes them: weights are numbers of samples, times say nothing. */
static void test_counted(void)
{
    struct strbuf bytes = STRBUF_INIT;
    struct profile profile;
    struct made_read read;

    profile_init(&profile);
    profile.facts.is_counted = profile.facts.has_no_states = true;
    profile_add_process(&profile, -1);
    profile_add_thread(&profile, 0, -1);
    for (unsigned i = 0; i < 10; i++) {
        struct sample sample = {.weight = i};

        profile_add_sample(&profile, &sample);
    }
    write_and_read(&profile, &bytes, &read);
    is_same(&profile, &read, "samples without times");
    made_read_deinit(&read);
    profile_deinit(&profile);
    strbuf_deinit(&bytes);
}

int main(void)
{
    make_file();
    test_whole();
    test_comparison();
    test_pieces();
    test_steps();
    test_cut();
    test_flipped();
    test_no_recording();
    test_nothing_yet();
    test_full_disk();
    test_large();
    test_counted();
    profile_deinit(&made);
    strbuf_deinit(&file);
    return tap_done();
}
