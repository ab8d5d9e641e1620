/*
 * Where nodes stand in a table (label.h: acl_table_place). Nodes fall into groups by their hash; a group gets the first
 * shift with which all of its nodes find free places, the large groups first, while the table is empty. So nearly every
 * node stands exactly where a look-up looks: what is left over (equal hashes) goes to the next free place, and the
 * places before it are marked.
 */
#include "acl/build.h"
#include "acl/label.h"
#include "acl/memory.h"

#include <stdlib.h>

#define SHIFTS 256
#define LARGE  16 /* groups of so many nodes and more are placed first */

struct member {
    uint32_t hash, node;
};

struct placing {
    struct acl_segment *segment;
    uint32_t *map;
    uint64_t *taken, *more;
    uint32_t *ends; /* by group: where its members end */
    struct member *members;
};

static bool is_taken(const struct placing *p, uint32_t at)
{
    return p->taken[at / 64] >> at % 64 & 1;
}

static void set(uint64_t *bits, uint32_t at)
{
    bits[at / 64] |= (uint64_t)1 << at % 64;
}

/* Sorts the nodes by group. */
static void collect(struct placing *p, const struct acl_builder *b)
{
    uint32_t groups = p->segment->shift_count, before = 0;
    for (uint32_t i = b->role_limit; i < b->node_count; i++)
        p->ends[acl_table_group(p->segment, b->nodes[i].hash)]++;
    for (uint32_t group = 0; group < groups; group++) {
        uint32_t count = p->ends[group];
        p->ends[group] = before;
        before += count;
    }
    for (uint32_t i = b->role_limit; i < b->node_count; i++) {
        uint32_t *end = &p->ends[acl_table_group(p->segment, b->nodes[i].hash)];
        p->members[(*end)++] = (struct member){b->nodes[i].hash, i};
    }
}

/* Takes the places that the shift gives these nodes, if all are free. */
static bool take_places(struct placing *p, const struct member *members, uint32_t count, uint32_t shift)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = acl_table_shifted(p->segment, members[i].hash, shift);
        if (is_taken(p, at)) {
            while (i-- > 0) {
                at = acl_table_shifted(p->segment, members[i].hash, shift);
                p->taken[at / 64] &= ~((uint64_t)1 << at % 64);
            }
            return false;
        }
        set(p->taken, at);
        p->map[members[i].node] = at;
    }
    return true;
}

static void place_group(struct placing *p, uint32_t group, const struct member *members, uint32_t count)
{
    for (uint32_t shift = 0; shift < SHIFTS; shift++)
        if (take_places(p, members, count, shift)) {
            p->segment->shifts[group] = (uint8_t)shift;
            return;
        }
    p->segment->shifts[group] = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = acl_table_shifted(p->segment, members[i].hash, 0);
        for (; is_taken(p, at); at = acl_table_next(p->segment, at))
            set(p->more, at);
        set(p->taken, at);
        p->map[members[i].node] = at;
    }
}

static void place_groups(struct placing *p)
{
    for (uint32_t size = LARGE; size > 0; size--)
        for (uint32_t group = 0, start = 0; group < p->segment->shift_count; start = p->ends[group++]) {
            uint32_t count = p->ends[group] - start;
            if (count == size || (size == LARGE && count > LARGE))
                place_group(p, group, p->members + start, count);
        }
}

bool acl_choose_places(const struct acl_builder *b, struct acl_segment *segment, uint32_t *map, uint64_t *taken,
                       uint64_t *more)
{
    struct placing p = {.segment = segment, .map = map, .taken = taken, .more = more};
    p.ends = calloc(segment->shift_count, sizeof *p.ends);
    p.members = acl_zeroed((size_t)b->node_count + 1, sizeof *p.members);
    bool good = p.ends && p.members;
    for (uint32_t i = 0; i < segment->root_count; i++)
        map[i] = i;
    for (uint32_t group = 0; group < segment->shift_count; group++)
        segment->shifts[group] = 0;
    if (good) {
        collect(&p, b);
        place_groups(&p);
    }
    free(p.ends);
    free(p.members);
    return good;
}
