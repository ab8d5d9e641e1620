/* IP addresses and prefixes as 16 octets; IPv4 and ::ffff:a.b.c.d are the same. */
#ifndef GUARD_ACL_ADDRESS_H
#define GUARD_ACL_ADDRESS_H

#include "acl/model.h"

/* The address of that text (a zone behind '%' is ignored); false if it is none. */
bool acl_address_parse(const char *text, size_t length, uint8_t out[16]);

/* "address" or "address/prefix"; bits behind the prefix are cleared. False if it is neither. */
bool acl_net_parse(const char *text, size_t length, struct acl_net *out);

bool acl_net_holds(const struct acl_net *net, const uint8_t address[16]);

#define ACL_NET_TEXT 56 /* octets that acl_net_format needs at most */
char *acl_net_format(const struct acl_net *net, char buffer[ACL_NET_TEXT]);

#endif
