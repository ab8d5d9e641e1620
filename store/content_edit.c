/* An edit of content: begin, a reply for each key, finish. */
#include "core/buffer.h"
#include "core/siphash.h"
#include "core/utf8.h"
#include "store/content_item.h"

#include <stdlib.h>
#include <string.h>

#define KEY_SIZE (1 + GUARD_CLIENT_NAME_MAX + 1)

int guard_content_edit_begin(struct guard_content_edit *edit, const struct guard_content *base,
                             const struct guard_content *good, const struct guard_content_checks *checks)
{
    edit->whole = base == NULL;
    edit->checks = checks;
    edit->good = good;
    if (edit->whole) { /* what is as it was is not copied */
        edit->sections = guard_shard_builder_refresh(good->sections);
        edit->clients = guard_clients_builder_refresh(good->clients);
        edit->revocations = guard_revocations_builder_new(NULL);
        guard_faults_begin(checks->faults);
    } else {
        edit->version = base->version;
        edit->confirm = base->confirm;
        edit->roles = base->roles;
        edit->rules = base->rules;
        edit->incomplete = base->incomplete;
        edit->sections = guard_shard_builder_new(base->sections);
        edit->clients = guard_clients_builder_new(base->clients);
        edit->revocations = guard_revocations_builder_new(base->revocations);
    }
    if (edit->sections && edit->clients && edit->revocations)
        return GUARD_OK;
    guard_content_edit_abandon(edit);
    return GUARD_ERR_NOMEM;
}

static void free_scratch(struct guard_content_edit *edit)
{
    free(edit->lines);
    guard_buffer_free(&edit->place);
    guard_buffer_free(&edit->packed);
}

void guard_content_edit_abandon(struct guard_content_edit *edit)
{
    guard_shard_builder_free(&edit->sections);
    guard_clients_builder_free(&edit->clients);
    guard_revocations_builder_free(&edit->revocations);
    free_scratch(edit);
    *edit = (struct guard_content_edit){0};
}

int guard_content_edit_finish(struct guard_content_edit *edit, struct guard_content *content)
{
    bool whole = edit->whole;
    if (whole)
        guard_faults_sweep(edit->checks->faults);
    *content = (struct guard_content){.version = edit->version,
                                      .confirm = edit->confirm,
                                      .roles = edit->roles,
                                      .rules = edit->rules,
                                      .incomplete = edit->incomplete};
    content->sections = guard_shard_builder_finish(&edit->sections);
    content->clients = guard_clients_builder_finish(&edit->clients);
    content->revocations = guard_revocations_builder_finish(&edit->revocations);
    free_scratch(edit);
    *edit = (struct guard_content_edit){0};
    if (whole)
        guard_content_count(content);
    if (content->sections && content->clients && content->revocations)
        return GUARD_OK;
    guard_content_free(content);
    return GUARD_ERR_NOMEM;
}

void guard_item_complain(struct guard_content_item *item, const char *text)
{
    guard_problems_add(&item->problems, GUARD_PROBLEM_ERROR, item->place, 0, 0, "%s", text);
}

void guard_item_conclude(struct guard_content_item *item, const char *text)
{
    guard_problems_add(&item->problems, GUARD_PROBLEM_WARNING, item->place, 0, 0, "%s", text);
}

bool guard_item_is_text(const struct guard_reply *reply)
{
    if (reply->type != GUARD_REPLY_STRING)
        return false;
    if (guard_utf8_is_plain(reply->text, reply->length))
        return true;
    for (size_t i = 0; i < reply->length; i++)
        if ((unsigned char)reply->text[i] < 0x20 && reply->text[i] != '\t')
            return false;
    return guard_utf8_valid(reply->text, reply->length);
}

static size_t section_key(enum guard_key_kind kind, const char *name, char *key)
{
    size_t length = strlen(name);
    key[0] = (char)kind;
    memcpy(key + 1, name, length + 1);
    return length + 1;
}

int guard_item_set_section(struct guard_content_item *item, const char *value, size_t length)
{
    struct guard_content_edit *edit = item->edit;
    char key[KEY_SIZE];
    size_t key_length = section_key(item->kind, item->name, key);
    struct guard_shard_entry before;
    bool is_role = item->kind == GUARD_KEY_ROLE,
         was_there = guard_shard_builder_find(edit->sections, key, key_length, &before);
    uint64_t old_rules = is_role && was_there ? guard_content_section_count(&before) : 0;
    uint32_t rules = 0;
    if (!value && !was_there)
        return GUARD_OK;
    if (is_role && value)
        memcpy(&rules, value, sizeof rules);
    int rc = value ? guard_shard_builder_put(edit->sections, key, key_length, value, length)
                   : guard_shard_builder_remove(edit->sections, key, key_length);
    if (rc != GUARD_OK)
        return rc;
    if (is_role) {
        edit->roles = edit->roles + (value ? 1 : 0) - (was_there ? 1 : 0);
        edit->rules = edit->rules + rules - old_rules;
    }
    return GUARD_OK;
}

bool guard_item_good_section(const struct guard_content_item *item, struct guard_shard_entry *entry)
{
    char key[KEY_SIZE];
    size_t length = section_key(item->kind, item->name, key);
    return guard_shard_map_find(item->edit->good->sections, key, length, entry);
}

static uint64_t digest_of(const struct guard_problems *problems)
{
    static const struct guard_siphash_key key = {0, 0}; /* only to tell one complaint from another */
    uint64_t digest = problems->errors;
    for (size_t i = 0; i < problems->count; i++)
        digest =
            digest * 31 + guard_siphash(&key, problems->items[i].error.text, strlen(problems->items[i].error.text));
    return digest;
}

/* Reports the item's problems unless that was done before. */
static void report(struct guard_content_item *item)
{
    const struct guard_content_checks *checks = item->edit->checks;
    bool tell = true;
    if (item->problems.errors)
        tell = guard_faults_note(checks->faults, item->place, digest_of(&item->problems));
    else if (!item->edit->whole)
        guard_faults_clear(checks->faults, item->place);
    for (size_t i = 0; tell && checks->callbacks->problem && i < item->problems.count; i++)
        checks->callbacks->problem(checks->callbacks->context, &item->problems.items[i]);
}

static bool good_name(struct guard_content_item *item)
{
    bool held = item->kind == GUARD_KEY_ROLE || item->kind == GUARD_KEY_CLIENT;
    size_t length = strlen(item->name);
    if (length > GUARD_CLIENT_NAME_MAX || !guard_utf8_valid(item->name, length) || (held && strchr(item->name, ']'))) {
        guard_item_complain(item, "the name in this key is not valid UTF-8, too long or holds ']': the key is ignored");
        return false;
    }
    for (const char *c = item->name; held && *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            guard_item_complain(item, "the name in this key holds a control character: the key is ignored");
            return false;
        }
    return true;
}

static int take(struct guard_content_item *item, const struct guard_reply *reply)
{
    if (!good_name(item))
        return GUARD_OK;
    switch (item->kind) {
    case GUARD_KEY_ROLE:
    case GUARD_KEY_ASSIGN:
    case GUARD_KEY_DEFAULT:
        return guard_item_take_section(item, reply);
    case GUARD_KEY_CLIENT:
        return guard_item_take_client(item, reply);
    case GUARD_KEY_JWKS:
        return guard_item_take_key_set(item, reply);
    case GUARD_KEY_VERSION:
        return guard_item_take_version(item, reply);
    case GUARD_KEY_CONFIRM:
        return guard_item_take_confirmation(item, reply);
    case GUARD_KEY_ROLES:
    case GUARD_KEY_CLIENTS:
    case GUARD_KEY_OTHER:
        return GUARD_OK;
    default:
        return guard_item_take_revocation(item, reply);
    }
}

int guard_content_edit_take(struct guard_content_edit *edit, const char *key, const struct guard_reply *reply)
{
    struct guard_content_item item = {.edit = edit};
    item.kind = guard_key_parse(key, &item.name);
    guard_buffer_clear(&edit->place);
    guard_buffer_text(&edit->place, edit->checks->prefix);
    guard_buffer_text(&edit->place, key);
    if (edit->place.failed)
        return GUARD_ERR_NOMEM;
    item.place = edit->place.data;
    int rc = take(&item, reply);
    if (item.problems.count || (!edit->whole && edit->checks->faults->count))
        report(&item);
    guard_problems_free(&item.problems);
    return rc;
}
