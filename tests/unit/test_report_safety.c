/* SPDX-License-Identifier: MIT */
/* output/report.h: source text, and recordings that mean no good. */
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "pspy/base/utf8.h"
#include "unit/made_report.h"

/* ---- source text -------------------------------------------------------------------------------
 */

static char *source_report(const char *path, uint64_t start)
{
    begin_profile();
    profile.facts.start_wall = start;
    add(push(STACK_EMPTY, (struct made_frame){FRAME_PYTHON, "f", path, 2}), 5, RUNS);
    return text_of((struct report_options){.top = 0});
}

static void test_source(void)
{
    static const char *const names[] = {"secret",    "pipe.py",   "gone.py",     "huge.py",
                                        "folder.py", "/dev/zero", "relative.py", "binary.py"};
    uint64_t wall = clock_wall();
    cleanup(cleanup_free) char *now_text = source_report(in_room("model.py"), wall);
    cleanup(cleanup_free) char *old_text =
        source_report(in_room("model.py"), wall - 3600 * NS_PER_SECOND);
    int fd;

    has(now_text, "\n                     second = 2\n", "source text");
    has(old_text, "\n                     [changed since] second = 2\n",
        "of a file that is newer than the recording");
    put("secret", "first\nsecond\n");
    put("script", "#!/usr/bin/python\nscript\n");
    put("binary.py", "first\n");
    mkfifo(in_room("pipe.py"), 0600);
    mkdir(in_room("folder.py"), 0755);
    put("huge.py", "first\nsecond\n");
    fd = open(in_room("huge.py"), O_WRONLY);
    tap_ok(ftruncate(fd, (off_t)10 << 30) == 0, "a file of 10 GB");
    close(fd);
    for (size_t i = 0; i < 8; i++) {
        bool is_path = names[i][0] == '/' || i == 6;
        cleanup(cleanup_free) char *text =
            source_report(is_path ? names[i] : in_room(names[i]), wall);

        has_not(text, "\n                     ", names[i]);
    }
    {
        cleanup(cleanup_free) char *text = source_report(in_room("script"), wall);

        has(text, "\n                     script\n", "a script without a suffix");
    }
}

/* ---- hostile text ------------------------------------------------------------------------------
 */

static bool has_control(const char *text)
{
    while (*text) {
        uint32_t code = utf8_next(&text);

        if ((code < 0x20 && code != '\n') || (code >= 0x7f && code < 0xa0) || code == 0x202e)
            return true;
    }
    return false;
}

static void make_hostile(void)
{
    begin_profile();
    profile.facts.title = profile_string(&profile, "x\n# y\033]0;z\a <img src=q>");
    profile.threads.items[0].name = profile_string(&profile, "t\033[2J|t");
    put("hostile.py", "first\na | b ``c`` \033[31m <b> \xe2\x80\xae \xff\n");
    add(push(STACK_EMPTY, (struct made_frame){FRAME_PYTHON, "f|g`\\|\033[1m\xc2\x9b<script>\n```\n",
                                              in_room("hostile.py"), 2}),
        5, RUNS);
    add(push(STACK_EMPTY,
             (struct made_frame){FRAME_PYTHON, "[a](javascript:b)\xff", "/\nh|.py", 1}),
        5, (struct sample){.state = STATE_GIL});
}

static void test_hostile(void)
{
    cleanup(cleanup_free) char *text = NULL, *markdown = NULL;
    cJSON *json;

    make_hostile();
    text = text_of((struct report_options){.top = 0});
    tap_ok(!has_control(text), "no control characters in text");
    make_hostile();
    markdown = text_of((struct report_options){.format = REPORT_MARKDOWN});
    tap_ok(!has_control(markdown), "nor in Markdown");
    has(markdown, "| ```` f\\|g`", "pipes are escaped, backticks are between more of them");
    has(markdown, "|g`\\ \\|", "a backslash does not turn that around");
    has(markdown, "\\<img src=q\\>", "no HTML in the title");
    has_not(markdown, "\n# y", "no headings");
    has(markdown, "``` a \\| b ``c`` ", "so is source text");
    make_hostile();
    json = json_of((struct report_options){.top = 0});
    tap_is_str(text_at(item_at(json, "lines", 0), "function"),
               "f|g`\\|\033[1m\xc2\x9b<script>\n```\n", "JSON keeps names as they are");
    cJSON_Delete(json);
}

int main(void)
{
    begin_room();
    test_source();
    test_hostile();
    return end_room();
}
