/* SPDX-License-Identifier: MIT */
/*
 * LLVM leaves the unwind information of functions out that cannot throw, unless it is asked for it,
 * and Numba does not ask. Their code says the same: from the entry on, every push, pop and
 * subtraction moves the stack pointer by a known number of bytes. So all paths through the function
 * are followed, each instruction once, with the distance of the stack pointer (or of a frame
 * pointer) from the CFA and the places of saved registers:
 *
 *   push %rbp              CFA = rsp + 8
 *   push %rbx              CFA = rsp + 16, rbp at CFA - 16
 *   sub  $24,%rsp          CFA = rsp + 24, rbx at CFA - 24
 *   ...                    CFA = rsp + 48
 *
 * The result is believed only if it is consistent: wherever two paths meet they must agree, and at
 * each return the stack pointer must be back where it began. A jump through a register may lead to
 * any code of the function that nothing else leads to, with the state it had. Behind a call that
 * does not return may lie code with another state: what follows calls is looked at last, and gives
 * way. Limits: functions of 1 MiB, x86-64 only.
 */
#include "pspy/machine/codeframes.h"

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "pspy/base/vec.h"
#include "x86.h"

#define SIZE_LIMIT (1u << 20)
#define UNKNOWN    INT32_MIN
#define REGISTERS  16

/* What holds before an instruction. No padding: compared as bytes. */
struct state {
    int32_t depth;            /* CFA - rsp; UNKNOWN behind an alignment */
    int32_t frame_depth;      /* CFA - rbp, which is a frame pointer then; 0: it is none */
    int32_t saved[REGISTERS]; /* CFA - the place of the register's old value; 0: not saved */
};

static const struct state entry_state = {.depth = 8};

/* Callee-saved registers by their numbers in code: rbx, rbp, r12 to r15. */
#define CALLEE_SAVED (1u << 3 | 1u << X86_RBP | 0xf000u)
/* rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi as DWARF numbers them. */
static const unsigned char dwarf_numbers[REGISTERS] = {0, 2, 1,  3,  7,  6,  4,  5,
                                                       8, 9, 10, 11, 12, 13, 14, 15};

struct path {
    uint32_t at;
    uint32_t state;
};

struct flow {
    const unsigned char *code;
    uint32_t size;
    uint32_t *states; /* of the instruction at each byte: index + 1 in known; 0: none begins here */
    unsigned char *covered; /* byte is of an instruction that was met */
    VEC(struct state) known;
    VEC(struct path) paths, behind_calls;
    uint32_t jump_state; /* index + 1 of the state at jumps through registers; 0: none */
    bool is_unclear;
};

static uint32_t state_index(struct flow *flow, const struct state *state)
{
    for (size_t i = flow->known.length; i-- > 0;)
        if (memcmp(&flow->known.items[i], state, sizeof(*state)) == 0)
            return (uint32_t)i;
    vec_push(&flow->known, *state);
    return (uint32_t)(flow->known.length - 1);
}

/* ---- What an instruction does to the stack ---- */

static bool push(struct state *state, unsigned number)
{
    if (state->depth == UNKNOWN)
        return state->frame_depth != 0;
    state->depth += 8;
    if (number < REGISTERS && CALLEE_SAVED >> number & 1 && !state->saved[number])
        state->saved[number] = state->depth;
    return true;
}

static bool pop(struct state *state, unsigned number)
{
    if (number == X86_RSP || state->depth == UNKNOWN || state->depth <= 8)
        return false;
    if (number < REGISTERS && state->saved[number] == state->depth)
        state->saved[number] = 0;
    if (number == X86_RBP)
        state->frame_depth = 0;
    state->depth -= 8;
    return true;
}

/* rsp = base + displacement. */
static bool move_to_stack_pointer(struct state *state, unsigned base, int32_t displacement)
{
    if (base == X86_RSP && state->depth != UNKNOWN)
        state->depth -= displacement;
    else if (base == X86_RBP && state->frame_depth)
        state->depth = state->frame_depth - displacement;
    else
        return false;
    return state->depth >= 8;
}

static bool leave(struct state *state)
{
    return move_to_stack_pointer(state, X86_RBP, 0) && pop(state, X86_RBP);
}

/* add, sub, and with an immediate. */
static bool compute(struct state *state, const struct x86_instruction *instruction)
{
    int32_t number = (int32_t)instruction->immediate;

    switch (instruction->reg & 7) {
    case 0:
        return move_to_stack_pointer(state, X86_RSP, number);
    case 5:
        return move_to_stack_pointer(state, X86_RSP, -number);
    case 4:
        state->depth = UNKNOWN;
        return state->frame_depth != 0;
    default:
        return (instruction->reg & 7) == 7; /* cmp */
    }
}

static bool move(struct state *state, unsigned to, unsigned from)
{
    if (to == X86_RSP)
        return move_to_stack_pointer(state, from, 0);
    if (to != X86_RBP)
        return true;
    if (from == X86_RSP && state->depth != UNKNOWN && state->saved[X86_RBP])
        state->frame_depth = state->depth;
    else if (state->frame_depth)
        return false;
    return true;
}

static bool writes_rm(unsigned opcode)
{
    return (opcode < 0x38 && (opcode & 7) == 1) || opcode == 0xc7 || opcode == 0xf7 ||
           opcode == 0xc1 || opcode == 0xd1 || opcode == 0xd3 || opcode == 0x87;
}

static bool writes_reg(unsigned opcode)
{
    return (opcode < 0x38 && (opcode & 7) == 3) || opcode == 0x63 || opcode == 0x69 ||
           opcode == 0x6b || opcode == 0x87;
}

static bool apply_modrm(struct state *state, const struct x86_instruction *instruction)
{
    unsigned opcode = instruction->opcode;
    bool is_register = instruction->mod == 3;

    switch (opcode) {
    case 0x81:
    case 0x83:
        return !is_register || instruction->rm != X86_RSP || compute(state, instruction);
    case 0x89:
        return !is_register || move(state, instruction->rm, instruction->reg);
    case 0x8b:
        return move(state, instruction->reg, is_register ? instruction->rm : X86_NO_BASE);
    case 0x8d:
        return instruction->reg == X86_RSP
                   ? move_to_stack_pointer(state, instruction->base, instruction->displacement)
                   : instruction->reg != X86_RBP || !state->frame_depth;
    case 0x8f:
        return pop(state, is_register ? instruction->rm : REGISTERS);
    case 0xff:
        return (instruction->reg & 7) == 6
                   ? push(state, REGISTERS)
                   : (instruction->reg & 7) != 3 && (instruction->reg & 7) != 5;
    default:
        return !(is_register && instruction->rm == X86_RSP && writes_rm(opcode)) &&
               !(instruction->reg == X86_RSP && writes_reg(opcode));
    }
}

static bool apply(struct state *state, const struct x86_instruction *instruction)
{
    unsigned opcode = instruction->opcode;

    if (instruction->map != X86_ONE_BYTE)
        return !(instruction->map == X86_0F && opcode >> 4 == 4 && instruction->reg == X86_RSP);
    if (instruction->has_modrm)
        return apply_modrm(state, instruction);
    if (opcode >> 4 == 5)
        return opcode < 0x58 ? push(state, instruction->opcode_register)
                             : pop(state, instruction->opcode_register);
    switch (opcode) {
    case 0x68:
    case 0x6a:
    case 0x9c:
        return push(state, REGISTERS);
    case 0x9d:
        return pop(state, REGISTERS);
    case 0xc9:
        return leave(state);
    case 0x94: /* xchg, mov of a constant */
    case 0xbc:
        return instruction->opcode_register != X86_RSP;
    default:
        return opcode != 0xc8; /* enter */
    }
}

/* ---- Where it goes on ---- */

enum step { STEP_NEXT, STEP_CALL, STEP_JUMP, STEP_BRANCH, STEP_ANYWHERE, STEP_RETURN, STEP_END };

static enum step step_of(const struct x86_instruction *instruction)
{
    unsigned opcode = instruction->opcode;

    if (instruction->map == X86_0F) {
        if (opcode >> 4 == 8)
            return STEP_BRANCH;
        return opcode == 0x0b ? STEP_END : STEP_NEXT;
    }
    if (instruction->map != X86_ONE_BYTE)
        return STEP_NEXT;
    if (opcode >> 4 == 7 || (opcode >= 0xe0 && opcode <= 0xe3))
        return STEP_BRANCH;
    switch (opcode) {
    case 0xe8:
        return STEP_CALL;
    case 0xe9:
    case 0xeb:
        return STEP_JUMP;
    case 0xc2:
    case 0xc3:
        return STEP_RETURN;
    case 0xcc:
    case 0xf4:
        return STEP_END;
    case 0xff:
        return (instruction->reg & 7) == 2   ? STEP_CALL
               : (instruction->reg & 7) == 4 ? STEP_ANYWHERE
                                             : STEP_NEXT;
    default:
        return STEP_NEXT;
    }
}

static void add_path(struct flow *flow, uint32_t at, const struct state *state)
{
    vec_push(&flow->paths, ((struct path){at, state_index(flow, state)}));
}

/* A jump out of the function is a call of another one in its last place. */
static void jump(struct flow *flow, uint32_t next, int64_t distance, const struct state *state)
{
    int64_t to = (int64_t)next + distance;

    if (to >= 0 && to < flow->size)
        add_path(flow, (uint32_t)to, state);
    else
        flow->is_unclear |= state->depth != 8;
}

static void jump_anywhere(struct flow *flow, const struct state *state)
{
    uint32_t index = state_index(flow, state) + 1;

    if (state->depth == 8) /* a call in the last place */
        return;
    flow->is_unclear |= flow->jump_state && flow->jump_state != index;
    flow->jump_state = index;
}

/* One instruction. True if the next one follows it. */
static bool follow(struct flow *flow, uint32_t *at, struct state *state)
{
    struct x86_instruction instruction;
    uint32_t next;

    if (!x86_decode(flow->code + *at, flow->size - *at, &instruction)) {
        flow->is_unclear = true;
        return false;
    }
    next = *at + instruction.length;
    flow->states[*at] = state_index(flow, state) + 1;
    memset(flow->covered + *at, 1, instruction.length);
    switch (step_of(&instruction)) {
    case STEP_RETURN:
        flow->is_unclear |= state->depth != 8;
        return false;
    case STEP_END:
        return false;
    case STEP_JUMP:
        jump(flow, next, instruction.immediate, state);
        return false;
    case STEP_ANYWHERE:
        jump_anywhere(flow, state);
        return false;
    case STEP_CALL:
        vec_push(&flow->behind_calls, ((struct path){next, state_index(flow, state)}));
        return false;
    case STEP_BRANCH:
        jump(flow, next, instruction.immediate, state);
        break;
    default:
        flow->is_unclear |= !apply(state, &instruction);
    }
    *at = next;
    return next < flow->size && !flow->is_unclear;
}

static void follow_path(struct flow *flow, struct path path, bool gives_way)
{
    struct state state = flow->known.items[path.state];
    uint32_t at = path.at;

    do {
        uint32_t known = flow->states[at];

        if (known) {
            flow->is_unclear |= known != state_index(flow, &state) + 1 && !gives_way;
            return;
        }
        gives_way = false;
    } while (follow(flow, &at, &state));
}

static void follow_paths(struct flow *flow)
{
    while (!flow->is_unclear && (flow->paths.length || flow->behind_calls.length)) {
        bool gives_way = !flow->paths.length;
        struct path path = gives_way ? flow->behind_calls.items[--flow->behind_calls.length]
                                     : flow->paths.items[--flow->paths.length];

        if (path.at < flow->size)
            follow_path(flow, path, gives_way);
    }
}

/* nop, int3: what lies between pieces of code. */
static uint32_t skip_padding(const struct flow *flow, uint32_t at)
{
    struct x86_instruction instruction;

    while (at < flow->size && !flow->covered[at] &&
           x86_decode(flow->code + at, flow->size - at, &instruction) &&
           ((instruction.map == X86_ONE_BYTE &&
             (instruction.opcode == 0x90 || instruction.opcode == 0xcc)) ||
            (instruction.map == X86_0F && instruction.opcode == 0x1f)))
        at += instruction.length;
    return at;
}

/* Code that nothing leads to but a jump through a register. */
static void follow_jump_tables(struct flow *flow)
{
    for (uint32_t at = 0; at < flow->size && flow->jump_state && !flow->is_unclear; at++) {
        if (flow->covered[at])
            continue;
        at = skip_padding(flow, at);
        if (at >= flow->size || flow->covered[at])
            continue;
        vec_push(&flow->paths, ((struct path){at, flow->jump_state - 1}));
        follow_paths(flow);
    }
}

/* ---- Writing it down ---- */

static void add_byte(struct strbuf *ret, unsigned byte)
{
    strbuf_add_char(ret, (char)byte);
}

static void add_uleb(struct strbuf *ret, uint32_t value)
{
    for (; value >= 0x80; value >>= 7)
        add_byte(ret, (value & 0x7f) | 0x80);
    add_byte(ret, value);
}

/* Pads the record that begins at `start` to a multiple of eight bytes, and writes its length. */
static void end_record(struct strbuf *ret, size_t start)
{
    uint32_t length;

    while ((ret->length - start) % 8)
        add_byte(ret, DW_CFA_nop);
    length = (uint32_t)(ret->length - start - 4);
    memcpy(ret->text + start, &length, 4);
}

void codeframes_add_cie(struct strbuf *ret)
{
    /* Version 1, "zR", alignments 1 and -8, return address 16, encoding pcrel sdata8; CFA = rsp +
     * 8, return address at CFA - 8. */
    static const unsigned char body[] = {0,   0,    0,
                                         0,   0,    0,
                                         0,   0,    1,
                                         'z', 'R',  0,
                                         1,   0x78, 16,
                                         1,   0x1c, DW_CFA_def_cfa,
                                         7,   8,    DW_CFA_offset | 16,
                                         1};
    size_t start = ret->length;

    strbuf_add(ret, body, sizeof(body));
    end_record(ret, start);
}

static void add_difference(const struct state *old, const struct state *now, struct strbuf *ret)
{
    bool by_frame = now->frame_depth != 0;

    if (old->depth != now->depth || old->frame_depth != now->frame_depth) {
        add_byte(ret, DW_CFA_def_cfa);
        add_byte(ret, dwarf_numbers[by_frame ? X86_RBP : X86_RSP]);
        add_uleb(ret, (uint32_t)(by_frame ? now->frame_depth : now->depth));
    }
    for (unsigned i = 0; i < REGISTERS; i++) {
        if (old->saved[i] == now->saved[i])
            continue;
        add_byte(ret, (now->saved[i] ? DW_CFA_offset : DW_CFA_restore) | dwarf_numbers[i]);
        if (now->saved[i])
            add_uleb(ret, (uint32_t)now->saved[i] / 8);
    }
}

/* The rows of [start, end), which is covered. */
static void add_fde(const struct flow *flow, uint32_t start, uint32_t end, uint64_t vaddr,
                    uint64_t section, size_t cie, struct strbuf *ret)
{
    size_t record = ret->length;
    uint32_t head[2] = {0, (uint32_t)(record + 4 - cie)};
    uint64_t range[2] = {vaddr + start - (section + record + 8), end - start};
    const struct state *state = &entry_state;
    uint32_t row = start;

    strbuf_add(ret, head, sizeof(head));
    strbuf_add(ret, range, sizeof(range));
    add_byte(ret, 0);
    for (uint32_t at = start; at < end; at++) {
        const struct state *now =
            flow->states[at] ? &flow->known.items[flow->states[at] - 1] : state;
        uint32_t distance = at - row;

        if (now == state)
            continue;
        if (distance) {
            add_byte(ret, DW_CFA_advance_loc4);
            strbuf_add(ret, &distance, 4);
        }
        add_difference(state, now, ret);
        state = now;
        row = at;
    }
    end_record(ret, record);
}

static void add_fdes(const struct flow *flow, uint64_t vaddr, uint64_t section, size_t cie,
                     struct strbuf *ret)
{
    for (uint32_t at = 0; at < flow->size; at++) {
        uint32_t start = at;

        while (at < flow->size && flow->covered[at])
            at++;
        if (at > start)
            add_fde(flow, start, at, vaddr, section, cie, ret);
    }
}

bool codeframes_add(const unsigned char *code, size_t size, uint64_t vaddr, uint64_t section,
                    size_t cie, struct strbuf *ret)
{
    struct flow flow = {.code = code, .size = (uint32_t)size};

    if (size == 0 || size > SIZE_LIMIT)
        return false;
    flow.states = xcalloc(size, sizeof(flow.states[0]));
    flow.covered = xcalloc(size, 1);
    add_path(&flow, 0, &entry_state);
    follow_paths(&flow);
    follow_jump_tables(&flow);
    if (!flow.is_unclear)
        add_fdes(&flow, vaddr, section, cie, ret);
    free(flow.states);
    free(flow.covered);
    vec_deinit(&flow.known);
    vec_deinit(&flow.paths);
    vec_deinit(&flow.behind_calls);
    return !flow.is_unclear;
}
