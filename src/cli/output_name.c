/* SPDX-License-Identifier: MIT */
#include "pspy/cli/output_name.h"

#include <string.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/strbuf.h"
#include "pspy/base/utf8.h"
#include "pspy/base/xmalloc.h"
#include "pspy/cli/launcher.h"

/* How long a letter's word is, "%r" or "%q{NAME}"; 0: it is none. */
static size_t word_length(const char *word)
{
    size_t name;

    if (word[1] && strchr("phrlj%", word[1]))
        return 2;
    if (strncmp(word, "%q{", 3) != 0)
        return 0;
    name = strcspn(word + 3, "}");
    return name > 0 && word[3 + name] ? 3 + name + 1 : 0;
}

static enum err explain_word(const char *word, struct error *why)
{
    const char *end = word + 1;

    if (!word[1])
        return error_set(why, ERR_INVALID,
                         "-o ends with a single %%: write %%%% for a percent sign");
    if (word[1] == 'q')
        return error_set(why, ERR_INVALID,
                         "%%q in -o wants the name of an environment variable in braces, as in "
                         "%%q{USER}");
    utf8_next(&end);
    return error_set(why, ERR_INVALID,
                     "-o knows no %.*s: there are %%p (pid), %%h (host), %%r (rank), %%l (local "
                     "rank), %%j (job) and %%q{VARIABLE}; write %%%% for a percent sign",
                     (int)(end - word), word);
}

/* %q{NAME}; `word` is all of it. */
static enum err ask_variable(const char *word, char *const *environment, const char **ret,
                             struct error *why)
{
    const char *value = environment_value(environment, word + 3, strlen(word) - 4);

    if (!value || !*value)
        return error_set(why, ERR_NOT_FOUND,
                         "%s in -o: that environment variable is %s; set it, or leave %s out", word,
                         value ? "empty" : "not set", word);
    *ret = value;
    return ERR_OK;
}

/* The value for one word, which is cut from the template; %p is not among them. */
static enum err ask(const char *word, const struct name_facts *facts, const char **ret,
                    struct error *why)
{
    switch (word[1]) {
    case 'h':
        *ret = facts->host;
        return ERR_OK;
    case 'r':
        return launcher_ask(LAUNCHER_RANK, facts->environment, word, ret, why);
    case 'l':
        return launcher_ask(LAUNCHER_LOCAL_RANK, facts->environment, word, ret, why);
    case 'j':
        return launcher_ask(LAUNCHER_JOB, facts->environment, word, ret, why);
    case 'q':
        return ask_variable(word, facts->environment, ret, why);
    default:
        *ret = "%";
        return ERR_OK;
    }
}

static enum err add_word(struct strbuf *out, const char *word, const struct name_facts *facts,
                         struct error *why)
{
    const char *value = NULL;
    enum err err;

    if (word[1] == 'p') {
        strbuf_addf(out, "%d", (int)facts->pid);
        return ERR_OK;
    }
    err = ask(word, facts, &value, why);
    if (err != ERR_OK)
        return err;
    if (strchr(value, '/'))
        return error_set(why, ERR_INVALID,
                         "%s in -o is '%s' here, and a slash would lead into another folder: write "
                         "folders into -o itself, and leave %s out",
                         word, value, word);
    strbuf_add_text(out, value);
    return ERR_OK;
}

enum err output_name_expand(const char *text, const struct name_facts *facts, char **ret,
                            struct error *why)
{
    cleanup(strbuf_deinit) struct strbuf out = STRBUF_INIT;

    while (*text) {
        size_t plain = strcspn(text, "%");
        size_t length = text[plain] ? word_length(text + plain) : 0;
        cleanup(cleanup_free) char *word = NULL;
        enum err err;

        strbuf_add(&out, text, plain);
        text += plain;
        if (!*text)
            break;
        if (!length)
            return explain_word(text, why);
        word = xstrndup(text, length);
        err = add_word(&out, word, facts, why);
        if (err != ERR_OK)
            return err;
        text += length;
    }
    *ret = strbuf_detach(&out);
    return ERR_OK;
}

/* A host alone may run several ranks, and a variable may be the launcher's. */
bool output_name_differs(const char *text)
{
    for (; (text = strchr(text, '%')); text += word_length(text))
        if (strchr("prlq", text[1]))
            return true;
    return false;
}

/* The length of a name without that ending, if it has it and more. */
static size_t length_without(const char *name, size_t length, const char *ending)
{
    size_t tail = strlen(ending);

    return length > tail && strncasecmp(name + length - tail, ending, tail) == 0 ? length - tail
                                                                                 : length;
}

static size_t stem_length(const char *name)
{
    size_t packed = length_without(name, strlen(name), ".gz");
    size_t stem = length_without(name, packed, ".speedscope.json");

    if (stem < packed)
        return stem;
    while (stem > 0 && name[stem - 1] != '.')
        stem--;
    return stem > 1 ? stem - 1 : packed; /* a hidden file's dot begins no suffix */
}

char *output_name_numbered(const char *path, unsigned number)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t stem = (size_t)(name - path) + stem_length(name);

    return xasprintf("%.*s.%u%s", (int)stem, path, number, path + stem);
}
