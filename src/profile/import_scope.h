/* SPDX-License-Identifier: MIT */
/* What was read of a speedscope file, before its frames are known, and how it becomes a profile. */
#ifndef PSPY_PROFILE_IMPORT_SCOPE_H
#define PSPY_PROFILE_IMPORT_SCOPE_H

#include "import_internal.h"
#include "import_json.h"

#define SCOPE_FRAMES_LARGEST (1u << 30)

struct scope_frame {
    string_id name, file; /* of the profile */
    uint32_t line, column;
};

/* A stack: a frame's number below another stack. Node 0 is the empty one. */
struct scope_node {
    uint32_t parent, frame;
};

struct scope_entry {
    uint32_t node;
    double weight; /* in the profile's unit */
};

struct scope_event {
    char type; /* 'O', 'C' */
    bool has_frame;
    uint32_t frame;
    double at;
};

struct scope_profile {
    string_id name;
    double unit; /* in ns; 0: it counts something else */
    double start, end;
    VEC(struct scope_entry) entries;
    VEC(double) weights; /* while it is read */
    bool has_stacks, has_weights, is_evented;
    /* Of events: those so far. */
    bool has_begun;
    double first, last; /* time of the first event, of the last one */
    uint32_t open;      /* node of the calls that have not returned */
};

struct scope {
    struct importer *importer;
    struct json_input json;
    struct strbuf text; /* the string that was read last */
    VEC(struct scope_frame) frames;
    VEC(struct scope_node) nodes;
    struct table node_index;
    VEC(struct scope_profile) profiles;
    size_t held;            /* bytes of all entries and weights */
    uint32_t largest_frame; /* that a stack names */
    bool has_frames, has_profiles;
};

void scope_add_entry(struct scope *scope, struct scope_profile *profile, uint32_t node,
                     double weight);
/* The stack `parent` with the frame called from it. */
uint32_t scope_push(struct scope *scope, uint32_t parent, uint32_t frame);
/* Whether what is held is no more than the file's size allows. */
bool scope_fits(struct scope *scope);
/* A call, or a return: what was open until now becomes an entry. */
void scope_take_event(struct scope *scope, struct scope_profile *profile,
                      const struct scope_event *event);
/* After the profile's last member: its entries have their weights. */
void scope_settle(struct scope *scope, struct scope_profile *profile);
/* After the file's last byte: all of it into the profile. */
enum err scope_convert(struct scope *scope);
void scope_deinit(struct scope *scope);

#endif
