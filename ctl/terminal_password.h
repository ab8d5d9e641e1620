/* Reading a password for a command: from the terminal without echo, or from the standard input. */
#ifndef GUARD_CTL_TERMINAL_PASSWORD_H
#define GUARD_CTL_TERMINAL_PASSWORD_H

#include "core/buffer.h"
#include "core/error.h"

#include <stdbool.h>

/*
 * Asks on the terminal that is the standard input, twice if `twice`, without echo; the prompt goes to stderr. A signal
 * that ends or stops the program restores the terminal first. The password (not empty, NUL-terminated) goes to
 * password, freed (and wiped) by guard_buffer_free whatever is returned. GUARD_ERR_INVALID: empty, or the two differ;
 * GUARD_ERR_IO.
 */
int ctl_password_ask(bool twice, struct guard_buffer *password, struct guard_error *err);

/* The first line of the standard input without its line end; the rest is ignored. Otherwise like ctl_password_ask. */
int ctl_password_from_stdin(struct guard_buffer *password, struct guard_error *err);

#endif
