/*
 * The country of an address, from a database in MaxMind's format (GeoLite2-Country, or any other with
 * country.iso_code). libmaxminddb is loaded when it is needed: neither the build nor the broker's machine has to have
 * it otherwise.
 */
#ifndef GUARD_AUDIT_COUNTRY_H
#define GUARD_AUDIT_COUNTRY_H

#include "core/error.h"

#include <stdbool.h>

struct audit_country;

/* Opens the file. GUARD_ERR_UNSUPPORTED without the library, _IO or _SYNTAX for the file; *out is NULL then. */
int audit_country_open(const char *path, struct audit_country **out, struct guard_error *err);

/* *country may be NULL; set to NULL. */
void audit_country_close(struct audit_country **country);

/* Two upper-case letters and NUL for the text of an IP address; false when the database does not know it. Any thread.
 */
bool audit_country_find(struct audit_country *country, const char *address, char code[3]);

/* Takes a new file at the path, if there is one; a damaged one is left alone. Whether it did. */
bool audit_country_refresh(struct audit_country *country);

#endif
