/* Which stricter decisions an importer has announced (store/translation.h): `guardctl import --verify` lets only those
 * pass. */
#include "store/translation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct row {
    const char *filter, *user; /* announced */
    const char *who, *topic;   /* asked */
    bool announced;
};

static void only_what_was_announced(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"a/b", NULL, "x", "a/b", true},
        {"a/b", NULL, "x", "a/c", false},
        {"a/b", NULL, "x", "a", false},
        {"a/b", NULL, "x", "a/b/c", false},
        {"a/+", NULL, "x", "a/#", true},
        {"a/+", NULL, "x", "a/", true},
        {"a/+", NULL, "x", "b/+", false},
        {"a/+", NULL, "x", "a/b/c", false},
        {"a/#", NULL, "x", "a", true},
        {"a/#", NULL, "x", "a/b/c", true},
        {"a", NULL, "x", "a/#", true},
        {"a", NULL, "x", "a/+", false},
        {"a/#/b", NULL, "x", "a", true},
        {"a/#/b", NULL, "x", "a/c", true},
        {"+/b", NULL, "x", "$SYS/b", true},
        {"devices/%u/in", NULL, "x", "devices/x/in", true},
        {"devices/%u/in", NULL, "x", "devices/x/out", false},
        {"devices/${username}/in", NULL, "x", "devices/x/in", true},
        {"devices/d-%c-e/in", NULL, "x", "devices/anything/in", true},
        {"$share/g/a/b", NULL, "x", "a/b", true},
        {"a/b", NULL, "x", "$share/g/a/+", true},
        {"a/b", NULL, "x", "$share/g/b/+", false},
        {NULL, "ann", "ann", "any/thing", true},
        {NULL, "ann", "bob", "any/thing", false},
        {NULL, "ann", NULL, "any/thing", false},
        {NULL, "", NULL, "any/thing", true}, /* clients without a name */
        {NULL, "", "ann", "any/thing", false},
        {"a/#", "ann", "ann", "a/b", true},
        {"a/#", "ann", "bob", "a/b", false},
        {"a/#", "ann", "ann", "b", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct guard_translation translation = {0};
        guard_translation_note(&translation, GUARD_NOTE_STRICTER, "f", 1, "a note alone announces nothing");
        assert_false(guard_translation_announces(&translation, rows[i].who, rows[i].topic));
        guard_translation_stricter(&translation, "zzz", "zzz");
        guard_translation_stricter(&translation, rows[i].filter, rows[i].user);
        if (guard_translation_announces(&translation, rows[i].who, rows[i].topic) != rows[i].announced)
            fail_msg("row %zu", i);
        assert_false(translation.failed);
        guard_translation_free(&translation);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_was_announced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
