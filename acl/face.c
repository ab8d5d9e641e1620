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

bool acl_publishes_again(struct acl_context *context, const struct acl_face *face, const char *topic, acl_rule_id *rule)
{
    struct acl_patterns *patterns = &context->patterns[ACL_PUBLISH];
    size_t length = strlen(topic);
    const struct acl_pattern *pattern = acl_pattern_by_tail(patterns, topic, length);
    if (pattern->key != face->key || !pattern->plain || length <= pattern->fixed)
        return false;
    size_t size = length - pattern->fixed, before = pattern->piece[0];
    unsigned which = pattern->slot[0] != face->slot[0];
    if (pattern->slot[0] != face->slot[which] || size != face->length[which] ||
        !acl_octets_equal(topic, pattern->text, before) ||
        !acl_octets_equal(topic + before, face->text + (which ? face->length[0] : 0), size) ||
        !acl_octets_equal(topic + before + size, pattern->text + before, pattern->piece[1]))
        return false;
    patterns->unrecalled = 0;
    *rule = pattern->decision.rule;
    return true;
}
