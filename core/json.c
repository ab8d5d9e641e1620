#include "core/json.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* struct guard_json is a cJSON under another name, so that cJSON stays in this file. */
static const cJSON *inside(const struct guard_json *value)
{
    return (const cJSON *)(const void *)value;
}

static const struct guard_json *outside(const cJSON *value)
{
    return (const struct guard_json *)(const void *)value;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

#define FEW_MEMBERS 16

/* 1 duplicate, 0 none, -1 out of memory. Many members are sorted, so that a hostile object costs n log n. */
static int has_duplicate(const cJSON *object)
{
    size_t count = 0;
    const cJSON *member, *other;
    cJSON_ArrayForEach(member, object) count++;
    if (count <= FEW_MEMBERS) {
        cJSON_ArrayForEach(member, object) for (other = member->next; other; other = other->next) if (
            strcmp(member->string, other->string) == 0) return 1;
        return 0;
    }
    const char **names = malloc(count * sizeof *names);
    if (!names)
        return -1;
    size_t n = 0;
    cJSON_ArrayForEach(member, object) names[n++] = member->string;
    qsort(names, n, sizeof *names, compare_names);
    int found = 0;
    for (size_t i = 1; i < n && !found; i++)
        found = strcmp(names[i - 1], names[i]) == 0;
    free(names);
    return found;
}

/* Depth is bounded by the check before, so recursion is too. */
static int find_duplicate(const cJSON *value, const char **name)
{
    if (cJSON_IsObject(value)) {
        int found = has_duplicate(value);
        if (found)
            return found;
    }
    const cJSON *child;
    cJSON_ArrayForEach(child, value)
    {
        if (cJSON_IsNumber(child) && !isfinite(child->valuedouble)) {
            *name = "a number that is too large";
            return 2;
        }
        int found = find_duplicate(child, name);
        if (found)
            return found;
    }
    return 0;
}

int guard_json_parse(const char *text, size_t length, unsigned max_depth, struct guard_json **out,
                     struct guard_error *err)
{
    *out = NULL;
    int rc = guard_json_check(text, length, max_depth, err);
    if (rc != GUARD_OK)
        return rc;
    cJSON *document = cJSON_ParseWithLength(text, length);
    if (!document)
        return guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    const char *what = "a member name that stands twice";
    int found = find_duplicate(document, &what);
    if (cJSON_IsNumber(document) && !isfinite(document->valuedouble)) {
        found = 2;
        what = "a number that is too large";
    }
    if (found) {
        cJSON_Delete(document);
        return found < 0 ? guard_fail(err, GUARD_ERR_NOMEM, "out of memory")
                         : guard_fail(err, GUARD_ERR_INVALID, "%s", what);
    }
    *out = (struct guard_json *)(void *)document;
    return GUARD_OK;
}

void guard_json_free(struct guard_json **document)
{
    cJSON_Delete((cJSON *)(void *)*document);
    *document = NULL;
}

enum guard_json_type guard_json_type(const struct guard_json *value)
{
    const cJSON *v = inside(value);
    if (cJSON_IsBool(v))
        return GUARD_JSON_BOOL;
    if (cJSON_IsNumber(v))
        return GUARD_JSON_NUMBER;
    if (cJSON_IsString(v))
        return GUARD_JSON_STRING;
    if (cJSON_IsArray(v))
        return GUARD_JSON_ARRAY;
    return cJSON_IsObject(v) ? GUARD_JSON_OBJECT : GUARD_JSON_NULL;
}

bool guard_json_is(const struct guard_json *value, enum guard_json_type type)
{
    return value && guard_json_type(value) == type;
}

const struct guard_json *guard_json_get(const struct guard_json *object, const char *name)
{
    return cJSON_IsObject(inside(object)) ? outside(cJSON_GetObjectItemCaseSensitive(inside(object), name)) : NULL;
}

const char *guard_json_string(const struct guard_json *value)
{
    return cJSON_IsString(inside(value)) ? inside(value)->valuestring : NULL;
}

bool guard_json_number(const struct guard_json *value, double *out)
{
    if (!cJSON_IsNumber(inside(value)))
        return false;
    *out = inside(value)->valuedouble;
    return true;
}

bool guard_json_integer(const struct guard_json *value, int64_t *out)
{
    double number;
    const double limit = 9007199254740992.0; /* 2^53: larger ones are not exact */
    if (!guard_json_number(value, &number) || number < -limit || number > limit || floor(number) < number)
        return false;
    *out = (int64_t)number;
    return true;
}

bool guard_json_true(const struct guard_json *value)
{
    return cJSON_IsTrue(inside(value));
}

const struct guard_json *guard_json_first(const struct guard_json *container)
{
    const cJSON *c = inside(container);
    return cJSON_IsArray(c) || cJSON_IsObject(c) ? outside(c->child) : NULL;
}

const struct guard_json *guard_json_next(const struct guard_json *value)
{
    return outside(inside(value)->next);
}

const char *guard_json_name(const struct guard_json *member)
{
    return inside(member)->string;
}

char *guard_json_print(const struct guard_json *value)
{
    return cJSON_PrintUnformatted(inside(value));
}
