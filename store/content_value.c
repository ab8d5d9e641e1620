/* Strings of Redis into content: revocations and bans, key sets, the version, a confirmation. */
#include "core/siphash.h"
#include "store/content_item.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NEVER "9223372036854775807" /* "issued before": always */

int guard_item_take_revocation(struct guard_content_item *item, const struct guard_reply *reply)
{
    struct guard_revocations_builder *builder = item->edit->revocations;
    enum guard_revocation_kind kind = guard_key_revocation(item->kind);
    struct guard_error err = {0};
    if (reply->type == GUARD_REPLY_NIL)
        return guard_revocations_builder_remove(builder, kind, item->name);
    /* whatever the value: the key is there, and that is what revokes */
    int rc =
        guard_revocations_builder_put(builder, kind, item->name, guard_item_is_text(reply) ? reply->text : "", &err);
    if (rc != GUARD_ERR_INVALID)
        return rc;
    guard_item_complain(item, err.text);
    if (kind != GUARD_REVOKED_BEFORE)
        return GUARD_OK;
    guard_item_conclude(item, "until it is mended, every credential of this user is void");
    return guard_revocations_builder_put(builder, kind, item->name, NEVER, NULL);
}

int guard_item_take_key_set(struct guard_content_item *item, const struct guard_reply *reply)
{
    struct guard_shard_entry entry;
    if (reply->type == GUARD_REPLY_NIL)
        return guard_item_set_section(item, NULL, 0);
    if (reply->type == GUARD_REPLY_STRING && reply->length && !memchr(reply->text, 0, reply->length))
        return guard_item_set_section(item, reply->text, reply->length + 1);
    guard_item_complain(item, "is not a text; the last good key set stays in force");
    return guard_item_good_section(item, &entry) ? guard_item_set_section(item, entry.value, entry.value_length)
                                                 : GUARD_OK;
}

int guard_item_take_version(struct guard_content_item *item, const struct guard_reply *reply)
{
    char *end = NULL;
    uint64_t version = 0;
    errno = 0;
    if (reply->type == GUARD_REPLY_STRING && reply->length && reply->text[0] != '-')
        version = strtoull(reply->text, &end, 10);
    if (reply->type != GUARD_REPLY_NIL && (!end || *end || errno))
        guard_item_complain(item, "is not a number; it counts as 0");
    item->edit->version = end && !*end && !errno ? version : 0;
    return GUARD_OK;
}

int guard_item_take_confirmation(struct guard_content_item *item, const struct guard_reply *reply)
{
    static const struct guard_siphash_key key = {1, 0};
    item->edit->confirm = reply->type == GUARD_REPLY_STRING ? guard_siphash(&key, reply->text, reply->length) | 1 : 0;
    return GUARD_OK;
}
