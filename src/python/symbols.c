/* SPDX-License-Identifier: MIT */
/*
 * The symbols by which an interpreter is found, and what to do where strip took them away: a short
 * function that is exported (extension modules may call it) gives away in its machine code where
 * the static variable lies that it works on.
 */
#include <string.h>

#include "detect.h"

static const char *const names[SYMBOL_COUNT] = {
    [SYMBOL_RUNTIME] = "_PyRuntime",
    [SYMBOL_VERSION] = "Py_Version",
    [SYMBOL_CODE_TYPE] = "PyCode_Type",
    [SYMBOL_THREAD_CURRENT] = "_PyThreadState_Current",
    [SYMBOL_INTERPRETERS] = "interp_head",
    [SYMBOL_GIL_LOCK] = "interpreter_lock",
    [SYMBOL_GIL_MUTEX] = "gil_mutex",
    [SYMBOL_GIL_COND] = "gil_cond",
    [SYMBOL_SWITCH_MUTEX] = "switch_mutex",
    [SYMBOL_SWITCH_COND] = "switch_cond",
    [SYMBOL_COLLECTING] = "collecting",
    [SYMBOL_REFERENCE_CHECK] = "_Py_NegativeRefcount",
    [SYMBOL_ALL_OBJECTS] = "_Py_AddToAllObjects",
    [SYMBOL_UNICODE_2] = "PyUnicodeUCS2_Decode",
    [SYMBOL_UNICODE_4] = "PyUnicodeUCS4_Decode",
    [SYMBOL_GET_VERSION] = "Py_GetVersion",
    [SYMBOL_GET_INTERPRETERS] = "PyInterpreterState_Head",
    [SYMBOL_GET_THREADS] = "PyEval_ThreadsInitialized",
    [SYMBOL_COLLECT] = "PyGC_Collect",
    [SYMBOL_END_THREADS] = "_PyEval_FiniThreads",
};

#define EVAL_LOOP  "_PyEval_EvalFrameDefault"
#define EVAL_FRAME "PyEval_EvalFrameEx"
#define CODE_BYTES 96

/* Compilers append what they did: interp_head.lto_priv.0, _PyEval_EvalFrameDefault.cold. */
static bool is_named(const char *found, const char *name)
{
    while (*name && *found == *name)
        found++, name++;
    return *name == '\0' && (*found == '\0' || *found == '.');
}

static void add_symbol(void *context, const struct image_symbol *symbol)
{
    struct symbols *symbols = context;
    struct address_range range = {symbol->vaddr, symbol->vaddr + symbol->size};

    symbols->seen++;
    if (is_named(symbol->name, EVAL_LOOP))
        vec_push(&symbols->eval_loops, range);
    else if (is_named(symbol->name, EVAL_FRAME))
        vec_push(&symbols->eval_frames, range);
    for (size_t i = 0; i < SYMBOL_COUNT; i++)
        if (symbols->vaddr[i] == 0 && is_named(symbol->name, names[i]))
            symbols->vaddr[i] = symbol->vaddr;
}

bool symbols_add(struct symbols *symbols, struct image *image, enum image_table table)
{
    size_t before = symbols->seen;

    image_each_symbol(image, table, add_symbol, symbols);
    return symbols->seen > before;
}

void symbols_deinit(struct symbols *symbols)
{
    vec_deinit(&symbols->eval_loops);
    vec_deinit(&symbols->eval_frames);
}

static bool is_variable(const struct image *image, uint64_t vaddr)
{
    struct image_segment segment;

    for (size_t i = 0; image_segment(image, i, &segment); i++)
        if (!segment.bytes && vaddr >= segment.vaddr && vaddr - segment.vaddr < segment.size)
            return true;
    return false;
}

size_t code_read(const struct image *image, uint64_t function, unsigned char *ret, size_t size)
{
    if (!function)
        return 0;
    while (size > 0 && !image_read(image, function, ret, size))
        size /= 2;
    return size;
}

/*
 * x86-64: an operand at a distance from the next instruction has the low bits 101 and high bits 00
 * in its ModRM byte; a comparison with a byte has that byte behind it:
 *   48 8b 05 c9 08 0e 00      mov interp_head(%rip),%rax
 *   48 83 3d 26 7c 10 00 00   cmpq $0,interpreter_lock(%rip)
 *   48 8d 3d 3b 68 1b 00      lea gil_cond(%rip),%rdi
 */
enum { MOV = 0x8b, COMPARE_BYTE = 0x83, LEA = 0x8d, RETURN = 0xc3, INSTRUCTION_SIZE = 7 };

static bool has_operand(const unsigned char *code)
{
    return (code[0] == MOV || code[0] == COMPARE_BYTE || code[0] == LEA) && (code[1] & 0xc7) == 5;
}

/* The operand's address; `code` is a copy of what lies at `vaddr`. */
static uint64_t operand_of(const unsigned char *code, uint64_t vaddr)
{
    int32_t distance;

    memcpy(&distance, code + 2, sizeof(distance));
    return vaddr + 6 + (code[0] == COMPARE_BYTE) + (uint64_t)(int64_t)distance;
}

bool code_find_variable(const struct image *image, uint64_t function, uint64_t *ret_vaddr)
{
    unsigned char code[CODE_BYTES];
    size_t size = code_read(image, function, code, CODE_BYTES / 2);

    for (size_t at = 0; at + INSTRUCTION_SIZE < size && code[at] != RETURN; at++) {
        uint64_t vaddr;

        if (!has_operand(code + at))
            continue;
        vaddr = operand_of(code + at, function + at);
        if (!is_variable(image, vaddr))
            return false;
        *ret_vaddr = vaddr;
        return true;
    }
    return false;
}

size_t code_find_addresses(const struct image *image, uint64_t function, uint64_t *ret_vaddrs,
                           size_t limit)
{
    unsigned char code[CODE_BYTES];
    size_t size = code_read(image, function, code, sizeof(code)), count = 0;

    for (size_t at = 0; at + INSTRUCTION_SIZE < size && count < limit; at++) {
        uint64_t vaddr = function;

        if (code[at] == LEA && has_operand(code + at))
            vaddr = operand_of(code + at, function + at);
        if (vaddr != function && is_variable(image, vaddr))
            ret_vaddrs[count++] = vaddr;
    }
    return count;
}
