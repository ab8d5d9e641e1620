/* What Redis delivered last of the policy, kept to be combined again: with another policy file, or with an edit. */
#include "core/memory.h"
#include "plugin/policy_store_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- lines ---- */

/* Appends a line whose strings stay somebody else's: such a text is only looked at. */
int guard_policy_view_line(struct guard_policy_text *view, const struct guard_policy_line *line)
{
    if (view->count == view->capacity) {
        size_t capacity = view->capacity ? view->capacity * 2 : 256;
        struct guard_policy_line *grown =
            guard_regrow(view->lines, view->count * sizeof *grown, capacity * sizeof *grown);
        if (!grown)
            return GUARD_ERR_NOMEM;
        view->lines = grown;
        view->capacity = capacity;
    }
    view->lines[view->count++] = *line;
    return GUARD_OK;
}

int guard_policy_view_lines(struct guard_policy_text *view, const struct guard_policy_line *lines, size_t count)
{
    int rc = GUARD_OK;
    for (size_t i = 0; i < count && rc == GUARD_OK; i++)
        rc = guard_policy_view_line(view, &lines[i]);
    return rc;
}

/* ---- what Redis delivered, kept ---- */

struct guard_kept_section *guard_kept_find(const struct guard_kept_policy *kept, enum guard_store_kind kind,
                                           const char *name)
{
    for (size_t i = 0; i < kept->count; i++)
        if (kept->sections[i].kind == kind && strcmp(kept->sections[i].name, name) == 0)
            return &kept->sections[i];
    return NULL;
}

static void drop_kept(struct guard_kept_policy *kept, struct guard_kept_section *section)
{
    guard_policy_text_free(&section->text);
    free(section->name);
    *section = kept->sections[--kept->count];
}

void guard_kept_free(struct guard_kept_policy *kept)
{
    while (kept->count)
        drop_kept(kept, &kept->sections[kept->count - 1]);
    free(kept->sections);
    *kept = (struct guard_kept_policy){0};
}

static struct guard_kept_section *append_kept(struct guard_kept_policy *kept, enum guard_store_kind kind,
                                              const char *name)
{
    if (kept->count == kept->capacity) {
        size_t capacity = kept->capacity ? kept->capacity * 2 : 16;
        struct guard_kept_section *grown = reallocarray(kept->sections, capacity, sizeof *grown);
        if (!grown)
            return NULL;
        kept->sections = grown;
        kept->capacity = capacity;
    }
    char *copy = strdup(name);
    if (!copy)
        return NULL;
    kept->sections[kept->count] = (struct guard_kept_section){.kind = kind, .name = copy};
    return &kept->sections[kept->count++];
}

/* known: whether one of that name may be there already. */
static int keep_section(struct guard_kept_policy *kept, const struct guard_store_section *section, bool known)
{
    struct guard_policy_text text = {0};
    struct guard_kept_section *old = known ? guard_kept_find(kept, section->kind, section->name) : NULL;
    if (!section->count) {
        if (old)
            drop_kept(kept, old);
        return GUARD_OK;
    }
    for (size_t i = 0; i < section->count; i++)
        if (guard_policy_text_add(&text, &section->lines[i]) != GUARD_OK) {
            guard_policy_text_free(&text);
            return GUARD_ERR_NOMEM;
        }
    if (!old && !(old = append_kept(kept, section->kind, section->name))) {
        guard_policy_text_free(&text);
        return GUARD_ERR_NOMEM;
    }
    guard_policy_text_free(&old->text);
    old->text = text;
    return GUARD_OK;
}

/* Roles are needed only to meet another version of a file: without one they are not kept, there may be a million. */
int guard_kept_take(struct guard_kept_policy *kept, const struct guard_store_update *update, bool roles)
{
    int rc = GUARD_OK;
    for (size_t i = 0; i < update->section_count && rc == GUARD_OK; i++)
        if (roles || update->sections[i].kind != GUARD_STORE_ROLE)
            rc = keep_section(kept, &update->sections[i], !update->full);
    return rc;
}

static enum guard_store_kind kind_of(const struct guard_policy_line *line)
{
    return line->section == GUARD_SECTION_ROLE     ? GUARD_STORE_ROLE
           : line->section == GUARD_SECTION_ASSIGN ? GUARD_STORE_ASSIGN
                                                   : GUARD_STORE_DEFAULT;
}

int guard_kept_take_text(struct guard_kept_policy *kept, const struct guard_policy_text *text)
{
    int rc = GUARD_OK;
    for (size_t from = 0, to; from < text->count && rc == GUARD_OK; from = to) {
        const struct guard_policy_line *first = &text->lines[from];
        for (to = from + 1; to < text->count; to++)
            if (text->lines[to].section != first->section || strcmp(text->lines[to].name, first->name) != 0)
                break;
        struct guard_store_section section = {kind_of(first), first->name, first, to - from};
        rc = keep_section(kept, &section, false);
    }
    return rc;
}

int guard_kept_view(const struct guard_kept_policy *kept, struct guard_policy_text *view)
{
    int rc = GUARD_OK;
    for (size_t i = 0; i < kept->count && rc == GUARD_OK; i++)
        rc = guard_policy_view_lines(view, kept->sections[i].text.lines, kept->sections[i].text.count);
    return rc;
}
