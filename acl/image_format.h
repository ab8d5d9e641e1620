/*
 * How an image is laid out. Private to acl/image_write.c and acl/image_load.c.
 *
 *   image_head, texts of roles and placeholders, directory,
 *   then of each part: image_part, nodes, shifts, codes, rules, conditions, nets, roles, pool
 *
 * Each begins at a multiple of GUARD_SLAB_ALIGN.
 */
#ifndef GUARD_ACL_IMAGE_FORMAT_H
#define GUARD_ACL_IMAGE_FORMAT_H

#include "acl/engine_digest.h" /* made by the build: ACL_ENGINE_DIGEST */
#include "acl/model.h"

#include <string.h>

struct image_head {
    char magic[8];
    char engine[64]; /* digest of the sources */
    uint16_t sizes[8];
    uint32_t byte_order;
    uint32_t role_count, slot_count, part_count;
    uint32_t text_size, reserved;
    uint64_t seed;
};

struct image_part {
    uint32_t root_count, table_size, shift_count, code_count, rule_count, condition_count, net_count, pool_size;
};

/* Where a role's rules are. */
struct image_role {
    uint32_t part; /* NO_PART: it has none */
    uint32_t root;
    uint16_t first;
    uint8_t broken, reserved;
};

#define NO_PART UINT32_MAX

/* Fills what tells engines apart. */
static inline void image_stamp(struct image_head *head)
{
    const uint16_t sizes[8] = {sizeof(struct acl_node),   sizeof(struct acl_rule),         sizeof(struct acl_condition),
                               sizeof(struct acl_net),    sizeof(struct acl_segment_role), sizeof(struct image_head),
                               sizeof(struct image_part), sizeof(struct image_role)};
    memcpy(head->magic, "GUARDACL", sizeof head->magic);
    memcpy(head->engine, ACL_ENGINE_DIGEST, sizeof head->engine);
    memcpy(head->sizes, sizes, sizeof sizes);
    head->byte_order = 0x01020304;
}

#endif
