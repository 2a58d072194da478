/* SPDX-License-Identifier: MIT */
/*
 * What elf/ and target/module.h answer, for test_elf_tools.py to compare with other tools' answers:
 *
 *   print_elf names FILE < ADDRESSES    "ADDRESS START END NAME" or "ADDRESS -"
 *   print_elf ranges FILE < ADDRESSES   "ADDRESS START" or "ADDRESS -"
 *   print_elf pynames FILE < ADDRESSES  "ADDRESS NAME" or "ADDRESS -"
 *   print_elf demangle < NAMES          one readable name a line
 *   print_elf cython FILE < NAMES       one readable name of Cython's a line, or "-"
 *   print_elf debugfile FILE ROOT       the path of the debug file that was opened, or "-"
 *   print_elf open ROOT PATH            the path that was opened, or "-"
 *   print_elf biases PID                "BIAS PATH" for each executable region of a process
 *   print_elf process PID < ADDRESSES   "ADDRESS NAME" or "ADDRESS -", of a process's addresses
 *   print_elf sections FILE < NAMES     "NAME VADDR SIZE" or "NAME -"
 *   print_elf symbols FILE < NAMES      "NAME VADDR" or "NAME -"
 *   print_elf bytes FILE < RANGES       "VADDR SIZE" becomes hexadecimal bytes, or "-"
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/vec.h"
#include "pspy/elf/debugfile.h"
#include "pspy/elf/ehframe.h"
#include "pspy/elf/image.h"
#include "pspy/elf/pynames.h"
#include "pspy/elf/symtab.h"
#include "pspy/naming/cython.h"
#include "pspy/naming/demangle.h"
#include "pspy/target/live.h"
#include "pspy/target/module.h"

typedef void answer_fn(struct image *image, const char *question);

static void answer_name(struct image *image, const char *question)
{
    const struct symbol *symbol = symtab_find(image_symtab(image), strtoull(question, NULL, 16));

    if (symbol)
        printf("%s %" PRIx64 " %" PRIx64 " %s\n", question, symbol->start, symbol->end,
               symbol->name);
    else
        printf("%s -\n", question);
}

static void answer_range(struct image *image, const char *question)
{
    uint64_t start;

    if (ehframe_range_start(image, strtoull(question, NULL, 16), &start))
        printf("%s %" PRIx64 "\n", question, start);
    else
        printf("%s -\n", question);
}

static void answer_pyname(struct image *image, const char *question)
{
    cleanup(strbuf_deinit) struct strbuf name = STRBUF_INIT;

    if (pynames_find(image_pynames(image), strtoull(question, NULL, 16), &name))
        printf("%s %s\n", question, name.text);
    else
        printf("%s -\n", question);
}

static void answer_section(struct image *image, const char *question)
{
    uint64_t vaddr, size;

    if (image_section(image, question, &vaddr, &size))
        printf("%s %" PRIx64 " %" PRIx64 "\n", question, vaddr, size);
    else
        printf("%s -\n", question);
}

static void answer_symbol(struct image *image, const char *question)
{
    uint64_t vaddr;

    if (image_symbol(image, question, &vaddr))
        printf("%s %" PRIx64 "\n", question, vaddr);
    else
        printf("%s -\n", question);
}

static void answer_bytes(struct image *image, const char *question)
{
    char *end;
    uint64_t vaddr = strtoull(question, &end, 16);
    size_t size = strtoull(end, NULL, 16);
    cleanup(cleanup_free) unsigned char *bytes = xmalloc(size);

    if (!image_read(image, vaddr, bytes, size))
        putchar('-');
    else
        for (size_t i = 0; i < size; i++)
            printf("%02x", bytes[i]);
    putchar('\n');
}

static void answer_demangled(struct image *image, const char *question)
{
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;

    (void)image;
    demangle(question, &text);
    puts(text.text);
}

static void answer_cython(struct image *image, const char *question)
{
    cleanup(strbuf_deinit) struct strbuf text = STRBUF_INIT;

    puts(cython_name(question, image_symtab(image), &text) ? text.text : "-");
}

static void answer_lines(answer_fn *answer, struct image *image)
{
    cleanup(cleanup_free) char *line = NULL;
    size_t room = 0;

    while (getline(&line, &room, stdin) > 0) {
        line[strcspn(line, "\n")] = '\0';
        answer(image, line);
    }
}

static struct image *open_image(const char *path)
{
    cleanup(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct image *image = NULL;
    struct error why = ERROR_INIT;

    if (fd < 0 || image_open(fd, path, -1, &image, &why) != ERR_OK) {
        fprintf(stderr, "print_elf: %s: %s\n", path, why.message);
        exit(1);
    }
    return image;
}

static void print_path_of(int fd)
{
    char link[64], path[4096];
    ssize_t length;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    length = fd < 0 ? -1 : readlink(link, path, sizeof(path));
    printf("%.*s\n", length < 0 ? 1 : (int)length, length < 0 ? "-" : path);
}

static void print_debug_file(const char *path, const char *root)
{
    cleanup(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    cleanup(cleanup_close) int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    cleanup(cleanup_close) int found = -1;
    size_t root_length = strcmp(root, "/") == 0 ? 0 : strlen(root);
    Elf *elf;

    elf_version(EV_CURRENT);
    elf = elf_begin(fd, ELF_C_READ, NULL);
    /* The name inside the root directory, where FILE lies in it. */
    found = debugfile_open(elf, strncmp(path, root, root_length) == 0 ? path + root_length : path,
                           root_length ? root_fd : -1);
    print_path_of(found);
    elf_end(elf);
}

static void print_opened(const char *root, const char *path)
{
    cleanup(cleanup_close) int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    cleanup(cleanup_close) int found = rooted_open(root_fd, path);

    print_path_of(found);
}

static void print_biases(struct address_space *space, const struct target *target)
{
    vec_each (region, &space->regions) {
        const struct image *image = region_image(space, target, region);

        if (region->is_executable && image && region->has_bias)
            printf("%" PRIx64 " %s\n", region->bias, image_path(image));
    }
}

static void print_names(struct address_space *space, const struct target *target)
{
    uint64_t address;

    while (scanf("%" SCNx64, &address) == 1) {
        const struct symbol *symbol = NULL;
        struct code_place place;

        if (address_space_place(space, target, address, &place) && place.image)
            symbol = symtab_find(image_symtab(place.image), address - place.bias);
        printf("%" PRIx64 " %s\n", address, symbol ? symbol->name : "-");
    }
}

static int ask_process(pid_t pid,
                       void (*print)(struct address_space *space, const struct target *target))
{
    struct module_list modules = {0};
    struct address_space space;
    struct target target;
    struct error why = ERROR_INIT;

    if (target_open(pid, &target, &why) != ERR_OK) {
        fprintf(stderr, "print_elf: %s\n", why.message);
        return 1;
    }
    address_space_init(&space, &modules);
    if (address_space_refresh(&space, &target) != ERR_OK)
        return 1;
    print(&space, &target);
    address_space_deinit(&space);
    module_list_deinit(&modules);
    target_close(&target);
    return 0;
}

static const struct {
    const char *name;
    answer_fn *answer;
} questions[] = {{"names", answer_name},       {"ranges", answer_range},
                 {"sections", answer_section}, {"symbols", answer_symbol},
                 {"bytes", answer_bytes},      {"demangle", answer_demangled},
                 {"cython", answer_cython},    {"pynames", answer_pyname}};

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";

    if (argc == 4 && strcmp(mode, "debugfile") == 0)
        return print_debug_file(argv[2], argv[3]), 0;
    if (argc == 4 && strcmp(mode, "open") == 0)
        return print_opened(argv[2], argv[3]), 0;
    if (argc == 3 && strcmp(mode, "biases") == 0)
        return ask_process((pid_t)strtol(argv[2], NULL, 10), print_biases);
    if (argc == 3 && strcmp(mode, "process") == 0)
        return ask_process((pid_t)strtol(argv[2], NULL, 10), print_names);
    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
        if (strcmp(mode, questions[i].name) == 0) {
            struct image *image = argc > 2 ? open_image(argv[2]) : NULL;

            answer_lines(questions[i].answer, image);
            image_destroy(image);
            return 0;
        }
    }
    fprintf(stderr, "print_elf: see the head of its source\n");
    return 2;
}
