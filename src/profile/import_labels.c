/* SPDX-License-Identifier: MIT */
/*
 * Labels into frames. All that tells Python code from native code is what a label says: a file of
 * Python, or a name that only Python gives.
 */
#include <ctype.h>
#include <string.h>

#include "import_internal.h"
#include "pspy/profile/paths.h"

static bool slice_is(struct slice slice, const char *text)
{
    return slice.length == strlen(text) && !memcmp(slice.text, text, slice.length);
}

static bool begins(struct slice slice, const char *text)
{
    return slice.length >= strlen(text) && !memcmp(slice.text, text, strlen(text));
}

static bool ends(struct slice slice, const char *text)
{
    size_t length = strlen(text);

    return slice.length >= length && !memcmp(slice.text + slice.length - length, text, length);
}

static struct slice cut(struct slice slice, size_t from, size_t to)
{
    return (struct slice){slice.text + from, to - from};
}

static bool contains(struct slice slice, const char *text)
{
    return memmem(slice.text, slice.length, text, strlen(text)) != NULL;
}

/* ---- kinds -------------------------------------------------------------------------------------
 */

/* "<string>", "<frozen importlib._bootstrap>", "<module>": Python's names for what has none. */
static bool is_angled(struct slice text)
{
    return text.length > 2 && text.text[0] == '<' && text.text[text.length - 1] == '>' &&
           isalpha((unsigned char)text.text[1]);
}

static bool is_python_name(struct slice name)
{
    return slice_is(name, "<module>") || slice_is(name, "<lambda>") || ends(name, "<genexpr>") ||
           ends(name, "<listcomp>") || ends(name, "<dictcomp>") || ends(name, "<setcomp>") ||
           contains(name, "<locals>");
}

static bool is_interpreter_file(struct slice file)
{
    const char *slash = memrchr(file.text, '/', file.length);
    struct slice base = slash ? cut(file, (size_t)(slash + 1 - file.text), file.length) : file;
    size_t at = strlen("python");

    if (begins(base, "libpython"))
        return true;
    if (!begins(base, "python"))
        return false;
    while (at < base.length && (isdigit((unsigned char)base.text[at]) || base.text[at] == '.'))
        at++;
    return at == base.length;
}

static bool is_module_file(struct slice file)
{
    return ends(file, ".so") || contains(file, ".so.") || is_interpreter_file(file);
}

static enum frame_kind marker_kind(struct slice name)
{
    if (begins(name, "[waiting"))
        return FRAME_WAITING;
    return begins(name, "[running in ") ? FRAME_SYSTEM : FRAME_MARKER;
}

/* perf writes the file of code without a symbol so: "[libc.so.6]". */
static bool is_marker(struct slice name)
{
    if (slice_is(name, "<GC>"))
        return true;
    return name.length > 2 && name.text[0] == '[' && name.text[name.length - 1] == ']' &&
           !contains(name, ".so");
}

static enum frame_kind kind_of(struct importer *importer, struct slice name, struct slice file,
                               string_id path)
{
    if (!file.length && is_marker(name))
        return marker_kind(name);
    if (ends(file, ".py") || ends(file, ".pyw") || ends(file, ".ipynb") || is_angled(file))
        return path_python_kind(profile_text(importer->profile, path));
    if (!file.length && is_python_name(name))
        return FRAME_PYTHON;
    return is_interpreter_file(file) ? FRAME_INTERPRETER : FRAME_NATIVE;
}

/* ---- files -------------------------------------------------------------------------------------
 */

/* Behind ".../site-packages/", ".../lib/python3.12/"; else the part behind the last slash. The
 * packages' own folders may lie on another machine, so that they are not looked at. */
static struct slice short_of(struct slice file)
{
    static const char *const folders[] = {"/site-packages/", "/dist-packages/"};
    const char *found, *slash = memrchr(file.text, '/', file.length);

    if (!file.length || file.text[0] != '/')
        return file;
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        found = memmem(file.text, file.length, folders[i], strlen(folders[i]));
        if (found)
            return cut(file, (size_t)(found - file.text) + strlen(folders[i]), file.length);
    }
    found = memmem(file.text, file.length, "/lib/python3", strlen("/lib/python3"));
    if (found) {
        size_t start = (size_t)(found - file.text) + strlen("/lib/python3");
        const char *next = memchr(file.text + start, '/', file.length - start);

        slash = next ? next : slash;
    }
    return cut(file, (size_t)(slash + 1 - file.text), file.length);
}

static string_id text_of(struct importer *importer, struct slice text)
{
    return profile_string_n(importer->profile, text.text, text.length);
}

static frame_id make_frame(struct importer *importer, struct slice name, struct slice file,
                           struct frame_info info)
{
    struct profile *profile = importer->profile;

    info.name = text_of(importer, name);
    info.file = text_of(importer, file);
    if (info.kind == FRAME_PYTHON)
        info.kind = kind_of(importer, name, file, info.file);
    info.short_file = text_of(importer, short_of(file));
    if (is_module_file(file))
        info.module = info.file;
    profile->facts.saw_python |= info.kind <= FRAME_SITE;
    profile->facts.native |= info.kind == FRAME_NATIVE || info.kind == FRAME_INTERPRETER;
    return profile_frame(profile, &info);
}

frame_id import_frame(struct importer *importer, struct slice name, struct slice file,
                      uint32_t line, uint32_t column)
{
    struct frame_info info = {.line = line, .column = line ? column : 0};

    return make_frame(importer, name, file, info);
}

/* ---- labels ------------------------------------------------------------------------------------
 */

/* Takes ":123" off the end; false: there is none. */
static bool take_number(struct slice *text, uint32_t *ret)
{
    size_t at = text->length;
    uint64_t number = 0;

    while (at && isdigit((unsigned char)text->text[at - 1]))
        at--;
    if (at == text->length || text->length - at > 10 || at < 2 || text->text[at - 1] != ':')
        return false;
    for (size_t i = at; i < text->length; i++)
        number = number * 10 + (uint64_t)(text->text[i] - '0');
    *ret = number > UINT32_MAX ? 0 : (uint32_t)number;
    text->length = at - 1;
    return true;
}

/* Where the bracket opens that the last byte closes, with a space before it; 0: nowhere. */
static size_t find_bracket(struct slice label)
{
    size_t depth = 0;

    if (!label.length || label.text[label.length - 1] != ')')
        return 0;
    for (size_t i = label.length; i-- > 0;) {
        depth += label.text[i] == ')';
        depth -= label.text[i] == '(';
        if (!depth)
            return i >= 2 && label.text[i - 1] == ' ' ? i : 0;
    }
    return 0;
}

/* "name (file:line)". What is in brackets may as well be a function's parameters. */
static bool split_file(struct slice label, struct slice *name, struct slice *file, uint32_t *line,
                       uint32_t *column)
{
    size_t bracket = find_bracket(label);
    uint32_t last, before;
    bool has_line;

    if (!bracket)
        return false;
    *name = cut(label, 0, bracket - 1);
    *file = cut(label, bracket + 1, label.length - 1);
    has_line = take_number(file, &last);
    if (has_line) {
        bool has_column = take_number(file, &before);

        *line = has_column ? before : last;
        *column = has_column ? last : 0;
    }
    return file->length && (has_line || is_angled(*file) || memchr(file->text, '.', file->length) ||
                            memchr(file->text, '/', file->length) || is_interpreter_file(*file));
}

/* perf's scripts say so what a name is: "[k]" the kernel, "[i]" inlined, "[j]" made at run time. */
static struct slice take_annotation(struct slice label, struct frame_info *info)
{
    if (label.length <= 4 || label.text[label.length - 4] != '_' || !ends(label, "]") ||
        label.text[label.length - 3] != '[' || !strchr("kijw", label.text[label.length - 2]))
        return label;
    info->kind = label.text[label.length - 2] == 'k' ? FRAME_SYSTEM : FRAME_NATIVE;
    info->flags = label.text[label.length - 2] == 'i' ? FRAME_INLINED : 0;
    return cut(label, 0, label.length - 4);
}

static frame_id parse_label(struct importer *importer, struct slice label)
{
    struct frame_info info = {.line = 0};
    struct slice name, file;

    label = take_annotation(label, &info);
    if (!split_file(label, &name, &file, &info.line, &info.column)) {
        info.line = info.column = 0;
        name = label;
        file = (struct slice){"", 0};
    }
    return make_frame(importer, name, file, info);
}

static frame_id parse_austin(struct importer *importer, struct slice label)
{
    struct frame_info info = {.line = 0};
    struct slice file = label, name = label, none = {"", 0};
    const char *colon;

    if (slice_is(label, ":GC:"))
        return make_frame(importer, (struct slice){"<GC>", 4}, none, info);
    if (begins(label, ":") && ends(label, ":")) {
        info.kind = FRAME_MARKER;
        return make_frame(importer, label, none, info);
    }
    if (!take_number(&file, &info.line))
        return parse_label(importer, label);
    colon = memrchr(file.text, ':', file.length);
    if (!colon)
        return make_frame(importer, file, none, (struct frame_info){.line = 0});
    name = cut(file, (size_t)(colon + 1 - file.text), file.length);
    file = cut(file, 0, (size_t)(colon - file.text));
    return make_frame(importer, name, file, info);
}

static frame_id known_label(struct importer *importer, struct slice label,
                            frame_id (*parse)(struct importer *, struct slice))
{
    string_id id = strings_add_n(&importer->labels, label.text, label.length);

    while (importer->label_frames.length <= id.v)
        vec_push(&importer->label_frames, FRAME_NONE);
    if (importer->label_frames.items[id.v].v == FRAME_NONE.v) {
        frame_id frame = parse(importer, label);

        importer->label_frames.items[id.v] = frame;
    }
    return importer->label_frames.items[id.v];
}

frame_id import_label(struct importer *importer, struct slice label)
{
    return known_label(importer, label, parse_label);
}

frame_id import_austin_label(struct importer *importer, struct slice label)
{
    return known_label(importer, label, parse_austin);
}
