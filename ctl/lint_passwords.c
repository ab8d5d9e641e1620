/* guardctl lint: the stored hashes of the client records. */
#include "auth/password.h"
#include "ctl/lint.h"

#include <string.h>

void lint_check_passwords(struct lint *lint)
{
    const struct guard_policy_text *text = &lint->source->text;
    for (size_t i = 0; i < text->count; i++) {
        const struct guard_policy_line *line = &text->lines[i];
        struct guard_error why;
        if (line->section != GUARD_SECTION_CLIENT || strcmp(line->field, "password") != 0)
            continue;
        if (auth_password_check(line->value, &why) != GUARD_OK)
            lint_report(lint, LINT_WEAK_PASSWORD, line->place, line->line,
                        "nobody can log in with the password of client %s: %s; hash it anew with `guardctl passwd`",
                        line->name, why.text);
        else if (auth_password_outdated(line->value))
            lint_report(lint, LINT_WEAK_PASSWORD, line->place, line->line,
                        "the hash of client %s is weaker than what `guardctl passwd` writes: who steals it guesses "
                        "cheaply; give the client a new password",
                        line->name);
    }
}
