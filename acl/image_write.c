/* A compiled policy as octets. */
#include "acl/image.h"
#include "acl/image_format.h"
#include "acl/names.h"

#include "core/buffer.h"

#include <stdlib.h>

/* The sink, and how much went there since the last multiple of the alignment. */
struct writer {
    const struct guard_sink *sink;
    int rc;
};

/* Writes one array and brings it up to the alignment. */
static void put(struct writer *w, const void *bytes, size_t size)
{
    size_t written = size;
    if (w->rc == GUARD_OK && size)
        w->rc = w->sink->put(w->sink->context, bytes, size);
    if (w->rc == GUARD_OK)
        w->rc = guard_sink_pad(w->sink, &written, GUARD_SLAB_ALIGN);
}

/* Role names in the order of their ids, then kinds and names of placeholders. */
static void collect_texts(const struct acl_policy *policy, struct guard_buffer *texts)
{
    for (uint32_t id = 0; id < policy->role_count; id++) {
        const char *name = acl_names_text(policy->names, id);
        guard_buffer_append(texts, name, strlen(name) + 1);
    }
    for (uint32_t slot = 0; slot < policy->slots->count; slot++) {
        guard_buffer_byte(texts, (char)policy->slots->slots[slot].kind);
        guard_buffer_append(texts, policy->slots->slots[slot].name, strlen(policy->slots->slots[slot].name) + 1);
    }
}

static uint32_t part_of(const struct acl_policy *policy, const struct acl_segment *segment)
{
    uint32_t part = 0;
    while (part < policy->part_count && policy->parts[part].segment != segment)
        part++;
    return segment ? part : NO_PART;
}

static void put_directory(struct writer *w, const struct acl_policy *policy)
{
    struct image_role *roles = calloc((size_t)policy->role_count + 1, sizeof *roles);
    if (!roles) {
        w->rc = GUARD_ERR_NOMEM;
        return;
    }
    for (uint32_t id = 0; id < policy->role_count; id++) {
        const struct acl_role_entry *entry = &policy->roles[id];
        roles[id] = (struct image_role){.part = part_of(policy, entry->segment),
                                        .root = entry->root,
                                        .first = entry->first,
                                        .broken = entry->broken};
    }
    put(w, roles, policy->role_count * sizeof *roles);
    free(roles);
}

/* Structures with gaps are copied member by member, so that no octet of the image is left to chance. */
static void put_conditions(struct writer *w, const struct acl_segment *s)
{
    struct acl_condition *copies = calloc((size_t)s->condition_count + 1, sizeof *copies);
    for (uint32_t i = 0; copies && i < s->condition_count; i++) {
        const struct acl_condition *from = &s->conditions[i];
        copies[i].size = from->size;
        copies[i].until = from->until;
        copies[i].first_net = from->first_net;
        copies[i].net_count = from->net_count;
        copies[i].kinds = from->kinds;
        copies[i].qos = from->qos;
        copies[i].shared = from->shared;
    }
    if (copies)
        put(w, copies, s->condition_count * sizeof *copies);
    else
        w->rc = GUARD_ERR_NOMEM;
    free(copies);
}

static void put_roles(struct writer *w, const struct acl_segment *s)
{
    struct acl_segment_role *copies = calloc((size_t)s->root_count + 1, sizeof *copies);
    for (uint32_t i = 0; copies && i < s->root_count; i++) {
        copies[i].first_rule = s->roles[i].first_rule;
        copies[i].rule_count = s->roles[i].rule_count;
        copies[i].id = s->roles[i].id;
        copies[i].typed = s->roles[i].typed;
    }
    if (copies)
        put(w, copies, s->root_count * sizeof *copies);
    else
        w->rc = GUARD_ERR_NOMEM;
    free(copies);
}

static void put_part(struct writer *w, const struct acl_segment *s)
{
    struct image_part head = {.root_count = s->root_count,
                              .table_size = s->table_size,
                              .shift_count = s->shift_count,
                              .code_count = s->code_count,
                              .rule_count = s->rule_count,
                              .condition_count = s->condition_count,
                              .net_count = s->net_count,
                              .pool_size = s->pool_size};
    put(w, &head, sizeof head);
    put(w, s->nodes, ((size_t)s->root_count + s->table_size) * sizeof *s->nodes);
    put(w, s->shifts, s->shift_count);
    put(w, s->codes, s->code_count * sizeof *s->codes);
    put(w, s->rules, s->rule_count * sizeof *s->rules);
    put_conditions(w, s);
    put(w, s->nets, s->net_count * sizeof *s->nets);
    put_roles(w, s);
    put(w, s->pool, s->pool_size);
}

int acl_policy_write(const struct acl_policy *policy, const struct guard_sink *sink)
{
    struct writer w = {sink, GUARD_OK};
    struct guard_buffer texts = {0};
    struct image_head head = {.role_count = policy->role_count,
                              .slot_count = policy->slots->count,
                              .part_count = (uint32_t)policy->part_count,
                              .seed = policy->seed};
    image_stamp(&head);
    collect_texts(policy, &texts);
    if (texts.failed || texts.length > UINT32_MAX)
        w.rc = GUARD_ERR_NOMEM;
    head.text_size = (uint32_t)texts.length;
    put(&w, &head, sizeof head);
    put(&w, texts.data, texts.length);
    put_directory(&w, policy);
    for (size_t i = 0; i < policy->part_count; i++)
        put_part(&w, policy->parts[i].segment);
    guard_buffer_free(&texts);
    return w.rc;
}
