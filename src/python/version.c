/* SPDX-License-Identifier: MIT */
/*
 * The version, from the file alone. Py_Version exists since 3.11. Before, the text "3.9.18" is a
 * constant that Py_GetVersion refers to. A program that embeds Python has other versions' texts as
 * well, so without symbols one counts whose "python3.9" is there too, or that has no rival.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detect.h"

#define FINAL_RELEASE 0xf
#define TEXT_LIMIT    16  /* "3.15.0rc1+" */
#define CODE_BYTES    128 /* of Py_GetVersion */

/* What Py_GetVersion passes to its printf in each version of CPython. */
#define FORMAT "%.80s (%.80s) %.80s"

static bool is_digit(char character)
{
    return character >= '0' && character <= '9';
}

/* A number up to 255, without a leading zero. */
static bool take_number(const char **text, uint32_t *ret)
{
    const char *at = *text;
    uint32_t number = 0;

    if (!is_digit(*at) || (*at == '0' && is_digit(at[1])))
        return false;
    for (; is_digit(*at); at++) {
        number = number * 10 + (uint32_t)(*at - '0');
        if (number > 255)
            return false;
    }
    *text = at;
    *ret = number;
    return true;
}

static uint32_t take_level(const char **text)
{
    static const struct {
        const char *text;
        uint32_t level;
    } levels[] = {{"a", 0xa}, {"b", 0xb}, {"rc", 0xc}, {"c", 0xc}};

    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        size_t length = strlen(levels[i].text);

        if (strncmp(*text, levels[i].text, length) == 0) {
            *text += length;
            return levels[i].level;
        }
    }
    return FINAL_RELEASE;
}

bool version_parse(const char *text, size_t size, uint32_t *ret)
{
    char copy[TEXT_LIMIT + 1] = "";
    const char *at = copy;
    uint32_t major, minor, micro, level, serial = 0;

    memcpy(copy, text, size < TEXT_LIMIT ? size : TEXT_LIMIT);
    if (!take_number(&at, &major) || (major != 2 && major != 3) || *at++ != '.' ||
        !take_number(&at, &minor) || *at++ != '.' || !take_number(&at, &micro))
        return false;
    level = take_level(&at);
    if (level != FINAL_RELEASE && (!take_number(&at, &serial) || serial > 15))
        return false;
    if (*at == '+')
        at++;
    /* The NUL must be the text's own, not that of the copy. */
    if (*at != '\0' || (size_t)(at - copy) >= size)
        return false;
    *ret = major << 24 | minor << 16 | micro << 8 | level << 4 | serial;
    return true;
}

bool version_of_name(const char *path, uint32_t *ret)
{
    const char *slash = strrchr(path, '/');
    const char *name = strstr(slash ? slash : path, "python");
    uint32_t major, minor;

    if (!name)
        return false;
    name += strlen("python");
    if (!take_number(&name, &major) || (major != 2 && major != 3) || *name++ != '.' ||
        !take_number(&name, &minor))
        return false;
    *ret = major << 24 | minor << 16;
    return true;
}

static bool version_at(const struct image *image, uint64_t vaddr, uint32_t *ret)
{
    char text[TEXT_LIMIT];

    return image_read(image, vaddr, text, sizeof(text)) && version_parse(text, sizeof(text), ret);
}

/* Every four bytes of the code are tried as a distance and as an address: nothing else leads to a
 * text that is a version and ends there. */
static bool version_of_code(const struct image *image, uint64_t function, uint32_t *ret)
{
    unsigned char code[CODE_BYTES];
    size_t size = code_read(image, function, code, sizeof(code));

    for (size_t at = 0; at + 4 <= size; at++) {
        int32_t distance;
        uint32_t address;

        memcpy(&distance, code + at, sizeof(distance));
        memcpy(&address, code + at, sizeof(address));
        if (version_at(image, function + at + 4 + (uint64_t)(int64_t)distance, ret) ||
            version_at(image, address, ret))
            return true;
    }
    return false;
}

bool version_of_symbols(const struct image *image, const struct symbols *symbols, uint32_t *ret)
{
    uint64_t wide; /* const unsigned long Py_Version */

    if (symbols->vaddr[SYMBOL_VERSION] &&
        image_read(image, symbols->vaddr[SYMBOL_VERSION], &wide, sizeof(wide))) {
        *ret = (uint32_t)wide;
        return true;
    }
    return version_of_code(image, symbols->vaddr[SYMBOL_GET_VERSION], ret);
}

/* How often "python3.9" stands in the constants, with nothing of a number behind. */
static unsigned count_mentions(const struct image_segment *constants, uint32_t version)
{
    const unsigned char *at = constants->bytes, *end = at + constants->file_size;
    unsigned count = 0;
    char text[32];
    size_t length =
        (size_t)snprintf(text, sizeof(text), "python%u.%u", version >> 24, version >> 16 & 0xff);

    while ((at = memmem(at, (size_t)(end - at), text, length))) {
        at += length;
        count += at == end || !is_digit((char)*at);
    }
    return count;
}

struct best {
    uint32_t version;
    unsigned mentions;
    bool has_rivals; /* another version has as many */
};

static void take_better(struct best *best, uint32_t version, unsigned mentions)
{
    if (version == best->version)
        return;
    if (!best->version || mentions > best->mentions)
        *best = (struct best){version, mentions, false};
    else if (mentions == best->mentions)
        best->has_rivals = true;
}

/* Other programs' versions often are none of Python's: 2.5.0 is Expat, 3.41.2 is SQLite. */
static bool is_known(uint32_t version)
{
    struct layout layout;

    return !layout_is_guessed(version >> 16) &&
           layout_select(version >> 16, (struct build){.is_debug = false}, &layout, NULL) == ERR_OK;
}

/* A version's text may be the end of another constant, by which linkers save room. */
static void search_versions(const struct image_segment *constants, struct best *best)
{
    const char *start = (const char *)constants->bytes, *end = start + constants->file_size;
    uint32_t version;

    for (const char *at = start; (at = memchr(at, '.', (size_t)(end - at))); at++) {
        if (at == start || (at[-1] != '2' && at[-1] != '3') ||
            (at - start > 1 && (is_digit(at[-2]) || at[-2] == '.')) ||
            !version_parse(at - 1, (size_t)(end - at + 1), &version) || !is_known(version))
            continue;
        take_better(best, version, count_mentions(constants, version));
    }
}

bool version_of_constants(const struct image *image, uint32_t *ret)
{
    struct image_segment segment;

    for (size_t i = 0; image_segment(image, i, &segment); i++) {
        struct best best = {0, 0, false};

        if (!segment.bytes || !memmem(segment.bytes, segment.file_size, FORMAT, sizeof(FORMAT)))
            continue;
        search_versions(&segment, &best);
        if (!best.version || best.has_rivals)
            continue;
        *ret = best.version;
        return true;
    }
    return false;
}
