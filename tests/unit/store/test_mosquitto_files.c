/* Mosquitto's password_file and acl_file: what is read, what is said, what becomes of it. */
#include "store/mosquitto_files.h"
#include "store/policy_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[512], password_path[600], acl_path[600];

static int make_folder(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/guard-files-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(folder))
        return -1;
    snprintf(password_path, sizeof password_path, "%s/passwords", folder);
    snprintf(acl_path, sizeof acl_path, "%s/acl", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(password_path);
    unlink(acl_path);
    return rmdir(folder);
}

static void write_file(const char *path, const char *content, size_t length)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(content, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

/* A hash is good if it begins with '$'. */
static int check_hash(const char *stored, struct guard_error *err)
{
    return *stored == '$' ? GUARD_OK : guard_fail(err, GUARD_ERR_SYNTAX, "no hash");
}

static int read_both(const char *passwords, const char *acl, enum guard_mosquitto version,
                     struct guard_translation *out)
{
    struct guard_error err = {0};
    if (passwords)
        write_file(password_path, passwords, strlen(passwords));
    if (acl)
        write_file(acl_path, acl, strlen(acl));
    struct guard_mosquitto_files files = {.password_file = passwords ? password_path : NULL,
                                          .acl_file = acl ? acl_path : "",
                                          .version = version,
                                          .anonymous = true,
                                          .check_hash = check_hash};
    return guard_mosquitto_files_read(&files, out, &err);
}

static void expect_policy(const struct guard_translation *translation, const char *expected)
{
    struct guard_buffer out = {0};
    assert_int_equal(guard_policy_file_write(&translation->text, &out, NULL), GUARD_OK);
    assert_string_equal(out.data ? out.data : "", expected);
    guard_buffer_free(&out);
}

/* "2 left out, 7 remark": line and kind of every note, in order */
static void expect_notes(const struct guard_translation *translation, const char *expected)
{
    struct guard_buffer out = {0};
    for (size_t i = 0; i < translation->note_count; i++)
        guard_buffer_printf(&out, "%s%u %s", i ? ", " : "", translation->notes[i].line,
                            guard_note_kind_name(translation->notes[i].kind));
    assert_string_equal(out.data ? out.data : "", expected);
    guard_buffer_free(&out);
}

struct row {
    const char *what;
    const char *passwords, *acl;
    enum guard_mosquitto version;
    int rc;
    const char *policy; /* NULL: not looked at */
    const char *notes;
};

#define OFF "[default]\nmode = off\n"
#define CLOSED                                                                     \
    "[role no-patterns]\neverything = deny all **\n\n[assign]\n"                   \
    "wildcard-names-1 = no-patterns when username contains \"+\"\n"                \
    "wildcard-names-2 = no-patterns when username contains \"#\"\n"                \
    "wildcard-names-3 = no-patterns when client_id contains \"+\" and named\n"     \
    "wildcard-names-4 = no-patterns when client_id contains \"#\" and named\n"     \
    "wildcard-names-5 = no-patterns when client_id contains \"+\" and anonymous\n" \
    "wildcard-names-6 = no-patterns when client_id contains \"#\" and anonymous\n"
#define OF_USERS "user-patterns = user-patterns when named\n"
#define NAMELESS "anonymous = patterns when anonymous\n"
#define PATTERNS "\n[default]\nroles = patterns\nmode = off\n"

static const struct row rows[] = {
    {"an empty acl_file allows nothing", NULL, "", 0, GUARD_OK, OFF, ""},
    {"the four accesses, and none", NULL,
     "user u\ntopic a\ntopic read b\ntopic write c\ntopic readwrite d\ntopic deny e\n", 0, GUARD_OK,
     "[client u]\nroles = \"user:u\":1\n\n[role user:u]\nline-2 = allow publish,subscribe a\n"
     "line-3 = allow subscribe b\nline-4 = allow publish c\nline-5 = allow publish,subscribe d\n"
     "line-6 = deny all e\n\n" OFF,
     ""},
    {"before any user: those without a name", NULL, "topic read a\n", 0, GUARD_OK,
     "[role anonymous]\nline-1 = allow subscribe a\n\n[assign]\nanonymous = anonymous:1 when anonymous\n\n" OFF, ""},
    {"comments only in the first column, spaces anywhere, CRLF", NULL,
     "# c\r\n\r\n  user   u v \r\n topic   read   a b/c  \r\n", 0, GUARD_OK,
     "[client \"u v\"]\nroles = \"user:u v\":1\n\n[role \"user:u v\"]\nline-4 = allow subscribe \"a b/c\"\n\n" OFF, ""},
    {"a comment further right is a fault", NULL, " # c\n", 0, GUARD_ERR_SYNTAX, NULL, "1 error"},
    {"a tab does not part words", NULL, "topic\tread a\n", 0, GUARD_ERR_SYNTAX, NULL, "1 error"},
    {"every fault is told", NULL, "topic\nuser\ntopic rad a\ntopic a+\ntopic #/a\nacl x\n", 0, GUARD_ERR_SYNTAX, NULL,
     "1 error, 2 error, 3 error, 4 error, 5 error, 6 error"},
    {"one word is a topic, whatever it says", NULL, "topic readwrite\n", 0, GUARD_OK,
     "[role anonymous]\nline-1 = allow publish,subscribe readwrite\n\n[assign]\n"
     "anonymous = anonymous:1 when anonymous\n\n" OFF,
     "1 remark"},
    {"what our language takes for its own is text", NULL, "topic read ${x}/$y/a\"b;\\\n", 0, GUARD_OK,
     "[role anonymous]\nline-1 = allow subscribe \"${$}{x}/$y/a\\\"b;\\\\\"\n\n[assign]\n"
     "anonymous = anonymous:1 when anonymous\n\n" OFF,
     ""},
    {"** is no wildcard of theirs", NULL, "topic **\ntopic deny a/**/b\n", 0, GUARD_OK,
     "[role anonymous]\nline-2 = deny all a/+/b\n\n[assign]\nanonymous = anonymous:1 when anonymous\n\n" OFF,
     "1 left out, 2 stricter"},
    {"a topic that cannot be", NULL, "topic a/\x01/b\ntopic \xff\n", 0, GUARD_OK,
     "[assign]\nanonymous = anonymous:1 when anonymous\n\n" OFF, "1 remark, 2 remark"},
    {"%u in a topic is text", NULL, "topic a/%u\n", 0, GUARD_OK,
     "[role anonymous]\nline-1 = allow publish,subscribe a/%u\n\n[assign]\n"
     "anonymous = anonymous:1 when anonymous\n\n" OFF,
     ""},
    {"patterns of 2.0: anywhere in a level", NULL,
     "pattern read a/%u/%c/#\npattern write d-%u-x\npattern deny %c%u/b\npattern x/%u%%c\npattern %c\n",
     GUARD_MOSQUITTO_2_0, GUARD_OK,
     "[role patterns]\nline-5 = allow publish,subscribe ${client_id}\n\n[role user-patterns]\n"
     "line-1 = allow subscribe a/${username}/${client_id}/#\nline-2 = allow publish d-${username}-x\n"
     "line-3 = deny all +/b\n\n" CLOSED NAMELESS OF_USERS PATTERNS,
     "3 stricter, 4 left out"},
    {"patterns of 2.1: whole levels", NULL,
     "pattern read a/%u/%c/#\npattern write d-%u-x\npattern %c%u/b\npattern d-%c\n", GUARD_MOSQUITTO_2_1, GUARD_OK,
     "[role patterns]\nline-4 = allow publish,subscribe d-%c\n\n[role user-patterns]\n"
     "line-1 = allow subscribe a/${username}/${client_id}/#\nline-2 = allow publish d-%u-x\n"
     "line-3 = allow publish,subscribe %c%u/b\n\n" CLOSED NAMELESS OF_USERS PATTERNS,
     ""},
    {"a pattern for everybody", NULL, "user u\npattern read a\n", 0, GUARD_OK,
     "[role patterns]\nline-2 = allow subscribe a\n\n" CLOSED NAMELESS PATTERNS, "2 remark"},
    {"patterns for those with a name only", NULL, "pattern read %u\n", 0, GUARD_OK,
     "[role user-patterns]\nline-1 = allow subscribe ${username}\n\n" CLOSED OF_USERS "\n" OFF, ""},
    {"names that no client can have", "a\tb:$1\n\xff:$1\n", "user a\tb\ntopic x\nuser \xff\ntopic x\n", 0, GUARD_OK,
     OFF, "1 remark, 2 remark, 2 remark, 4 remark"},
    {"a name that cannot stand in a level", "a/b:$1\nc:$2\n", "pattern read %u\nuser $d\ntopic x\n", 0, GUARD_OK, NULL,
     "3 stricter, 1 stricter"},
    {"is nothing to worry about where no pattern uses it", "a/b:$1\n", "pattern read %c\n", 0, GUARD_OK, NULL, ""},
    {"a user's lines at two places", NULL, "user b\ntopic a\nuser a\ntopic b\nuser b\ntopic deny c\n", 0, GUARD_OK,
     "[client a]\nroles = \"user:a\":1\n\n[client b]\nroles = \"user:b\":1\n\n[role user:a]\n"
     "line-4 = allow publish,subscribe b\n\n[role user:b]\nline-2 = allow publish,subscribe a\nline-6 = deny all "
     "c\n\n" OFF,
     ""},
    {"a user that no role can be named after has nothing", NULL, "user a]b\ntopic a\n", 0, GUARD_OK, NULL,
     "2 stricter"},
    {"passwords", "# c\n\nu:$1\n v :$2:rest\n::w:$3\n", NULL, 0, GUARD_OK,
     "[client u]\npassword = $1\n\n[client v]\npassword = $2\n\n[client w]\npassword = $3\n", ""},
    {"a user in both", "u:$1\n", "user u\ntopic a\n", 0, GUARD_OK,
     "[client u]\npassword = $1\nroles = \"user:u\":1\n\n[role user:u]\nline-2 = allow publish,subscribe a\n\n" OFF,
     ""},
    {"2.0 passes over bad lines", "u\nv:\nw:plain\n:\n :$1\nx:$2\n", NULL, GUARD_MOSQUITTO_2_0, GUARD_OK,
     "[client x]\npassword = $2\n", "1 remark, 2 left out, 4 left out, 5 left out, 3 left out"},
    {"2.1 refuses them", "v:\nw:plain\n", NULL, GUARD_MOSQUITTO_2_1, GUARD_ERR_SYNTAX, NULL, "1 error, 2 error"},
    {"twice: 2.0 takes the last", "u:$1\nu:$2\n", NULL, GUARD_MOSQUITTO_2_0, GUARD_OK, "[client u]\npassword = $2\n",
     "2 remark"},
    {"twice: 2.1 refuses", "u:$1\nu:$2\n", NULL, GUARD_MOSQUITTO_2_1, GUARD_ERR_SYNTAX, NULL, "2 error"},
    {"no password, but rules: known, and cannot log in by password", "u:plain\n", "user u\ntopic a\n", 0, GUARD_OK,
     "[client u]\nroles = \"user:u\":1\n\n[role user:u]\nline-2 = allow publish,subscribe a\n\n" OFF, "1 left out"},
};

static void read_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct guard_translation translation = {0};
        print_message("%s\n", rows[i].what);
        assert_int_equal(read_both(rows[i].passwords, rows[i].acl, rows[i].version, &translation), rows[i].rc);
        if (rows[i].policy)
            expect_policy(&translation, rows[i].policy);
        expect_notes(&translation, rows[i].notes);
        guard_translation_free(&translation);
    }
}

/* The broker would take it for the end of the line (2.0), or of the file (2.1). */
static void nul_is_refused(void **state)
{
    (void)state;
    struct guard_translation translation = {0};
    struct guard_error err = {0};
    struct guard_mosquitto_files files = {.acl_file = acl_path};
    write_file(acl_path, "topic a\0b\n", 10);
    assert_int_equal(guard_mosquitto_files_read(&files, &translation, &err), GUARD_ERR_SYNTAX);
    expect_notes(&translation, "1 error");
    guard_translation_free(&translation);
}

static void missing_file(void **state)
{
    (void)state;
    struct guard_translation translation = {0};
    struct guard_error err = {0};
    struct guard_mosquitto_files files = {.acl_file = "/nowhere/acl"};
    assert_int_equal(guard_mosquitto_files_read(&files, &translation, &err), GUARD_ERR_NOT_FOUND);
    assert_non_null(strstr(err.place, "/nowhere/acl"));
    guard_translation_free(&translation);
}

/* One level more than a template can have. */
static void many_levels(void **state)
{
    (void)state;
    char acl[1000] = "user u\ntopic deny a";
    struct guard_translation translation = {0};
    for (int i = 0; i < 200; i++)
        strcat(acl, "/b");
    assert_int_equal(read_both(NULL, acl, 0, &translation), GUARD_OK);
    expect_notes(&translation, "2 stricter");
    guard_translation_free(&translation);
    memcpy(strstr(acl, "deny"), "read", 4);
    assert_int_equal(read_both(NULL, acl, 0, &translation), GUARD_OK);
    expect_notes(&translation, "2 left out");
    guard_translation_free(&translation);
    strcat(acl, "/b"); /* more than the broker takes */
    assert_int_equal(read_both(NULL, acl, 0, &translation), GUARD_ERR_SYNTAX);
    guard_translation_free(&translation);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_rows),
        cmocka_unit_test(nul_is_refused),
        cmocka_unit_test(missing_file),
        cmocka_unit_test(many_levels),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
