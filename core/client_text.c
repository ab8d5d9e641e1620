/* A client record back as the lines an admin would write. */
#include "core/buffer.h"
#include "core/clients.h"
#include "core/quoted.h"

#include <stdlib.h>
#include <string.h>

struct target {
    struct guard_policy_text *text;
    struct guard_policy_line line;
};

static int add(struct target *target, const char *field, const char *value)
{
    target->line.field = field;
    target->line.value = value;
    return guard_policy_text_add(target->text, &target->line);
}

static bool ends_like_a_priority(const char *name)
{
    const char *colon = strrchr(name, ':');
    char *end;
    if (!colon || !colon[1])
        return false;
    strtol(colon + 1, &end, 10);
    return !*end;
}

static void append_name(struct guard_buffer *list, const char *name)
{
    if (list->length)
        guard_buffer_text(list, ", ");
    guard_quoted_write(list, name, ends_like_a_priority(name) ? ",;:" : ",;");
}

static int add_lists(struct target *target, const struct guard_client_view *view)
{
    struct guard_buffer list = {0};
    const char *cursor = NULL, *name;
    int32_t priority;
    int rc = GUARD_OK;
    while (guard_client_next_role(view, &cursor, &name, &priority)) {
        append_name(&list, name);
        if (priority)
            guard_buffer_printf(&list, ":%d", priority);
    }
    if (list.length)
        rc = list.failed ? GUARD_ERR_NOMEM : add(target, "roles", list.data);
    guard_buffer_clear(&list);
    cursor = NULL;
    while (guard_client_next_client_id(view, &cursor, &name))
        append_name(&list, name);
    if (rc == GUARD_OK && list.length)
        rc = list.failed ? GUARD_ERR_NOMEM : add(target, "client_id", list.data);
    guard_buffer_free(&list);
    return rc;
}

static int add_attributes(struct target *target, const struct guard_client_view *view)
{
    struct guard_buffer field = {0};
    const char *cursor = NULL, *name, *value;
    int rc = GUARD_OK;
    while (rc == GUARD_OK && guard_client_next_attribute(view, &cursor, &name, &value)) {
        guard_buffer_clear(&field);
        guard_buffer_text(&field, "attr.");
        guard_buffer_text(&field, name);
        rc = field.failed ? GUARD_ERR_NOMEM : add(target, field.data, value);
    }
    guard_buffer_free(&field);
    return rc;
}

int guard_client_to_text(const struct guard_client_view *view, const char *place, struct guard_policy_text *text)
{
    struct target target = {
        .text = text,
        .line = {.section = GUARD_SECTION_CLIENT, .name = view->username, .place = place, .line = 0, .column = 0}};
    int rc = GUARD_OK;
    if (view->password)
        rc = add(&target, "password", view->password);
    if (rc == GUARD_OK)
        rc = add_lists(&target, view);
    if (rc == GUARD_OK && view->disabled)
        rc = add(&target, "disabled", "yes");
    return rc == GUARD_OK ? add_attributes(&target, view) : rc;
}
