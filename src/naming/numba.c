/* SPDX-License-Identifier: MIT */
/*
 * Numba mangles as C++ does, with the version of the function and its compiler flags as ABI tags,
 * bytes that no C++ name holds as _ and two hexadecimal digits, and a prefix for wrappers:
 *
 *   _ZN8__main__4stepB2v1B38c8tJTI...E5ArrayIdLi2E1C7mutable7alignedEx
 *   __main__::step[abi:v1][abi:c8tJTI...](Array<double, 2, C, mutable, aligned>, long long)
 *   __main__.step(float64[:, ::1], int64)
 *
 *   _ZN7cpython...  called from Python        cfunc._ZN...  called from C
 *   __gufunc__._ZN13_3cdynamic_3e36__numba_parfor_gufunc_0x7efe2f3002d0B3v14B106...
 *                   the loop over a prange, for the scheduler
 *
 * A function may be called x_2d: so only what cannot be meant otherwise is decoded, <locals> and
 * its like, and in types everything.
 */
#include "pspy/naming/numba.h"

#include <ctype.h>
#include <libiberty/demangle.h>
#include <stdlib.h>
#include <string.h>

#include "pspy/base/cleanup.h"

#define TAG    "[abi:"
#define BODY   "__numba_parfor_gufunc_"
#define KERNEL "__gufunc__."

/* C++'s names of the types, longest first where one begins like another. */
static const struct {
    const char *cpp, *numba;
} types[] = {
    {"unsigned long long", "uint64"},
    {"long long", "int64"},
    {"unsigned short", "uint16"},
    {"unsigned char", "uint8"},
    {"signed char", "int8"},
    {"unsigned int", "uint32"},
    {"double", "float64"},
    {"float", "float32"},
    {"short", "int16"},
    {"void*", "voidptr"},
    {"void", "none"},
    {"bool", "boolean"},
    {"int", "int32"},
};

static const struct {
    const char *prefix, *mark;
} wrappers[] = {
    {"cfunc.", " [C wrapper]"},
    {KERNEL, " [gufunc]"},
    {".kernel.", " [gufunc]"},
    {"__ufunc__.", " [ufunc]"},
};

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* "[abi:v12][abi:c8...]", as no C++ compiler writes them. */
static bool has_tags(const char *text)
{
    const char *tag = strstr(text, TAG "v");

    return tag && isdigit((unsigned char)tag[strlen(TAG) + 1]);
}

static void cut_tags(char *text)
{
    char *tag, *end;

    while ((tag = strstr(text, TAG)) && (end = strchr(tag, ']')))
        memmove(tag, end + 1, strlen(end));
}

static int hex_byte(const char *text)
{
    char digits[3] = {text[0], text[0] ? text[1] : '\0', '\0'};

    return isxdigit((unsigned char)digits[0]) && isxdigit((unsigned char)digits[1])
               ? (int)strtol(digits, NULL, 16)
               : -1;
}

static void add_decoded(const char *text, const char *end, struct strbuf *ret)
{
    for (; text < end; text++) {
        int byte = *text == '_' && end - text > 2 ? hex_byte(text + 1) : -1;

        if (byte < ' ') {
            strbuf_add_char(ret, *text);
        } else {
            strbuf_add_char(ret, (char)byte);
            text += 2;
        }
    }
}

/* One part of a dotted name: <locals> is written _3clocals_3e. */
static void add_part(const char *text, const char *end, struct strbuf *ret)
{
    if (end - text > 6 && starts_with(text, "_3c") && strncmp(end - 3, "_3e", 3) == 0)
        add_decoded(text, end, ret);
    else
        strbuf_add(ret, text, (size_t)(end - text));
}

static void add_path(const char *text, const char *end, struct strbuf *ret)
{
    while (text < end) {
        const char *colons = strstr(text, "::");
        const char *part_end = colons && colons < end ? colons : end;

        add_part(text, part_end, ret);
        if (part_end == end)
            break;
        strbuf_add_char(ret, '.');
        text = part_end + 2;
    }
}

/* The end of the template argument or parameter at `text`. */
static const char *argument_end(const char *text, const char *end)
{
    int depth = 0;

    for (; text < end; text++) {
        if (*text == '<' || *text == '(')
            depth++;
        if (*text == '>' || *text == ')')
            depth--;
        if (*text == ',' && depth == 0)
            break;
    }
    return text;
}

static void add_type(const char *text, const char *end, struct strbuf *ret);

static const char *next_argument(const char *text, const char *end)
{
    while (text < end && (*text == ',' || *text == ' '))
        text++;
    return text;
}

/* float64[:, ::1]: a colon a dimension; ::1 where the elements are next to each other. */
static void add_dimensions(unsigned long count, char layout, struct strbuf *ret)
{
    strbuf_add_char(ret, '[');
    for (unsigned long i = 0; i < count; i++) {
        bool is_contiguous = (layout == 'C' && i == count - 1) || (layout == 'F' && i == 0);

        strbuf_add_text(ret, i ? ", " : "");
        strbuf_add_text(ret, is_contiguous ? "::1" : ":");
    }
    strbuf_add_char(ret, ']');
}

/* Array<double, 2, C, mutable, aligned>, from behind the "<" on. False if it is another Array. */
static bool add_array(const char *text, const char *end, struct strbuf *ret)
{
    const char *element_end = argument_end(text, end);
    const char *count = next_argument(element_end, end);
    const char *layout = next_argument(argument_end(count, end), end);
    unsigned long dimensions = strtoul(count, NULL, 10);

    if (layout >= end || dimensions > 32)
        return false;
    add_type(text, element_end, ret);
    add_dimensions(dimensions, *layout, ret);
    return true;
}

static void add_arguments(const char *text, const char *end, struct strbuf *ret)
{
    for (bool is_first = true; text < end; is_first = false) {
        const char *argument = argument_end(text, end);

        strbuf_add_text(ret, is_first ? "" : ", ");
        add_type(text, argument, ret);
        text = next_argument(argument, end);
    }
}

/* The first template brackets' contents are types, too: UniTuple<long long, 2>. */
static void add_template(const char *text, const char *end, struct strbuf *ret)
{
    const char *open = memchr(text, '<', (size_t)(end - text));

    if (!open || open == text || end[-1] != '>') {
        add_decoded(text, end, ret);
        return;
    }
    add_decoded(text, open + 1, ret);
    add_arguments(open + 1, end - 1, ret);
    strbuf_add_char(ret, '>');
}

static void add_type(const char *text, const char *end, struct strbuf *ret)
{
    static const char array[] = "Array<";

    while (end > text && end[-1] == ' ')
        end--;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if ((size_t)(end - text) == strlen(types[i].cpp) && starts_with(text, types[i].cpp)) {
            strbuf_add_text(ret, types[i].numba);
            return;
        }
    }
    if (end - text > 7 && starts_with(text, array) && end[-1] == '>' &&
        add_array(text + strlen(array), end - 1, ret))
        return;
    add_template(text, end, ret);
}

static const char *mark_of(const char *symbol, const char *mangled)
{
    for (size_t i = 0; symbol < mangled && i < sizeof(wrappers) / sizeof(wrappers[0]); i++)
        if (starts_with(symbol, wrappers[i].prefix))
            return wrappers[i].mark;
    return "";
}

bool numba_name(const char *symbol, struct strbuf *ret)
{
    static const char python[] = "cpython::";
    const char *mangled = strstr(symbol, "_ZN"), *mark, *open;
    cleanup(cleanup_free) char *text = NULL;
    const char *name;

    if (!mangled)
        return false;
    text = cplus_demangle(mangled, DMGL_PARAMS | DMGL_ANSI | DMGL_GNU_V3);
    if (!text || !has_tags(text))
        return false;
    cut_tags(text);
    mark = mark_of(symbol, mangled);
    name = text;
    if (starts_with(name, python)) {
        mark = " [Python wrapper]";
        name += strlen(python);
    }
    open = strchr(name, '(');
    if (!open)
        open = name + strlen(name);
    add_path(name, open, ret);
    if (*open) {
        const char *end = name + strlen(name) - 1;

        strbuf_add_char(ret, '(');
        add_arguments(open + 1, end, ret);
        strbuf_add_char(ret, ')');
    }
    strbuf_add_text(ret, mark);
    return true;
}

bool numba_is_kernel(const char *symbol)
{
    return starts_with(symbol, KERNEL);
}

const char *numba_loop_body(const char *symbol)
{
    const char *mangled = strstr(symbol, "_ZN");

    return mangled && strstr(mangled, BODY) ? mangled : NULL;
}
