/* SPDX-License-Identifier: MIT */
/*
 * libdw finds an address's compilation unit by .debug_aranges, which clang does not write; so the
 * ranges of all units are read once (the units' heads only). And its search for the functions at an
 * address (dwarf_getscopes of 0.188) misses some inlined ones in C++; so the functions of each unit
 * that is asked for are listed once, with their ranges.
 */
#include "pspy/elf/sources.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

#include "pspy/base/vec.h"

struct unit_range {
    uint64_t start, end; /* exclusive */
    Dwarf_Off die;       /* of the unit */
};

/* A function, or an inlined copy of one. */
struct scope {
    Dwarf_Off die;
    uint32_t parent; /* index in unit_scopes.scopes; NO_SCOPE */
    uint32_t depth;
    bool is_inlined;
};

struct scope_range {
    uint64_t start, end;
    uint32_t scope;
};

struct unit_scopes {
    Dwarf_Off unit; /* its DIE */
    VEC(struct scope) scopes;
    VEC(struct scope_range) ranges;
};

struct sources {
    Dwarf *dwarf, *alt;
    VEC(struct unit_range) ranges; /* by start */
    VEC(struct unit_scopes) units; /* those that were asked for */
};

#define FORTRAN_MODULE "_MOD_" /* __grid_MOD_step */
#define NO_SCOPE       UINT32_MAX
#define DEPTH_LIMIT    200           /* of DIEs within each other: more is damage */
#define UNPACKED_LIMIT (1024u << 20) /* libc's take 14 MB, a debug build of LLVM's several GB */

static void add_ranges(struct sources *sources, Dwarf_Die *unit)
{
    Dwarf_Addr base, start, end;
    ptrdiff_t next = 0;

    while ((next = dwarf_ranges(unit, next, &base, &start, &end)) > 0)
        if (start < end && start != 0) /* 0: the linker threw the code away */
            vec_push(&sources->ranges, ((struct unit_range){start, end, dwarf_dieoffset(unit)}));
}

static int by_start(const void *left, const void *right)
{
    const struct unit_range *a = left, *b = right;

    return (a->start > b->start) - (a->start < b->start);
}

static void read_units(struct sources *sources)
{
    Dwarf_Off offset = 0, next;
    size_t header;

    while (dwarf_nextcu(sources->dwarf, offset, &next, &header, NULL, NULL, NULL) == 0) {
        Dwarf_Die unit;

        if (dwarf_offdie(sources->dwarf, offset + header, &unit))
            add_ranges(sources, &unit);
        offset = next;
    }
    vec_sort(&sources->ranges, by_start);
}

/* Bytes of memory that the packed sections will take; libdw unpacks all of them. */
static uint64_t unpacked_size(Elf *elf)
{
    Elf_Scn *section = NULL;
    GElf_Chdr header;
    uint64_t size = 0;

    while ((section = elf_nextscn(elf, section)))
        if (gelf_getchdr(section, &header))
            size += header.ch_size;
    return size;
}

struct sources *sources_create(Elf *elf, Elf *alt)
{
    struct sources *sources = xcalloc(1, sizeof(*sources));

    if (unpacked_size(elf) <= UNPACKED_LIMIT)
        sources->dwarf = dwarf_begin_elf(elf, DWARF_C_READ, NULL);
    if (alt && unpacked_size(alt) <= UNPACKED_LIMIT)
        sources->alt = dwarf_begin_elf(alt, DWARF_C_READ, NULL);
    if (sources->dwarf && sources->alt)
        dwarf_setalt(sources->dwarf, sources->alt);
    if (sources->dwarf)
        read_units(sources);
    if (sources->ranges.length)
        return sources;
    sources_destroy(sources);
    return NULL;
}

void sources_destroy(struct sources *sources)
{
    if (!sources)
        return;
    if (sources->dwarf)
        dwarf_end(sources->dwarf);
    if (sources->alt)
        dwarf_end(sources->alt);
    vec_each (unit, &sources->units) {
        vec_deinit(&unit->scopes);
        vec_deinit(&unit->ranges);
    }
    vec_deinit(&sources->units);
    vec_deinit(&sources->ranges);
    free(sources);
}

static bool find_unit(struct sources *sources, uint64_t vaddr, Dwarf_Die *ret)
{
    const struct unit_range *ranges = sources->ranges.items;
    size_t low = 0, high = sources->ranges.length;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (ranges[middle].start <= vaddr)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && vaddr < ranges[low - 1].end &&
           dwarf_offdie(sources->dwarf, ranges[low - 1].die, ret);
}

static uint32_t number_of(Dwarf_Die *die, unsigned name)
{
    Dwarf_Attribute attribute;
    Dwarf_Word number;

    return dwarf_attr_integrate(die, name, &attribute) && dwarf_formudata(&attribute, &number) == 0
               ? (uint32_t)number
               : 0;
}

static bool is_fortran(Dwarf_Die *unit)
{
    switch (dwarf_srclang(unit)) {
    case DW_LANG_Fortran77:
    case DW_LANG_Fortran90:
    case DW_LANG_Fortran95:
    case DW_LANG_Fortran03:
    case DW_LANG_Fortran08:
        return true;
    default:
        return false;
    }
}

/* Mangled where that says more: of Fortran only the names of a module's procedures do. */
static const char *name_of(Dwarf_Die *unit, Dwarf_Die *die)
{
    Dwarf_Attribute attribute;
    const char *name = NULL;

    if (dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute))
        name = dwarf_formstring(&attribute);
    return name && (!is_fortran(unit) || strstr(name, FORTRAN_MODULE)) ? name : dwarf_diename(die);
}

static const char *directory_of(Dwarf_Die *unit)
{
    Dwarf_Attribute attribute;

    return dwarf_attr(unit, DW_AT_comp_dir, &attribute) ? dwarf_formstring(&attribute) : NULL;
}

/* The innermost function's place, by the line table. */
static bool find_line(Dwarf_Die *unit, uint64_t vaddr, struct source_frame *ret)
{
    Dwarf_Line *line = dwarf_getsrc_die(unit, vaddr);
    int number;

    if (!line || dwarf_lineno(line, &number) != 0 || number <= 0)
        return false;
    *ret = (struct source_frame){.directory = directory_of(unit),
                                 .file = dwarf_linesrc(line, NULL, NULL),
                                 .line = (uint32_t)number};
    return ret->file != NULL;
}

/* The place in the enclosing function that an inlined call was written at. */
static bool find_call(Dwarf_Die *unit, Dwarf_Die *call, struct source_frame *ret)
{
    Dwarf_Files *files;

    if (dwarf_getsrcfiles(unit, &files, NULL) != 0)
        return false;
    *ret = (struct source_frame){
        .directory = directory_of(unit),
        .file = dwarf_filesrc(files, number_of(call, DW_AT_call_file), NULL, NULL),
        .line = number_of(call, DW_AT_call_line)};
    return ret->file && ret->line;
}

/* Adds a function with code of its own; its index, or NO_SCOPE. */
static uint32_t add_scope(struct unit_scopes *unit, Dwarf_Die *die, uint32_t parent)
{
    uint32_t index = (uint32_t)unit->scopes.length;
    Dwarf_Addr base, start, end;
    ptrdiff_t next = 0;
    size_t before = unit->ranges.length;

    while ((next = dwarf_ranges(die, next, &base, &start, &end)) > 0)
        if (start < end)
            vec_push(&unit->ranges, ((struct scope_range){start, end, index}));
    if (unit->ranges.length == before)
        return NO_SCOPE;
    vec_push(&unit->scopes,
             ((struct scope){.die = dwarf_dieoffset(die),
                             .parent = parent,
                             .depth = parent == NO_SCOPE ? 0 : unit->scopes.items[parent].depth + 1,
                             .is_inlined = dwarf_tag(die) == DW_TAG_inlined_subroutine}));
    return index;
}

static void list_scopes(struct unit_scopes *unit, Dwarf_Die *within, uint32_t parent,
                        unsigned depth)
{
    Dwarf_Die child;

    if (depth == DEPTH_LIMIT || dwarf_child(within, &child) != 0)
        return;
    do {
        int tag = dwarf_tag(&child);
        uint32_t scope = NO_SCOPE;

        if (tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine)
            scope = add_scope(unit, &child, tag == DW_TAG_subprogram ? NO_SCOPE : parent);
        list_scopes(unit, &child, scope == NO_SCOPE ? parent : scope, depth + 1);
    } while (dwarf_siblingof(&child, &child) == 0);
}

static const struct unit_scopes *scopes_of(struct sources *sources, Dwarf_Die *die)
{
    struct unit_scopes unit = {.unit = dwarf_dieoffset(die)};

    vec_each (known, &sources->units) {
        if (known->unit == unit.unit)
            return known;
    }
    list_scopes(&unit, die, NO_SCOPE, 0);
    vec_push(&sources->units, unit);
    return &sources->units.items[sources->units.length - 1];
}

static uint32_t innermost_scope(const struct unit_scopes *unit, uint64_t vaddr)
{
    uint32_t found = NO_SCOPE;

    vec_each (range, &unit->ranges) {
        if (vaddr >= range->start && vaddr < range->end &&
            (found == NO_SCOPE ||
             unit->scopes.items[range->scope].depth > unit->scopes.items[found].depth))
            found = range->scope;
    }
    return found;
}

static void add_frame(struct source_frame *frames, size_t *length, const struct source_frame *frame)
{
    if (*length == SOURCE_FRAMES - 1) /* the last place is the real function's */
        memmove(frames, frames + 1, --*length * sizeof(frames[0]));
    frames[(*length)++] = *frame;
}

size_t sources_find(struct sources *sources, uint64_t vaddr, struct source_frame ret[SOURCE_FRAMES])
{
    const struct unit_scopes *scopes;
    struct source_frame place;
    Dwarf_Die unit, die;
    size_t length = 0;
    uint32_t at;

    if (!find_unit(sources, vaddr, &unit) || !find_line(&unit, vaddr, &place))
        return 0;
    scopes = scopes_of(sources, &unit);
    /* Outwards: each inlined call ends one function and begins the next. */
    for (at = innermost_scope(scopes, vaddr); at != NO_SCOPE && scopes->scopes.items[at].is_inlined;
         at = scopes->scopes.items[at].parent) {
        if (!dwarf_offdie(sources->dwarf, scopes->scopes.items[at].die, &die))
            return 0;
        place.function = name_of(&unit, &die);
        place.first_line = number_of(&die, DW_AT_decl_line);
        if (place.function)
            add_frame(ret, &length, &place);
        if (!find_call(&unit, &die, &place))
            return 0;
    }
    if (at != NO_SCOPE && is_fortran(&unit) &&
        dwarf_offdie(sources->dwarf, scopes->scopes.items[at].die, &die))
        place.function = name_of(&unit, &die);
    ret[length++] = place;
    return length;
}
