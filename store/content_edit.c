/* Turns replies of Redis into content: what is well-formed and passes the check is taken, the rest keeps its last good
 * version. */
#include "core/buffer.h"
#include "core/siphash.h"
#include "core/utf8.h"
#include "store/content.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KEY_SIZE (1 + GUARD_CLIENT_NAME_MAX + 1)
/* A role that cannot be read may have held denies of any rank: it stands for the strongest of them. */
#define QUARANTINE_FIELD "unreadable"
#define QUARANTINE_RULE  "deny all ** priority=1000000000"
#define NEVER            "9223372036854775807"

static const struct guard_policy_line quarantine = {
    .section = GUARD_SECTION_ROLE, .name = "", .field = QUARANTINE_FIELD, .value = QUARANTINE_RULE, .place = ""};

/* For reading everything anew: hashed as the last good content, so that comparing the two walks both in order. */
static void make_empty_builders(struct guard_content_edit *edit, const struct guard_content *good)
{
    struct guard_siphash_key sections = guard_shard_map_key(good->sections), clients = guard_clients_key(good->clients);
    edit->sections = guard_shard_builder_new_keyed(&sections, 0, 0);
    edit->clients = guard_clients_builder_new_keyed(&clients, guard_clients_count(good->clients),
                                                    guard_clients_memory(good->clients));
    edit->revocations = guard_revocations_builder_new(NULL);
}

int guard_content_edit_begin(struct guard_content_edit *edit, const struct guard_content *base,
                             const struct guard_content *good, const struct guard_content_checks *checks)
{
    edit->whole = base == NULL;
    edit->checks = checks;
    edit->good = good;
    if (edit->whole) {
        make_empty_builders(edit, good);
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
    if (edit->whole)
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
    if (content->sections && content->clients && content->revocations)
        return GUARD_OK;
    guard_content_free(content);
    return GUARD_ERR_NOMEM;
}

/* One key at work. */
struct item {
    struct guard_content_edit *edit;
    enum guard_key_kind kind;
    const char *name;
    const char *place; /* the whole key */
    struct guard_problems problems;
};

static void complain(struct item *item, const char *text)
{
    guard_problems_add(&item->problems, GUARD_PROBLEM_ERROR, item->place, 0, 0, "%s", text);
}

/* What becomes of an item that was complained about: the complaint itself is the error. */
static void conclude(struct item *item, const char *text)
{
    guard_problems_add(&item->problems, GUARD_PROBLEM_WARNING, item->place, 0, 0, "%s", text);
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
static void report(struct item *item)
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

static bool is_text(const struct guard_reply *reply)
{
    bool ascii = true;
    if (reply->type != GUARD_REPLY_STRING)
        return false;
    for (size_t i = 0; i < reply->length; i++) {
        unsigned char byte = (unsigned char)reply->text[i];
        if (byte < 0x20 && byte != '\t')
            return false;
        ascii = ascii && byte < 0x80;
    }
    return ascii || guard_utf8_valid(reply->text, reply->length);
}

static int compare_lines(const void *a, const void *b)
{
    const struct guard_policy_line *left = a, *right = b;
    return strcmp(left->field, right->field);
}

/* The reply to HGETALL as lines in edit->lines, sorted by field. False: a complaint was made, or out of memory (errno).
 */
static bool read_lines(struct item *item, const struct guard_reply *reply, size_t *count)
{
    struct guard_content_edit *edit = item->edit;
    if (reply->type == GUARD_REPLY_ERROR || reply->type != GUARD_REPLY_ARRAY || reply->count % 2) {
        complain(item, "is not a hash");
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
        if (!is_text(field) || !is_text(value) || !field->length) {
            complain(item, "a field or value is empty, holds control characters or is not valid UTF-8");
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

static size_t section_key(enum guard_key_kind kind, const char *name, char *key)
{
    size_t length = strlen(name);
    key[0] = (char)kind;
    memcpy(key + 1, name, length + 1);
    return length + 1;
}

/* Puts or removes a section and keeps the counts. value NULL: remove. */
static int set_section(struct item *item, const char *value, size_t length)
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

/* The last good version of the item's section. */
static bool good_section(const struct item *item, struct guard_shard_entry *entry)
{
    char key[KEY_SIZE];
    size_t length = section_key(item->kind, item->name, key);
    return guard_shard_map_find(item->edit->good->sections, key, length, entry);
}

static int put_lines(struct item *item, const struct guard_policy_line *lines, size_t count)
{
    struct guard_buffer *packed = &item->edit->packed;
    int rc = pack_lines(lines, count, packed);
    return rc == GUARD_OK ? set_section(item, packed->data, packed->length) : rc;
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
static int keep_good_section(struct item *item)
{
    struct guard_shard_entry entry;
    if (good_section(item, &entry) && !is_quarantine(&entry)) {
        conclude(item, "is not taken; its last good version stays in force");
        return set_section(item, entry.value, entry.value_length);
    }
    if (item->kind == GUARD_KEY_ROLE) {
        conclude(item, "is not taken; until it is mended, whoever holds this role is denied everything");
        return put_lines(item, &quarantine, 1);
    }
    if (item->edit->good->sections) { /* a policy is in force, and it has none of these */
        conclude(item, "is not taken; there is none in force, as before");
        return set_section(item, NULL, 0);
    }
    conclude(item, "is not taken, and there is no version of it that was good: the policy cannot be used");
    item->edit->incomplete |= 1u << item->kind;
    return GUARD_OK;
}

static bool passes(struct item *item, size_t count)
{
    const struct guard_store_callbacks *callbacks = item->edit->checks->callbacks;
    struct guard_buffer *packed = &item->edit->packed;
    struct guard_shard_entry entry;
    if (!callbacks->check)
        return true;
    if (good_section(item, &entry) && pack_lines(item->edit->lines, count, packed) == GUARD_OK &&
        packed->length == entry.value_length && memcmp(packed->data, entry.value, packed->length) == 0)
        return true; /* it passed before */
    int rc = callbacks->check(callbacks->context, item->edit->lines, count, &item->problems);
    if (rc != GUARD_OK && !item->problems.errors)
        complain(item, "does not pass the check");
    return rc == GUARD_OK;
}

static int take_section(struct item *item, const struct guard_reply *reply)
{
    size_t count;
    errno = 0;
    if (!read_lines(item, reply, &count))
        return errno == ENOMEM ? GUARD_ERR_NOMEM : keep_good_section(item);
    item->edit->incomplete &= ~(1u << item->kind);
    if (!count)
        return set_section(item, NULL, 0);
    return passes(item, count) ? put_lines(item, item->edit->lines, count) : keep_good_section(item);
}

/* Whether the last good record is in truth what stands in for one that never was good. */
static bool is_stand_in(const struct guard_client_view *view)
{
    return view->disabled && !view->password && !view->role_count && !view->client_id_count && !view->attribute_count;
}

static int keep_good_client(struct item *item)
{
    struct guard_client_view view;
    struct guard_content_edit *edit = item->edit;
    size_t length;
    if (guard_clients_find(edit->good->clients, item->name, strlen(item->name), &view) && !is_stand_in(&view)) {
        conclude(item, "is not taken; the client's last good record stays in force");
        const char *packed = guard_client_packed(&view, &length);
        return guard_clients_builder_put_packed(edit->clients, view.username, view.username_length, packed, length);
    }
    conclude(item, "is not taken; until it is mended, the client is disabled");
    return guard_clients_builder_put_disabled(edit->clients, item->name);
}

static int take_client(struct item *item, const struct guard_reply *reply)
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

static enum guard_revocation_kind revocation_kind(enum guard_key_kind kind)
{
    return (enum guard_revocation_kind)(GUARD_REVOKED_TOKEN + (int)(kind - GUARD_KEY_REVOKED_TOKEN));
}

static int take_revocation(struct item *item, const struct guard_reply *reply)
{
    struct guard_revocations_builder *builder = item->edit->revocations;
    enum guard_revocation_kind kind = revocation_kind(item->kind);
    struct guard_error err = {0};
    if (reply->type == GUARD_REPLY_NIL)
        return guard_revocations_builder_remove(builder, kind, item->name);
    /* whatever the value: the key is there, and that is what revokes */
    int rc = guard_revocations_builder_put(builder, kind, item->name, is_text(reply) ? reply->text : "", &err);
    if (rc != GUARD_ERR_INVALID)
        return rc;
    complain(item, err.text);
    if (kind != GUARD_REVOKED_BEFORE)
        return GUARD_OK;
    conclude(item, "until it is mended, every credential of this user is void");
    return guard_revocations_builder_put(builder, kind, item->name, NEVER, NULL);
}

static int take_key_set(struct item *item, const struct guard_reply *reply)
{
    struct guard_shard_entry entry;
    if (reply->type == GUARD_REPLY_NIL)
        return set_section(item, NULL, 0);
    if (reply->type == GUARD_REPLY_STRING && reply->length && !memchr(reply->text, 0, reply->length))
        return set_section(item, reply->text, reply->length + 1);
    complain(item, "is not a text; the last good key set stays in force");
    return good_section(item, &entry) ? set_section(item, entry.value, entry.value_length) : GUARD_OK;
}

static int take_number(struct item *item, const struct guard_reply *reply)
{
    char *end = NULL;
    uint64_t version = 0;
    errno = 0;
    if (reply->type == GUARD_REPLY_STRING && reply->length && reply->text[0] != '-')
        version = strtoull(reply->text, &end, 10);
    if (reply->type != GUARD_REPLY_NIL && (!end || *end || errno))
        complain(item, "is not a number; it counts as 0");
    item->edit->version = end && !*end && !errno ? version : 0;
    return GUARD_OK;
}

static int take_confirmation(struct item *item, const struct guard_reply *reply)
{
    static const struct guard_siphash_key key = {1, 0};
    item->edit->confirm = reply->type == GUARD_REPLY_STRING ? guard_siphash(&key, reply->text, reply->length) | 1 : 0;
    return GUARD_OK;
}

static bool good_name(struct item *item)
{
    bool held = item->kind == GUARD_KEY_ROLE || item->kind == GUARD_KEY_CLIENT;
    size_t length = strlen(item->name);
    if (length > GUARD_CLIENT_NAME_MAX || !guard_utf8_valid(item->name, length) || (held && strchr(item->name, ']'))) {
        complain(item, "the name in this key is not valid UTF-8, too long or holds ']': the key is ignored");
        return false;
    }
    for (const char *c = item->name; held && *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            complain(item, "the name in this key holds a control character: the key is ignored");
            return false;
        }
    return true;
}

static int take(struct item *item, const struct guard_reply *reply)
{
    if (!good_name(item))
        return GUARD_OK;
    switch (item->kind) {
    case GUARD_KEY_ROLE:
    case GUARD_KEY_ASSIGN:
    case GUARD_KEY_DEFAULT:
        return take_section(item, reply);
    case GUARD_KEY_CLIENT:
        return take_client(item, reply);
    case GUARD_KEY_JWKS:
        return take_key_set(item, reply);
    case GUARD_KEY_VERSION:
        return take_number(item, reply);
    case GUARD_KEY_CONFIRM:
        return take_confirmation(item, reply);
    case GUARD_KEY_ROLES:
    case GUARD_KEY_CLIENTS:
    case GUARD_KEY_OTHER:
        return GUARD_OK;
    default:
        return take_revocation(item, reply);
    }
}

int guard_content_edit_take(struct guard_content_edit *edit, const char *key, const struct guard_reply *reply)
{
    struct item item = {.edit = edit};
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
