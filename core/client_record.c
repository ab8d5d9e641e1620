#include "core/client_record.h"

#include "core/nearest.h"
#include "core/utf8.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HEAD_SIZE     7
#define FLAG_DISABLED 1
#define FLAG_PASSWORD 2
#define LIST_MAX      65535

enum list { ROLES, CLIENT_IDS, ATTRIBUTES, LISTS };

/* A record while it is put together. */
struct draft {
    struct guard_buffer *lists; /* LISTS of them */
    unsigned counts[LISTS];
    const char *password;
    bool disabled, doubled_disabled;
    const struct guard_policy_line *line; /* the one at work */
    struct guard_problems *problems;
    bool faulty;
};

static void complain(struct draft *draft, unsigned column, const char *text, const char *detail)
{
    const struct guard_policy_line *line = draft->line;
    draft->faulty = true;
    guard_problems_add(draft->problems, GUARD_PROBLEM_ERROR, line->place, line->line,
                       line->column ? line->column + column : 0, "client '%s', field '%s': %s%s", line->name,
                       line->field, text, detail);
}

static bool list_holds(const struct draft *draft, enum list which, const char *name)
{
    const char *at = draft->lists[which].data, *end = at ? at + draft->lists[which].length : NULL;
    while (at < end) {
        if (which == ROLES)
            at += sizeof(int32_t);
        if (strcmp(at, name) == 0)
            return true;
        at += strlen(at) + 1;
        if (which == ATTRIBUTES)
            at += strlen(at) + 1;
    }
    return false;
}

static int add_to_list(struct draft *draft, enum list which, const char *name, int32_t priority)
{
    struct guard_buffer *list = &draft->lists[which];
    if (which != ATTRIBUTES && list_holds(draft, which, name)) {
        complain(draft, 0, "is named twice: ", name);
        return GUARD_OK;
    }
    if (draft->counts[which] == LIST_MAX) {
        complain(draft, 0, "holds too many names", "");
        return GUARD_OK;
    }
    draft->counts[which]++;
    if (which == ROLES)
        guard_buffer_append(list, &priority, sizeof priority);
    guard_buffer_append(list, name, strlen(name) + 1);
    return list->failed ? GUARD_ERR_NOMEM : GUARD_OK;
}

static int add_role(void *context, const char *name, int32_t priority)
{
    return add_to_list(context, ROLES, name, priority);
}

static int add_client_id(void *context, const char *name, int32_t priority)
{
    (void)priority;
    return add_to_list(context, CLIENT_IDS, name, 0);
}

static int take_list(struct draft *draft, enum list which)
{
    struct guard_error err = {0};
    if (draft->counts[which]) {
        complain(draft, 0, "is given twice", "");
        return GUARD_OK;
    }
    if (!draft->line->value[strspn(draft->line->value, " \t")]) /* roles = (nothing): no roles */
        return which == ROLES ? GUARD_OK : (complain(draft, 0, "expected a list of client ids", ""), GUARD_OK);
    int rc = guard_client_list_parse(draft->line->value, which == ROLES, which == ROLES ? add_role : add_client_id,
                                     draft, &err);
    if (rc == GUARD_ERR_SYNTAX) {
        complain(draft, err.column ? err.column - 1 : 0, err.text, "");
        return GUARD_OK;
    }
    return rc;
}

static int take_roles(struct draft *draft)
{
    return take_list(draft, ROLES);
}

static int take_client_ids(struct draft *draft)
{
    return take_list(draft, CLIENT_IDS);
}

static int take_password(struct draft *draft)
{
    if (draft->password)
        complain(draft, 0, "is given twice", "");
    else if (!draft->line->value[0] || draft->line->value[strcspn(draft->line->value, " \t")])
        complain(draft, 0, "expected a password hash, as `guardctl passwd` makes it", "");
    else
        draft->password = draft->line->value;
    return GUARD_OK;
}

static int take_disabled(struct draft *draft)
{
    static const char *const words[] = {"no", "yes", "false", "true", "0", "1"};
    if (draft->doubled_disabled)
        complain(draft, 0, "is given twice", "");
    draft->doubled_disabled = true;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(draft->line->value, words[i]) == 0) {
            draft->disabled = i % 2;
            return GUARD_OK;
        }
    complain(draft, 0, "expected yes or no, found ", draft->line->value);
    return GUARD_OK;
}

static int take_attribute(struct draft *draft, const char *name)
{
    struct guard_buffer *list = &draft->lists[ATTRIBUTES];
    if (!*name) {
        complain(draft, 0, "expected a name behind 'attr.'", "");
        return GUARD_OK;
    }
    if (list_holds(draft, ATTRIBUTES, name)) {
        complain(draft, 0, "is given twice", "");
        return GUARD_OK;
    }
    int rc = add_to_list(draft, ATTRIBUTES, name, 0);
    guard_buffer_append(list, draft->line->value, strlen(draft->line->value) + 1);
    return list->failed ? GUARD_ERR_NOMEM : rc;
}

static const struct field {
    const char *name;
    int (*take)(struct draft *draft);
} fields[] = {
    {"password", take_password}, {"roles", take_roles}, {"client_id", take_client_ids}, {"disabled", take_disabled}};

#define FIELD_COUNT (sizeof fields / sizeof fields[0])

static void unknown_field(struct draft *draft)
{
    const char *names[FIELD_COUNT + 1];
    char hint[96];
    for (size_t i = 0; i < FIELD_COUNT; i++)
        names[i] = fields[i].name;
    names[FIELD_COUNT] = "attr.NAME";
    snprintf(hint, sizeof hint, "did you mean '%s'? (password, roles, client_id, disabled, attr.NAME)",
             guard_nearest(draft->line->field, names, FIELD_COUNT + 1));
    complain(draft, 0, "is not known; ", hint);
}

static int take_line(struct draft *draft)
{
    const char *field = draft->line->field;
    if (!guard_utf8_valid(draft->line->value, strlen(draft->line->value))) {
        complain(draft, 0, "is not valid UTF-8", "");
        return GUARD_OK;
    }
    for (size_t i = 0; i < FIELD_COUNT; i++)
        if (strcmp(field, fields[i].name) == 0)
            return fields[i].take(draft);
    if (strncmp(field, "attr.", 5) == 0)
        return take_attribute(draft, field + 5);
    unknown_field(draft);
    return GUARD_OK;
}

static void write_draft(const struct draft *draft, struct guard_buffer *out)
{
    char head[HEAD_SIZE] = {(char)((draft->disabled ? FLAG_DISABLED : 0) | (draft->password ? FLAG_PASSWORD : 0))};
    for (int i = 0; i < LISTS; i++) {
        uint16_t count = (uint16_t)draft->counts[i];
        memcpy(head + 1 + 2 * i, &count, sizeof count);
    }
    guard_buffer_append(out, head, sizeof head);
    if (draft->password)
        guard_buffer_append(out, draft->password, strlen(draft->password) + 1);
    for (int i = 0; i < LISTS; i++)
        if (draft->lists[i].length)
            guard_buffer_append(out, draft->lists[i].data, draft->lists[i].length);
}

int guard_client_record_pack(const struct guard_client_lines *lines, struct guard_client_scratch *scratch,
                             struct guard_buffer *out, struct guard_problems *problems)
{
    struct draft draft = {.problems = problems, .lists = scratch->lists};
    int rc = GUARD_OK;
    guard_buffer_clear(out);
    for (int i = 0; i < LISTS; i++)
        guard_buffer_clear(&scratch->lists[i]);
    for (size_t i = 0; i < lines->count && rc == GUARD_OK; i++) {
        draft.line = &lines->lines[lines->order ? lines->order[i] : i];
        rc = take_line(&draft);
    }
    if (rc == GUARD_OK && !draft.faulty) {
        write_draft(&draft, out);
        if (out->length > GUARD_CLIENT_RECORD_MAX)
            complain(&draft, 0, "makes the record larger than 1 MiB", "");
    }
    if (rc == GUARD_OK && draft.faulty)
        rc = GUARD_ERR_INVALID;
    return rc == GUARD_OK && out->failed ? GUARD_ERR_NOMEM : rc;
}

void guard_client_record_pack_disabled(struct guard_buffer *out)
{
    struct guard_client_scratch nothing = {0};
    struct draft draft = {.disabled = true, .lists = nothing.lists};
    guard_buffer_clear(out);
    write_draft(&draft, out);
}

static const char *skip_strings(const char *at, size_t count, size_t before_each)
{
    while (count--)
        at += before_each + strlen(at + before_each) + 1;
    return at;
}

void guard_client_record_view(const char *value, size_t length, struct guard_client_view *view)
{
    uint16_t counts[LISTS];
    const char *at = value + HEAD_SIZE;
    memcpy(counts, value + 1, sizeof counts);
    view->disabled = value[0] & FLAG_DISABLED;
    view->password = value[0] & FLAG_PASSWORD ? at : NULL;
    view->role_count = counts[ROLES];
    view->client_id_count = counts[CLIENT_IDS];
    view->attribute_count = counts[ATTRIBUTES];
    if (view->password)
        at += strlen(at) + 1;
    view->packed[0] = at;
    view->packed[1] = at = skip_strings(at, counts[ROLES], sizeof(int32_t));
    view->packed[2] = skip_strings(at, counts[CLIENT_IDS], 0);
    view->packed[3] = value + length;
}

const char *guard_client_packed(const struct guard_client_view *view, size_t *length)
{
    const char *start = view->password ? view->password : view->packed[0];
    *length = (size_t)(view->packed[3] - start) + HEAD_SIZE;
    return start - HEAD_SIZE;
}

/* Moves *at behind count NUL-terminated texts; false if they do not end before end. */
static bool texts_end(const char **at, const char *end, size_t count, size_t before_each)
{
    while (count--) {
        if ((size_t)(end - *at) <= before_each)
            return false;
        const char *nul = memchr(*at + before_each, 0, (size_t)(end - *at) - before_each);
        if (!nul)
            return false;
        *at = nul + 1;
    }
    return true;
}

bool guard_client_record_valid(const char *value, size_t length)
{
    uint16_t counts[LISTS];
    const char *at = value + HEAD_SIZE, *end = value + length;
    if (length < HEAD_SIZE || length > GUARD_CLIENT_RECORD_MAX || (value[0] & ~(FLAG_DISABLED | FLAG_PASSWORD)))
        return false;
    memcpy(counts, value + 1, sizeof counts);
    return texts_end(&at, end, value[0] & FLAG_PASSWORD ? 1 : 0, 0) &&
           texts_end(&at, end, counts[ROLES], sizeof(int32_t)) && texts_end(&at, end, counts[CLIENT_IDS], 0) &&
           texts_end(&at, end, (size_t)counts[ATTRIBUTES] * 2, 0) && at == end;
}
