/* The policy file's grammar: what is read, and where each fault is said to stand. A case is a line of a table. */
#include "store/policy_file.h"
#include "tests/temporary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct good {
    const char *text;
    const char *lines; /* section/name/field=value@line:column| … */
};

static const struct good goods[] = {
    {"", ""},
    {"\n  \n; comment\n# comment\n\t; indented\n", ""},
    {"[role device]\ntelemetry = allow publish devices/${username}/data\n",
     "role/device/telemetry=allow publish devices/${username}/data@2:13|"},
    {"[role device] ; comment\nt=allow publish a/#   ; comment\n", "role/device/t=allow publish a/#@2:3|"},
    {"[role r]\r\na = allow publish x\r\n", "role/r/a=allow publish x@2:5|"},
    {"[role r]\na = allow publish x", "role/r/a=allow publish x@2:5|"}, /* no line end at the end */
    {"[role r]\na = allow subscribe #\n", "role/r/a=allow subscribe #@2:5|"},
    {"[role r]\na = allow publish \"a;b c\" qos<=1 ;x\n", "role/r/a=allow publish \"a;b c\" qos<=1@2:5|"},
    {"[role r]\na = allow publish \"a \\\" ; b\"\n", "role/r/a=allow publish \"a \\\" ; b\"@2:5|"},
    {"[role r]\na = allow publish a;b\n", "role/r/a=allow publish a;b@2:5|"}, /* acl/ then asks for quotes */
    {"[role \"floor 2\"]\n\"my rule\" = allow publish x\n", "role/floor 2/my rule=allow publish x@2:13|"},
    {"[role \"a\\\"b\\\\c\"]\n\"k=v\" = allow publish x\n", "role/a\"b\\c/k=v=allow publish x@2:9|"},
    {"[ role   device ]\nx = y\n", "role/device/x=y@2:5|"},
    {"[client sensor-7]\npassword  = $7$101$c2E=$aA==          ; also the other formats\nroles = device, floor2:5\n",
     "client/sensor-7/password=$7$101$c2E=$aA==@2:13|client/sensor-7/roles=device, floor2:5@3:9|"},
    {"[client c]\nattr.site = \" a ; b \"\nattr.q = \"\"\nattr.z = plain text\n",
     "client/c/attr.site= a ; b @2:13|client/c/attr.q=@3:10|client/c/attr.z=plain text@4:10|"},
    {"[client c]\nroles = \"floor 2\":5, x\n", "client/c/roles=\"floor 2\":5, x@2:9|"}, /* lists keep their quotes */
    {"[assign]\nsensors = device when cert.ou = \"sensors\"\n",
     "assign//sensors=device when cert.ou = \"sensors\"@2:11|"},
    {"[default]\nmode = strict ; strict | lenient | off\n", "default//mode=strict@2:8|"},
    {"[role a]\nx = 1\n[role b]\nx = 1\n[role a]\ny = 2\n", "role/a/x=1@2:5|role/b/x=1@4:5|role/a/y=2@6:5|"},
    {"[role caf\xc3\xa9]\nr\xc3\xa9gle = allow publish \xe2\x82\xac\n",
     "role/caf\xc3\xa9/r\xc3\xa9gle=allow publish \xe2\x82\xac@2:10|"},
    {"[role user:alice]\nx = y\n", "role/user:alice/x=y@2:5|"},
    {"[role a#b]\nx = y\n", "role/a#b/x=y@2:5|"},
    {"[client $SYS]\nroles = a\n", "client/$SYS/roles=a@2:9|"},
};

struct bad {
    const char *text;
    unsigned line, column;
    const char *says;
};

static const struct bad bads[] = {
    {"x = y\n", 1, 1, "expected a section first"},
    {"[rol device]\n", 1, 2, "did you mean [role]"},
    {"[clients a]\n", 1, 2, "did you mean [client]"},
    {"[]\n", 1, 2, "there is no section"},
    {"[role]\n", 1, 6, "expected a name"},
    {"[role ]\n", 1, 7, "expected a name"},
    {"[role \"\"]\n", 1, 7, "expected a name"},
    {"[role a b]\n", 1, 9, "expected ']'"},
    {"[role a\n", 1, 8, "expected ']'"},
    {"[role a] x\n", 1, 10, "behind ']'"},
    {"[role \"a\n", 1, 7, "not closed"},
    {"[role \"a]b\"]\n", 1, 7, "may not hold ']'"},
    {"[role \"a\\u0001\"]\n", 1, 7, "control characters"},
    {"[role \"a\\u0000\"]\n", 1, 0, ""},
    {"[assign x]\n", 1, 9, "has no name"},
    {"[role a]\nx\n", 2, 2, "expected '='"},
    {"[role a]\nx y = z\n", 2, 3, "expected '='"},
    {"[role a]\n = z\n", 2, 2, "expected a name"},
    {"[role a]\nx =\n", 2, 4, "expected a value"},
    {"[role a]\nx = ; comment\n", 2, 5, "expected a value"},
    {"[role a]\nx = allow publish \"a\n", 2, 19, "not closed"},
    {"[role a]\nx = 1\nx = 2\n", 3, 1, "line 2"},
    {"[role a]\nx = 1\n[role b]\ny = 1\n[role a]\n  x = 2\n", 6, 3, "line 2"},
    {"[client c]\nattr.x = \"a\" b\n", 2, 13, "behind the quoted value"},
    {"[client c]\nattr.x = \"a\\q\"\n", 2, 0, ""},
    {"\xef\xbb\xbf[role a]\nx = 1\n", 1, 1, "byte order mark"},
    {"[role a]\nx = \xff\n", 2, 5, "not valid UTF-8"},
    {"[role a]\nx = a\x01\n", 2, 6, "control character"},
    {"[role a]\nx = a\rb\n", 2, 6, "control character"},
};

static void print_lines(const struct guard_policy_text *text, struct guard_buffer *out)
{
    static const char *const sections[] = {"role", "client", "assign", "default"};
    guard_buffer_append(out, "", 0);
    for (size_t i = 0; i < text->count; i++) {
        const struct guard_policy_line *l = &text->lines[i];
        assert_string_equal(l->place, "policy.conf");
        guard_buffer_printf(out, "%s/%s/%s=%s@%u:%u|", sections[l->section], l->name, l->field, l->value, l->line,
                            l->column);
    }
}

static int parse(const char *bytes, size_t length, struct guard_policy_text *text, struct guard_problems *problems)
{
    char *exact = malloc(length ? length : 1); /* so that a sanitizer sees any read behind the end */
    memcpy(exact, bytes, length);
    int rc = guard_policy_file_parse("policy.conf", exact, length, text, problems);
    free(exact);
    return rc;
}

static void good_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof goods / sizeof goods[0]; i++) {
        struct guard_policy_text text = {0};
        struct guard_problems problems = {0};
        struct guard_buffer lines = {0};
        int rc = parse(goods[i].text, strlen(goods[i].text), &text, &problems);
        if (rc != GUARD_OK)
            fail_msg("%s\n-> %s", goods[i].text, problems.count ? problems.items[0].error.text : "");
        print_lines(&text, &lines);
        assert_string_equal(lines.data, goods[i].lines);
        guard_buffer_free(&lines);
        guard_problems_free(&problems);
        guard_policy_text_free(&text);
    }
}

static void bad_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bads / sizeof bads[0]; i++) {
        struct guard_policy_text text = {0};
        struct guard_problems problems = {0};
        int rc = parse(bads[i].text, strlen(bads[i].text), &text, &problems);
        assert_int_equal(problems.errors > 0, 1);
        const struct guard_error *e = &problems.items[0].error;
        if (rc != GUARD_ERR_SYNTAX || e->line != bads[i].line || (bads[i].column && e->column != bads[i].column) ||
            !strstr(e->text, bads[i].says))
            fail_msg("%s\n-> %d %u:%u %s", bads[i].text, rc, e->line, e->column, e->text);
        guard_problems_free(&problems);
        guard_policy_text_free(&text);
    }
}

static void nul_is_refused(void **state)
{
    (void)state;
    struct guard_policy_text text = {0};
    struct guard_problems problems = {0};
    static const char bytes[] = "[role a]\nx = a\0b\n";
    assert_int_equal(parse(bytes, sizeof bytes - 1, &text, &problems), GUARD_ERR_SYNTAX);
    assert_int_equal(problems.items[0].error.line, 2);
    assert_int_equal(problems.items[0].error.column, 6);
    guard_problems_free(&problems);
    guard_policy_text_free(&text);
}

/* One run shows them all. */
static void every_fault_is_told(void **state)
{
    (void)state;
    struct guard_policy_text text = {0};
    struct guard_problems problems = {0};
    const char *file = "[role a]\nx\ny = \n[rol b]\nz = 1\n[role c]\nq = \"\n";
    assert_int_equal(parse(file, strlen(file), &text, &problems), GUARD_ERR_SYNTAX);
    assert_int_equal(problems.errors, 4);
    static const unsigned lines[] = {2, 3, 4, 7};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(problems.items[i].error.line, lines[i]);
    guard_problems_free(&problems);
    guard_policy_text_free(&text);
}

static void limits(void **state)
{
    (void)state;
    struct guard_policy_text text = {0};
    struct guard_problems problems = {0};
    struct guard_buffer file = {0};
    guard_buffer_text(&file, "[role ");
    for (int i = 0; i <= GUARD_POLICY_NAME_MAX; i++)
        guard_buffer_byte(&file, 'r');
    guard_buffer_text(&file, "]\n[role r]\nx = ");
    for (size_t i = 0; i < GUARD_POLICY_LINE_MAX; i++)
        guard_buffer_byte(&file, 'v');
    assert_int_equal(parse(file.data, file.length, &text, &problems), GUARD_ERR_SYNTAX);
    assert_int_equal(problems.errors, 2);
    assert_non_null(strstr(problems.items[0].error.text, "too long"));
    assert_non_null(strstr(problems.items[1].error.text, "longer than"));
    guard_buffer_free(&file);
    guard_problems_free(&problems);
    guard_policy_text_free(&text);
}

static void empty_section_warns(void **state)
{
    (void)state;
    struct guard_policy_text text = {0};
    struct guard_problems problems = {0};
    assert_int_equal(parse("[role a]\n[client b]\nroles = x\n", 30, &text, &problems), GUARD_OK);
    assert_int_equal(problems.warnings, 1);
    assert_int_equal(problems.items[0].error.line, 1);
    assert_non_null(strstr(problems.items[0].error.text, "[role a] is empty"));
    guard_problems_free(&problems);
    guard_policy_text_free(&text);
}

/* What is written reads back to the same lines, and writing is a fixed point. */
static void round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof goods / sizeof goods[0]; i++) {
        struct guard_policy_text text = {0}, again = {0};
        struct guard_buffer once = {0}, twice = {0};
        struct guard_error err = {0};
        assert_int_equal(parse(goods[i].text, strlen(goods[i].text), &text, NULL), GUARD_OK);
        assert_int_equal(guard_policy_file_write(&text, &once, &err), GUARD_OK);
        guard_buffer_append(&once, "", 0);
        if (parse(once.data, once.length, &again, NULL) != GUARD_OK)
            fail_msg("%s", once.data);
        assert_int_equal(again.count, text.count);
        for (size_t l = 0; l < text.count; l++) {
            assert_int_equal(again.lines[l].section, text.lines[l].section);
            assert_string_equal(again.lines[l].name, text.lines[l].name);
            assert_string_equal(again.lines[l].field, text.lines[l].field);
            assert_string_equal(again.lines[l].value, text.lines[l].value);
        }
        assert_int_equal(guard_policy_file_write(&again, &twice, &err), GUARD_OK);
        guard_buffer_append(&twice, "", 0);
        assert_string_equal(twice.data, once.data);
        guard_buffer_free(&once);
        guard_buffer_free(&twice);
        guard_policy_text_free(&text);
        guard_policy_text_free(&again);
    }
}

static void cannot_be_written(void **state)
{
    (void)state;
    static const struct guard_policy_line lines[] = {
        {.section = GUARD_SECTION_ROLE, .name = "a]b", .field = "x", .value = "y", .place = ""},
        {.section = GUARD_SECTION_ROLE, .name = "a\nb", .field = "x", .value = "y", .place = ""},
        {.section = GUARD_SECTION_ROLE, .name = "a", .field = "x\x01", .value = "y", .place = ""},
        {.section = GUARD_SECTION_ROLE, .name = "a", .field = "x", .value = "y\nz = 1", .place = ""},
        {.section = GUARD_SECTION_ROLE, .name = "a", .field = "x", .value = "", .place = ""},
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct guard_policy_text text = {0};
        struct guard_buffer out = {0};
        struct guard_error err = {0};
        assert_int_equal(guard_policy_text_add(&text, &lines[i]), GUARD_OK);
        assert_int_equal(guard_policy_file_write(&text, &out, &err), GUARD_ERR_INVALID);
        assert_true(err.text[0] != '\0');
        guard_buffer_free(&out);
        guard_policy_text_free(&text);
    }
}

static void write_file(const char *path, const char *content, mode_t mode)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(content, file);
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
}

static void modes_of_files(void **state)
{
    (void)state;
    char folder[TEMPORARY_MAX], path[TEMPORARY_MAX + 16];
    struct {
        mode_t mode;
        const char *content;
        int rc;
        size_t warnings;
    } cases[] = {{0600, "[client c]\npassword = x\n", GUARD_OK, 0},
                 {0640, "[client c]\npassword = x\n", GUARD_OK, 0},
                 {0644, "[client c]\npassword = x\n", GUARD_OK, 1},
                 {0644, "[client c]\nroles = x\n", GUARD_OK, 0},
                 {0666, "[client c]\nroles = x\n", GUARD_ERR_PERMISSION, 0}};
    assert_non_null(temporary_folder(folder, "policy"));
    snprintf(path, sizeof path, "%s/policy.conf", folder);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct guard_policy_text text = {0};
        struct guard_problems problems = {0};
        struct guard_error err = {0};
        write_file(path, cases[i].content, cases[i].mode);
        assert_int_equal(guard_policy_file_read(path, &text, &problems, &err), cases[i].rc);
        assert_int_equal(problems.warnings, cases[i].warnings);
        assert_int_equal(problems.errors, cases[i].rc != GUARD_OK);
        guard_problems_free(&problems);
        guard_policy_text_free(&text);
    }
    unlink(path);
    struct guard_policy_text text = {0};
    assert_int_equal(guard_policy_file_read(path, &text, NULL, NULL), GUARD_ERR_NOT_FOUND);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_files), cmocka_unit_test(bad_files),           cmocka_unit_test(nul_is_refused),
        cmocka_unit_test(limits),     cmocka_unit_test(every_fault_is_told), cmocka_unit_test(empty_section_warns),
        cmocka_unit_test(round_trip), cmocka_unit_test(cannot_be_written),   cmocka_unit_test(modes_of_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
