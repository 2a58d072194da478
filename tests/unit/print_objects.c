/* SPDX-License-Identifier: MIT */
/*
 * Reads objects of the Python process argv[1]. Each line on stdin asks for one, each answer is a
 * line: "text ADDRESS", "bytes ADDRESS" -> hexadecimal bytes; "long ADDRESS" -> decimal; "dict
 * ADDRESS" -> the entries' "KEY:VALUE" addresses; "get ADDRESS KEY", "attribute ADDRESS NAME" -> an
 * address; "attributes NAME ADDRESS..." -> addresses. "-" where there is nothing to be had.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pspy/python/object.h"
#include "pspy/python/python.h"
#include "pspy/target/live.h"

#define TEXT_LIMIT 100000

static struct target target;
static struct layout layout;

static void print_hex(enum err err, const struct strbuf *bytes)
{
    for (size_t i = 0; err == ERR_OK && i < bytes->length; i++)
        printf("%02x", (unsigned char)bytes->text[i]);
    puts(err == ERR_OK ? "" : "-");
}

static void print_address(uint64_t address)
{
    if (address)
        printf("%" PRIu64 "\n", address);
    else
        puts("-");
}

static void print_text(uint64_t address)
{
    struct strbuf text = STRBUF_INIT;
    enum err err = object_text(&layout, &target, address, TEXT_LIMIT, &text);
    char *together;

    print_hex(err, &text);
    /* What reads many must read the same. */
    object_texts(&layout, &target, &address, 1, TEXT_LIMIT, &together);
    if (err == ERR_OK ? !together || strcmp(together, text.text) != 0 : together != NULL)
        puts("object_texts differs");
    free(together);
    strbuf_deinit(&text);
}

static void print_bytes(uint64_t address)
{
    struct strbuf bytes = STRBUF_INIT;

    print_hex(object_bytes(&layout, &target, address, TEXT_LIMIT, &bytes), &bytes);
    strbuf_deinit(&bytes);
}

static void print_long(uint64_t address)
{
    uint64_t value = 0, together;

    if (object_long(&layout, &target, address, &value) == ERR_OK)
        printf("%" PRIu64 "\n", value);
    else
        puts("-");
    object_longs(&layout, &target, &address, 1, &together);
    if (together != value)
        puts("object_longs differs");
}

static void print_dict(uint64_t address)
{
    struct dict_entries entries = {VEC_INIT};
    enum err err = object_dict_entries(&layout, &target, address, &entries);

    vec_each (entry, &entries.entries)
        printf("%" PRIu64 ":%" PRIu64 " ", entry->key, entry->value);
    puts(err == ERR_OK ? "" : "-");
    dict_entries_deinit(&entries);
}

static void print_get(uint64_t address, const char *key)
{
    uint64_t value = 0;

    object_dict_get(&layout, &target, address, key, &value);
    print_address(value);
}

static void print_attribute(uint64_t address, const char *name)
{
    uint64_t value;

    object_attributes(&layout, &target, &address, 1, &name, 1, &value);
    print_address(value);
}

/* The named attribute and, after it, one that no object has. */
static void print_attributes(const char *name, char *addresses)
{
    const char *const names[] = {name, "no_such_attribute"};
    struct {
        VEC(uint64_t) items;
    } objects = {VEC_INIT};
    uint64_t *values;

    for (char *word = strtok_r(addresses, " ", &addresses); word;
         word = strtok_r(NULL, " ", &addresses))
        vec_push(&objects.items, strtoull(word, NULL, 10));
    values = calloc(2 * objects.items.length, sizeof(*values));
    object_attributes(&layout, &target, objects.items.items, objects.items.length, names, 2,
                      values);
    for (size_t i = 0; i < objects.items.length; i++)
        printf("%" PRIu64 "%s ", values[2 * i], values[2 * i + 1] ? "!" : "");
    puts("");
    free(values);
    vec_deinit(&objects.items);
}

static void answer(char *line)
{
    char *what = strtok_r(line, " ", &line);
    char *first = strtok_r(NULL, " ", &line);
    uint64_t address = strtoull(first, NULL, 10);

    if (strcmp(what, "text") == 0)
        print_text(address);
    else if (strcmp(what, "bytes") == 0)
        print_bytes(address);
    else if (strcmp(what, "long") == 0)
        print_long(address);
    else if (strcmp(what, "dict") == 0)
        print_dict(address);
    else if (strcmp(what, "get") == 0)
        print_get(address, line);
    else if (strcmp(what, "attribute") == 0)
        print_attribute(address, line);
    else if (strcmp(what, "attributes") == 0)
        print_attributes(first, line);
}

static int open_python(pid_t pid)
{
    struct error why = ERROR_INIT;
    struct module_list modules = {0};
    struct address_space space;
    struct python python;
    enum err err = target_open(pid, &target, &why);

    if (err == ERR_OK) {
        address_space_init(&space, &modules);
        address_space_refresh(&space, &target);
        err = python_open(&space, &target, &python, &why);
        if (err == ERR_OK) {
            layout = python.layout;
            python_close(&python);
        }
        address_space_deinit(&space);
        module_list_deinit(&modules);
    }
    if (err != ERR_OK)
        fprintf(stderr, "%s\n", why.message);
    return err == ERR_OK;
}

int main(int argc, char **argv)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t length;

    if (argc < 2 || !open_python((pid_t)atol(argv[1])))
        return 1;
    while ((length = getline(&line, &room, stdin)) > 0) {
        line[length - 1] = '\0';
        answer(line);
    }
    free(line);
    target_close(&target);
    return 0;
}
