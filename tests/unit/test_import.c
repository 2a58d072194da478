/* SPDX-License-Identifier: MIT */
/* import.h: files of every dialect, small and written by hand, and what they must be. */
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "pspy/base/cleanup.h"
#include "pspy/profile/recording.h"
#include "unit/import_rows.h"
#include "unit/tap.h"

/* What profile_import made of some bytes. */
struct result {
    struct profile profile;
    struct strbuf rows, warning;
    struct error why;
    enum err code;
};

static void result_deinit(struct result *result)
{
    profile_deinit(&result->profile);
    strbuf_deinit(&result->rows);
    strbuf_deinit(&result->warning);
}

static void read_path(const char *path, struct result *ret)
{
    *ret = (struct result){.rows = STRBUF_INIT, .warning = STRBUF_INIT, .why = ERROR_INIT};
    profile_init(&ret->profile);
    ret->code = profile_import(path, &ret->profile, &ret->warning, &ret->why);
    if (!ret->code)
        add_rows(&ret->profile, &ret->rows);
}

static void read_bytes(const void *bytes, size_t length, struct result *ret)
{
    char path[] = "/tmp/test_import_XXXXXX";
    int fd = mkstemp(path);

    if (fd < 0 || write(fd, bytes, length) != (ssize_t)length)
        abort();
    close(fd);
    read_path(path, ret);
    unlink(path);
}

static void pack(const void *bytes, size_t length, struct strbuf *ret)
{
    z_stream stream = {.zalloc = NULL};
    unsigned char room[4096];

    if (deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        abort();
    stream.next_in = (unsigned char *)(uintptr_t)bytes;
    stream.avail_in = (uInt)length;
    do {
        stream.next_out = room;
        stream.avail_out = sizeof(room);
        deflate(&stream, Z_FINISH);
        strbuf_add(ret, room, sizeof(room) - stream.avail_out);
    } while (!stream.avail_out);
    deflateEnd(&stream);
}

/* The file's bytes, as such and packed, are these samples. */
static void reads_n(const char *bytes, size_t length, const char *rows, const char *what)
{
    cleanup(strbuf_deinit) struct strbuf packed = STRBUF_INIT;
    struct result result;

    read_bytes(bytes, length, &result);
    tap_is_str(result.code ? result.why.message : result.rows.text, rows, what);
    result_deinit(&result);
    pack(bytes, length, &packed);
    read_bytes(packed.text, packed.length, &result);
    tap_ok(!strcmp(result.rows.text, rows), "%s; packed", what);
    result_deinit(&result);
}

static void reads(const char *text, const char *rows, const char *what)
{
    reads_n(text, strlen(text), rows, what);
}

/* The file is refused with a sentence that has these words. */
static void refuses_n(const char *bytes, size_t length, const char *words, const char *what)
{
    struct result result;

    read_bytes(bytes, length, &result);
    tap_ok(result.code && result.code == result.why.code && strstr(result.why.message, words) &&
               !strchr(result.why.message, '\n'),
           "%s # %s", what, result.why.message);
    result_deinit(&result);
}

static void refuses(const char *text, const char *words, const char *what)
{
    refuses_n(text, strlen(text), words, what);
}

/* ---- folded stacks -----------------------------------------------------------------------------
 */

static void test_python_stacks(void)
{
    reads("<module> (app.py:9);main (app.py:6);loads (json/__init__.py:346) 42\n"
          "<module> (app.py:9) 1\n",
          "0 42 0:\"\"/0:\"\": <module><python> (app.py|app.py:9); main<python> (app.py|app.py:6); "
          "loads<python> (json/__init__.py|json/__init__.py:346)\n"
          "0 1 0:\"\"/0:\"\": <module><python> (app.py|app.py:9)\n",
          "stacks of Python");
    reads("a (b.py:1);b (b.py:2) 3\na (b.py:1);b (b.py:2) 4\n",
          "0 7 0:\"\"/0:\"\": a<python> (b.py|b.py:1); b<python> (b.py|b.py:2)\n",
          "equal stacks are one sample");
    reads("f (/usr/lib/python3.11/json/decoder.py:1);g (/x/lib/python3.11/site-packages/n/c.py:2);"
          "h (<frozen importlib._bootstrap>:3);i (<string>:4) 5",
          "0 5 0:\"\"/0:\"\": f<stdlib> (/usr/lib/python3.11/json/decoder.py|json/decoder.py:1); "
          "g<site> (/x/lib/python3.11/site-packages/n/c.py|n/c.py:2); "
          "h<stdlib> (<frozen importlib._bootstrap>|<frozen importlib._bootstrap>:3); "
          "i<python> (<string>|<string>:4)\n",
          "kinds of Python code, and no newline at the end");
    reads("f (a (b).py:3:17);operator() (int);g (libx.so.2);PyEval (python3.11) 1\n",
          "0 1 0:\"\"/0:\"\": f<python> (a (b).py|a (b).py:3:17); operator() (int)<native>; "
          "g<native> (libx.so.2|libx.so.2|module); PyEval<interp> (python3.11|python3.11|module)\n",
          "brackets in files and in names; files of native code");
    reads("<GC>;[running in read];[waiting in poll];[waiting];[frames left out];[libc.so.6] 1\n",
          "0 1 0:\"\"/0:\"\": <GC><marker>; [running in read]<system>; [waiting in poll]<waiting>; "
          "[waiting]<waiting>; [frames left out]<marker>; [libc.so.6]<native>\n",
          "markers");
}

static void test_roots(void)
{
    struct result result;
    const char *text = "process 9:\"python3 a.py\";thread (9): Main;f (a.py:1) 1\n"
                       "process 9:\"python3 a.py\";process 10:\"sh -c \"x: y\"\";g (b.py:2) 2\n"
                       "process 9:\"python3 a.py\";thread (11);thread (0x7F0A): pool;h 3\n"
                       "process 9:\"python3 a.py\";thread (9): Main 4\n";

    reads(text,
          "0 1 9:\"python3 a.py\"/9:\"Main\": f<python> (a.py|a.py:1)\n"
          "0 2 10:\"sh -c \"x: y\"\"/0:\"\": g<python> (b.py|b.py:2)\n"
          "0 3 9:\"python3 a.py\"/0:\"pool\": h<native>\n"
          "0 4 9:\"python3 a.py\"/9:\"Main\": \n",
          "processes and threads at the root");
    read_bytes(text, strlen(text), &result);
    tap_is_num((long long)result.profile.processes.length, 2, "a process is there once");
    tap_is_num((long long)result.profile.programs.length, 2, "a program, too");
    tap_is_num(result.profile.programs.items[1].parent, 0,
               "the second one is the first one's child");
    tap_ok(result.profile.facts.subprocesses && result.profile.facts.is_counted &&
               result.profile.facts.saw_python && result.profile.facts.has_no_states &&
               !result.profile.facts.duration,
           "facts of folded stacks");
    tap_ok(!strncmp(profile_text(&result.profile, result.profile.facts.title), "test_import_", 12),
           "the title is the file's name");
    tap_is_num((long long)result.profile.settled, 4, "all samples are settled");
    result_deinit(&result);
    reads("thread (0x7F0B);f 1\nthread (0);f 2\n",
          "0 1 0:\"\"/0:\"thread (0x7F0B)\": f<native>\n0 2 0:\"\"/0:\"\": f<native>\n",
          "a thread without a name, and one without a number of the kernel's");
    reads("rank 3, process 7 on node1:\"solver\";f (a.py:1) 2\n"
          "rank 4, process 7 on node2:\"solver\";f (a.py:1) 2\n",
          "0 2 7:\"solver\"/0:\"\": f<python> (a.py|a.py:1)\n"
          "0 2 7:\"solver\"/0:\"\": f<python> (a.py|a.py:1)\n",
          "ranks are processes");
    reads("process x:\"a\";thread (x);a;thread (3) 1\n",
          "0 1 0:\"\"/0:\"\": process x:\"a\"<native>; thread (x)<native>; a<native>; "
          "thread (3)<native>\n",
          "what only looks like a root, and one in the middle, is a frame");
}

static void test_perf(void)
{
    reads("python3-20/21;_start;main_[i];sys_read_[k];jitted_[j] 12\npython3;[unknown];f 3\n",
          "0 12 20:\"\"/21:\"python3\": _start<native>; main<native,inlined>; sys_read<system>; "
          "jitted<native>\n"
          "0 3 0:\"\"/0:\"\": python3<native>; [unknown]<marker>; f<native>\n",
          "stackcollapse-perf");
}

static void test_austin(void)
{
    const char *text = "# austin: 3.7.0\n# interval: 20000\n# mode: wall\n\n"
                       "P12;T0:12 100\n"
                       "P12;T0:12;/srv/a.py:<module>:3;/srv/b.py:f:12 200\n"
                       "P12;T0:13;<frozen threading>:run:5 200\n"
                       "P12;T0:12;/srv/a.py:<module>:3;:GC: 200\n"
                       "P12;T0x7f01;/srv/a.py:C.m:4 50\n"
                       "\n# duration: 600\n";
    struct result result;

    reads(text,
          "300000 200000 12:\"\"/12:\"\": <module><python> (/srv/a.py|a.py:3); "
          "f<python> (/srv/b.py|b.py:12)\n"
          "300000 200000 12:\"\"/13:\"\": run<stdlib> (<frozen threading>|<frozen threading>:5)\n"
          "500000 200000 12:\"\"/12:\"\": <module><python> (/srv/a.py|a.py:3); <GC><marker>\n"
          "550000 50000 12:\"\"/0:\"T0x7f01\": C.m<python> (/srv/a.py|a.py:4)\n",
          "Austin's microseconds, tick by tick");
    read_bytes(text, strlen(text), &result);
    tap_is_str(profile_text(&result.profile, result.profile.facts.exporter), "austin 3.7.0",
               "Austin wrote it");
    tap_ok(!result.profile.facts.is_counted && result.profile.facts.duration == 600000 &&
               result.profile.facts.rate == 50,
           "its interval and duration");
    result_deinit(&result);
    reads("# mode: full\nP1;T0:1;/a.py:f:1 20137,0,507904\n",
          "20137000 20137000 1:\"\"/1:\"\": f<python> (/a.py|a.py:1)\n", "Austin's three numbers");
    reads("# mode: memory\nP1;T0:1;/a.py:f:1 4096\n",
          "0 4096 1:\"\"/1:\"\": f<python> (/a.py|a.py:1)\n", "Austin's bytes are a count");
    reads("P1;T0:1;/x/y.py:f:3 250\nP2;T1:2;/x/y.py:f:3 250\n",
          "250000 250000 1:\"\"/1:\"\": f<python> (/x/y.py|y.py:3)\n"
          "250000 250000 2:\"\"/2:\"\": f<python> (/x/y.py|y.py:3)\n",
          "Austin without a header, two processes");
}

static void test_odd_folded(void)
{
    struct result result;

    reads("\xef\xbb\xbf# a comment\r\n\r\n a ; b 2\r\n;;a;;b; 3 \r\n",
          "0 5 0:\"\"/0:\"\": a<native>; b<native>\n",
          "byte order mark, comment, CRLF, spaces, empty names");
    reads("12\n[no stack] 3\n ; 4\n", "0 19 0:\"\"/0:\"\": \n", "stacks without frames");
    reads("a 0\nb 1\n", "0 1 0:\"\"/0:\"\": b<native>\n", "a count of 0 is no sample");
    reads("a 1\n{\"b 2\n[{c 3\n",
          "0 1 0:\"\"/0:\"\": a<native>\n0 2 0:\"\"/0:\"\": {\"b<native>\n"
          "0 3 0:\"\"/0:\"\": [{c<native>\n",
          "brackets of JSON within folded stacks");
    reads_n("a\0b;\xff\xfe 2\n", 8,
            "0 2 0:\"\"/0:\"\": a\xe2\x90\x80"
            "b<native>; \xff\xfe<native>\n",
            "NUL and invalid UTF-8");
    read_bytes("a 1.5\nb 2.25e1\nc 3\n", 19, &result);
    tap_is_str(result.rows.text,
               "0 2 0:\"\"/0:\"\": a<native>\n0 23 0:\"\"/0:\"\": b<native>\n"
               "0 3 0:\"\"/0:\"\": c<native>\n",
               "fractions are rounded");
    tap_ok(strstr(result.warning.text, "rounded") != NULL, "and a warning says so");
    result_deinit(&result);
    refuses("a;b 12\n\na;c\n", "line 3", "a line without a number");
    refuses("a;b 12\na;c 0x10\n", "line 2", "a hexadecimal number");
    refuses("a;b 12\na;c nan\n", "line 2", "no number");
    refuses("a;b 12\na;c -3\n", "a negative number", "a negative number");
    refuses("a 9223372036854775808\n", "2^62", "a number that is too large");
    refuses("a 4000000000000000000\nb 4000000000000000000\n", "2^62", "a sum that is too large");
    refuses("P1;T1;a:b:3 1e18\n", "2^62", "a time that is too late");
}

/* ---- speedscope --------------------------------------------------------------------------------
 */

#define SCHEMA "\"$schema\":\"https://www.speedscope.app/file-format-schema.json\""
#define FRAMES                                                                                     \
    "\"shared\":{\"frames\":[{\"name\":\"main\",\"file\":\"/srv/app.py\",\"line\":3,\"col\":7},"   \
    "{\"name\":\"f\",\"file\":\"/usr/lib/libf.so\",\"line\":null,\"col\":null},"                   \
    "{\"name\":\"process 5:\\\"run \\u00e9\\ud83d\\ude00\\\"\",\"file\":\"\",\"line\":0},"         \
    "{\"name\":\"thread (6): pool\"},{\"name\":\"[waiting]\"}]}"
#define MAIN_FRAME "main<python> (/srv/app.py|app.py:3:7)"
#define F_FRAME    "f<native> (/usr/lib/libf.so|libf.so|module)"

static void test_sampled(void)
{
    struct result result;
    const char *text =
        "{" SCHEMA ",\"profiles\":["
        "{\"type\":\"sampled\",\"name\":\"Process 4 Thread 7 \\\"x y\\\"\",\"unit\":\"seconds\","
        "\"startValue\":1,\"endValue\":3,\"samples\":[[0,1],[],[0]],\"weights\":[0.25,0.5,0.25]},"
        "{\"weights\":[1.5e3],\"samples\":[[0,4]],\"startValue\":1500,\"endValue\":3000,"
        "\"unit\":\"milliseconds\",\"name\":\"Thread 8\",\"type\":\"sampled\"}],"
        "\"name\":\"run\",\"exporter\":\"py-spy@0.4.3\",\"activeProfileIndex\":null," FRAMES "}";

    reads(text,
          "250000000 250000000 4:\"\"/7:\"x y\": " MAIN_FRAME "; " F_FRAME "\n"
          "1000000000 250000000 4:\"\"/7:\"x y\": " MAIN_FRAME "\n"
          "2000000000 1500000000 0:\"\"/8:\"\": " MAIN_FRAME "; [waiting]<waiting>\n",
          "sampled: gaps, units, profiles before frames, in the order of time");
    read_bytes(text, strlen(text), &result);
    tap_is_str(profile_text(&result.profile, result.profile.facts.title), "run", "its title");
    tap_is_str(profile_text(&result.profile, result.profile.facts.exporter), "py-spy 0.4.3",
               "who wrote it");
    tap_ok(!result.profile.facts.is_counted && result.profile.facts.duration == 2000000000,
           "its duration, from the first start to the last end");
    result_deinit(&result);
    reads("{\"profiles\":[{\"type\":\"sampled\",\"name\":\"Thread 9 \\\"a\\\"\",\"unit\":"
          "\"nanoseconds\",\"samples\":[[2,0],[2,3,0],[0,2]],\"weights\":[1,2,3]}]," FRAMES "}",
          "1 1 5:\"run \xc3\xa9\xf0\x9f\x98\x80\"/9:\"a\": " MAIN_FRAME "\n"
          "3 2 5:\"run \xc3\xa9\xf0\x9f\x98\x80\"/6:\"pool\": " MAIN_FRAME "\n"
          "6 3 0:\"\"/9:\"a\": " MAIN_FRAME
          "; process 5:\"run \xc3\xa9\xf0\x9f\x98\x80\"<marker>\n",
          "roots are processes and threads");
    reads("{" FRAMES ",\"profiles\":[{\"type\":\"sampled\",\"name\":\"heap\",\"unit\":\"bytes\","
          "\"samples\":[[0],[1],[0],[]],\"weights\":[10,20,30,5]}]}",
          "0 40 0:\"\"/0:\"heap\": " MAIN_FRAME "\n0 20 0:\"\"/0:\"heap\": " F_FRAME "\n"
          "0 5 0:\"\"/0:\"heap\": \n",
          "bytes are a count");
    reads("{" FRAMES ",\"profiles\":[{\"type\":\"sampled\",\"name\":\"a\",\"unit\":\"seconds\","
          "\"samples\":[[0],[1],[0]]}]}",
          "0 2 0:\"\"/0:\"a\": " MAIN_FRAME "\n0 1 0:\"\"/0:\"a\": " F_FRAME "\n",
          "samples without weights are counted");
}

static void test_evented(void)
{
    struct result result;

    reads("{" FRAMES
          ",\"profiles\":[{\"type\":\"evented\",\"name\":\"t\",\"unit\":\"microseconds\","
          "\"startValue\":100,\"endValue\":200,\"events\":["
          "{\"type\":\"O\",\"at\":100,\"frame\":0},{\"type\":\"O\",\"at\":110,\"frame\":1},"
          "{\"type\":\"C\",\"at\":130,\"frame\":1},{\"type\":\"C\",\"at\":140,\"frame\":0},"
          "{\"type\":\"O\",\"at\":150,\"frame\":1}]}]}",
          "10000 10000 0:\"\"/0:\"t\": " MAIN_FRAME "\n"
          "30000 20000 0:\"\"/0:\"t\": " MAIN_FRAME "; " F_FRAME "\n"
          "40000 10000 0:\"\"/0:\"t\": " MAIN_FRAME "\n"
          "100000 50000 0:\"\"/0:\"t\": " F_FRAME "\n",
          "evented: a gap, and a call that does not return");
    read_bytes("{" FRAMES ",\"profiles\":[{\"unit\":\"none\",\"samples\":[[0]],\"weights\":[1]},"
               "{\"unit\":\"seconds\",\"samples\":[[0]],\"weights\":[1]}]}",
               strlen("{" FRAMES ",\"profiles\":[{\"unit\":\"none\",\"samples\":[[0]],\"weights\":"
                      "[1]},{\"unit\":\"seconds\",\"samples\":[[0]],\"weights\":[1]}]}"),
               &result);
    tap_ok(strstr(result.warning.text, "1 of the profiles") != NULL &&
               result.profile.samples.length == 1 && !result.profile.facts.is_counted,
           "of times and counts in one file the times are read # %s", result.warning.text);
    result_deinit(&result);
}

static void test_damaged_speedscope(void)
{
#define PROFILE(members) "{" FRAMES ",\n\"profiles\":[{" members "}]}"
    refuses("{\"traceEvents\":[]}", "no profile of speedscope", "other JSON");
    refuses("[{\"ph\":\"X\"}]", "'['", "an array");
    refuses(PROFILE("\"samples\":[[0,5]],\"weights\":[1]"), "frame 5", "a frame that is not there");
    refuses(PROFILE("\"samples\":[[0,-1]],\"weights\":[1]"), "line 2", "a negative frame");
    refuses(PROFILE("\"samples\":[[0.5]],\"weights\":[1]"), "line 2", "half a frame");
    refuses(PROFILE("\"samples\":[[0],[1]],\"weights\":[1]"), "2 samples, but 1 weights",
            "a weight that is missing");
    refuses(PROFILE("\"samples\":[[0]],\"weights\":[-1]"), "weights are 0 or more",
            "a negative weight");
    refuses(PROFILE("\"samples\":[[0]],\"weights\":[1e999]"), "weight", "an infinite weight");
    refuses(PROFILE("\"unit\":\"seconds\",\"samples\":[[0]],\"weights\":[1e17]"), "longer",
            "a weight of billions of years");
    refuses(PROFILE("\"startValue\":-1e300,\"samples\":[[0]],\"weights\":[1]"), "no possible time",
            "no possible start");
    refuses(PROFILE("\"name\":\"x\""), "no samples or events", "neither samples nor events");
    refuses(PROFILE("\"events\":[{\"type\":\"O\",\"at\":5,\"frame\":0},"
                    "{\"type\":\"C\",\"at\":4,\"frame\":0}]"),
            "comes before", "time runs back");
    refuses(PROFILE("\"events\":[{\"type\":\"C\",\"at\":4,\"frame\":0}]"), "not opened last",
            "a return without a call");
    refuses(PROFILE("\"events\":[{\"type\":\"O\",\"frame\":0}]"), "without a time",
            "an event without a time");
    refuses("{\"shared\":{\"frames\":[{\"file\":\"a\"}]},\"profiles\":[]}", "frame 0",
            "a frame without a name");
    refuses("{\"shared\":{\"frames\":[{\"name\":", "ends too early", "a file that was cut");
    refuses("{\"shared\":{\"frames\":[],}}", "line 1", "a comma too many");
    refuses("{\"a\":NaN}", "not valid JSON", "not a number");
    refuses("{\"a\":\x01}", "byte 0x01", "a control character");
    refuses("{\"a\":\"\\x\"}", "escape", "an unknown escape sequence");
    refuses(PROFILE("\"samples\":[],\"weights\":[]") " x", "the end of the file", "trailing text");
#undef PROFILE
    reads("{\"shared\":{\"frames\":[{\"name\":\"a\\u0000\\ud800\\ud800\\udc00z\\udc00\xff\"}]},"
          "\"profiles\":[{\"samples\":[[0]],\"weights\":[1]}]}",
          "0 1 0:\"\"/0:\"\": a\xe2\x90\x80\xef\xbf\xbd\xf0\x90\x80\x80z\xef\xbf\xbd\xff<native>\n",
          "halves of surrogates, NUL, invalid UTF-8");
}

/* ---- files -------------------------------------------------------------------------------------
 */

static void test_packing(void)
{
    cleanup(strbuf_deinit) struct strbuf packed = STRBUF_INIT, bomb = STRBUF_INIT;
    struct result result;

    pack("a;b 1\nc", 7, &packed);
    pack(" 2\na;b 3\n", 9, &packed);
    read_bytes(packed.text, packed.length, &result);
    tap_is_str(result.rows.text,
               "0 4 0:\"\"/0:\"\": a<native>; b<native>\n0 2 0:\"\"/0:\"\": c<native>\n",
               "gzip of two members");
    result_deinit(&result);
    strbuf_add(&packed, "\0\0\0", 3);
    read_bytes(packed.text, packed.length, &result);
    tap_ok(!result.code && result.profile.samples.length == 2, "zeros behind gzip's last member");
    result_deinit(&result);
    refuses_n(packed.text, packed.length - 12, "ends too early", "gzip that was cut");
    packed.text[15] ^= 0x55;
    refuses_n(packed.text, packed.length, "gzip", "gzip that is damaged");
    refuses_n("\x1f\x8b", 2, "ends too early", "gzip's first two bytes");
    pack("", 0, &bomb);
    refuses_n(bomb.text, bomb.length, "is empty", "an empty file, packed");
}

/* 128 MB of frames that no other stack has, in about 130 kB. */
static void test_bomb(void)
{
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT, packed = STRBUF_INIT;

    for (int line = 0; line < 16; line++) {
        strbuf_addf(&text, "%d", line);
        for (int frame = 0; frame < 1 << 20; frame++)
            strbuf_add(&text, ";a;b;c;d", 8);
        strbuf_add_text(&text, " 1\n");
    }
    pack(text.text, text.length, &packed);
    refuses_n(packed.text, packed.length, "gunzip it first", "folded stacks that unpack to much");
    strbuf_reset(&text);
    strbuf_reset(&packed);
    strbuf_add_text(&text, "{\"profiles\":[{\"samples\":[");
    for (int i = 0; i < 16 << 20; i++)
        strbuf_add_text(&text, "[],");
    pack(text.text, text.length, &packed);
    refuses_n(packed.text, packed.length, "gunzip it first", "samples that unpack to much");
}

static bool append(void *context, const void *bytes, size_t length)
{
    strbuf_add(context, bytes, length);
    return true;
}

static void test_recording(void)
{
    cleanup(strbuf_deinit) struct strbuf bytes = STRBUF_INIT, packed = STRBUF_INIT;
    struct recording_writer *writer = recording_writer_create(append, &bytes);
    struct result first, second;

    read_bytes("process 3:\"x\";thread (4): y;f (a.py:1) 7\n", 41, &first);
    tap_ok(recording_finish(writer, &first.profile), "a recording is written");
    recording_writer_destroy(writer);
    read_bytes(bytes.text, bytes.length, &second);
    tap_is_str(second.code ? second.why.message : second.rows.text, first.rows.text,
               "and read by its first bytes");
    result_deinit(&first);
    result_deinit(&second);
    pack(bytes.text, bytes.length, &packed);
    refuses_n(packed.text, packed.length, "gunzip it first", "a recording that gzip packed");
}

static void test_files(void)
{
    struct result result;

    refuses("", "is empty", "an empty file");
    refuses(" \n\n", "is empty", "an empty file with spaces");
    refuses("once upon a time\n", "nothing that pspy reads", "a text");
    refuses_n("\x7f\x45LF\2\1\1\0\0\0\0\0", 12, "nothing that pspy reads", "a program");
    refuses("<svg xmlns=\"x\">\n", "nothing that pspy reads", "a picture");
    read_path("/nonexistent/file", &result);
    tap_ok(result.code == ERR_NOT_FOUND && strstr(result.why.message, "/nonexistent/file"),
           "a file that is not there # %s", result.why.message);
    result_deinit(&result);
    read_path("/", &result);
    tap_ok(result.code == ERR_IO && strstr(result.why.message, "'/'"), "a folder # %s",
           result.why.message);
    result_deinit(&result);
}

/* A pipe hands over few bytes at a time. */
static void test_standard_input(void)
{
    struct result result;
    int ends[2];

    if (pipe(ends) < 0 || dup2(ends[0], STDIN_FILENO) < 0 || write(ends[1], "a;b 5\n", 6) != 6)
        abort();
    close(ends[1]);
    read_path("-", &result);
    tap_is_str(result.rows.text, "0 5 0:\"\"/0:\"\": a<native>; b<native>\n", "standard input");
    tap_is_num(result.profile.facts.title.v, 0, "which has no name to be a title");
    result_deinit(&result);
    close(ends[0]);
}

/* A line that is longer than a window, and one that lies across the end of one. */
static void test_long_lines(void)
{
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;
    struct result result;
    uint32_t depth = 0;

    for (int i = 0; i < 100000; i++)
        strbuf_addf(&text, "%sf%d (a.py:%d)", i ? ";" : "", i % 7, i % 5 + 1);
    strbuf_add_text(&text, " 2\na 3\n");
    read_bytes(text.text, text.length, &result);
    if (result.profile.samples.length)
        depth = result.profile.stacks.items[result.profile.samples.items[0].stack.v].depth;
    tap_is_num(depth, 100000, "a stack of 100,000 frames");
    tap_is_num((long long)result.profile.samples.length, 2, "and the line behind it");
    result_deinit(&result);
}

int main(void)
{
    test_python_stacks();
    test_roots();
    test_perf();
    test_austin();
    test_odd_folded();
    test_sampled();
    test_evented();
    test_damaged_speedscope();
    test_packing();
    test_bomb();
    test_recording();
    test_files();
    test_standard_input();
    test_long_lines();
    return tap_done();
}
