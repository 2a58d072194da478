/* SPDX-License-Identifier: MIT */
/*
 * A section is a row of records: u32 length, u32 id, the body. In .eh_frame id 0 is a CIE, what
 * many functions have in common, and any other id is the distance back to the CIE of an FDE, which
 * describes one stretch of code. In .debug_frame all ones are a CIE, and else the id is the CIE's
 * place. Length 0xffffffff: both follow as 64 bits. As readelf -wf shows them:
 *
 *   00000000 0000000000000014 00000000 CIE  "zR" code 1 data -8 ra 16, 1b; def_cfa, offset
 *   00000018 0000000000000014 0000001c FDE cie=00000000 pc=0000000000001040..0000000000001062
 *
 * Read once from front to end, each CIE executed once and each FDE once: linear in the section,
 * whatever it holds. FDEs are then ordered by address. Where two overlap, the one that begins later
 * counts from there on, and behind its end nothing does: as for a search by the start of a
 * function, which is what every unwinder does.
 */
#include "pspy/cfi/cfi.h"

#include <assert.h>
#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "cfi_program.h"
#include "pspy/base/table.h"
#include "pspy/base/vec.h"

#define RULE_LIMIT UINT16_MAX
#define MEMO       256

enum { RULE_GAP, RULE_EXOTIC, RULE_STOP };

struct cie {
    size_t at;
    bool is_bad;      /* of a form that is not understood: its FDEs are exotic */
    bool has_data;    /* its FDEs have augmentation data */
    unsigned pc_size; /* .debug_frame: bytes of an address */
    struct cfi_program program;
};

struct fde {
    uint32_t start, end; /* from low */
    uint32_t cie;
    uint32_t code_size;
    const unsigned char *code;
    uint64_t vaddr; /* of code */
};

struct compiler {
    const struct cfi_arch *arch;
    uint64_t low, high;
    VEC(struct cie) cies;
    VEC(struct fde) fdes;
    VEC(uint32_t) pcs;
    VEC(uint16_t) indices;
    VEC(struct cfi_rule) rules;
    struct table by_content;
    uint16_t memo[MEMO]; /* by hash: the rule that was last found there */
    /* The stretch being compiled. */
    const struct fde *fde;
    uint32_t at;
};

/* ---- rules and rows -------------------------------------------------------------------------- */

static bool rule_is(const void *context, uint32_t index, const void *key)
{
    const struct compiler *compiler = context;

    return memcmp(&compiler->rules.items[index], key, sizeof(struct cfi_rule)) == 0;
}

/* hash_mix() would take a third of the time that a row takes. */
static uint64_t hash_rule(const struct cfi_rule *rule)
{
    uint64_t words[2];
    uint32_t rest;

    static_assert(sizeof(*rule) == sizeof(words) + sizeof(rest), "no padding");
    memcpy(words, rule, sizeof(words));
    memcpy(&rest, (const char *)rule + sizeof(words), sizeof(rest));
    return (words[0] * 0x9e3779b97f4a7c15u + (words[1] ^ rest) * 0xbf58476d1ce4e5b9u) >> 32;
}

static uint32_t add_rule(struct compiler *compiler, const struct cfi_rule *rule)
{
    vec_push(&compiler->rules, *rule);
    table_add(&compiler->by_content, hash_rule(rule), (uint32_t)compiler->rules.length - 1);
    return (uint32_t)compiler->rules.length - 1;
}

static uint16_t find_rule(struct compiler *compiler, const struct cfi_rule *rule)
{
    uint64_t hash = hash_rule(rule);
    uint16_t *memo = &compiler->memo[hash % MEMO];
    uint32_t index;

    if (rule_is(compiler, *memo, rule))
        return *memo;
    index = table_find(&compiler->by_content, hash, rule_is, compiler, rule);
    if (index == TABLE_NONE && compiler->rules.length == RULE_LIMIT)
        return RULE_EXOTIC;
    if (index == TABLE_NONE)
        index = add_rule(compiler, rule);
    *memo = (uint16_t)index;
    return *memo;
}

/* From `pc` on the rule holds. What began there before is forgotten. */
static void add_row(struct compiler *compiler, uint32_t pc, uint16_t rule)
{
    size_t count = compiler->pcs.length;

    if (count > 0 && compiler->pcs.items[count - 1] == pc)
        count--;
    compiler->pcs.length = compiler->indices.length = count;
    if (count > 0 && compiler->indices.items[count - 1] == rule)
        return;
    vec_push(&compiler->pcs, pc);
    vec_push(&compiler->indices, rule);
}

static void end_row(void *context, const struct cfi_state *state, uint64_t next_pc)
{
    struct compiler *compiler = context;
    const struct fde *fde = compiler->fde;
    uint64_t next = next_pc - compiler->low;
    struct cfi_rule rule;

    if (compiler->at >= fde->end || next <= compiler->at)
        return;
    if (state->odd) {
        rule = cfi_odd_rule(&compiler->cies.items[fde->cie].program, state);
        add_row(compiler, compiler->at, find_rule(compiler, &rule));
    } else {
        add_row(compiler, compiler->at, find_rule(compiler, &state->rule));
    }
    compiler->at = next < fde->end ? (uint32_t)next : fde->end;
}

static void compile(struct compiler *compiler, const struct fde *fde)
{
    const struct cie *cie = &compiler->cies.items[fde->cie];
    struct cfi_state state = cie->program.initial;
    struct cfi_reader code = {fde->code, fde->code + fde->code_size, false};

    compiler->fde = fde;
    compiler->at = fde->start;
    if (!cie->is_bad && cfi_execute(&cie->program, code, fde->vaddr, compiler->low + fde->start,
                                    &state, end_row, compiler))
        end_row(compiler, &state, compiler->low + fde->end);
    else if (compiler->at < fde->end)
        add_row(compiler, compiler->at, RULE_EXOTIC);
    add_row(compiler, fde->end, RULE_GAP);
}

/* ---- records --------------------------------------------------------------------------------- */

struct record {
    size_t at;              /* its place in the section */
    size_t id_at;           /* that of its id */
    struct cfi_reader body; /* behind the id */
    uint64_t id;
    bool is_cie;
};

static uint64_t vaddr_of(const struct cfi_section *section, const unsigned char *at)
{
    return section->vaddr + (uint64_t)(at - section->bytes);
}

/* False at the end of what can be read. An empty record, between two files' parts or at the end,
 * has no body. */
static bool read_record(const struct cfi_section *section, size_t at, struct record *ret)
{
    struct cfi_reader reader = {section->bytes + at, section->bytes + section->size, false};
    unsigned size = 4;
    uint64_t length = cfi_read_number(&reader, 4);

    if (length == UINT32_MAX) {
        size = 8;
        length = cfi_read_number(&reader, 8);
    }
    if (reader.is_bad || length > (uint64_t)(reader.end - reader.at))
        return false;
    reader.end = reader.at + length;
    *ret = (struct record){.at = at, .id_at = (size_t)(reader.at - section->bytes)};
    ret->id = length ? cfi_read_number(&reader, size) : 0;
    ret->body = reader;
    if (section->is_debug_frame)
        ret->is_cie = ret->id == (size == 4 ? UINT32_MAX : UINT64_MAX);
    else
        ret->is_cie = ret->id == 0;
    return !reader.is_bad;
}

/* The letters behind 'z', and the data that they announce. False: not understood. */
static bool read_augmentation(struct cie *cie, const char *letters, struct cfi_reader data)
{
    for (; *letters; letters++) {
        switch (*letters) {
        case 'R':
            cie->program.encoding = (unsigned)cfi_read_number(&data, 1);
            break;
        case 'P': /* only its length matters */
            cfi_read_pointer(&data, (unsigned)cfi_read_number(&data, 1) & 0x0f, 0);
            break;
        case 'L':
            cfi_read_number(&data, 1);
            break;
        case 'S':
            cie->program.is_signal = true;
            break;
        case 'B': /* aarch64: return addresses are signed with the other key */
        case 'G': /* aarch64: frames are tagged */
            break;
        default: /* what stands behind an unknown letter cannot be told */
            return false;
        }
    }
    return !data.is_bad;
}

/* Up to the augmentation's data. The letters, or NULL if it is of a form that is not understood. */
static const char *read_cie_head(struct cie *cie, struct cfi_reader *body)
{
    unsigned version = (unsigned)cfi_read_number(body, 1);
    const char *letters = (const char *)body->at;
    const unsigned char *end = memchr(body->at, 0, (size_t)(body->end - body->at));
    uint64_t return_address;

    if (!end || (version != 1 && version != 3 && version != 4))
        return NULL;
    body->at = end + 1;
    cie->pc_size = version == 4 ? (unsigned)cfi_read_number(body, 1) : 8;
    if ((cie->pc_size != 4 && cie->pc_size != 8) ||
        (version == 4 && cfi_read_number(body, 1) != 0)) /* bytes of a segment's number */
        return NULL;
    cie->program.code_alignment = cfi_read_uleb(body);
    cie->program.data_alignment = cfi_read_sleb(body);
    return_address = version == 1 ? cfi_read_number(body, 1) : cfi_read_uleb(body);
    cie->has_data = letters[0] == 'z';
    if (return_address != cie->program.arch->tracked[CFI_RA] || (letters[0] && !cie->has_data))
        return NULL;
    return letters;
}

/* False: not understood. */
static bool read_cie_body(struct cie *cie, const struct cfi_section *section,
                          struct cfi_reader body)
{
    const char *letters = read_cie_head(cie, &body);
    struct cfi_reader data;
    uint64_t size;

    if (!letters)
        return false;
    size = cie->has_data ? cfi_read_uleb(&body) : 0;
    if (body.is_bad || size > (uint64_t)(body.end - body.at))
        return false;
    data = (struct cfi_reader){body.at, body.at + size, false};
    if (cie->has_data && !read_augmentation(cie, letters + 1, data))
        return false;
    body.at += size;
    cie->program.initial = cfi_state_begin(&cie->program);
    return cfi_execute(&cie->program, body, vaddr_of(section, body.at), 0, &cie->program.initial,
                       NULL, NULL);
}

static void read_cie(struct compiler *compiler, const struct cfi_section *section,
                     const struct record *record)
{
    struct cie cie = {.at = record->at,
                      .program = {.arch = compiler->arch, .encoding = DW_EH_PE_absptr}};

    cie.is_bad = !read_cie_body(&cie, section, record->body);
    vec_push(&compiler->cies, cie);
}

/* The CIEs of this section begin at `first`, in the order of their places. */
static const struct cie *find_cie(const struct compiler *compiler, size_t first, uint64_t at)
{
    size_t low = first, high = compiler->cies.length;

    if (high > first && compiler->cies.items[high - 1].at == at)
        return &compiler->cies.items[high - 1];
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compiler->cies.items[middle].at < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low < compiler->cies.length && compiler->cies.items[low].at == at
               ? &compiler->cies.items[low]
               : NULL;
}

/* What of the code lies outside [low, high) is left out. */
static void add_fde(struct compiler *compiler, struct fde fde, uint64_t start, uint64_t size)
{
    if (start < compiler->low || start >= compiler->high || size == 0)
        return;
    if (size > compiler->high - start)
        size = compiler->high - start;
    fde.start = (uint32_t)(start - compiler->low);
    fde.end = fde.start + (uint32_t)size;
    vec_push(&compiler->fdes, fde);
}

static void read_fde(struct compiler *compiler, const struct cfi_section *section, size_t first_cie,
                     const struct record *record)
{
    uint64_t cie_at = section->is_debug_frame ? record->id : record->id_at - record->id;
    const struct cie *cie = find_cie(compiler, first_cie, cie_at);
    struct cfi_reader body = record->body;
    uint64_t start, size, skipped;
    unsigned encoding;

    if (!cie)
        return;
    encoding = cie->program.encoding;
    if (section->is_debug_frame && cie->pc_size == 4)
        encoding = DW_EH_PE_udata4;
    start = cfi_read_pointer(&body, encoding, vaddr_of(section, body.at));
    size = cfi_read_pointer(&body, encoding & 0x0f, 0);
    skipped = cie->has_data ? cfi_read_uleb(&body) : 0;
    if (body.is_bad || skipped > (uint64_t)(body.end - body.at))
        return;
    body.at += skipped;
    add_fde(compiler,
            (struct fde){.cie = (uint32_t)(cie - compiler->cies.items),
                         .code = body.at,
                         .code_size = (uint32_t)(body.end - body.at),
                         .vaddr = vaddr_of(section, body.at)},
            start, size);
}

static void read_section(struct compiler *compiler, const struct cfi_section *section)
{
    size_t first_cie = compiler->cies.length;
    struct record record;

    for (size_t at = 0; read_record(section, at, &record);
         at = (size_t)(record.body.end - section->bytes)) {
        if (record.body.end == section->bytes + record.id_at)
            continue;
        if (record.is_cie)
            read_cie(compiler, section, &record);
        else
            read_fde(compiler, section, first_cie, &record);
    }
}

/* ---- order ----------------------------------------------------------------------------------- */

static bool is_sorted(const struct fde *fdes, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (fdes[i - 1].start > fdes[i].start)
            return false;
    return true;
}

/* One pass of a radix sort: by the eleven bits from `shift` on. */
static void sort_by_bits(const struct fde *from, struct fde *to, size_t count, unsigned shift)
{
    size_t places[2048] = {0}, sum = 0;

    for (size_t i = 0; i < count; i++)
        places[from[i].start >> shift & 2047]++;
    for (size_t i = 0; i < 2048; i++) {
        size_t here = places[i];

        places[i] = sum;
        sum += here;
    }
    for (size_t i = 0; i < count; i++)
        to[places[from[i].start >> shift & 2047]++] = from[i];
}

static void sort(struct compiler *compiler)
{
    size_t count = compiler->fdes.length;
    struct fde *fdes = compiler->fdes.items, *room;

    if (is_sorted(fdes, count))
        return;
    room = xreallocarray(NULL, count, sizeof(*room));
    sort_by_bits(fdes, room, count, 0);
    sort_by_bits(room, fdes, count, 11);
    sort_by_bits(fdes, room, count, 22);
    memcpy(fdes, room, count * sizeof(*room));
    free(room);
}

/* Whether one of the first `count` FDEs, which are sorted, describes code of `fde` too. */
static bool is_covered(const struct compiler *compiler, size_t count, const struct fde *fde)
{
    const struct fde *fdes = compiler->fdes.items;
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (fdes[middle].start < fde->end)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && fdes[low - 1].end > fde->start;
}

/* Sections after the first fill its gaps. */
static void fill_gaps(struct compiler *compiler, const struct cfi_section *section)
{
    size_t before = compiler->fdes.length, kept = before;

    read_section(compiler, section);
    for (size_t i = before; i < compiler->fdes.length; i++)
        if (!is_covered(compiler, before, &compiler->fdes.items[i]))
            compiler->fdes.items[kept++] = compiler->fdes.items[i];
    compiler->fdes.length = kept;
    sort(compiler);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static void begin(struct compiler *compiler)
{
    static const enum cfi_kind kinds[] = {
        [RULE_GAP] = CFI_GAP, [RULE_EXOTIC] = CFI_EXOTIC, [RULE_STOP] = CFI_STOP};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct cfi_rule rule = {.kind = (uint8_t)kinds[i]};

        add_rule(compiler, &rule);
    }
    add_row(compiler, 0, RULE_GAP);
}

static void compile_all(struct compiler *compiler)
{
    struct fde *fdes = compiler->fdes.items;

    for (size_t i = 0; i < compiler->fdes.length; i++) {
        if (i + 1 < compiler->fdes.length && fdes[i + 1].start < fdes[i].end)
            fdes[i].end = fdes[i + 1].start;
        if (fdes[i].start < fdes[i].end)
            compile(compiler, &fdes[i]);
    }
}

static struct cfi *take_rows(struct compiler *compiler)
{
    struct cfi *cfi = xmalloc(sizeof(*cfi));
    size_t count = compiler->pcs.length;

    *cfi = (struct cfi){
        .arch = compiler->arch,
        .low = compiler->low,
        .count = (uint32_t)count,
        .rule_count = (uint32_t)compiler->rules.length,
        .pc = xreallocarray(compiler->pcs.items, count, sizeof(uint32_t)),
        .rule = xreallocarray(compiler->indices.items, count, sizeof(uint16_t)),
        .rules = compiler->rules.items,
    };
    return cfi;
}

struct cfi *cfi_compile(const struct cfi_arch *arch, uint64_t low, uint64_t high,
                        const struct cfi_section *sections, size_t count)
{
    struct compiler compiler = {.arch = arch, .low = low, .high = high};
    struct cfi *cfi;

    if (compiler.high - low > UINT32_MAX)
        compiler.high = low + UINT32_MAX;
    begin(&compiler);
    for (size_t i = 0; i < count; i++)
        fill_gaps(&compiler, &sections[i]);
    compile_all(&compiler);
    cfi = take_rows(&compiler);
    table_deinit(&compiler.by_content);
    vec_deinit(&compiler.cies);
    vec_deinit(&compiler.fdes);
    return cfi;
}

void cfi_destroy(struct cfi *cfi)
{
    if (!cfi)
        return;
    free(cfi->pc);
    free(cfi->rule);
    free(cfi->rules);
    free(cfi);
}

const struct cfi_rule *cfi_find(const struct cfi *cfi, uint64_t vaddr)
{
    uint64_t from_low = vaddr - cfi->low;
    uint32_t at = 0, key = (uint32_t)from_low;

    if (from_low > UINT32_MAX)
        return &cfi->rules[RULE_GAP];
    /* No branch depends on what is compared: such a one is mispredicted half of the time. */
    for (uint32_t count = cfi->count; count > 1;) {
        uint32_t half = count / 2;

        at = cfi->pc[at + half] <= key ? at + half : at;
        count -= half;
    }
    return &cfi->rules[cfi->rule[at]];
}
