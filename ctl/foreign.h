/* What the importers of other products' data have in common: filters, hashes and names in our language. */
#ifndef GUARD_CTL_FOREIGN_H
#define GUARD_CTL_FOREIGN_H

#include "ctl/import_verify.h"

/* What stands for a client's own name in the filters of the source. */
enum foreign_placeholders {
    FOREIGN_LITERAL,
    FOREIGN_PERCENT /* %u %c */,
    FOREIGN_DOLLAR /* ${username} ${clientid} */
};

/*
 * Appends filter as a rule's template. NULL, or why it cannot be one (out is then as before): no filter of MQTT's, two
 * placeholders in a level, a level that is `**`, a placeholder we do not have.
 */
const char *foreign_template(struct guard_buffer *out, const char *filter, enum foreign_placeholders placeholders);

/* Whether a role or client can be called that in a policy file, and NULL; or why not. */
const char *foreign_name_fault(const char *name);

enum foreign_salt { FOREIGN_SALT_BASE64, FOREIGN_SALT_TEXT };

/*
 * PBKDF2$digest$iterations$salt$key in the form that says how its salt is to be read. loose: any digest but sha256 is
 * sha512, as mosquitto-go-auth has it. *stored is freed by guard_free_string. GUARD_OK, or GUARD_ERR_SYNTAX, _NOMEM.
 */
int foreign_pbkdf2(const char *hash, enum foreign_salt salt, bool loose, char **stored, struct guard_error *err);

/* One rule to be added. */
struct foreign_rule {
    const char *role;
    const char *label; /* its name is this, "-" and number */
    size_t number;
    const char *text;       /* "allow publish" */
    const char *topic;      /* a finished template, not yet quoted */
    const char *conditions; /* " share=no", or "" */
    const char *place;
};
void foreign_rule_add(struct guard_translation *translation, const struct foreign_rule *rule);

/* A field of a client. */
void foreign_client_add(struct guard_translation *translation, const char *place, const char *name, const char *field,
                        const char *value);

/* ---- --verify against a model ---- */

/* A filter of the source and whose it is (index of foreign_trial.users; any other number: everybody's). */
struct foreign_filter {
    const char *text;
    size_t owner;
};

struct foreign_trial {
    const char *const *users;
    size_t user_count;
    const struct ctl_mqtt_login *clients; /* whom to ask about, instead of users and a stranger; NULL: those */
    size_t client_count;
    const struct foreign_filter *filters;
    size_t filter_count;
    /* The old semantics, written down without a look at ours. */
    bool (*allowed)(void *context, const struct ctl_mqtt_login *who, enum explain_action action, const char *topic);
    /* Instead of it: somebody who answers all questions at once; then none is about a topic that begins with '$'. */
    int (*ask)(void *context, const struct ctl_verify *verify, struct guard_error *err);
    void *context;
};

/* Asks import->verify questions of the model, or whoever answers, and of the policy. As ctl_import_verify. */
int foreign_verify(struct ctl_import *import, const struct acl_policy *policy, const struct foreign_trial *trial);

#endif
