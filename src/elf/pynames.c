/* SPDX-License-Identifier: MIT */
/*
 * C functions that Python can call are listed in static tables: a type object or a type's spec with
 * its slots, its methods and its attributes; a module's definition with its functions. Each entry
 * is a name and the address of code. The tables have no symbols in a stripped file, so every word
 * of the data is tried as the name of a type or of a module, and believed only if all that must
 * follow fits: texts that are names, code that lies in code, small numbers where sizes and flags
 * are.
 *
 *     PyMethodDef   {"sort", list_sort, METH_FASTCALL | METH_KEYWORDS, doc}, ..., {NULL}
 *     PyTypeObject  ..., "list", 40, 0, list_dealloc, ..., list_methods, ...
 *     PyType_Spec   {"_json.Scanner", 72, 0, flags, {{Py_tp_call, scanner_call}, ..., {0}}}
 *     PyModuleDef   ..., "_json", doc, size, speedups_methods, ...
 *
 * The structs have been the same since CPython 2.7 as far as they are read here, but for the table
 * of numbers. Two tables may name one function (set.union and frozenset.union); two types
 * are both said, of more disagreement nothing is.
 */
#include "pspy/elf/pynames.h"

#include <stdlib.h>
#include <string.h>

#include "pspy/base/vec.h"
#include "pspy/base/xmalloc.h"
#include "words.h"

#define TABLE_LIMIT 1000 /* entries of a table */
#define SIZE_LIMIT  1000000
#define POINTER     8

/* Where a slot's function stands: in the type, or in one of the structs that it points to. */
enum slot_place { IN_TYPE, IN_NUMBER, IN_SEQUENCE, IN_MAPPING, SLOT_PLACES };

/* Bytes from the type's name, the first member after its variable head, to others. */
enum type_member {
    TYPE_BASIC_SIZE = 8,
    TYPE_ITEM_SIZE = 16,
    TYPE_CALL_OFFSET = 32, /* up to 3.7 a function */
    TYPE_NUMBER = 72,
    TYPE_SEQUENCE = 80,
    TYPE_MAPPING = 88,
    TYPE_FLAGS = 144,
    TYPE_METHODS = 208,
    TYPE_GETSET = 224,
    TYPE_NEW = 288,
    TYPE_VECTORCALL = 376,
};

static const uint64_t place_members[SLOT_PLACES] = {
    [IN_NUMBER] = TYPE_NUMBER, [IN_SEQUENCE] = TYPE_SEQUENCE, [IN_MAPPING] = TYPE_MAPPING};

#define SPEC_METHODS 64 /* Py_tp_methods */
#define SPEC_GETSET  73 /* Py_tp_getset */
#define SPEC_LAST    127

struct slot {
    enum slot_place place;
    uint16_t offset; /* in that struct; of a type's from its name */
    uint16_t number; /* in a spec; 0: in none */
    const char *member;
};

/* Not here: what only passes a call on (getattro, descr_get), and what Python never names
 * (traverse, alloc). */
static const struct slot slots[] = {
    {IN_TYPE, 24, 52, " deallocation"},     {IN_TYPE, 64, 66, ".__repr__"},
    {IN_TYPE, 96, 59, ".__hash__"},         {IN_TYPE, 104, 50, ".__call__"},
    {IN_TYPE, 112, 70, ".__str__"},         {IN_TYPE, 176, 67, " comparison"},
    {IN_TYPE, 192, 62, ".__iter__"},        {IN_TYPE, 200, 63, ".__next__"},
    {IN_TYPE, 272, 60, ".__init__"},        {IN_TYPE, TYPE_NEW, 65, ".__new__"},
    {IN_TYPE, TYPE_VECTORCALL, 0, "()"},    {IN_SEQUENCE, 0, 45, ".__len__"},
    {IN_SEQUENCE, 8, 40, ".__add__"},       {IN_SEQUENCE, 16, 46, ".__mul__"},
    {IN_SEQUENCE, 24, 44, ".__getitem__"},  {IN_SEQUENCE, 40, 39, " item change"},
    {IN_SEQUENCE, 56, 41, ".__contains__"}, {IN_SEQUENCE, 64, 42, ".__iadd__"},
    {IN_MAPPING, 0, 4, ".__len__"},         {IN_MAPPING, 8, 5, ".__getitem__"},
    {IN_MAPPING, 16, 3, " item change"},    {IN_NUMBER, 0, 7, ".__add__"},
    {IN_NUMBER, 8, 36, ".__sub__"},         {IN_NUMBER, 16, 29, ".__mul__"},
    {IN_NUMBER, 24, 34, ".__mod__"},        {IN_NUMBER, 32, 10, ".__divmod__"},
    {IN_NUMBER, 40, 33, ".__pow__"},        {IN_NUMBER, 48, 30, ".__neg__"},
    {IN_NUMBER, 56, 32, ".__pos__"},        {IN_NUMBER, 64, 6, ".__abs__"},
    {IN_NUMBER, 72, 9, ".__bool__"},        {IN_NUMBER, 80, 27, ".__invert__"},
    {IN_NUMBER, 88, 28, ".__lshift__"},     {IN_NUMBER, 96, 35, ".__rshift__"},
    {IN_NUMBER, 104, 8, ".__and__"},        {IN_NUMBER, 112, 38, ".__xor__"},
    {IN_NUMBER, 120, 31, ".__or__"},        {IN_NUMBER, 128, 26, ".__int__"},
    {IN_NUMBER, 144, 11, ".__float__"},     {IN_NUMBER, 232, 12, ".__floordiv__"},
    {IN_NUMBER, 240, 37, ".__truediv__"},   {IN_NUMBER, 264, 13, ".__index__"},
    {IN_NUMBER, 272, 75, ".__matmul__"},
};
#define SLOT_COUNT (sizeof(slots) / sizeof(slots[0]))

/* tp_flags that every type of Python 2 has and none of Python 3: its numbers differ. */
#define FLAGS_OF_PYTHON_2 0x1ebU

/* One statement of a table: `owner` and `member` are offsets in the texts. */
struct entry {
    uint64_t start;
    size_t owner, member;
    bool is_orphan; /* whose table nothing is known to hold */
};

struct pynames {
    VEC(struct entry) entries; /* by start; one each after pynames_create */
    struct strbuf texts;
};

struct reader {
    struct words words;
    VEC(uint64_t) types;
    bool has_vectorcall; /* the file's types are of 3.8 or later, and end with it */
    struct pynames *names;
};

/* The word there, or 0 where there is none. */
static uint64_t word(const struct reader *reader, uint64_t vaddr)
{
    uint64_t value;

    words_read(&reader->words, vaddr, &value);
    return value;
}

/* ---- tables ---- */

static size_t add_text(struct reader *reader, const char *text)
{
    struct strbuf *texts = &reader->names->texts;
    size_t offset = texts->length;

    strbuf_add(texts, text, strlen(text) + 1);
    return offset;
}

/* `lead` is what stands between the owner and its member. */
static void add_entry(struct reader *reader, uint64_t start, size_t owner, const char *lead,
                      const char *member)
{
    struct strbuf *texts = &reader->names->texts;
    struct entry entry = {start, owner, texts->length, false};

    if (!words_are_code(&reader->words, start))
        return;
    strbuf_add_text(texts, texts->text[owner] ? lead : "");
    add_text(reader, member);
    vec_push(&reader->names->entries, entry);
}

struct definition {
    const char *name;
    uint64_t function, other; /* of an attribute: getter, setter */
};

typedef bool definition_fn(const struct reader *reader, uint64_t vaddr, struct definition *ret);

/* {name, function, flags, doc}: flags are an int of which CPython knows ten bits. */
static bool read_method(const struct reader *reader, uint64_t vaddr, struct definition *ret)
{
    uint64_t flags = word(reader, vaddr + 16) & UINT32_MAX;

    ret->name = words_name(&reader->words, word(reader, vaddr));
    ret->function = word(reader, vaddr + 8);
    ret->other = 0;
    return ret->name && flags < 0x400 && ret->function &&
           words_may_be_code(&reader->words, ret->function);
}

/* {name, getter, setter, doc, closure} */
static bool read_attribute(const struct reader *reader, uint64_t vaddr, struct definition *ret)
{
    ret->name = words_name(&reader->words, word(reader, vaddr));
    ret->function = word(reader, vaddr + 8);
    ret->other = word(reader, vaddr + 16);
    return ret->name && words_may_be_code(&reader->words, ret->function) &&
           words_may_be_code(&reader->words, ret->other);
}

struct table_kind {
    definition_fn *read;
    uint64_t stride;
};
static const struct table_kind methods = {read_method, 32}, attributes = {read_attribute, 40};

/* Whether a table that ends with an empty entry lies there, or none is pointed to. */
static bool is_table(const struct reader *reader, const struct table_kind *kind, uint64_t vaddr)
{
    struct definition definition;
    uint64_t name;

    if (vaddr == 0)
        return true;
    for (size_t i = 0; i < TABLE_LIMIT; i++, vaddr += kind->stride) {
        if (!words_read(&reader->words, vaddr, &name))
            return false;
        if (name == 0)
            return true;
        if (!kind->read(reader, vaddr, &definition))
            return false;
    }
    return false;
}

/* A table that is_table has seen. */
static void add_table(struct reader *reader, const struct table_kind *kind, uint64_t vaddr,
                      size_t owner)
{
    struct definition definition;

    for (; vaddr && word(reader, vaddr); vaddr += kind->stride) {
        kind->read(reader, vaddr, &definition);
        add_entry(reader, definition.function, owner, ".", definition.name);
        if (definition.other && definition.other != definition.function)
            add_entry(reader, definition.other, owner, ".", definition.name);
    }
}

/* ---- what holds tables ---- */

/* What an object's references are before anyone has some: one, or so many that it never ends. */
static bool is_count(uint64_t count)
{
    return count == 1 || count >= 1 << 30;
}

/* A static object begins with its references (a word earlier with free threads), its type, which
 * the program may set at run time, and its size, which a type has not. */
static bool is_head(const struct reader *reader, uint64_t end)
{
    uint64_t type = word(reader, end - 2 * POINTER), room;

    return word(reader, end - POINTER) == 0 &&
           (type == 0 || type == WORDS_ELSEWHERE || words_bytes(&reader->words, type, &room)) &&
           (is_count(word(reader, end - 3 * POINTER)) || is_count(word(reader, end - 4 * POINTER)));
}

static bool is_type(const struct reader *reader, uint64_t at)
{
    uint64_t size = word(reader, at + TYPE_BASIC_SIZE);

    if (!is_head(reader, at) || size > SIZE_LIMIT ||
        word(reader, at + TYPE_ITEM_SIZE) > SIZE_LIMIT ||
        word(reader, at + TYPE_FLAGS) > UINT32_MAX)
        return false;
    for (size_t i = 0; i < SLOT_COUNT && slots[i].place == IN_TYPE; i++)
        if (slots[i].offset <= TYPE_NEW &&
            !words_may_be_code(&reader->words, word(reader, at + slots[i].offset)))
            return false;
    return is_table(reader, &methods, word(reader, at + TYPE_METHODS)) &&
           is_table(reader, &attributes, word(reader, at + TYPE_GETSET));
}

static bool has_slot(const struct reader *reader, uint64_t type, const struct slot *slot)
{
    bool is_old = (word(reader, type + TYPE_FLAGS) & FLAGS_OF_PYTHON_2) == FLAGS_OF_PYTHON_2;

    if (slot->offset == TYPE_VECTORCALL && slot->place == IN_TYPE)
        return reader->has_vectorcall;
    return slot->place != IN_NUMBER || !is_old;
}

static void add_type(struct reader *reader, uint64_t at)
{
    size_t owner = add_text(reader, words_name(&reader->words, word(reader, at)));

    add_table(reader, &methods, word(reader, at + TYPE_METHODS), owner);
    add_table(reader, &attributes, word(reader, at + TYPE_GETSET), owner);
    for (size_t i = 0; i < SLOT_COUNT; i++) {
        const struct slot *slot = &slots[i];
        uint64_t base = at;

        if (!has_slot(reader, at, slot))
            continue;
        if (slot->place != IN_TYPE)
            base = word(reader, at + place_members[slot->place]);
        if (base && base != WORDS_ELSEWHERE)
            add_entry(reader, word(reader, base + slot->offset), owner, "", slot->member);
    }
}

#define MODULE_SIZE    16
#define MODULE_METHODS 24

/* Before a module's name come its init function, index and copies, which are filled at run time. */
static bool is_module(const struct reader *reader, uint64_t at)
{
    uint64_t size = word(reader, at + MODULE_SIZE), table = word(reader, at + MODULE_METHODS);

    for (uint64_t back = POINTER; back <= 4 * POINTER; back += POINTER)
        if (word(reader, at - back))
            return false;
    return (size == UINT64_MAX || size <= SIZE_LIMIT) && table && is_table(reader, &methods, table);
}

static void add_module(struct reader *reader, uint64_t at, const char *name)
{
    bool is_builtin = strcmp(name, "builtins") == 0;

    add_table(reader, &methods, word(reader, at + MODULE_METHODS),
              add_text(reader, is_builtin ? "" : name));
}

#define SPEC_FLAGS 16
#define SPEC_SLOTS 24

static bool is_spec(const struct reader *reader, uint64_t at)
{
    uint64_t slot = word(reader, at + SPEC_SLOTS), sizes = word(reader, at + TYPE_BASIC_SIZE);

    if (!slot || word(reader, at + SPEC_FLAGS) > UINT32_MAX || (sizes & UINT32_MAX) > SIZE_LIMIT)
        return false;
    for (size_t i = 0; i <= SPEC_LAST; i++, slot += 2 * POINTER) {
        uint64_t number;

        if (!words_read(&reader->words, slot, &number) || number > SPEC_LAST)
            return false;
        if (number == 0)
            return i > 0 && word(reader, slot + POINTER) == 0;
    }
    return false;
}

static void add_spec_slot(struct reader *reader, uint64_t number, uint64_t value, size_t owner)
{
    if (number == SPEC_METHODS && is_table(reader, &methods, value))
        add_table(reader, &methods, value, owner);
    if (number == SPEC_GETSET && is_table(reader, &attributes, value))
        add_table(reader, &attributes, value, owner);
    for (size_t i = 0; i < SLOT_COUNT; i++)
        if (slots[i].number == number)
            add_entry(reader, value, owner, "", slots[i].member);
}

static void add_spec(struct reader *reader, uint64_t at, const char *name)
{
    size_t owner = add_text(reader, name);

    for (uint64_t slot = word(reader, at + SPEC_SLOTS); word(reader, slot); slot += 2 * POINTER)
        add_spec_slot(reader, word(reader, slot), word(reader, slot + POINTER), owner);
}

/* Functions whose table no module's definition names, as in Python 2. */
static void add_orphan(struct reader *reader, uint64_t at)
{
    struct definition definition;

    if (!read_method(reader, at, &definition) || !(word(reader, at + 16) & UINT32_MAX) ||
        !words_are_code(&reader->words, definition.function))
        return;
    add_entry(reader, definition.function, add_text(reader, ""), "", definition.name);
    reader->names->entries.items[reader->names->entries.length - 1].is_orphan = true;
}

static void try_word(struct reader *reader, uint64_t at)
{
    const char *name = words_name(&reader->words, word(reader, at));

    if (!name)
        return;
    if (is_type(reader, at))
        vec_push(&reader->types, at);
    else if (is_module(reader, at))
        add_module(reader, at, name);
    else if (is_spec(reader, at))
        add_spec(reader, at, name);
    else
        add_orphan(reader, at);
}

static void read_tables(struct reader *reader)
{
    vec_each (segment, &reader->words.segments)
        if (!(segment->p_flags & PF_X))
            for (uint64_t at = (segment->p_vaddr + POINTER - 1) & ~(uint64_t)(POINTER - 1);
                 at + POINTER <= segment->p_vaddr + segment->p_filesz; at += POINTER)
                try_word(reader, at);
    vec_each (type, &reader->types) {
        uint64_t offset = word(reader, *type + TYPE_CALL_OFFSET);

        reader->has_vectorcall |= offset > 0 && offset <= SIZE_LIMIT;
    }
    vec_each (type, &reader->types)
        add_type(reader, *type);
}

/* ---- one name for each function ---- */

static int by_start(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;

    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    if (a->is_orphan != b->is_orphan)
        return a->is_orphan ? 1 : -1;
    return (a->owner > b->owner) - (a->owner < b->owner); /* in the file's order */
}

/* Joins two statements about one function into `into`; false if they cannot both be right. */
static bool join(struct pynames *names, struct entry *into, const struct entry *other)
{
    const char *texts = names->texts.text;
    const char *owner = texts + into->owner, *more = texts + other->owner;
    const char *member = texts + into->member, *same = texts + other->member;
    struct strbuf both = STRBUF_INIT;

    if (other->is_orphan && !into->is_orphan)
        return true;
    if (strcmp(member, same) != 0)
        return false;
    if (strcmp(owner, more) == 0 || strcmp(owner, "object") == 0)
        return true;
    if (strcmp(more, "object") == 0) {
        into->owner = other->owner;
        return true;
    }
    if (strchr(owner, '/'))
        return false;
    strbuf_addf(&both, "%s/%s", owner, more);
    into->owner = names->texts.length;
    strbuf_add(&names->texts, both.text, both.length + 1);
    strbuf_deinit(&both);
    return true;
}

static void join_entries(struct pynames *names)
{
    struct entry *entries = names->entries.items;
    size_t count = names->entries.length, kept = 0;

    if (count)
        qsort(entries, count, sizeof(entries[0]), by_start);
    for (size_t i = 0; i < count;) {
        struct entry joined = entries[i];
        bool agree = true;

        for (i++; i < count && entries[i].start == joined.start; i++)
            agree = agree && join(names, &joined, &entries[i]);
        if (agree)
            entries[kept++] = joined;
    }
    names->entries.length = kept;
}

struct pynames *pynames_create(Elf *elf)
{
    struct reader reader = {.types = VEC_INIT};

    reader.names = xcalloc(1, sizeof(*reader.names));
    strbuf_init(&reader.names->texts);
    if (words_init(&reader.words, elf)) {
        read_tables(&reader);
        join_entries(reader.names);
    }
    words_deinit(&reader.words);
    vec_deinit(&reader.types);
    return reader.names;
}

void pynames_destroy(struct pynames *names)
{
    if (!names)
        return;
    vec_deinit(&names->entries);
    strbuf_deinit(&names->texts);
    free(names);
}

bool pynames_find(const struct pynames *names, uint64_t start, struct strbuf *ret)
{
    size_t low = 0, high = names->entries.length;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (names->entries.items[middle].start < start)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == names->entries.length || names->entries.items[low].start != start)
        return false;
    strbuf_add_text(ret, names->texts.text + names->entries.items[low].owner);
    strbuf_add_text(ret, names->texts.text + names->entries.items[low].member);
    return true;
}
