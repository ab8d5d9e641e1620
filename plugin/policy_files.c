#include "plugin/policy_files.h"

#include "auth/password.h"
#include "plugin/broker.h"
#include "store/mosquitto_files.h"
#include "store/policy_file.h"
#include "store/policy_join.h"

#include <stdio.h>
#include <string.h>

static bool has_mosquitto_files(const struct guard_options *options)
{
    return options->acl_file[0] || options->password_file[0];
}

bool guard_policy_in_files(const struct guard_options *options)
{
    return options->policy_file[0] || options->acl_file[0];
}

bool guard_policy_has_files(const struct guard_options *options)
{
    return options->policy_file[0] || has_mosquitto_files(options);
}

static int read_policy(const char *path, struct guard_policy_text *text, struct guard_problems *problems,
                       struct guard_error *err)
{
    if (!path[0])
        return GUARD_OK;
    int rc = guard_policy_file_read(path, text, problems, err);
    if (rc == GUARD_OK && !text->count) { /* a file that was cut off must not turn everybody out */
        guard_problems_add(problems, GUARD_PROBLEM_ERROR, path, 1, 1,
                           "the policy is empty; expected [role …], [client …]");
        return GUARD_ERR_SYNTAX;
    }
    return rc;
}

static void tell(const struct guard_translation *translation, struct guard_problems *problems)
{
    for (size_t i = 0; i < translation->note_count; i++) {
        const struct guard_note *note = &translation->notes[i];
        bool error = note->kind == GUARD_NOTE_ERROR, remark = error || note->kind == GUARD_NOTE_REMARK;
        guard_problems_add(problems, error ? GUARD_PROBLEM_ERROR : GUARD_PROBLEM_WARNING, note->place, note->line, 0,
                           "%s%s%s", remark ? "" : guard_note_kind_name(note->kind), remark ? "" : ": ", note->text);
    }
}

static int read_mosquitto(const struct guard_options *options, struct guard_translation *translation,
                          struct guard_problems *problems, struct guard_error *err)
{
    struct guard_mosquitto_files files = {
        .password_file = options->password_file,
        .acl_file = options->acl_file,
        .version = guard_broker_is_2_1() ? GUARD_MOSQUITTO_2_1 : GUARD_MOSQUITTO_2_0,
        .anonymous = true, /* whether they may come is the broker's allow_anonymous (plugin/login.c) */
        .check_hash = auth_password_check,
    };
    if (!has_mosquitto_files(options))
        return GUARD_OK;
    int rc = guard_mosquitto_files_read(&files, translation, err);
    tell(translation, problems);
    return rc;
}

int guard_policy_files_read(const struct guard_options *options, struct guard_policy_text *text,
                            struct guard_problems *problems, struct guard_error *err)
{
    struct guard_policy_text policy = {0};
    struct guard_translation translation = {0};
    int rc = read_policy(options->policy_file, &policy, problems, err);
    if (rc == GUARD_OK)
        rc = read_mosquitto(options, &translation, problems, err);
    if (rc == GUARD_OK && translation.text.count) {
        rc = guard_policy_join(&policy, &translation.text, text, problems);
        if (rc == GUARD_ERR_NOMEM)
            guard_fail(err, GUARD_ERR_NOMEM, "out of memory");
    } else if (rc == GUARD_OK) {
        *text = policy;
        policy = (struct guard_policy_text){0};
    }
    guard_policy_text_free(&policy);
    guard_translation_free(&translation);
    return rc;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

void guard_policy_files_name(const struct guard_options *options, char *buffer, size_t size)
{
    const char *policy = base_name(options->policy_file), *acl = base_name(options->acl_file);
    snprintf(buffer, size, "%s%s%s", policy, *policy && *acl ? "+" : "", acl);
}
