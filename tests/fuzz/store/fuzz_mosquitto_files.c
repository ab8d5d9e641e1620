/*
 * Mosquitto's password_file and acl_file, both readings: whatever was read without an error must make a policy that can
 * be written and reads back the same. The first octet chooses the version; a line "====" parts the two files.
 */
#include "acl/acl.h"
#include "core/clients.h"
#include "store/mosquitto_files.h"
#include "store/policy_file.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int truth)
{
    if (!truth)
        abort();
}

static int check_hash(const char *stored, struct guard_error *err)
{
    size_t length = strlen(stored); /* no hash that is any good holds a control character */
    return length % 2 && !guard_topic_impossible(stored, length)
               ? GUARD_OK
               : guard_fail(err, GUARD_ERR_SYNTAX, "not of odd length");
}

/* The readers take files: one in memory, by the name that the kernel gives it. */
static int as_file(const char *bytes, size_t length, char path[64])
{
    FILE *file = tmpfile();
    expect(file != NULL);
    expect(fwrite(bytes, 1, length, file) == length && fflush(file) == 0);
    int fd = dup(fileno(file));
    fclose(file);
    snprintf(path, 64, "/dev/fd/%d", fd);
    return fd;
}

/* Roles and bindings must compile, clients must be records, and all of it must survive the policy file. */
static void use(const struct guard_policy_text *text)
{
    struct guard_problems problems = {0};
    struct guard_policy_text again = {0};
    struct guard_buffer out = {0};
    struct acl_compile_options options = {.ignore_clients = true};
    struct acl_policy *policy = NULL;
    struct guard_clients_builder *builder = guard_clients_builder_new(NULL);
    expect(acl_policy_compile(text, &options, &policy, &problems) == GUARD_OK);
    acl_policy_release(policy);
    if (guard_clients_builder_put_text(builder, text, &problems) == GUARD_OK &&
        guard_policy_file_write(text, &out, NULL) == GUARD_OK) { /* else a name or hash that no file can hold */
        expect(guard_policy_file_parse("again", out.length ? out.data : "", out.length, &again, NULL) == GUARD_OK);
        expect(again.count == text->count);
    }
    guard_clients_builder_free(&builder);
    guard_policy_text_free(&again);
    guard_buffer_free(&out);
    guard_problems_free(&problems);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char between[] = "\n====\n";
    struct guard_translation translation = {0};
    struct guard_error err = {0};
    char passwords[64], acl[64];
    if (!size)
        return 0;
    const char *text = (const char *)data + 1, *end = (const char *)data + size;
    const char *part = memmem(text, (size_t)(end - text), between, strlen(between));
    const char *rest = part ? part + strlen(between) : end;
    int first = as_file(text, (size_t)((part ? part : end) - text), passwords);
    int second = as_file(rest, (size_t)(end - rest), acl);
    struct guard_mosquitto_files files = {.password_file = passwords,
                                          .acl_file = acl,
                                          .version = *data & 1 ? GUARD_MOSQUITTO_2_1 : GUARD_MOSQUITTO_2_0,
                                          .anonymous = *data & 2,
                                          .check_hash = check_hash};
    int rc = guard_mosquitto_files_read(&files, &translation, &err);
    expect((rc == GUARD_OK) == (translation.counts[GUARD_NOTE_ERROR] == 0));
    if (rc == GUARD_OK)
        use(&translation.text);
    guard_translation_free(&translation);
    close(first);
    close(second);
    return 0;
}
