/*
 * Hashes of Redis into content: what is well-formed and passes the check is taken, the rest keeps its last good version
 * or is replaced by what opens nothing.
 */
#include "store/content_item.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A role that cannot be read may have held denies of any rank: it stands for the strongest of them. */
#define QUARANTINE_FIELD "unreadable"
#define QUARANTINE_RULE  "deny all ** priority=1000000000"

static const struct guard_policy_line quarantine = {
    .section = GUARD_SECTION_ROLE, .name = "", .field = QUARANTINE_FIELD, .value = QUARANTINE_RULE, .place = ""};

static int compare_lines(const void *a, const void *b)
{
    const struct guard_policy_line *left = a, *right = b;
    return strcmp(left->field, right->field);
}

/* The reply to HGETALL as lines in edit->lines, sorted by field. False: a complaint was made, or out of memory (errno).
 */
static bool read_lines(struct guard_content_item *item, const struct guard_reply *reply, size_t *count)
{
    struct guard_content_edit *edit = item->edit;
    if (reply->type == GUARD_REPLY_ERROR || reply->type != GUARD_REPLY_ARRAY || reply->count % 2) {
        guard_item_complain(item, "is not a hash");
        return false;
    }
    *count = reply->count / 2;
    if (*count > edit->lines_capacity) {
        struct guard_policy_line *grown = reallocarray(edit->lines, *count, sizeof *grown);
        if (!grown) {
            errno = ENOMEM;
            return false;
        }
        edit->lines = grown;
        edit->lines_capacity = *count;
    }
    for (size_t i = 0; i < *count; i++) {
        const struct guard_reply *field = reply->items[2 * i], *value = reply->items[2 * i + 1];
        if (!guard_item_is_text(field) || !guard_item_is_text(value) || !field->length) {
            guard_item_complain(item, "a field or value is empty, holds control characters or is not valid UTF-8");
            return false;
        }
        enum guard_policy_section section = item->kind == GUARD_KEY_ROLE     ? GUARD_SECTION_ROLE
                                            : item->kind == GUARD_KEY_CLIENT ? GUARD_SECTION_CLIENT
                                            : item->kind == GUARD_KEY_ASSIGN ? GUARD_SECTION_ASSIGN
                                                                             : GUARD_SECTION_DEFAULT;
        edit->lines[i] = (struct guard_policy_line){
            .section = section, .name = item->name, .field = field->text, .value = value->text, .place = item->place};
    }
    if (*count > 1)
        qsort(edit->lines, *count, sizeof *edit->lines, compare_lines);
    return true;
}

static int pack_lines(const struct guard_policy_line *lines, size_t count, struct guard_buffer *out)
{
    uint32_t number = (uint32_t)count;
    guard_buffer_clear(out);
    guard_buffer_append(out, &number, sizeof number);
    for (size_t i = 0; i < count; i++) {
        guard_buffer_append(out, lines[i].field, strlen(lines[i].field) + 1);
        guard_buffer_append(out, lines[i].value, strlen(lines[i].value) + 1);
    }
    return out->failed ? GUARD_ERR_NOMEM : GUARD_OK;
}

static int put_lines(struct guard_content_item *item, const struct guard_policy_line *lines, size_t count)
{
    struct guard_buffer *packed = &item->edit->packed;
    int rc = pack_lines(lines, count, packed);
    return rc == GUARD_OK ? guard_item_set_section(item, packed->data, packed->length) : rc;
}

/* Whether the last good version is in truth what stands in for a role that never was good. */
static bool is_quarantine(const struct guard_shard_entry *entry)
{
    struct guard_policy_line line;
    if (guard_content_section_kind(entry) != GUARD_KEY_ROLE || guard_content_section_count(entry) != 1)
        return false;
    guard_content_section_lines(entry, "", &line);
    return strcmp(line.field, QUARANTINE_FIELD) == 0 && strcmp(line.value, QUARANTINE_RULE) == 0;
}

/* The section cannot be read: its last good version, or what opens nothing. */
static int keep_good_section(struct guard_content_item *item)
{
    struct guard_shard_entry entry;
    if (guard_item_good_section(item, &entry) && !is_quarantine(&entry)) {
        guard_item_conclude(item, "is not taken; its last good version stays in force");
        return guard_item_set_section(item, entry.value, entry.value_length);
    }
    if (item->kind == GUARD_KEY_ROLE) {
        guard_item_conclude(item, "is not taken; until it is mended, whoever holds this role is denied everything");
        return put_lines(item, &quarantine, 1);
    }
    if (item->edit->good->sections) { /* a policy is in force, and it has none of these */
        guard_item_conclude(item, "is not taken; there is none in force, as before");
        return guard_item_set_section(item, NULL, 0);
    }
    guard_item_conclude(item, "is not taken, and there is no version of it that was good: the policy cannot be used");
    item->edit->incomplete |= 1u << item->kind;
    return GUARD_OK;
}

static bool passes(struct guard_content_item *item, size_t count)
{
    const struct guard_store_callbacks *callbacks = item->edit->checks->callbacks;
    struct guard_buffer *packed = &item->edit->packed;
    struct guard_shard_entry entry;
    if (!callbacks->check)
        return true;
    if (guard_item_good_section(item, &entry) && pack_lines(item->edit->lines, count, packed) == GUARD_OK &&
        packed->length == entry.value_length && memcmp(packed->data, entry.value, packed->length) == 0)
        return true; /* it passed before */
    int rc = callbacks->check(callbacks->context, item->edit->lines, count, &item->problems);
    if (rc != GUARD_OK && !item->problems.errors)
        guard_item_complain(item, "does not pass the check");
    return rc == GUARD_OK;
}

int guard_item_take_section(struct guard_content_item *item, const struct guard_reply *reply)
{
    size_t count;
    errno = 0;
    if (!read_lines(item, reply, &count))
        return errno == ENOMEM ? GUARD_ERR_NOMEM : keep_good_section(item);
    item->edit->incomplete &= ~(1u << item->kind);
    if (!count)
        return guard_item_set_section(item, NULL, 0);
    return passes(item, count) ? put_lines(item, item->edit->lines, count) : keep_good_section(item);
}

/* Whether the last good record is in truth what stands in for one that never was good. */
static bool is_stand_in(const struct guard_client_view *view)
{
    return view->disabled && !view->password && !view->role_count && !view->client_id_count && !view->attribute_count;
}

static int keep_good_client(struct guard_content_item *item)
{
    struct guard_client_view view;
    struct guard_content_edit *edit = item->edit;
    size_t length;
    if (guard_clients_find(edit->good->clients, item->name, strlen(item->name), &view) && !is_stand_in(&view)) {
        guard_item_conclude(item, "is not taken; the client's last good record stays in force");
        const char *packed = guard_client_packed(&view, &length);
        return guard_clients_builder_put_packed(edit->clients, view.username, view.username_length, packed, length);
    }
    guard_item_conclude(item, "is not taken; until it is mended, the client is disabled");
    return guard_clients_builder_put_disabled(edit->clients, item->name);
}

int guard_item_take_client(struct guard_content_item *item, const struct guard_reply *reply)
{
    size_t count;
    bool failed = false;
    errno = 0;
    if (!read_lines(item, reply, &count))
        return errno == ENOMEM ? GUARD_ERR_NOMEM : keep_good_client(item);
    if (!count) {
        guard_clients_builder_remove(item->edit->clients, item->name, &failed);
        return failed ? GUARD_ERR_NOMEM : GUARD_OK;
    }
    int rc = guard_clients_builder_put(item->edit->clients, item->edit->lines, count, &item->problems);
    return rc == GUARD_ERR_INVALID ? keep_good_client(item) : rc;
}
