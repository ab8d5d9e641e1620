/* Policy text -> segment, bindings and policy. */
#include "acl/policy.h"

#include "core/buffer.h"
#include "core/siphash.h"

#include <stdlib.h>
#include <string.h>

static void report(const struct acl_compilation *c, const struct guard_policy_line *line, const struct guard_error *err)
{
    unsigned column = 0;
    if (err->column)
        column = line->column ? line->column + err->column - 1 : err->column;
    guard_problems_add(c->problems, GUARD_PROBLEM_ERROR, line->place, line->line, column, "%s", err->text);
}

static void warn(const struct acl_compilation *c, const struct guard_policy_line *line, const char *text)
{
    guard_problems_add(c->problems, GUARD_PROBLEM_WARNING, line->place, line->line, line->column, "%s", text);
}

/* ---- roles ---- */

/* Lines of roles, sorted by role, each role's in the order they came. */
struct ordered {
    const struct guard_policy_line **lines;
    uint32_t *locals; /* the local number of each */
    size_t count;
};

static bool same_role(const struct guard_policy_line *a, const struct guard_policy_line *b)
{
    return a->name == b->name || strcmp(a->name, b->name) == 0;
}

/* Gives every line its role's local number. *sorted: the lines are in order already. */
static int collect(struct acl_compilation *c, struct ordered *o, bool *sorted)
{
    const struct guard_policy_line *before = NULL;
    uint32_t local = ACL_STRINGS_NONE, highest = 0;
    *sorted = true;
    for (size_t i = 0; i < c->text->count; i++) {
        const struct guard_policy_line *line = &c->text->lines[i];
        if (line->section != GUARD_SECTION_ROLE)
            continue;
        if (!before || !same_role(before, line)) {
            size_t length = strlen(line->name);
            local = c->closed ? acl_strings_find(&c->roles, line->name, length)
                              : acl_strings_add(&c->roles, line->name, length);
            if (local == ACL_STRINGS_NONE && !c->closed)
                return GUARD_ERR_NOMEM;
        }
        before = line;
        if (local == ACL_STRINGS_NONE)
            continue;
        *sorted &= local >= highest;
        highest = local > highest ? local : highest;
        o->lines[o->count] = line;
        o->locals[o->count++] = local;
    }
    return GUARD_OK;
}

/* A counting sort by local number. */
static int sort_lines(const struct acl_compilation *c, struct ordered *o)
{
    size_t *starts = calloc((size_t)c->roles.count + 1, sizeof *starts);
    const struct guard_policy_line **lines = calloc(o->count + 1, sizeof *lines);
    uint32_t *locals = calloc(o->count + 1, sizeof *locals);
    if (!starts || !lines || !locals) {
        free(starts);
        free(lines);
        free(locals);
        return GUARD_ERR_NOMEM;
    }
    for (size_t i = 0; i < o->count; i++)
        starts[o->locals[i] + 1]++;
    for (uint32_t i = 0; i < c->roles.count; i++)
        starts[i + 1] += starts[i];
    for (size_t i = 0; i < o->count; i++) {
        size_t to = starts[o->locals[i]]++;
        lines[to] = o->lines[i];
        locals[to] = o->locals[i];
    }
    free(starts);
    free(o->lines);
    free(o->locals);
    o->lines = lines;
    o->locals = locals;
    return GUARD_OK;
}

static int order_lines(struct acl_compilation *c, struct ordered *o)
{
    bool sorted;
    o->lines = calloc(c->text->count + 1, sizeof *o->lines);
    o->locals = calloc(c->text->count + 1, sizeof *o->locals);
    if (!o->lines || !o->locals)
        return GUARD_ERR_NOMEM;
    int rc = collect(c, o, &sorted);
    return rc == GUARD_OK && !sorted ? sort_lines(c, o) : rc;
}

static int explain_builder(int rc, const struct guard_policy_line *line, struct guard_error *err)
{
    if (rc == GUARD_ERR_INVALID)
        return guard_fail(err, GUARD_ERR_SYNTAX,
                          "the rule name \"%.80s\" stands twice in role \"%.80s\": expected each once", line->field,
                          line->name);
    if (rc == GUARD_ERR_LIMIT)
        return guard_fail(err, GUARD_ERR_SYNTAX, "more than %d different placeholders in the policy", ACL_SLOTS);
    return rc;
}

static int compile_line(struct acl_compilation *c, struct acl_builder *builder, struct acl_parsed *parsed,
                        const struct guard_policy_line *line, struct guard_error *err)
{
    int rc = acl_rule_parse(line->value, parsed, err);
    if (rc != GUARD_OK)
        return rc;
    if (parsed->level_count && parsed->levels[0].length == 6 &&
        memcmp(parsed->text + parsed->levels[0].text, "$share", 6) == 0)
        warn(c, line, "$share/<group>/ is taken off before rules are asked: write the filter behind it");
    struct acl_rule_origin origin = {line->field, line->place, line->line};
    return explain_builder(acl_builder_add(builder, parsed, &origin), line, err);
}

static int begin_role(struct acl_compilation *c, struct acl_builder *builder, const struct guard_policy_line *line,
                      uint32_t local)
{
    c->ids[local] = acl_names_add(c->names, line->name, strlen(line->name));
    if (c->ids[local] == ACL_STRINGS_NONE)
        return GUARD_ERR_NOMEM;
    acl_builder_role(builder, c->ids[local]);
    return GUARD_OK;
}

/* Every line of one role, from *i on. Faults are reported; the code is the worst of them. */
static int compile_role(struct acl_compilation *c, struct acl_builder *builder, struct acl_parsed *parsed,
                        const struct ordered *o, size_t *i)
{
    uint32_t local = o->locals[*i];
    int worst = begin_role(c, builder, o->lines[*i], local);
    for (; worst != GUARD_ERR_NOMEM && *i < o->count && o->locals[*i] == local; ++*i) {
        struct guard_error err = {0};
        int rc = compile_line(c, builder, parsed, o->lines[*i], &err);
        if (rc != GUARD_OK && rc != GUARD_ERR_NOMEM)
            report(c, o->lines[*i], &err);
        if (rc != GUARD_OK)
            worst = rc == GUARD_ERR_NOMEM ? rc : GUARD_ERR_SYNTAX;
    }
    if (worst == GUARD_ERR_SYNTAX && c->options.keep_bad_roles) {
        c->bad[local] = true;
        acl_builder_drop_role(builder);
        return GUARD_OK;
    }
    return worst;
}

/* Where a slice that begins at `start` ends: with a role, and with `rules` lines or soon behind. */
static size_t slice_end(const struct ordered *o, size_t start, size_t rules)
{
    size_t end = o->count - start > rules ? start + rules : o->count;
    while (end < o->count && o->locals[end] == o->locals[end - 1])
        end++;
    return end;
}

static uint32_t roles_in(const struct ordered *o, size_t start, size_t end)
{
    uint32_t roles = 0;
    for (size_t i = start; i < end; i++)
        roles += i == start || o->locals[i] != o->locals[i - 1];
    return roles;
}

static int compile_slice(struct acl_compilation *c, const struct ordered *o, size_t start, size_t end)
{
    struct acl_builder *builder = acl_builder_new(roles_in(o, start, end), end - start, c->slots, c->seed);
    struct acl_parsed *parsed = malloc(sizeof *parsed);
    int worst = builder && parsed ? GUARD_OK : GUARD_ERR_NOMEM;
    for (size_t i = start; worst != GUARD_ERR_NOMEM && i < end;) {
        int rc = compile_role(c, builder, parsed, o, &i);
        if (rc != GUARD_OK)
            worst = rc;
    }
    if (worst == GUARD_OK) {
        struct acl_segment *segment = acl_builder_finish(builder);
        if (segment)
            c->segments[c->segment_count++] = segment;
        worst = segment ? GUARD_OK : GUARD_ERR_NOMEM;
    }
    acl_builder_free(&builder);
    free(parsed);
    return worst;
}

static int compile_ordered(struct acl_compilation *c, const struct ordered *o)
{
    size_t rules = o->count / ACL_SLICES + 1;
    int worst = GUARD_OK;
    for (size_t start = 0, end; worst != GUARD_ERR_NOMEM && start < o->count; start = end) {
        end = slice_end(o, start, rules < ACL_SLICE_MIN ? ACL_SLICE_MIN : rules);
        int rc = compile_slice(c, o, start, end);
        if (rc != GUARD_OK)
            worst = rc;
    }
    return worst;
}

int acl_compile_roles(struct acl_compilation *c)
{
    struct ordered o = {0};
    int rc = order_lines(c, &o);
    if (rc == GUARD_OK) {
        c->bad = calloc((size_t)c->roles.count + 1, sizeof *c->bad);
        c->ids = calloc((size_t)c->roles.count + 1, sizeof *c->ids);
        rc = c->bad && c->ids ? GUARD_OK : GUARD_ERR_NOMEM;
    }
    for (uint32_t i = 0; rc == GUARD_OK && i < c->roles.count; i++)
        c->ids[i] = ACL_STRINGS_NONE;
    if (rc == GUARD_OK)
        rc = compile_ordered(c, &o);
    free(o.lines);
    free(o.locals);
    return rc;
}

void acl_compilation_free(struct acl_compilation *c)
{
    acl_strings_free(&c->roles);
    free(c->bad);
    free(c->ids);
    acl_names_release(c->names);
    acl_slots_release(c->slots);
    for (uint32_t i = 0; i < c->segment_count; i++)
        acl_segment_release(c->segments[i]);
}

int acl_compilation_hand_over(struct acl_compilation *c, struct acl_policy *policy, struct acl_role_entry *roles)
{
    int rc = GUARD_OK;
    for (uint32_t i = 0; i < c->segment_count && rc == GUARD_OK; i++) {
        struct acl_segment *segment = c->segments[i];
        c->segments[i] = NULL;
        rc = acl_policy_add_part(policy, roles, segment);
    }
    return rc;
}

/* ---- [assign], [default], [client] ---- */

/* GUARD_OK the first time, then GUARD_ERR_SYNTAX: names are told apart by the section in front of them. */
static int note_field(struct acl_strings *seen, const struct guard_policy_line *line, struct guard_error *err)
{
    struct guard_buffer name = {0};
    guard_buffer_printf(&name, "%d %s", (int)line->section, line->field);
    uint32_t before = seen->count, number = ACL_STRINGS_NONE;
    if (!name.failed)
        number = acl_strings_add(seen, name.data, name.length);
    guard_buffer_free(&name);
    if (number == ACL_STRINGS_NONE)
        return GUARD_ERR_NOMEM;
    if (seen->count == before)
        return guard_fail(err, GUARD_ERR_SYNTAX, "\"%.80s\" stands twice: expected it once", line->field);
    return GUARD_OK;
}

static int compile_binding(struct acl_bindings *bindings, struct acl_strings *seen,
                           const struct guard_policy_line *line, struct guard_error *err)
{
    int rc = note_field(seen, line, err);
    if (rc != GUARD_OK)
        return rc;
    if (line->section == GUARD_SECTION_ASSIGN)
        return acl_assignment_parse(bindings, line->value, err);
    return acl_default_parse(bindings, line->field, line->value, err);
}

int acl_compile_bindings(const struct acl_compilation *c, struct acl_bindings **out)
{
    struct acl_bindings *bindings = acl_bindings_new();
    struct acl_strings seen;
    int worst = bindings ? GUARD_OK : GUARD_ERR_NOMEM;
    acl_strings_init(&seen, c->seed);
    for (size_t i = 0; worst != GUARD_ERR_NOMEM && i < c->text->count; i++) {
        const struct guard_policy_line *line = &c->text->lines[i];
        struct guard_error err = {0};
        if (line->section != GUARD_SECTION_ASSIGN && line->section != GUARD_SECTION_DEFAULT)
            continue;
        int rc = compile_binding(bindings, &seen, line, &err);
        if (rc != GUARD_OK && rc != GUARD_ERR_NOMEM)
            report(c, line, &err);
        if (rc != GUARD_OK)
            worst = rc;
    }
    acl_strings_free(&seen);
    if (worst == GUARD_OK)
        *out = bindings;
    else
        acl_bindings_release(bindings);
    return worst;
}

static int check_clients(const struct acl_compilation *c)
{
    int worst = GUARD_OK;
    if (c->options.ignore_clients)
        return GUARD_OK;
    for (size_t i = 0; i < c->text->count && worst != GUARD_ERR_NOMEM; i++) {
        const struct guard_policy_line *line = &c->text->lines[i];
        struct guard_error err = {0};
        if (line->section != GUARD_SECTION_CLIENT)
            continue;
        int rc = acl_client_field_check(line->field, line->value, &err);
        if (rc != GUARD_OK && rc != GUARD_ERR_NOMEM)
            report(c, line, &err);
        if (rc != GUARD_OK)
            worst = rc;
    }
    return worst;
}

static void warn_missing(const struct acl_compilation *c, const struct acl_role_list *list, const char *where)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (acl_names_find(c->names, list->items[i].role, strlen(list->items[i].role)) == ACL_STRINGS_NONE)
            guard_problems_add(c->problems, GUARD_PROBLEM_WARNING, where, 0, 0, "role \"%.80s\" is not defined",
                               list->items[i].role);
}

/* ---- all of it ---- */

static int assemble(struct acl_compilation *c, struct acl_bindings *bindings, struct acl_policy **out)
{
    struct acl_role_entry *roles = calloc((size_t)acl_names_count(c->names) + 1, sizeof *roles);
    struct acl_policy *policy = roles ? acl_policy_new(c->seed, 0, roles, c->names, c->slots, bindings) : NULL;
    if (!policy)
        return GUARD_ERR_NOMEM;
    int rc = acl_compilation_hand_over(c, policy, roles);
    for (uint32_t i = 0; i < c->roles.count; i++)
        if (c->bad[i])
            roles[c->ids[i]].broken = true;
    if (rc == GUARD_OK)
        rc = acl_policy_tidy(policy, roles);
    if (rc == GUARD_OK)
        *out = policy;
    else
        acl_policy_release(policy);
    return rc;
}

static int worse(int a, int b)
{
    if (a == GUARD_ERR_NOMEM || b == GUARD_ERR_NOMEM)
        return GUARD_ERR_NOMEM;
    return a != GUARD_OK ? a : b;
}

int acl_policy_compile(const struct guard_policy_text *text, const struct acl_compile_options *options,
                       struct acl_policy **out, struct guard_problems *problems)
{
    struct acl_compilation c = {.text = text, .problems = problems};
    struct acl_bindings *bindings = NULL;
    *out = NULL;
    if (options)
        c.options = *options;
    c.seed = guard_siphash_random_key().k0;
    acl_strings_init(&c.roles, c.seed);
    c.names = acl_names_new(NULL, c.seed);
    c.slots = acl_slots_new(NULL);
    int rc = c.names && c.slots ? GUARD_OK : GUARD_ERR_NOMEM;
    if (rc == GUARD_OK)
        rc = acl_compile_roles(&c);
    if (rc != GUARD_ERR_NOMEM)
        rc = worse(rc, acl_compile_bindings(&c, &bindings));
    if (rc != GUARD_ERR_NOMEM)
        rc = worse(rc, check_clients(&c));
    if (rc == GUARD_OK) {
        warn_missing(&c, &bindings->roles, "[default] roles");
        for (uint32_t i = 0; i < bindings->assignment_count; i++)
            warn_missing(&c, &bindings->assignments[i].roles, "[assign]");
        rc = assemble(&c, bindings, out);
    }
    acl_bindings_release(bindings);
    acl_compilation_free(&c);
    return rc;
}
