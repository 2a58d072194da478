/* SPDX-License-Identifier: MIT */
/* base: strbuf, table, vec, errors, clock. The truth is a plain array beside the structure. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/clock.h"
#include "pspy/base/error.h"
#include "pspy/base/strbuf.h"
#include "pspy/base/table.h"
#include "pspy/base/vec.h"
#include "unit/tap.h"

/* ---- strbuf ---------------------------------------------------------------------------------- */

static void test_strbuf_empty(void)
{
    struct strbuf buf = STRBUF_INIT;

    tap_is_str(buf.text, "", "an empty strbuf is a string");
    strbuf_add(&buf, "x", 0);
    strbuf_add_text(&buf, "");
    strbuf_addf(&buf, "%s", "");
    strbuf_reset(&buf);
    strbuf_truncate(&buf, 10);
    tap_ok(buf.length == 0 && buf.capacity == 0, "adding nothing allocates nothing");
    tap_is_str(strbuf_empty, "", "the shared empty string stays empty");
    strbuf_deinit(&buf);
}

/* Every length from 0 on, by bytes that include NULs. */
static void test_strbuf_growth(void)
{
    struct strbuf buf = STRBUF_INIT;
    char truth[5000];
    bool is_good = true;

    for (size_t i = 0; i < sizeof(truth); i++) {
        truth[i] = (char)(i * 7);
        strbuf_add_char(&buf, truth[i]);
        is_good &= buf.length == i + 1 && buf.capacity > buf.length && buf.text[i + 1] == '\0';
    }
    tap_ok(is_good, "each added byte is followed by a NUL");
    tap_ok(memcmp(buf.text, truth, sizeof(truth)) == 0, "5000 bytes with NULs are kept");
    strbuf_truncate(&buf, 6000);
    tap_is_num((long long)buf.length, 5000, "truncating beyond the end changes nothing");
    strbuf_truncate(&buf, 3);
    tap_ok(buf.length == 3 && buf.text[3] == '\0', "truncate ends the text");
    strbuf_reset(&buf);
    tap_ok(buf.length == 0 && buf.text[0] == '\0' && buf.capacity > 5000, "reset keeps the room");
    strbuf_deinit(&buf);
    tap_ok(buf.text == strbuf_empty && buf.capacity == 0, "deinit leaves a usable strbuf");
}

static void test_strbuf_format(void)
{
    struct strbuf buf = STRBUF_INIT;
    char wanted[400];
    bool is_good = true;
    char *text;

    for (int length = 0; length < 300; length++) {
        strbuf_reset(&buf);
        strbuf_addf(&buf, "<%*d>", length, length);
        snprintf(wanted, sizeof(wanted), "<%*d>", length, length);
        is_good &= !strcmp(buf.text, wanted) && buf.length == strlen(wanted);
    }
    tap_ok(is_good, "addf of every width");
    text = strbuf_detach(&buf);
    tap_is_str(text, wanted, "detach gives the text");
    tap_ok(buf.length == 0 && buf.text == strbuf_empty, "detach leaves the buffer empty");
    free(text);
    text = strbuf_detach(&buf);
    tap_is_str(text, "", "detach of an empty buffer is a string to free");
    free(text);
}

static void test_strbuf_reserve(void)
{
    struct strbuf buf = STRBUF_INIT;
    char *before;

    strbuf_add_text(&buf, "ab");
    strbuf_reserve(&buf, 1000);
    before = buf.text;
    for (int i = 0; i < 1000; i++)
        strbuf_add_char(&buf, 'x');
    tap_ok(buf.text == before, "reserved room is enough: the text does not move");
    tap_ok(strncmp(buf.text, "abxxx", 5) == 0, "reserve keeps the text");
    strbuf_deinit(&buf);
}

static void test_strbuf_file(void)
{
    char path[] = "/tmp/test_base.XXXXXX";
    cleanup(cleanup_close) int fd = mkstemp(path);
    struct strbuf buf = STRBUF_INIT;
    char bytes[100000];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i % 251);
    tap_ok(write(fd, bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes), "a file of 100000 bytes");
    strbuf_add_text(&buf, "head");
    tap_is_num(strbuf_add_file(&buf, path, 1 << 20), 0, "add_file");
    tap_ok(buf.length == 4 + sizeof(bytes) && !memcmp(buf.text + 4, bytes, sizeof(bytes)) &&
               buf.text[buf.length] == '\0',
           "the whole file is appended");
    strbuf_reset(&buf);
    tap_is_num(strbuf_add_file(&buf, path, 70000), 0, "add_file with a limit");
    tap_is_num((long long)buf.length, 70000, "the limit holds");
    strbuf_reset(&buf);
    unlink(path);
    tap_is_num(strbuf_add_file(&buf, path, 10), -ENOENT, "no such file");
    tap_is_num(strbuf_add_file(&buf, "/proc", 10), -EISDIR, "a folder");
    tap_is_num((long long)buf.length, 0, "nothing is appended on failure");
    strbuf_deinit(&buf);
}

/* ---- table ----------------------------------------------------------------------------------- */

struct keys {
    const int *values;
};

static size_t asked;

static bool is_key(const void *context, uint32_t index, const void *key)
{
    asked++;
    return ((const struct keys *)context)->values[index] == *(const int *)key;
}

#define COUNT 3000

/* Adds 0..COUNT-1 with hash `value % groups`, and looks for each value after each tenth step. */
static void check_table(uint64_t groups, const char *what)
{
    struct table table = TABLE_INIT;
    int values[COUNT];
    struct keys keys = {values};
    bool is_good = true;

    for (int i = 0; i < COUNT; i++) {
        values[i] = 3 * i;
        is_good &=
            table_find(&table, (uint64_t)i % groups, is_key, &keys, &values[i]) == TABLE_NONE;
        table_add(&table, (uint64_t)i % groups, (uint32_t)i);
        for (int j = 0; j <= i && i % 500 == 0; j++)
            is_good &=
                table_find(&table, (uint64_t)j % groups, is_key, &keys, &values[j]) == (uint32_t)j;
    }
    for (int i = 0; i < COUNT; i++) {
        int other = values[i] + 1;

        is_good &=
            table_find(&table, (uint64_t)i % groups, is_key, &keys, &values[i]) == (uint32_t)i;
        is_good &= table_find(&table, (uint64_t)i % groups, is_key, &keys, &other) == TABLE_NONE;
    }
    tap_ok(is_good && table.used == COUNT, "table: %s", what);
    tap_ok(table.used <= (table.mask + 1) * 3 / 4 + 1, "table: a quarter stays free (%s)", what);
    table_clear(&table);
    tap_ok(table.used == 0 && table_find(&table, 0, is_key, &keys, &values[0]) == TABLE_NONE,
           "table: clear forgets (%s)", what);
    table_add(&table, 5, 7);
    tap_is_num(table_find(&table, 5, is_key, &keys, &values[7]), 7, "table: usable after clear");
    table_deinit(&table);
}

static void test_table(void)
{
    struct table table = TABLE_INIT;
    const int zero = 0;
    struct keys keys = {&zero};

    tap_is_num(table_find(&table, 1, is_key, &keys, &zero), TABLE_NONE, "find in an empty table");
    table_clear(&table);
    table_deinit(&table);
    check_table(UINT64_MAX, "distinct hashes");
    /* Looks for those before 0, 500, ...; for each value and another of its hash; one after clear.
     */
    tap_is_num((long long)asked, 6 + 500 * 15 + 2 * COUNT + 1, "only equal hashes are compared");
    check_table(1, "one hash for all");
    check_table(13, "13 hashes");
    table_add(&table, UINT64_MAX, 0); /* the last slot: probing wraps around */
    table_add(&table, UINT64_MAX, 1);
    tap_is_num(table_find(&table, UINT64_MAX, is_key, &keys, &zero), 0, "table: hash of all ones");
    table_deinit(&table);
}

static void test_hash(void)
{
    char text[] = "abc";
    uint64_t low = 0;

    tap_ok(hash_bytes("abc", 3) == hash_bytes(text, 3), "hash_bytes depends on the bytes only");
    tap_ok(hash_bytes("a\0b", 3) != hash_bytes("a\0c", 3), "hash_bytes sees beyond a NUL");
    tap_ok(hash_bytes("", 0) != hash_bytes("\0", 1), "hash_bytes sees the length");
    tap_ok(hash_mix(1, 2) != hash_mix(2, 1), "hash_mix depends on the order");
    for (uint64_t i = 0; i < 64; i++)
        low |= 1ull << (hash_mix(i << 32, 0) & 63);
    tap_ok(__builtin_popcountll(low) > 30, "hash_mix: high bits reach the low ones");
}

/* ---- vec, errors, clock ---------------------------------------------------------------------- */

static void test_vec(void)
{
    VEC(int) numbers = VEC_INIT;
    long sum = 0;
    int *before;

    vec_each (item, &numbers)
        sum += *item;
    tap_is_num(sum, 0, "vec_each of nothing");
    for (int i = 0; i < 10000; i++)
        vec_push(&numbers, i);
    vec_each (item, &numbers)
        sum += *item;
    tap_is_num(sum, 10000L * 9999 / 2, "vec keeps 10000 numbers");
    vec_reset(&numbers);
    before = numbers.items;
    vec_reserve(&numbers, 10000);
    tap_ok(numbers.length == 0 && numbers.items == before, "vec_reset keeps the room");
    vec_reserve(&numbers, 100000);
    tap_ok(numbers.capacity >= 100000, "vec_reserve makes room");
    vec_deinit(&numbers);
    tap_ok(!numbers.items && numbers.length == 0 && numbers.capacity == 0, "vec_deinit");
}

static void test_error_codes(void)
{
    static const struct {
        int number;
        enum err code;
    } rows[] = {{EPERM, ERR_PERMISSION}, {EACCES, ERR_PERMISSION},
                {ESRCH, ERR_GONE},       {ENOENT, ERR_NOT_FOUND},
                {EIO, ERR_IO},           {ENOSPC, ERR_IO},
                {EISDIR, ERR_IO}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct error why = ERROR_INIT;
        char wanted[200];

        snprintf(wanted, sizeof(wanted), "cannot open 7: %s", strerror(rows[i].number));
        tap_is_num(error_set_errno(&why, rows[i].number, "cannot open %d", 7), rows[i].code,
                   strerror(rows[i].number));
        tap_is_str(why.message, wanted, "its sentence");
        tap_is_num(why.code, rows[i].code, "its code is kept");
        tap_is_num(error_set_errno(NULL, rows[i].number, "x"), rows[i].code, "without a place");
    }
}

static void test_error_length(void)
{
    struct error why = ERROR_INIT;
    char text[2000];

    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    tap_is_num(error_set(&why, ERR_TORN, "%s", text), ERR_TORN, "error_set returns its code");
    tap_is_num((long long)strlen(why.message), sizeof(why.message) - 1, "a long sentence is cut");
    error_set_errno(&why, ENOENT, "%s", text);
    tap_is_num((long long)strlen(why.message), sizeof(why.message) - 1, "with errno as well");
    tap_is_num(error_set(NULL, ERR_IO, "x"), ERR_IO, "no place for the sentence");
}

static void test_clock(void)
{
    struct timespec spec = clock_timespec(3 * NS_PER_SECOND + 5);
    struct rng a = {42}, b = {42};
    uint64_t before = clock_now(), wall = clock_wall();

    tap_ok(spec.tv_sec == 3 && spec.tv_nsec == 5, "clock_timespec");
    tap_ok(clock_now() >= before, "the clock does not go back");
    tap_ok(wall / NS_PER_SECOND - (uint64_t)time(NULL) + 2 < 4, "clock_wall is the time of day");
    tap_ok(rng_next(&a) == rng_next(&b) && rng_next(&a) != rng_next(&b) + 1 &&
               rng_next(&a) != rng_next(&a),
           "the generator repeats by its state and moves on");
}

int main(void)
{
    test_strbuf_empty();
    test_strbuf_growth();
    test_strbuf_format();
    test_strbuf_reserve();
    test_strbuf_file();
    test_table();
    test_hash();
    test_vec();
    test_error_codes();
    test_error_length();
    test_clock();
    return tap_done();
}
