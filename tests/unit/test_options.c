/* SPDX-License-Identifier: MIT */
/* The option parser with a table of its own, then the tables and checks of pspy's commands. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pspy/base/cleanup.h"
#include "pspy/cli/command.h"
#include "pspy/cli/option_values.h"
#include "pspy/cli/options.h"
#include "pspy/cli/record_options.h"
#include "pspy/cli/suggest.h"
#include "pspy/cli/text.h"
#include "tap.h"

#define WORDS_MAX 16

/* tap_is_str with a formatted name; NULL is no text. */
__attribute__((format(printf, 3, 4))) static void is_text(const char *got, const char *wanted,
                                                          const char *format, ...)
{
    char what[256];
    va_list args;

    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    tap_is_str(got ? got : "(null)", wanted, what);
}

struct all_kinds {
    bool help, native, nest;
    int locals;
    const char *title, *output;
    option_list tags;
    int64_t depth;
    double rate;
    uint64_t duration;
    pid_t pid;
    const struct choice *color;
};

static const struct choice colors[] = {{"red", "warm"}, {"Blue", "cold"}, {NULL, NULL}};

static const struct option_spec all_kinds_table[] = {
    {OPTION_STOP(struct all_kinds, help), .letter = 'h', .name = "help"},
    {OPTION_FLAG(struct all_kinds, native), .letter = 'n', .name = "native"},
    {OPTION_FLAG(struct all_kinds, nest), .name = "nat"},
    {OPTION_COUNT(struct all_kinds, locals), .letter = 'l', .name = "locals"},
    {OPTION_STRING(struct all_kinds, title), .name = "title", .value_name = "TEXT"},
    {OPTION_FILE(struct all_kinds, output), .letter = 'o', .name = "output", .value_name = "FILE"},
    {OPTION_LIST(struct all_kinds, tags), .name = "tag", .value_name = "TAG"},
    {OPTION_INTEGER(struct all_kinds, depth), .name = "depth", .value_name = "N", .min = -3,
     .max = 4096},
    {OPTION_NUMBER(struct all_kinds, rate), .letter = 'r', .name = "rate", .value_name = "RATE",
     .min = 0.01, .max = 10000},
    {OPTION_DURATION(struct all_kinds, duration), .letter = 'd', .name = "duration",
     .value_name = "SECONDS"},
    {OPTION_PID(struct all_kinds, pid), .letter = 'p', .name = "pid", .value_name = "PID"},
    {OPTION_CHOICE(struct all_kinds, color), .letter = 'c', .name = "color", .value_name = "COLOR",
     .choices = colors},
    OPTIONS_END,
};

/* A command line: its words, borrowed from `text`, which is cut at blanks. */
struct words {
    char text[256];
    char *items[WORDS_MAX + 1];
    int count;
};

static void words_split(struct words *words, const char *line)
{
    char *rest = words->text, *word;

    snprintf(words->text, sizeof(words->text), "%s", line);
    words->count = 0;
    while ((word = strsep(&rest, " ")) && words->count < WORDS_MAX)
        words->items[words->count++] = word;
    words->items[words->count] = NULL;
}

static struct all_kinds values;
static struct operands operands;
static struct error why;

/* Results in the three variables above. */
static enum err parse_as(const char *line, bool stops_at_operand)
{
    static struct words words;
    const struct option_syntax syntax = {"pspy test", all_kinds_table, stops_at_operand};

    vec_deinit(&values.tags);
    memset(&values, 0, sizeof(values));
    operands = (struct operands){0, NULL};
    why = (struct error)ERROR_INIT;
    words_split(&words, line);
    return options_parse(&syntax, words.count, words.items, &values, &operands, &why);
}

static enum err parse(const char *line)
{
    return parse_as(line, true);
}

static void is_refused(const char *line, const char *sentence)
{
    bool refused = parse(line) != ERR_OK;

    tap_ok(refused && why.code != ERR_OK, "'%s' is refused", line);
    is_text(why.message, sentence, "'%s' is refused with a sentence", line);
}

static void test_spellings(void)
{
    tap_ok(!parse("x --rate 200") && values.rate == 200, "--name value");
    tap_ok(!parse("x --rate=200.5") && values.rate == 200.5, "--name=value");
    tap_ok(!parse("x --ra=3") && values.rate == 3, "a unique prefix");
    tap_ok(!parse("x --nat") && values.nest && !values.native, "a full name that begins another");
    tap_ok(!parse("x -r200") && values.rate == 200, "-r200");
    tap_ok(!parse("x -r 200") && values.rate == 200, "-r 200");
    tap_ok(!parse("x -nlr5 -l") && values.native && values.locals == 2 && values.rate == 5,
           "-nlr5 -l");
    tap_ok(!parse("x -nd 30") && values.duration == 30000000000u, "-nd 30");
    tap_ok(!parse("x -ll -l") && values.locals == 3, "a count");
    tap_ok(!parse("x -r 1 -r 2") && values.rate == 2, "the last one counts");
    tap_ok(!parse("x -h --bogus") && values.help, "--help ends parsing");
    tap_ok(!parse("x -nh --bogus") && values.help && values.native, "-nh ends parsing");
    tap_ok(!parse("x") && operands.count == 0, "no words");
}

static void test_operands(void)
{
    tap_ok(!parse("x -n python a.py -l") && operands.count == 3, "an operand ends the options");
    is_text(operands.items[2], "-l", "options behind it are operands");
    tap_ok(!operands.items[3] && !values.locals, "operands end with NULL");
    tap_ok(!parse("x -n -- -l -- b") && operands.count == 3, "-- ends the options");
    is_text(operands.items[0], "-l", "what follows -- is an operand");
    is_text(operands.items[1], "--", "a second -- is an operand");
    tap_ok(!parse_as("x a -n b -l", false) && operands.count == 2, "operands among options");
    is_text(operands.items[1], "b", "operands are gathered");
    tap_ok(values.native && values.locals == 1 && !operands.items[2], "options among operands");
    tap_ok(!parse("x -") && operands.count == 1, "- is an operand");
}

static void test_values(void)
{
    tap_ok(!parse("x -o -") && !strcmp(values.output, "-"), "- is a file");
    tap_ok(!parse("x --output=-n") && !strcmp(values.output, "-n"), "--output=-n");
    tap_ok(!parse("x --depth -3") && values.depth == -3, "an integer at its lower end");
    tap_ok(!parse("x --depth=4096") && values.depth == 4096, "an integer at its upper end");
    tap_ok(!parse("x -d .25") && values.duration == 250000000, "a fraction of a second");
    tap_ok(!parse("x -d 1.0000000019") && values.duration == 1000000001, "a tenth decimal place");
    tap_ok(!parse("x -d Unlimited") && values.duration == DURATION_UNLIMITED, "unlimited");
    tap_ok(!parse("x -p 0x1F") && values.pid == 31, "a hexadecimal pid");
    tap_ok(!parse("x -p 0012") && values.pid == 12, "a decimal pid is never octal");
    tap_ok(!parse("x -c blue") && values.color == &colors[1], "a choice in any case");
    tap_ok(!parse("x --title a=b") && !strcmp(values.title, "a=b"), "a string");
    tap_ok(!parse("x -n") && values.tags.length == 0, "a list that is not given");
    tap_ok(!parse("x --tag a=b -n --tag=c --tag c") && values.tags.length == 3, "a list");
    is_text(values.tags.items[0], "a=b", "a list begins with its first item");
    is_text(values.tags.items[2], "c", "a list ends with its last item");
}

static void test_refusals(void)
{
    static const char *const lines[] = {
        "x -r 0",
        "x -r -1",
        "x -r nan",
        "x -r 1e3",
        "x -r 10000.1",
        "x -r 1,5",
        "x -d 0",
        "x -d 1s",
        "x -d .",
        "x -d 1.2.3",
        "x -d -1",
        "x -d 99999999999",
        "x -p 0",
        "x -p -7",
        "x -p 0x",
        "x -p 12a",
        "x -p +3",
        "x -p 4294967297",
        "x --depth 1.5",
        "x --depth 5k",
        "x --depth -4",
        "x --depth 4097",
        "x --depth 99999999999999999999",
        "x -c re",
        "x --",
        "x -o",
    };

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        bool refused = parse(lines[i]) == ERR_INVALID && why.message[0];

        tap_ok(refused == (strcmp(lines[i], "x --") != 0), "'%s'", lines[i]);
    }
}

static void test_sentences(void)
{
    is_refused("x --ratte 3",
               "there is no option --ratte; did you mean --rate? 'pspy test --help' lists all");
    is_refused("x --xyz", "there is no option --xyz; 'pspy test --help' lists all");
    is_refused("x --=1", "there is no option --; 'pspy test --help' lists all");
    is_refused("x -native",
               "there is no option -a; did you mean --native? 'pspy test --help' lists all");
    is_refused("x --d 3", "--d may be any of --depth, --duration; write more of it");
    is_refused("x --rate", "--rate needs a value: --rate RATE; 'pspy test --help' explains it");
    is_refused("x -o -n", "--output needs a value, but '-n' looks like an option; if it is meant, "
                          "write --output=-n");
    is_refused("x --native=1", "--native takes no value; write it without '=1'");
    is_refused("x -r x", "--rate needs a number from 0.01 to 10000 such as 100 or 0.5, not 'x'");
    is_refused("x -c ble", "--color knows no 'ble'; did you mean 'Blue'?");
    is_refused("x -c green", "--color needs red or Blue, not 'green'");
    is_refused("x --output=", "--output has an empty value; give it a FILE");
    is_refused("x --tag a --tag=", "--tag has an empty value; give it a TAG");
}

static void test_suggestions(void)
{
    struct suggestion near;

    tap_ok(edit_distance("", "") == 0 && edit_distance("", "abc") == 3, "distance from nothing");
    tap_ok(edit_distance("format", "Fromat") == 1, "a swap is one edit, case is none");
    tap_ok(edit_distance("kitten", "sitting") == 3, "kitten and sitting");
    suggestion_init(&near, "ful-filenames");
    suggestion_consider(&near, "function");
    suggestion_consider(&near, "full-filenames");
    suggestion_consider(&near, "a-name-that-is-longer-than-any-option-of-pspy");
    is_text(near.best, "full-filenames", "the nearest name");
    suggestion_init(&near, "x");
    suggestion_consider(&near, "y");
    tap_ok(!near.best, "one wrong letter of one is not near");
}

static void test_text(void)
{
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;

    text_wrap(&text, " a  b ", 0, 4);
    is_text(text.text, "a b\n", "blanks are made even");
    strbuf_reset(&text);
    text_wrap(&text, "xxxx yy", TEXT_WIDTH - 6, 2);
    is_text(text.text, "xxxx\n  yy\n", "a word that does not fit goes to the next line");
    strbuf_reset(&text);
    text_pad(&text, 0, 3);
    strbuf_add_text(&text, "ab");
    text_pad(&text, 3, 3);
    is_text(text.text, "   ab\n   ", "no room for two blanks: a new line");
}

static void check_row(const struct command *command, const struct option_spec *spec)
{
    bool takes_value = spec->kind != OPTION_KIND_FLAG && spec->kind != OPTION_KIND_STOP &&
                       spec->kind != OPTION_KIND_COUNT;

    tap_ok(spec->help && takes_value == !!spec->value_name &&
               (spec->kind == OPTION_KIND_CHOICE) == !!spec->choices && spec->group,
           "%s --%s: the row is whole", command->name, spec->name);
    for (const struct option_spec *other = command->table; other != spec; other++)
        if (!strcmp(other->name, spec->name) || (spec->letter && other->letter == spec->letter))
            tap_ok(false, "%s: --%s and --%s share a name", command->name, spec->name, other->name);
}

static void test_tables(void)
{
    for (const struct command *const *at = commands; *at; at++) {
        for (const struct option_spec *spec = (*at)->table; spec->name; spec++)
            check_row(*at, spec);
        tap_ok((*at)->usages[0] && (*at)->description[0] && (*at)->run && (*at)->summary,
               "%s: the command is whole", (*at)->name);
    }
}

static void test_formats(void)
{
    const struct option_spec *spec = cmd_record.table;
    size_t i = 0;

    while (strcmp(spec->name, "format") != 0)
        spec++;
    for (; output_formats[i].name && spec->choices[i].name; i++)
        is_text(spec->choices[i].name, output_formats[i].name, "-f names format %zu", i);
    tap_ok(!output_formats[i].name && !spec->choices[i].name, "-f names all formats");
}

static void test_commands(void)
{
    const struct command *found = NULL;

    tap_ok(!command_find("record", &found, &why) && found == &cmd_record, "record");
    tap_ok(!command_find("rep", &found, &why) && found == &cmd_report, "rep");
    tap_ok(command_find("re", &found, &why) && strstr(why.message, "may be record or report"),
           "two commands begin so");
    tap_ok(!command_find("rec", &found, &why) && found == &cmd_record, "rec");
    tap_ok(!command_find("man", &found, &why) && found == &cmd_man, "a hidden command by its name");
    tap_ok(command_find("ma", &found, &why), "not by a prefix");
    tap_ok(command_find("", &found, &why), "not by an empty word");
    tap_ok(command_find("recrod", &found, &why), "not by a misspelt name");
    is_text(why.message,
            "there is no command 'recrod'; did you mean 'record'? 'pspy --help' lists all",
            "but with a hint");
}

static struct record_options record;

static enum err parse_record(const char *line)
{
    static struct words words;

    why = (struct error)ERROR_INIT;
    record_options_deinit(&record);
    memset(&record, 0, sizeof(record));
    words_split(&words, line);
    return record_options_parse(words.count, words.items, &record, &why);
}

static void test_record_defaults(void)
{
    tap_ok(!parse_record("record -o x python a.py -x"), "record -o x python a.py -x");
    is_text(record.program ? record.program[2] : NULL, "-x", "the program keeps its options");
    tap_ok(record.rate == 100 && record.duration == DURATION_UNLIMITED && !record.pid,
           "rate 100, no end");
    tap_ok(!parse_record("record -h -p x") && record.help, "--help before any check");
    tap_ok(!parse_record("record -gitnF --full-filenames --as-root --kill -d1 a") && record.gil &&
               record.idle && record.view.threads && record.view.native && record.view.function &&
               record.view.full_filenames && record.as_root && record.kill,
           "the flags");
}

static void is_conflict(const char *line, const char *part)
{
    bool refused = parse_record(line) != ERR_OK;

    tap_ok(refused && strstr(why.message, part), "'%s': %s", line, why.message);
}

static void test_record_conflicts(void)
{
    is_conflict("record", "nothing to profile");
    is_conflict("record --", "nothing to profile");
    is_conflict("record -p 1 python", "'python' is a program to start");
    is_conflict("record -F --nolineno a", "leave one of them out");
    is_conflict("record -n --nonblocking a", "needs a short stop");
    is_conflict("record --kill -p 1", "never ended");
    is_conflict("record --as-root -p 1", "leave --as-root out");
    is_conflict("record --ranks 0 -p 1", "leave --ranks out");
    is_conflict("record --flame -f raw a", "-f flamegraph");
    is_conflict("record --flame -o x.json a", "-f flamegraph");
    is_conflict("record -f raw -o a.txt -o b.txt a", "-f raw is for one -o, and there are 2");
    is_conflict("record -o a.pspy.gz a", "compressed already");
    is_conflict("record --python-only --native-only a", "leave one of them out");
    is_conflict("record --from 2 --to 1 a", "give --to more seconds");
}

static void test_record_filter(void)
{
    tap_ok(!parse_record("record --include thread=a a") && record.view.filter.rules.length == 1,
           "--include");
    tap_ok(!parse_record("record --include thread=a --exclude module=. --include function=b a") &&
               record.view.filter.rules.length == 3,
           "--include and --exclude, several times");
    tap_ok(!parse_record("record a") && record.view.filter.rules.length == 0, "no filter");
    is_conflict("record --include thread=a --include b=c a", "not 'b=c'");
    is_conflict("record --exclude thread=a( a", "--exclude needs an extended regular expression");
}

static void is_format(const char *line, const char *format, bool gzip, bool is_guess)
{
    bool parsed = parse_record(line) == ERR_OK;

    const struct output_request *output = parsed ? &record.outputs.items[0] : NULL;

    tap_ok(parsed && output->gzip == gzip && output->format_is_guess == is_guess, "'%s'", line);
    is_text(parsed ? output->format->name : NULL, format, "'%s' is %s", line, format);
}

static void test_record_formats(void)
{
    is_format("record a", "flamegraph", false, false);
    is_format("record -o - a", "flamegraph", false, false);
    is_format("record -o a.svg a", "flamegraph", false, false);
    is_format("record -o a.json a", "speedscope", false, false);
    is_format("record -o a.speedscope.json.gz a", "speedscope", true, false);
    is_format("record -o a.folded.gz a", "raw", true, false);
    is_format("record -o a.txt a", "raw", false, false);
    is_format("record -o a.dat a", "flamegraph", false, true);
    is_format("record -o a a", "flamegraph", false, true);
    is_format("record -o a.gz a", "flamegraph", true, true);
    is_format("record -o a.pspy a", "pspy", false, false);
    is_format("record -o a.md a", "report", false, false);
    is_format("record -f Raw -o a.svg a", "raw", false, false);
    is_format("record -f chrometrace -o a.json.gz a", "chrometrace", true, false);
}

static void is_output(const char *line, const char *wanted)
{
    const char *name = NULL;

    if (!parse_record(line) && !record_options_name_outputs(&record, 77, 86400, &why))
        name = record.outputs.items[0].path;
    is_text(name, wanted, "'%s' writes %s", line, wanted);
}

static void test_record_output(void)
{
    cleanup(strbuf_deinit) struct strbuf notice = STRBUF_INIT;

    clearenv();
    setenv("TZ", "XYZ-1:30", 1);
    is_output("record -o a.svg b", "a.svg");
    is_output("record -o a.%p.svg b", "a.77.svg");
    is_output("record -p 12", "12-1970-01-02T01-30-00+0130.svg");
    is_output("record -f speedscope /bin/python3 a.py",
              "python3-1970-01-02T01-30-00+0130.speedscope.json");
    is_output("record 100%", "100%-1970-01-02T01-30-00+0130.svg");
    parse_record("record -o a.svg b");
    record_options_notice(&record, &notice);
    is_text(notice.text, "", "no notice for a known suffix");
    parse_record("record -o a.dat b");
    record_options_notice(&record, &notice);
    is_text(notice.text, "'a.dat' names no format, so it becomes a flamegraph; -f chooses another",
            "a notice for an unknown suffix");
}

static void is_noticed(const char *line, bool noticed)
{
    cleanup(strbuf_deinit) struct strbuf notice = STRBUF_INIT;

    if (tap_ok(parse_record(line) == ERR_OK, "'%s'", line))
        record_options_notice_ranks(&record, &notice);
    tap_ok((notice.length > 0) == noticed, "'%s' has %s notice", line, noticed ? "a" : "no");
}

static void test_record_ranks(void)
{
    is_conflict("record -o %r.svg a", "leave %r out");
    is_conflict("record --ranks 0 a", "leave --ranks out");
    setenv("PMI_RANK", "2", 1);
    is_conflict("record --ranks 0-a a", "ranks such as 0-3,8");
    tap_ok(!parse_record("record a") && !record.left_out, "all ranks are recorded");
    tap_ok(!parse_record("record --ranks 1-2 a") && !record.left_out, "a rank that is listed");
    tap_ok(!parse_record("record --ranks 1,3 a") && record.left_out, "a rank that is not");
    is_output("record -o a.%r.%p.svg b", "a.2.77.svg");
    is_output("record python3", "python3-1970-01-02T01-30-00+0130-rank2.svg");
    is_output("record -p 12", "12-1970-01-02T01-30-00+0130.svg");
    setenv("NAME", "a.json.gz", 1);
    is_format("record -o x.%q{NAME} a", "speedscope", true, false);
    is_noticed("record -o a.svg b", true);
    is_noticed("record -o a.svg -p 12", true);
    is_noticed("record --ranks 0-3 -o a.svg b", true);
    is_noticed("record --ranks 2 -o a.svg b", false);
    is_noticed("record -o %r.svg b", false);
    is_noticed("record -o - b", false);
    is_noticed("record -o /dev/null b", false);
    is_noticed("record b", false);
    setenv("PMI_RANK", "0", 1);
    is_noticed("record -o a.svg b", false);
    unsetenv("PMI_RANK");
    is_noticed("record -o a.svg b", false);
}

int main(void)
{
    test_spellings();
    test_operands();
    test_values();
    test_refusals();
    test_sentences();
    test_suggestions();
    test_text();
    test_tables();
    test_formats();
    test_commands();
    test_record_defaults();
    test_record_conflicts();
    test_record_filter();
    test_record_formats();
    test_record_output();
    test_record_ranks();
    return tap_done();
}
