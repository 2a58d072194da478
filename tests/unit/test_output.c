/* SPDX-License-Identifier: MIT */
/* sink.h (files, links, pipes, errors, gzip), format.h (the registry), and the bytes of raw and
 * JSON. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "pspy/base/strbuf.h"
#include "pspy/base/xmalloc.h"
#include "pspy/output/format.h"
#include "pspy/profile/profile.h"
#include "unit/tap.h"

static char room[] = "/tmp/pspy-test-output-XXXXXX";

/* A path in the test's own directory; valid until the fourth call from now. */
static const char *in_room(const char *name)
{
    static char paths[4][256];
    static int next;

    next = (next + 1) % 4;
    snprintf(paths[next], sizeof(paths[next]), "%s/%s", room, name);
    return paths[next];
}

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || close(fd))
        tap_ok(false, "cannot prepare a file");
}

static void is_file(const char *path, const char *wanted, const char *what)
{
    struct strbuf text = STRBUF_INIT;

    if (strbuf_add_file(&text, path, 1 << 20))
        strbuf_add_text(&text, "(unreadable)");
    tap_is_str(text.text, wanted, what);
    strbuf_deinit(&text);
}

static long mode_of(const char *path)
{
    struct stat info;

    return stat(path, &info) ? -1 : (long)(info.st_mode & 07777);
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* Writes "new" through a sink; the message of what went wrong, or "". */
static const char *write_new(const char *path)
{
    static struct error why;
    struct sink *sink;

    why = (struct error)ERROR_INIT;
    if (sink_open(path, false, &sink, &why))
        return why.message;
    sink_text(sink, "new");
    sink_commit(sink, &why);
    return why.message;
}

/* ---- files -------------------------------------------------------------------------------------
 */

static void test_new_file(void)
{
    const char *path = in_room("new.svg");
    struct sink *sink;
    char temporary[256];

    umask(027);
    tap_is_num(sink_open(path, false, &sink, NULL), ERR_OK, "a new file opens");
    tap_ok(!exists(path), "nothing stands under its name yet");
    snprintf(temporary, sizeof(temporary), "%s", sink_temporary_path(sink));
    tap_ok(exists(temporary), "the temporary file does");
    sink_addf(sink, "%d%s", 4, "2");
    tap_is_num(sink_commit(sink, NULL), ERR_OK, "commit");
    is_file(path, "42", "the file is whole");
    tap_ok(!exists(temporary), "the temporary file is gone");
    tap_is_num(mode_of(path), 0640, "the mode is the umask's");
    umask(022);
}

static void test_replace(void)
{
    const char *path = in_room("old.svg");

    put(path, "old and longer");
    chmod(path, 0604);
    tap_is_str(write_new(path), "", "an old file is replaced");
    is_file(path, "new", "by the new content");
    tap_is_num(mode_of(path), 0604, "and keeps its mode");
}

static void test_abort(void)
{
    const char *path = in_room("kept.svg");
    char temporary[256];
    struct sink *sink;

    put(path, "old");
    sink_open(path, false, &sink, NULL);
    snprintf(temporary, sizeof(temporary), "%s", sink_temporary_path(sink));
    sink_text(sink, "half");
    sink_abort(sink);
    sink_abort(NULL);
    is_file(path, "old", "after an abort the old file is untouched");
    tap_ok(!exists(temporary), "and no temporary file is left");
}

static void test_links(void)
{
    struct stat info;

    mkdir(in_room("far"), 0755);
    put(in_room("far/target.svg"), "old");
    tap_ok(!symlink("far/target.svg", in_room("link.svg")), "a link");
    tap_is_str(write_new(in_room("link.svg")), "", "is followed");
    is_file(in_room("far/target.svg"), "new", "to its target");
    tap_ok(!lstat(in_room("link.svg"), &info) && S_ISLNK(info.st_mode), "and stays a link");
    tap_ok(!symlink("far/nothing.svg", in_room("dangling.svg")), "a dangling link");
    tap_is_str(write_new(in_room("dangling.svg")), "", "is followed");
    is_file(in_room("far/nothing.svg"), "new", "and its target made");
}

/* ---- what is no regular file -------------------------------------------------------------------
 */

static void test_fifo(void)
{
    const char *path = in_room("fifo");
    char got[16] = "";
    pid_t child;
    int fd;

    mkfifo(path, 0600);
    child = fork();
    if (child == 0)
        _exit(*write_new(path) ? 1 : 0);
    fd = open(path, O_RDONLY);
    tap_is_num(read(fd, got, sizeof(got) - 1), 3, "a FIFO is written in place");
    tap_is_str(got, "new", "with the content");
    close(fd);
    waitpid(child, NULL, 0);
}

static void test_descriptor(void)
{
    char path[32], got[16] = "";
    int ends[2];

    if (pipe(ends))
        return;
    snprintf(path, sizeof(path), "/dev/fd/%d", ends[1]);
    tap_is_str(write_new(path), "", "/dev/fd/N is that descriptor");
    tap_is_num(read(ends[0], got, sizeof(got) - 1), 3, "written to");
    tap_ok(fcntl(ends[1], F_GETFD) >= 0, "and left open");
    close(ends[0]);
    tap_ok(strstr(write_new(path), "closed it before") != NULL, "a reader gone is said");
    close(ends[1]);
    tap_is_str(write_new("/dev/null"), "", "/dev/null takes all");
}

/* ---- errors ------------------------------------------------------------------------------------
 */

static void has_error(const char *path, const char *what, const char *remedy)
{
    const char *message = write_new(path);

    tap_ok(strstr(message, what) && strstr(message, remedy), "error: %s", message);
}

static void test_errors(void)
{
    has_error(in_room("none/x.svg"), "no directory", "create it first");
    has_error(room, "is a directory", "name a file");
    has_error("", "empty", "give -o a file name");
    has_error("/dev/full", "No space left", "free some space");
    put(in_room("file"), "");
    has_error(in_room("file/x.svg"), "no directory", "create it first");
}

/* Root passes every permission check: the check runs as nobody. */
static void test_permission(void)
{
    int status = 0;
    pid_t child;

    mkdir(in_room("closed"), 0755);
    put(in_room("readonly.svg"), "old");
    put(in_room("closed/own.svg"), "old and longer");
    chmod(in_room("readonly.svg"), 0444);
    chmod(in_room("closed/own.svg"), 0666);
    chmod(room, 0755);
    child = fork();
    if (child == 0) {
        if (geteuid() == 0 && setuid(65534))
            _exit(8);
        if (geteuid() != 65534)
            chmod(in_room("closed"), 0555);
        status |= strstr(write_new(in_room("closed/x.svg")), "may write") ? 0 : 1;
        status |= strstr(write_new(in_room("readonly.svg")), "may write") ? 0 : 2;
        status |= *write_new(in_room("closed/own.svg")) ? 4 : 0;
        _exit(status);
    }
    waitpid(child, &status, 0);
    tap_ok(!(status & 0x100), "a directory without permission is an error");
    tap_ok(!(status & 0x200), "a file without permission is an error");
    tap_ok(!(status & 0x400), "a writable file in such a directory is written in place");
    is_file(in_room("closed/own.svg"), "new", "and its old end cut");
    chmod(in_room("closed"), 0755);
}

static void test_chown(void)
{
    struct sink *sink;
    struct stat info;

    if (geteuid() != 0) {
        tap_ok(true, "a new file is given away # SKIP needs root");
        return;
    }
    put(in_room("roots.svg"), "");
    for (int i = 0; i < 2; i++) {
        const char *path = in_room(i ? "users.svg" : "roots.svg");

        sink_open(path, false, &sink, NULL);
        tap_is_num(sink_chown(sink, 65534, 65534, NULL), ERR_OK, "chown");
        sink_commit(sink, NULL);
        stat(path, &info);
        tap_is_num(info.st_uid, i ? 65534 : 0,
                   i ? "a new file changes hands" : "an old one does not");
    }
}

/* ---- gzip --------------------------------------------------------------------------------------
 */

static void test_gzip(void)
{
    size_t size = 300000, got;
    char *wanted = xmalloc(size), *back = xmalloc(size + 1);
    struct sink *sink;
    gzFile file;

    for (size_t i = 0; i < size; i++)
        wanted[i] = (char)(i * i >> 7);
    sink_open(in_room("x.gz"), true, &sink, NULL);
    for (size_t at = 0; at < size; at += 7)
        sink_write(sink, wanted + at, size - at < 7 ? size - at : 7);
    tap_is_num(sink_commit(sink, NULL), ERR_OK, "a compressed file");
    file = gzopen(in_room("x.gz"), "rb");
    got = (size_t)gzread(file, back, (unsigned)size + 1);
    gzclose(file);
    tap_ok(got == size && !memcmp(back, wanted, size), "is the same when unpacked");
    sink_open(in_room("empty.gz"), true, &sink, NULL);
    sink_commit(sink, NULL);
    file = gzopen(in_room("empty.gz"), "rb");
    tap_is_num(gzread(file, back, 8), 0, "an empty one is valid");
    tap_ok(!gzdirect(file), "and compressed");
    gzclose(file);
    free(wanted);
    free(back);
}

/* ---- formats -----------------------------------------------------------------------------------
 */

static void is_format(const char *path, const char *wanted, bool wanted_gzip)
{
    bool gzip = !wanted_gzip;
    const struct output_format *format = output_format_by_path(path, &gzip);

    tap_ok(!strcmp(format ? format->name : "none", wanted) && gzip == wanted_gzip, "%s: %s", path,
           wanted);
}

static void test_formats(void)
{
    is_format("a.svg", "flamegraph", false);
    is_format("a.SVG", "flamegraph", false);
    is_format("a.svg.gz", "flamegraph", true);
    is_format("a.speedscope.json", "speedscope", false);
    is_format("dir.svg/a.json", "speedscope", false);
    is_format("a.json.gz", "speedscope", true);
    is_format("a.txt", "raw", false);
    is_format("a.folded", "raw", false);
    is_format("a.folded.gz", "raw", true);
    is_format("a", "none", false);
    is_format("-", "none", false);
    is_format("a.gz", "none", true);
    is_format("a.pdf", "none", false);
    tap_ok(output_format_by_name("SpeedScope") != NULL, "names ignore case");
    tap_ok(output_format_by_name("speed") == NULL, "names are not guessed");
    for (const struct output_format *format = output_formats; format->name; format++)
        tap_ok(*format->suffix && *format->what && *format->hint &&
                   (format->write || !strcmp(format->name, "pspy")),
               "the row of %s is complete", format->name);
}

static void write_as(const struct profile *profile, const char *format, const char *path)
{
    struct view_options all = {.native_all = true};
    struct view view;
    struct output_options options = {0};
    struct error why = ERROR_INIT;
    struct sink *sink;

    view_init(&view, profile, &all);
    view_update(&view);
    if (sink_open(path, false, &sink, &why) ||
        output_format_by_name(format)->write(&view, &options, sink, &why) ||
        sink_commit(sink, &why))
        tap_ok(false, "writing failed: %s", why.message);
    view_deinit(&view);
}

static void test_raw(void)
{
    struct profile profile;
    static const char *const names[] = {"b;\n", "a", "b:\t", "c\xff", "\x01"};
    uint32_t thread;

    profile_init(&profile);
    thread = profile_add_thread(&profile, profile_add_process(&profile, 1), 1);
    for (size_t i = 0; i < 5; i++) {
        struct frame_info info = {.kind = FRAME_PYTHON, .name = profile_string(&profile, names[i])};
        stack_id stack = profile_stack(&profile, STACK_EMPTY, profile_frame(&profile, &info));
        struct sample sample = {.weight = 1, .thread = thread, .stack = stack};

        profile_add_sample(&profile, &sample);
        sample.stack = profile_stack(&profile, stack, profile_frame(&profile, &info));
        profile_add_sample(&profile, &sample);
    }
    write_as(&profile, "raw", in_room("x.txt"));
    is_file(in_room("x.txt"),
            "  1\n ;  1\na 1\na;a 1\nb:  2\nb: ;b:  2\nc\xef\xbf\xbd "
            "1\nc\xef\xbf\xbd;c\xef\xbf\xbd 1\n",
            "raw: sorted, cleaned, lines that became alike are one");
    profile_deinit(&profile);
}

static void test_empty(void)
{
    struct profile profile;

    profile_init(&profile);
    profile.facts.duration = 1000;
    write_as(&profile, "raw", in_room("empty.txt"));
    is_file(in_room("empty.txt"), "", "raw: an empty profile is an empty file");
    write_as(&profile, "chrometrace", in_room("empty.json"));
    is_file(in_room("empty.json"),
            "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"command\":\"\",\"exporter\":"
            "\"pspy@" PSPY_VERSION "\"},\n\"traceEvents\":[]}\n",
            "chrometrace: an empty profile");
    profile_deinit(&profile);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info;
    (void)kind;
    (void)walk;
    return remove(path);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    if (!mkdtemp(room))
        return 1;
    test_new_file();
    test_replace();
    test_abort();
    test_links();
    test_fifo();
    test_descriptor();
    test_errors();
    test_permission();
    test_chown();
    test_gzip();
    test_formats();
    test_raw();
    test_empty();
    nftw(room, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return tap_done();
}
