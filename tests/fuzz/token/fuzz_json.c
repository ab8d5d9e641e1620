/*
 * The JSON reader, held against cJSON: what ours takes, cJSON takes too, with the same values; and what ours prints, it
 * reads again. (The other way round there is no promise: cJSON takes much that is not JSON.)
 */
#include "core/json.h"

#include <cjson/cJSON.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DEPTH 64

static void expect(int condition)
{
    if (!condition)
        abort();
}

/* cJSON reads the first 63 characters of a number. */
static bool is_long(const struct guard_json *number)
{
    char *text = guard_json_print(number);
    bool is = text && strlen(text) > 62;
    free(text);
    return is;
}

static void compare(const struct guard_json *ours, const cJSON *theirs)
{
    double number;
    int64_t integer;
    switch (guard_json_type(ours)) {
    case GUARD_JSON_NULL:
        expect(cJSON_IsNull(theirs));
        break;
    case GUARD_JSON_BOOL:
        expect(cJSON_IsBool(theirs) && guard_json_true(ours) == (bool)cJSON_IsTrue(theirs));
        break;
    case GUARD_JSON_NUMBER:
        expect(cJSON_IsNumber(theirs) && guard_json_number(ours, &number));
        expect(number == theirs->valuedouble || is_long(ours));
        expect(!guard_json_integer(ours, &integer) || (double)integer == number);
        break;
    case GUARD_JSON_STRING:
        expect(cJSON_IsString(theirs) && strcmp(guard_json_string(ours), theirs->valuestring) == 0);
        break;
    default: {
        bool object = guard_json_is(ours, GUARD_JSON_OBJECT);
        expect(object ? cJSON_IsObject(theirs) : cJSON_IsArray(theirs));
        const struct guard_json *a = guard_json_first(ours);
        const cJSON *b = theirs->child;
        for (; a && b; a = guard_json_next(a), b = b->next) {
            expect(!object || strcmp(guard_json_name(a), b->string) == 0);
            expect(!object || guard_json_get(ours, guard_json_name(a)) == a);
            compare(a, b);
        }
        expect(!a && !b);
    }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct guard_json *document, *again;
    struct guard_error err = {0};
    int rc = guard_json_parse(text, size, DEPTH, &document, &err);
    expect((rc == GUARD_OK) == (document != NULL));
    int checked = guard_json_check(text, size, DEPTH, NULL);
    expect(rc == GUARD_OK ? checked == GUARD_OK : checked == rc || rc == GUARD_ERR_INVALID);
    if (!document) {
        expect(err.text[0] != '\0');
        return 0;
    }
    cJSON *theirs = cJSON_ParseWithLength(text, size);
    expect(theirs != NULL);
    compare(document, theirs);
    cJSON_Delete(theirs);
    char *printed = guard_json_print(document);
    expect(printed && guard_json_parse(printed, strlen(printed), DEPTH, &again, NULL) == GUARD_OK);
    guard_json_free(&again);
    free(printed);
    guard_json_free(&document);
    return 0;
}
