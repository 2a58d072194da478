/* SPDX-License-Identifier: MIT */
/* Prints pspy's layout of a CPython, for tests/layout: print_layout MAJOR.MINOR BUILD [FILE], where
 * BUILD has a d for a debug build, a t for a free-threaded one, an e for an early 3.7; FILE: the
 * debug offsets. */
#include <stdio.h>
#include <string.h>

#include "pspy/python/debugoffsets.h"
#include "pspy/python/layout.h"

#define SHOW(field) printf(#field " %u\n", layout->field)

static void show_state(const struct layout *layout)
{
    SHOW(runtime_interpreters), SHOW(runtime_finalizing), SHOW(runtime_gil);
    SHOW(runtime_collecting), SHOW(interpreter_next), SHOW(interpreter_id);
    SHOW(interpreter_threads), SHOW(interpreter_modules), SHOW(interpreter_gil);
    SHOW(interpreter_collecting), SHOW(gil_locked), SHOW(gil_holder), SHOW(gil_size);
    SHOW(thread_next), SHOW(thread_interpreter), SHOW(thread_frame), SHOW(thread_cframe);
    SHOW(thread_id), SHOW(thread_native_id), SHOW(thread_chunk), SHOW(thread_attached);
    SHOW(thread_base);
    SHOW(thread_size), SHOW(cframe_frame), SHOW(cframe_previous);
}

static void show_frame(const struct layout *layout)
{
    SHOW(frame_code), SHOW(frame_previous), SHOW(frame_instruction), SHOW(frame_is_entry);
    SHOW(frame_owner), SHOW(frame_tlbc), SHOW(frame_size);
    SHOW(frame_locals), SHOW(code_flags);
    SHOW(frame_stack_index), SHOW(frame_stack_pointer);
    SHOW(code_file), SHOW(code_name), SHOW(code_lines), SHOW(code_first_line);
    SHOW(code_qualname), SHOW(code_units), SHOW(code_adaptive), SHOW(code_tlbc);
    SHOW(code_version), SHOW(code_head_size);
}

static void show_objects(const struct layout *layout)
{
    SHOW(texts), SHOW(object_type), SHOW(object_size), SHOW(text_length), SHOW(text_state);
    SHOW(text_ascii_data), SHOW(text_compact_data), SHOW(bytes_data), SHOW(type_name);
    SHOW(type_flags), SHOW(type_basic_size), SHOW(type_dict_offset), SHOW(type_cached_keys);
    SHOW(dict_keys), SHOW(dict_values), SHOW(values_first), SHOW(long_tag), SHOW(long_digits);
    SHOW(module_dict);
}

static size_t read_table(const char *path, unsigned char *ret)
{
    FILE *file = fopen(path, "rb");
    size_t got = file ? fread(ret, 1, DEBUG_OFFSETS_BYTES, file) : 0;

    if (file)
        fclose(file);
    return got;
}

int main(int argc, char **argv)
{
    unsigned char table[DEBUG_OFFSETS_BYTES];
    unsigned major = 0, minor = 0;
    struct error why = ERROR_INIT;
    struct layout layout;
    struct build build;
    enum err err;

    if (argc < 3 || sscanf(argv[1], "%u.%u", &major, &minor) != 2)
        return 2;
    build = (struct build){strchr(argv[2], 'd') != NULL, strchr(argv[2], 't') != NULL,
                           strchr(argv[2], 'e') != NULL};
    err = layout_select(PYTHON_VERSION(major, minor), build, &layout, &why);
    if (err == ERR_OK && argc > 3)
        err = debugoffsets_apply(table, read_table(argv[3], table), &layout, &why);
    if (err != ERR_OK) {
        fprintf(stderr, "%s\n", why.message);
        return 1;
    }
    show_state(&layout);
    show_frame(&layout);
    show_objects(&layout);
    return 0;
}
