/* Faces of subjects, and the answers that need no more. What a key stands for was proved when its pattern was learnt.
 */
#include "acl/names.h"
#include "acl/recall.h"

#include <string.h>

#define NO_SLOT UINT8_MAX

void acl_face_make(const struct acl_policy *policy, const struct acl_subject *subject, struct acl_face *face)
{
    size_t used = 0;
    unsigned count = 0;
    *face = (struct acl_face){.key = acl_face_key(subject->fingerprint, policy->epoch), .slot = {NO_SLOT, NO_SLOT}};
    for (uint32_t i = 0; i < subject->value_count && i < policy->slots->count && i < NO_SLOT && count < 2; i++) {
        const struct acl_level *level = &subject->values[i].level;
        if (policy->slots->slots[i].kind != ACL_NODE_ONE || subject->values[i].state != ACL_VALUE_BOUND ||
            level->length > ACL_FACE_TEXT - used)
            continue;
        memcpy(face->text + used, level->text, level->length);
        used += level->length;
        face->slot[count] = (uint8_t)i;
        face->length[count++] = (uint8_t)level->length;
    }
}

bool acl_receives_again(const struct acl_context *context, uint64_t key, const char *topic)
{
    return context->again.key == key && strcmp(context->again.topic, topic) == 0;
}

static inline const acl_rule_id *answer(struct acl_context *context, const struct acl_pattern *pattern)
{
    context->patterns[ACL_PUBLISH].unrecalled = 0;
    return &pattern->decision.rule;
}

/* Pieces that are longer than what the words of make_quick tell of them. */
static __attribute__((noinline)) const acl_rule_id *
answer_long(struct acl_context *context, const struct acl_pattern *pattern, const char *topic, size_t size)
{
    size_t before = pattern->piece[0];
    return acl_octets_equal(topic, pattern->text, before) &&
                   acl_octets_equal(topic + before + size, pattern->text + before, pattern->piece[1])
               ? answer(context, pattern)
               : NULL;
}

const acl_rule_id *acl_publishes_again(struct acl_context *context, const struct acl_face *face, const char *topic)
{
    size_t length = strlen(topic);
    const struct acl_pattern *pattern = acl_pattern_by_tail(&context->patterns[ACL_PUBLISH], topic, length);
    if (pattern->quick_key != face->key) /* 0 for a topic that is too short */
        return NULL;
    size_t size = length - pattern->fixed;
    unsigned which = pattern->slot[0] != face->slot[0];
    if (pattern->slot[0] != face->slot[which] || size != face->length[which] || !size ||
        (acl_load8(topic) ^ pattern->head) & pattern->head_mask ||
        (acl_load8(topic + length - 8) ^ pattern->tail) & pattern->tail_mask ||
        !acl_octets_equal(topic + pattern->piece[0], face->text + (which ? face->length[0] : 0), size))
        return NULL;
    return pattern->long_pieces ? answer_long(context, pattern, topic, size) : answer(context, pattern);
}
